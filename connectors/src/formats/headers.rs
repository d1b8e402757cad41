//! Header columns of a source.

use arrow::array::ArrayRef;
use millrace_engine::codec::builder::{ColumnBuilder, Data};
use millrace_engine::error::EngineError;
use millrace_engine::log::Header;
use millrace_sql::types::SqlType;

/// Headers of a record in order.
pub type Headers = [Header];

/// A column of all headers, or of the last one of a name.
#[derive(Debug)]
pub struct HeaderColumn {
    name: Option<String>,
    builder: ColumnBuilder,
}

impl HeaderColumn {
    /// # Errors
    /// When the type is not ARRAY<STRUCT<KEY STRING, VALUE BYTES>>, or BYTES for one name.
    pub fn new(name: Option<String>, ty: &SqlType) -> Result<Self, String> {
        let fits = match (&name, ty) {
            (Some(_), ty) => *ty == SqlType::Bytes,
            (None, SqlType::Array(item)) => match &**item {
                SqlType::Struct(fields) => {
                    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
                    types == [&SqlType::String, &SqlType::Bytes]
                }
                _ => false,
            },
            (None, _) => false,
        };
        if !fits {
            return Err(format!("a header column cannot be of type {ty}"));
        }
        Ok(HeaderColumn { name, builder: ColumnBuilder::new(ty) })
    }

    /// Appends the row of a record.
    pub fn push(&mut self, headers: &Headers) {
        let Some(name) = &self.name else { return push_all(&mut self.builder, headers) };
        match headers.iter().rev().find(|header| header.0 == *name) {
            Some((_, Some(value))) => push_bytes(&mut self.builder, value),
            _ => self.builder.push_null(),
        }
    }

    pub fn finish(&mut self) -> Result<ArrayRef, EngineError> {
        self.builder.finish()
    }
}

fn push_all(column: &mut ColumnBuilder, headers: &Headers) {
    let Data::List(ends, items) = &mut column.data else { return };
    for (name, value) in headers {
        if let Data::Struct(fields) = &mut items.data
            && let [key, content] = fields.as_mut_slice()
        {
            push_bytes(key, name.as_bytes());
            match value {
                Some(value) => push_bytes(content, value),
                None => content.push_null(),
            }
        }
        items.push_valid();
    }
    ends.push(items.len() as i32);
    column.push_valid();
}

fn push_bytes(column: &mut ColumnBuilder, bytes: &[u8]) {
    if let Data::String(values) | Data::Bytes(values) = &mut column.data {
        values.push(bytes);
    }
    column.push_valid();
}
