//! From a function on one cell to a [`StreamAgg`] on vectors of slots.

use arrow::array::ArrayRef;

use super::bytes::{Reader, corrupt};
use super::{LeftOut, Rows, StreamAgg};
use crate::error::{EngineError, Result};

/// What an aggregate does to the state of one slot. Compiled into tight loops by [`Slotted`].
pub(super) trait Kernel: Send {
    /// State of one slot; the default is the empty group.
    type Cell: Default + Send;
    /// Arguments of a batch, downcast once.
    type Input;
    /// Values being collected into a column.
    type Out;
    /// Tells the saved form of this function and version from all others.
    const FORMAT: u8;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input>;

    fn add(&self, cell: &mut Self::Cell, input: &Self::Input, row: usize, seq: i64) -> Result<()>;

    /// Why the cell cannot take a row in, if it cannot.
    #[inline]
    fn refuses(&self, cell: &Self::Cell, input: &Self::Input, row: usize) -> Option<String> {
        let _ = (cell, input, row);
        None
    }

    /// Why two cells cannot be merged, if they cannot.
    fn refuses_merge(&self, into: &Self::Cell, from: &Self::Cell) -> Option<String> {
        let _ = (into, from);
        None
    }

    /// Takes a row back. Only called when [`super::supports_undo`] says so.
    fn undo(&self, cell: &mut Self::Cell, input: &Self::Input, row: usize) -> Result<()> {
        let _ = (cell, input, row);
        Err(EngineError::Bug("an aggregate without undo was given a table".into()))
    }

    fn merge(&self, into: &mut Self::Cell, from: Self::Cell) -> Result<()>;

    fn out(&self, rows: usize) -> Self::Out;

    fn emit(&self, cell: &Self::Cell, out: &mut Self::Out);

    fn finish(&self, out: Self::Out) -> Result<ArrayRef>;

    fn save(&self, cell: &Self::Cell, out: &mut Vec<u8>);

    fn load(&self, from: &mut Reader<'_>) -> Result<Self::Cell>;

    /// Bytes that the cell holds outside of itself.
    fn heap_bytes(&self, cell: &Self::Cell) -> usize {
        let _ = cell;
        0
    }
}

/// A kernel and its cells, one per slot.
pub(super) struct Slotted<K: Kernel> {
    kernel: K,
    cells: Vec<K::Cell>,
    /// Sum of what the cells hold outside of themselves.
    heap_bytes: usize,
    left_out: Vec<LeftOut>,
}

impl<K: Kernel> Slotted<K> {
    pub fn new(kernel: K) -> Self {
        Slotted { kernel, cells: Vec::new(), heap_bytes: 0, left_out: Vec::new() }
    }

    /// Applies rows and calls `after` with the cell after each.
    #[inline]
    fn apply(&mut self, rows: &Rows<'_>, mut after: impl FnMut(&K, &K::Cell)) -> Result<()> {
        let input = self.kernel.bind(rows.args)?;
        for (row, slot) in rows.slots.iter().enumerate() {
            let cell = &mut self.cells[*slot as usize];
            if rows.skips_overflow
                && let Some(reason) = self.kernel.refuses(cell, &input, row)
            {
                self.left_out.push(LeftOut { row, reason });
                after(&self.kernel, cell);
                continue;
            }
            let before = self.kernel.heap_bytes(cell);
            if rows.undo.is_some_and(|undo| undo.value(row)) {
                self.kernel.undo(cell, &input, row)?;
            } else {
                self.kernel.add(cell, &input, row, rows.first_seq + row as i64)?;
            }
            self.heap_bytes = self.heap_bytes + self.kernel.heap_bytes(cell) - before;
            after(&self.kernel, cell);
        }
        Ok(())
    }
}

impl<K: Kernel> StreamAgg for Slotted<K> {
    fn grow(&mut self, slots: usize) {
        if slots > self.cells.len() {
            self.cells.resize_with(slots, K::Cell::default);
        }
    }

    fn update(&mut self, rows: &Rows<'_>) -> Result<()> {
        self.apply(rows, |_, _| {})
    }

    fn update_each(&mut self, rows: &Rows<'_>) -> Result<ArrayRef> {
        let mut out = self.kernel.out(rows.slots.len());
        self.apply(rows, |kernel, cell| kernel.emit(cell, &mut out))?;
        self.kernel.finish(out)
    }

    fn left_out(&mut self) -> Vec<LeftOut> {
        std::mem::take(&mut self.left_out)
    }

    fn merge(&mut self, into: u32, from: u32, skips_overflow: bool) -> Result<()> {
        let from = std::mem::take(&mut self.cells[from as usize]);
        let into = &mut self.cells[into as usize];
        let before = self.kernel.heap_bytes(into) + self.kernel.heap_bytes(&from);
        if skips_overflow && let Some(reason) = self.kernel.refuses_merge(into, &from) {
            self.heap_bytes -= self.kernel.heap_bytes(&from);
            self.left_out.push(LeftOut { row: 0, reason });
            return Ok(());
        }
        self.kernel.merge(into, from)?;
        self.heap_bytes = self.heap_bytes + self.kernel.heap_bytes(into) - before;
        Ok(())
    }

    fn value(&self, slots: &[u32]) -> Result<ArrayRef> {
        let mut out = self.kernel.out(slots.len());
        for slot in slots {
            self.kernel.emit(&self.cells[*slot as usize], &mut out);
        }
        self.kernel.finish(out)
    }

    fn save(&self, slot: u32, out: &mut Vec<u8>) {
        out.push(K::FORMAT);
        self.kernel.save(&self.cells[slot as usize], out);
    }

    fn load(&mut self, slot: u32, from: &mut Reader<'_>) -> Result<()> {
        let format = from.u8()?;
        if format != K::FORMAT {
            return Err(corrupt(&format!("format {format}, not {}", K::FORMAT)));
        }
        let cell = &mut self.cells[slot as usize];
        let before = self.kernel.heap_bytes(cell);
        *cell = self.kernel.load(from)?;
        self.heap_bytes = self.heap_bytes + self.kernel.heap_bytes(cell) - before;
        Ok(())
    }

    fn retain(&mut self, keep: &[u32]) {
        let mut kept = Vec::with_capacity(keep.len());
        for slot in keep {
            kept.push(std::mem::take(&mut self.cells[*slot as usize]));
        }
        self.heap_bytes = kept.iter().map(|cell| self.kernel.heap_bytes(cell)).sum();
        self.cells = kept;
    }

    fn memory_bytes(&self) -> usize {
        self.cells.capacity() * size_of::<K::Cell>() + self.heap_bytes
    }
}
