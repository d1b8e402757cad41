//! Slots of live groups: their keys, aggregates, times, and what is owed to store and downstream.

use super::states::States;
use crate::aggs::StreamAgg;
use crate::error::Result;
use crate::operators::slots::SlotTable;
use crate::state::{Shape, StateView, StoreId};

/// The group has a value from before: in the store, or handed out.
const KNOWN: u8 = 1;
/// The store does not have the present value.
const DIRTY: u8 = 2;
/// Downstream does not have the present value.
const OWED: u8 = 4;
/// The group has expired, and the store may still have it.
const GONE: u8 = 8;
/// The group is found when it expires.
const INDEXED: u8 = 16;

/// Live groups. Slots are numbered from 0 until [`Groups::retain`] renumbers them.
pub(super) struct Groups {
    pub table: SlotTable,
    pub states: States,
    flags: Vec<u8>,
    /// Commit interval in which a slot was last used.
    touched: Vec<u32>,
    interval: u32,
    /// Slots with `DIRTY`, in order of first change.
    dirty: Vec<u32>,
    /// Slots with `OWED`, in order of first change.
    owed: Vec<u32>,
}

impl Groups {
    pub fn new(windowed: bool, aggs: Vec<Box<dyn StreamAgg>>) -> Self {
        Groups {
            table: SlotTable::new(windowed),
            states: States::new(aggs),
            flags: Vec::new(),
            touched: Vec::new(),
            interval: 0,
            dirty: Vec::new(),
            owed: Vec::new(),
        }
    }

    /// Forgets all groups.
    pub fn clear(&mut self) {
        self.table.retain(&[]);
        self.states.retain(&[]);
        self.flags.clear();
        self.touched.clear();
        self.dirty.clear();
        self.owed.clear();
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Gives slots that were added to the table their empty state.
    pub fn grow(&mut self) {
        let slots = self.table.len();
        self.flags.resize(slots, 0);
        self.touched.resize(slots, self.interval);
        self.states.grow(slots);
    }

    /// Reads the state of new slots from the store, where it has any.
    pub fn load(
        &mut self,
        slots: &mut [u32],
        store: StoreId,
        shape: Shape,
        state: &dyn StateView,
    ) -> Result<()> {
        slots.sort_unstable_by(|a, b| self.table.key(*a).cmp(self.table.key(*b)));
        let keys: Vec<&[u8]> = slots.iter().map(|slot| self.table.key(*slot)).collect();
        let values = state.get_many(store, shape, &keys)?;
        for (slot, value) in slots.iter().zip(values) {
            if let Some(value) = value {
                self.load_value(*slot, &value)?;
            }
        }
        Ok(())
    }

    /// Replaces a slot's state by a store value.
    pub fn load_value(&mut self, slot: u32, value: &[u8]) -> Result<()> {
        self.flags[slot as usize] |= KNOWN | INDEXED;
        self.states.load(slot, value)
    }

    /// Takes the group away; `empty` is the state of a new one.
    pub fn expire(&mut self, slot: u32, empty: &[u8]) -> Result<()> {
        let flags = &mut self.flags[slot as usize];
        if *flags & DIRTY == 0 {
            self.dirty.push(slot);
        }
        *flags = *flags & !(KNOWN | INDEXED) | DIRTY | GONE;
        self.states.load(slot, empty)
    }

    /// Whether the group exists, where groups expire.
    pub fn is_indexed(&self, slot: u32) -> bool {
        self.flags[slot as usize] & INDEXED != 0
    }

    pub fn set_indexed(&mut self, slot: u32) {
        self.flags[slot as usize] |= INDEXED;
    }

    pub fn is_owed(&self, slot: u32) -> bool {
        self.flags[slot as usize] & OWED != 0
    }

    /// Notes a row's event time and that the slot must be written. Gives the latest time.
    #[inline]
    pub fn touch(&mut self, slot: u32, time_ms: i64) -> i64 {
        let i = slot as usize;
        if self.flags[i] & (DIRTY | GONE) != DIRTY {
            if self.flags[i] & DIRTY == 0 {
                self.dirty.push(slot);
            }
            self.flags[i] = self.flags[i] & !GONE | DIRTY;
            self.touched[i] = self.interval;
        }
        self.states.note_time(slot, time_ms)
    }

    /// Notes that downstream is owed the slots' values. Gives those that were not yet owed.
    pub fn owe(&mut self, slots: &[u32]) -> &[u32] {
        let before = self.owed.len();
        for slot in slots {
            let flags = &mut self.flags[*slot as usize];
            if *flags & OWED == 0 {
                *flags |= OWED;
                self.owed.push(*slot);
            }
        }
        &self.owed[before..]
    }

    /// The owed slots in order of first change; nothing is owed any more.
    pub fn take_owed(&mut self) -> Vec<u32> {
        let owed = std::mem::take(&mut self.owed);
        for slot in &owed {
            self.flags[*slot as usize] = self.flags[*slot as usize] & !OWED | KNOWN;
        }
        owed
    }

    /// Slots that the store does not have as they are.
    pub fn dirty_slots(&self) -> usize {
        self.dirty.len()
    }

    pub fn is_known(&self, slot: u32) -> bool {
        self.flags[slot as usize] & KNOWN != 0
    }

    pub fn set_known(&mut self, slots: &[u32]) {
        slots.iter().for_each(|slot| self.flags[*slot as usize] |= KNOWN);
    }

    /// Writes the changed slots whose window starts at `from` or later, deletes those that are gone
    /// as of `gone_at`, and ends the interval.
    pub fn write(
        &mut self,
        from: i64,
        gone_at: i64,
        store: StoreId,
        shape: Shape,
        state: &mut dyn StateView,
    ) -> Result<()> {
        let mut value = Vec::new();
        for slot in std::mem::take(&mut self.dirty) {
            let flags = &mut self.flags[slot as usize];
            if *flags & GONE != 0 {
                *flags &= !(DIRTY | GONE);
                state.put(store, shape, self.table.key(slot), None, gone_at)?;
                continue;
            }
            *flags = *flags & !DIRTY | KNOWN;
            if self.table.window(slot) < from {
                continue;
            }
            self.states.save(slot, &mut value);
            let key = self.table.key(slot);
            state.put(store, shape, key, Some(&value), self.states.time(slot))?;
        }
        self.interval = self.interval.wrapping_add(1);
        Ok(())
    }

    /// Keeps the slots in `keep` (ascending) and numbers them from 0. Nothing may be dirty or owed.
    pub fn retain(&mut self, keep: &[u32]) {
        debug_assert!(self.dirty.is_empty() && self.owed.is_empty(), "written before");
        self.table.retain(keep);
        self.states.retain(keep);
        self.flags = keep.iter().map(|slot| self.flags[*slot as usize]).collect();
        self.touched = keep.iter().map(|slot| self.touched[*slot as usize]).collect();
    }

    /// Commit intervals since the slot was last used.
    pub fn idle_intervals(&self, slot: u32) -> u32 {
        self.interval.wrapping_sub(self.touched[slot as usize])
    }

    pub fn memory_bytes(&self) -> usize {
        let lists = self.touched.capacity() + self.dirty.capacity() + self.owed.capacity();
        self.table.memory_bytes()
            + self.states.memory_bytes()
            + self.flags.capacity()
            + lists * size_of::<u32>()
    }
}
