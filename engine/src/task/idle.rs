//! Time that goes on with the clock while no record comes (`millrace.window.idle.close.ms`), so that
//! windows close, pending rows of joins are given up and rows expire also where nothing follows.
//!
//! A task that reads sources lets stream time go on from its last record as the clock does, behind it by
//! the time that was set. It moves to just where something closes, and that is part of its progress: a
//! restart does not open what was closed. A task that reads repartition topics asks no clock: those who
//! send to it tell it by marks how far time is, each when it is idle itself, so that rows on their way
//! are not overtaken.

use std::time::Duration;

use super::{Pending, Task, Worked};
use crate::batch::Batch;
use crate::error::Result;
use crate::ids::{Offset, Tp};
use crate::outbox::Outbox;
use crate::output::OutputWriter;
use crate::pipeline::Emitted;
use crate::progress::{IdleRecord, TaskKey};
use crate::query::QueryDef;
use crate::state::lane::LaneState;
use crate::topology::{Closer, Input};

/// No record has been seen.
const NO_TIME: i64 = i64::MIN;
/// Things that are closed and marks that are sent in one go.
const PASSES_MAX: usize = 64;
/// Rows that expire in one of them, about.
const EXPIRED_MAX: usize = 8192;

/// A task's view of time while no record comes.
pub(super) struct Idle {
    close_ms: i64,
    record: IdleRecord,
    /// Since when (on the clock) no record has come.
    since: Option<Duration>,
    /// Stream time at which something closes next; `None`: not known.
    next: Option<i64>,
    /// What closes downstream.
    below: Vec<Closer>,
    /// A source is read, so that the clock counts.
    clocked: bool,
}

/// What a task would do if nothing is left to read.
pub struct Passing {
    /// How far stream time would be.
    pub to: i64,
    /// What it reads from sources, and how far it has.
    pub reads: Vec<(Tp, Offset)>,
}

impl Idle {
    /// `None`: the query does not want it, or nothing of the task closes.
    pub fn of(query: &QueryDef, key: &TaskKey) -> Option<Self> {
        let (topology, sub) = (&query.topology, key.sub as usize);
        let close_ms = topology.idle_close_ms?;
        let below = topology.closers_below(sub);
        let inputs = &topology.subs[sub].inputs;
        let clocked = inputs.iter().any(|input| matches!(input, Input::Scan(_)));
        let idle = Idle {
            close_ms,
            record: IdleRecord { time: NO_TIME, marked: NO_TIME },
            since: None,
            next: None,
            below,
            clocked,
        };
        (topology.closes(sub) || !idle.below.is_empty()).then_some(idle)
    }

    /// Rows were taken in.
    pub fn took(&mut self, batch: &Batch) {
        let latest = batch.clock().iter().copied().max().unwrap_or(NO_TIME);
        self.record.time = self.record.time.max(latest);
        (self.since, self.next) = (None, None);
    }

    pub fn progress(&self) -> IdleRecord {
        self.record
    }

    /// Back to what was committed. The clock is looked at anew.
    pub fn restore(&mut self, record: Option<IdleRecord>) {
        self.record = record.unwrap_or(IdleRecord { time: NO_TIME, marked: NO_TIME });
        (self.since, self.next) = (None, None);
    }

    /// How far the clock has brought stream time.
    fn clock(&mut self, now: Duration) -> Option<i64> {
        let since = *self.since.get_or_insert(now);
        let passed = i64::try_from(now.saturating_sub(since).as_millis()).unwrap_or(i64::MAX);
        let passed = passed.checked_sub(self.close_ms).filter(|passed| *passed > 0)?;
        (self.record.time > NO_TIME).then(|| self.record.time.saturating_add(passed))
    }

    /// Where the next mark stands, as those downstream see time.
    fn next_mark(&self) -> i64 {
        let IdleRecord { time, marked } = self.record;
        let after = time.max(marked);
        let open = self.below.iter().filter(|c| marked < time.saturating_add(c.span_ms()));
        match time {
            NO_TIME => i64::MAX,
            _ => open.map(|closer| closer.next(after)).min().unwrap_or(i64::MAX),
        }
    }
}

impl Task {
    /// What the clock would bring about now, if no record has come that is not taken in yet.
    pub fn passing(&mut self, now: Duration, state: &LaneState) -> Result<Option<Passing>> {
        if self.idle.is_none() {
            return Ok(None);
        }
        if self.inputs.iter().any(|input| !input.queue.is_empty() || !input.caught_up) {
            return Ok(None);
        }
        let Some(to) = self.idle_time(now) else { return Ok(None) };
        if !self.steps_by(to, state)? {
            return Ok(None);
        }
        let sources = self.inputs.iter().filter(|input| !input.internal);
        Ok(Some(Passing { to, reads: sources.map(|input| (input.tp, input.position)).collect() }))
    }

    /// Stream time while no record comes: that of the clock and of all who send.
    fn idle_time(&mut self, now: Duration) -> Option<i64> {
        let idle = self.idle.as_mut()?;
        let clocked = idle.clocked;
        let mut to = if clocked { idle.clock(now)? } else { i64::MAX };
        let upstreams = || self.inputs.iter().filter_map(|input| input.upstreams.as_ref());
        let latest = upstreams().filter_map(|upstreams| upstreams.latest_time()).max();
        let mut active = false;
        for upstreams in self.inputs.iter_mut().filter_map(|input| input.upstreams.as_mut()) {
            if let Some(time) = upstreams.active_time(now) {
                to = to.min(time);
                active = true;
            }
        }
        // Nobody sends any more: what they have sent is all.
        if active || clocked { Some(to) } else { latest }
    }

    /// Whether something closes here by stream time `to`, or others are told.
    fn steps_by(&mut self, to: i64, state: &LaneState) -> Result<bool> {
        let Some(idle) = &mut self.idle else { return Ok(false) };
        let next = match idle.next {
            Some(next) => next,
            None => *idle.next.insert(self.pipeline.next_close(state)?),
        };
        let next = next.min(idle.next_mark().saturating_add(self.pipeline.hold_ms()));
        Ok(next < i64::MAX && next <= to)
    }

    /// Stream time has come to `to` without a row: closes what is due, and tells those downstream.
    pub fn pass(
        &mut self,
        to: i64,
        state: &mut LaneState,
        outbox: &mut Outbox,
        worked: &mut Worked,
    ) -> Result<()> {
        let coalesce = self.query.facts.coalesce;
        for _ in 0..PASSES_MAX {
            if !self.steps_by(to, state)? {
                break;
            }
            self.dirty = true;
            worked.records += 1;
            let Some(idle) = &mut self.idle else { break };
            if let Some(next) = idle.next.filter(|next| *next <= to) {
                idle.next = None;
                let mut emitted = Emitted::default();
                self.pipeline.close(next, EXPIRED_MAX, state, coalesce, &mut emitted)?;
                self.emit(emitted, None, outbox, &mut worked.log)?;
                continue;
            }
            idle.record.marked = idle.next_mark();
            if let OutputWriter::Repartition(writer) = &mut self.output {
                writer.mark(idle.record.marked, outbox);
            }
        }
        Ok(())
    }

    /// Takes in a mark, if that is the next of input `at`. What it closes is closed by the next row, or
    /// when there is none: both come to the same.
    pub(super) fn take_mark(&mut self, at: usize, now: Duration) -> bool {
        let input = &mut self.inputs[at];
        let Some(pending) = input.queue.front_mut().filter(|p| rows_before_mark(p) == 0) else {
            return false;
        };
        let row = pending.taken;
        pending.taken += 1;
        input.buffered -= 1;
        if let (Some(sent), Some(upstreams)) = (&pending.upstream, &mut input.upstreams) {
            upstreams.clock(&sent[row..=row], now);
        }
        if pending.taken == pending.batch.len() {
            input.position = pending.next;
            input.queue.pop_front();
        } else {
            input.position = Offset(pending.offsets[pending.taken]);
        }
        self.dirty = true;
        true
    }
}

/// How many rows come before the next mark; all when there is none.
pub(super) fn rows_before_mark(pending: &Pending) -> usize {
    let Some(marks) = &pending.marks else { return usize::MAX };
    marks[pending.taken..].iter().position(|mark| *mark).unwrap_or(usize::MAX)
}
