//! Streamed answers in their four forms.

use arrow::array::RecordBatch;
use millrace_engine::api::ResultColumn;
use millrace_sql::types::{SqlType, StructField};
use serde_json::json;

use super::error::{HttpError, code};
use super::protobuf_rows::ProtobufRows;
use super::request::StreamFormat;
use crate::rows::{write_base64, write_json_string, write_row};

/// Writes header, rows and end of one answer into buffers.
pub struct Encoder {
    format: StreamFormat,
    elements: u64,
    /// Of the Protobuf form, once the header is written.
    protobuf: Option<ProtobufRows>,
}

impl Encoder {
    pub fn new(format: StreamFormat) -> Self {
        Encoder { format, elements: 0, protobuf: None }
    }

    /// Query id and columns. `mark_keys`: key columns carry ` KEY` (pull queries over tables).
    pub fn header(&mut self, out: &mut Vec<u8>, id: &str, columns: &[ResultColumn], mark: bool) {
        self.separate(out);
        match self.format {
            StreamFormat::Rows => {
                let header =
                    json!({ "header": { "queryId": id, "schema": schema(columns, mark) } });
                write_display(out, &header);
            }
            StreamFormat::Protobuf => self.protobuf_header(out, id, columns, mark),
            _ => {
                let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
                let types: Vec<String> = columns.iter().map(|c| plain_type(&c.ty)).collect();
                let header = json!({ "queryId": id, "columnNames": names, "columnTypes": types });
                write_display(out, &header);
            }
        }
        self.end_line(out);
    }

    fn protobuf_header(
        &mut self,
        out: &mut Vec<u8>,
        id: &str,
        columns: &[ResultColumn],
        mark: bool,
    ) {
        let schema = schema(columns, mark);
        match ProtobufRows::new(columns) {
            Ok((rows, proto)) => {
                self.protobuf = Some(rows);
                let header = json!({ "queryId": id, "schema": schema, "protoSchema": proto });
                write_display(out, &json!({ "header": header }));
            }
            Err(e) => {
                let error = HttpError::new(code::BAD_STATEMENT, e.to_string());
                write_display(out, &json!({ "errorMessage": error.to_json() }));
            }
        }
    }

    /// One row; tombstones have no place in the delimited form and are left out there.
    pub fn row(&mut self, out: &mut Vec<u8>, batch: &RecordBatch, row: usize, tombstone: bool) {
        if tombstone && self.format != StreamFormat::Rows {
            return;
        }
        if self.format == StreamFormat::Protobuf {
            return self.protobuf_row(out, batch, row);
        }
        self.separate(out);
        if self.format == StreamFormat::Rows {
            out.extend_from_slice(b"{\"row\":{\"columns\":");
            write_row(out, batch, row);
            out.extend_from_slice(if tombstone { b",\"tombstone\":true}}" } else { b"}}" });
        } else {
            write_row(out, batch, row);
        }
        self.end_line(out);
    }

    fn protobuf_row(&mut self, out: &mut Vec<u8>, batch: &RecordBatch, row: usize) {
        self.separate(out);
        // Without a writer the header has told why.
        let message = self.protobuf.as_mut().map_or(&[][..], |rows| rows.row(batch, row));
        out.extend_from_slice(b"{\"row\":{\"protobufBytes\":");
        write_base64(out, message);
        out.extend_from_slice(b"}}");
    }

    /// A failure after the header.
    pub fn error(&mut self, out: &mut Vec<u8>, error: &HttpError) {
        self.separate(out);
        let error = HttpError { statement: None, ..error.clone() }.to_json();
        match self.format {
            StreamFormat::Rows | StreamFormat::Protobuf => {
                write_display(out, &json!({ "errorMessage": error }));
            }
            _ => write_display(out, &error),
        }
        self.end_line(out);
    }

    /// The end, with a message where the form has a place for it.
    pub fn finish(&mut self, out: &mut Vec<u8>, message: Option<&str>) {
        if let (StreamFormat::Rows | StreamFormat::Protobuf, Some(message)) = (self.format, message)
        {
            self.separate(out);
            out.extend_from_slice(b"{\"finalMessage\":");
            write_json_string(out, message);
            out.push(b'}');
        }
        if self.format != StreamFormat::Delimited {
            if self.elements == 0 {
                out.push(b'[');
            }
            out.extend_from_slice(b"]\n");
        }
    }

    /// White space that keeps an idle connection open; nothing where a client reads lines.
    pub fn keep_alive(&self) -> &'static [u8] {
        match self.format {
            StreamFormat::Delimited => b"",
            _ => b"\n",
        }
    }

    fn separate(&mut self, out: &mut Vec<u8>) {
        if self.format != StreamFormat::Delimited {
            out.extend_from_slice(if self.elements == 0 { b"[" } else { b",\n" });
        }
        self.elements += 1;
    }

    fn end_line(&self, out: &mut Vec<u8>) {
        if self.format == StreamFormat::Delimited {
            out.push(b'\n');
        }
    }
}

/// ``"`K` STRING KEY, `C` BIGINT"``. Headers are told between keys and values, wherever they stand
/// in the rows.
fn schema(columns: &[ResultColumn], mark_keys: bool) -> String {
    let column = |c: &ResultColumn| {
        let role = match &c.headers {
            None if mark_keys && c.key => " KEY".to_owned(),
            None => String::new(),
            Some(None) => " HEADERS".to_owned(),
            Some(Some(name)) => format!(" HEADER('{name}')"),
        };
        format!("`{}` {}{role}", c.name.replace('`', "``"), c.ty)
    };
    let mut told: Vec<&ResultColumn> = columns.iter().collect();
    if columns.iter().any(|c| c.headers.is_some()) {
        told.sort_by_key(|c| (!c.key, c.headers.is_none()));
    }
    told.into_iter().map(column).collect::<Vec<_>>().join(", ")
}

/// A type as `columnTypes` tells it: names of fields stand without quotes.
fn plain_type(ty: &SqlType) -> String {
    match ty {
        SqlType::Array(item) => format!("ARRAY<{}>", plain_type(item)),
        SqlType::Map(key, value) => format!("MAP<{}, {}>", plain_type(key), plain_type(value)),
        SqlType::Struct(fields) => {
            let field = |f: &StructField| format!("{} {}", f.name, plain_type(&f.ty));
            format!("STRUCT<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn write_display(out: &mut Vec<u8>, value: &serde_json::Value) {
    out.extend_from_slice(value.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    fn check(format: StreamFormat, mark: bool, last: Option<&str>, expected: &str) {
        let key = ResultColumn { name: "K".into(), ty: SqlType::String, key: true, headers: None };
        let count =
            ResultColumn { name: "C".into(), ty: SqlType::Bigint, key: false, headers: None };
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("K", Arc::new(StringArray::from(vec!["a", "b"]))),
            ("C", Arc::new(Int64Array::from(vec![Some(1), None]))),
        ];
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        let (mut encoder, mut out) = (Encoder::new(format), Vec::new());
        encoder.header(&mut out, "q", &[key, count], mark);
        encoder.row(&mut out, &batch, 0, false);
        encoder.row(&mut out, &batch, 1, true);
        encoder.finish(&mut out, last);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn types_and_headers_of_columns() {
        let field = |name: &str, ty| StructField { name: name.into(), ty };
        let ty = SqlType::Struct(vec![
            field("A", SqlType::Decimal { precision: 4, scale: 2 }),
            field("b", SqlType::Map(Box::new(SqlType::String), Box::new(SqlType::Date))),
        ]);
        let ty = SqlType::Array(Box::new(ty));
        assert_eq!(plain_type(&ty), "ARRAY<STRUCT<A DECIMAL(4, 2), b MAP<STRING, DATE>>>");
        let column =
            |name: &str, ty, key, headers| ResultColumn { name: name.to_owned(), ty, key, headers };
        let columns = [
            column("K", SqlType::Integer, true, None),
            column("V", SqlType::String, false, None),
            column("H", SqlType::Bytes, false, Some(Some("abc".to_owned()))),
        ];
        let told = "`K` INTEGER KEY, `H` BYTES HEADER('abc'), `V` STRING";
        assert_eq!(schema(&columns, true), told);
        assert_eq!(schema(&columns[..2], false), "`K` INTEGER, `V` STRING");
    }

    #[test]
    fn streamed_rows() {
        check(
            StreamFormat::Rows,
            true,
            Some("Limit Reached"),
            "[{\"header\":{\"queryId\":\"q\",\"schema\":\"`K` STRING KEY, `C` BIGINT\"}},\n\
             {\"row\":{\"columns\":[\"a\",1]}},\n\
             {\"row\":{\"columns\":[\"b\",null],\"tombstone\":true}},\n\
             {\"finalMessage\":\"Limit Reached\"}]\n",
        );
    }

    #[test]
    fn lines() {
        check(
            StreamFormat::Delimited,
            false,
            Some("x"),
            "{\"queryId\":\"q\",\"columnNames\":[\"K\",\"C\"],\"columnTypes\":[\"STRING\",\
             \"BIGINT\"]}\n[\"a\",1]\n",
        );
    }

    #[test]
    fn one_array() {
        check(
            StreamFormat::JsonArray,
            false,
            None,
            "[{\"queryId\":\"q\",\"columnNames\":[\"K\",\"C\"],\"columnTypes\":[\"STRING\",\
             \"BIGINT\"]},\n[\"a\",1]]\n",
        );
    }

    #[test]
    fn errors_after_the_header() {
        let (mut encoder, mut out) = (Encoder::new(StreamFormat::Rows), Vec::new());
        encoder.header(&mut out, "q", &[], false);
        encoder.error(&mut out, &HttpError::new(50000, "gone").about("SELECT 1;"));
        encoder.finish(&mut out, None);
        let all: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(all[1]["errorMessage"]["error_code"], 50000);
    }
}
