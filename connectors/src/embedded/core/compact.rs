//! Compaction: the last record of each key stays, tombstones go when they are old enough.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use millrace_engine::ids::Tp;

use super::Core;
use super::chunk::{CHUNK_BYTES_MAX, Chunk, ChunkBuilder, RecordView};
use super::entry::PartPatch;

/// Compaction starts when this share of the bytes came since the last one (Kafka's
/// `min.cleanable.dirty.ratio`).
const DIRT_MIN: f64 = 0.5;
/// Partitions with fewer bytes are left alone.
const COMPACT_BYTES_MIN: u64 = 1024 * 1024;
/// Chunks below this size are joined with their neighbours.
const SMALL_BYTES: u32 = 16 * 1024;

/// A compaction to be done: the chunks below the LSO as they were when it was planned.
#[derive(Debug)]
pub struct Job {
    pub tp: Tp,
    shape: u64,
    chunks: Vec<Chunk>,
    delete_retention_ms: i64,
}

impl Core {
    /// Partitions worth compacting.
    pub fn to_compact(&self) -> Vec<Tp> {
        let worth = |(_, topic, partition): &(Tp, &super::Topic, &super::Partition)| {
            let (dirt, bytes) = partition.dirt();
            topic.compacts() && bytes >= COMPACT_BYTES_MIN && dirt >= DIRT_MIN
        };
        self.partitions().filter(worth).map(|(tp, _, _)| tp).collect()
    }

    /// The compaction of a partition as it is now; `None` when its topic is not compacted.
    pub fn compaction(&mut self, tp: Tp) -> Option<Job> {
        let topic = self.topics.get(&tp.topic).filter(|topic| topic.compacts())?;
        let delete_retention_ms = topic.meta.delete_retention_ms;
        let partition = self.partition_mut(tp)?;
        partition.compacted();
        let lso = partition.lso();
        let chunks = partition.chunks().take_while(|chunk| chunk.next <= lso).cloned().collect();
        Some(Job { tp, shape: partition.shape(), chunks, delete_retention_ms })
    }

    /// Whether the partition has changed so that the job's result no longer fits.
    pub fn outdated(&self, job: &Job) -> bool {
        self.partition(job.tp).is_none_or(|partition| partition.shape() != job.shape)
    }
}

impl Job {
    /// Works out the change. `load` gives the bytes of a chunk.
    ///
    /// # Errors
    /// What `load` answers; broken bytes, as `broken` puts it.
    pub fn run<E>(
        &self,
        now_ms: i64,
        load: impl Fn(&Chunk) -> Result<Bytes, E>,
        broken: impl Fn(&Chunk) -> E,
    ) -> Result<PartPatch, E> {
        let mut last: HashMap<u128, i64> = HashMap::new();
        for chunk in &self.chunks {
            each(chunk, &load(chunk)?, |offset, view, data| {
                view.key(data).map(|key| last.insert(fingerprint(key), offset));
            })
            .ok_or_else(|| broken(chunk))?;
        }
        let horizon_ms = now_ms.saturating_sub(self.delete_retention_ms);
        let mut out = Output { patch: PartPatch::new(self.tp), group: Group::default() };
        for chunk in &self.chunks {
            let buried = chunk.appended_ms < horizon_ms;
            let keep = |offset: i64, view: &RecordView, data: &[u8]| match view.key(data) {
                None => true,
                Some(key) => {
                    last.get(&fingerprint(key)) == Some(&offset) && !(buried && view.is_tombstone())
                }
            };
            out.add(chunk, &load(chunk)?, keep).ok_or_else(|| broken(chunk))?;
        }
        out.flush();
        Ok(out.patch)
    }
}

struct Output {
    patch: PartPatch,
    group: Group,
}

/// Neighbouring chunks being written anew as one.
#[derive(Default)]
struct Group {
    records: ChunkBuilder,
    base: i64,
    appended_ms: i64,
    /// The chunks that it replaces.
    from: i64,
    to: i64,
    sources: usize,
    dropped: bool,
}

impl Output {
    fn add(
        &mut self,
        chunk: &Chunk,
        data: &[u8],
        keep: impl Fn(i64, &RecordView, &[u8]) -> bool,
    ) -> Option<()> {
        let mut kept = 0;
        each(chunk, data, |offset, view, data| kept += u32::from(keep(offset, view, data)))?;
        let whole = kept == chunk.records;
        if whole && chunk.bytes >= SMALL_BYTES {
            self.flush();
            return Some(());
        }
        let far = chunk.next - self.group.from > i64::from(u32::MAX);
        let full = self.group.records.bytes() + chunk.bytes as usize > CHUNK_BYTES_MAX;
        if self.group.sources > 0 && (far || full) {
            self.flush();
        }
        self.group.take(chunk, whole);
        let group = &mut self.group;
        each(chunk, data, |offset, view, data| {
            if keep(offset, view, data) {
                group.push(offset, view, data);
            }
        })
    }

    fn flush(&mut self) {
        let group = std::mem::take(&mut self.group);
        if group.sources == 0 || (group.sources == 1 && !group.dropped) {
            return;
        }
        self.patch.cut.push((group.from, group.to));
        if !group.records.is_empty() {
            let chunk = group.records.build(group.base, group.appended_ms);
            self.patch.chunks.push(chunk);
        }
    }
}

impl Group {
    fn take(&mut self, chunk: &Chunk, whole: bool) {
        if self.sources == 0 {
            self.from = chunk.base;
        }
        self.to = chunk.next;
        self.appended_ms = self.appended_ms.max(chunk.appended_ms);
        self.sources += 1;
        self.dropped |= !whole;
    }

    fn push(&mut self, offset: i64, view: &RecordView, data: &[u8]) {
        if self.records.is_empty() {
            self.base = offset;
        }
        let delta = (offset - self.base) as u32;
        self.records.push_encoded(delta, view.timestamp, view.encoded(data));
    }
}

/// Visits the records of a chunk with their offsets and encoded bytes; `None` for broken bytes.
fn each(chunk: &Chunk, data: &[u8], mut visit: impl FnMut(i64, &RecordView, &[u8])) -> Option<()> {
    let mut at = 0;
    while at < data.len() {
        let view = RecordView::read(data, at)?;
        visit(chunk.base + i64::from(view.delta), &view, data);
        at = view.end;
    }
    Some(())
}

/// 128 bits of a key, so that two keys never meet in practice.
fn fingerprint(key: &[u8]) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        hasher.write(key);
        u128::from(hasher.finish())
    };
    (half(0) << 64) | half(1)
}
