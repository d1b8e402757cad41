//! Transactions and appends of the shared log.

use std::sync::Arc;

use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{
    AppendIf, HeaderRef, LogError, Lost, Record, RecordRef, borrow_headers,
};

use super::core::chunk::{CHUNK_BYTES_MAX, ChunkBuilder, record_bytes};
use super::core::entry::PartPatch;
use super::core::txn::{CommitFault, Poison, TxnView};
use super::options::Durability;
use super::shared::{Shared, State};

/// A committed transaction.
pub struct Committed {
    /// Per partition, the offset after the transaction's last record.
    pub ends: Vec<(Tp, Offset)>,
    /// Number of the change: durable once [`Shared::durable`] has come this far.
    pub change: u64,
}

impl Shared {
    /// Fences older writers of `id` and aborts what they left open; the new writer's epoch.
    pub fn open_writer(&self, id: &str) -> (Arc<str>, u64) {
        self.with(|state| {
            state.abort(id);
            state.core.open_writer(id)
        })
    }

    /// Adds records to a transaction.
    pub fn send(
        &self,
        (id, epoch): (&str, u64),
        parts: impl Iterator<Item = (Tp, ChunkBuilder)>,
    ) -> Result<(), Lost> {
        let now = self.clock.elapsed();
        self.with(|state| {
            for (tp, records) in parts {
                state.core.append_txn((id, epoch), tp, records, now)?;
            }
            Ok(())
        })
    }

    /// Commits the writer's transaction; nothing to commit is fine.
    pub fn commit(&self, id: &str, epoch: u64) -> Result<Committed, CommitFault> {
        let now_ms = self.now_ms();
        self.with(|state| state.commit(id, epoch, now_ms))
    }

    /// Aborts the writer's transaction.
    pub fn abort(&self, id: &str, epoch: u64) -> Result<(), Lost> {
        self.with(|state| {
            state.core.txn_view(id, epoch)?;
            state.abort(id);
            Ok(())
        })
    }

    /// Whether the open transaction of the writer can be committed.
    pub fn is_sound(&self, id: &str, epoch: u64) -> bool {
        self.with(|state| state.core.txn_view(id, epoch) == Ok(TxnView::Open))
    }

    /// See [`crate::embedded::core::Core::forget`].
    pub fn forget(&self, id: &str, committed: bool, which: impl Fn(usize) -> bool) {
        self.with(|state| state.core.forget(id, committed, which));
    }

    /// See [`crate::embedded::core::Core::settle`].
    pub fn settle(&self, (id, epoch): (&str, u64), tps: &[Tp], drop: bool) -> Result<(), Lost> {
        let now_ms = self.now_ms();
        self.with(|state| {
            state.core.txn_view(id, epoch)?;
            state.core.settle(id, tps, now_ms, drop);
            Ok(())
        })
    }

    /// Ends `id`'s present epoch, aborting its transaction, as a broker does after the transaction
    /// time-out.
    pub fn lose(&self, id: &str, lost: Lost) {
        self.with(|state| {
            state.core.lose(id, lost);
            state.abort(id);
        });
    }

    /// Aborts transactions that have been open for too long.
    pub fn expire_transactions(&self) {
        let limit = self.options.transaction_timeout;
        let Some(before) = self.clock.elapsed().checked_sub(limit) else { return };
        let overdue = self.state.lock().core.overdue(before);
        for id in overdue {
            let why = format!("the transaction of {id} was open for more than {limit:?}");
            self.lose(&id, Lost::Fenced(why));
        }
    }

    pub fn append(&self, tp: Tp, records: &[Record]) -> Result<Offset, LogError> {
        let bytes_max = self.record_bytes_max(tp).ok_or_else(|| gone(tp))?;
        let mut runs = vec![ChunkBuilder::default()];
        for record in records {
            let headers = borrow_headers(&record.headers);
            let record = reference(record, &headers);
            let bytes = record_bytes(&record);
            if bytes > bytes_max {
                return Err(too_large(bytes, bytes_max));
            }
            if runs.last().is_some_and(|run| run.bytes() + bytes > CHUNK_BYTES_MAX) {
                runs.push(ChunkBuilder::default());
            }
            if let Some(run) = runs.last_mut() {
                run.push(&record);
            }
        }
        let now_ms = self.now_ms();
        let first = self.with(|state| {
            let appended = state.core.append_entry(tp, runs, now_ms);
            let (entry, first) = appended.ok_or_else(|| gone(tp))?;
            state.make(entry).map(|()| Offset(first))
        })?;
        self.make_durable_now()?;
        Ok(first)
    }

    pub fn append_if(&self, id: &str, tp: Tp, end: Offset, record: &Record) -> AppendIf {
        let headers = borrow_headers(&record.headers);
        let record = reference(record, &headers);
        let Some(bytes_max) = self.record_bytes_max(tp) else {
            return AppendIf::Failed(gone(tp));
        };
        let bytes = record_bytes(&record);
        if bytes > bytes_max {
            return AppendIf::Failed(too_large(bytes, bytes_max));
        }
        let mut run = ChunkBuilder::default();
        run.push(&record);
        let (name, epoch) = self.open_writer(id);
        let (now, now_ms) = (self.clock.elapsed(), self.now_ms());
        let done = self.with(|state| {
            match state.core.partition(tp).map(|partition| Offset(partition.hw())) {
                None => return AppendIf::Failed(gone(tp)),
                Some(hw) if hw != end => return AppendIf::Moved(hw),
                Some(_) => {}
            }
            let sent = state.core.append_txn((&name, epoch), tp, run, now);
            let sent = sent.map_err(CommitFault::Lost);
            match sent.and_then(|()| state.commit(&name, epoch, now_ms)) {
                Ok(_) => AppendIf::Done(end),
                Err(CommitFault::Lost(lost)) => {
                    AppendIf::Failed(LogError::Fenced(format!("{lost:?}")))
                }
                Err(CommitFault::Poisoned(poison)) => {
                    AppendIf::Failed(LogError::Other(poison.reason))
                }
            }
        });
        match (done, self.make_durable_now()) {
            (AppendIf::Done(_), Err(error)) => AppendIf::Unknown(error.to_string()),
            (done, _) => done,
        }
    }

    fn make_durable_now(&self) -> Result<(), LogError> {
        match self.options.durability {
            Durability::Always => {
                self.sync().map_err(|error| LogError::Other(format!("the embedded log: {error}")))
            }
            Durability::Every(_) => Ok(()),
        }
    }
}

impl State {
    fn commit(&mut self, id: &str, epoch: u64, now_ms: i64) -> Result<Committed, CommitFault> {
        let Some(mut entry) = self.core.commit_entry(id, epoch, now_ms)? else {
            return Ok(Committed { ends: Vec::new(), change: 0 });
        };
        if let Err(error) = self.journal(&mut entry) {
            self.abort(id);
            let reason = error.to_string();
            return Err(CommitFault::Poisoned(Poison { culprits: Vec::new(), reason }));
        }
        self.core.close(id, &entry);
        let end =
            |patch: &PartPatch| patch.chunks.last().map(|chunk| (patch.tp, Offset(chunk.next)));
        let ends = entry.parts.iter().filter_map(end).collect();
        Ok(Committed { ends, change: self.written })
    }
}

fn gone(tp: Tp) -> LogError {
    LogError::Gone(format!("{tp:?}"))
}

fn too_large(bytes: usize, bytes_max: usize) -> LogError {
    LogError::Other(format!(
        "record of {bytes} bytes is larger than the topic allows ({bytes_max}): raise its \
         max.message.bytes"
    ))
}

fn reference<'a>(record: &'a Record, headers: &'a [HeaderRef<'a>]) -> RecordRef<'a> {
    RecordRef {
        timestamp: record.timestamp,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers,
    }
}
