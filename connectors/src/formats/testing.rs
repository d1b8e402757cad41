//! Schemas from text and columns to text, for tests.

use arrow::array::{ArrayRef, RecordBatch};
use millrace_engine::codec::view::ColumnView;
use millrace_sql::catalog::{FormatKind, FormatSpec};
use millrace_sql::types::{SqlType, StructField};

use super::columns::{Columns, Field};
use super::json::encode::{Layout, write_object};

/// Columns of `A INT, b STRUCT<X ARRAY<STRING>>`, names as they stand.
pub fn fields(schema: &str) -> Vec<Field> {
    let mut rest = schema.trim();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let StructField { name, ty } = field(&mut rest);
        fields.push(Field { name, ty, wanted: true });
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    fields
}

fn field(rest: &mut &str) -> StructField {
    let name = word(rest);
    StructField { name, ty: ty(rest) }
}

fn word(rest: &mut &str) -> String {
    let text = rest.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    *rest = &text[end..];
    text[..end].to_string()
}

fn expect(rest: &mut &str, token: &str) {
    let text = rest.trim_start();
    *rest = text.strip_prefix(token).unwrap_or_else(|| panic!("{token} expected at {text}"));
}

fn ty(rest: &mut &str) -> SqlType {
    match word(rest).as_str() {
        "BOOLEAN" => SqlType::Boolean,
        "INT" => SqlType::Integer,
        "BIGINT" => SqlType::Bigint,
        "DOUBLE" => SqlType::Double,
        "STRING" => SqlType::String,
        "BYTES" => SqlType::Bytes,
        "DATE" => SqlType::Date,
        "TIME" => SqlType::Time,
        "TIMESTAMP" => SqlType::Timestamp,
        "DECIMAL" => {
            expect(rest, "(");
            let precision = word(rest).parse().expect("a number");
            expect(rest, ",");
            let scale = word(rest).parse().expect("a number");
            expect(rest, ")");
            SqlType::Decimal { precision, scale }
        }
        "ARRAY" => {
            expect(rest, "<");
            let item = ty(rest);
            expect(rest, ">");
            SqlType::Array(Box::new(item))
        }
        "MAP" => {
            expect(rest, "<");
            let key = ty(rest);
            expect(rest, ",");
            let value = ty(rest);
            expect(rest, ">");
            SqlType::Map(Box::new(key), Box::new(value))
        }
        "STRUCT" => {
            expect(rest, "<");
            let mut fields = Vec::new();
            while !rest.trim_start().starts_with('>') {
                fields.push(field(rest));
                *rest = rest.trim_start();
                *rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            expect(rest, ">");
            SqlType::Struct(fields)
        }
        other => panic!("type {other}"),
    }
}

pub fn format(kind: FormatKind) -> FormatSpec {
    FormatSpec::new(kind, true)
}

/// Reads one record; the row as JSON, `absent`, or the error.
pub fn read(format: &FormatSpec, fields: &[Field], record: &[u8]) -> Result<String, String> {
    let mut columns = Columns::new(format, fields.to_vec(), Default::default())?;
    let good = columns.push(record)?;
    let arrays = columns.finish().expect("small");
    let wanted: Vec<_> = fields.iter().filter(|field| field.wanted).cloned().collect();
    let arrays: Vec<_> = arrays.into_iter().flatten().collect();
    Ok(if good { row(&wanted, &arrays, 0) } else { "absent".into() })
}

/// A row as JSON.
pub fn row(fields: &[Field], arrays: &[ArrayRef], row: usize) -> String {
    let layout = Layout::of_object(fields.iter().map(|field| (field.name.as_str(), &field.ty)));
    let views = arrays.iter().map(|array| ColumnView::new(array.as_ref()).expect("SQL types"));
    let mut out = Vec::new();
    write_object(&layout, &views.collect::<Vec<_>>(), row, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// All rows of a batch as JSON.
pub fn rows(batch: &RecordBatch) -> Vec<String> {
    let schema = batch.schema();
    let field = |f: &std::sync::Arc<arrow::datatypes::Field>| Field {
        name: f.name().clone(),
        ty: SqlType::from_arrow(f.data_type()).expect("a SQL type"),
        wanted: true,
    };
    let fields: Vec<_> = schema.fields().iter().map(field).collect();
    (0..batch.num_rows()).map(|i| row(&fields, batch.columns(), i)).collect()
}
