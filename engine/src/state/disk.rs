//! The store under a lane's state: RocksDB, or its twin in memory. It only ever holds committed
//! state, written batch by batch; it may lose the newest batches in a crash, never a part of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ids::{Offset, TopicId};
use crate::state::history::History;
use crate::state::{Shape, StoreId};

/// A store of committed state.
pub trait DiskStore: Send {
    fn get(&self, shape: Shape, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Values of `keys`, in order.
    fn get_many(&self, shape: Shape, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>>;

    /// Entries with `from <= key < to` in order; `visit` returns false to stop.
    fn scan(
        &self,
        shape: Shape,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()>;

    /// Writes one batch atomically.
    fn write(&mut self, batch: DiskBatch<'_>) -> Result<()>;

    /// What the last surviving batch said about itself.
    fn meta(&self) -> Result<DiskMeta>;

    /// Makes everything written survive a crash.
    fn flush(&mut self) -> Result<()>;

    /// Closes the store and opens it again; `aside`: as an empty one, what it held is moved aside.
    /// After a failure the store is closed, and may be opened again later.
    fn reopen(&mut self, aside: bool) -> Result<()>;
}

/// Changes that go to disk together. They stay where they are until the store has taken them.
pub struct DiskBatch<'a> {
    /// Sorted per store.
    pub changes: Box<dyn Iterator<Item = DiskChange<'a>> + 'a>,
    /// At least what the changes take.
    pub bytes: usize,
    /// Ranges of full keys to delete before `changes` are put.
    pub deletes: Vec<(Shape, Vec<u8>, Vec<u8>)>,
    pub meta: &'a DiskMeta,
}

/// One entry of a store that changed.
#[derive(Debug, Clone, Copy)]
pub struct DiskChange<'a> {
    pub shape: Shape,
    pub store: StoreId,
    pub key: &'a [u8],
    /// `None` deletes.
    pub value: Option<&'a [u8]>,
}

/// The point of the log that the disk stands at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskMeta {
    /// Layout of keys and values; another version is moved aside and rebuilt.
    pub format: u32,
    /// Number of the lane's commit that was last applied.
    pub commit: u64,
    /// Per store: the changelog, and a lower bound of what is applied of it (R24).
    pub stores: BTreeMap<String, StoreMeta>,
}

/// Where one store stands in its changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMeta {
    pub changelog: TopicId,
    /// Everything below is applied.
    pub applied: Offset,
    /// Wall clock, milliseconds, of when that was all that the changelog held; 0: it never was. What
    /// is older than tombstones live is rebuilt: it may have missed one (R15).
    #[serde(default)]
    pub whole_ms: i64,
    /// What of it matters, of a store of windows; `None`: that is not known from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// Version of [`DiskMeta::format`] that this code writes and reads.
pub const DISK_FORMAT: u32 = 1;

/// Length of the prefix in front of every key.
pub const PREFIX_LEN: usize = 8;

/// Store and partition, big endian, in front of the store's own key (R26).
pub fn full_key(store: StoreId, key: &[u8]) -> Vec<u8> {
    let mut full = Vec::with_capacity(PREFIX_LEN + key.len());
    write_full_key(store, key, &mut full);
    full
}

/// Replaces `out` by the [`full_key`].
pub fn write_full_key(store: StoreId, key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&store.store.to_be_bytes());
    out.extend_from_slice(&store.partition.to_be_bytes());
    out.extend_from_slice(key);
}

/// The first key behind all keys of a store partition.
pub fn end_of_store(store: StoreId) -> Vec<u8> {
    let next = (u64::from(store.store) << 32 | u64::from(store.partition)) + 1;
    next.to_be_bytes().to_vec()
}
