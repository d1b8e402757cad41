//! A task: one partition of one sub-topology of one query. It owns its inputs' buffers and
//! positions, its pipeline and its output; the lane owns everything shared.

mod expiry;
mod idle;
mod input;

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::error::{EngineError, Result};
use crate::format::{Formats, RejectKind};
use crate::ids::{Offset, Tp};
use crate::operators::cache::CacheBudget;
use crate::output::OutputWriter;
use crate::pipeline::{Aside, Emitted, Pipeline};
use crate::processing_log::{LogEntry, Origin};
use crate::progress::{TaskKey, TaskRecord};
use crate::query::{Counts, QueryDef};
use crate::repartition::RepartitionWriter;
use crate::state::lane::LaneState;
use crate::task::idle::Idle;
use crate::upstream::{Upstream, Upstreams};

pub use self::idle::Passing;
pub use self::input::TaskInput;

/// A running task.
pub struct Task {
    pub key: TaskKey,
    pub query: Arc<QueryDef>,
    pub inputs: Vec<TaskInput>,
    pipeline: Pipeline,
    output: OutputWriter,
    /// Repartition topics beside the output, by their index in the topology.
    aside: Vec<(usize, RepartitionWriter)>,
    /// Offsets of the rows that were taken last.
    taken: Vec<i64>,
    /// Something was taken in since the last commit.
    pub dirty: bool,
    /// Progress of the operators as of the last commit.
    committed: TaskRecord,
    /// What was done since the last commit.
    pub counts: Counts,
    /// Since when (on the clock) the task waits for an empty input.
    waiting_since: Option<Duration>,
    /// The clock goes on with stream time while no record comes.
    idle: Option<Idle>,
}

/// A decoded batch and how far it is taken in.
pub struct Pending {
    pub batch: Batch,
    /// Offset of each row's record.
    pub offsets: Vec<i64>,
    /// Position behind the whole batch.
    pub next: Offset,
    /// Undecodable records, by offset.
    pub rejects: Vec<PendingReject>,
    /// Who sent each row, where several tasks do.
    pub upstream: Option<Vec<Upstream>>,
    /// Which rows are none: marks that tell how far stream time is.
    pub marks: Option<Vec<bool>>,
    taken: usize,
}

#[derive(Debug, Clone)]
pub struct PendingReject {
    pub offset: i64,
    pub kind: RejectKind,
    pub reason: String,
    pub bytes: Option<Vec<u8>>,
}

impl Pending {
    pub fn new(batch: Batch, offsets: Vec<i64>, next: Offset, rejects: Vec<PendingReject>) -> Self {
        assert_eq!(batch.len(), offsets.len(), "one offset per row");
        Pending { batch, offsets, next, rejects, upstream: None, marks: None, taken: 0 }
    }
}

/// What a task did in one go.
#[derive(Default)]
pub struct Worked {
    pub records: usize,
    pub log: Vec<LogEntry>,
}

impl Task {
    pub fn new(
        query: Arc<QueryDef>,
        key: TaskKey,
        formats: &dyn Formats,
        caches: &Arc<CacheBudget>,
    ) -> Result<Self> {
        let sub = key.sub as usize;
        let topology = &query.topology.subs[sub];
        let mut inputs = Vec::with_capacity(topology.inputs.len());
        for (at, input) in topology.inputs.iter().enumerate() {
            let mut input = TaskInput::new(&query, &key, at, input)?;
            input.twin = inputs.iter().filter(|other: &&TaskInput| other.tp == input.tp).count();
            inputs.push(input);
        }
        let pipeline = crate::build::pipeline(&query, &key, caches)?;
        let output = OutputWriter::new(&query, &key, formats)?;
        let mut aside = Vec::new();
        for node in &topology.nodes {
            if let Some(Aside::Topic(at)) = node.aside {
                aside.push((at, RepartitionWriter::new(&query, at, formats, key.partition)?));
            }
        }
        Ok(Task {
            aside,
            idle: Idle::of(&query, &key),
            key,
            inputs,
            pipeline,
            output,
            taken: Vec::new(),
            dirty: false,
            committed: TaskRecord::default(),
            counts: Counts::default(),
            waiting_since: None,
            query,
        })
    }

    /// Starts from committed progress; buffers are dropped and operators forget.
    pub fn restore(&mut self, record: TaskRecord) {
        self.committed = record;
        self.rewind();
    }

    /// Back to the last commit.
    pub fn rewind(&mut self) {
        self.pipeline.restore(&self.committed.operators);
        self.output.reset();
        self.aside.iter_mut().for_each(|(_, writer)| writer.reset());
        for (at, input) in self.inputs.iter_mut().enumerate() {
            if let Some(upstreams) = &mut input.upstreams {
                let times = self.committed.upstreams.get(at);
                upstreams.restore(times.map_or(&[], Vec::as_slice));
            }
            input.position = input.committed;
            input.queue.clear();
            input.buffered = 0;
            input.caught_up = false;
        }
        self.dirty = false;
        self.counts = Counts::default();
        self.waiting_since = None;
        if let Some(idle) = &mut self.idle {
            idle.restore(self.committed.idle);
        }
    }

    /// The transaction with this task's work has committed. A position that only moved behind control
    /// records was not written with it: it does not count as committed, and nothing may be purged
    /// up to it.
    pub fn committed(&mut self) {
        if !self.dirty {
            return;
        }
        for input in &mut self.inputs {
            debug_assert!(input.position >= input.committed, "I3: positions are monotone");
            input.committed = input.position;
        }
        self.committed = self.progress();
        self.query.status.add(&std::mem::take(&mut self.counts));
        self.dirty = false;
    }

    fn progress(&self) -> TaskRecord {
        let times = |input: &TaskInput| input.upstreams.as_ref().map(Upstreams::progress);
        let mut upstreams: Vec<Vec<i64>> =
            self.inputs.iter().map(|input| times(input).unwrap_or_default()).collect();
        if upstreams.iter().all(Vec::is_empty) {
            upstreams.clear();
        }
        let idle = self.idle.as_ref().map(Idle::progress);
        TaskRecord { operators: self.pipeline.progress(), upstreams, idle }
    }

    /// Progress to be written in this transaction, if it changed.
    pub fn changed_progress(&self) -> Option<TaskRecord> {
        let progress = self.progress();
        (progress != self.committed).then_some(progress)
    }

    pub fn deliver(&mut self, input: usize, pending: Pending) {
        let input = &mut self.inputs[input];
        input.buffered += pending.batch.len();
        input.queue.push_back(pending);
    }

    /// The reader stands at `next` of input `at`, with nothing more to fetch if `caught_up`.
    /// False: rows still wait, so it must be told again.
    pub fn note_end(&mut self, at: usize, next: Offset, caught_up: bool) -> bool {
        let input = &mut self.inputs[at];
        input.caught_up = caught_up;
        // Control records are passed, too; written with the next commit that has a reason of its own.
        if input.queue.is_empty() && next > input.position {
            input.position = next;
        }
        input.queue.is_empty()
    }

    pub fn has_buffered(&self) -> bool {
        self.inputs.iter().any(|input| !input.queue.is_empty())
    }

    /// Takes in up to `records_max` rows, in the order of R20, and sends what comes out.
    pub fn work(
        &mut self,
        state: &mut LaneState,
        outbox: &mut crate::outbox::Outbox,
        records_max: usize,
        now: Duration,
        wait_max: Duration,
    ) -> Result<Worked> {
        let mut worked = Worked::default();
        let coalesce = self.query.facts.coalesce;
        while worked.records < records_max {
            let Some(at) = self.choose(now, wait_max) else { break };
            let bound = self.bound_for(at);
            let max = records_max - worked.records;
            if self.take_mark(at, now) {
                worked.records += 1;
                continue;
            }
            if self.expire_before(at, max, now, (state, outbox), &mut worked)? {
                continue;
            }
            let Some(batch) = self.take(at, bound, max, now, &mut worked) else { continue };
            worked.records += batch.len();
            if !self.inputs[at].internal {
                self.counts.records_in += batch.len() as u64;
            }
            let mut emitted = Emitted::default();
            self.pipeline.push(at, batch, state, coalesce, &mut emitted)?;
            self.emit(emitted, Some(at), outbox, &mut worked.log)?;
        }
        self.counts.rejects += worked.log.len() as u64;
        Ok(worked)
    }

    /// Hands out what operators held back, before a commit.
    pub fn flush(
        &mut self,
        state: &mut LaneState,
        outbox: &mut crate::outbox::Outbox,
    ) -> Result<Vec<LogEntry>> {
        let mut emitted = Emitted::default();
        self.pipeline.flush(state, self.query.facts.coalesce, &mut emitted)?;
        let mut log = Vec::new();
        self.emit(emitted, None, outbox, &mut log)?;
        self.counts.rejects += log.len() as u64;
        Ok(log)
    }

    /// Rows that operators hold back until the next flush.
    pub fn owed_rows(&self) -> usize {
        self.pipeline.owed_rows()
    }

    /// The input to go on with: the one with the smallest head timestamp. `None`: nothing is
    /// buffered, or an empty input should have data and is waited for (R20).
    fn choose(&mut self, now: Duration, wait_max: Duration) -> Option<usize> {
        let ready = |input: &TaskInput| !input.queue.is_empty();
        if !self.inputs.iter().any(ready) {
            self.waiting_since = None;
            return None;
        }
        let waiting = self.inputs.iter().any(|input| !ready(input) && !input.caught_up);
        if waiting {
            let since = *self.waiting_since.get_or_insert(now);
            if now.saturating_sub(since) < wait_max {
                return None;
            }
        } else {
            self.waiting_since = None;
        }
        (0..self.inputs.len())
            .filter(|at| ready(&self.inputs[*at]))
            .min_by_key(|at| self.inputs[*at].order())
    }

    /// Rows of input `at` may be taken while they come before the other inputs' heads.
    fn bound_for(&self, at: usize) -> Option<(i64, u8, usize)> {
        let others =
            self.inputs.iter().enumerate().filter(|(i, other)| *i != at && !other.queue.is_empty());
        others.map(|(i, other)| (other.order().0, other.order().1, i)).min()
    }

    /// The next rows of input `at` below `bound`, at most `max`. `None`: only rejects, or an empty
    /// batch, were passed.
    fn take(
        &mut self,
        at: usize,
        bound: Option<(i64, u8, usize)>,
        max: usize,
        now: Duration,
        worked: &mut Worked,
    ) -> Option<Batch> {
        self.dirty = true;
        let query = &self.query;
        let input = &mut self.inputs[at];
        let rank = input.rank();
        let pending = input.queue.front_mut()?;
        let from = pending.taken;
        let rest = &pending.batch.times[from..];
        let before = |time: &i64| bound.is_none_or(|bound| (*time, rank, at) < bound);
        // The head was chosen, so at least one row goes.
        let run = rest.iter().take(max).take_while(|time| before(time)).count();
        let run = run.min(idle::rows_before_mark(pending));
        let run = match self.pipeline.expires() {
            true => {
                let clock = expiry::clock(pending, &input.upstreams, run, now);
                self.pipeline.rows_before_expiry(&rest[..run], &clock)
            }
            false => run,
        };
        let run = run.max(1).min(rest.len());
        pending.taken += run;
        self.taken.clear();
        self.taken.extend_from_slice(&pending.offsets[from..from + run]);
        input.buffered -= run;
        let done = pending.taken == pending.batch.len();
        input.position = match done {
            true => pending.next,
            false => Offset(pending.offsets[pending.taken]),
        };
        let passed = input.position.0;
        let count = pending.rejects.iter().take_while(|r| r.offset < passed).count();
        for reject in pending.rejects.drain(..count) {
            worked.log.push(log_entry(query, input.tp, &input.topic, &input.step, reject));
        }
        let mut batch = (run > 0).then(|| pending.batch.slice(from, run));
        if let (Some(batch), Some(sent), Some(upstreams)) =
            (&mut batch, &pending.upstream, &mut input.upstreams)
        {
            batch.clock = Some(upstreams.clock(&sent[from..from + run], now));
        }
        if done {
            input.queue.pop_front();
        }
        if let (Some(idle), Some(batch)) = (&mut self.idle, &batch) {
            idle.took(batch);
        }
        batch
    }

    /// `at`: the input whose rows, the last that were taken, brought it about.
    fn emit(
        &mut self,
        emitted: Emitted,
        at: Option<usize>,
        outbox: &mut crate::outbox::Outbox,
        log: &mut Vec<LogEntry>,
    ) -> Result<()> {
        self.counts.late_records += emitted.late_records;
        let (inputs, taken) = (&self.inputs, &self.taken);
        // A row that several records made is nobody's.
        let origin = |row: Option<usize>| {
            let (input, offset) = (&inputs[at?], *taken.get(row?)?);
            Some(Origin { topic: input.topic.clone(), tp: input.tp, offset, bytes: None })
        };
        for reject in emitted.rejects {
            log.push(LogEntry {
                query: self.query.id.clone(),
                step: "Processing".to_owned(),
                kind: reject.kind,
                reason: reject.reason,
                origin: origin(reject.origin),
                row: reject.row.as_ref().map(row_text),
            });
        }
        for (topic, batch) in emitted.aside {
            let writer = self.aside.iter_mut().find(|(at, _)| *at == topic);
            let Some((_, writer)) = writer else {
                return Err(EngineError::Bug(format!("nobody writes repartition {topic}")));
            };
            writer.write(&batch, outbox)?;
        }
        let lineages = emitted.lineages.into_iter().chain(std::iter::repeat(None));
        for (batch, lineage) in emitted.batches.into_iter().zip(lineages) {
            if !self.output.is_internal() {
                self.counts.records_out += batch.len() as u64;
            }
            let step = match self.output.is_internal() {
                true => "Processing",
                false => "ApplyTimestampTransform-KsqlSink",
            };
            for (row, reason) in self.output.write(&batch, outbox)? {
                log.push(LogEntry {
                    query: self.query.id.clone(),
                    step: step.to_owned(),
                    kind: RejectKind::Processing,
                    reason,
                    origin: origin(lineage.as_ref().and_then(|lineage| lineage.origin(row))),
                    row: Some(row_text(&batch.rows.slice(row, 1))),
                });
            }
        }
        Ok(())
    }
}

fn log_entry(query: &QueryDef, tp: Tp, topic: &str, step: &str, reject: PendingReject) -> LogEntry {
    LogEntry {
        query: query.id.clone(),
        step: format!("{step}.Source.deserializer"),
        kind: reject.kind,
        reason: reject.reason,
        origin: Some(Origin {
            topic: topic.to_owned(),
            tp,
            offset: reject.offset,
            bytes: reject.bytes,
        }),
        row: None,
    }
}

/// A one-row batch as text for people.
fn row_text(row: &arrow::array::RecordBatch) -> String {
    let mut text = String::from("{");
    for (field, column) in row.schema().fields().iter().zip(row.columns()) {
        let value = arrow::util::display::array_value_to_string(column, 0).unwrap_or_default();
        let comma = if text.len() > 1 { ", " } else { "" };
        text.push_str(&format!("{comma}{}: {value}", field.name()));
    }
    text.push('}');
    text
}
