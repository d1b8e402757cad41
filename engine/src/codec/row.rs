//! Whole rows as values of stores and changelogs: compact, exact, not ordered.
//!
//! A row is a version byte and then its columns as the fields of a STRUCT: a bitmap with a bit per
//! field (set = present, lowest bit first), then the present ones. BOOLEAN is one byte; INTEGER,
//! BIGINT, DATE, TIME and TIMESTAMP zigzag varints; DOUBLE 8 bytes little endian; DECIMAL a length
//! and that many little-endian bytes of the shortest two's complement; STRING and BYTES a varint length
//! and the bytes; ARRAY a varint count, a bitmap, the present items; MAP a varint count, a bitmap
//! of the values, then key and value by turns. MAP keys are never NULL.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use millrace_sql::types::SqlType;

pub use super::buffer::RowBuffer;
use super::builder::{ColumnBuilder, Data};
use super::cursor::{Cursor, corrupt, truncated};
use super::key::check_types;
use super::view::ColumnView;
use crate::error::Result;

/// First byte of every row.
pub const ROW_CODEC_VERSION: u8 = 1;
/// First byte of rows whose number of columns follows (u16, little endian): more may be added to them.
pub const GROWING_ROW_VERSION: u8 = 2;

/// Encodes and decodes rows of fixed column types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCodec {
    types: Vec<SqlType>,
    arrow: Vec<DataType>,
    /// Rows say how many columns they have.
    growing: bool,
}

impl RowCodec {
    pub fn new(types: &[SqlType]) -> Self {
        let arrow = types.iter().map(SqlType::to_arrow).collect();
        RowCodec { types: types.to_vec(), arrow, growing: false }
    }

    /// Of rows that may get more columns behind those of `types` one day. Both kinds of codec read
    /// both kinds of rows; columns that a row does not have are NULL.
    pub fn growing(types: &[SqlType]) -> Self {
        RowCodec { growing: true, ..Self::new(types) }
    }

    /// Types of the row's columns, in order.
    pub fn types(&self) -> &[SqlType] {
        &self.types
    }

    /// Appends an entry to `out` for each of `rows` of `columns`, in that order.
    ///
    /// # Errors
    /// `Bug` when the columns are not of the codec's types.
    pub fn encode(
        &self,
        columns: &[ArrayRef],
        rows: impl IntoIterator<Item = usize>,
        out: &mut RowBuffer,
    ) -> Result<()> {
        check_types(&self.arrow, columns)?;
        let views =
            columns.iter().map(|c| ColumnView::new(c.as_ref())).collect::<Result<Vec<_>>>()?;
        for row in rows {
            if self.growing {
                out.data().push(GROWING_ROW_VERSION);
                out.data().extend_from_slice(&(views.len() as u16).to_le_bytes());
            } else {
                out.data().push(ROW_CODEC_VERSION);
            }
            write_fields(&views, row, out.data());
            out.end_entry();
        }
        Ok(())
    }

    /// Columns of entries that [`RowCodec::encode`] wrote.
    ///
    /// # Errors
    /// `State` when the bytes are not such rows.
    pub fn decode(&self, rows: &[&[u8]]) -> Result<Vec<ArrayRef>> {
        let mut builders: Vec<_> = self.types.iter().map(ColumnBuilder::new).collect();
        for row in rows {
            let mut cursor = Cursor::new(row);
            let columns = match cursor.byte()? {
                ROW_CODEC_VERSION => builders.len(),
                GROWING_ROW_VERSION => usize::from(u16::from_le_bytes(cursor.array()?)),
                other => return Err(corrupt(format_args!("row version {other}, not 1 or 2"))),
            };
            let Some((old, added)) = builders.split_at_mut_checked(columns) else {
                return Err(corrupt(format_args!("a row of {columns} columns")));
            };
            read_fields(&mut cursor, old)?;
            added.iter_mut().for_each(ColumnBuilder::push_null);
            cursor.finish()?;
        }
        builders.iter_mut().map(ColumnBuilder::finish).collect()
    }
}

fn write_fields(fields: &[ColumnView<'_>], row: usize, out: &mut Vec<u8>) {
    write_bitmap(fields.len(), |i| !fields[i].is_null(row), out);
    for field in fields {
        if !field.is_null(row) {
            write_value(field, row, out);
        }
    }
}

fn write_bitmap(len: usize, is_set: impl Fn(usize) -> bool, out: &mut Vec<u8>) {
    for start in (0..len).step_by(8) {
        let bits = start..len.min(start + 8);
        out.push(bits.fold(0, |byte, i| byte | u8::from(is_set(i)) << (i - start)));
    }
}

/// Writes a value that is not NULL.
fn write_value(view: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) {
    match view {
        ColumnView::Boolean(array) => out.push(u8::from(array.value(row))),
        ColumnView::Int32(values) => write_varint(zigzag(i64::from(values.values[row])), out),
        ColumnView::Int64(values) => write_varint(zigzag(values.values[row]), out),
        ColumnView::Double(values) => out.extend_from_slice(&values.values[row].to_le_bytes()),
        ColumnView::Decimal(values, _) => write_i128(values.values[row], out),
        ColumnView::String(array) => write_bytes(array.value(row).as_bytes(), out),
        ColumnView::Bytes(array) => write_bytes(array.value(row), out),
        ColumnView::List(ranges, items) => {
            let range = ranges.get(row).unwrap_or_default();
            write_varint(range.len() as u64, out);
            write_bitmap(range.len(), |i| !items.is_null(range.start + i), out);
            for item in range.filter(|item| !items.is_null(*item)) {
                write_value(items, item, out);
            }
        }
        ColumnView::Map(ranges, keys, values) => {
            let range = ranges.get(row).unwrap_or_default();
            write_varint(range.len() as u64, out);
            write_bitmap(range.len(), |i| !values.is_null(range.start + i), out);
            for item in range {
                write_value(keys, item, out);
                if !values.is_null(item) {
                    write_value(values, item, out);
                }
            }
        }
        ColumnView::Struct(_, fields) => write_fields(fields, row, out),
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_i128(value: i128, out: &mut Vec<u8>) {
    let bytes = value.to_le_bytes();
    let sign = if value < 0 { 0xFF } else { 0 };
    let mut len = bytes.len();
    while len > 1 && bytes[len - 1] == sign && (bytes[len - 2] ^ sign) & 0x80 == 0 {
        len -= 1;
    }
    out.push(len as u8);
    out.extend_from_slice(&bytes[..len]);
}

fn read_fields(cursor: &mut Cursor<'_>, fields: &mut [ColumnBuilder]) -> Result<()> {
    let bitmap = cursor.bytes(fields.len().div_ceil(8))?;
    for (i, field) in fields.iter_mut().enumerate() {
        if bit(bitmap, i) {
            read_value(cursor, field)?;
        } else {
            field.push_null();
        }
    }
    Ok(())
}

fn bit(bitmap: &[u8], i: usize) -> bool {
    bitmap[i / 8] >> (i % 8) & 1 == 1
}

fn read_value(cursor: &mut Cursor<'_>, builder: &mut ColumnBuilder) -> Result<()> {
    match &mut builder.data {
        Data::Boolean(bits) => match cursor.byte()? {
            bit @ 0..=1 => bits.append(bit == 1),
            other => return Err(corrupt(format_args!("boolean {other}"))),
        },
        Data::Int32(values) => {
            let value = unzigzag(read_varint(cursor)?);
            let value = i32::try_from(value);
            values.push(value.map_err(|_| corrupt(format_args!("a 32-bit number too large")))?);
        }
        Data::Int64(values) => values.push(unzigzag(read_varint(cursor)?)),
        Data::Double(values) => values.push(f64::from_le_bytes(cursor.array()?)),
        Data::Decimal(values) => values.push(read_i128(cursor)?),
        Data::String(bytes) | Data::Bytes(bytes) => bytes.push(read_bytes(cursor)?),
        Data::List(ends, items) => {
            let (len, present) = read_list(cursor)?;
            for i in 0..len {
                if bit(present, i) {
                    read_value(cursor, items)?;
                } else {
                    items.push_null();
                }
            }
            ends.push(items.len() as i32);
        }
        Data::Map(ends, keys, values) => {
            let (len, present) = read_list(cursor)?;
            for i in 0..len {
                read_value(cursor, keys)?;
                if bit(present, i) {
                    read_value(cursor, values)?;
                } else {
                    values.push_null();
                }
            }
            ends.push(keys.len() as i32);
        }
        Data::Struct(fields) => read_fields(cursor, fields)?,
    }
    builder.push_valid();
    Ok(())
}

/// Count and bitmap; the bitmap's presence bounds the count by the entry's size.
fn read_list<'a>(cursor: &mut Cursor<'a>) -> Result<(usize, &'a [u8])> {
    let len = usize::try_from(read_varint(cursor)?).map_err(|_| truncated())?;
    Ok((len, cursor.bytes(len.div_ceil(8))?))
}

fn read_bytes<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8]> {
    let len = usize::try_from(read_varint(cursor)?).map_err(|_| truncated())?;
    cursor.bytes(len)
}

fn read_varint(cursor: &mut Cursor<'_>) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = cursor.byte()?;
        let part = u64::from(byte & 0x7F);
        if shift == 63 && part > 1 {
            break;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(corrupt(format_args!("a number of more than 64 bits")))
}

fn read_i128(cursor: &mut Cursor<'_>) -> Result<i128> {
    let len = usize::from(cursor.byte()?);
    if !(1..=16).contains(&len) {
        return Err(corrupt(format_args!("a decimal of {len} bytes")));
    }
    let bytes = cursor.bytes(len)?;
    let sign = if bytes[len - 1] & 0x80 == 0 { 0 } else { 0xFF };
    let mut whole = [sign; 16];
    whole[..len].copy_from_slice(bytes);
    Ok(i128::from_le_bytes(whole))
}

#[cfg(test)]
mod tests;
