//! Sessions in the stores: reading, writing, expiry, and what stays in memory.

use std::cmp::Reverse;

use super::{COMPACT_MIN, END_VALUE, Pending, SessionAggregate};
use crate::error::Result;
use crate::operators::aggregate::sessions::{
    Removed, Session, end_key, from_end_key, key_range, session_key,
};
use crate::operators::aggregate::window::NO_TIME;
use crate::operators::slots::{split_session, window_bytes};
use crate::state::{Shape, StateView};

impl SessionAggregate {
    /// Reads the sessions of a group from the store.
    pub(super) fn load_key(
        &mut self,
        key: u32,
        key_bytes: &[u8],
        state: &dyn StateView,
    ) -> Result<()> {
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

    /// Brings the groups of stored sessions that close now into memory.
    pub(super) fn load_closing(&mut self, closed_to: i64, state: &dyn StateView) -> Result<()> {
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

    /// Writes changed sessions and deletes merged ones.
    pub(super) fn write(&mut self, state: &mut dyn StateView) -> Result<()> {
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
    pub(super) fn expire(&mut self, state: &mut dyn StateView) -> Result<()> {
        let Some(window) = self.spec.window else { return Ok(()) };
        let to = self.stream_time.saturating_sub(window.retention_ms);
        if self.stream_time == NO_TIME || to <= self.expired_to {
            return Ok(());
        }
        let (from, bound) = (window_bytes(self.expired_to), window_bytes(to));
        let mut expired = Vec::new();
        state.scan(self.ends, Shape::WindowFirst, &from, &bound, &mut |entry, _| {
            expired.push(entry.to_vec());
            true
        })?;
        // Both with a tombstone each, so that a restored store does not have one without the other.
        for entry in expired {
            let (_, key) = from_end_key(&entry)?;
            state.put(self.store, Shape::KeyFirst, &key, None, self.stream_time)?;
            state.put(self.ends, Shape::WindowFirst, &entry, None, self.stream_time)?;
        }
        self.expired_to = to;
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.sessions.memory_bytes() + self.states.memory_bytes()
    }

    /// Forgets sessions that no row can reach, or everything when memory is short. All is written
    /// before.
    pub(super) fn compact(&mut self) {
        let bytes = self.memory_bytes();
        if bytes > self.cache.hold(bytes) {
            self.forget();
            self.cache.hold(self.memory_bytes());
            self.complete = false;
            return;
        }
        if self.sessions.keys.len() + self.states.len() < self.compact_at {
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
        self.compact_at = COMPACT_MIN.max(2 * (self.sessions.keys.len() + slots.len()));
    }

    pub(super) fn forget(&mut self) {
        self.sessions.clear();
        self.states.retain(&[]);
        self.open.clear();
        self.dirty.clear();
        self.removed.clear();
        self.old.clear();
        self.pending = Pending::default();
        self.compact_at = COMPACT_MIN;
    }
}
