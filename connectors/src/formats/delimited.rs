//! DELIMITED: a line of comma-separated values per record, by the rules of RFC 4180 as Java's
//! common CSV library applies them.

use millrace_engine::codec::builder::{ColumnBuilder, Data};
use millrace_engine::codec::view::ColumnView;
use millrace_sql::types::SqlType;

use super::columns::{ColumnDecoder, Field};
use super::json::DAY_MS;
use super::number::{self, NumberError};
use super::{base64, java};

/// Reads lines with a value per column.
#[derive(Debug)]
pub struct DelimitedDecoder {
    fields: Vec<Field>,
    delimiter: char,
    /// Values of the line being read, quotes resolved, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// Checks that the format can hold a column of this type.
///
/// # Errors
/// For ARRAY, MAP and STRUCT.
pub fn check_type(ty: &SqlType) -> Result<(), String> {
    match ty {
        SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) => {
            Err(format!("the DELIMITED format does not support {ty}; use JSON"))
        }
        _ => Ok(()),
    }
}

impl DelimitedDecoder {
    /// # Errors
    /// As [`check_type`].
    pub fn new(fields: &[Field], delimiter: char) -> Result<Self, String> {
        fields.iter().try_for_each(|field| check_type(&field.ty))?;
        let fields = fields.to_vec();
        Ok(DelimitedDecoder { fields, delimiter, text: Vec::new(), ends: Vec::new() })
    }

    /// Splits the first line that is not empty.
    fn split(&mut self, line: &str) -> Result<(), String> {
        self.text.clear();
        self.ends.clear();
        let mut rest = line.trim_start_matches(['\r', '\n']);
        if rest.is_empty() {
            return Err("no fields: the record is empty".into());
        }
        loop {
            rest = match rest.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted)?,
                None => {
                    let stop = |c| c == self.delimiter || c == '\r' || c == '\n';
                    let end = rest.find(stop).unwrap_or(rest.len());
                    self.text.extend_from_slice(&rest.as_bytes()[..end]);
                    &rest[end..]
                }
            };
            self.ends.push(self.text.len());
            match rest.strip_prefix(self.delimiter) {
                Some(next) => rest = next,
                None => return Ok(()),
            }
        }
    }

    /// Reads up to the closing quote; returns what follows the value.
    fn quoted<'a>(&mut self, mut rest: &'a str) -> Result<&'a str, String> {
        loop {
            let end = rest.find('"').ok_or("a quoted field without its closing quote")?;
            self.text.extend_from_slice(&rest.as_bytes()[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(next) => {
                    self.text.push(b'"');
                    rest = next;
                }
                None => break,
            }
        }
        let delimiter = self.delimiter;
        let after = rest.trim_start_matches(|c| c != delimiter && matches!(c, ' ' | '\t'));
        match after.chars().next() {
            None | Some('\r' | '\n') => Ok(after),
            Some(next) if next == delimiter => Ok(after),
            Some(next) => Err(format!("{next:?} between a quoted field and the delimiter")),
        }
    }
}

impl ColumnDecoder for DelimitedDecoder {
    fn read_row(
        &mut self,
        bytes: &[u8],
        columns: &mut [ColumnBuilder],
        _: usize,
    ) -> Result<bool, String> {
        let line = std::str::from_utf8(bytes)
            .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
        self.split(line)?;
        if self.ends.len() != self.fields.len() {
            let (got, want) = (self.ends.len(), self.fields.len());
            return Err(format!("unexpected field count: {got} in the record, {want} columns"));
        }
        let mut start = 0;
        for ((field, column), end) in self.fields.iter().zip(columns).zip(&self.ends) {
            read_value(field, &self.text[start..*end], column)?;
            if !field.wanted {
                column.truncate(0);
            }
            start = *end;
        }
        Ok(true)
    }
}

/// Appends a row; an empty text is NULL.
fn read_value(field: &Field, text: &[u8], column: &mut ColumnBuilder) -> Result<(), String> {
    if text.is_empty() {
        column.push_null();
        return Ok(());
    }
    let bad = |error| {
        let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
        let why = match error {
            NumberError::Malformed => "cannot be read as",
            NumberError::OutOfRange => "is out of the range of",
            NumberError::NeedsRounding => "does not fit without rounding into",
        };
        format!("$.{}: {shown} {why} {}", field.name, field.ty)
    };
    match &mut column.data {
        Data::Boolean(bits) => bits.append(text.eq_ignore_ascii_case(b"true")),
        Data::Int32(values) => {
            let value = number::parse_i32(text).map_err(bad)?;
            if field.ty == SqlType::Time && !(0..DAY_MS).contains(&value) {
                return Err(bad(NumberError::OutOfRange));
            }
            values.push(value);
        }
        Data::Int64(values) => values.push(number::parse_i64(text).map_err(bad)?),
        Data::Double(values) => values.push(number::parse_f64(text).map_err(bad)?),
        Data::Decimal(values) => {
            let SqlType::Decimal { precision, scale } = field.ty else {
                return Err(bad(NumberError::Malformed));
            };
            values.push(number::parse_decimal(text, precision, scale).map_err(bad)?);
        }
        Data::String(texts) => texts.push(text),
        Data::Bytes(bytes) => {
            if !base64::decode(text, &mut bytes.data) {
                return Err(format!("$.{}: a text that is not base64 as BYTES", field.name));
            }
            bytes.end_row();
        }
        _ => return Err(format!("$.{}: {} in the DELIMITED format", field.name, field.ty)),
    }
    column.push_valid();
    Ok(())
}

/// Appends the line of row `row`.
pub fn write_line(columns: &[ColumnView<'_>], delimiter: char, row: usize, out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    let delimiter = delimiter.encode_utf8(&mut buffer).as_bytes();
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(delimiter);
        }
        if column.is_null(row) {
            continue;
        }
        let start = out.len();
        write_value(column, row, out);
        if needs_quotes(&out[start..], delimiter, i == 0) {
            let text = out.split_off(start);
            out.push(b'"');
            for byte in text {
                if byte == b'"' {
                    out.push(byte);
                }
                out.push(byte);
            }
            out.push(b'"');
        }
    }
}

fn write_value(column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) {
    match column {
        ColumnView::Boolean(bits) => {
            out.extend_from_slice(if bits.value(row) { b"true" } else { b"false" });
        }
        ColumnView::Int32(values) => java::write_i64(i64::from(values.values[row]), out),
        ColumnView::Int64(values) => java::write_i64(values.values[row], out),
        ColumnView::Double(values) => java::write_f64(values.values[row], out),
        ColumnView::Decimal(values, scale) => java::write_decimal(values.values[row], *scale, out),
        ColumnView::String(texts) => out.extend_from_slice(texts.value(row).as_bytes()),
        ColumnView::Bytes(bytes) => base64::encode(bytes.value(row), out),
        ColumnView::List(..) | ColumnView::Map(..) | ColumnView::Struct(..) => {}
    }
}

/// Quotes stand only where a reader could go wrong: the same rule as the Java library's, so that
/// the bytes are the same.
fn needs_quotes(text: &[u8], delimiter: &[u8], first: bool) -> bool {
    let (Some(head), Some(tail)) = (text.first(), text.last()) else { return first };
    // The first value of a line must not be taken for something else, such as a comment.
    let odd_start = *head <= b'#' || first && !head.is_ascii_alphanumeric();
    let special = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'"');
    odd_start
        || *tail <= b' '
        || text.iter().any(special)
        || text.windows(delimiter.len()).any(|part| part == delimiter)
}

#[cfg(test)]
mod tests;
