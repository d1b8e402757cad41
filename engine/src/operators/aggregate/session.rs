//! Aggregation by group and session.
//!
//! Rows of one session follow each other closely; when one lies within the gap of several, they
//! are merged, the earliest taking in the others. As in Kafka Streams a merge emits a tombstone
//! for each session it replaces, then the merged row. With EMIT FINAL a closed session takes part
//! in no merge, so that it is emitted once and stays as it was.

mod store;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::ArrayRef;
use millrace_sql::plan::WindowKind;

use super::emit::{self, EMIT_ROWS_MAX};
use super::input::{Input, prepare, report_left_out};
use super::session_out::{self, OutRow, Values};
use super::sessions::{Lengths, Removed, Session, Sessions, Taken};
use super::spec::Spec;
use super::states::{RowsOf, States};
use super::window::NO_TIME;
use crate::batch::Batch;
use crate::codec::key::KeyBuffer;
use crate::error::{EngineError, Result};
use crate::operators::cache::CacheShare;
use crate::operators::{Operator, StepContext};
use crate::state::{StateView, StoreId};

/// Groups and slots that are kept however many of them have no live session.
const COMPACT_MIN: usize = 8192;

/// Value of entries in the store by ends: nothing but a version.
const END_VALUE: &[u8] = &[1];

/// Session aggregation.
pub(super) struct SessionAggregate {
    pub(super) spec: Spec,
    /// Sessions by group key, end, start.
    store: StoreId,
    /// The same by end, without state: what expires and what closes.
    pub(super) ends: StoreId,
    with_old: bool,
    cache: CacheShare,
    pub(super) lengths: Lengths,
    sessions: Sessions,
    states: States,
    /// Greatest event time seen.
    pub(super) stream_time: i64,
    /// Greatest event time of a row; over a repartition it may be ahead of stream time.
    latest: i64,
    /// EMIT FINAL: sessions that end before this have been emitted.
    pub(super) closed_to: i64,
    /// Rows applied so far.
    seq: i64,
    /// Groups that are not in memory have no sessions.
    pub(super) complete: bool,
    /// Sessions that end before this have been dropped from the store.
    expired_to: i64,
    /// EMIT FINAL: an end and its group, for each session that was open when noted.
    pub(super) open: BinaryHeap<Reverse<(i64, u32)>>,
    /// Groups with changed sessions, in order of first change.
    dirty: Vec<u32>,
    removed: Vec<Removed>,
    /// Values that downstream has of changed sessions.
    old: Values,
    compact_at: usize,
    keys: KeyBuffer,
    pending: Pending,
}

/// Rows whose place is found and that are not yet applied.
#[derive(Default)]
struct Pending {
    rows: Vec<u32>,
    slots: Vec<u32>,
    /// Values after each applied row of the batch.
    values: Values,
    /// Rows applied of the batch.
    applied: u32,
    out: Vec<OutRow>,
}

impl SessionAggregate {
    pub fn new(
        spec: Spec,
        store: StoreId,
        ends: StoreId,
        with_old: bool,
        cache: CacheShare,
    ) -> Result<Self> {
        let lengths = lengths(&spec)?;
        let states = States::new(spec.aggs()?);
        Ok(SessionAggregate {
            spec,
            store,
            ends,
            with_old,
            cache,
            lengths,
            sessions: Sessions::new(),
            states,
            stream_time: NO_TIME,
            latest: NO_TIME,
            closed_to: i64::MIN,
            seq: 0,
            complete: true,
            expired_to: i64::MIN,
            open: BinaryHeap::new(),
            dirty: Vec::new(),
            removed: Vec::new(),
            old: Values::default(),
            compact_at: COMPACT_MIN,
            keys: KeyBuffer::new(),
            pending: Pending::default(),
        })
    }

    /// Every change is handed out at once.
    fn emits_each(&self, ctx: &StepContext<'_>) -> bool {
        !ctx.coalesce && !self.spec.emit_final
    }

    /// Puts row `row` into its session.
    fn take_row(&mut self, input: &Input, row: usize, ctx: &mut StepContext<'_>) -> Result<()> {
        let time = input.times[row];
        self.stream_time = self.stream_time.max(input.clock()[row]);
        self.latest = self.latest.max(time);
        let key_bytes = input.keys.get(row);
        let (key, new) = self.sessions.key(key_bytes)?;
        if new && !self.complete {
            self.load_key(key, key_bytes, ctx.state)?;
        }
        let Lengths { gap_ms, .. } = self.lengths;
        let closed_to = self.lengths.closed_to(self.stream_time);
        let floor = self.lengths.floor(self.stream_time);
        let Taken::Into { at } = self.sessions.take(key, time, gap_ms, floor, closed_to) else {
            *ctx.late_records += 1;
            return Ok(());
        };
        self.states.grow(self.sessions.slots as usize);
        self.note_change(key);
        let each = self.emits_each(ctx);
        self.replace(key, at, row, input, ctx)?;
        if self.sessions.merged.is_empty() && self.spec.emit_final {
            self.open.push(Reverse((time, key)));
        }
        let session = &mut self.sessions.keys[key as usize].all[at];
        session.owed = ctx.coalesce && !self.spec.emit_final;
        self.states.note_time(session.slot, session.end);
        self.pending.rows.push(row as u32);
        self.pending.slots.push(session.slot);
        if each {
            let value = self.pending.applied + self.pending.rows.len() as u32 - 1;
            self.pending.out.push(OutRow::row(key, session, value));
            session.emitted = true;
            session.old = None;
        }
        Ok(())
    }

    fn note_change(&mut self, key: u32) {
        let sessions = &mut self.sessions.keys[key as usize];
        if !sessions.dirty {
            sessions.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Session `at` of `key` has taken the place of `Sessions::merged` for row `row`.
    fn replace(
        &mut self,
        key: u32,
        at: usize,
        row: usize,
        input: &Input,
        ctx: &mut StepContext<'_>,
    ) -> Result<()> {
        let (time, each) = (input.times[row], self.emits_each(ctx));
        let mut merged = std::mem::take(&mut self.sessions.merged);
        let now = self.sessions.keys[key as usize].all[at];
        if self.with_old {
            self.apply(input, ctx)?;
            self.capture(&mut merged)?;
            let same = merged.iter().find(|s| (s.start, s.end) == (now.start, now.end));
            let old = same.and_then(|session| session.old);
            self.sessions.keys[key as usize].all[at].old = old;
        }
        if merged.len() > 1 {
            self.apply(input, ctx)?;
            for session in &merged[1..] {
                self.states.merge(now.slot, session.slot, self.spec.skips_overflow)?;
            }
            report_left_out(&mut self.states, input, &[row as u32], ctx);
        }
        let overwritten = (now.start, now.end) == (time, time);
        for session in &merged {
            let same = (session.start, session.end) == (now.start, now.end);
            if each && !overwritten {
                self.pending.out.push(OutRow::tombstone(key, session));
                if same {
                    self.sessions.keys[key as usize].all[at].old = None;
                }
            }
            let emitted = session.emitted && !each;
            if !same && (session.stored || emitted) {
                self.removed.push(Removed { key, session: Session { emitted, ..*session } });
            }
        }
        self.sessions.merged = merged;
        Ok(())
    }

    /// Keeps the values that downstream has of sessions that are about to change.
    fn capture(&mut self, sessions: &mut [Session]) -> Result<()> {
        for session in sessions {
            if session.emitted && session.old.is_none() {
                session.old = Some(self.old.push(self.states.values(&[session.slot])?, 1));
            }
        }
        Ok(())
    }

    /// Applies the pending rows to their slots.
    fn apply(&mut self, input: &Input, ctx: &mut StepContext<'_>) -> Result<()> {
        let each = self.emits_each(ctx);
        let Pending { rows, slots, values, applied, .. } = &mut self.pending;
        if rows.is_empty() {
            return Ok(());
        }
        let whole = rows.len() == input.times.len();
        let picked: Vec<Vec<ArrayRef>>;
        let args = if whole {
            &input.args
        } else {
            let calls = input.args.iter().map(|columns| emit::take(columns, rows));
            picked = calls.collect::<Result<_>>()?;
            &picked
        };
        let skips_overflow = self.spec.skips_overflow;
        let shared = RowsOf { undo: None, first_seq: self.seq, skips_overflow };
        if each {
            let each = self.states.update_each(slots, args, shared)?;
            values.push(each, rows.len());
        } else {
            self.states.update(slots, args, shared)?;
        }
        report_left_out(&mut self.states, input, rows, ctx);
        *applied += rows.len() as u32;
        self.seq += rows.len() as i64;
        rows.clear();
        slots.clear();
        Ok(())
    }

    /// EMIT FINAL: hands out the sessions that stream time has closed, by end, key and start.
    ///
    /// Sessions close in the order of their ends and then no longer change, so doing this after
    /// the batch gives the same rows as doing it after each row.
    pub(super) fn emit_closed(&mut self, ctx: &mut StepContext<'_>) -> Result<()> {
        let closed_to = self.lengths.closed_to(self.stream_time);
        if self.stream_time == NO_TIME || closed_to <= self.closed_to {
            return Ok(());
        }
        if !self.complete {
            self.load_closing(closed_to, ctx.state)?;
        }
        let mut closed: Vec<(u32, Session)> = Vec::new();
        while let Some(Reverse((end, key))) = self.open.peek().copied()
            && end < closed_to
        {
            self.open.pop();
            let sessions = &self.sessions.keys[key as usize].all;
            let ended = sessions.iter().filter(|s| self.closed_to <= s.end && s.end < closed_to);
            closed.extend(ended.map(|session| (key, *session)));
            if let Some(next) = sessions.iter().map(|s| s.end).find(|end| *end >= closed_to) {
                self.open.push(Reverse((next, key)));
            }
        }
        let table = &self.sessions.table;
        closed.sort_by_key(|(key, session)| (session.end, table.key(*key), session.start));
        closed.dedup_by_key(|(key, session)| (*key, session.start));
        for closed in closed.chunks(EMIT_ROWS_MAX) {
            ctx.out.push(self.rows_of(closed)?);
        }
        self.closed_to = closed_to;
        Ok(())
    }

    fn rows_of(&self, sessions: &[(u32, Session)]) -> Result<Batch> {
        let slots: Vec<u32> = sessions.iter().map(|(_, session)| session.slot).collect();
        let mut values = Values::default();
        values.push(self.states.values(&slots)?, slots.len());
        let rows = sessions.iter().zip(0..);
        let rows: Vec<OutRow> =
            rows.map(|((key, session), value)| OutRow::row(*key, session, value)).collect();
        session_out::batch(&self.spec, &self.sessions, &rows, &values, None)
    }

    /// Hands out what changed since the last commit: tombstones first, then rows.
    fn emit_owed(&mut self, out: &mut Vec<Batch>) -> Result<()> {
        let gone = self.removed.iter().filter(|removed| removed.session.emitted);
        let mut rows: Vec<OutRow> =
            gone.map(|gone| OutRow::tombstone(gone.key, &gone.session)).collect();
        let mut slots = Vec::new();
        for key in &self.dirty {
            for session in &mut self.sessions.keys[*key as usize].all {
                if session.owed {
                    rows.push(OutRow::row(*key, session, slots.len() as u32));
                    slots.push(session.slot);
                    (session.owed, session.emitted, session.old) = (false, true, None);
                }
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut values = Values::default();
        values.push(self.states.values(&slots)?, slots.len());
        let old = self.with_old.then_some(&self.old);
        for rows in rows.chunks(EMIT_ROWS_MAX) {
            out.push(session_out::batch(&self.spec, &self.sessions, rows, &values, old)?);
        }
        Ok(())
    }
}

impl Operator for SessionAggregate {
    fn push(&mut self, _: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let keys = std::mem::take(&mut self.keys);
        let Some(input) = prepare(&self.spec, batch, keys, ctx)? else { return Ok(()) };
        for row in 0..input.times.len() {
            self.take_row(&input, row, ctx)?;
        }
        self.apply(&input, ctx)?;
        let each = self.emits_each(ctx);
        let Pending { values, out, .. } = std::mem::take(&mut self.pending);
        if !out.is_empty() {
            let old = self.with_old.then_some(&self.old);
            ctx.out.push(session_out::batch(&self.spec, &self.sessions, &out, &values, old)?);
        }
        if each {
            self.old.clear();
        }
        self.keys = input.keys;
        if self.spec.emit_final {
            self.emit_closed(ctx)?;
        }
        Ok(())
    }

    fn flush(&mut self, ctx: &mut StepContext<'_>) -> Result<()> {
        self.emit_owed(ctx.out)?;
        self.expire(ctx.state)?;
        self.write(ctx.state)?;
        self.compact();
        Ok(())
    }

    /// Stream time, end of the closed sessions, rows applied.
    fn progress(&self) -> Vec<i64> {
        vec![self.stream_time, self.closed_to, self.seq, self.latest]
    }

    fn restore(&mut self, progress: &[i64]) {
        let [stream_time, closed_to, seq, latest] = *progress else { return };
        (self.stream_time, self.closed_to, self.seq) = (stream_time, closed_to, seq);
        self.latest = latest;
        self.complete = latest == NO_TIME;
    }

    fn reset(&mut self) {
        self.forget();
        (self.stream_time, self.closed_to, self.seq) = (NO_TIME, i64::MIN, 0);
        self.latest = NO_TIME;
        self.complete = true;
        self.expired_to = i64::MIN;
    }

    fn owed_rows(&self) -> usize {
        self.dirty.len()
    }

    fn next_close(&self, state: &dyn StateView) -> Result<i64> {
        self.first_close(state)
    }

    fn close(&mut self, now: i64, ctx: &mut StepContext<'_>) -> Result<()> {
        self.close_to(now, ctx)
    }
}

fn lengths(spec: &Spec) -> Result<Lengths> {
    let Some(window) = spec.window else {
        return Err(EngineError::Bug("a session aggregation without window".into()));
    };
    let WindowKind::Session { gap_ms } = window.kind else {
        return Err(EngineError::Bug("a session aggregation over fixed windows".into()));
    };
    if gap_ms < 0 {
        return Err(EngineError::User(format!("a session gap of {gap_ms} ms is negative")));
    }
    let grace_ms = window.grace_ms;
    let open_ms = gap_ms.saturating_add(grace_ms);
    let keep_ms = if spec.emit_final { open_ms } else { window.retention_ms.max(open_ms) };
    Ok(Lengths { gap_ms, grace_ms, keep_ms })
}
