//! Aggregate functions over slots: a slot is the running state of one group (and window).
//!
//! The interface works on whole columns: row `i` of the arguments belongs to slot `slots[i]`. What
//! is saved is our own encoding, told apart by one byte of format per function.

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;
use millrace_sql::plan::AggregateCall;

use crate::error::Result;

mod attr;
pub mod bytes;
mod class;
mod distinct;
mod extreme;
mod fixtures;
mod histogram;
mod kernel;
mod list;
mod make;
mod moments;
mod number;
mod of_table;
mod offset;
mod sum_list;
mod topk;

pub use make::{make, make_for_table};

/// Rows to be applied, in order.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Slot of each row.
    pub slots: &'a [u32],
    /// One array per argument, as long as `slots`.
    pub args: &'a [ArrayRef],
    /// Rows to take back instead of adding: old values of a table.
    pub undo: Option<&'a BooleanBuffer>,
    /// Number of the first row in the life of the operator: who came first, also across restarts.
    pub first_seq: i64,
    /// Values that a slot cannot take in are left out.
    pub skips_overflow: bool,
}

/// A value that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Position among the rows; 0 for a merge.
    pub row: usize,
    pub reason: String,
}

/// One aggregate call of a query: the state of all slots.
pub trait StreamAgg: Send {
    /// Makes room for slots `0..slots`; new ones are empty.
    fn grow(&mut self, slots: usize);

    /// Applies rows.
    ///
    /// # Errors
    /// `Config` when a value no longer fits its type (SUM of DECIMAL), as in ksqlDB; not where such
    /// are left out ([`StreamAgg::left_out`]).
    fn update(&mut self, rows: &Rows<'_>) -> Result<()>;

    /// Applies rows and gives the value of each row's slot right after that row.
    fn update_each(&mut self, rows: &Rows<'_>) -> Result<ArrayRef>;

    /// What was left out since this was last asked.
    fn left_out(&mut self) -> Vec<LeftOut>;

    /// Adds what slot `from` holds, which came later or from a later session, and empties it.
    ///
    /// # Errors
    /// As for [`StreamAgg::update`].
    fn merge(&mut self, into: u32, from: u32, skips_overflow: bool) -> Result<()>;

    /// The present values of `slots`.
    fn value(&self, slots: &[u32]) -> Result<ArrayRef>;

    /// Appends a slot's state.
    fn save(&self, slot: u32, out: &mut Vec<u8>);

    /// Replaces a slot's state by what `save` wrote.
    ///
    /// # Errors
    /// `State` when the bytes are no such state.
    fn load(&mut self, slot: u32, from: &mut bytes::Reader<'_>) -> Result<()>;

    /// Keeps the slots in `keep` (ascending), which become slots 0, 1, ...; drops the others.
    fn retain(&mut self, keep: &[u32]);

    /// Bytes held, roughly.
    fn memory_bytes(&self) -> usize;
}

/// Whether values of the call can be taken back, as aggregating a table needs.
pub fn supports_undo(call: &AggregateCall) -> bool {
    matches!(
        call.function.as_str(),
        "ATTR"
            | "AVG"
            | "COLLECT_LIST"
            | "CORRELATION"
            | "COUNT"
            | "HISTOGRAM"
            | "MAX"
            | "MIN"
            | "STDDEV_SAMP"
            | "STDDEV_SAMPLE"
            | "SUM"
            | "SUM_LIST"
            | "TEST_UDAF"
            | "TOPK"
            | "TOPKDISTINCT"
    )
}

#[cfg(test)]
mod tests;
