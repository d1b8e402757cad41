//! The in-memory twin of RocksDB for tests and the simulator: what is not flushed dies in a crash.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Result;
use crate::state::Shape;
use crate::state::disk::{DiskBatch, DiskMeta, DiskStore, full_key};

type Maps = BTreeMap<Shape, BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Debug, Clone, Default)]
struct Content {
    maps: Maps,
    meta: DiskMeta,
}

/// What survives a crash of a [`MemoryStore`]. Open a new store on it to go on.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Content>>);

/// A store over a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    now: Content,
}

impl MemoryStore {
    pub fn open(disk: &MemoryDisk) -> Self {
        MemoryStore { disk: disk.clone(), now: disk.0.lock().clone() }
    }
}

impl DiskStore for MemoryStore {
    fn get(&self, shape: Shape, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.now.maps.get(&shape).and_then(|map| map.get(key)).cloned())
    }

    fn get_many(&self, shape: Shape, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(shape, key)).collect()
    }

    fn scan(
        &self,
        shape: Shape,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let Some(map) = self.now.maps.get(&shape) else { return Ok(()) };
        if from >= to {
            return Ok(());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        for (key, value) in map.range::<[u8], _>(range) {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: DiskBatch<'_>) -> Result<()> {
        for (shape, from, to) in batch.deletes {
            let map = self.now.maps.entry(shape).or_default();
            let gone: Vec<Vec<u8>> =
                map.range(from..).take_while(|(k, _)| **k < to).map(|(k, _)| k.clone()).collect();
            for key in gone {
                map.remove(&key);
            }
        }
        for change in batch.changes {
            let map = self.now.maps.entry(change.shape).or_default();
            let key = full_key(change.store, change.key);
            match change.value {
                Some(value) => map.insert(key, value.to_vec()),
                None => map.remove(&key),
            };
        }
        self.now.meta = batch.meta.clone();
        Ok(())
    }

    fn meta(&self) -> Result<DiskMeta> {
        Ok(self.now.meta.clone())
    }

    fn flush(&mut self) -> Result<()> {
        *self.disk.0.lock() = self.now.clone();
        Ok(())
    }
    fn reopen(&mut self, aside: bool) -> Result<()> {
        if aside {
            *self.disk.0.lock() = Content::default();
        }
        self.now = self.disk.0.lock().clone();
        Ok(())
    }
}
