//! Reading: a cursor looks at a few atomics while nothing happens, and takes the lock only to find
//! the next chunk. Records are read from the file into the batch without being touched one by one.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{Cursor, PollLimits, Position, RawBatch, ReadError};

use super::core::chunk::{Chunk, Room, copy_records};
use super::core::partition::Watch;
use super::shared::Shared;

/// A batch is kept below what its 32-bit spans can address.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A reader of the embedded log.
pub struct LocalCursor {
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    index: BTreeMap<Tp, usize>,
    /// Where the next poll begins, so that no partition starves the others.
    turn: usize,
    /// All was read that there was at this version of the log.
    idle_at: Option<u64>,
}

struct Slot {
    tp: Tp,
    /// `None` when the partition did not exist at the assignment.
    watch: Option<Arc<Watch>>,
    next: i64,
    lso: Option<i64>,
    paused: bool,
    loaded: Option<Loaded>,
}

/// A chunk of which a part was handed out.
struct Loaded {
    base: i64,
    next: i64,
    data: Bytes,
    at: usize,
}

impl LocalCursor {
    pub fn new(shared: Arc<Shared>) -> Self {
        let (slots, index) = Default::default();
        LocalCursor { shared, slots, index, turn: 0, idle_at: None }
    }
}

impl Cursor for LocalCursor {
    fn assign(&mut self, at: &[(Tp, Offset)]) {
        let state = self.shared.state.lock();
        let slot = |(tp, offset): &(Tp, Offset)| {
            let watch = state.core.partition(*tp).map(|partition| partition.watch().clone());
            Slot { tp: *tp, watch, next: offset.0, lso: None, paused: false, loaded: None }
        };
        self.slots = at.iter().map(slot).collect();
        self.index = at.iter().enumerate().map(|(i, (tp, _))| (*tp, i)).collect();
        self.turn = 0;
        self.idle_at = None;
    }

    fn pause(&mut self, tp: Tp, on: bool) {
        if let Some(slot) = self.index.get(&tp).and_then(|i| self.slots.get_mut(*i)) {
            slot.paused = on;
            self.idle_at = None;
        }
    }

    fn poll(&mut self, limits: &PollLimits, out: &mut Vec<RawBatch>) -> Result<(), ReadError> {
        let version = self.shared.signal.version();
        if self.idle_at == Some(version) {
            return Ok(());
        }
        let before = out.len();
        let outcome = self.poll_all(limits, out);
        match outcome {
            Ok(true) => self.idle_at = Some(version),
            Ok(false) => self.idle_at = None,
            // What was read is handed out first; the error comes again.
            Err(_) if out.len() > before => self.idle_at = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn position(&self, tp: Tp) -> Option<Position> {
        let slot = self.slots.get(*self.index.get(&tp)?)?;
        Some(Position { next: Offset(slot.next), lso: slot.lso.map(Offset) })
    }
}

impl LocalCursor {
    /// Reads in turn; true when all partitions were read to their ends.
    fn poll_all(
        &mut self,
        limits: &PollLimits,
        out: &mut Vec<RawBatch>,
    ) -> Result<bool, ReadError> {
        let mut left = Room { records: limits.records_max, bytes: limits.bytes_max };
        let mut waiting = 0;
        for slot in &mut self.slots {
            waiting += usize::from(slot.look()?);
        }
        let (count, turn) = (self.slots.len(), self.turn);
        let mut done = true;
        for i in (0..count).map(|i| (turn + i) % count) {
            let slot = &mut self.slots[i];
            if !slot.waits() {
                continue;
            }
            if left.records == 0 || left.bytes == 0 {
                return Ok(false);
            }
            let mut room = Room {
                records: left.records.div_ceil(waiting),
                bytes: left.bytes.div_ceil(waiting).min(BATCH_BYTES_MAX),
            };
            let share = room;
            let mut batch = RawBatch::new(slot.tp);
            let read = slot.read(&self.shared, &mut room, &mut batch);
            left.records -= share.records - room.records;
            left.bytes = left.bytes.saturating_sub(batch.data.len());
            waiting = waiting.saturating_sub(1).max(1);
            if !batch.records.is_empty() {
                batch.next = Offset(slot.next);
                out.push(batch);
                self.turn = (i + 1) % count;
            }
            read?;
            done &= !slot.waits();
        }
        Ok(done)
    }
}

impl Slot {
    /// Notes how far the partition can be read; true when there may be something.
    fn look(&mut self) -> Result<bool, ReadError> {
        let tp = self.tp;
        let Some(watch) = self.watch.as_ref().filter(|watch| !watch.gone()) else {
            return Err(ReadError::Gone(tp));
        };
        let (start, lso) = (watch.start(), watch.lso());
        self.lso = Some(lso);
        if self.next < start && !self.paused {
            let (at, start) = (Offset(self.next), Offset(start));
            return Err(ReadError::OutOfRange { tp, at, start });
        }
        Ok(self.waits())
    }

    fn waits(&self) -> bool {
        !self.paused && self.lso.is_some_and(|lso| self.next < lso)
    }

    /// Reads until the room is used up or the LSO is reached.
    fn read(
        &mut self,
        shared: &Shared,
        room: &mut Room,
        batch: &mut RawBatch,
    ) -> Result<(), ReadError> {
        while self.waits() {
            if self.loaded.is_none() {
                let Some(chunk) = self.find(shared)? else { break };
                self.next = self.next.max(chunk.base);
                if room.records == 0 || room.bytes == 0 {
                    break;
                }
                self.loaded = self.load(shared, chunk)?;
                continue;
            }
            let Some(loaded) = &mut self.loaded else { break };
            let source = (loaded.base, &loaded.data[..]);
            let Some(at) = copy_records(source, loaded.at, self.next, room, batch) else {
                let reason = "a record is cut short".to_owned();
                return Err(ReadError::Corrupt { tp: self.tp, at: Offset(self.next), reason });
            };
            let read_on = at > loaded.at;
            loaded.at = at;
            if at < loaded.data.len() {
                self.next = batch.records.last().map_or(self.next, |last| last.offset.0 + 1);
                if room.records == 0 || room.bytes == 0 || !read_on {
                    break;
                }
                continue;
            }
            self.next = self.next.max(loaded.next);
            self.loaded = None;
        }
        Ok(())
    }

    /// The next chunk; moves over what is no record.
    fn find(&mut self, shared: &Shared) -> Result<Option<Chunk>, ReadError> {
        let state = shared.state.lock();
        let Some(partition) = state.core.partition(self.tp) else {
            return Err(ReadError::Gone(self.tp));
        };
        self.lso = Some(partition.lso());
        let chunk = partition.visible(self.next).cloned();
        if chunk.is_none() {
            self.next = self.next.max(partition.lso());
        }
        Ok(chunk)
    }

    /// The chunk's records; `None` if the chunk was moved meanwhile and must be found again.
    fn load(&self, shared: &Shared, chunk: Chunk) -> Result<Option<Loaded>, ReadError> {
        match shared.load(&chunk) {
            Ok(data) => Ok(Some(Loaded { base: chunk.base, next: chunk.next, data, at: 0 })),
            Err(error) if self.moved(shared, &chunk) => {
                tracing::debug!(tp = ?self.tp, %error, "a chunk was moved while it was being read");
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let (tp, at) = (self.tp, Offset(chunk.base));
                Err(ReadError::Corrupt { tp, at, reason: error.to_string() })
            }
            Err(error) => Err(ReadError::Unreachable(error.to_string())),
        }
    }

    fn moved(&self, shared: &Shared, chunk: &Chunk) -> bool {
        let state = shared.state.lock();
        let now = state.core.partition(self.tp).and_then(|partition| partition.visible(self.next));
        now.and_then(|now| now.place.at()) != chunk.place.at()
    }
}
