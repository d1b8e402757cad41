//! How a lane closes its transaction: what belongs into it, sending, and the one place where
//! uncommitted becomes committed.

use std::task::Poll;
use std::time::Duration;

use crate::error::{EngineError, Kind, Result};
use crate::ids::{Offset, Timestamp, Tp};
use crate::lane::{Lane, Phase};
use crate::lane_recovery::Recovery;
use crate::log::{Ending, LogError, Outcome, Record, TxnState, Writer};
use crate::mutant::{self, Mutant};
use crate::outbox::{Drained, Owner, Refused};
use crate::panics::caught;
use crate::processing_log::LogEntry;
use crate::progress::{self, LaneHeader};
use crate::task::Task;

/// How often a mutant, which does not care to wait, asks the log.
const MUTANT_POLLS_MAX: usize = 10_000;

/// How far the outbox got.
pub(crate) enum Sent {
    All,
    /// The writer is full.
    Some,
    /// A query was taken out of the lane: the transaction must be aborted.
    Ejected,
}

impl Lane {
    pub(crate) fn commit_due(&self) -> bool {
        let limits = &self.world.limits;
        let Some(since) = self.txn.since else { return self.txn.header_due };
        self.hurried
            || self.trial_is_due()
            || self.world.clock.elapsed().saturating_sub(since) >= limits.commit_interval
            || self.txn.records >= limits.transaction_records_max
            || self.txn.bytes + self.state.open_bytes() >= limits.transaction_bytes_max
            || self.owed_rows() >= limits.transaction_owed_rows_max
            || self.txn.partitions.len() >= limits.transaction_partitions_max
    }

    /// Rows that operators hold back until the commit.
    fn owed_rows(&self) -> usize {
        self.tasks.values().filter(|task| task.dirty).map(Task::owed_rows).sum()
    }

    /// Everything that belongs into this transaction goes to the outbox: held-back rows, changelogs,
    /// processing log, positions, header.
    pub(crate) fn prepare_commit(&mut self) -> Result<()> {
        self.txn.number = self.header.commit + 1;
        self.flush_tasks()?;
        for change in self.state.changes() {
            let Some(tp) = self.changelog_of.get(&change.store) else {
                return Err(EngineError::Bug(format!("store {} has no changelog", change.store)));
            };
            let time = Timestamp(change.time_ms);
            self.outbox.owned_by(Owner::Store(change.store));
            self.outbox.push(*tp, time, Some(change.key), change.value);
        }
        for entry in std::mem::take(&mut self.txn.log) {
            self.push_log(&entry);
        }
        self.collect_progress()?;
        let (progress_tp, now) = (self.progress_tp(), self.world.clock.now());
        self.outbox.owned_by(Owner::Lane);
        for (key, value) in &self.pending_progress {
            self.outbox.push(progress_tp, now, Some(key.as_bytes()), value.as_deref());
        }
        Ok(())
    }

    fn push_log(&mut self, entry: &LogEntry) {
        let now = self.world.clock.now();
        let (logger, value) = (entry.logger(), entry.to_json(now));
        self.outbox.owned_by(Owner::Log);
        self.outbox.push(self.world.processing_log, now, Some(logger.as_bytes()), Some(&value));
    }

    /// A query whose rows cannot be handed out is taken out of the lane before it starts again.
    fn flush_tasks(&mut self) -> Result<()> {
        let mut failed = None;
        for task in self.tasks.values_mut().filter(|task| task.dirty) {
            self.outbox.owned_by(Owner::Task(task.key.clone()));
            match caught(|| task.flush(&mut self.state, &mut self.outbox)) {
                Ok(log) => self.txn.log.extend(log),
                Err(error) => {
                    failed = Some((task.key.query.clone(), error));
                    break;
                }
            }
        }
        let Some((query, error)) = failed else { return Ok(()) };
        if self.is_querys_fault(&error) {
            self.eject(&query, &error.to_string());
        }
        Err(error)
    }

    /// What must not be done, see [`crate::mutant`]: positions are written as records are taken in,
    /// as a consumer that commits by itself does.
    pub(crate) fn append_positions(&self) -> Result<()> {
        let now = self.world.clock.now();
        let mut records = Vec::new();
        for task in self.tasks.values().filter(|task| task.dirty) {
            for input in task.inputs.iter().filter(|input| input.position != input.committed) {
                let key = progress::position_key(&task.key, input.tp, input.twin);
                let value = progress::encode(&progress::PositionRecord { next: input.position })?;
                records.push(Record::new(now, Some(key.as_bytes()), Some(&value)));
            }
        }
        for _ in 0..MUTANT_POLLS_MAX {
            if let Poll::Ready(appended) = self.world.log.append(self.progress_tp(), &records) {
                return appended.map(|_| ()).map_err(EngineError::Log);
            }
            self.world.log.park(Duration::from_millis(1));
        }
        Err(EngineError::Log(LogError::Unreachable("the log does not answer".to_owned())))
    }

    fn collect_progress(&mut self) -> Result<()> {
        debug_assert!(self.pending_progress.is_empty(), "one transaction at a time");
        for task in self.tasks.values().filter(|task| task.dirty) {
            for input in task.inputs.iter().filter(|input| input.position != input.committed) {
                let key = progress::position_key(&task.key, input.tp, input.twin);
                let value = progress::PositionRecord { next: input.position };
                self.pending_progress.push((key, Some(progress::encode(&value)?)));
            }
            if let Some(value) = task.changed_progress() {
                let key = progress::task_key(&task.key);
                self.pending_progress.push((key, Some(progress::encode(&value)?)));
            }
        }
        let obsolete = std::mem::take(&mut self.obsolete);
        self.pending_progress.extend(obsolete.into_iter().map(|key| (key, None)));
        let header = LaneHeader {
            format: progress::PROGRESS_FORMAT,
            lanes: self.world.lanes,
            epoch: self.header.epoch,
            node: self.world.node.clone(),
            url: self.world.url.clone(),
            commit: self.txn.number,
            command: self.command,
        };
        let value = progress::encode(&header)?;
        self.pending_progress.push((progress::LANE_KEY.to_owned(), Some(value)));
        Ok(())
    }

    pub(crate) fn send(&mut self, mut writer: Box<dyn Writer>) -> Result<bool> {
        if !self.check_writer(writer.poll())? {
            return self.abort(writer);
        }
        match self.drain(&mut *writer)? {
            Sent::All => {}
            Sent::Some => {
                self.phase = Phase::Sending { writer };
                return Ok(false);
            }
            Sent::Ejected => return self.abort(writer),
        }
        if mutant::active() == Some(Mutant::StateBeforeCommit) {
            self.state.apply(self.header.commit, &[]);
            self.state.flush()?;
            std::thread::sleep(mutant::pause());
        }
        self.phase = Phase::Committing { ending: writer.commit() };
        Ok(true)
    }

    /// Hands the outbox to the writer. A record that is too large for its topic does not go.
    pub(crate) fn drain(&mut self, writer: &mut dyn Writer) -> Result<Sent> {
        loop {
            let txn = &mut self.txn;
            let drained = self.outbox.drain(writer, &mut |tp, bytes| {
                txn.bytes += bytes;
                txn.partitions.insert(tp);
            })?;
            match drained {
                Drained::All => return Ok(Sent::All),
                Drained::Some => return Ok(Sent::Some),
                Drained::Refused(refused) => {
                    if self.refused(refused)? {
                        return Ok(Sent::Ejected);
                    }
                }
            }
        }
    }

    /// A row that its topic does not take goes to the processing log, in this transaction. State
    /// that its changelog does not take stops its query: without it a restart would lose it. True
    /// when a query was stopped.
    fn refused(&mut self, refused: Refused) -> Result<bool> {
        let Refused { owner, to, bytes, bytes_max } = refused;
        match owner {
            Owner::Task(key) => {
                let Some(task) = self.tasks.get_mut(&key) else { return Ok(false) };
                let topic = task.query.topic_name(to.topic).unwrap_or("?");
                let entry = LogEntry::too_large(&key.query, (topic, to), bytes, bytes_max);
                task.counts.rejects += 1;
                self.push_log(&entry);
                Ok(false)
            }
            Owner::Store(store) => {
                let mut queries = self.tasks.values().map(|task| &task.query);
                let Some(query) = queries.find(|query| query.has_store(store)).cloned() else {
                    return Err(EngineError::Bug(format!("store {store} is nobody's")));
                };
                let topic = query.topic_name(to.topic).unwrap_or("?");
                let reason = format!(
                    "a change of state of {bytes} bytes is larger than its changelog {topic} takes \
                     ({bytes_max} bytes): raise max.message.bytes of the topic, or let the query \
                     keep less per key"
                );
                self.eject(&query.id, &reason);
                Ok(true)
            }
            // Cut to a length that any sensible topic takes.
            Owner::Log => {
                let lane = self.id.0;
                tracing::error!(
                    lane,
                    bytes,
                    bytes_max,
                    "the processing log takes no entry of that size: raise its max.message.bytes"
                );
                Ok(false)
            }
            Owner::Lane => Err(EngineError::Config(format!(
                "a progress record of {bytes} bytes is larger than the progress topic takes \
                 ({bytes_max} bytes): raise its max.message.bytes"
            ))),
        }
    }

    /// False: the transaction must be aborted, and those who are to blame are out of the lane.
    pub(crate) fn check_writer(&mut self, state: TxnState) -> Result<bool> {
        match state {
            TxnState::Idle | TxnState::Open { .. } => Ok(true),
            TxnState::MustAbort { culprits, reason } => {
                tracing::warn!(lane = self.id.0, reason, "the transaction must be aborted");
                match self.eject_writers_of(&culprits, &reason) {
                    true => Ok(false),
                    false if culprits.is_empty() => Err(EngineError::Unexplained(reason)),
                    false => Err(EngineError::Log(LogError::Other(reason))),
                }
            }
            TxnState::Dead(lost) => Err(EngineError::Lost(lost)),
        }
    }

    /// True while a transaction is sent and ended.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(
            self.phase,
            Phase::Sending { .. } | Phase::Committing { .. } | Phase::Aborting { .. }
        )
    }

    pub(crate) fn await_commit(&mut self, mut ending: Box<dyn Ending>) -> Result<bool> {
        match ending.poll() {
            Poll::Pending => {
                self.phase = Phase::Committing { ending };
                Ok(false)
            }
            Poll::Ready(Outcome::Committed { writer, ends }) => {
                self.committed(&ends)?;
                self.phase = Phase::Running { writer };
                Ok(true)
            }
            Poll::Ready(Outcome::Aborted { writer, culprits }) => {
                let reason = "the log aborted the transaction";
                match self.eject_writers_of(&culprits, reason) {
                    true => Ok(self.start_over(writer)),
                    false if culprits.is_empty() => {
                        Err(EngineError::Unexplained(reason.to_owned()))
                    }
                    false => Err(EngineError::Log(LogError::Other(reason.to_owned()))),
                }
            }
            Poll::Ready(Outcome::Lost(lost)) => Err(EngineError::Lost(lost)),
        }
    }

    /// The one place where uncommitted becomes committed.
    fn committed(&mut self, ends: &[(Tp, Offset)]) -> Result<()> {
        let number = self.txn.number;
        assert!(number == self.header.commit + 1, "commit numbers have no gaps");
        let ends: Vec<_> = ends
            .iter()
            .filter_map(|(tp, end)| self.changelogs.get(tp).map(|s| (*s, tp.topic, *end)))
            .collect();
        self.state.apply(number, &ends);
        let stores = self.tasks.values().flat_map(|task| task.query.stores_of(&task.key));
        self.state.are_whole(stores, self.world.clock.now().0);
        debug_assert!(self.state.is_clean(), "I2: nothing uncommitted when idle");
        for task in self.tasks.values_mut() {
            task.committed();
        }
        for (key, value) in self.pending_progress.drain(..) {
            match value {
                Some(value) => self.progress.insert(key, value),
                None => self.progress.remove(&key),
            };
        }
        self.header.commit = number;
        self.header.command = self.command;
        let with_work = std::mem::take(&mut self.txn).since.is_some();
        self.stats.commits += 1;
        self.stats.failure = None;
        if with_work || !self.trials.suspects() {
            self.backoff = self.world.limits.retry_backoff;
        }
        self.judge(with_work);
        self.spill_if_due()?;
        self.state_failures = 0;
        Ok(())
    }

    fn spill_if_due(&mut self) -> Result<()> {
        let limits = &self.world.limits;
        let now = self.world.clock.elapsed();
        let aged = now.saturating_sub(self.last_spill) >= limits.committed_memory_age_max;
        if self.state.committed_bytes() >= limits.committed_memory_bytes_max
            || (aged && self.state.committed_bytes() > 0)
        {
            self.state.spill()?;
            self.last_spill = now;
        }
        Ok(())
    }

    /// Ends the transaction by aborting it.
    pub(crate) fn abort(&mut self, writer: Box<dyn Writer>) -> Result<bool> {
        self.phase = Phase::Aborting { ending: writer.abort() };
        Ok(true)
    }

    pub(crate) fn await_abort(&mut self, mut ending: Box<dyn Ending>) -> Result<bool> {
        match ending.poll() {
            Poll::Pending => {
                self.phase = Phase::Aborting { ending };
                Ok(false)
            }
            // R13: after an abort that failed, a new writer; after one that worked, the same.
            Poll::Ready(Outcome::Aborted { writer, .. } | Outcome::Committed { writer, .. }) => {
                Ok(self.start_over(writer))
            }
            Poll::Ready(Outcome::Lost(lost)) => Err(EngineError::Lost(lost)),
        }
    }

    /// Recovers with the writer that has just aborted.
    fn start_over(&mut self, writer: Box<dyn Writer>) -> bool {
        self.stats.aborts += 1;
        self.forget();
        self.phase = Phase::Recovering(Box::new(Recovery::whole(writer)));
        true
    }

    /// Failures that stop the query they strike. State that cannot be read is first rebuilt; when
    /// that does not help, its changelog is at fault.
    pub(crate) fn is_querys_fault(&self, error: &EngineError) -> bool {
        match error.kind() {
            Kind::User | Kind::Config | Kind::Bug => true,
            Kind::State => self.state_failures >= REBUILDS_MAX,
            Kind::Retry | Kind::Fenced => false,
        }
    }
}

/// Rebuilds of the state in a row after which the query that cannot read it stops.
const REBUILDS_MAX: u32 = 2;
