//! ATTR: the one value that a group has.

use arrow::array::ArrayRef;
use millrace_sql::types::SqlType;

use super::bytes::{Reader, put_bytes, put_i64, put_u64};
use super::class::{Column, Encoded};
use super::kernel::Kernel;
use super::number::first;
use crate::codec::key::KeyBuffer;
use crate::error::Result;

/// The value that all rows share, NULL counting as a value; NULL when there are several.
pub(super) struct Attr(Encoded);

impl Attr {
    pub fn new(ty: &SqlType) -> Self {
        Attr(Encoded::new(ty))
    }
}

/// Distinct values and how often each is there: one, where ATTR is used as it is meant.
type Values = Vec<(Box<[u8]>, i64)>;

fn add(cell: &mut Values, value: &[u8], count: i64) {
    match cell.iter_mut().find(|(known, _)| **known == *value) {
        Some((_, known)) => *known = (*known + count).max(0),
        None if count > 0 => cell.push((value.into(), count)),
        None => {}
    }
}

impl Kernel for Attr {
    type Cell = Values;
    type Input = Column<KeyBuffer>;
    type Out = KeyBuffer;
    const FORMAT: u8 = 0x70;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.0.encode(first(args)?)
    }
    fn add(&self, cell: &mut Values, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        add(cell, input.values.get(row), 1);
        Ok(())
    }
    fn undo(&self, cell: &mut Values, input: &Self::Input, row: usize) -> Result<()> {
        add(cell, input.values.get(row), -1);
        cell.retain(|(_, count)| *count > 0);
        Ok(())
    }
    fn merge(&self, into: &mut Values, from: Values) -> Result<()> {
        from.iter().for_each(|(value, count)| add(into, value, *count));
        Ok(())
    }
    fn out(&self, _: usize) -> KeyBuffer {
        KeyBuffer::new()
    }
    fn emit(&self, cell: &Values, out: &mut KeyBuffer) {
        out.push(match cell.as_slice() {
            [(value, _)] => value,
            _ => Encoded::null(),
        });
    }
    fn finish(&self, out: KeyBuffer) -> Result<ArrayRef> {
        self.0.decode(&out.slices())
    }
    fn save(&self, cell: &Values, out: &mut Vec<u8>) {
        put_u64(cell.len() as u64, out);
        for (value, count) in cell {
            put_bytes(value, out);
            put_i64(*count, out);
        }
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Values> {
        let count = from.count()?;
        (0..count).map(|_| Ok((from.bytes()?.into(), from.i64()?))).collect()
    }
    fn heap_bytes(&self, cell: &Values) -> usize {
        let values: usize = cell.iter().map(|(value, _)| value.len()).sum();
        cell.capacity() * size_of::<(Box<[u8]>, i64)>() + values
    }
}
