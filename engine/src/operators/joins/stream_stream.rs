//! Two streams joined by key and nearness in time.
//!
//! Rows are taken one by one, so that batches do not matter. Stream time is the greatest event time
//! of both sides. A row at time `t` of the left side meets rows of the right side at `t - before ..=
//! t + after`. Each side keeps its rows for before + after + grace of its own time, the greatest
//! event time that it has seen: a late row finds no older ones of a side that has gone on, but is not
//! dropped. With a grace period, a row of an outer side without partner is given up, and emitted with
//! NULLs, once stream time has passed its window and the grace; it then meets nobody any more. One
//! whose window stream time has passed already is emitted at once. In the eager mode (no grace period
//! given) every row is, and again with each partner that comes later.

mod close;

use std::sync::Arc;

use arrow::array::Array;

use super::buffer::{Buffer, Entry};
use super::lengths::Lengths;
use super::pending::{Pending, Place, pending_key, pending_value, read_pending};
use super::rows::{LEFT, RIGHT, Source, Spec, joined, report_null_key};
use crate::batch::Batch;
use crate::codec::key::KeyBuffer;
use crate::codec::row::RowBuffer;
use crate::error::{EngineError, Result};
use crate::lineage::Lineage;
use crate::operators::cache::CacheShare;
use crate::operators::slots::window_bytes;
use crate::operators::{Operator, StepContext};
use crate::state::{Shape, StateView, StoreId};

/// Keys and rows that are kept however many of them are of no use any more.
const PRUNE_ROWS_MIN: usize = 1024;
/// The stream time of a task that has seen no row.
const NO_TIME: i64 = i64::MIN;

/// Joins two streams.
pub(super) struct StreamStreamJoin {
    spec: Spec,
    lengths: Lengths,
    outer_store: StoreId,
    cache: CacheShare,
    buffers: [Buffer; 2],
    pending: Pending,
    /// How far time is: what pending rows are given up by.
    stream_time: i64,
    /// The same per side: what its rows are dropped by.
    side_times: [i64; 2],
    /// Greatest event time of a side's rows; over a repartition it may be ahead.
    latest: [i64; 2],
    /// Rows taken so far.
    seq: i64,
    /// Keys that are not in memory have no rows.
    complete: bool,
    /// Pending rows that close before this are in memory.
    loaded_to: i64,
    /// Rows that came since the last commit.
    fresh: Vec<(Place, i64)>,
    /// Store entries to delete at the next commit.
    deletes: Vec<(StoreId, Vec<u8>)>,
    prune_at: usize,
    keys: KeyBuffer,
}

/// Output rows of a batch: numbers of rows of each side.
struct Out {
    port: usize,
    batch_rows: u32,
    sides: [Vec<Option<u32>>; 2],
    times: Vec<i64>,
    /// Row of the batch that is being taken, and the one that gave each output.
    row: usize,
    /// Stream time as of that row.
    clock_ms: i64,
    cause: Vec<usize>,
    /// Buffered rows that take part, per side.
    kept: [RowBuffer; 2],
}

impl Out {
    fn new(port: usize, batch_rows: usize) -> Self {
        let batch_rows = batch_rows as u32;
        let (sides, kept) = Default::default();
        Out {
            port,
            batch_rows,
            sides,
            times: vec![],
            row: 0,
            clock_ms: NO_TIME,
            cause: vec![],
            kept,
        }
    }

    /// Number of a buffered row in its side's source, where the batch's rows come first.
    fn keep(&mut self, side: usize, bytes: &[u8]) -> u32 {
        self.kept[side].push(bytes);
        let before = if side == self.port { self.batch_rows } else { 0 };
        before + self.kept[side].len() as u32 - 1
    }

    fn push(&mut self, side: usize, own: u32, other: Option<u32>, time: i64) {
        self.sides[side].push(Some(own));
        self.sides[1 - side].push(other);
        self.times.push(time);
        self.cause.push(self.row);
    }

    fn batch(self, spec: &Spec, batch: &Batch) -> Result<Batch> {
        let source = |side: usize| {
            let decoded = spec.sides[side].decode(&self.kept[side].slices())?;
            Source::new((side == self.port).then_some(&batch.rows), decoded)
        };
        let sources = [source(LEFT)?, source(RIGHT)?];
        let [left, right] = self.sides;
        let joined = Batch::new(joined(spec, &sources, left, right, None)?, self.times);
        Ok(joined.caused_by(batch, self.cause.into_iter().map(Some)))
    }
}

impl StreamStreamJoin {
    /// `stores`: left rows, right rows, pending rows.
    pub fn new(spec: Spec, stores: [StoreId; 3], lengths: Lengths, cache: CacheShare) -> Self {
        let [left, right, outer_store] = stores;
        let buffer = |store| Buffer::new(store, lengths.bucket());
        StreamStreamJoin {
            spec,
            lengths,
            outer_store,
            cache,
            buffers: [buffer(left), buffer(right)],
            pending: Pending::new(),
            stream_time: NO_TIME,
            side_times: [NO_TIME; 2],
            latest: [NO_TIME; 2],
            seq: 0,
            complete: true,
            loaded_to: i64::MIN,
            fresh: Vec::new(),
            deletes: Vec::new(),
            prune_at: PRUNE_ROWS_MIN,
            keys: KeyBuffer::new(),
        }
    }

    /// Whether a side's rows wait before they are emitted without partner.
    fn waits(&self, side: usize) -> bool {
        self.spec.is_outer(side) && !self.lengths.eager
    }

    fn take_row(
        &mut self,
        row: usize,
        time: i64,
        rows: &Arc<RowBuffer>,
        out: &mut Out,
        ctx: &mut StepContext<'_>,
    ) -> Result<()> {
        if out.clock_ms > self.stream_time {
            self.stream_time = out.clock_ms;
            self.give_up(out, ctx.state)?;
        }
        let side = out.port;
        self.side_times[side] = self.side_times[side].max(out.clock_ms);
        self.latest[side] = self.latest[side].max(time);
        let key = self.find_key(side, row, ctx.state)?;
        let other_key = self.find_key(1 - side, row, ctx.state)?;
        let matched = self.meet(row, time, other_key, out);
        let seq = self.seq;
        self.seq += 1;
        let mut entry = Entry::new(time, seq, rows.clone(), row as u32);
        if !matched && self.spec.is_outer(side) {
            let window_end = time.saturating_add(self.lengths.reach(side).1);
            if self.lengths.eager || window_end < self.stream_time {
                out.push(side, row as u32, None, time);
            } else {
                entry.pending = true;
                let close = self.lengths.close(side, time);
                self.pending.insert((close, seq), Place { side, key, time });
            }
        }
        if time < self.floor(side) {
            // Nobody will see it.
            *ctx.late_records += 1;
            return Ok(());
        }
        self.buffers[side].insert(key, entry);
        self.fresh.push((Place { side, key, time }, seq));
        Ok(())
    }

    /// Rows of a side before this are no longer kept.
    fn floor(&self, side: usize) -> i64 {
        self.side_times[side].saturating_sub(self.lengths.retention())
    }

    /// Number of the row's key on a side, whose rows are in memory then.
    fn find_key(&mut self, side: usize, row: usize, state: &dyn StateView) -> Result<u32> {
        let (key, new) = self.buffers[side].key(self.keys.get(row))?;
        if new && !self.complete {
            self.load(side, key, self.floor(side), state)?;
        }
        Ok(key)
    }

    fn load(&mut self, side: usize, key: u32, from: i64, state: &dyn StateView) -> Result<()> {
        if self.latest[side] == NO_TIME {
            return Ok(());
        }
        self.buffers[side].load(key, from, self.latest[side], state)?;
        if !self.waits(side) {
            return Ok(());
        }
        let entries = &mut self.buffers[side].rows[key as usize];
        let closes: Vec<(i64, i64)> =
            entries.iter().map(|e| (self.lengths.close(side, e.time), e.seq)).collect();
        let keys: Vec<_> = closes.iter().map(|(close, seq)| pending_key(*close, *seq)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        let found = state.get_many(self.outer_store, Shape::WindowFirst, &keys)?;
        for ((entry, close), found) in entries.iter_mut().zip(closes).zip(found) {
            // What closed before was decided then: its deletion is not in the changelog if the
            // entry had expired by the commit.
            if found.is_some() && close.0 >= self.loaded_to {
                entry.pending = true;
                self.pending.insert(close, Place { side, key, time: entry.time });
            }
        }
        Ok(())
    }

    /// Joins a row with the other side's; whether there was a partner.
    fn meet(&mut self, row: usize, time: i64, other_key: u32, out: &mut Out) -> bool {
        let side = out.port;
        let other = 1 - side;
        let (back, forth) = self.lengths.reach(side);
        let from = time.saturating_sub(back).max(self.floor(other));
        let to = time.saturating_add(forth);
        let at = self.buffers[other].position(other_key, from);
        let mut matched = false;
        for entry in &mut self.buffers[other].rows[other_key as usize][at..] {
            if entry.time > to {
                break;
            }
            matched = true;
            let kept = out.keep(other, entry.bytes());
            out.push(side, row as u32, Some(kept), time.max(entry.time));
            if entry.pending {
                entry.pending = false;
                let close = self.lengths.close(other, entry.time);
                self.pending.remove(&(close, entry.seq));
                if entry.stored {
                    let key = pending_key(close, entry.seq).to_vec();
                    self.deletes.push((self.outer_store, key));
                }
            }
        }
        matched
    }

    /// Emits pending rows whose window and grace stream time has passed.
    fn give_up(&mut self, out: &mut Out, state: &dyn StateView) -> Result<()> {
        if !self.complete && self.stream_time > self.loaded_to {
            let to = self.stream_time.saturating_add(self.lengths.bucket());
            self.load_pending(to, state)?;
        }
        while let Some(first) = self.pending.first_entry()
            && first.key().0 < self.stream_time
        {
            let (_, seq) = *first.key();
            let Place { side, key, time } = first.remove();
            let Some(at) = self.buffers[side].find(key, time, seq) else {
                return Err(EngineError::Bug("a pending row of a join is not buffered".into()));
            };
            let entry = self.buffers[side].remove(key, at);
            let number = out.keep(side, entry.bytes());
            out.push(side, number, None, time);
            if entry.stored {
                let mut store_key = Vec::new();
                self.buffers[side].store_key(key, time, seq, &mut store_key);
                self.deletes.push((self.buffers[side].store(), store_key));
            }
        }
        Ok(())
    }

    /// Brings the keys of stored pending rows that close before `to` into memory.
    fn load_pending(&mut self, to: i64, state: &dyn StateView) -> Result<()> {
        let (from, end) = (window_bytes(self.loaded_to), window_bytes(to));
        let mut found = Ok(Vec::new());
        state.scan(self.outer_store, Shape::WindowFirst, &from, &end, &mut |key, value| {
            match (read_pending(key, value), &mut found) {
                (Ok(place), Ok(found)) => found.push(place),
                (Err(error), _) => found = Err(error),
                (_, Err(_)) => {}
            }
            found.is_ok()
        })?;
        // Stream time may have jumped over them, so their own window says where they are.
        let from = self.loaded_to.saturating_sub(self.lengths.retention());
        for (side, key) in found? {
            let (key, new) = self.buffers[side].key(&key)?;
            if new {
                self.load(side, key, from, state)?;
            }
        }
        self.loaded_to = to;
        Ok(())
    }

    /// A row without key has no partner.
    fn take_null_key(&self, row: usize, batch: &Batch, out: &mut Out, ctx: &mut StepContext<'_>) {
        if self.spec.is_outer(out.port) {
            out.push(out.port, row as u32, None, batch.times[row]);
        } else {
            report_null_key(&self.spec.sides[out.port], batch, row, ctx);
        }
    }

    fn write(&mut self, state: &mut dyn StateView) -> Result<()> {
        let floors = [LEFT, RIGHT].map(|side| self.floor(side));
        for (store, key) in std::mem::take(&mut self.deletes) {
            state.put(
                store,
                Shape::WindowFirst,
                &key,
                None,
                self.latest[LEFT].max(self.latest[RIGHT]),
            )?;
        }
        let mut store_key = Vec::new();
        for (Place { side, key, time }, seq) in std::mem::take(&mut self.fresh) {
            let buffer = &mut self.buffers[side];
            let Some(at) = buffer.find(key, time, seq).filter(|_| time >= floors[side]) else {
                continue;
            };
            buffer.store_key(key, time, seq, &mut store_key);
            let store = buffer.store();
            let entry = &mut buffer.rows[key as usize][at];
            state.put(store, Shape::WindowFirst, &store_key, Some(entry.bytes()), time)?;
            entry.stored = true;
            if entry.pending {
                let place = pending_key(self.lengths.close(side, time), seq);
                let value = pending_value(side, buffer.table.key(key));
                let store = self.outer_store;
                state.put(store, Shape::WindowFirst, &place, Some(&value), time)?;
            }
        }
        Ok(())
    }

    fn expire(&self, state: &mut dyn StateView) -> Result<()> {
        if self.stream_time == NO_TIME {
            return Ok(());
        }
        [LEFT, RIGHT]
            .into_iter()
            .try_for_each(|side| self.buffers[side].expire(self.floor(side), state))?;
        if self.waits(LEFT) || self.waits(RIGHT) {
            state.expire(self.outer_store, &window_bytes(self.stream_time))?;
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.buffers.iter().map(Buffer::memory_bytes).sum::<usize>()
            + self.pending.len() * (size_of::<Place>() + 2 * size_of::<(i64, i64)>())
    }

    fn compact(&mut self) {
        let bytes = self.memory_bytes();
        if bytes > self.cache.hold(bytes) {
            self.forget();
            self.cache.hold(self.memory_bytes());
            (self.complete, self.loaded_to) = (false, self.stream_time);
            return;
        }
        let held: usize = self.buffers.iter().map(|buffer| buffer.rows.len() + buffer.len).sum();
        if held < self.prune_at {
            return;
        }
        let floors = [LEFT, RIGHT].map(|side| self.floor(side));
        let numbers = [LEFT, RIGHT].map(|side| self.buffers[side].prune(floors[side]));
        for place in self.pending.values_mut() {
            place.key = numbers[place.side][place.key as usize];
        }
        let held: usize = self.buffers.iter().map(|buffer| buffer.rows.len() + buffer.len).sum();
        self.prune_at = PRUNE_ROWS_MIN.max(2 * held);
    }

    fn forget(&mut self) {
        self.buffers.iter_mut().for_each(Buffer::forget);
        self.pending.clear();
        self.fresh.clear();
        self.deletes.clear();
        self.prune_at = PRUNE_ROWS_MIN;
    }
}

impl Operator for StreamStreamJoin {
    fn push(&mut self, port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        // A stream's record without a value is no fact.
        let given = Lineage::of(batch.live.as_ref());
        let batch = match &batch.live {
            Some(live) => batch.filter(live)?,
            None => batch,
        };
        let side = &self.spec.sides[port];
        let mut keys = std::mem::take(&mut self.keys);
        side.encode_keys(&batch.rows, &mut keys)?;
        self.keys = keys;
        let mut rows = RowBuffer::new();
        side.rows.encode(batch.rows.columns(), 0..batch.len(), &mut rows)?;
        let rows = Arc::new(rows);
        let key_column = batch.column(side.key).clone();
        let mut out = Out::new(port, batch.len());
        for row in 0..batch.len() {
            (out.row, out.clock_ms) = (row, batch.clock()[row]);
            if key_column.is_null(row) {
                let told = ctx.rejects.len();
                self.take_null_key(row, &batch, &mut out, ctx);
                let new = ctx.rejects[told..].iter_mut();
                new.for_each(|reject| reject.row_index = given.origin(row));
            } else {
                self.take_row(row, batch.times[row], &rows, &mut out, ctx)?;
            }
        }
        if !out.times.is_empty() {
            ctx.out.push(out.batch(&self.spec, &batch)?);
        }
        Ok(())
    }

    fn flush(&mut self, ctx: &mut StepContext<'_>) -> Result<()> {
        self.write(ctx.state)?;
        self.expire(ctx.state)?;
        self.compact();
        Ok(())
    }

    /// Stream time, rows taken, time of each side.
    fn progress(&self) -> Vec<i64> {
        let ([left, right], [left_latest, right_latest]) = (self.side_times, self.latest);
        vec![self.stream_time, self.seq, left, right, left_latest, right_latest]
    }

    fn restore(&mut self, progress: &[i64]) {
        let [stream_time, seq, left, right, left_latest, right_latest] = *progress else { return };
        (self.stream_time, self.seq, self.side_times) = (stream_time, seq, [left, right]);
        self.latest = [left_latest, right_latest];
        self.complete = self.latest == [NO_TIME; 2];
        self.loaded_to = stream_time;
    }

    fn reset(&mut self) {
        self.forget();
        (self.stream_time, self.seq, self.side_times) = (NO_TIME, 0, [NO_TIME; 2]);
        self.latest = [NO_TIME; 2];
        (self.complete, self.loaded_to) = (true, i64::MIN);
    }

    fn next_close(&self, state: &dyn StateView) -> Result<i64> {
        self.first_close(state)
    }

    fn close(&mut self, now: i64, ctx: &mut StepContext<'_>) -> Result<()> {
        self.close_to(now, ctx)
    }

    fn hold_ms(&self) -> i64 {
        let waits = self.waits(LEFT) || self.waits(RIGHT);
        if waits { self.lengths.retention().saturating_add(1) } else { 0 }
    }
}
