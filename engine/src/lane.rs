//! A lane: some tasks, their state and one transactional writer, stepped by a worker. A step never
//! blocks and never awaits; everything a batch goes through is visible from [`Lane::step`].
//!
//! ```text
//! Opening -> Asking -> Reading -> Restoring -> Running <-> Committing
//!    ^                                            |            |
//!    +--------------- any loss of the writer -----+------------+
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millrace_sql::expr::with_ambient;

use crate::error::{EngineError, Kind, Result};
use crate::format::Formats;
use crate::ids::{LaneId, Offset, Timestamp, TopicId, Tp};
use crate::lane_recovery::Recovery;
pub use crate::lane_recovery::TOMBSTONE_LIFE;
use crate::limits::Limits;
use crate::log::{Ending, Log, LogError, Outcome, PollLimits, Record, TxnState, Writer};
use crate::mutant::{self, Mutant};
use crate::names::Names;
use crate::operators::cache::CacheBudget;
use crate::outbox::Outbox;
use crate::processing_log::LogEntry;
use crate::progress::{self, LaneHeader, TaskKey};
use crate::query::QueryDef;
use crate::reader::Reader;
use crate::registry::Registry;
use crate::seams::{Clock, Entropy};
use crate::state::StoreId;
use crate::state::disk::DiskStore;
use crate::state::lane::LaneState;
use crate::task::Task;

/// How often a mutant, which does not care to wait, asks the log.
const MUTANT_POLLS_MAX: usize = 10_000;
/// How long a mutant leaves its state on disk before it commits, so that kills land in between.
const MUTANT_PAUSE: Duration = Duration::from_millis(150);

/// What all lanes of a node share.
#[derive(Clone)]
pub struct World {
    pub log: Arc<dyn Log>,
    pub formats: Arc<dyn Formats>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub limits: Arc<Limits>,
    /// What the caches of all operators of the process share.
    pub caches: Arc<CacheBudget>,
    pub names: Names,
    /// Number of lanes of the service.
    pub lanes: u32,
    /// This node's id and URL, as lane headers show them.
    pub node: String,
    pub url: String,
    pub progress_topic: TopicId,
    pub processing_log: Tp,
}

/// One lane.
pub struct Lane {
    pub id: LaneId,
    pub(crate) world: World,
    pub(crate) registry: Arc<Registry>,
    pub(crate) phase: Phase,
    pub(crate) tasks: BTreeMap<TaskKey, Task>,
    pub(crate) state: LaneState,
    pub(crate) reader: Reader,
    outbox: Outbox,
    pub(crate) header: LaneHeader,
    /// The progress partition as it is committed.
    pub(crate) progress: BTreeMap<String, Vec<u8>>,
    /// Changes of progress in the transaction being closed.
    pending_progress: Vec<(String, Option<Vec<u8>>)>,
    /// Progress keys of dropped queries, to be tombstoned.
    pub(crate) obsolete: Vec<String>,
    txn: Txn,
    /// Changelog partitions of this lane's stores.
    pub(crate) changelogs: HashMap<Tp, StoreId>,
    changelog_of: HashMap<StoreId, Tp>,
    last_spill: Duration,
    backoff: Duration,
    /// Commit at the next occasion, and take nothing in.
    hurried: bool,
    /// Commands applied here, and the registry's generation that was last looked at.
    pub(crate) command: i64,
    pub(crate) generation: u64,
    pub(crate) stats: LaneStats,
    /// Where progress ended before the writer was opened; see [`crate::mutant`].
    pub(crate) mutant_end: Option<Offset>,
}

/// Counters of a lane, for people and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneStats {
    pub commits: u64,
    pub aborts: u64,
    pub recoveries: u64,
    pub restored_records: u64,
    /// What the lane last failed of.
    pub failure: Option<String>,
}

/// What a lane is doing.
pub(crate) enum Phase {
    /// Waits out a failure.
    Backoff {
        until: Duration,
    },
    /// Asks for the writer: fences whoever had the lane.
    Opening,
    /// Reads progress and changelogs up to the high watermarks.
    Recovering(Box<Recovery>),
    /// Takes records in.
    Running {
        writer: Box<dyn Writer>,
    },
    /// Everything is computed; sends the rest, then commits.
    Sending {
        writer: Box<dyn Writer>,
    },
    Committing {
        ending: Box<dyn Ending>,
    },
    Aborting {
        ending: Box<dyn Ending>,
    },
    /// Between phases; never seen outside of a step.
    Moving,
    Closed,
}

/// The transaction being filled.
#[derive(Debug, Default)]
struct Txn {
    /// When the first record was taken in.
    since: Option<Duration>,
    records: usize,
    bytes: usize,
    partitions: std::collections::HashSet<Tp>,
    log: Vec<LogEntry>,
    /// A header must be written even if nothing else is.
    header_due: bool,
    number: u64,
}

impl Lane {
    pub fn new(
        id: LaneId,
        world: World,
        registry: Arc<Registry>,
        disk: Box<dyn DiskStore>,
    ) -> Result<Self> {
        let reader = Reader::new(world.log.clone(), world.formats.clone());
        let backoff = world.limits.retry_backoff;
        Ok(Lane {
            id,
            registry,
            phase: Phase::Opening,
            tasks: BTreeMap::new(),
            state: LaneState::new(disk)?,
            reader,
            outbox: Outbox::default(),
            header: LaneHeader::default(),
            progress: BTreeMap::new(),
            pending_progress: Vec::new(),
            obsolete: Vec::new(),
            txn: Txn::default(),
            changelogs: HashMap::new(),
            changelog_of: HashMap::new(),
            last_spill: world.clock.elapsed(),
            backoff,
            hurried: false,
            command: -1,
            generation: 0,
            stats: LaneStats::default(),
            mutant_end: None,
            world,
        })
    }

    /// Does what can be done now. True: there is more to do at once.
    pub fn step(&mut self) -> bool {
        let (now, entropy) = (self.world.clock.now(), Arc::clone(&self.world.entropy));
        match with_ambient(now.0, &|| entropy.next_u64(), || self.try_step()) {
            Ok(busy) => busy,
            Err(error) => {
                self.failed(error);
                true
            }
        }
    }

    /// True while records are taken in and committed: what RUNNING means.
    pub fn is_running(&self) -> bool {
        matches!(
            self.phase,
            Phase::Running { .. } | Phase::Sending { .. } | Phase::Committing { .. }
        )
    }

    /// True when no transaction is open and nothing waits to be taken in.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
            && self.txn.since.is_none()
            && !self.txn.header_due
            && !self.tasks.values().any(Task::has_buffered)
    }

    /// True when the transaction is closed; what is buffered is read again later.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
            && self.txn.since.is_none()
            && self.outbox.is_empty()
    }

    /// This lane's partition of the progress topic.
    pub fn progress_tp(&self) -> Tp {
        Tp::new(self.world.progress_topic, self.id.0)
    }

    pub fn stats(&self) -> &LaneStats {
        &self.stats
    }

    pub fn header(&self) -> &LaneHeader {
        &self.header
    }

    /// Commands that this lane has applied.
    pub fn applied_command(&self) -> i64 {
        self.command
    }

    pub fn state(&self) -> &LaneState {
        &self.state
    }

    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// Closes the open transaction as soon as possible, e.g. before shutdown.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Flushes committed state to disk and stops; the transaction must be closed.
    pub fn close(&mut self) -> Result<()> {
        if self.state.is_clean() {
            self.state.flush()?;
        }
        self.phase = Phase::Closed;
        Ok(())
    }

    fn try_step(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.phase, Phase::Moving) {
            Phase::Backoff { until } => {
                let over = self.world.clock.elapsed() >= until;
                self.phase = if over { Phase::Opening } else { Phase::Backoff { until } };
                Ok(over)
            }
            Phase::Opening => self.open(),
            Phase::Recovering(recovery) => self.recover(recovery),
            Phase::Running { writer } => self.run(writer),
            Phase::Sending { writer } => self.send(writer),
            Phase::Committing { ending } => self.await_commit(ending),
            Phase::Aborting { ending } => self.await_abort(ending),
            phase @ (Phase::Moving | Phase::Closed) => {
                self.phase = phase;
                Ok(false)
            }
        }
    }

    /// R9: the writer first; nothing read before it counts.
    fn open(&mut self) -> Result<bool> {
        self.phase = Phase::Opening;
        if mutant::active() == Some(Mutant::ProgressBeforeInit) && self.mutant_end.is_none() {
            let Poll::Ready(Ok(ends)) = self.world.log.ends(&[self.progress_tp()]) else {
                return Ok(false);
            };
            self.mutant_end = ends.first().map(|ends| ends.hw);
        }
        let id = self.world.names.lane_writer(self.id.0);
        match self.world.log.writer(&id) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(EngineError::Log(error)),
            Poll::Ready(Ok(writer)) => {
                self.stats.recoveries += 1;
                self.forget();
                self.phase = Phase::Recovering(Box::new(Recovery::whole(writer)));
                Ok(true)
            }
        }
    }

    /// Drops everything that is not on disk or in committed memory.
    fn forget(&mut self) {
        self.state.abort();
        self.outbox.clear();
        self.pending_progress.clear();
        self.txn = Txn::default();
        self.tasks.clear();
        self.reader.clear();
    }

    fn run(&mut self, mut writer: Box<dyn Writer>) -> Result<bool> {
        self.check_writer(writer.poll())?;
        if !self.outbox.is_empty() && !self.drain(&mut *writer)? {
            self.phase = Phase::Running { writer };
            return Ok(false);
        }
        if self.commit_due() {
            self.prepare_commit()?;
            self.phase = Phase::Sending { writer };
            return Ok(true);
        }
        if self.txn.since.is_none() && self.registry.generation() != self.generation {
            // R5: commands are applied only when no transaction is open.
            return self.apply_commands(writer);
        }
        self.phase = Phase::Running { writer };
        if self.hurried {
            return Ok(false);
        }
        self.take_in()
    }

    /// One poll, and a share of each task's buffer.
    fn take_in(&mut self) -> Result<bool> {
        let limits = &self.world.limits;
        let poll =
            PollLimits { records_max: limits.poll_records_max, bytes_max: limits.poll_bytes_max };
        let polled = self.reader.poll(&poll, &mut self.tasks)?;
        if !polled.failures.is_empty() {
            for failure in polled.failures {
                let reason = failure.error.to_string();
                for query in failure.queries {
                    self.eject(&query, &reason);
                }
            }
            return self.rewind();
        }
        let now = self.world.clock.elapsed();
        let mut taken = 0;
        let mut failed = None;
        for task in self.tasks.values_mut().filter(|task| task.has_buffered()) {
            let (records, wait) = (limits.poll_records_max, limits.input_wait_max);
            match task.work(&mut self.state, &mut self.outbox, records, now, wait) {
                Ok(worked) => {
                    taken += worked.records;
                    if task.dirty {
                        self.txn.since.get_or_insert(now);
                    }
                    self.txn.log.extend(worked.log);
                }
                Err(error) => {
                    failed = Some((task.key.query.clone(), error));
                    break;
                }
            }
        }
        if let Some((query, error)) = failed {
            return self.task_failed(&query, error);
        }
        self.txn.records += taken;
        if taken > 0 && mutant::active() == Some(Mutant::PositionsOutside) {
            self.append_positions()?;
        }
        self.reader.balance(limits.input_buffer_records_max, &self.tasks);
        Ok(taken > 0 || polled.records > 0)
    }

    fn commit_due(&self) -> bool {
        let limits = &self.world.limits;
        let Some(since) = self.txn.since else { return self.txn.header_due };
        self.hurried
            || self.world.clock.elapsed().saturating_sub(since) >= limits.commit_interval
            || self.txn.records >= limits.transaction_records_max
            || self.txn.bytes + self.state.open_bytes() >= limits.transaction_bytes_max
            || self.txn.partitions.len() >= limits.transaction_partitions_max
    }

    /// Everything that belongs into this transaction goes to the outbox: held-back rows, changelogs,
    /// processing log, positions, header.
    fn prepare_commit(&mut self) -> Result<()> {
        self.txn.number = self.header.commit + 1;
        self.flush_tasks()?;
        for change in self.state.changes() {
            let Some(tp) = self.changelog_of.get(&change.store) else {
                return Err(EngineError::Bug(format!("store {} has no changelog", change.store)));
            };
            let time = Timestamp(change.time_ms);
            self.outbox.push(*tp, time, Some(change.key), change.value);
        }
        let now = self.world.clock.now();
        for entry in self.txn.log.drain(..) {
            let logger = entry.logger();
            let value = entry.to_json(now);
            let to = self.world.processing_log;
            self.outbox.push(to, now, Some(logger.as_bytes()), Some(&value));
        }
        self.collect_progress()?;
        let progress_tp = self.progress_tp();
        for (key, value) in &self.pending_progress {
            self.outbox.push(progress_tp, now, Some(key.as_bytes()), value.as_deref());
        }
        Ok(())
    }

    /// A query whose rows cannot be handed out is taken out of the lane before it starts again.
    fn flush_tasks(&mut self) -> Result<()> {
        let mut failed = None;
        for task in self.tasks.values_mut().filter(|task| task.dirty) {
            match task.flush(&mut self.state, &mut self.outbox) {
                Ok(log) => self.txn.log.extend(log),
                Err(error) => {
                    failed = Some((task.key.query.clone(), error));
                    break;
                }
            }
        }
        let Some((query, error)) = failed else { return Ok(()) };
        if matches!(error.kind(), Kind::User | Kind::Config | Kind::Bug) {
            self.eject(&query, &error.to_string());
        }
        Err(error)
    }

    /// What must not be done, see [`crate::mutant`]: positions are written as records are taken in,
    /// as a consumer that commits by itself does.
    fn append_positions(&self) -> Result<()> {
        let now = self.world.clock.now();
        let mut records = Vec::new();
        for task in self.tasks.values().filter(|task| task.dirty) {
            for input in task.inputs.iter().filter(|input| input.position != input.committed) {
                let key = progress::position_key(&task.key, input.tp);
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
                let key = progress::position_key(&task.key, input.tp);
                let value = progress::PositionRecord { next: input.position };
                self.pending_progress.push((key, Some(progress::encode(&value)?)));
            }
            if let Some(operators) = task.changed_progress() {
                let value = progress::TaskRecord { operators };
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

    fn send(&mut self, mut writer: Box<dyn Writer>) -> Result<bool> {
        self.check_writer(writer.poll())?;
        if !self.drain(&mut *writer)? {
            self.phase = Phase::Sending { writer };
            return Ok(false);
        }
        if mutant::active() == Some(Mutant::StateBeforeCommit) {
            self.state.apply(self.header.commit, self.world.clock.now().0, &[]);
            self.state.flush()?;
            std::thread::sleep(MUTANT_PAUSE);
        }
        self.phase = Phase::Committing { ending: writer.commit() };
        Ok(true)
    }

    fn drain(&mut self, writer: &mut dyn Writer) -> Result<bool> {
        let txn = &mut self.txn;
        self.outbox.drain(writer, &mut |tp, bytes| {
            txn.bytes += bytes;
            txn.partitions.insert(tp);
        })
    }

    fn check_writer(&mut self, state: TxnState) -> Result<()> {
        match state {
            TxnState::Idle | TxnState::Open { .. } => Ok(()),
            TxnState::MustAbort { reason, .. } => {
                tracing::warn!(lane = self.id.0, reason, "the transaction must be aborted");
                Err(EngineError::Log(LogError::Other(reason)))
            }
            TxnState::Dead(lost) => Err(EngineError::Lost(lost)),
        }
    }

    fn await_commit(&mut self, mut ending: Box<dyn Ending>) -> Result<bool> {
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
            Poll::Ready(Outcome::Aborted { .. }) => {
                Err(EngineError::Log(LogError::Other("the log aborted the transaction".to_owned())))
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
        self.state.apply(number, self.world.clock.now().0, &ends);
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
        self.txn = Txn::default();
        self.stats.commits += 1;
        self.backoff = self.world.limits.retry_backoff;
        self.spill_if_due()
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

    fn await_abort(&mut self, mut ending: Box<dyn Ending>) -> Result<bool> {
        match ending.poll() {
            Poll::Pending => {
                self.phase = Phase::Aborting { ending };
                Ok(false)
            }
            // R13: after an abort that failed, a new writer; after one that worked, the same.
            Poll::Ready(Outcome::Aborted { writer, .. } | Outcome::Committed { writer, .. }) => {
                self.stats.aborts += 1;
                self.forget();
                self.phase = Phase::Recovering(Box::new(Recovery::whole(writer)));
                Ok(true)
            }
            Poll::Ready(Outcome::Lost(lost)) => Err(EngineError::Lost(lost)),
        }
    }

    /// A task's error stops its query, not the lane.
    fn task_failed(&mut self, query: &str, error: EngineError) -> Result<bool> {
        match error.kind() {
            Kind::User | Kind::Config | Kind::Bug => {
                self.eject(query, &error.to_string());
                self.rewind()
            }
            Kind::Retry | Kind::Fenced | Kind::State => Err(error),
        }
    }

    pub(crate) fn eject(&mut self, query: &str, reason: &str) {
        tracing::error!(lane = self.id.0, query, reason, "query stopped");
        self.registry.query_failed(query, reason, self.world.clock.as_ref(), &self.world.limits);
    }

    /// Aborts what is open and starts again from the last commit, without failed queries.
    fn rewind(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.phase, Phase::Moving) {
            Phase::Running { writer } | Phase::Sending { writer } => {
                self.phase = Phase::Aborting { ending: writer.abort() };
                Ok(true)
            }
            phase => {
                self.phase = phase;
                Err(EngineError::Bug("nothing to rewind".to_owned()))
            }
        }
    }

    /// Every failure of the lane itself ends here: drop the writer, wait, recover (R9).
    fn failed(&mut self, error: EngineError) {
        let until = self.world.clock.elapsed() + self.backoff;
        self.stats.failure = Some(error.to_string());
        match error.kind() {
            Kind::Fenced => tracing::warn!(lane = self.id.0, %error, "the lane's writer is gone"),
            _ => tracing::warn!(lane = self.id.0, %error, "the lane starts again"),
        }
        self.backoff = (self.backoff * 2).min(self.world.limits.retry_backoff_max);
        // Dropping the phase drops the writer: poisoned, it must not be used again (I6).
        self.phase = Phase::Backoff { until };
        self.forget();
    }

    /// Registers the changelog partition of a store of this lane.
    pub(crate) fn add_changelog(&mut self, store: StoreId, tp: Tp) {
        self.changelogs.insert(tp, store);
        self.changelog_of.insert(store, tp);
    }

    pub(crate) fn remove_changelog(&mut self, store: StoreId) {
        if let Some(tp) = self.changelog_of.remove(&store) {
            self.changelogs.remove(&tp);
        }
    }

    /// The next commit happens even if no record comes: it tells others what is applied here (R5).
    pub(crate) fn header_due(&mut self) {
        self.txn.header_due = true;
    }

    /// Tasks of `query` that are this lane's by arithmetic.
    pub(crate) fn own_tasks(&self, query: &QueryDef) -> Vec<TaskKey> {
        let mut keys = Vec::new();
        for (sub, facts) in query.facts.subs.iter().enumerate() {
            for partition in 0..facts.partitions {
                if facts.lane(partition, self.world.lanes) == self.id {
                    let query = query.id.clone();
                    keys.push(TaskKey { query, sub: sub as u32, partition });
                }
            }
        }
        keys
    }
}
