//! The three layers of a lane's state: changes of the open transaction, over changes that are
//! committed but not yet on disk, over the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::error::Result;
use crate::ids::{Offset, TopicId};
use crate::state::change::Change;
use crate::state::disk::{
    DISK_FORMAT, DiskBatch, DiskChange, DiskMeta, DiskStore, PREFIX_LEN, StoreMeta, end_of_store,
    full_key,
};
use crate::state::history::{History, window_of};
use crate::state::view::CommittedView;
use crate::state::{Shape, StateView, StoreId};

/// Changes of one store partition in one layer.
#[derive(Debug)]
pub(super) struct StoreLayer {
    shape: Shape,
    pub(super) changes: BTreeSet<Change>,
    /// Keys below are gone in the layers underneath (and were, when set, in this one).
    pub(super) expired: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) stores: BTreeMap<StoreId, StoreLayer>,
    bytes: usize,
}

/// One change as the changelog gets it.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRef<'a> {
    pub store: StoreId,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
    pub time_ms: i64,
}

/// State of one lane.
pub struct LaneState {
    open: Layer,
    pub(super) committed: Layer,
    pub(super) disk: Box<dyn DiskStore>,
    meta: DiskMeta,
    /// Stores that were dropped since the last write to disk.
    dropped: Vec<(StoreId, Shape)>,
    /// The disk could not be opened again.
    closed: bool,
}

impl LaneState {
    pub fn new(disk: Box<dyn DiskStore>) -> Result<Self> {
        let meta = disk.meta()?;
        let meta = DiskMeta { format: DISK_FORMAT, ..meta };
        let (open, committed) = (Layer::default(), Layer::default());
        Ok(LaneState { open, committed, disk, meta, dropped: Vec::new(), closed: false })
    }

    /// Gives up everything in memory and opens the disk again; `aside`: moves what it holds aside and
    /// starts from nothing.
    ///
    /// # Errors
    /// It cannot be opened: the state is closed then, to be opened again later.
    pub fn reopen(&mut self, aside: bool) -> Result<()> {
        (self.open, self.committed) = (Layer::default(), Layer::default());
        self.dropped.clear();
        self.meta = DiskMeta { format: DISK_FORMAT, ..DiskMeta::default() };
        self.closed = true;
        self.disk.reopen(aside)?;
        self.meta = DiskMeta { format: DISK_FORMAT, ..self.disk.meta()? };
        self.closed = false;
        Ok(())
    }

    /// True when the disk could not be opened again.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The commit that the state stands at, disk and memory together.
    pub fn commit_number(&self) -> u64 {
        self.meta.commit
    }

    /// Where a store stands in its changelog, if it ever was applied.
    pub fn applied(&self, store: StoreId) -> Option<&StoreMeta> {
        self.meta.stores.get(&store.to_string())
    }

    /// True when no uncommitted change is held (I2).
    pub fn is_clean(&self) -> bool {
        self.open.stores.is_empty()
    }

    pub fn open_bytes(&self) -> usize {
        self.open.bytes
    }

    pub fn committed_bytes(&self) -> usize {
        self.committed.bytes
    }

    /// Uncommitted changes in store and key order: what the changelogs get in this transaction.
    pub fn changes(&self) -> impl Iterator<Item = ChangeRef<'_>> {
        self.open.stores.iter().flat_map(|(store, layer)| {
            layer.changes.iter().map(|change| ChangeRef {
                store: *store,
                key: change.key(),
                value: change.value(),
                time_ms: change.time_ms(),
            })
        })
    }

    /// Drops what was not committed.
    pub fn abort(&mut self) {
        self.open = Layer::default();
    }

    /// The open transaction has committed: its changes are state now. `ends`: per store, everything
    /// of its changelog below the offset is applied.
    pub fn apply(&mut self, commit: u64, ends: &[(StoreId, TopicId, Offset)]) {
        for (store, layer) in std::mem::take(&mut self.open).stores {
            self.note(store, &layer);
            self.committed.merge(store, layer);
        }
        self.meta.commit = commit;
        for (store, changelog, applied) in ends {
            self.advance(*store, *changelog, *applied);
        }
    }

    /// Nobody but this lane has written to the changelogs of these stores, and it has all of them:
    /// they are whole as of now. Stores of queries that do not run here are left out: another node may
    /// have written to theirs while it had the lane.
    pub fn are_whole(&mut self, stores: impl Iterator<Item = StoreId>, now_ms: i64) {
        for store in stores {
            if let Some(meta) = self.meta.stores.get_mut(&store.to_string()) {
                meta.whole_ms = now_ms;
            }
        }
    }

    /// Notes what a transaction wrote to a changelog, before the end of it is known.
    fn note(&mut self, store: StoreId, layer: &StoreLayer) {
        if layer.shape != Shape::WindowFirst {
            return;
        }
        let latest = layer.changes.last().map(|change| window_of(change.key()));
        if let Some(window) = latest {
            let from = self.applied(store).map_or(Offset(0), |meta| meta.applied);
            self.wrote(store, from, window);
        }
        if let Some(meta) = self.meta.stores.get_mut(&store.to_string())
            && let Some(history) = &mut meta.history
            && !layer.expired.is_empty()
        {
            history.expired(&layer.expired);
        }
    }

    /// The changelog of a store has records of windows up to `window` at `from` or later.
    pub fn wrote(&mut self, store: StoreId, from: Offset, window: u64) {
        let meta = self.meta.stores.get_mut(&store.to_string());
        if let Some(history) = meta.and_then(|meta| meta.history.as_mut()) {
            history.wrote(from, window);
        }
    }

    /// Nothing that is live was written to the store's changelog below this offset; `None`: that is
    /// not known.
    pub fn needed_from(&self, store: StoreId) -> Option<Offset> {
        let meta = self.applied(store)?;
        Some(meta.history.as_ref()?.needed_from(meta.applied))
    }

    /// Begins to follow a store that has nothing of its changelog yet, from `start` on.
    pub fn begin(&mut self, store: StoreId, shape: Shape, changelog: TopicId, start: Offset) {
        let history = (shape == Shape::WindowFirst).then(History::default);
        let meta = StoreMeta { changelog, applied: start, whole_ms: 0, history };
        self.meta.stores.insert(store.to_string(), meta);
    }

    /// One record of a changelog, while restoring.
    pub fn replay(&mut self, store: StoreId, shape: Shape, key: &[u8], value: Option<&[u8]>) {
        self.committed.put(store, shape, Change::new(key, value, 0));
    }

    /// Everything of the store's changelog below `applied` is in the state.
    pub fn advance(&mut self, store: StoreId, changelog: TopicId, applied: Offset) {
        let meta = self.meta.stores.entry(store.to_string());
        let new = StoreMeta { changelog, applied, whole_ms: 0, history: None };
        let meta = meta.or_insert(new);
        (meta.changelog, meta.applied) = (changelog, applied);
    }

    /// Forgets a store: its query is gone, or it must be rebuilt from its changelog.
    pub fn drop_store(&mut self, store: StoreId, shape: Shape) {
        self.open.stores.remove(&store);
        self.committed.stores.remove(&store);
        self.meta.stores.remove(&store.to_string());
        self.dropped.push((store, shape));
    }

    /// Writes all committed changes to disk as one sorted batch (R25).
    pub fn spill(&mut self) -> Result<()> {
        let mut deletes = Vec::new();
        for (store, shape) in &self.dropped {
            deletes.push((*shape, full_key(*store, &[]), end_of_store(*store)));
        }
        for (store, layer) in &self.committed.stores {
            if !layer.expired.is_empty() {
                let to = full_key(*store, &layer.expired);
                deletes.push((layer.shape, full_key(*store, &[]), to));
            }
        }
        let changes = self.committed.stores.iter().flat_map(|(store, layer)| {
            layer.changes.iter().map(|change| DiskChange {
                shape: layer.shape,
                store: *store,
                key: change.key(),
                value: change.value(),
            })
        });
        let (bytes, meta) = (self.committed.bytes, &self.meta);
        self.disk.write(DiskBatch { changes: Box::new(changes), bytes, deletes, meta })?;
        self.dropped.clear();
        self.committed = Layer::default();
        Ok(())
    }

    /// [`LaneState::spill`], and makes it survive a crash.
    pub fn flush(&mut self) -> Result<()> {
        self.spill()?;
        self.disk.flush()
    }

    /// A view of committed state only, for pull queries.
    pub fn committed_view(&self) -> CommittedView<'_> {
        CommittedView::new(self)
    }

    fn read(
        &self,
        store: StoreId,
        shape: Shape,
        key: &[u8],
        open: bool,
    ) -> Result<Option<Vec<u8>>> {
        for layer in self.layers(open) {
            if let Some(found) = layer.find(store, key) {
                return Ok(found.map(<[u8]>::to_vec));
            }
        }
        if self.is_dropped(store) {
            return Ok(None);
        }
        self.disk.get(shape, &full_key(store, key))
    }

    fn layers(&self, open: bool) -> impl Iterator<Item = &Layer> {
        open.then_some(&self.open).into_iter().chain(std::iter::once(&self.committed))
    }

    pub(super) fn is_dropped(&self, store: StoreId) -> bool {
        self.dropped.iter().any(|(gone, _)| *gone == store)
    }

    pub(super) fn read_many(
        &self,
        store: StoreId,
        shape: Shape,
        keys: &[&[u8]],
        open: bool,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let mut values = vec![None; keys.len()];
        let (mut missing, mut at) = (Vec::new(), Vec::new());
        for (i, key) in keys.iter().enumerate() {
            match self.layers(open).find_map(|layer| layer.find(store, key)) {
                Some(found) => values[i] = found.map(<[u8]>::to_vec),
                None => {
                    missing.push(full_key(store, key));
                    at.push(i);
                }
            }
        }
        // A store that never reached the disk need not be asked there.
        if missing.is_empty() || self.is_dropped(store) {
            return Ok(values);
        }
        for (i, value) in at.into_iter().zip(self.disk.get_many(shape, &missing)?) {
            values[i] = value;
        }
        Ok(values)
    }

    /// Merges the layers and the disk in key order.
    pub(super) fn merge_scan(
        &self,
        store: StoreId,
        shape: Shape,
        (from, to): (&[u8], &[u8]),
        open: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let mut over: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        let mut floor: &[u8] = &[];
        for layer in self.layers(open) {
            let Some(layer) = layer.stores.get(&store) else { continue };
            for change in layer.changes.range::<[u8], _>(bounds(from, to)) {
                if change.key() >= floor {
                    over.entry(change.key()).or_insert(change.value());
                }
            }
            floor = floor.max(&layer.expired);
        }
        let mut over = over.into_iter().peekable();
        let mut going = true;
        if !self.is_dropped(store) {
            let start = full_key(store, from.max(floor));
            let end = if to.is_empty() { end_of_store(store) } else { full_key(store, to) };
            if start < end {
                self.disk.scan(shape, &start, &end, &mut |key, value| {
                    let key = &key[PREFIX_LEN..];
                    while let Some((k, v)) = over.next_if(|(k, _)| *k < key) {
                        going = v.is_none_or(|v| visit(k, v));
                        if !going {
                            return false;
                        }
                    }
                    going = match over.next_if(|(k, _)| *k == key) {
                        Some((k, v)) => v.is_none_or(|v| visit(k, v)),
                        None => visit(key, value),
                    };
                    going
                })?;
            }
        }
        if going {
            for (key, value) in over {
                if value.is_some_and(|value| !visit(key, value)) {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Layer {
    fn store(&mut self, store: StoreId, shape: Shape) -> &mut StoreLayer {
        self.stores.entry(store).or_insert_with(|| StoreLayer {
            shape,
            changes: BTreeSet::new(),
            expired: Vec::new(),
        })
    }

    /// `None`: this layer says nothing of the key. `Some(None)`: it is deleted here.
    fn find(&self, store: StoreId, key: &[u8]) -> Option<Option<&[u8]>> {
        let layer = self.stores.get(&store)?;
        if let Some(change) = layer.changes.get(key) {
            return Some(change.value());
        }
        (key < layer.expired.as_slice()).then_some(None)
    }

    fn put(&mut self, store: StoreId, shape: Shape, change: Change) {
        self.bytes += change.bytes();
        if let Some(before) = self.store(store, shape).changes.replace(change) {
            self.bytes -= before.bytes();
        }
    }

    fn merge(&mut self, store: StoreId, upper: StoreLayer) {
        let layer = self.store(store, upper.shape);
        let (mut grown, mut freed) = (0, layer.expire(&upper.expired));
        if layer.changes.is_empty() {
            grown = upper.changes.iter().map(Change::bytes).sum();
            layer.changes = upper.changes;
        } else {
            // `append` keeps the older one of two that are equal.
            for change in upper.changes {
                grown += change.bytes();
                freed += layer.changes.replace(change).map_or(0, |before| before.bytes());
            }
        }
        self.bytes = self.bytes + grown - freed;
    }
}

impl StoreLayer {
    /// Drops what is below `to`; how many bytes that were.
    fn expire(&mut self, to: &[u8]) -> usize {
        if to <= self.expired.as_slice() {
            return 0;
        }
        let kept = self.changes.split_off(to);
        let gone = std::mem::replace(&mut self.changes, kept);
        self.expired = to.to_vec();
        gone.iter().map(Change::bytes).sum()
    }
}

impl StateView for LaneState {
    fn get(&self, store: StoreId, shape: Shape, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read(store, shape, key, true)
    }

    fn get_many(
        &self,
        store: StoreId,
        shape: Shape,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        self.read_many(store, shape, keys, true)
    }

    fn scan(
        &self,
        store: StoreId,
        shape: Shape,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        self.merge_scan(store, shape, (from, to), true, visit)
    }

    fn put(
        &mut self,
        store: StoreId,
        shape: Shape,
        key: &[u8],
        value: Option<&[u8]>,
        time_ms: i64,
    ) -> Result<()> {
        self.open.put(store, shape, Change::new(key, value, time_ms));
        Ok(())
    }

    fn expire(&mut self, store: StoreId, to: &[u8]) -> Result<()> {
        let freed = self.open.store(store, Shape::WindowFirst).expire(to);
        self.open.bytes -= freed;
        Ok(())
    }
}

pub(super) fn bounds<'a>(from: &'a [u8], to: &'a [u8]) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    if to.is_empty() {
        return (Bound::Included(from), Bound::Unbounded);
    }
    // An empty range, not a panic, when the bounds are the wrong way round.
    (Bound::Included(from.min(to)), Bound::Excluded(to))
}
