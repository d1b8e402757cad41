//! Rows that came as Protobuf, as the text that cases expect.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use millrace_connectors::formats::StandardFormats;
use millrace_engine::format::Formats;
use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{RawBatch, RecordRef};
use millrace_sql::ast::Statement;
use millrace_sql::parser;
use millrace_sql::plan::ScanColumn;
use millrace_sql::types::SqlType;
use serde_json::{Value, json};

use super::super::records::from_base64;
use crate::http::protobuf_rows::source;

/// The rows of an answer with each message as text.
///
/// # Errors
/// Messages that are not what the header says.
pub fn readable(rows: &Value) -> Result<Value, String> {
    let rows = rows.as_array().ok_or_else(|| format!("no array: {rows}"))?;
    let header = rows.first().and_then(|row| row.pointer("/header/schema"));
    let columns = columns(header.and_then(Value::as_str).unwrap_or_default())?;
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        out.push(match row.pointer("/row/protobufBytes").and_then(Value::as_str) {
            None => row.clone(),
            Some(bytes) => {
                let bytes = from_base64(bytes).ok_or_else(|| format!("no base64: {bytes}"))?;
                json!({ "row": text(&columns, &bytes)? })
            }
        });
    }
    Ok(Value::Array(out))
}

/// Columns from the text of a header's schema.
fn columns(schema: &str) -> Result<Vec<(String, SqlType)>, String> {
    let bare = schema.replace(" KEY", "");
    let bare = match bare.find(" HEADER") {
        // Between keys and values stands what is told of headers.
        Some(_) => bare.split(", `").map(without_header).collect::<Vec<_>>().join(", `"),
        None => bare,
    };
    let sql = format!("CREATE STREAM X ({bare}) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');");
    let parsed = parser::parse_statement(&sql).map_err(|e| format!("{schema}: {e}"))?;
    let Statement::CreateSource(create) = parsed else { return Err(schema.to_owned()) };
    let column = |c: &millrace_sql::ast::ColumnDef| {
        let ty = c.ty.resolve(&|_| None).map_err(|e| e.to_string())?;
        Ok((c.name.value.clone(), ty))
    };
    create.columns.iter().map(column).collect()
}

fn without_header(column: &str) -> &str {
    column.find(" HEADER").map_or(column, |at| &column[..at])
}

fn text(columns: &[(String, SqlType)], bytes: &[u8]) -> Result<String, String> {
    let source = source(columns);
    let all: Vec<ScanColumn> = (0..columns.len()).map(ScanColumn::Declared).collect();
    let mut batch = RawBatch::new(Tp::new(TopicId(0), 0));
    let value = Some(bytes);
    let record = RecordRef { timestamp: Timestamp(0), key: None, value, headers: &[] };
    batch.push(Offset(0), &record);
    let decoder = StandardFormats.decoder(&source, &all);
    let decoded = decoder.and_then(|mut decoder| decoder.decode(&batch, 0..1));
    let decoded = decoded.map_err(|e| e.to_string())?;
    match decoded.rejects.first() {
        Some(reject) => Err(reject.reason.clone()),
        None => Ok(message(&decoded.rows)),
    }
}

fn message(rows: &RecordBatch) -> String {
    let mut out = String::new();
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        write(&mut out, field.name(), column, 0, "", false);
    }
    out
}

/// Java's text format: what is zero is left out, unless it stands in a list.
fn write(out: &mut String, name: &str, array: &dyn Array, row: usize, pad: &str, listed: bool) {
    if array.is_null(row) {
        return;
    }
    let inner = format!("{pad}  ");
    match array.data_type() {
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len()).for_each(|i| write(out, name, &items, i, pad, true));
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            for i in 0..entries.len() {
                out.push_str(&format!("{pad}{name} {{\n"));
                write(out, "key", entries.column(0), i, &inner, false);
                write(out, "value", entries.column(1), i, &inner, false);
                out.push_str(&format!("{pad}}}\n"));
            }
        }
        DataType::Struct(fields) => {
            out.push_str(&format!("{pad}{name} {{\n"));
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                write(out, field.name(), column, row, &inner, false);
            }
            out.push_str(&format!("{pad}}}\n"));
        }
        _ => {
            let (text, zero) = scalar(array, row);
            if listed || !zero {
                out.push_str(&format!("{pad}{name}: {text}\n"));
            }
        }
    }
}

/// A value as text, and whether it is its type's zero.
fn scalar(array: &dyn Array, row: usize) -> (String, bool) {
    match array.data_type() {
        DataType::Boolean => {
            let value = array.as_boolean().value(row);
            (value.to_string(), !value)
        }
        DataType::Int32 => {
            let value = array.as_primitive::<Int32Type>().value(row);
            (value.to_string(), value == 0)
        }
        DataType::Int64 => {
            let value = array.as_primitive::<Int64Type>().value(row);
            (value.to_string(), value == 0)
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            (millrace_connectors::formats::double_text(value), value == 0.0)
        }
        DataType::Utf8 => quoted(array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => quoted(array.as_binary::<i32>().value(row)),
        other => (format!("<{other}>"), false),
    }
}

/// As C escapes it.
fn quoted(bytes: &[u8]) -> (String, bool) {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'"' => out.push_str("\\\""),
            b'\'' => out.push_str("\\'"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(*byte)),
            other => out.push_str(&format!("\\{other:03o}")),
        }
    }
    out.push('"');
    (out, bytes.is_empty())
}

/// The fields of a message's text in an order of their own: that of a map's entries is nobody's
/// promise.
pub fn sorted(message: &str) -> String {
    let mut fields: Vec<String> = Vec::new();
    for line in message.split_inclusive('\n') {
        match fields.last_mut() {
            Some(open) if line.starts_with([' ', '}']) => open.push_str(line),
            _ => fields.push(line.to_owned()),
        }
    }
    fields.sort();
    fields.concat()
}
