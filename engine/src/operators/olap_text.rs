//! Values as Pinot and Druid read them from JSON without loss: DECIMAL as text, for they read
//! numbers as doubles; BYTES as hex (Pinot) or base64 (Druid); DATE as `yyyy-MM-dd`; TIMESTAMP and
//! TIME as milliseconds, in text for Pinot's TIMESTAMP. Arrays, maps and structs are JSON for Druid; for Pinot they are JSON as
//! text, for it drops NULLs in arrays, and arrays and maps that are empty.

use std::fmt::Write;

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Decimal128Array, ListArray, MapArray, StringArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimeUnit, TimestampMillisecondType,
};

use crate::error::{EngineError, Result};

/// Who reads the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Pinot,
    Druid,
}

/// A column of which single values are written.
pub struct Cells<'a> {
    array: &'a dyn Array,
    kind: Kind<'a>,
    dialect: Dialect,
}

enum Kind<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a [i32]),
    Bigint(&'a [i64]),
    Timestamp(&'a [i64]),
    Double(&'a [f64]),
    Decimal(&'a Decimal128Array),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a [i32]),
    List(&'a ListArray, Box<Cells<'a>>),
    Map(&'a MapArray, Box<Cells<'a>>, Box<Cells<'a>>),
    Struct(Vec<(String, Cells<'a>)>),
}

impl<'a> Cells<'a> {
    /// # Errors
    /// `Bug` for a type that no SQL type has.
    pub fn new(array: &'a dyn Array, dialect: Dialect) -> Result<Self> {
        let kind = match array.data_type() {
            DataType::Boolean => Kind::Boolean(array.as_boolean()),
            DataType::Int32 => Kind::Integer(array.as_primitive::<Int32Type>().values()),
            DataType::Time32(TimeUnit::Millisecond) => {
                Kind::Integer(array.as_primitive::<Time32MillisecondType>().values())
            }
            DataType::Int64 => Kind::Bigint(array.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(TimeUnit::Millisecond, None) => {
                Kind::Timestamp(array.as_primitive::<TimestampMillisecondType>().values())
            }
            DataType::Float64 => Kind::Double(array.as_primitive::<Float64Type>().values()),
            DataType::Decimal128(..) => Kind::Decimal(array.as_primitive::<Decimal128Type>()),
            DataType::Utf8 => Kind::String(array.as_string::<i32>()),
            DataType::Binary => Kind::Bytes(array.as_binary::<i32>()),
            DataType::Date32 => Kind::Date(array.as_primitive::<Date32Type>().values()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Kind::List(list, Box::new(Cells::new(list.values().as_ref(), dialect)?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let keys = Cells::new(map.keys().as_ref(), dialect)?;
                let values = Cells::new(map.values().as_ref(), dialect)?;
                Kind::Map(map, Box::new(keys), Box::new(values))
            }
            DataType::Struct(fields) => {
                let parts = array.as_struct();
                let fields = fields.iter().zip(parts.columns()).map(|(field, column)| {
                    Ok((field.name().clone(), Cells::new(column.as_ref(), dialect)?))
                });
                Kind::Struct(fields.collect::<Result<_>>()?)
            }
            other => return Err(EngineError::Bug(format!("no text for values of type {other}"))),
        };
        Ok(Cells { array, kind, dialect })
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    /// Writes the value of a column, which is not NULL.
    pub fn write(&self, row: usize, out: &mut String) {
        let as_text = match self.kind {
            Kind::List(..) | Kind::Map(..) | Kind::Struct(..) => true,
            // Pinot takes a number of 32 bits for an INT, which it makes no TIMESTAMP of.
            Kind::Timestamp(_) => true,
            _ => false,
        };
        if as_text && self.dialect == Dialect::Pinot {
            let mut text = String::new();
            self.json(row, &mut text);
            return string(&text, out);
        }
        self.json(row, out);
    }

    /// Writes a value, also one inside of others.
    fn json(&self, row: usize, out: &mut String) {
        if self.is_null(row) {
            return out.push_str("null");
        }
        match &self.kind {
            Kind::Boolean(values) => out.push_str(if values.value(row) { "true" } else { "false" }),
            Kind::Integer(values) => show(values[row], out),
            Kind::Bigint(values) | Kind::Timestamp(values) => show(values[row], out),
            Kind::Double(values) => double(values[row], out),
            Kind::Decimal(values) => {
                out.push('"');
                out.push_str(&values.value_as_string(row));
                out.push('"');
            }
            Kind::String(values) => string(values.value(row), out),
            Kind::Bytes(values) => {
                out.push('"');
                match self.dialect {
                    Dialect::Pinot => values.value(row).iter().for_each(|b| hex(*b, out)),
                    Dialect::Druid => base64(values.value(row), out),
                }
                out.push('"');
            }
            Kind::Date(days) => date(days[row], out),
            Kind::List(list, items) => {
                let offsets = list.value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                sequence(['[', ']'], range, out, |item, out| items.json(item, out));
            }
            Kind::Map(map, keys, values) => {
                let offsets = map.value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                sequence(['{', '}'], range, out, |entry, out| {
                    keys.member(entry, out);
                    out.push(':');
                    values.json(entry, out);
                });
            }
            Kind::Struct(fields) => sequence(['{', '}'], 0..fields.len(), out, |at, out| {
                let (name, cells) = &fields[at];
                string(name, out);
                out.push(':');
                cells.json(row, out);
            }),
        }
    }

    /// A map's key: names of members are text.
    fn member(&self, row: usize, out: &mut String) {
        if let Kind::String(values) = &self.kind {
            return string(values.value(row), out);
        }
        let mut text = String::new();
        self.json(row, &mut text);
        if text.starts_with('"') { out.push_str(&text) } else { string(&text, out) }
    }
}

fn sequence(
    [open, close]: [char; 2],
    range: std::ops::Range<usize>,
    out: &mut String,
    item: impl Fn(usize, &mut String),
) {
    out.push(open);
    for at in range.clone() {
        if at > range.start {
            out.push(',');
        }
        item(at, out);
    }
    out.push(close);
}

fn show(value: impl std::fmt::Display, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// JSON has no numbers for what is not finite.
fn double(value: f64, out: &mut String) {
    if value.is_finite() {
        out.push_str(ryu::Buffer::new().format_finite(value));
    } else if value.is_nan() {
        out.push_str("\"NaN\"");
    } else {
        out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    }
}

/// Days since 1970; those beyond the calendar as their number.
fn date(days: i32, out: &mut String) {
    const OF_1970: i32 = 719_163;
    let date = days.checked_add(OF_1970).and_then(chrono::NaiveDate::from_num_days_from_ce_opt);
    let _ = match date {
        Some(date) => write!(out, "\"{date}\""),
        None => write!(out, "\"{days}\""),
    };
}

/// Text in quotes.
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => {
                out.push_str("\\u00");
                hex(other, out);
            }
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

fn hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for digit in 0..4 {
            match digit <= chunk.len() {
                true => out.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize])),
                false => out.push('='),
            }
        }
    }
}
