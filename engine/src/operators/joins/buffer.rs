//! Rows of one side of a stream-stream join that may still find a partner.
//!
//! In the store they are ordered by a bucket of time first, so that expiry is one range; a group's
//! rows are then a short range per bucket.

use std::sync::Arc;

use crate::codec::row::RowBuffer;
use crate::error::{EngineError, Result};
use crate::operators::slots::{SlotTable, WINDOW_BYTES, window_bytes, window_of};
use crate::state::{Shape, StateView, StoreId};

/// A row that is kept.
pub(super) struct Entry {
    pub time: i64,
    /// Number of the row in the life of the join.
    pub seq: i64,
    rows: Arc<RowBuffer>,
    row: u32,
    /// The store has it.
    pub stored: bool,
    /// It is to be given up without a partner when its window closes.
    pub pending: bool,
}

impl Entry {
    pub fn new(time: i64, seq: i64, rows: Arc<RowBuffer>, row: u32) -> Self {
        Entry { time, seq, rows, row, stored: false, pending: false }
    }

    /// The encoded row.
    pub fn bytes(&self) -> &[u8] {
        self.rows.get(self.row as usize)
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Entry>() + self.bytes().len()
    }
}

/// Rows by join key, each key's by time and number.
pub(super) struct Buffer {
    store: StoreId,
    bucket_ms: i64,
    pub table: SlotTable,
    pub rows: Vec<Vec<Entry>>,
    /// Rows in memory.
    pub len: usize,
    bytes: usize,
}

impl Buffer {
    pub fn new(store: StoreId, bucket_ms: i64) -> Self {
        let table = SlotTable::new(false);
        Buffer { store, bucket_ms, table, rows: Vec::new(), len: 0, bytes: 0 }
    }

    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Number of the rows of `key`, and whether they are not in memory yet.
    pub fn key(&mut self, key: &[u8]) -> Result<(u32, bool)> {
        let hash = self.table.hash(key);
        let (number, new) = self.table.find_or_insert(hash, 0, key)?;
        if new {
            self.rows.push(Vec::new());
        }
        Ok((number, new))
    }

    /// Where in a key's rows those from `time` on start.
    pub fn position(&self, key: u32, time: i64) -> usize {
        self.rows[key as usize].partition_point(|entry| entry.time < time)
    }

    /// Where the entry is, if it is still there.
    pub fn find(&self, key: u32, time: i64, seq: i64) -> Option<usize> {
        let rows = &self.rows[key as usize];
        rows.binary_search_by_key(&(time, seq), |entry| (entry.time, entry.seq)).ok()
    }

    pub fn insert(&mut self, key: u32, entry: Entry) {
        self.bytes += entry.memory_bytes();
        self.len += 1;
        let rows = &mut self.rows[key as usize];
        let at = rows.partition_point(|old| (old.time, old.seq) < (entry.time, entry.seq));
        rows.insert(at, entry);
    }

    pub fn remove(&mut self, key: u32, at: usize) -> Entry {
        let entry = self.rows[key as usize].remove(at);
        self.bytes -= entry.memory_bytes();
        self.len -= 1;
        entry
    }

    /// Replaces `out` by an entry's key in the store.
    pub fn store_key(&self, key: u32, time: i64, seq: i64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&window_bytes(self.bucket(time)));
        out.extend_from_slice(self.table.key(key));
        out.extend_from_slice(&window_bytes(time));
        out.extend_from_slice(&window_bytes(seq));
    }

    /// Reads the rows of a key with times `from..=to`.
    pub fn load(&mut self, key: u32, from: i64, to: i64, state: &dyn StateView) -> Result<()> {
        let mut found = Vec::new();
        let mut rows = RowBuffer::new();
        let mut bucket = self.bucket(from);
        while bucket <= to {
            let mut start = window_bytes(bucket).to_vec();
            start.extend_from_slice(self.table.key(key));
            let mut end = start.clone();
            end.extend_from_slice(&[u8::MAX; 2 * WINDOW_BYTES + 1]);
            let mut failed = Ok(());
            state.scan(self.store, Shape::WindowFirst, &start, &end, &mut |entry, row| {
                match place(entry) {
                    Ok((time, seq)) if time >= from => {
                        found.push((time, seq));
                        rows.push(row);
                    }
                    Ok(_) => {}
                    Err(error) => failed = Err(error),
                }
                failed.is_ok()
            })?;
            failed?;
            let Some(next) = bucket.checked_add(self.bucket_ms) else { break };
            bucket = next;
        }
        let rows = Arc::new(rows);
        for (row, (time, seq)) in found.into_iter().enumerate() {
            let entry = Entry { stored: true, ..Entry::new(time, seq, rows.clone(), row as u32) };
            self.insert(key, entry);
        }
        Ok(())
    }

    /// Drops rows before `from` from the store.
    pub fn expire(&self, from: i64, state: &mut dyn StateView) -> Result<()> {
        state.expire(self.store, &window_bytes(self.bucket(from)))
    }

    /// Forgets rows before `from`, and keys without rows. Gives the new number of each key.
    pub fn prune(&mut self, from: i64) -> Vec<u32> {
        let mut keep = Vec::new();
        let mut numbers = vec![u32::MAX; self.rows.len()];
        for (key, rows) in self.rows.iter_mut().enumerate() {
            let old = rows.partition_point(|entry| entry.time < from);
            self.len -= old;
            let dropped = rows.drain(..old);
            self.bytes -= dropped.map(|entry| entry.memory_bytes()).sum::<usize>();
            if !rows.is_empty() {
                numbers[key] = keep.len() as u32;
                keep.push(key as u32);
            }
        }
        self.rows.retain(|rows| !rows.is_empty());
        self.table.retain(&keep);
        numbers
    }

    pub fn forget(&mut self) {
        self.table.retain(&[]);
        self.rows.clear();
        (self.len, self.bytes) = (0, 0);
    }

    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.table.memory_bytes() + self.rows.capacity() * size_of::<Vec<Entry>>()
    }

    /// Start of the bucket that holds `time`.
    pub fn bucket(&self, time: i64) -> i64 {
        time.div_euclid(self.bucket_ms).checked_mul(self.bucket_ms).unwrap_or(i64::MIN)
    }
}

/// Time and number of an entry, from its key in the store.
fn place(key: &[u8]) -> Result<(i64, i64)> {
    let short = || EngineError::State(format!("a join buffer has a key of {} bytes", key.len()));
    let (rest, seq) = key.split_last_chunk().ok_or_else(short)?;
    let (_, time) = rest.split_last_chunk().ok_or_else(short)?;
    Ok((window_of(*time), window_of(*seq)))
}
