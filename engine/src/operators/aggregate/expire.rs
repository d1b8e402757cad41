//! Groups that expire (ROW_TTL): a group without a row for its lifetime is deleted, here, in its
//! store and downstream; a later row of its key begins a new one.

use arrow::buffer::BooleanBuffer;

use super::emit::{self, EMIT_ROWS_MAX};
use super::input::Input;
use super::spec::Spec;
use super::states::States;
use super::windowed::TimeAggregate;
use crate::error::Result;
use crate::operators::StepContext;
use crate::operators::expiry::{Due, NO_TIME};

/// The stored state of a group without rows.
pub(super) fn empty_state(spec: &Spec) -> Result<Vec<u8>> {
    let mut states = States::new(spec.aggs()?);
    states.grow(1);
    let mut empty = Vec::new();
    states.save(0, &mut empty);
    Ok(empty)
}

impl TimeAggregate {
    /// Leaves out rows that would begin a group which is over already, and notes when the groups
    /// that rows begin are over.
    pub(super) fn leave_out_expired(
        &mut self,
        input: &Input,
        ctx: &mut StepContext<'_>,
    ) -> Result<()> {
        let Some((expiry, _)) = &mut self.expiry else { return Ok(()) };
        let mut kept = Vec::with_capacity(self.slots.len());
        for (at, (row, slot)) in self.assigned.rows.iter().zip(&self.slots).enumerate() {
            let time = input.times[*row as usize];
            if !self.groups.is_indexed(*slot) {
                if expiry.is_over(time) {
                    continue;
                }
                expiry.note(time, self.groups.table.key(*slot), ctx.state)?;
                self.groups.set_indexed(*slot);
            }
            kept.push(at);
        }
        if kept.len() < self.slots.len() {
            *ctx.late_records += (self.slots.len() - kept.len()) as u64;
            self.assigned.rows = kept.iter().map(|at| self.assigned.rows[*at]).collect();
            self.assigned.starts = kept.iter().map(|at| self.assigned.starts[*at]).collect();
            self.slots = kept.iter().map(|at| self.slots[*at]).collect();
        }
        Ok(())
    }

    /// False for the slot of a group that is gone and written.
    pub(super) fn exists(&self, slot: u32) -> bool {
        self.expiry.is_none() || self.groups.is_indexed(slot)
    }

    /// The time of deletions in the changelog.
    pub(super) fn gone_at(&self) -> i64 {
        self.expiry.as_ref().map_or(NO_TIME, |(expiry, _)| expiry.now())
    }

    pub(super) fn expire_groups(
        &mut self,
        now: i64,
        max: usize,
        ctx: &mut StepContext<'_>,
    ) -> Result<usize> {
        let Some((expiry, _)) = &mut self.expiry else { return Ok(0) };
        let due = expiry.take(now, max, ctx.state)?;
        if due.is_empty() {
            return Ok(0);
        }
        let over = self.over(&due, ctx)?;
        if over.iter().any(|slot| self.groups.is_owed(*slot)) {
            // What is owed comes before the deletion.
            self.emit_owed(ctx.out)?;
        }
        for slots in over.chunks(EMIT_ROWS_MAX) {
            self.delete(slots, ctx)?;
        }
        Ok(due.len())
    }

    /// The groups that are over, of those that may be; the others are looked for later.
    fn over(&mut self, due: &[Due], ctx: &mut StepContext<'_>) -> Result<Vec<u32>> {
        let mut slots = Vec::with_capacity(due.len());
        let mut missing = Vec::new();
        for Due { key, .. } in due {
            let hash = self.groups.table.hash(key);
            let (slot, new) = self.groups.table.find_or_insert(hash, 0, key)?;
            if new && self.complete_from > 0 {
                missing.push(slot);
            }
            slots.push(slot);
        }
        self.groups.grow();
        self.load_missing(missing, ctx.state)?;
        let Some((expiry, _)) = &mut self.expiry else { return Ok(Vec::new()) };
        let mut over: Vec<u32> = Vec::new();
        for (Due { key, .. }, slot) in due.iter().zip(slots) {
            if !self.groups.is_indexed(slot) {
                continue;
            }
            let time = self.groups.states.time(slot);
            if expiry.is_over(time) {
                over.push(slot);
            } else {
                expiry.note(time, key, ctx.state)?;
            }
        }
        // A group may have several entries.
        let mut seen = hashbrown::HashSet::new();
        over.retain(|slot| seen.insert(*slot));
        Ok(over)
    }

    fn delete(&mut self, slots: &[u32], ctx: &mut StepContext<'_>) -> Result<()> {
        let old = self.with_old.then(|| self.old_values(slots)).transpose()?;
        let mut batch = emit::slots_batch(&self.spec, &self.groups, slots, None, old)?;
        batch.live = Some(BooleanBuffer::new_unset(slots.len()));
        let Some((expiry, empty)) = &self.expiry else { return Ok(()) };
        batch.times.iter_mut().for_each(|time| *time = expiry.due(*time));
        for slot in slots {
            self.groups.expire(*slot, empty)?;
        }
        ctx.out.push(batch);
        Ok(())
    }
}
