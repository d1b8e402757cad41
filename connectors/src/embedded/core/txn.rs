//! Transactions by writer id: epochs fence, an open one pins the LSO of what it touched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_engine::ids::{TopicId, Tp};
use millrace_engine::log::Lost;

use super::Core;
use super::chunk::{CHUNK_BYTES_MAX, ChunkBuilder};
use super::entry::{Entry, PartPatch};
use forgotten::Left;

mod forgotten;

/// What is known of a writer id.
#[derive(Debug)]
pub struct WriterState {
    id: Arc<str>,
    /// Only the writer that was opened last may act.
    epoch: u64,
    txn: Option<Txn>,
    /// What partitions were not told, see [`forgotten`].
    left: BTreeMap<Tp, Left>,
    /// Why the present epoch is over, when it ended without a newer one.
    lost: Option<Lost>,
}

#[derive(Debug, Default)]
struct Txn {
    began: Duration,
    parts: BTreeMap<Tp, Vec<Run>>,
    poison: Option<Poison>,
}

/// Records in a row of one transaction.
#[derive(Debug)]
struct Run {
    base: i64,
    records: ChunkBuilder,
}

/// Why a transaction can only be aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    pub culprits: Vec<TopicId>,
    pub reason: String,
}

/// Why a transaction could not be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitFault {
    Lost(Lost),
    Poisoned(Poison),
}

/// State of the transaction of a living writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxnView {
    Idle,
    Open,
    Poisoned(Poison),
}

impl Core {
    /// Opens a writer. The open transaction of an older one must have been aborted before.
    pub fn open_writer(&mut self, id: &str) -> (Arc<str>, u64) {
        let writer = self.writers.entry(id.to_owned()).or_insert_with(|| WriterState {
            id: id.into(),
            epoch: 0,
            txn: None,
            left: BTreeMap::new(),
            lost: None,
        });
        debug_assert!(writer.txn.is_none(), "the caller aborts first");
        writer.epoch += 1;
        writer.lost = None;
        (writer.id.clone(), writer.epoch)
    }

    /// # Errors
    /// When a newer writer of that id was opened, or the writer's time is over.
    pub fn txn_view(&self, id: &str, epoch: u64) -> Result<TxnView, Lost> {
        let writer = self.living(id, epoch)?;
        Ok(match &writer.txn {
            None => TxnView::Idle,
            Some(Txn { poison: Some(poison), .. }) => TxnView::Poisoned(poison.clone()),
            Some(_) => TxnView::Open,
        })
    }

    /// Adds records to the transaction, which begins with the first of them. Records for a
    /// partition that is gone poison it.
    ///
    /// # Errors
    /// As [`Core::txn_view`].
    pub fn append_txn(
        &mut self,
        (id, epoch): (&str, u64),
        tp: Tp,
        records: ChunkBuilder,
        now: Duration,
    ) -> Result<(), Lost> {
        self.living(id, epoch)?;
        let name = self.writers.get(id).map(|writer| writer.id.clone()).unwrap_or_default();
        let touched = self.txn_mut(id, now).is_some_and(|txn| txn.parts.contains_key(&tp))
            || self.writers.get(id).is_some_and(|writer| writer.left.contains_key(&tp));
        let base = match self.partition_mut(tp) {
            Some(partition) => {
                let base = partition.allocate(records.span());
                if !touched {
                    partition.open(&name, base);
                }
                self.changed |= self.partition(tp).is_some_and(|partition| partition.publish());
                base
            }
            None => {
                let reason = format!("{tp:?} does not exist (any more)");
                self.poison(id, now, Poison { culprits: vec![tp.topic], reason });
                return Ok(());
            }
        };
        if let Some(txn) = self.txn_mut(id, now) {
            txn.push(tp, base, records);
        }
        Ok(())
    }

    /// Makes the transaction one that can only be aborted.
    pub fn poison(&mut self, id: &str, now: Duration, poison: Poison) {
        if let Some(txn) = self.txn_mut(id, now) {
            txn.poison.get_or_insert(poison);
        }
    }

    /// The change that commits the writer's transaction; `None` when none is open. Takes the
    /// records: after it [`Core::close`] must follow, be it with the change or with an abort.
    ///
    /// # Errors
    /// See [`CommitFault`].
    pub fn commit_entry(
        &mut self,
        id: &str,
        epoch: u64,
        now_ms: i64,
    ) -> Result<Option<Entry>, CommitFault> {
        if let TxnView::Poisoned(poison) = self.txn_view(id, epoch).map_err(CommitFault::Lost)? {
            return Err(CommitFault::Poisoned(poison));
        }
        let Some(mut entry) = self.abort_entry(id) else { return Ok(None) };
        let Some(WriterState { txn: Some(txn), left, .. }) = self.writers.get_mut(id) else {
            return Ok(None);
        };
        for patch in &mut entry.parts {
            let before = left.remove(&patch.tp).map(|left| left.runs).unwrap_or_default();
            let runs = txn.parts.get_mut(&patch.tp).map(std::mem::take).unwrap_or_default();
            let all = before.into_iter().chain(runs);
            patch.chunks = all.map(|run| run.records.build(run.base, now_ms)).collect();
        }
        Ok(Some(entry))
    }

    /// The change that aborts the open transaction of `id`, whoever writes it.
    pub fn abort_entry(&self, id: &str) -> Option<Entry> {
        let txn = self.writers.get(id)?.txn.as_ref()?;
        let end = |tp: &Tp| {
            let end = self.partition(*tp)?.hw() + 1;
            Some(PartPatch { end, ..PartPatch::new(*tp) })
        };
        Some(Entry::parts(txn.parts.keys().filter_map(end).collect()))
    }

    /// Ends the transaction of `id` by the change that was made for it.
    pub fn close(&mut self, id: &str, entry: &Entry) {
        let Some(txn) = self.writers.get_mut(id).and_then(|writer| writer.txn.take()) else {
            return;
        };
        for tp in txn.parts.keys() {
            if let Some(partition) = self.partition_mut(*tp) {
                partition.close(id);
            }
            if let Some(writer) = self.writers.get_mut(id) {
                writer.left.remove(tp);
            }
        }
        self.apply(entry);
    }

    /// Ends the present epoch of `id` without a newer writer.
    pub fn lose(&mut self, id: &str, lost: Lost) {
        if let Some(writer) = self.writers.get_mut(id) {
            writer.lost = Some(lost);
        }
    }

    /// Ids whose open transaction began before `before`.
    pub fn overdue(&self, before: Duration) -> Vec<Arc<str>> {
        let late = |writer: &&WriterState| writer.txn.as_ref().is_some_and(|t| t.began < before);
        self.writers.values().filter(late).map(|writer| writer.id.clone()).collect()
    }

    /// Ids with an open transaction.
    pub fn open_ids(&self) -> Vec<Arc<str>> {
        let open = self.writers.values().filter(|writer| writer.txn.is_some());
        open.map(|writer| writer.id.clone()).collect()
    }

    /// A deleted topic poisons the transactions that touched it.
    pub(super) fn poison_writers(&mut self, topic: TopicId, name: &str) {
        for txn in self.writers.values_mut().filter_map(|writer| writer.txn.as_mut()) {
            if txn.parts.keys().any(|tp| tp.topic == topic) {
                let reason =
                    format!("topic {name} was deleted while records were being sent to it");
                txn.poison.get_or_insert(Poison { culprits: vec![topic], reason });
            }
        }
    }

    fn living(&self, id: &str, epoch: u64) -> Result<&WriterState, Lost> {
        match self.writers.get(id) {
            Some(WriterState { lost: Some(lost), epoch: now, .. }) if *now == epoch => {
                Err(lost.clone())
            }
            Some(writer) if writer.epoch == epoch => Ok(writer),
            _ => Err(Lost::Fenced(format!("a newer writer of id {id} was opened"))),
        }
    }

    fn txn_mut(&mut self, id: &str, now: Duration) -> Option<&mut Txn> {
        let writer = self.writers.get_mut(id)?;
        Some(writer.txn.get_or_insert_with(|| Txn { began: now, ..Txn::default() }))
    }
}

impl Txn {
    /// Adds a run, joining it to the one before if nothing lies between and both are small.
    fn push(&mut self, tp: Tp, base: i64, records: ChunkBuilder) {
        let runs = self.parts.entry(tp).or_default();
        if let Some(last) = runs.last_mut() {
            let adjacent = last.base + i64::from(last.records.span()) == base;
            if adjacent && last.records.bytes() + records.bytes() <= CHUNK_BYTES_MAX {
                last.records.absorb(&records);
                return;
            }
        }
        runs.push(Run { base, records });
    }
}
