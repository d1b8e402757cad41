//! The one path by which a lane starts: at boot, after a takeover, after any loss of its writer, and
//! for the tasks of a new query (R9). Nothing that was read before the writer was opened counts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::error::{EngineError, Result};
use crate::ids::{Offset, TopicId, Tp};
use crate::lane::{Lane, Phase};
use crate::lane_cleanse::Cleanser;
use crate::log::{Cursor, Ends, LogError, Lost, PollLimits, RawBatch, ReadClass, Writer};
use crate::mutant::{self, Mutant};
use crate::progress::{self, LaneHeader, PositionRecord, TaskKey, TaskRecord};
use crate::query::QueryDef;
use crate::state::disk::StoreMeta;
use crate::state::history::window_of;
use crate::state::{Shape, StoreId};
use crate::task::{Task, TaskInput};

/// Tombstones of changelogs live 7 days; a store older than half of that is rebuilt (R15).
pub const TOMBSTONE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A recovery under way.
pub(crate) struct Recovery {
    writer: Cleanser,
    stage: Stage,
    /// Tasks that are being made ready.
    tasks: Vec<Task>,
    targets: HashMap<Tp, Target>,
    /// Where progress ended when this recovery read it; `None`: an earlier one did.
    progress_end: Option<Offset>,
    /// Topics that tasks write to and that are not there any more.
    gone: HashSet<TopicId>,
}

enum Stage {
    AskProgress,
    ReadProgress {
        cursor: Box<dyn Cursor>,
        until: Offset,
    },
    /// Waits until this node has applied the commands that the lane's last owner had.
    AwaitCommands,
    /// Settles what an earlier run left undecided where the tasks write (R11).
    Cleanse,
    AskChangelogs,
    Replay {
        cursor: Box<dyn Cursor>,
    },
}

/// One changelog partition to be replayed.
struct Target {
    store: StoreId,
    shape: Shape,
    until: Offset,
    done: bool,
    /// Records replayed.
    records: u64,
    task: TaskKey,
}

impl Recovery {
    /// From the beginning: progress, then everything.
    pub(crate) fn whole(writer: Box<dyn Writer>) -> Self {
        let writer = Cleanser::new(writer);
        let stage = Stage::AskProgress;
        let (tasks, targets, gone) = (Vec::new(), HashMap::new(), HashSet::new());
        Recovery { writer, stage, tasks, targets, progress_end: None, gone }
    }

    /// For tasks that a command adds; progress is known.
    fn partial(writer: Box<dyn Writer>, tasks: Vec<Task>) -> Self {
        let writer = Cleanser::new(writer);
        let stage = Stage::Cleanse;
        let (targets, gone) = (HashMap::new(), HashSet::new());
        Recovery { writer, stage, tasks, targets, progress_end: None, gone }
    }
}

impl Lane {
    pub(crate) fn recover(&mut self, mut recovery: Box<Recovery>) -> Result<bool> {
        if !recovery.writer.step()? {
            self.phase = Phase::Recovering(recovery);
            return Ok(false);
        }
        let busy = match &mut recovery.stage {
            Stage::AskProgress => self.ask_progress(&mut recovery)?,
            Stage::ReadProgress { .. } => self.read_progress(&mut recovery)?,
            Stage::AwaitCommands => self.await_commands(&mut recovery)?,
            Stage::Cleanse => self.cleanse(&mut recovery)?,
            Stage::AskChangelogs => self.ask_changelogs(&mut recovery)?,
            Stage::Replay { .. } => match self.replay(&mut recovery)? {
                Replayed::Done if self.is_confirmed(&recovery)? => return self.start(*recovery),
                Replayed::Done => false,
                Replayed::Some => true,
                Replayed::None => false,
            },
        };
        self.phase = Phase::Recovering(recovery);
        Ok(busy)
    }

    /// Looks at what commands have changed. Called with no transaction open.
    pub(crate) fn apply_commands(&mut self, writer: Box<dyn Writer>) -> Result<bool> {
        self.generation = self.registry.generation();
        self.command = self.registry.command();
        self.header_due();
        self.readmit();
        let wanted = self.wanted();
        // A query that was replaced has other tasks of the same keys, which go on from this commit.
        let goes_on = |(key, task): &(&TaskKey, &Task)| {
            wanted.get(key).is_some_and(|query| Arc::ptr_eq(query, &task.query))
        };
        let gone = self.tasks.iter().filter(|entry| !goes_on(entry));
        let gone: Vec<TaskKey> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.reader.detach(&key);
            self.tasks.remove(&key);
        }
        self.forget_dropped();
        let new: Vec<(TaskKey, Arc<QueryDef>)> =
            wanted.into_iter().filter(|(key, _)| !self.tasks.contains_key(key)).collect();
        if new.is_empty() {
            self.phase = Phase::Running { writer };
            return Ok(true);
        }
        let tasks = self.make_tasks(new)?;
        self.phase = Phase::Recovering(Box::new(Recovery::partial(writer, tasks)));
        Ok(true)
    }

    fn ask_progress(&mut self, recovery: &mut Recovery) -> Result<bool> {
        let tp = self.progress_tp();
        let Poll::Ready(ends) = self.world.log.ends(&[tp]) else { return Ok(false) };
        let ends = ends?;
        if recovery.writer.look(&[tp], &ends) {
            // Asked again when all of it is decided.
            return Ok(true);
        }
        let ends = one(ends)?;
        self.progress.clear();
        let mut cursor = self.world.log.cursor(ReadClass::Restore);
        cursor.assign(&[(tp, ends.start)]);
        let until = self.mutant_end.take().map_or(ends.hw, |(end, _)| end);
        recovery.stage = Stage::ReadProgress { cursor, until };
        recovery.progress_end = Some(until);
        Ok(true)
    }

    fn read_progress(&mut self, recovery: &mut Recovery) -> Result<bool> {
        let Stage::ReadProgress { cursor, until } = &mut recovery.stage else {
            return Err(EngineError::Bug("not reading progress".to_owned()));
        };
        let progress_tp = Tp::new(self.world.progress_topic, self.id.0);
        let mut batches = Vec::new();
        cursor.poll(&self.poll_limits(), &mut batches)?;
        let mutant = mutant::active() == Some(Mutant::ProgressBeforeInit);
        for raw in &batches {
            for i in 0..raw.records.len() {
                if mutant && raw.records[i].offset >= *until {
                    continue;
                }
                let Some(key) = raw.key(i).and_then(|k| std::str::from_utf8(k).ok()) else {
                    continue;
                };
                match raw.value(i) {
                    Some(value) => self.progress.insert(key.to_owned(), value.to_vec()),
                    None => self.progress.remove(key),
                };
            }
        }
        // The end is the high watermark, not the end of what is readable (R9).
        let at = cursor.position(progress_tp).map(|p| p.next);
        if at.is_none_or(|at| at < *until) && !ends_early(&batches) {
            return Ok(!batches.is_empty());
        }
        self.take_header()?;
        recovery.stage = Stage::AwaitCommands;
        Ok(true)
    }

    fn take_header(&mut self) -> Result<()> {
        let header = match self.progress.get(progress::LANE_KEY) {
            Some(bytes) => progress::decode::<LaneHeader>(progress::LANE_KEY, bytes)?,
            None => LaneHeader { command: -1, ..LaneHeader::default() },
        };
        if header.lanes != 0 && header.lanes != self.world.lanes {
            return Err(EngineError::Config(format!(
                "lane {} was written for {} lanes, but this node is set to {}: start it with {0}",
                self.id, header.lanes, self.world.lanes
            )));
        }
        if self.state.commit_number() > header.commit {
            // I1: another log stands behind this directory; it cannot be trusted.
            return Err(EngineError::State(format!(
                "the disk of lane {} is at commit {}, ahead of the log's {}",
                self.id,
                self.state.commit_number(),
                header.commit
            )));
        }
        self.settle(&header);
        self.header = LaneHeader { epoch: header.epoch + 1, ..header };
        Ok(())
    }

    /// R5: an owner replays the command log at least as far as the last one had.
    fn await_commands(&mut self, recovery: &mut Recovery) -> Result<bool> {
        if self.registry.command() < self.header.command {
            return Ok(false);
        }
        self.generation = self.registry.generation();
        self.command = self.registry.command();
        // Others learn from it who has the lane now, and what is applied here.
        self.header_due();
        self.forget_dropped();
        self.readmit();
        let wanted = self.wanted().into_iter().collect();
        recovery.tasks = self.make_tasks(wanted)?;
        recovery.stage = Stage::Cleanse;
        Ok(true)
    }

    /// The command that the lane waits for, while it does.
    pub(crate) fn awaited_command(&self) -> Option<i64> {
        let Phase::Recovering(recovery) = &self.phase else { return None };
        matches!(recovery.stage, Stage::AwaitCommands).then_some(self.header.command)
    }

    fn cleanse(&mut self, recovery: &mut Recovery) -> Result<bool> {
        let mut tps = self.written_partitions(&recovery.tasks);
        tps.retain(|tp| !recovery.gone.contains(&tp.topic));
        if !tps.is_empty() {
            let Poll::Ready(ends) = self.world.log.ends(&tps) else { return Ok(false) };
            match ends {
                Ok(ends) => {
                    recovery.writer.look(&tps, &ends);
                }
                // Its query will be told when it writes. The others are asked about again.
                Err(LogError::Gone(topic)) => {
                    tracing::warn!(topic, "not cleansed: it is gone");
                    let known = recovery.gone.len();
                    recovery.gone.extend(topics_called(&recovery.tasks, &topic));
                    if recovery.gone.len() == known {
                        return Err(LogError::Gone(topic).into());
                    }
                    return Ok(true);
                }
                Err(error) => return Err(error.into()),
            }
        }
        recovery.stage = Stage::AskChangelogs;
        Ok(true)
    }

    fn ask_changelogs(&mut self, recovery: &mut Recovery) -> Result<bool> {
        if recovery.targets.is_empty() {
            for task in &recovery.tasks {
                self.add_targets(task, &mut recovery.targets)?;
            }
        }
        let mut tps: Vec<Tp> = recovery.targets.keys().copied().collect();
        tps.sort_unstable();
        let ends = match tps.is_empty() {
            true => Vec::new(),
            false => match self.world.log.ends(&tps) {
                Poll::Pending => return Ok(false),
                Poll::Ready(ends) => ends?,
            },
        };
        let mut cursor = self.world.log.cursor(ReadClass::Restore);
        let mut starts = Vec::with_capacity(tps.len());
        for (tp, ends) in tps.into_iter().zip(ends) {
            let Some(target) = recovery.targets.get_mut(&tp) else { continue };
            target.until = ends.hw;
            let from = self.restore_from(target, tp, &ends);
            target.done = from >= ends.hw;
            if !target.done {
                starts.push((tp, from));
            }
        }
        cursor.assign(&starts);
        recovery.stage = Stage::Replay { cursor };
        Ok(true)
    }

    fn add_targets(&mut self, task: &Task, targets: &mut HashMap<Tp, Target>) -> Result<()> {
        for (index, spec) in task.query.topology.stores.iter().enumerate() {
            if spec.sub != task.key.sub as usize {
                continue;
            }
            let store = task.query.store_id(index, task.key.partition);
            let tp = Tp::new(task.query.changelog(index)?.id, task.key.partition);
            self.add_changelog(store, tp);
            let (until, task) = (Offset(0), task.key.clone());
            let target = Target { store, shape: spec.shape, until, done: false, records: 0, task };
            targets.insert(tp, target);
        }
        Ok(())
    }

    /// Where the replay of a changelog begins: behind what the state has of it, unless that cannot
    /// be relied on.
    fn restore_from(&mut self, target: &Target, tp: Tp, ends: &Ends) -> Offset {
        let young_ms = self.world.clock.now().0 - TOMBSTONE_LIFE.as_millis() as i64 / 2;
        let holds = |meta: &&StoreMeta| {
            meta.changelog == tp.topic && meta.applied >= ends.start && meta.whole_ms >= young_ms
        };
        match self.state.applied(target.store) {
            Some(meta) if holds(&meta) => meta.applied,
            known => {
                if known.is_some() {
                    self.state.drop_store(target.store, target.shape);
                }
                self.state.begin(target.store, target.shape, tp.topic, ends.start);
                ends.start
            }
        }
    }

    fn replay(&mut self, recovery: &mut Recovery) -> Result<Replayed> {
        let Recovery { stage: Stage::Replay { cursor }, targets, .. } = recovery else {
            return Err(EngineError::Bug("not replaying".to_owned()));
        };
        if targets.values().all(|target| target.done) {
            return Ok(Replayed::Done);
        }
        let mut batches = Vec::new();
        cursor.poll(&self.poll_limits(), &mut batches)?;
        for raw in &batches {
            if let Some(target) = targets.get_mut(&raw.tp) {
                self.replay_batch(target, raw);
            }
        }
        for (tp, target) in targets.iter_mut() {
            let at = cursor.position(*tp).map(|p| p.next);
            let ended = at.is_some_and(|at| at >= target.until) || ends_early(&batches);
            if !target.done && ended {
                target.done = true;
                self.state.advance(target.store, tp.topic, target.until);
            }
        }
        if self.state.committed_bytes() >= self.world.limits.committed_memory_bytes_max {
            self.state.spill()?;
        }
        Ok(if batches.is_empty() { Replayed::None } else { Replayed::Some })
    }

    fn replay_batch(&mut self, target: &mut Target, raw: &RawBatch) {
        let mut latest = None;
        for i in 0..raw.records.len() {
            if let Some(key) = raw.key(i) {
                self.state.replay(target.store, target.shape, key, raw.value(i));
                latest = latest.max(Some(window_of(key)));
            }
        }
        if let (Some(first), Some(window), Shape::WindowFirst) =
            (raw.records.first(), latest, target.shape)
        {
            self.state.wrote(target.store, first.offset, window);
        }
        target.records += raw.records.len() as u64;
        self.stats.restored_records += raw.records.len() as u64;
        self.state.advance(target.store, raw.tp.topic, raw.next);
    }

    /// Positions that are missing although there is state (R7) prove damage only if nobody else has
    /// had the lane since its progress was read: the state may be the next owner's.
    fn is_confirmed(&self, recovery: &Recovery) -> Result<bool> {
        if !recovery.tasks.iter().any(|task| self.lost_positions(task, &recovery.targets)) {
            return Ok(true);
        }
        let taken = |why: &str| {
            let lane = self.id;
            Err(EngineError::Lost(Lost::Fenced(format!("lane {lane}: {why}; reading it again"))))
        };
        let Some(until) = recovery.progress_end else {
            return taken("its state is newer than its progress as it was read");
        };
        let Poll::Ready(ends) = self.world.log.ends(&[self.progress_tp()]) else {
            return Ok(false);
        };
        match one(ends?)?.hw > until {
            true => taken("another owner has written progress"),
            false => Ok(true),
        }
    }

    fn lost_positions(&self, task: &Task, targets: &HashMap<Tp, Target>) -> bool {
        let has_state = || targets.values().any(|t| t.task == task.key && t.records > 0);
        let key = |input: &TaskInput| progress::position_key(&task.key, input.tp, input.twin);
        !task.inputs.iter().any(|input| self.progress.contains_key(&key(input))) && has_state()
    }

    /// All is restored: give the tasks their progress and let them read.
    fn start(&mut self, recovery: Recovery) -> Result<bool> {
        let Recovery { writer, tasks, targets, .. } = recovery;
        let mut lost = Vec::new();
        for mut task in tasks {
            if let Err(error) = self.restore_task(&mut task) {
                // A damaged record is one query's affair.
                self.eject(&task.key.query, &error.to_string());
                continue;
            }
            if self.lost_positions(&task, &targets) {
                lost.push(task.key.query.clone());
                continue;
            }
            self.reader.attach(&task)?;
            self.restored.insert(task.key.query.clone(), task.query.clone());
            self.tasks.insert(task.key.clone(), task);
        }
        for query in lost {
            // R7: never fall back to the start offsets.
            self.eject(
                &query,
                "state exists but its positions are missing from the progress topic; \
                 terminate and create the query again",
            );
        }
        self.phase = Phase::Running { writer: writer.into_writer()? };
        Ok(true)
    }

    fn restore_task(&self, task: &mut Task) -> Result<()> {
        for input in &mut task.inputs {
            let key = progress::position_key(&task.key, input.tp, input.twin);
            if let Some(bytes) = self.progress.get(&key) {
                let record: PositionRecord = progress::decode(&key, bytes)?;
                input.committed = record.next;
            }
        }
        let key = progress::task_key(&task.key);
        let record = match self.progress.get(&key) {
            Some(bytes) => progress::decode::<TaskRecord>(&key, bytes)?,
            None => TaskRecord::default(),
        };
        task.restore(record);
        Ok(())
    }

    fn poll_limits(&self) -> PollLimits {
        let limits = &self.world.limits;
        PollLimits { records_max: limits.poll_records_max, bytes_max: limits.poll_bytes_max }
    }
}

enum Replayed {
    Done,
    Some,
    None,
}

/// What must not be done; see [`crate::mutant`].
fn ends_early(batches: &[RawBatch]) -> bool {
    mutant::active() == Some(Mutant::EndOfPartition) && batches.is_empty()
}

fn one(ends: Vec<Ends>) -> Result<Ends> {
    ends.first()
        .copied()
        .ok_or_else(|| EngineError::Bug("asked one partition, got none".to_owned()))
}

/// Topics of tasks that a log's error names, by name or by id.
fn topics_called<'a>(tasks: &'a [Task], called: &'a str) -> impl Iterator<Item = TopicId> + 'a {
    let topics = tasks.iter().flat_map(|task| &task.query.facts.topics);
    let called =
        topics.filter(move |(name, facts)| *name == called || facts.id.to_string() == called);
    called.map(|(_, facts)| facts.id)
}
