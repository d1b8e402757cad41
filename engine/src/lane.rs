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

use crate::error::{EngineError, Result};
use crate::format::Formats;
use crate::ids::{LaneId, Offset, TopicId, Tp};
use crate::lane_commit::Sent;
use crate::lane_failure::Unsettled;
use crate::lane_recovery::Recovery;
pub use crate::lane_recovery::TOMBSTONE_LIFE;
use crate::lane_trial::Trials;
use crate::lane_upkeep::Upkeep;
use crate::limits::{Limits, OWNERSHIP_WAIT_MAX};
use crate::log::{Ending, Log, PollLimits, TopicSpec, Writer};
use crate::mutant::{self, Mutant};
use crate::names::Names;
use crate::operators::cache::CacheBudget;
use crate::outbox::{Outbox, Owner};
use crate::ownership::Ownership;
use crate::panics::caught;
use crate::progress::{LaneHeader, TaskKey};
use crate::query::QueryDef;
use crate::reader::Reader;
use crate::registry::Registry;
use crate::seams::{Clock, Entropy};
use crate::state::StoreId;
use crate::state::disk::DiskStore;
use crate::state::lane::LaneState;
use crate::task::Task;
use crate::txn::Txn;

/// Polls that a mutant lets pass between asking and opening.
const MUTANT_POLLS: u32 = 12;

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
    /// What the group of nodes says about this node's lanes.
    pub ownership: Arc<Ownership>,
    pub processing_log: Tp,
    /// How the topic of the processing log is made again when somebody has deleted it.
    pub processing_log_spec: TopicSpec,
}

/// One lane.
pub struct Lane {
    pub id: LaneId,
    pub(crate) world: World,
    pub(crate) registry: Arc<Registry>,
    pub(crate) phase: Phase,
    pub(crate) tasks: BTreeMap<TaskKey, Task>,
    pub(crate) state: LaneState,
    /// Queries whose state was restored since the lane was opened; it stays when they pause.
    pub(crate) restored: BTreeMap<String, Arc<QueryDef>>,
    pub(crate) reader: Reader,
    pub(crate) outbox: Outbox,
    pub(crate) header: LaneHeader,
    /// The progress partition as it is committed.
    pub(crate) progress: BTreeMap<String, Vec<u8>>,
    /// Changes of progress in the transaction being closed.
    pub(crate) pending_progress: Vec<(String, Option<Vec<u8>>)>,
    /// Progress keys of dropped queries, to be tombstoned.
    pub(crate) obsolete: Vec<String>,
    pub(crate) txn: Txn,
    /// Changelog partitions of this lane's stores.
    pub(crate) changelogs: HashMap<Tp, StoreId>,
    pub(crate) changelog_of: HashMap<StoreId, Tp>,
    pub(crate) last_spill: Duration,
    pub(crate) backoff: Duration,
    /// Rows wait in a task's buffer.
    has_work: bool,
    pub(crate) upkeep: Upkeep,
    /// The processing log's topic was deleted.
    pub(crate) log_is_gone: bool,
    /// When another node was found to have the lane.
    pub(crate) fenced_at: Option<Duration>,
    /// Failures of the state since the last commit.
    pub(crate) state_failures: u32,
    /// Who is suspected of breaking transactions.
    pub(crate) trials: Trials,
    /// What was found deleted before it was read, unless another owner had read it.
    pub(crate) doubted: Option<(Tp, Offset)>,
    /// Counts of a transaction of which it is not known whether it committed.
    pub(crate) unsettled: Option<Unsettled>,
    /// Commit at the next occasion, and take nothing in.
    pub(crate) hurried: bool,
    /// Commands applied here, and the registry's generation that was last looked at.
    pub(crate) command: i64,
    pub(crate) generation: u64,
    pub(crate) stats: LaneStats,
    /// Where progress ended before the writer was opened; see [`crate::mutant`].
    pub(crate) mutant_end: Option<(Offset, u32)>,
}

/// Counters of a lane, for people and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneStats {
    pub commits: u64,
    pub aborts: u64,
    pub recoveries: u64,
    pub restored_records: u64,
    /// Times that the state was damaged and restored from nothing.
    pub state_rebuilds: u64,
    /// What the lane last failed of.
    pub failure: Option<Arc<str>>,
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
            restored: BTreeMap::new(),
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
            has_work: false,
            upkeep: Upkeep::default(),
            log_is_gone: false,
            fenced_at: None,
            state_failures: 0,
            trials: Trials::default(),
            unsettled: None,
            doubted: None,
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
        match with_ambient(now.0, &|| entropy.next_u64(), || caught(|| self.try_step())) {
            Ok(busy) => busy,
            Err(error) => {
                self.failed(&error);
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
            && !self.has_work
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

    /// False for the store of a query that was paused or stopped before the lane was opened.
    pub fn has_restored(&self, store: StoreId) -> bool {
        self.restored.values().chain(&self.registry.runnable()).any(|q| q.has_store(store))
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
        if self.state.is_closed() {
            self.state.reopen(false)?;
        }
        if self.is_anothers() {
            return Ok(false);
        }
        if mutant::active() == Some(Mutant::ProgressBeforeInit) && !self.asked_too_early() {
            return Ok(false);
        }
        if self.log_is_gone && !self.remake_log()? {
            return Ok(false);
        }
        let id = self.world.names.lane_writer(self.id.0);
        match self.world.log.writer(&id) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(EngineError::Log(error)),
            Poll::Ready(Ok(writer)) => {
                self.stats.recoveries += 1;
                self.fenced_at = None;
                self.forget();
                self.phase = Phase::Recovering(Box::new(Recovery::whole(writer)));
                Ok(true)
            }
        }
    }

    /// What must not be done, see [`crate::mutant`]: asks where progress ends, dawdles, and only then
    /// opens the writer. True when it is done.
    fn asked_too_early(&mut self) -> bool {
        if let Some((_, polls)) = &mut self.mutant_end {
            *polls += 1;
            return *polls > MUTANT_POLLS;
        }
        if let Poll::Ready(Ok(ends)) = self.world.log.ends(&[self.progress_tp()]) {
            self.mutant_end = ends.first().map(|ends| (ends.hw, 0));
        }
        false
    }

    /// True while this node, having been fenced, does not know that the lane is still its own. It
    /// tries again some time in any case: the group may be out of reach, and the lane nobody's.
    fn is_anothers(&self) -> bool {
        let now = self.world.clock.elapsed();
        let waits = self.fenced_at.is_some_and(|at| now.saturating_sub(at) < OWNERSHIP_WAIT_MAX);
        waits && !self.world.ownership.is_ours(self.id, now)
    }

    /// Drops everything that is not on disk or in committed memory.
    pub(crate) fn forget(&mut self) {
        self.state.abort();
        self.outbox.clear();
        self.pending_progress.clear();
        self.txn = Txn::default();
        self.tasks.clear();
        self.has_work = false;
        self.reader.clear();
        self.upkeep.settling.clear();
    }

    fn run(&mut self, mut writer: Box<dyn Writer>) -> Result<bool> {
        if !self.check_writer(writer.poll())? {
            return self.abort(writer);
        }
        if !self.outbox.is_empty() {
            match self.drain(&mut *writer)? {
                Sent::All => {}
                Sent::Some => {
                    self.phase = Phase::Running { writer };
                    return Ok(false);
                }
                Sent::Ejected => return self.abort(writer),
            }
        }
        if self.commit_due() {
            self.prepare_commit()?;
            self.phase = Phase::Sending { writer };
            return Ok(true);
        }
        if self.txn.since.is_none()
            && (self.trial_moves_on() || self.registry.generation() != self.generation)
        {
            // R5: commands are applied only when no transaction is open.
            return self.apply_commands(writer);
        }
        self.phase = Phase::Running { writer };
        if self.hurried {
            return Ok(false);
        }
        self.keep_up();
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
                self.doubt(&failure.error)?;
                for query in failure.queries {
                    self.cannot_read(&query, &failure.error);
                }
            }
            return self.rewind();
        }
        if !polled.delivered && !self.has_work {
            return self.pass_time();
        }
        let now = self.world.clock.elapsed();
        let mut taken = 0;
        let mut failed = None;
        for task in self.tasks.values_mut().filter(|task| task.has_buffered()) {
            let (records, wait) = (limits.poll_records_max, limits.input_wait_max);
            self.outbox.owned_by(Owner::Task(task.key.clone()));
            match caught(|| task.work(&mut self.state, &mut self.outbox, records, now, wait)) {
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
        self.has_work = self.tasks.values().any(Task::has_buffered);
        if taken > 0 || polled.delivered || self.reader.is_paused() {
            self.reader.balance(limits.input_buffer_records_max, &self.tasks);
        }
        Ok(self.pass_time()? || taken > 0 || polled.records > 0)
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
