//! Aggregation by group, or by group and tumbling or hopping window.

use std::collections::{BTreeMap, HashMap};

use arrow::array::ArrayRef;
use arrow::buffer::BooleanBuffer;

use super::emit::{self, Columns, EMIT_ROWS_MAX, OldValues, window_ends};
use super::expire;
use super::groups::Groups;
use super::input::{Input, prepare, report_left_out};
use super::old::{OldCursor, join_old};
use super::spec::Spec;
use super::states::RowsOf;
use super::window::{Assigned, Assigner, NO_TIME};
use crate::batch::Batch;
use crate::codec::key::KeyBuffer;
use crate::error::Result;
use crate::operators::cache::CacheShare;
use crate::operators::expiry::Expiry;
use crate::operators::slots::window_bytes;
use crate::operators::{Operator, StepContext};
use crate::state::{Shape, StateView, StoreId};

/// Slots that are kept however many of them are of closed windows.
const COMPACT_SLOTS_MIN: usize = 4096;

/// Windows that no row has reached for so many commits are left to the store.
const IDLE_INTERVALS_MAX: u32 = 4;

/// Un-windowed, tumbling or hopping aggregation.
pub(super) struct TimeAggregate {
    pub(super) spec: Spec,
    pub(super) store: StoreId,
    /// When groups expire, and the state of a new one.
    pub(super) expiry: Option<(Expiry, Vec<u8>)>,
    /// Fill [`Batch::old`] in what is emitted.
    pub(super) with_old: bool,
    cache: CacheShare,
    pub(super) assigner: Option<Assigner>,
    pub(super) groups: Groups,
    /// How far time is: what windows close by.
    pub(super) stream_time: i64,
    /// Greatest event time of a row; over a repartition it may be ahead of stream time.
    latest: i64,
    /// EMIT FINAL: windows that start before this have been emitted.
    pub(super) closed_to: i64,
    /// Rows applied so far.
    seq: i64,
    /// Groups of windows that start here or later are in memory if they exist at all, so the
    /// store need not be asked. Un-windowed groups count as windows that start at 0.
    pub(super) complete_from: i64,
    /// Windows that start before this have been dropped from the store.
    expired_to: i64,
    /// EMIT FINAL: slots by window that is not yet closed.
    pub(super) open: BTreeMap<i64, Vec<u32>>,
    /// Slots at which closed windows are looked for.
    compact_at: usize,
    /// Values of owed slots before their first change, in order of `Groups::owe`.
    old: Vec<OldValues>,
    /// Buffers kept between batches.
    pub(super) assigned: Assigned,
    pub(super) slots: Vec<u32>,
    missing: Vec<u32>,
    keys: KeyBuffer,
}

impl TimeAggregate {
    pub fn new(
        spec: Spec,
        store: StoreId,
        expiry: Option<Expiry>,
        with_old: bool,
        cache: CacheShare,
    ) -> Result<Self> {
        let empty = expiry.is_some().then(|| expire::empty_state(&spec)).transpose()?;
        let assigner = spec.window.as_ref().map(Assigner::new).transpose()?;
        let groups = Groups::new(assigner.is_some(), spec.aggs()?);
        Ok(TimeAggregate {
            spec,
            store,
            expiry: expiry.zip(empty),
            with_old,
            cache,
            assigner,
            groups,
            stream_time: NO_TIME,
            latest: NO_TIME,
            closed_to: i64::MIN,
            seq: 0,
            complete_from: i64::MIN,
            expired_to: i64::MIN,
            open: BTreeMap::new(),
            compact_at: COMPACT_SLOTS_MIN,
            old: Vec::new(),
            assigned: Assigned::default(),
            slots: Vec::new(),
            missing: Vec::new(),
            keys: KeyBuffer::new(),
        })
    }

    fn shape(&self) -> Shape {
        if self.assigner.is_some() { Shape::WindowFirst } else { Shape::KeyValue }
    }

    fn size_ms(&self) -> Option<i64> {
        self.assigner.map(|assigner| assigner.size_ms)
    }

    /// Finds windows and slots of the rows and reads missing state.
    fn assign(&mut self, input: &Input, ctx: &mut StepContext<'_>) -> Result<()> {
        let late = match &self.assigner {
            Some(assigner) => assigner.assign(
                &input.times,
                input.clock(),
                &mut self.stream_time,
                &mut self.assigned,
            ),
            None => {
                let clock = input.clock().iter().copied().max().unwrap_or(NO_TIME);
                self.stream_time = self.stream_time.max(clock);
                self.assigned.rows.clear();
                self.assigned.rows.extend(0..input.times.len() as u32);
                self.assigned.starts.clear();
                self.assigned.starts.resize(input.times.len(), 0);
                0
            }
        };
        self.latest = input.times.iter().fold(self.latest, |latest, time| latest.max(*time));
        *ctx.late_records += late;
        self.find_slots(&input.keys)?;
        self.groups.grow();
        if !self.missing.is_empty() {
            let (shape, store) = (self.shape(), self.store);
            self.groups.load(&mut self.missing, store, shape, ctx.state)?;
        }
        self.leave_out_expired(input, ctx)
    }

    /// Brings groups into memory that are in the store.
    pub(super) fn load_missing(
        &mut self,
        mut slots: Vec<u32>,
        state: &dyn StateView,
    ) -> Result<()> {
        let (shape, store) = (self.shape(), self.store);
        self.groups.load(&mut slots, store, shape, state)
    }

    fn find_slots(&mut self, keys: &KeyBuffer) -> Result<()> {
        self.slots.clear();
        self.missing.clear();
        let (mut row_before, mut hash) = (u32::MAX, 0);
        for (row, start) in self.assigned.rows.iter().zip(&self.assigned.starts) {
            let key = keys.get(*row as usize);
            if *row != row_before {
                (row_before, hash) = (*row, self.groups.table.hash(key));
            }
            let (slot, new) = self.groups.table.find_or_insert(hash, *start, key)?;
            self.slots.push(slot);
            if new {
                if *start < self.complete_from {
                    self.missing.push(slot);
                }
                if self.spec.emit_final {
                    self.open.entry(*start).or_default().push(slot);
                }
            }
        }
        Ok(())
    }

    /// Arguments row by row of what was assigned.
    fn assigned_args(&self, input: &mut Input) -> Result<Vec<Vec<ArrayRef>>> {
        let args = std::mem::take(&mut input.args);
        if self.assigned.is_identity(input.times.len()) {
            return Ok(args);
        }
        args.iter().map(|columns| emit::take(columns, &self.assigned.rows)).collect()
    }

    fn apply(&mut self, input: &mut Input, ctx: &mut StepContext<'_>) -> Result<()> {
        let args = self.assigned_args(input)?;
        let skips_overflow = self.spec.skips_overflow;
        let rows = RowsOf { undo: input.undo.as_ref(), first_seq: self.seq, skips_overflow };
        self.seq += self.slots.len() as i64;
        let emit_each = !ctx.coalesce && !self.spec.emit_final;
        if emit_each {
            let before = self.with_old.then(|| self.first_values()).transpose()?;
            let values = self.groups.states.update_each(&self.slots, &args, rows)?;
            report_left_out(&mut self.groups.states, input, &self.assigned.rows, ctx);
            let batch = self.changes(input, values, before)?;
            ctx.out.push(match &input.replaced {
                Some(replaced) => emit::without_replaced(batch, replaced, &self.slots)?,
                None => batch,
            });
            return Ok(());
        }
        if !self.spec.emit_final {
            let newly = self.groups.owe(&self.slots).to_vec();
            if self.with_old && !newly.is_empty() {
                self.old.push(self.old_values(&newly)?);
            }
        }
        self.groups.states.update(&self.slots, &args, rows)?;
        report_left_out(&mut self.groups.states, input, &self.assigned.rows, ctx);
        for (row, slot) in self.assigned.rows.iter().zip(&self.slots) {
            self.groups.touch(*slot, input.times[*row as usize]);
        }
        Ok(())
    }

    pub(super) fn old_values(&self, slots: &[u32]) -> Result<OldValues> {
        let live: BooleanBuffer = slots.iter().map(|slot| self.groups.is_known(*slot)).collect();
        Ok(OldValues { values: self.groups.states.values(slots)?, live })
    }

    /// The slots of the batch, each once, with their values, and where the value before each row is
    /// found: among these, or (counting on) among the values after each row.
    fn first_values(&self) -> Result<(OldValues, Vec<u32>)> {
        let mut last: HashMap<u32, u32> = HashMap::new();
        let mut distinct = Vec::new();
        for slot in &self.slots {
            last.entry(*slot).or_insert_with(|| {
                distinct.push(*slot);
                distinct.len() as u32 - 1
            });
        }
        let first_after = distinct.len() as u32;
        let before = self.slots.iter().zip(first_after..);
        let before = before.map(|(slot, after)| last.insert(*slot, after).unwrap_or(after));
        Ok((self.old_values(&distinct)?, before.collect()))
    }

    /// One output row per applied row.
    fn changes(
        &mut self,
        input: &Input,
        values: Vec<ArrayRef>,
        before: Option<(OldValues, Vec<u32>)>,
    ) -> Result<Batch> {
        let rows = &self.assigned.rows;
        let pairs = rows.iter().zip(&self.slots);
        let times = pairs.map(|(row, slot)| self.groups.touch(*slot, input.times[*row as usize]));
        let times = times.collect();
        let group: Vec<ArrayRef> =
            self.spec.group.iter().map(|i| input.rows.column(*i).clone()).collect();
        let identity = self.assigned.is_identity(input.times.len());
        let group = if identity { group } else { emit::take(&group, rows)? };
        let old = before.map(|before| join_old(before, &values)).transpose()?;
        self.groups.set_known(&self.slots);
        let windows = self.assigner.map(|assigner| {
            let starts = self.assigned.starts.clone();
            let ends = window_ends(&starts, assigner.size_ms);
            (starts, ends)
        });
        emit::batch(&self.spec, Columns { group, windows, values }, times, old)
    }

    /// Hands out the owed slots.
    pub(super) fn emit_owed(&mut self, out: &mut Vec<Batch>) -> Result<()> {
        let mut old = OldCursor::new(std::mem::take(&mut self.old))?;
        let owed = self.groups.take_owed();
        for slots in owed.chunks(EMIT_ROWS_MAX) {
            let old = self.with_old.then(|| old.next(slots.len()));
            let batch = emit::slots_batch(&self.spec, &self.groups, slots, self.size_ms(), old)?;
            out.push(batch);
        }
        Ok(())
    }

    /// EMIT FINAL: hands out the windows that stream time has closed, by start and key.
    ///
    /// All windows close in the order of their starts, and a closed one takes no more rows, so
    /// doing this after the batch gives the same rows as doing it after each row.
    pub(super) fn emit_closed(&mut self, ctx: &mut StepContext<'_>) -> Result<()> {
        let Some(assigner) = self.assigner else { return Ok(()) };
        let closed_to = assigner.closed_to(self.stream_time);
        if self.stream_time == NO_TIME || closed_to <= self.closed_to {
            return Ok(());
        }
        let stored_to = closed_to.min(self.complete_from);
        if self.closed_to < stored_to {
            self.load_windows(self.closed_to, stored_to, ctx.state)?;
        }
        let still_open = self.open.split_off(&closed_to);
        for (_, mut slots) in std::mem::replace(&mut self.open, still_open) {
            let table = &self.groups.table;
            slots.sort_unstable_by(|a, b| table.key(*a).cmp(table.key(*b)));
            for slots in slots.chunks(EMIT_ROWS_MAX) {
                let size_ms = Some(assigner.size_ms);
                ctx.out.push(emit::slots_batch(&self.spec, &self.groups, slots, size_ms, None)?);
            }
        }
        self.closed_to = closed_to;
        Ok(())
    }

    /// Brings stored groups of windows `from..to` into memory.
    fn load_windows(&mut self, from: i64, to: i64, state: &dyn StateView) -> Result<()> {
        let mut failed = Ok(());
        let (from, to) = (window_bytes(from), window_bytes(to));
        state.scan(self.store, Shape::WindowFirst, &from, &to, &mut |key, value| {
            failed = self.load_entry(key, value);
            failed.is_ok()
        })?;
        failed
    }

    fn load_entry(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (window, key) = crate::operators::slots::split_window(key)?;
        let hash = self.groups.table.hash(key);
        let (slot, new) = self.groups.table.find_or_insert(hash, window, key)?;
        if !new {
            return Ok(());
        }
        self.groups.grow();
        self.open.entry(window).or_default().push(slot);
        self.groups.load_value(slot, value)
    }

    /// Drops expired windows from the store.
    fn expire(&mut self, state: &mut dyn StateView) -> Result<()> {
        let Some(assigner) = self.assigner else { return Ok(()) };
        if self.stream_time == NO_TIME {
            return Ok(());
        }
        let to = assigner.expired_to(self.stream_time).div_euclid(assigner.advance_ms);
        let to = to.saturating_mul(assigner.advance_ms);
        if to > self.expired_to {
            state.expire(self.store, &window_bytes(to))?;
            self.expired_to = to;
        }
        Ok(())
    }

    /// Forgets groups of windows that are closed or that no row has reached for some commits, and
    /// more when memory is short. Everything is written before.
    fn compact(&mut self) {
        let bytes = self.groups.memory_bytes();
        let bytes_max = self.cache.hold(bytes);
        let short = bytes > bytes_max;
        if !short && self.groups.len() < self.compact_at {
            return;
        }
        let from = self.live_from();
        let mut keep: Vec<u32> = (0..self.groups.len() as u32)
            .filter(|slot| self.groups.table.window(*slot) >= from && self.exists(*slot))
            .collect();
        self.complete_from = self.complete_from.max(from);
        self.groups.retain(&keep);
        let bytes = self.groups.memory_bytes();
        if bytes > bytes_max {
            let max = bytes_max / 2 / (bytes / keep.len().max(1)).max(1);
            keep = (0..keep.len() as u32).collect();
            self.evict(&mut keep, max);
            self.groups.retain(&keep);
        }
        self.compact_at = COMPACT_SLOTS_MIN.max(keep.len() + keep.len() / 2);
        if self.spec.emit_final {
            self.open.clear();
            for slot in 0..keep.len() as u32 {
                let window = self.groups.table.window(slot);
                self.open.entry(window).or_default().push(slot);
            }
        }
    }

    /// Start of the first window that is open and was reached by a row lately.
    fn live_from(&self) -> i64 {
        let Some(assigner) = &self.assigner else { return i64::MIN };
        let lately = |slot: &u32| self.groups.idle_intervals(*slot) <= IDLE_INTERVALS_MAX;
        let windows = (0..self.groups.len() as u32).filter(lately);
        let first = windows.map(|slot| self.groups.table.window(slot)).min();
        // Nothing lately: later windows than any in memory.
        let first = first.unwrap_or_else(|| self.latest.saturating_add(1));
        first.max(assigner.closed_to(self.stream_time))
    }

    /// Cuts `keep` down to about `max` slots: whole windows, the oldest first; un-windowed groups
    /// by when they were last used.
    fn evict(&mut self, keep: &mut Vec<u32>, max: usize) {
        if keep.len() <= max {
            return;
        }
        let groups = &self.groups;
        if self.assigner.is_none() {
            keep.sort_by_key(|slot| groups.idle_intervals(*slot));
            keep.truncate(max);
            keep.sort_unstable();
            self.complete_from = i64::MAX;
            return;
        }
        let mut windows: Vec<i64> = keep.iter().map(|slot| groups.table.window(*slot)).collect();
        let last_evicted = windows.len().saturating_sub(max + 1);
        let (_, evict_to, _) = windows.select_nth_unstable(last_evicted);
        let evict_to = evict_to.saturating_add(1);
        keep.retain(|slot| groups.table.window(*slot) >= evict_to);
        self.complete_from = self.complete_from.max(evict_to);
    }

    /// Takes rows in, not too many.
    fn take(&mut self, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let keys = std::mem::take(&mut self.keys);
        let Some(mut input) = prepare(&self.spec, batch, keys, ctx)? else { return Ok(()) };
        self.assign(&input, ctx)?;
        if !self.slots.is_empty() {
            self.apply(&mut input, ctx)?;
        }
        self.keys = input.keys;
        if self.spec.emit_final {
            self.emit_closed(ctx)?;
        }
        Ok(())
    }
}

impl Operator for TimeAggregate {
    fn push(&mut self, _: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let rows_max = self.assigner.map_or(usize::MAX, Assigner::rows_max);
        if batch.len() <= rows_max {
            return self.take(batch, ctx);
        }
        for from in (0..batch.len()).step_by(rows_max) {
            self.take(batch.slice(from, rows_max.min(batch.len() - from)), ctx)?;
        }
        Ok(())
    }

    fn flush(&mut self, ctx: &mut StepContext<'_>) -> Result<()> {
        self.emit_owed(ctx.out)?;
        self.expire(ctx.state)?;
        let (shape, store) = (self.shape(), self.store);
        self.groups.write(self.expired_to, self.gone_at(), store, shape, ctx.state)?;
        self.compact();
        Ok(())
    }

    /// Stream time, end of the closed windows, rows applied, latest row, time as of expiry.
    fn progress(&self) -> Vec<i64> {
        let mut progress = vec![self.stream_time, self.closed_to, self.seq, self.latest];
        progress.extend(self.expiry.iter().map(|(expiry, _)| expiry.progress()));
        progress
    }

    fn restore(&mut self, progress: &[i64]) {
        let [stream_time, closed_to, seq, latest, ref more @ ..] = *progress else { return };
        if let (Some((expiry, _)), [now]) = (&mut self.expiry, more) {
            expiry.restore(*now);
        }
        (self.stream_time, self.closed_to, self.seq) = (stream_time, closed_to, seq);
        self.latest = latest;
        if latest != NO_TIME {
            // Stored windows start at the latest row or before.
            let windowed = self.assigner.is_some();
            self.complete_from = if windowed { latest.saturating_add(1) } else { i64::MAX };
        }
    }

    fn reset(&mut self) {
        self.groups.clear();
        if let Some((expiry, _)) = &mut self.expiry {
            expiry.reset();
        }
        (self.stream_time, self.latest) = (NO_TIME, NO_TIME);
        self.closed_to = i64::MIN;
        self.seq = 0;
        self.complete_from = i64::MIN;
        self.expired_to = i64::MIN;
        self.open.clear();
        self.old.clear();
        self.compact_at = COMPACT_SLOTS_MIN;
    }

    fn owed_rows(&self) -> usize {
        self.groups.dirty_slots()
    }

    fn expiry(&self) -> Option<&Expiry> {
        self.expiry.as_ref().map(|(expiry, _)| expiry)
    }

    fn advance(&mut self, now: i64, max: usize, ctx: &mut StepContext<'_>) -> Result<usize> {
        self.expire_groups(now, max, ctx)
    }

    fn next_close(&self, state: &dyn StateView) -> Result<i64> {
        self.first_close(state)
    }

    fn close(&mut self, now: i64, ctx: &mut StepContext<'_>) -> Result<()> {
        self.close_to(now, ctx)
    }
}
