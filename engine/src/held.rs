//! Records that wait for a schema: their partition stands still, everything else goes on.

use std::collections::VecDeque;
use std::ops::Range;

use crate::ids::Offset;
use crate::log::RawBatch;

/// Batches of one partition, in order, that are not decoded yet.
#[derive(Default)]
pub struct Held {
    batches: VecDeque<RawBatch>,
    /// Records of the first batch that are decoded already.
    taken: usize,
}

/// A part of a batch that can be decoded.
pub struct Part {
    pub range: Range<usize>,
    /// Where the partition is read on behind it.
    pub next: Offset,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn push(&mut self, raw: RawBatch) {
        self.batches.push_back(raw);
    }

    /// Forgets all: it will be fetched again.
    pub fn clear(&mut self) {
        self.batches.clear();
        self.taken = 0;
    }

    /// The next part whose schemas are here, as `ready` says: given a batch and a range of it, the
    /// end of what can be decoded.
    pub fn next(
        &self,
        ready: impl FnOnce(&RawBatch, Range<usize>) -> usize,
    ) -> Option<(&RawBatch, Part)> {
        let raw = self.batches.front()?;
        let len = raw.records.len();
        let end = ready(raw, self.taken..len).clamp(self.taken, len);
        if end == self.taken && end < len {
            return None;
        }
        let next = raw.records.get(end).map_or(raw.next, |record| record.offset);
        Some((raw, Part { range: self.taken..end, next }))
    }

    /// Notes that a part was decoded.
    pub fn take(&mut self, part: &Part) {
        let done = self.batches.front().is_none_or(|raw| part.range.end >= raw.records.len());
        if done {
            self.batches.pop_front();
        }
        self.taken = if done { 0 } else { part.range.end };
    }
}
