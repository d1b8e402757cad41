//! Streamed answers in their three forms.

use arrow::array::RecordBatch;
use millrace_engine::api::ResultColumn;
use serde_json::json;

use super::error::HttpError;
use super::request::StreamFormat;
use crate::rows::{write_json_string, write_row};

/// Writes header, rows and end of one answer into buffers.
#[derive(Debug)]
pub struct Encoder {
    format: StreamFormat,
    elements: u64,
}

impl Encoder {
    pub fn new(format: StreamFormat) -> Self {
        Encoder { format, elements: 0 }
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
            _ => {
                let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
                let types: Vec<String> = columns.iter().map(|c| c.ty.to_string()).collect();
                let header = json!({ "queryId": id, "columnNames": names, "columnTypes": types });
                write_display(out, &header);
            }
        }
        self.end_line(out);
    }

    /// One row; tombstones have no place in the delimited form and are left out there.
    pub fn row(&mut self, out: &mut Vec<u8>, batch: &RecordBatch, row: usize, tombstone: bool) {
        if tombstone && self.format != StreamFormat::Rows {
            return;
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

    /// A failure after the header.
    pub fn error(&mut self, out: &mut Vec<u8>, error: &HttpError) {
        self.separate(out);
        let error = HttpError { statement: None, ..error.clone() }.to_json();
        match self.format {
            StreamFormat::Rows => write_display(out, &json!({ "errorMessage": error })),
            _ => write_display(out, &error),
        }
        self.end_line(out);
    }

    /// The end, with a message where the form has a place for it.
    pub fn finish(&mut self, out: &mut Vec<u8>, message: Option<&str>) {
        if let (StreamFormat::Rows, Some(message)) = (self.format, message) {
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

/// ``"`K` STRING KEY, `C` BIGINT"``.
fn schema(columns: &[ResultColumn], mark_keys: bool) -> String {
    let column = |c: &ResultColumn| {
        let key = if mark_keys && c.key { " KEY" } else { "" };
        format!("`{}` {}{key}", c.name.replace('`', "``"), c.ty)
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn write_display(out: &mut Vec<u8>, value: &serde_json::Value) {
    out.extend_from_slice(value.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use millrace_sql::types::SqlType;

    use super::*;

    fn check(format: StreamFormat, mark: bool, last: Option<&str>, expected: &str) {
        let key = ResultColumn { name: "K".into(), ty: SqlType::String, key: true };
        let count = ResultColumn { name: "C".into(), ty: SqlType::Bigint, key: false };
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
