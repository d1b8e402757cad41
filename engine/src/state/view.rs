//! Reading committed state of a lane, for pull queries.

use crate::error::Result;
use crate::state::disk::{PREFIX_LEN, end_of_store, full_key};
use crate::state::lane::{LaneState, bounds};
use crate::state::{Shape, StoreId};

/// Committed state of a lane, read-only: what pull queries see.
pub struct CommittedView<'a>(&'a LaneState);

impl<'a> CommittedView<'a> {
    pub(super) fn new(state: &'a LaneState) -> Self {
        CommittedView(state)
    }

    pub fn get_many(
        &self,
        store: StoreId,
        shape: Shape,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.0.read_many(store, shape, keys, false)
    }

    pub fn scan(
        &self,
        store: StoreId,
        shape: Shape,
        range: (&[u8], &[u8]),
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        self.0.merge_scan(store, shape, range, false, visit)
    }

    /// The first key in `from <= key < to` that is or was there: a hint where to look, at the cost
    /// of one step in each layer.
    pub fn seek(
        &self,
        store: StoreId,
        shape: Shape,
        (from, to): (&[u8], &[u8]),
    ) -> Result<Option<Vec<u8>>> {
        let LaneState { committed, disk, .. } = self.0;
        let (mut first, mut floor): (Option<Vec<u8>>, &[u8]) = (None, &[]);
        if let Some(layer) = committed.stores.get(&store) {
            let mut changes = layer.changes.range::<[u8], _>(bounds(from, to));
            first = changes.next().map(|change| change.key().to_vec());
            floor = &layer.expired;
        }
        if self.0.is_dropped(store) {
            return Ok(first);
        }
        let start = full_key(store, from.max(floor));
        let end = if to.is_empty() { end_of_store(store) } else { full_key(store, to) };
        if start < end {
            disk.scan(shape, &start, &end, &mut |key, _| {
                let key = &key[PREFIX_LEN..];
                if first.as_deref().is_none_or(|first| key < first) {
                    first = Some(key.to_vec());
                }
                false
            })?;
        }
        Ok(first)
    }
}
