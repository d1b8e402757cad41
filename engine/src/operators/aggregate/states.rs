//! The state of slots: each aggregate's and the latest event time; and its form in the store.

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;

use crate::aggs::bytes::{Reader, corrupt, put_i64};
use crate::aggs::{LeftOut, Rows, StreamAgg};
use crate::error::Result;

/// Version of a store value: this byte, the group's latest event time, each aggregate's state.
const VALUE_VERSION: u8 = 1;

/// All calls' aggregates over the same slots.
pub(super) struct States {
    aggs: Vec<Box<dyn StreamAgg>>,
    /// Latest event time of the rows that went into a slot.
    times: Vec<i64>,
}

/// What all calls share of a set of rows.
#[derive(Clone, Copy)]
pub(super) struct RowsOf<'a> {
    pub undo: Option<&'a BooleanBuffer>,
    pub first_seq: i64,
    pub skips_overflow: bool,
}

impl<'a> RowsOf<'a> {
    fn with(self, slots: &'a [u32], args: &'a [ArrayRef]) -> Rows<'a> {
        let RowsOf { undo, first_seq, skips_overflow } = self;
        Rows { slots, args, undo, first_seq, skips_overflow }
    }
}

impl States {
    pub fn new(aggs: Vec<Box<dyn StreamAgg>>) -> Self {
        States { aggs, times: Vec::new() }
    }

    /// Slots there are.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Makes empty slots up to `slots`.
    pub fn grow(&mut self, slots: usize) {
        if slots > self.times.len() {
            self.times.resize(slots, i64::MIN);
            self.aggs.iter_mut().for_each(|agg| agg.grow(slots));
        }
    }

    /// Applies rows, except for their times. `args`: arrays per call.
    pub fn update(&mut self, slots: &[u32], args: &[Vec<ArrayRef>], rows: RowsOf) -> Result<()> {
        for (agg, args) in self.aggs.iter_mut().zip(args) {
            agg.update(&rows.with(slots, args))?;
        }
        Ok(())
    }

    /// Applies rows, except for their times; gives each call's values after each row.
    pub fn update_each(
        &mut self,
        slots: &[u32],
        args: &[Vec<ArrayRef>],
        rows: RowsOf,
    ) -> Result<Vec<ArrayRef>> {
        let calls = self.aggs.iter_mut().zip(args);
        calls.map(|(agg, args)| agg.update_each(&rows.with(slots, args))).collect()
    }

    /// Adds slot `from` to `into` and empties it.
    pub fn merge(&mut self, into: u32, from: u32, skips_overflow: bool) -> Result<()> {
        self.note_time(into, self.time(from));
        self.aggs.iter_mut().try_for_each(|agg| agg.merge(into, from, skips_overflow))
    }

    /// What was left out of aggregates since this was last asked.
    pub fn left_out(&mut self) -> impl Iterator<Item = LeftOut> {
        self.aggs.iter_mut().flat_map(|agg| agg.left_out())
    }

    /// The present values of slots, per call.
    pub fn values(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.aggs.iter().map(|agg| agg.value(slots)).collect()
    }

    /// Latest event time of a slot.
    pub fn time(&self, slot: u32) -> i64 {
        self.times[slot as usize]
    }

    /// Notes a row's event time; gives the latest one.
    #[inline]
    pub fn note_time(&mut self, slot: u32, time_ms: i64) -> i64 {
        let time = &mut self.times[slot as usize];
        *time = (*time).max(time_ms);
        *time
    }

    /// Replaces a slot's state by a store value.
    ///
    /// # Errors
    /// `State` when the bytes are no such value.
    pub fn load(&mut self, slot: u32, value: &[u8]) -> Result<()> {
        let mut reader = Reader::new(value);
        let version = reader.u8()?;
        if version != VALUE_VERSION {
            return Err(corrupt(&format!("version {version}, not {VALUE_VERSION}")));
        }
        self.times[slot as usize] = reader.i64()?;
        for agg in &mut self.aggs {
            agg.load(slot, &mut reader)?;
        }
        reader.finish()
    }

    /// Replaces `out` by the slot's store value.
    pub fn save(&self, slot: u32, out: &mut Vec<u8>) {
        out.clear();
        out.push(VALUE_VERSION);
        put_i64(self.time(slot), out);
        self.aggs.iter().for_each(|agg| agg.save(slot, out));
    }

    /// Keeps the slots in `keep` (ascending) and numbers them from 0.
    pub fn retain(&mut self, keep: &[u32]) {
        self.aggs.iter_mut().for_each(|agg| agg.retain(keep));
        self.times = keep.iter().map(|slot| self.times[*slot as usize]).collect();
    }

    pub fn memory_bytes(&self) -> usize {
        let aggs: usize = self.aggs.iter().map(|agg| agg.memory_bytes()).sum();
        aggs + self.times.capacity() * size_of::<i64>()
    }
}
