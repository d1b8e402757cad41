//! Rows as Protobuf messages: the schema of a result, and each row as a bare message in base64.

use arrow::array::RecordBatch;
use millrace_connectors::formats::StandardFormats;
use millrace_engine::api::ResultColumn;
use millrace_engine::error::Result;
use millrace_engine::format::{EncodedRows, Formats, RowEncoder};
use millrace_sql::catalog::{Column, ColumnRole, FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::types::SqlType;

/// Writes rows of one result.
pub struct ProtobufRows {
    encoder: Box<dyn RowEncoder>,
    encoded: EncodedRows,
}

impl ProtobufRows {
    /// The writer, and the schema's text.
    ///
    /// # Errors
    /// A column whose type no message can hold.
    pub fn new(columns: &[ResultColumn]) -> Result<(Self, String)> {
        let named: Vec<(String, SqlType)> =
            columns.iter().map(|c| (c.name.clone(), c.ty.clone())).collect();
        let schema = StandardFormats.describe(&format(FormatKind::Protobuf), &named)?;
        let encoder = StandardFormats.encoder(&source(&named))?;
        Ok((ProtobufRows { encoder, encoded: EncodedRows::default() }, schema.text))
    }

    /// The message of a row; empty when it cannot be written.
    pub fn row(&mut self, batch: &RecordBatch, row: usize) -> &[u8] {
        self.encoded.clear();
        let done = self.encoder.encode(&batch.slice(row, 1), None, &mut self.encoded);
        let range = match done {
            Ok(()) => self.encoded.rows.first().and_then(|row| row.value.clone()),
            Err(_) => None,
        };
        range.map_or(&[], |range| &self.encoded.data[range])
    }
}

/// A source whose values are the rows of a result.
pub fn source(columns: &[(String, SqlType)]) -> Source {
    let column = |(name, ty): &(String, SqlType)| {
        let (name, ty) = (name.clone(), ty.clone());
        Column { name, ty, role: ColumnRole::Value }
    };
    Source {
        name: "RESULT".to_owned(),
        kind: SourceKind::Stream,
        columns: columns.iter().map(column).collect(),
        topic: String::new(),
        partitions: 0,
        key_format: format(FormatKind::None),
        value_format: format(FormatKind::ProtobufNoSr),
        window: None,
        timestamp: None,
        sql: String::new(),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    }
}

fn format(kind: FormatKind) -> FormatSpec {
    FormatSpec::new(kind, true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn rows_are_messages() {
        let column =
            |name: &str, ty| ResultColumn { name: name.into(), ty, key: false, headers: None };
        let columns = [column("K", SqlType::String), column("C", SqlType::Bigint)];
        let (mut rows, schema) = ProtobufRows::new(&columns).unwrap();
        assert_eq!(
            schema,
            "syntax = \"proto3\";\n\nmessage ConnectDefault1 {\n  string K = 1;\n  int64 C = 2;\n}\n"
        );
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("K", Arc::new(StringArray::from(vec!["a", "b"]))),
            ("C", Arc::new(Int64Array::from(vec![Some(3), None]))),
        ];
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        assert_eq!(rows.row(&batch, 0), b"\x0a\x01a\x10\x03");
        assert_eq!(rows.row(&batch, 1), b"\x0a\x01b");
    }
}
