//! A partition: committed chunks in order of offset, and the marks that readers go by.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::chunk::Chunk;
use super::entry::PartPatch;

/// Live bytes per journal segment.
pub type LiveBytes = BTreeMap<u32, u64>;

/// Marks of a partition that cursors look at without any lock.
#[derive(Debug, Default)]
pub struct Watch {
    start: AtomicI64,
    lso: AtomicI64,
    gone: AtomicBool,
}

impl Watch {
    pub fn start(&self) -> i64 {
        self.start.load(Ordering::Acquire)
    }

    pub fn lso(&self) -> i64 {
        self.lso.load(Ordering::Acquire)
    }

    pub fn gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// First offset of a transaction that is not decided yet.
#[derive(Debug, Clone)]
struct OpenRange {
    writer: Arc<str>,
    first: i64,
}

#[derive(Debug, Default)]
pub struct Partition {
    start: i64,
    hw: i64,
    /// Committed, by offset. Those at or above the LSO wait for an older open transaction.
    chunks: VecDeque<Chunk>,
    open: Vec<OpenRange>,
    watch: Arc<Watch>,
    /// Changes when chunks are removed or replaced.
    shape: u64,
    /// Bytes that came since the last compaction.
    dirty_bytes: u64,
    bytes: u64,
}

impl Partition {
    pub fn start(&self) -> i64 {
        self.start
    }

    pub fn hw(&self) -> i64 {
        self.hw
    }

    /// Last stable offset: all below it is decided.
    pub fn lso(&self) -> i64 {
        self.open.iter().map(|range| range.first).min().unwrap_or(self.hw)
    }

    pub fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    pub fn shape(&self) -> u64 {
        self.shape
    }

    pub fn chunks(&self) -> impl DoubleEndedIterator<Item = &Chunk> {
        self.chunks.iter()
    }

    /// Share of the bytes that no compaction has seen, and how many bytes there are.
    pub fn dirt(&self) -> (f64, u64) {
        match self.bytes {
            0 => (0.0, 0),
            bytes => (self.dirty_bytes as f64 / bytes as f64, bytes),
        }
    }

    pub fn compacted(&mut self) {
        self.dirty_bytes = 0;
    }

    /// The first chunk with records at or above `from` that readers may see.
    pub fn visible(&self, from: i64) -> Option<&Chunk> {
        let at = self.chunks.partition_point(|chunk| chunk.next <= from);
        self.chunks.get(at).filter(|chunk| chunk.base < self.lso())
    }

    /// Hands out `span` offsets; the first of them.
    pub fn allocate(&mut self, span: u32) -> i64 {
        let base = self.hw;
        self.hw += i64::from(span);
        base
    }

    /// Holds the LSO at `first` until [`Partition::close`].
    pub fn open(&mut self, writer: &Arc<str>, first: i64) {
        self.open.push(OpenRange { writer: writer.clone(), first });
    }

    pub fn close(&mut self, writer: &str) {
        self.open.retain(|range| &*range.writer != writer);
    }

    pub fn apply(&mut self, patch: &PartPatch, live: &mut LiveBytes) {
        if patch.cut.is_empty() {
            patch.chunks.iter().for_each(|chunk| self.insert(chunk, live));
        } else {
            self.rebuild(patch, live);
        }
        self.hw = self.hw.max(patch.end);
        if patch.start > self.start {
            self.start = patch.start;
            self.hw = self.hw.max(self.start);
            self.drop_below_start(live);
        }
    }

    fn insert(&mut self, chunk: &Chunk, live: &mut LiveBytes) {
        if chunk.next <= self.start {
            return;
        }
        let at = self.chunks.partition_point(|other| other.base < chunk.base);
        self.came(chunk, live);
        self.dirty_bytes += u64::from(chunk.bytes);
        self.chunks.insert(at, chunk.clone());
    }

    fn rebuild(&mut self, patch: &PartPatch, live: &mut LiveBytes) {
        let cut = |base: i64| {
            let at = patch.cut.partition_point(|(_, to)| *to <= base);
            patch.cut.get(at).is_some_and(|(from, _)| *from <= base)
        };
        let old = std::mem::take(&mut self.chunks);
        let mut chunks = Vec::with_capacity(old.len());
        for chunk in old {
            match cut(chunk.base) {
                true => self.went(&chunk, live),
                false => chunks.push(chunk),
            }
        }
        let start = self.start;
        for chunk in patch.chunks.iter().filter(|chunk| chunk.next > start) {
            self.came(chunk, live);
            chunks.push(chunk.clone());
        }
        chunks.sort_by_key(|chunk| chunk.base);
        self.chunks = chunks.into();
        self.shape += 1;
    }

    fn drop_below_start(&mut self, live: &mut LiveBytes) {
        while let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.next <= self.start) {
            self.went(&chunk, live);
            self.shape += 1;
        }
    }

    fn came(&mut self, chunk: &Chunk, live: &mut LiveBytes) {
        self.bytes += u64::from(chunk.bytes);
        if let Some(segment) = chunk.place.segment() {
            *live.entry(segment).or_default() += u64::from(chunk.bytes);
        }
    }

    fn went(&mut self, chunk: &Chunk, live: &mut LiveBytes) {
        let bytes = u64::from(chunk.bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.dirty_bytes = self.dirty_bytes.min(self.bytes);
        if let Some(left) = chunk.place.segment().and_then(|segment| live.get_mut(&segment)) {
            *left = left.saturating_sub(bytes);
        }
    }

    /// Forgets all chunks of a deleted topic.
    pub fn clear(&mut self, live: &mut LiveBytes) {
        for chunk in std::mem::take(&mut self.chunks) {
            self.went(&chunk, live);
        }
        self.watch.set_gone();
    }

    /// Makes the marks visible to cursors; true when one of them has moved.
    pub fn publish(&self) -> bool {
        let lso = self.lso();
        let start = self.watch.start.swap(self.start, Ordering::AcqRel);
        let before = self.watch.lso.swap(lso, Ordering::AcqRel);
        before != lso || start != self.start
    }

    /// Where the partition would start if records older than `horizon_ms` went away.
    pub fn expired_to(&self, horizon_ms: i64) -> i64 {
        let lso = self.lso();
        let old = |chunk: &&Chunk| chunk.max_timestamp < horizon_ms && chunk.next <= lso;
        self.chunks.iter().take_while(old).last().map_or(self.start, |chunk| chunk.next)
    }
}
