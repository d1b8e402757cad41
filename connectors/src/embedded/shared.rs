//! What the handles of one log share: the core and the journal behind one lock, and the services
//! around them. File reads and waits for durability happen outside of the lock.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{LogError, LogEvent};
use millrace_engine::seams::{Clock, Disk, Entropy};
use parking_lot::Mutex;

use super::core::Core;
use super::core::chunk::{Chunk, Place};
use super::core::entry::{Entry, PartPatch};
use super::journal::{self, Journal};
use super::keeper::Bell;
use super::options::{Durability, Options};
use super::signal::Signal;

/// The log behind its handles.
pub struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) signal: Signal,
    pub(super) bell: Arc<Bell>,
    pub(super) disk: Option<Arc<dyn Disk>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: Options,
    pub(super) entropy: Arc<dyn Entropy>,
    /// Changes up to this number are durable.
    pub(super) durable: AtomicU64,
    lag: Mutex<BTreeMap<String, BTreeMap<Tp, Offset>>>,
}

pub(super) struct State {
    pub core: Core,
    pub journal: Option<Journal>,
    /// Number of changes written.
    pub written: u64,
    /// Ends of aborted transactions that could not be written yet.
    owed: Vec<PartPatch>,
}

impl State {
    /// Makes `entry` part of the journal, if there is one.
    ///
    /// # Errors
    /// When it could not be written: then it must not be applied.
    pub fn journal(&mut self, entry: &mut Entry) -> Result<(), LogError> {
        if entry.is_empty() {
            return Ok(());
        }
        if !self.owed.is_empty() {
            self.write(&mut Entry::parts(self.owed.clone()))?;
            self.owed.clear();
        }
        self.write(entry)
    }

    fn write(&mut self, entry: &mut Entry) -> Result<(), LogError> {
        if let Some(journal) = &mut self.journal {
            let written = journal.write(&self.core, entry);
            written.map_err(|error| LogError::Other(format!("the embedded log: {error}")))?;
        }
        self.written += 1;
        Ok(())
    }

    /// Journals and applies a change.
    ///
    /// # Errors
    /// When it could not be written: then nothing has changed.
    pub fn make(&mut self, mut entry: Entry) -> Result<(), LogError> {
        self.journal(&mut entry)?;
        self.core.apply(&entry);
        Ok(())
    }

    /// Aborts the open transaction of `id` if there is one.
    pub fn abort(&mut self, id: &str) {
        let Some(mut entry) = self.core.abort_entry(id) else { return };
        if self.journal(&mut entry).is_err() {
            // Readers will move past these offsets, so a restart must not hand them out again.
            self.owed.extend(entry.parts.iter().cloned());
        }
        self.core.close(id, &entry);
    }
}

impl Shared {
    pub fn new(
        (core, journal): (Core, Option<Journal>),
        disk: Option<Arc<dyn Disk>>,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        options: Options,
    ) -> Self {
        let state = Mutex::new(State { core, journal, written: 0, owed: Vec::new() });
        let (signal, bell, durable, lag) = Default::default();
        Shared { state, signal, bell, disk, clock, options, entropy, durable, lag }
    }

    /// Runs `f` under the lock, then wakes whoever may have waited for what it did.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let result = f(&mut state);
        let changed = state.core.take_changed();
        let written = state.journal.as_ref().is_some_and(|journal| journal.unsynced().is_some());
        drop(state);
        if written {
            self.bell.written();
        }
        if changed {
            self.signal.bump();
        }
        result
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now().0
    }

    /// Largest record that `tp` takes; `None` if it does not exist.
    pub fn record_bytes_max(&self, tp: Tp) -> Option<usize> {
        let state = self.state.lock();
        let topic = state.core.topic(tp.topic)?;
        topic.partitions.get(tp.partition.0 as usize)?;
        Some(topic.meta.record_bytes_max)
    }

    /// The bytes of a chunk.
    ///
    /// # Errors
    /// Those of the disk; `InvalidData` if the bytes are not those that were written.
    pub fn load(&self, chunk: &Chunk) -> io::Result<Bytes> {
        let (segment, at) = match &chunk.place {
            Place::Memory(data) => return Ok(data.clone()),
            Place::Stored { segment, at } => (*segment, *at),
        };
        let Some(disk) = &self.disk else {
            return Err(io::Error::other("a stored chunk without a disk"));
        };
        let path = journal::path(segment);
        let data = disk.read_at(&path, at, chunk.bytes as usize)?;
        if data.len() != chunk.bytes as usize || crc32fast::hash(&data) != chunk.crc {
            let what = format!("{path} at byte {at}: the checksum does not match");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(data.into())
    }

    /// Makes all that was written durable.
    pub fn sync(&self) -> io::Result<()> {
        let (mark, written) = {
            let state = self.state.lock();
            let mark = state.journal.as_ref().and_then(Journal::unsynced);
            (mark, state.written)
        };
        let (Some(mark), Some(disk)) = (mark, &self.disk) else {
            return self.check_journal().map(|()| self.note_durable(written));
        };
        let result = disk.sync(&journal::path(mark.segment));
        if let Some(journal) = &mut self.state.lock().journal {
            journal.synced(&mark, &result);
        }
        if result.is_ok() {
            self.note_durable(written);
        }
        result
    }

    fn note_durable(&self, written: u64) {
        if self.durable.fetch_max(written, Ordering::AcqRel) < written
            && self.options.durability == Durability::Always
        {
            self.signal.bump();
        }
    }

    /// # Errors
    /// Why the journal takes no more changes.
    pub fn check_journal(&self) -> io::Result<()> {
        let state = self.state.lock();
        match state.journal.as_ref().and_then(Journal::broken) {
            Some(why) => Err(io::Error::other(why.to_owned())),
            None => Ok(()),
        }
    }

    pub fn publish_lag(&self, group: &str, at: &[(Tp, Offset)]) {
        self.lag.lock().entry(group.to_owned()).or_default().extend(at.iter().copied());
    }

    pub fn events(&self, from: &mut u64) -> Vec<LogEvent> {
        self.state.lock().core.events(from)
    }

    /// Number of the next event.
    pub fn events_end(&self) -> u64 {
        self.state.lock().core.events_end()
    }

    /// Positions last published for `group`.
    pub fn lag(&self, group: &str) -> Vec<(Tp, Offset)> {
        let lag = self.lag.lock();
        lag.get(group).map(|at| at.iter().map(|(tp, o)| (*tp, *o)).collect()).unwrap_or_default()
    }
}
