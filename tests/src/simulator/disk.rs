//! The in-memory state store with a disk's moods: it may have flushed by itself, refuse a write, or
//! see its node die right after one.

use std::sync::Arc;

use millrace_connectors::sim::SimLog;
use millrace_engine::error::{EngineError, Result};
use millrace_engine::seams::{Entropy, SeededEntropy};
use millrace_engine::state::Shape;
use millrace_engine::state::disk::{DiskBatch, DiskMeta, DiskStore};
use millrace_engine::state::memory::{MemoryDisk, MemoryStore};

use super::faults::Watched;

/// Of a thousand writes, so many end the node, or fail.
const CRASH_PER_MILLE: u64 = 30;
const FAIL_PER_MILLE: u64 = 20;

pub struct MoodyStore {
    inner: MemoryStore,
    node: Arc<SimLog>,
    faults: Arc<Watched>,
    random: SeededEntropy,
    /// Whether crashes and failures happen; flushes do in any case.
    moody: bool,
}

impl MoodyStore {
    pub fn open(
        disk: &MemoryDisk,
        node: &Arc<SimLog>,
        faults: &Arc<Watched>,
        seed: u64,
        moody: bool,
    ) -> Self {
        let (node, faults) = (node.clone(), faults.clone());
        let random = SeededEntropy::new(seed);
        MoodyStore { inner: MemoryStore::open(disk), node, faults, random, moody }
    }
}

impl DiskStore for MoodyStore {
    fn get(&self, shape: Shape, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.get(shape, key)
    }

    fn get_many(&self, shape: Shape, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.inner.get_many(shape, keys)
    }

    fn scan(
        &self,
        shape: Shape,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        self.inner.scan(shape, from, to, visit)
    }

    fn write(&mut self, batch: DiskBatch<'_>) -> Result<()> {
        if self.node.crashed() {
            // A dead process writes nothing.
            return Ok(());
        }
        let (dice, flush) =
            (self.random.next_u64() % 1000, self.random.next_u64().is_multiple_of(2));
        let moody = self.moody && self.faults.is_on();
        if moody && dice < FAIL_PER_MILLE {
            self.faults.count("Spill Fails");
            return Err(EngineError::Disk("the disk is full".to_owned()));
        }
        self.inner.write(batch)?;
        if flush {
            self.inner.flush()?;
        }
        if moody && dice < FAIL_PER_MILLE + CRASH_PER_MILLE {
            self.faults.count("Spill CrashAfter");
            self.node.kill();
        }
        Ok(())
    }

    fn meta(&self) -> Result<DiskMeta> {
        self.inner.meta()
    }

    fn flush(&mut self) -> Result<()> {
        match self.node.crashed() {
            true => Ok(()),
            false => self.inner.flush(),
        }
    }
    fn reopen(&mut self, aside: bool) -> Result<()> {
        match self.node.crashed() {
            true => Ok(()),
            false => self.inner.reopen(aside),
        }
    }
}
