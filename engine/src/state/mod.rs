//! State of a lane: uncommitted changes over committed ones over disk.
//!
//! A store belongs to one operator of one query; its keys are told apart from other stores' by a
//! prefix of store id and partition. Changes of the open transaction never reach disk (I1, I2).

mod change;
pub mod disk;
pub mod history;
pub mod lane;
pub mod memory;
pub mod rocks;
pub mod view;

use std::fmt;

use crate::error::Result;

/// How keys of a store are ordered, and with it the column family they live in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// `key`: point lookups.
    KeyValue,
    /// `window start (8, big endian, sign flipped) ++ key`: expiry and final emission are ranges.
    WindowFirst,
    /// `key ++ time ++ ...`: sessions and join buffers, read by key prefix.
    KeyFirst,
}

/// One partition of one store: the unit that a changelog partition backs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId {
    /// Number of the store within the service, fixed by the CREATE command.
    pub store: u32,
    pub partition: u32,
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store, self.partition)
    }
}

/// Reads and writes of one task during a step. Reads see the task's own uncommitted writes.
pub trait StateView {
    fn get(&self, store: StoreId, shape: Shape, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Values of `keys` in order; sorted keys are read faster.
    fn get_many(
        &self,
        store: StoreId,
        shape: Shape,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>>;

    /// Entries with `from <= key < to` in key order; `to` empty means no bound. `visit` returns
    /// false to stop.
    fn scan(
        &self,
        store: StoreId,
        shape: Shape,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()>;

    /// Writes, or deletes with `None`. Goes to the changelog in the same transaction, with event
    /// time `time_ms` as the record's timestamp.
    fn put(
        &mut self,
        store: StoreId,
        shape: Shape,
        key: &[u8],
        value: Option<&[u8]>,
        time_ms: i64,
    ) -> Result<()>;

    /// Drops all keys below `to` of a `WindowFirst` store: they are expired. Not written to the
    /// changelog (expiry follows from stream time on replay too).
    fn expire(&mut self, store: StoreId, to: &[u8]) -> Result<()>;
}

#[cfg(test)]
mod tests;
