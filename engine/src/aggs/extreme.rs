//! MIN and MAX.

use std::cmp::Ordering;

use arrow::array::ArrayRef;

use super::bytes::Reader;
use super::class::Class;
use super::kernel::Kernel;
use super::number::first;
use crate::error::Result;

/// The least or greatest value that is not NULL; NULL when there is none.
pub(super) struct Extreme<C> {
    class: C,
    /// How a value compares with those it replaces.
    wins: Ordering,
}

impl<C: Class> Extreme<C> {
    pub fn min(class: C) -> Self {
        Extreme { class, wins: Ordering::Less }
    }

    pub fn max(class: C) -> Self {
        Extreme { class, wins: Ordering::Greater }
    }
}

impl<C: Class> Kernel for Extreme<C> {
    type Cell = Option<C::Item>;
    type Input = C::Input;
    type Out = C::Out;
    const FORMAT: u8 = 0x20 | C::CODE;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.class.bind(first(args)?)
    }
    #[inline]
    fn add(&self, cell: &mut Self::Cell, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if C::is_null(input, row) {
            return Ok(());
        }
        if cell.as_ref().is_none_or(|item| C::order(input, row, item) == self.wins) {
            *cell = Some(C::item(input, row));
        }
        Ok(())
    }
    fn merge(&self, into: &mut Self::Cell, from: Self::Cell) -> Result<()> {
        let Some(item) = from else { return Ok(()) };
        if into.as_ref().is_none_or(|old| C::compare(&item, old) == self.wins) {
            *into = Some(item);
        }
        Ok(())
    }
    fn out(&self, rows: usize) -> C::Out {
        self.class.out(rows)
    }
    #[inline]
    fn emit(&self, cell: &Self::Cell, out: &mut C::Out) {
        C::push(out, cell.as_ref());
    }
    fn finish(&self, out: C::Out) -> Result<ArrayRef> {
        self.class.finish(out)
    }
    fn save(&self, cell: &Self::Cell, out: &mut Vec<u8>) {
        out.push(u8::from(cell.is_some()));
        if let Some(item) = cell {
            C::save(item, out);
        }
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Self::Cell> {
        if from.u8()? == 0 {
            return Ok(None);
        }
        Ok(Some(C::load(from)?))
    }
    fn heap_bytes(&self, cell: &Self::Cell) -> usize {
        cell.as_ref().map_or(0, C::heap_bytes)
    }
}
