//! Writing: records are put together per partition in the writer and reach the core a chunk at a
//! time, when it is polled, or when the transaction ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use millrace_engine::ids::Tp;
use millrace_engine::log::{Ending, Lost, Outcome, RecordRef, SendError, TxnState, Writer};

use super::core::chunk::{CHUNK_BYTES_MAX, ChunkBuilder, record_bytes};
use super::core::topic::RECORD_BYTES_MAX;
use super::core::txn::{CommitFault, TxnView};
use super::options::Durability;
use super::shared::Shared;

/// Bytes that a writer holds back before it passes everything on.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A transactional writer of the embedded log.
///
/// One that is dropped aborts its transaction, unless [`LocalWriter::abandon`] was called.
pub struct LocalWriter {
    shared: Arc<Shared>,
    id: Arc<str>,
    epoch: u64,
    parts: Vec<Part>,
    index: HashMap<Tp, usize, foldhash::fast::FixedState>,
    last: usize,
    held_records: usize,
    held_bytes: usize,
    dead: Option<Lost>,
    abandoned: bool,
}

struct Part {
    tp: Tp,
    record_bytes_max: usize,
    records: ChunkBuilder,
}

impl LocalWriter {
    /// Opens a writer, fencing older ones of that id.
    pub fn open(shared: &Arc<Shared>, id: &str) -> Self {
        let (id, epoch) = shared.open_writer(id);
        let (parts, index) = Default::default();
        LocalWriter {
            shared: shared.clone(),
            id,
            epoch,
            parts,
            index,
            last: 0,
            held_records: 0,
            held_bytes: 0,
            dead: None,
            abandoned: false,
        }
    }

    /// The writer's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The writer's id and epoch.
    pub fn incarnation(&self) -> (Arc<str>, u64) {
        (self.id.clone(), self.epoch)
    }

    /// Records that the log does not have yet.
    pub fn held(&self) -> usize {
        self.held_records
    }

    /// Lets the transaction stay open when the writer is dropped, as if its process had died.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// Passes on what is held back.
    pub fn flush(&mut self) {
        if self.held_records == 0 || self.dead.is_some() {
            return;
        }
        (self.held_records, self.held_bytes) = (0, 0);
        let full = self.parts.iter_mut().filter(|part| !part.records.is_empty());
        let parts = full.map(|part| (part.tp, part.records.take()));
        if let Err(lost) = self.shared.send((&self.id, self.epoch), parts) {
            self.dead = Some(lost);
        }
    }

    fn part(&mut self, tp: Tp) -> usize {
        if self.parts.get(self.last).is_some_and(|part| part.tp == tp) {
            return self.last;
        }
        self.last = match self.index.get(&tp) {
            Some(i) => *i,
            None => {
                // Records for a partition that does not exist poison the transaction at the flush.
                let limit = self.shared.record_bytes_max(tp).unwrap_or(RECORD_BYTES_MAX);
                let records = ChunkBuilder::default();
                self.parts.push(Part { tp, record_bytes_max: limit, records });
                self.index.insert(tp, self.parts.len() - 1);
                self.parts.len() - 1
            }
        };
        self.last
    }

    /// Commits now, without waiting for durability; the writer must not be used after a failure.
    pub fn finish_commit(&mut self) -> Result<super::writes::Committed, CommitFault> {
        self.flush();
        if let Some(lost) = &self.dead {
            return Err(CommitFault::Lost(lost.clone()));
        }
        self.shared.commit(&self.id, self.epoch)
    }

    /// Aborts now.
    pub fn finish_abort(&mut self) -> Result<(), Lost> {
        self.parts.iter_mut().for_each(|part| part.records = ChunkBuilder::default());
        (self.held_records, self.held_bytes) = (0, 0);
        match &self.dead {
            Some(lost) => Err(lost.clone()),
            None => self.shared.abort(&self.id, self.epoch),
        }
    }
}

impl Writer for LocalWriter {
    fn send(&mut self, to: Tp, record: &RecordRef<'_>) -> Result<(), SendError> {
        if let Some(lost) = &self.dead {
            return Err(SendError::Dead(lost.clone()));
        }
        let i = self.part(to);
        let bytes = record_bytes(record);
        let part = &mut self.parts[i];
        let bytes_max = part.record_bytes_max;
        if bytes > bytes_max {
            return Err(SendError::TooLarge { bytes, bytes_max });
        }
        part.records.push(record);
        let full = part.records.bytes() >= CHUNK_BYTES_MAX;
        self.held_records += 1;
        self.held_bytes += bytes;
        if full || self.held_bytes >= HELD_BYTES_MAX {
            self.flush();
        }
        Ok(())
    }

    fn poll(&mut self) -> TxnState {
        self.flush();
        if let Some(lost) = &self.dead {
            return TxnState::Dead(lost.clone());
        }
        let view = self.shared.state.lock().core.txn_view(&self.id, self.epoch);
        match view {
            Ok(TxnView::Idle) => TxnState::Idle,
            Ok(TxnView::Open) => TxnState::Open { unacked: 0 },
            Ok(TxnView::Poisoned(poison)) => {
                TxnState::MustAbort { culprits: poison.culprits, reason: poison.reason }
            }
            Err(lost) => {
                self.dead = Some(lost.clone());
                TxnState::Dead(lost)
            }
        }
    }

    fn commit(mut self: Box<Self>) -> Box<dyn Ending> {
        let outcome = match self.finish_commit() {
            Ok(done) => {
                let shared = self.shared.clone();
                let outcome = Some(Outcome::Committed { writer: self, ends: done.ends });
                return Box::new(LocalEnding { shared, outcome, change: done.change });
            }
            Err(CommitFault::Lost(lost)) => Outcome::Lost(lost),
            Err(CommitFault::Poisoned(poison)) => {
                let culprits = poison.culprits;
                match self.finish_abort() {
                    Ok(()) => {
                        let shared = self.shared.clone();
                        let outcome = Some(Outcome::Aborted { writer: self, culprits });
                        return Box::new(LocalEnding { shared, outcome, change: 0 });
                    }
                    Err(lost) => Outcome::Lost(lost),
                }
            }
        };
        let shared = self.shared.clone();
        Box::new(LocalEnding { shared, outcome: Some(outcome), change: 0 })
    }

    fn abort(mut self: Box<Self>) -> Box<dyn Ending> {
        let shared = self.shared.clone();
        let outcome = match self.finish_abort() {
            Ok(()) => Outcome::Aborted { writer: self, culprits: Vec::new() },
            Err(lost) => Outcome::Lost(lost),
        };
        Box::new(LocalEnding { shared, outcome: Some(outcome), change: 0 })
    }

    /// The end of a transaction is one change here: nothing is left behind.
    fn settle(self: Box<Self>, _at: &[Tp]) -> Box<dyn Ending> {
        let shared = self.shared.clone();
        let outcome = Some(Outcome::Committed { writer: self, ends: Vec::new() });
        Box::new(LocalEnding { shared, outcome, change: 0 })
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        if !self.abandoned {
            // Fenced meanwhile: then it is no longer ours to abort.
            let _ = self.shared.abort(&self.id, self.epoch);
        }
    }
}

/// An ended transaction, waiting to be durable if that was asked for.
struct LocalEnding {
    shared: Arc<Shared>,
    outcome: Option<Outcome>,
    change: u64,
}

impl Ending for LocalEnding {
    fn poll(&mut self) -> Poll<Outcome> {
        let waits = self.shared.options.durability == Durability::Always
            && self.shared.durable.load(Ordering::Acquire) < self.change;
        if waits {
            match self.shared.check_journal() {
                Ok(()) => return Poll::Pending,
                Err(error) => return Poll::Ready(Outcome::Lost(Lost::Unknown(error.to_string()))),
            }
        }
        let again = || Outcome::Lost(Lost::Fatal("the ending was polled again".to_owned()));
        Poll::Ready(self.outcome.take().unwrap_or_else(again))
    }
}
