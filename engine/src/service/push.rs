//! Push queries: a throw-away run of a plan on this node. One thread reads all partitions, keeps
//! state in memory, writes nothing to the log, and hands rows to one reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use millrace_sql::catalog::SourceKind;
use millrace_sql::plan::{QueryPlan, ResultKind, ScanNode};

use crate::api::{PushEvent, PushQuery, ResultColumn};
use crate::batch::Batch;
use crate::error::{EngineError, Result};
use crate::format::{Formats, RowDecoder};
use crate::held::Held;
use crate::ids::{Offset, Tp};
use crate::limits::{Limits, PUSH_BATCHES_MAX};
use crate::log::{Cursor, Ends, Log, PollLimits, ReadClass};
use crate::operators::cache::CacheBudget;
use crate::pipeline::{Emitted, Pipeline};
use crate::repartition::edge_types;
use crate::service::command_log::wait;
use crate::service::facts;
use crate::state::StoreId;
use crate::state::lane::LaneState;
use crate::state::memory::{MemoryDisk, MemoryStore};
use crate::topology::{Input, Topology};

/// Sleep when nothing came.
const PARK: Duration = Duration::from_millis(20);
const LOG_TIMEOUT: Duration = Duration::from_secs(30);

/// What a push query runs on.
#[derive(Clone)]
pub struct PushWorld {
    pub log: Arc<dyn Log>,
    pub formats: Arc<dyn Formats>,
    pub limits: Arc<Limits>,
    pub caches: Arc<CacheBudget>,
}

/// How a push query reads.
#[derive(Debug, Clone, Copy)]
pub struct PushOptions {
    /// Streams from their beginning, or from now on.
    pub from_earliest: bool,
    /// Merge changes of a key that arrive together.
    pub coalesce: bool,
    /// End where the topics end now: a scan of a stream.
    pub bounded: bool,
    /// Records without a key are skipped where the source has key columns.
    pub keyed_only: bool,
}

/// A running push query, as its reader holds it.
pub struct RunningPush {
    id: String,
    columns: Vec<ResultColumn>,
    events: Receiver<PushEvent>,
    stop: Arc<AtomicBool>,
    ended: bool,
}

/// Starts a push query.
///
/// # Errors
/// When a topic is missing, or the plan cannot be run.
pub fn start(
    world: &PushWorld,
    id: String,
    plan: &QueryPlan,
    options: PushOptions,
) -> Result<RunningPush> {
    let mut runner = Runner::new(world, plan, options)?;
    let columns = result_columns(plan)?;
    let (sender, events) = sync_channel(PUSH_BATCHES_MAX);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    std::thread::Builder::new()
        .name(format!("push-{id}"))
        .stack_size(millrace_sql::parser::STACK_BYTES)
        .spawn(move || {
            let end = runner.run(&sender, &stopped);
            let event = end.unwrap_or_else(|error| PushEvent::Failed(error.to_string()));
            deliver(&sender, event, &stopped);
        })
        .map_err(|e| EngineError::Config(format!("cannot start a thread for the query: {e}")))?;
    Ok(RunningPush { id, columns, events, stop, ended: false })
}

impl PushQuery for RunningPush {
    fn id(&self) -> &str {
        &self.id
    }

    fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    fn next(&mut self, at_most: Duration) -> PushEvent {
        if self.ended {
            return PushEvent::Ended;
        }
        match self.events.recv_timeout(at_most) {
            Ok(event) => {
                self.ended = !matches!(event, PushEvent::Rows(..) | PushEvent::Idle);
                event
            }
            Err(RecvTimeoutError::Timeout) => PushEvent::Idle,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                PushEvent::Ended
            }
        }
    }

    fn stopper(&self) -> Arc<dyn Fn() + Send + Sync> {
        let stop = self.stop.clone();
        Arc::new(move || stop.store(true, Ordering::Release))
    }
}

impl Drop for RunningPush {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Columns of a plan's result.
pub fn result_columns(plan: &QueryPlan) -> Result<Vec<ResultColumn>> {
    let types = edge_types(&Arc::new(plan.plan.schema().as_arrow().clone()))?;
    let column = |(at, (name, ty))| {
        let key = plan.key.contains(&at);
        ResultColumn { name, ty, key, headers: None }
    };
    Ok(types.into_iter().enumerate().map(column).collect())
}

/// The thread's state.
struct Runner {
    cursor: Box<dyn Cursor>,
    /// By partition and input: a self-join reads a partition for both sides.
    feeds: HashMap<(Tp, usize), Feed>,
    pipeline: Pipeline,
    state: LaneState,
    world: PushWorld,
    options: PushOptions,
    remaining: Option<u64>,
    commit: u64,
    /// What is left of a row of a stream whose record had no value is nothing to show.
    live_only: bool,
}

/// One partition of one input.
struct Feed {
    input: usize,
    decoder: Box<dyn RowDecoder>,
    queue: VecDeque<(Batch, usize)>,
    /// Where a bounded scan ends.
    until: Offset,
    table: bool,
    /// Records without a key are no rows.
    keyed: bool,
    caught_up: bool,
    done: bool,
    /// Fetched, but not decoded: a schema is missing.
    held: Held,
    paused: bool,
}

impl Runner {
    fn new(world: &PushWorld, plan: &QueryPlan, options: PushOptions) -> Result<Self> {
        let topology = Topology::in_one_piece(plan)?;
        let store = |index: usize| StoreId { store: index as u32, partition: 0 };
        let pipeline = crate::build::build(&topology, 0, &store, &world.caches)?;
        let mut feeds = HashMap::new();
        let mut starts: HashMap<Tp, (Offset, Offset, bool)> = HashMap::new();
        for (input, scan) in topology.subs[0].inputs.iter().enumerate() {
            let Input::Scan(scan) = scan else { continue };
            for (tp, ends) in partitions(world.log.as_ref(), scan)? {
                let table = scan.source.kind == SourceKind::Table;
                let from_start = table || options.from_earliest || options.bounded;
                let from = if from_start { ends.start } else { ends.hw };
                // Both sides of a self-join see the same records.
                let (from, until, as_table) = *starts.entry(tp).or_insert((from, ends.lso, table));
                if as_table != table {
                    let what = "a topic is read as a stream and as a table by this query";
                    return Err(EngineError::User(what.to_owned()));
                }
                let decoder = world.formats.decoder(&scan.source, &scan.columns)?;
                let done = options.bounded && from >= until;
                let has_key = scan.source.key_columns().next().is_some();
                let feed = Feed {
                    input,
                    decoder,
                    queue: VecDeque::new(),
                    until,
                    table,
                    keyed: has_key && (table || options.keyed_only),
                    caught_up: false,
                    done,
                    held: Held::default(),
                    paused: false,
                };
                feeds.insert((tp, input), feed);
            }
        }
        let mut cursor = world.log.cursor(ReadClass::CatchUp);
        let starts = starts.into_iter().map(|(tp, (from, ..))| (tp, from));
        cursor.assign(&starts.collect::<Vec<_>>());
        let state = LaneState::new(Box::new(MemoryStore::open(&MemoryDisk::default())))?;
        let (world, remaining) = (world.clone(), plan.limit);
        let live_only = plan.result == ResultKind::Stream;
        let commit = 0;
        Ok(Runner { cursor, feeds, pipeline, state, world, options, remaining, commit, live_only })
    }

    fn run(&mut self, sender: &SyncSender<PushEvent>, stop: &AtomicBool) -> Result<PushEvent> {
        if self.remaining == Some(0) {
            return Ok(PushEvent::LimitReached);
        }
        while !stop.load(Ordering::Acquire) {
            let polled = self.poll()?;
            let mut emitted = Emitted::default();
            while let Some((input, batch)) = self.next_run() {
                let coalesce = self.options.coalesce;
                self.pipeline.push_in_time(
                    input,
                    batch,
                    &mut self.state,
                    coalesce,
                    &mut emitted,
                )?;
            }
            self.pipeline.flush(&mut self.state, self.options.coalesce, &mut emitted)?;
            self.settle()?;
            for batch in emitted.batches {
                if let Some(end) = self.hand_out(batch, sender, stop)? {
                    return Ok(end);
                }
            }
            let finished = self.feeds.values().all(|feed| feed.done && feed.queue.is_empty());
            if self.options.bounded && finished {
                return Ok(PushEvent::Ended);
            }
            if polled == 0 {
                self.world.log.park(PARK);
            }
        }
        Ok(PushEvent::Ended)
    }

    fn poll(&mut self) -> Result<usize> {
        let limits = PollLimits {
            records_max: self.world.limits.poll_records_max,
            bytes_max: self.world.limits.poll_bytes_max,
        };
        let mut batches = Vec::new();
        self.cursor.poll(&limits, &mut batches)?;
        let mut records = 0;
        for raw in batches {
            records += raw.records.len();
            let of = raw.tp;
            let mut feeds = self.feeds.iter_mut().filter(|((tp, _), _)| *tp == of).peekable();
            while let Some((_, feed)) = feeds.next() {
                if feeds.peek().is_none() {
                    feed.held.push(raw);
                    break;
                }
                feed.held.push(raw.clone());
            }
        }
        for ((tp, _), feed) in &mut self.feeds {
            feed.deliver(self.options.bounded)?;
            let waits = !feed.held.is_empty();
            if feed.paused != waits {
                feed.paused = waits;
                self.cursor.pause(*tp, waits);
            }
            if let Some(position) = self.cursor.position(*tp)
                && !waits
            {
                feed.caught_up = position.lso.is_some_and(|lso| position.next >= lso);
                feed.done |= self.options.bounded && position.next >= feed.until;
            }
        }
        Ok(records)
    }

    /// The next rows in order of time over all partitions; `None` when nothing is buffered, or a
    /// partition that should have more is waited for.
    fn next_run(&mut self) -> Option<(usize, Batch)> {
        let waiting = |feed: &Feed| feed.queue.is_empty() && !feed.caught_up && !feed.done;
        if self.feeds.len() > 1 && self.feeds.values().any(waiting) {
            return None;
        }
        let mut heads: Vec<(i64, bool, (Tp, usize))> = self
            .feeds
            .iter()
            .filter_map(|(at, feed)| feed.head().map(|(t, s)| (t, s, *at)))
            .collect();
        heads.sort_unstable();
        let (_, stream, at) = *heads.first()?;
        let bound = heads.get(1).copied();
        let feed = self.feeds.get_mut(&at)?;
        let (batch, taken) = feed.queue.front_mut()?;
        let rest = &batch.times[*taken..];
        let before = |time: &i64| bound.is_none_or(|bound| (*time, stream, at) < bound);
        let run = rest.iter().take_while(|time| before(time)).count().max(1);
        let rows = batch.slice(*taken, run);
        *taken += run;
        if *taken == batch.len() {
            feed.queue.pop_front();
        }
        Some((feed.input, rows))
    }

    /// What was computed is state now; there is no transaction to wait for.
    fn settle(&mut self) -> Result<()> {
        self.commit += 1;
        self.state.apply(self.commit, &[]);
        self.state.spill()
    }

    fn hand_out(
        &mut self,
        batch: Batch,
        sender: &SyncSender<PushEvent>,
        stop: &AtomicBool,
    ) -> Result<Option<PushEvent>> {
        let mut batch = batch;
        if self.live_only
            && let Some(live) = batch.live.take()
        {
            batch = batch.filter(&live)?;
        }
        if batch.is_empty() {
            return Ok(None);
        }
        if let Some(remaining) = &mut self.remaining {
            let take = (*remaining).min(batch.len() as u64) as usize;
            batch = batch.slice(0, take);
            *remaining -= take as u64;
        }
        let live = (0..batch.len()).map(|row| batch.is_live(row)).collect();
        if !deliver(sender, PushEvent::Rows(batch.rows, live), stop) {
            return Ok(Some(PushEvent::Ended));
        }
        Ok((self.remaining == Some(0)).then_some(PushEvent::LimitReached))
    }
}

impl Feed {
    /// Decodes what was fetched, as far as its schemas are here.
    fn deliver(&mut self, bounded: bool) -> Result<()> {
        let decoder = &mut self.decoder;
        while let Some((raw, part)) = self.held.next(|raw, range| decoder.ready(raw, range)) {
            let mut range = part.range.clone();
            if bounded {
                let end = raw.records.partition_point(|record| record.offset < self.until);
                range.end = range.end.min(end).max(range.start);
            }
            // Records that cannot be decoded are not this reader's to report.
            let decoded = decoder.decode(raw, range)?;
            let (rows, times, live) = (decoded.rows, decoded.times, decoded.live);
            let mut batch = Batch { live, ..Batch::new(rows, times) };
            let has_key = |at: &u32| raw.key(*at as usize).is_some();
            if self.keyed && !decoded.origin.iter().all(has_key) {
                batch = batch.filter(&decoded.origin.iter().map(has_key).collect())?;
            }
            if !batch.times.is_empty() {
                self.queue.push_back((batch, 0));
            }
            self.held.take(&part);
        }
        Ok(())
    }

    fn head(&self) -> Option<(i64, bool)> {
        let (batch, taken) = self.queue.front()?;
        Some((*batch.times.get(*taken)?, !self.table))
    }
}

/// Hands an event to the reader, waiting while it is slow. False: nobody reads any more.
fn deliver(sender: &SyncSender<PushEvent>, event: PushEvent, stop: &AtomicBool) -> bool {
    let mut event = event;
    loop {
        match sender.try_send(event) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => {
                if stop.load(Ordering::Acquire) {
                    return false;
                }
                event = back;
                std::thread::sleep(PARK);
            }
        }
    }
}

/// Partitions of a scanned topic and where they end.
fn partitions(log: &dyn Log, scan: &ScanNode) -> Result<Vec<(Tp, Ends)>> {
    let info = facts::describe(log, &scan.source.topic)?;
    let tps: Vec<Tp> = (0..info.partitions).map(|p| Tp::new(info.id, p)).collect();
    let ends = wait(log, LOG_TIMEOUT, || log.ends(&tps))??;
    Ok(tps.into_iter().zip(ends).collect())
}
