//! SUM_LIST: the sum of the items of lists, as a sum of sums.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::DataType;

use super::bytes::Reader;
use super::class::{doubles, ints};
use super::kernel::Kernel;
use super::number::first;
use crate::error::{EngineError, Result};

/// Adds what the items of each list sum up to with `0`, a SUM.
pub(super) struct SumList<K>(pub K);

/// The sum per list; NULL lists stay so, and NULL items count nothing.
fn sums(array: &ArrayRef) -> Result<ArrayRef> {
    let list = array.as_list_opt::<i32>();
    let list = list.ok_or_else(|| EngineError::Bug("SUM_LIST was given no ARRAY".into()))?;
    let range = |row: usize| {
        list.is_valid(row)
            .then(|| list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize)
    };
    if *list.values().data_type() == DataType::Float64 {
        let items = doubles(list.values())?;
        let item = |at: usize| if items.is_null(at) { 0.0 } else { items.values[at] };
        let sum = |row| range(row).map(|range| range.map(item).fold(0.0, |sum, x| sum + x));
        return Ok(Arc::new((0..list.len()).map(sum).collect::<Float64Array>()));
    }
    let items = ints(list.values())?;
    let item = |at: usize| if items.is_null(at) { 0 } else { items.values[at] };
    let sum = |row| range(row).map(|range| range.map(item).fold(0, i64::wrapping_add));
    Ok(Arc::new((0..list.len()).map(sum).collect::<Int64Array>()))
}

impl<K: Kernel> Kernel for SumList<K> {
    type Cell = K::Cell;
    type Input = K::Input;
    type Out = K::Out;
    const FORMAT: u8 = K::FORMAT;

    fn bind(&self, args: &[ArrayRef]) -> Result<K::Input> {
        self.0.bind(&[sums(first(args)?)?])
    }
    fn add(&self, cell: &mut K::Cell, input: &K::Input, row: usize, seq: i64) -> Result<()> {
        self.0.add(cell, input, row, seq)
    }
    fn undo(&self, cell: &mut K::Cell, input: &K::Input, row: usize) -> Result<()> {
        self.0.undo(cell, input, row)
    }
    fn merge(&self, into: &mut K::Cell, from: K::Cell) -> Result<()> {
        self.0.merge(into, from)
    }
    fn out(&self, rows: usize) -> K::Out {
        self.0.out(rows)
    }
    fn emit(&self, cell: &K::Cell, out: &mut K::Out) {
        self.0.emit(cell, out);
    }
    fn finish(&self, out: K::Out) -> Result<ArrayRef> {
        self.0.finish(out)
    }
    fn save(&self, cell: &K::Cell, out: &mut Vec<u8>) {
        self.0.save(cell, out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<K::Cell> {
        self.0.load(from)
    }
}
