//! LATEST_BY_OFFSET and EARLIEST_BY_OFFSET: one value, or the n last or first.

use std::collections::VecDeque;

use arrow::array::ArrayRef;
use millrace_sql::types::SqlType;

use super::bytes::{Reader, put_bytes, put_i64, put_u64};
use super::class::{Class, Column, Encoded};
use super::kernel::Kernel;
use super::list::ListOut;
use super::number::first;
use crate::codec::key::KeyBuffer;
use crate::error::Result;

/// Which end of the sequence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Earliest,
    Latest,
}

/// The first or last value by processing order.
pub(super) struct OneByOffset<C> {
    pub class: C,
    pub end: End,
    pub ignore_nulls: bool,
}

/// A value and the number of the row that brought it.
pub(super) struct Seen<I> {
    seq: i64,
    value: Option<I>,
}

impl<C: Class> Kernel for OneByOffset<C> {
    type Cell = Option<Seen<C::Item>>;
    type Input = C::Input;
    type Out = C::Out;
    const FORMAT: u8 = 0x30 | C::CODE;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.class.bind(first(args)?)
    }
    #[inline]
    fn add(&self, cell: &mut Self::Cell, input: &Self::Input, row: usize, seq: i64) -> Result<()> {
        let null = C::is_null(input, row);
        if (null && self.ignore_nulls) || (self.end == End::Earliest && cell.is_some()) {
            return Ok(());
        }
        let value = if null { None } else { Some(C::item(input, row)) };
        *cell = Some(Seen { seq, value });
        Ok(())
    }
    fn merge(&self, into: &mut Self::Cell, from: Self::Cell) -> Result<()> {
        let Some(seen) = from else { return Ok(()) };
        let wins = into.as_ref().is_none_or(|old| match self.end {
            End::Earliest => seen.seq < old.seq,
            End::Latest => seen.seq > old.seq,
        });
        if wins {
            *into = Some(seen);
        }
        Ok(())
    }
    fn out(&self, rows: usize) -> C::Out {
        self.class.out(rows)
    }
    #[inline]
    fn emit(&self, cell: &Self::Cell, out: &mut C::Out) {
        C::push(out, cell.as_ref().and_then(|seen| seen.value.as_ref()));
    }
    fn finish(&self, out: C::Out) -> Result<ArrayRef> {
        self.class.finish(out)
    }
    fn save(&self, cell: &Self::Cell, out: &mut Vec<u8>) {
        let Some(seen) = cell else { return out.push(0) };
        out.push(if seen.value.is_some() { 2 } else { 1 });
        put_i64(seen.seq, out);
        if let Some(item) = &seen.value {
            C::save(item, out);
        }
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Self::Cell> {
        let state = from.u8()?;
        if state == 0 {
            return Ok(None);
        }
        let seq = from.i64()?;
        let value = if state == 2 { Some(C::load(from)?) } else { None };
        Ok(Some(Seen { seq, value }))
    }
    fn heap_bytes(&self, cell: &Self::Cell) -> usize {
        cell.as_ref().and_then(|seen| seen.value.as_ref()).map_or(0, C::heap_bytes)
    }
}

/// The first or last n values by processing order, as ARRAY, oldest first.
pub(super) struct ManyByOffset {
    codec: Encoded,
    end: End,
    n: usize,
    ignore_nulls: bool,
}

impl ManyByOffset {
    pub fn new(ty: &SqlType, end: End, n: usize, ignore_nulls: bool) -> Self {
        ManyByOffset { codec: Encoded::new(ty), end, n, ignore_nulls }
    }
}

impl Kernel for ManyByOffset {
    /// Row number and encoded value, oldest first.
    type Cell = VecDeque<(i64, Box<[u8]>)>;
    type Input = Column<KeyBuffer>;
    type Out = ListOut;
    const FORMAT: u8 = 0x38;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.codec.encode(first(args)?)
    }
    fn add(&self, cell: &mut Self::Cell, input: &Self::Input, row: usize, seq: i64) -> Result<()> {
        if self.ignore_nulls && input.is_null(row) {
            return Ok(());
        }
        if cell.len() >= self.n {
            if self.end == End::Earliest {
                return Ok(());
            }
            cell.pop_front();
        }
        cell.push_back((seq, input.values.get(row).into()));
        Ok(())
    }
    /// Both functions keep the earliest n of the union: ksqlDB's quirk.
    fn merge(&self, into: &mut Self::Cell, from: Self::Cell) -> Result<()> {
        into.extend(from);
        into.make_contiguous().sort_by_key(|(seq, _)| *seq);
        into.truncate(self.n);
        Ok(())
    }
    fn out(&self, rows: usize) -> ListOut {
        ListOut::new(rows)
    }
    fn emit(&self, cell: &Self::Cell, out: &mut ListOut) {
        for (_, value) in cell {
            out.item(value);
        }
        out.end_row();
    }
    fn finish(&self, out: ListOut) -> Result<ArrayRef> {
        out.finish(|items| self.codec.decode(items))
    }
    fn save(&self, cell: &Self::Cell, out: &mut Vec<u8>) {
        put_u64(cell.len() as u64, out);
        for (seq, value) in cell {
            put_i64(*seq, out);
            put_bytes(value, out);
        }
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Self::Cell> {
        let count = from.count()?;
        (0..count).map(|_| Ok((from.i64()?, from.bytes()?.into()))).collect()
    }
    fn heap_bytes(&self, cell: &Self::Cell) -> usize {
        let values: usize = cell.iter().map(|(_, value)| value.len()).sum();
        cell.capacity() * size_of::<(i64, Box<[u8]>)>() + values
    }
}
