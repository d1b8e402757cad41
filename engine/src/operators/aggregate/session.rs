//! Aggregation by group and session.
//!
//! Rows of one session follow each other closely; when one lies within the gap of several, they
//! are merged, the earliest taking in the others. As in Kafka Streams a merge emits a tombstone
//! for each session it replaces, then the merged row. With EMIT FINAL a closed session takes part
//! in no merge, so that it is emitted once and stays as it was.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::ArrayRef;
use millrace_sql::plan::WindowKind;

use super::emit::{self, EMIT_ROWS_MAX};
use super::input::{Input, prepare};
use super::session_out::{self, OutRow, Values};
use super::sessions::{
    Lengths, Removed, Session, Sessions, Taken, end_key, from_end_key, key_range, session_key,
};
use super::spec::Spec;
use super::states::{RowsOf, States};
use super::window::NO_TIME;
use crate::batch::Batch;
use crate::codec::key::KeyBuffer;
use crate::error::{EngineError, Result};
use crate::operators::slots::{split_session, window_bytes};
use crate::operators::{Operator, StepContext};
use crate::state::{Shape, StateView, StoreId};

/// Groups that are kept however many of them have no live session.
const COMPACT_KEYS_MIN: usize = 4096;

/// Value of entries in the store by ends: nothing but a version.
const END_VALUE: &[u8] = &[1];

/// Session aggregation.
pub(super) struct SessionAggregate {
    spec: Spec,
    /// Sessions by group key, end, start.
    store: StoreId,
    /// The same by end, without state: what expires and what closes.
    ends: StoreId,
    with_old: bool,
    cache_bytes_max: usize,
    lengths: Lengths,
    sessions: Sessions,
    states: States,
    /// Greatest event time seen.
    stream_time: i64,
    /// EMIT FINAL: sessions that end before this have been emitted.
    closed_to: i64,
    /// Rows applied so far.
    seq: i64,
    /// Groups that are not in memory have no sessions.
    complete: bool,
    /// Sessions that end before this have been dropped from the store.
    expired_to: i64,
    /// EMIT FINAL: an end and its group, for each session that was open when noted.
    open: BinaryHeap<Reverse<(i64, u32)>>,
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
        cache_bytes_max: usize,
    ) -> Result<Self> {
        let lengths = lengths(&spec)?;
        let states = States::new(spec.aggs()?);
        Ok(SessionAggregate {
            spec,
            store,
            ends,
            with_old,
            cache_bytes_max,
            lengths,
            sessions: Sessions::new(),
            states,
            stream_time: NO_TIME,
            closed_to: i64::MIN,
            seq: 0,
            complete: true,
            expired_to: i64::MIN,
            open: BinaryHeap::new(),
            dirty: Vec::new(),
            removed: Vec::new(),
            old: Values::default(),
            compact_at: COMPACT_KEYS_MIN,
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
        self.stream_time = self.stream_time.max(time);
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
        self.replace(key, at, time, each, input)?;
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

    /// Session `at` of `key` has taken the place of `Sessions::merged` for a row at `time`.
    fn replace(&mut self, key: u32, at: usize, time: i64, each: bool, input: &Input) -> Result<()> {
        let mut merged = std::mem::take(&mut self.sessions.merged);
        let now = self.sessions.keys[key as usize].all[at];
        if self.with_old {
            self.apply(input, each)?;
            self.capture(&mut merged)?;
            let same = merged.iter().find(|s| (s.start, s.end) == (now.start, now.end));
            let old = same.and_then(|session| session.old);
            self.sessions.keys[key as usize].all[at].old = old;
        }
        if merged.len() > 1 {
            self.apply(input, each)?;
            for session in &merged[1..] {
                self.states.merge(now.slot, session.slot)?;
            }
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
    fn apply(&mut self, input: &Input, each: bool) -> Result<()> {
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
        let shared = RowsOf { undo: None, first_seq: self.seq };
        if each {
            let each = self.states.update_each(slots, args, shared)?;
            values.push(each, rows.len());
        } else {
            self.states.update(slots, args, shared)?;
        }
        *applied += rows.len() as u32;
        self.seq += rows.len() as i64;
        rows.clear();
        slots.clear();
        Ok(())
    }

    /// Reads the sessions of a group from the store.
    fn load_key(&mut self, key: u32, key_bytes: &[u8], state: &dyn StateView) -> Result<()> {
        let (from, to) = key_range(key_bytes);
        let mut failed = Ok(());
        state.scan(self.store, Shape::KeyFirst, &from, &to, &mut |entry, value| {
            failed = self.load_session(key, entry, value);
            failed.is_ok()
        })?;
        failed?;
        self.sessions.keys[key as usize].all.sort_by_key(|session| session.start);
        Ok(())
    }

    fn load_session(&mut self, key: u32, entry: &[u8], value: &[u8]) -> Result<()> {
        let (_, start, end) = split_session(entry)?;
        let slot = self.sessions.slots;
        self.sessions.slots += 1;
        self.states.grow(self.sessions.slots as usize);
        self.states.load(slot, value)?;
        let session = Session {
            start,
            end,
            slot,
            stored: true,
            // Downstream of EMIT FINAL has a session only when nothing changes it any more.
            emitted: !self.spec.emit_final,
            dirty: false,
            owed: false,
            old: None,
        };
        self.sessions.keys[key as usize].all.push(session);
        if self.spec.emit_final && end >= self.closed_to {
            self.open.push(Reverse((end, key)));
        }
        Ok(())
    }

    /// EMIT FINAL: hands out the sessions that stream time has closed, by end, key and start.
    ///
    /// Sessions close in the order of their ends and then no longer change, so doing this after
    /// the batch gives the same rows as doing it after each row.
    fn emit_closed(&mut self, ctx: &mut StepContext<'_>) -> Result<()> {
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

    /// Brings the groups of stored sessions that close now into memory.
    fn load_closing(&mut self, closed_to: i64, state: &dyn StateView) -> Result<()> {
        let (from, to) = (window_bytes(self.closed_to), window_bytes(closed_to));
        let mut failed = Ok(());
        state.scan(self.ends, Shape::WindowFirst, &from, &to, &mut |entry, _| {
            failed = self.load_closing_key(entry, state);
            failed.is_ok()
        })?;
        failed
    }

    fn load_closing_key(&mut self, entry: &[u8], state: &dyn StateView) -> Result<()> {
        let (key_bytes, _) = from_end_key(entry)?;
        let (key, new) = self.sessions.key(key_bytes)?;
        if new { self.load_key(key, key_bytes, state) } else { Ok(()) }
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

    /// Writes changed sessions and deletes merged ones.
    fn write(&mut self, state: &mut dyn StateView) -> Result<()> {
        let (mut entry, mut value) = (Vec::new(), Vec::new());
        for Removed { key, session } in std::mem::take(&mut self.removed) {
            if session.stored {
                let key = self.sessions.table.key(key);
                session_key(key, &session, &mut entry);
                state.put(self.store, Shape::KeyFirst, &entry, None, session.end)?;
                end_key(key, &session, &mut entry);
                state.put(self.ends, Shape::WindowFirst, &entry, None, session.end)?;
            }
        }
        for number in std::mem::take(&mut self.dirty) {
            let key = self.sessions.table.key(number);
            let sessions = &mut self.sessions.keys[number as usize];
            sessions.dirty = false;
            for session in sessions.all.iter_mut().filter(|session| session.dirty) {
                session.dirty = false;
                if session.end < self.expired_to {
                    continue;
                }
                self.states.save(session.slot, &mut value);
                session_key(key, session, &mut entry);
                state.put(self.store, Shape::KeyFirst, &entry, Some(&value), session.end)?;
                if !session.stored {
                    end_key(key, session, &mut entry);
                    let end = Some(END_VALUE);
                    state.put(self.ends, Shape::WindowFirst, &entry, end, session.end)?;
                    session.stored = true;
                }
            }
        }
        self.old.clear();
        Ok(())
    }

    /// Deletes sessions that are no longer kept.
    fn expire(&mut self, state: &mut dyn StateView) -> Result<()> {
        let Some(window) = self.spec.window else { return Ok(()) };
        let to = self.stream_time.saturating_sub(window.retention_ms);
        if self.stream_time == NO_TIME || to <= self.expired_to {
            return Ok(());
        }
        let bound = window_bytes(to);
        let mut expired = Vec::new();
        state.scan(self.ends, Shape::WindowFirst, &[], &bound, &mut |entry, _| {
            expired.push(entry.to_vec());
            true
        })?;
        for entry in expired {
            let (_, key) = from_end_key(&entry)?;
            state.put(self.store, Shape::KeyFirst, &key, None, self.stream_time)?;
        }
        state.expire(self.ends, &bound)?;
        self.expired_to = to;
        Ok(())
    }

    /// Forgets sessions that no row can reach, or everything when memory is short. All is written
    /// before.
    fn compact(&mut self) {
        if self.memory_bytes() > self.cache_bytes_max {
            self.forget();
            self.complete = false;
            return;
        }
        let unused = self.states.len() > 2 * self.sessions.keys.len() + COMPACT_KEYS_MIN;
        if self.sessions.keys.len() < self.compact_at && !unused {
            return;
        }
        let floor = self.lengths.floor(self.stream_time);
        let mut keep_keys = Vec::new();
        let mut slots = Vec::new();
        for (number, key) in self.sessions.keys.iter_mut().enumerate() {
            key.all.retain(|session| session.end >= floor);
            if !key.all.is_empty() {
                keep_keys.push(number as u32);
                slots.extend(key.all.iter().map(|session| session.slot));
            }
        }
        slots.sort_unstable();
        self.states.retain(&slots);
        self.sessions.table.retain(&keep_keys);
        self.sessions.keys.retain(|key| !key.all.is_empty());
        self.sessions.slots = slots.len() as u32;
        self.open.clear();
        for (number, key) in self.sessions.keys.iter_mut().enumerate() {
            for session in &mut key.all {
                session.slot = slots.partition_point(|slot| *slot < session.slot) as u32;
                if self.spec.emit_final && session.end >= self.closed_to {
                    self.open.push(Reverse((session.end, number as u32)));
                }
            }
        }
        self.compact_at = COMPACT_KEYS_MIN.max(2 * self.sessions.keys.len());
    }

    fn forget(&mut self) {
        self.sessions.clear();
        self.states.retain(&[]);
        self.open.clear();
        self.dirty.clear();
        self.removed.clear();
        self.old.clear();
        self.pending = Pending::default();
        self.compact_at = COMPACT_KEYS_MIN;
    }
}

impl Operator for SessionAggregate {
    fn push(&mut self, _: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let keys = std::mem::take(&mut self.keys);
        let Some(input) = prepare(&self.spec, batch, keys, ctx)? else { return Ok(()) };
        for row in 0..input.times.len() {
            self.take_row(&input, row, ctx)?;
        }
        let each = self.emits_each(ctx);
        self.apply(&input, each)?;
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
        vec![self.stream_time, self.closed_to, self.seq]
    }

    fn restore(&mut self, progress: &[i64]) {
        let [stream_time, closed_to, seq] = *progress else { return };
        (self.stream_time, self.closed_to, self.seq) = (stream_time, closed_to, seq);
        self.complete = stream_time == NO_TIME;
    }

    fn reset(&mut self) {
        self.forget();
        (self.stream_time, self.closed_to, self.seq) = (NO_TIME, i64::MIN, 0);
        self.complete = true;
        self.expired_to = i64::MIN;
    }

    fn memory_bytes(&self) -> usize {
        self.sessions.memory_bytes() + self.states.memory_bytes()
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
