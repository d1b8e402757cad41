//! The values that rows replace, put together from where they are.

use arrow::array::ArrayRef;
use arrow::compute;

use super::emit::{self, OldValues};
use crate::error::Result;

/// The value before each row, from the values before the batch and those after each row.
pub(super) fn join_old(before: (OldValues, Vec<u32>), after: &[ArrayRef]) -> Result<OldValues> {
    let (first, index) = before;
    let both = first
        .values
        .iter()
        .zip(after)
        .map(|(first, after)| compute::concat(&[first.as_ref(), after.as_ref()]));
    let both = both.collect::<std::result::Result<Vec<_>, _>>()?;
    let live = index.iter().map(|i| {
        let i = *i as usize;
        i >= first.live.len() || first.live.value(i)
    });
    Ok(OldValues { values: emit::take(&both, &index)?, live: live.collect() })
}

/// Old values of all batches of an interval, handed out in pieces.
pub(super) struct OldCursor {
    all: OldValues,
    next: usize,
}

impl OldCursor {
    pub fn new(parts: Vec<OldValues>) -> Result<Self> {
        let calls = parts.first().map_or(0, |part| part.values.len());
        let values = (0..calls).map(|call| {
            let arrays: Vec<_> = parts.iter().map(|part| part.values[call].as_ref()).collect();
            compute::concat(&arrays)
        });
        let values = values.collect::<std::result::Result<Vec<_>, _>>()?;
        let live = parts.iter().flat_map(|part| part.live.iter()).collect();
        Ok(OldCursor { all: OldValues { values, live }, next: 0 })
    }

    pub fn next(&mut self, len: usize) -> OldValues {
        let from = self.next;
        self.next += len;
        OldValues {
            values: self.all.values.iter().map(|array| array.slice(from, len)).collect(),
            live: self.all.live.slice(from, len),
        }
    }
}
