//! Keys whose byte order is their SQL order, NULLs first.
//!
//! Each value starts with a tag: version in the high half, 0 = NULL or 1 = present in the low half.
//! Then: BOOLEAN one byte; integers, DATE, TIME, TIMESTAMP and DECIMAL big endian with the sign bit
//! flipped; DOUBLE its bits, all flipped when negative and only the sign otherwise; STRING and
//! BYTES with 0x00 written as 0x00 0xFF and 0x00 0x00 at the end; ARRAY its items and a 0x00; STRUCT its
//! fields; MAP its entries in the order of their encoded keys and a 0x00. No key is a prefix of
//! another of the same types, so anything may follow a key.

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::DataType;
use millrace_sql::types::SqlType;

pub use super::buffer::KeyBuffer;
use super::builder::{ColumnBuilder, Data};
use super::cursor::{Cursor, corrupt, truncated};
use super::view::{ColumnView, Values};
use crate::error::{EngineError, Result};

/// Version of the encoding, the high half of each tag.
pub const KEY_CODEC_VERSION: u8 = 1;

const NULL: u8 = KEY_CODEC_VERSION << 4;
const PRESENT: u8 = NULL | 1;
/// Ends items of ARRAY and MAP; below every tag, so a shorter list sorts first.
const END: u8 = 0;
/// After a 0x00 inside a string: the byte itself, not the end.
const ESCAPED: u8 = 0xFF;

/// Encodes and decodes keys of fixed column types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCodec {
    types: Vec<SqlType>,
    arrow: Vec<DataType>,
}

impl KeyCodec {
    pub fn new(types: &[SqlType]) -> Self {
        let arrow = types.iter().map(SqlType::to_arrow).collect();
        KeyCodec { types: types.to_vec(), arrow }
    }

    /// Types of the key's columns, in order.
    pub fn types(&self) -> &[SqlType] {
        &self.types
    }

    /// Replaces what is in `out` by one key per row of `columns`.
    ///
    /// # Errors
    /// `Bug` when the columns are not of the codec's types.
    pub fn encode(&self, columns: &[ArrayRef], out: &mut KeyBuffer) -> Result<()> {
        check_types(&self.arrow, columns)?;
        out.clear();
        let rows = columns.first().map_or(0, |column| column.len());
        let views =
            columns.iter().map(|c| ColumnView::new(c.as_ref())).collect::<Result<Vec<_>>>()?;
        match views.as_slice() {
            [ColumnView::Int64(values)] => encode_ints(values, out, flip_i64),
            [ColumnView::Int32(values)] => encode_ints(values, out, flip_i32),
            [ColumnView::String(texts)] => encode_texts(texts, out),
            views => {
                out.reserve(rows, rows * views.len() * 9);
                for row in 0..rows {
                    for view in views {
                        write_value(view, row, out.data());
                    }
                    out.end_entry();
                }
            }
        }
        Ok(())
    }

    /// Columns of keys that [`KeyCodec::encode`] wrote.
    ///
    /// # Errors
    /// `State` when the bytes are not such keys.
    pub fn decode(&self, keys: &[&[u8]]) -> Result<Vec<ArrayRef>> {
        let mut builders: Vec<_> = self.types.iter().map(ColumnBuilder::new).collect();
        for key in keys {
            let mut cursor = Cursor::new(key);
            for builder in &mut builders {
                read_value(&mut cursor, builder)?;
            }
            cursor.finish()?;
        }
        builders.iter_mut().map(ColumnBuilder::finish).collect()
    }
}

/// Checks that `columns` have the Arrow types `types`, but for names, and one length.
pub(super) fn check_types(types: &[DataType], columns: &[ArrayRef]) -> Result<()> {
    let fits = types.len() == columns.len()
        && types.iter().zip(columns).all(|(ty, column)| ty.equals_datatype(column.data_type()))
        && columns.windows(2).all(|pair| pair[0].len() == pair[1].len());
    if fits {
        return Ok(());
    }
    let got: Vec<_> = columns.iter().map(|column| column.data_type().to_string()).collect();
    Err(EngineError::Bug(format!("columns {got:?} given to a codec of {types:?}")))
}

/// The fast path of a single integer key.
fn encode_ints<T: Copy, const N: usize>(
    values: &Values<'_, T>,
    out: &mut KeyBuffer,
    flip: impl Fn(T) -> [u8; N],
) {
    let rows = values.values.len();
    out.reserve(rows, rows * (1 + N));
    for (row, value) in values.values.iter().enumerate() {
        if values.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.data().push(NULL);
        } else {
            out.data().push(PRESENT);
            out.data().extend_from_slice(&flip(*value));
        }
        out.end_entry();
    }
}

/// The fast path of a single string key.
fn encode_texts(texts: &StringArray, out: &mut KeyBuffer) {
    out.reserve(texts.len(), texts.values().len() + 3 * texts.len());
    for text in texts {
        match text {
            None => out.data().push(NULL),
            Some(text) => {
                out.data().push(PRESENT);
                write_bytes(text.as_bytes(), out.data());
            }
        }
        out.end_entry();
    }
}

fn write_value(view: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) {
    if view.is_null(row) {
        return out.push(NULL);
    }
    out.push(PRESENT);
    match view {
        ColumnView::Boolean(array) => out.push(u8::from(array.value(row))),
        ColumnView::Int32(values) => out.extend_from_slice(&flip_i32(values.values[row])),
        ColumnView::Int64(values) => out.extend_from_slice(&flip_i64(values.values[row])),
        ColumnView::Double(values) => out.extend_from_slice(&flip_f64(values.values[row])),
        ColumnView::Decimal(values, _) => out.extend_from_slice(&flip_i128(values.values[row])),
        ColumnView::String(array) => write_bytes(array.value(row).as_bytes(), out),
        ColumnView::Bytes(array) => write_bytes(array.value(row), out),
        ColumnView::List(ranges, items) => {
            for item in ranges.get(row).unwrap_or_default() {
                write_value(items, item, out);
            }
            out.push(END);
        }
        ColumnView::Map(ranges, keys, values) => {
            let mut entries: Vec<Vec<u8>> = Vec::new();
            for item in ranges.get(row).unwrap_or_default() {
                let mut entry = Vec::new();
                write_value(keys, item, &mut entry);
                write_value(values, item, &mut entry);
                entries.push(entry);
            }
            entries.sort_unstable();
            entries.iter().for_each(|entry| out.extend_from_slice(entry));
            out.push(END);
        }
        ColumnView::Struct(_, fields) => {
            fields.iter().for_each(|field| write_value(field, row, out));
        }
    }
}

fn write_bytes(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(zero) = memchr::memchr(0, bytes) {
        out.extend_from_slice(&bytes[..=zero]);
        out.push(ESCAPED);
        bytes = &bytes[zero + 1..];
    }
    out.extend_from_slice(bytes);
    out.extend_from_slice(&[0, END]);
}

fn read_value(cursor: &mut Cursor<'_>, builder: &mut ColumnBuilder) -> Result<()> {
    match cursor.byte()? {
        NULL => {
            builder.push_null();
            return Ok(());
        }
        PRESENT => {}
        tag if tag >> 4 != KEY_CODEC_VERSION => {
            return Err(corrupt(format_args!("key version {}, not 1", tag >> 4)));
        }
        tag => return Err(corrupt(format_args!("tag {tag:#x} in a key"))),
    }
    match &mut builder.data {
        Data::Boolean(bits) => match cursor.byte()? {
            bit @ 0..=1 => bits.append(bit == 1),
            other => return Err(corrupt(format_args!("boolean {other}"))),
        },
        Data::Int32(values) => values.push(i32::from_be_bytes(cursor.array()?) ^ i32::MIN),
        Data::Int64(values) => values.push(i64::from_be_bytes(cursor.array()?) ^ i64::MIN),
        Data::Double(values) => values.push(unflip_f64(cursor.array()?)),
        Data::Decimal(values) => values.push(i128::from_be_bytes(cursor.array()?) ^ i128::MIN),
        Data::String(bytes) | Data::Bytes(bytes) => {
            read_bytes(cursor, &mut bytes.data)?;
            bytes.end_row();
        }
        Data::List(ends, items) => {
            while cursor.peek()? != END {
                read_value(cursor, items)?;
            }
            cursor.byte()?;
            ends.push(items.len() as i32);
        }
        Data::Map(ends, keys, values) => {
            while cursor.peek()? != END {
                if cursor.peek()? == NULL {
                    return Err(corrupt(format_args!("a NULL key of a map")));
                }
                read_value(cursor, keys)?;
                read_value(cursor, values)?;
            }
            cursor.byte()?;
            ends.push(keys.len() as i32);
        }
        Data::Struct(fields) => {
            for field in fields {
                read_value(cursor, field)?;
            }
        }
    }
    builder.push_valid();
    Ok(())
}

fn read_bytes(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<()> {
    loop {
        let zero = memchr::memchr(0, cursor.rest()).ok_or_else(truncated)?;
        out.extend_from_slice(cursor.bytes(zero)?);
        cursor.byte()?;
        match cursor.byte()? {
            END => return Ok(()),
            ESCAPED => out.push(0),
            other => return Err(corrupt(format_args!("escape {other:#x} in a string"))),
        }
    }
}

fn flip_i32(value: i32) -> [u8; 4] {
    (value ^ i32::MIN).to_be_bytes()
}

fn flip_i64(value: i64) -> [u8; 8] {
    (value ^ i64::MIN).to_be_bytes()
}

fn flip_i128(value: i128) -> [u8; 16] {
    (value ^ i128::MIN).to_be_bytes()
}

/// All NaNs are one value above infinity, as Java compares them; -0.0 is below 0.0.
fn flip_f64(value: f64) -> [u8; 8] {
    let bits = if value.is_nan() { f64::NAN.to_bits() & (u64::MAX >> 1) } else { value.to_bits() };
    let mask = if bits >> 63 == 1 { u64::MAX } else { 1 << 63 };
    (bits ^ mask).to_be_bytes()
}

fn unflip_f64(bytes: [u8; 8]) -> f64 {
    let bits = u64::from_be_bytes(bytes);
    let mask = if bits >> 63 == 1 { 1 << 63 } else { u64::MAX };
    f64::from_bits(bits ^ mask)
}

#[cfg(test)]
mod tests;
