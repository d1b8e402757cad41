//! The KAFKA format: one value in the bytes of Kafka's own Java serializers.

use millrace_engine::codec::builder::{ColumnBuilder, Data};
use millrace_engine::codec::view::ColumnView;
use millrace_sql::types::SqlType;

use super::columns::{ColumnDecoder, Field};

/// Reads records of a single primitive.
#[derive(Debug)]
pub struct KafkaDecoder {
    field: Option<Field>,
}

/// Checks that the format can hold columns of these types.
///
/// # Errors
/// More than one column, or a type without a serializer.
pub fn check_types<'a>(types: impl ExactSizeIterator<Item = &'a SqlType>) -> Result<(), String> {
    if types.len() > 1 {
        let count = types.len();
        return Err(format!("the KAFKA format holds one column, not {count}; use JSON"));
    }
    for ty in types {
        match ty {
            SqlType::Integer
            | SqlType::Bigint
            | SqlType::Double
            | SqlType::String
            | SqlType::Bytes => {}
            other => return Err(format!("the KAFKA format does not support {other}; use JSON")),
        }
    }
    Ok(())
}

impl KafkaDecoder {
    /// # Errors
    /// As [`check_types`].
    pub fn new(fields: &[Field]) -> Result<Self, String> {
        check_types(fields.iter().map(|field| &field.ty))?;
        Ok(KafkaDecoder { field: fields.first().cloned() })
    }
}

impl ColumnDecoder for KafkaDecoder {
    fn read_row(
        &mut self,
        bytes: &[u8],
        columns: &mut [ColumnBuilder],
        _: usize,
    ) -> Result<bool, String> {
        let (Some(field), Some(column)) = (&self.field, columns.first_mut()) else {
            return Ok(true);
        };
        match &mut column.data {
            Data::Int32(values) => values.push(i32::from_be_bytes(fixed(field, bytes)?)),
            Data::Int64(values) => values.push(i64::from_be_bytes(fixed(field, bytes)?)),
            Data::Double(values) => values.push(f64::from_be_bytes(fixed(field, bytes)?)),
            Data::String(text) => {
                std::str::from_utf8(bytes)
                    .map_err(|_| format!("$.{}: a STRING that is not UTF-8", field.name))?;
                text.push(bytes);
            }
            Data::Bytes(value) => value.push(bytes),
            _ => return Err(format!("$.{}: {} in the KAFKA format", field.name, field.ty)),
        }
        column.push_valid();
        if !field.wanted {
            column.truncate(0);
        }
        Ok(true)
    }
}

fn fixed<const N: usize>(field: &Field, bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| {
        let (name, ty, len) = (&field.name, &field.ty, bytes.len());
        format!("$.{name}: {len} bytes where {ty} has {N}")
    })
}

/// Appends row `row`; false: it is NULL, and nothing is appended.
pub fn write_value(column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) -> bool {
    if column.is_null(row) {
        return false;
    }
    match column {
        ColumnView::Int32(values) => out.extend_from_slice(&values.values[row].to_be_bytes()),
        ColumnView::Int64(values) => out.extend_from_slice(&values.values[row].to_be_bytes()),
        ColumnView::Double(values) => out.extend_from_slice(&values.values[row].to_be_bytes()),
        ColumnView::String(texts) => out.extend_from_slice(texts.value(row).as_bytes()),
        ColumnView::Bytes(bytes) => out.extend_from_slice(bytes.value(row)),
        _ => return false,
    }
    true
}
