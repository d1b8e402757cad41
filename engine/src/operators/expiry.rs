//! Rows that live for a time after their last change (ROW_TTL). Who keeps rows by key has an index
//! beside them, by row time and key; a row is due when the task's stream time is its lifetime ahead.
//!
//! Each row has an entry of its time or an earlier one. A change does not touch the index: an entry
//! that comes due and finds a later row is put again, with that row's time. So a row costs one entry
//! and one look a lifetime, however often it changes. An entry whose row is gone means nothing.

use crate::error::Result;
use crate::operators::slots::{split_window, window_bytes};
use crate::state::{Shape, StateView, StoreId};

/// Rows are looked for so many times in a lifetime: they go that much late at most, and together.
const STEPS: i64 = 1000;
/// Value of the index: nothing but a version.
const ENTRY: &[u8] = &[1];
/// No time has been seen.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// When the rows of a store expire.
#[derive(Debug)]
pub struct Expiry {
    index: StoreId,
    ttl_ms: i64,
    step_ms: i64,
    /// The task's stream time.
    now: i64,
    /// Nothing is due before this.
    next: i64,
    /// The index has no entries of times before this.
    from: i64,
}

/// An entry of the index that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub time: i64,
    pub key: Vec<u8>,
}

impl Expiry {
    /// Of rows whose index is `index`.
    pub fn new(index: StoreId, ttl_ms: i64) -> Self {
        let step_ms = (ttl_ms / STEPS).max(1);
        Expiry { index, ttl_ms, step_ms, now: NO_TIME, next: i64::MAX, from: NO_TIME }
    }

    pub fn ttl_ms(&self) -> i64 {
        self.ttl_ms
    }

    /// The task's stream time as it was last told.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Stream time before which nothing is due.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// When a row of that time is due.
    pub(crate) fn due(&self, time: i64) -> i64 {
        let end = time.saturating_add(self.ttl_ms);
        let over = end.rem_euclid(self.step_ms);
        if over == 0 { end } else { end.saturating_add(self.step_ms - over) }
    }

    /// Whether a row of that time is due already. What is due at the end of time never is.
    pub(crate) fn is_over(&self, time: i64) -> bool {
        let due = self.due(time);
        due < i64::MAX && due <= self.now
    }

    /// Rows of times before this are due.
    fn due_to(&self) -> i64 {
        let reached = self.now.saturating_sub(self.now.rem_euclid(self.step_ms));
        reached.saturating_sub(self.ttl_ms).saturating_add(1)
    }

    /// Sees to it that a row is found when it is due.
    pub(crate) fn note(&mut self, time: i64, key: &[u8], state: &mut dyn StateView) -> Result<()> {
        self.next = self.next.min(self.due(time));
        self.from = self.from.min(time);
        state.put(self.index, Shape::WindowFirst, &entry(time, key), Some(ENTRY), time)
    }

    /// A row of that time is gone.
    pub(crate) fn forget(&self, time: i64, key: &[u8], state: &mut dyn StateView) -> Result<()> {
        state.put(self.index, Shape::WindowFirst, &entry(time, key), None, time)
    }

    /// Stream time is `now`: takes up to `max` entries that are due out of the index.
    pub(crate) fn take(
        &mut self,
        now: i64,
        max: usize,
        state: &mut dyn StateView,
    ) -> Result<Vec<Due>> {
        self.now = self.now.max(now);
        if self.next > self.now || self.next == i64::MAX || max == 0 {
            return Ok(Vec::new());
        }
        // At the end of time all is due but what never is.
        let to = self.due_to().min(i64::MAX - self.ttl_ms);
        let (mut due, mut later) = (Vec::new(), Ok(i64::MAX));
        let from = window_bytes(self.from);
        state.scan(self.index, Shape::WindowFirst, &from, &[], &mut |entry, _| {
            match split_window(entry) {
                Ok((time, key)) if time < to && due.len() < max => {
                    due.push(Due { time, key: key.to_vec() });
                    return true;
                }
                Ok((time, _)) => later = Ok(time),
                Err(error) => later = Err(error),
            }
            false
        })?;
        let later = later?;
        match due.last() {
            // More are due.
            Some(last) if later < to => {
                self.from = last.time;
                let mut behind = entry(last.time, &last.key);
                behind.push(0);
                state.expire(self.index, &behind)?;
            }
            last => {
                self.from = to.max(self.from);
                self.next = if later == i64::MAX { i64::MAX } else { self.due(later) };
                if last.is_some() {
                    state.expire(self.index, &window_bytes(to))?;
                }
            }
        }
        Ok(due)
    }

    /// What must survive a restart.
    pub(crate) fn progress(&self) -> i64 {
        self.now
    }

    /// Back to what was committed: what is due must be looked for.
    pub(crate) fn restore(&mut self, now: i64) {
        (self.now, self.next, self.from) = (now, NO_TIME, NO_TIME);
    }

    /// As for a new task.
    pub(crate) fn reset(&mut self) {
        (self.now, self.next, self.from) = (NO_TIME, i64::MAX, NO_TIME);
    }
}

fn entry(time: i64, key: &[u8]) -> Vec<u8> {
    [&window_bytes(time), key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::testing::MemState;

    const INDEX: StoreId = StoreId { store: 1, partition: 0 };

    fn taken(expiry: &mut Expiry, now: i64, max: usize, state: &mut MemState) -> Vec<(i64, u8)> {
        let due = expiry.take(now, max, state).unwrap();
        due.into_iter().map(|due| (due.time, due.key[0])).collect()
    }

    #[test]
    fn rows_are_due_in_steps_of_their_lifetime() {
        let due = |ttl_ms: i64, time: i64| Expiry::new(INDEX, ttl_ms).due(time);
        assert_eq!(due(10, 5), 15);
        assert_eq!(due(1_000, 5), 1_005);
        assert_eq!(due(10_000, 5), 10_010);
        assert_eq!(due(10_000, -5), 10_000);
        assert_eq!(due(i64::MAX, 5), i64::MAX);
        assert_eq!(due(5, i64::MAX), i64::MAX);
    }

    #[test]
    fn what_is_due_is_taken_once_and_in_order() {
        let (mut expiry, mut state) = (Expiry::new(INDEX, 10), MemState::default());
        for (time, key) in [(5, b'a'), (3, b'b'), (5, b'c'), (20, b'd')] {
            expiry.note(time, &[key], &mut state).unwrap();
        }
        assert_eq!(expiry.next(), 13);
        assert_eq!(taken(&mut expiry, 12, 9, &mut state), []);
        assert_eq!(taken(&mut expiry, 15, 2, &mut state), [(3, b'b'), (5, b'a')]);
        assert_eq!(taken(&mut expiry, 15, 2, &mut state), [(5, b'c')]);
        assert_eq!((expiry.next(), expiry.now()), (30, 15));
        // A restart does not know what is next, and finds it.
        expiry.restore(15);
        assert_eq!(taken(&mut expiry, 16, 2, &mut state), []);
        assert_eq!(expiry.next(), 30);
        expiry.forget(20, b"d", &mut state).unwrap();
        assert_eq!(taken(&mut expiry, 40, 2, &mut state), []);
        assert_eq!(expiry.next(), i64::MAX);
    }

    #[test]
    fn the_end_of_time_comes_to_an_end() {
        let (mut expiry, mut state) = (Expiry::new(INDEX, 10), MemState::default());
        for (time, key) in [(5, b'a'), (i64::MAX, b'b'), (i64::MAX - 3, b'c')] {
            expiry.note(time, &[key], &mut state).unwrap();
        }
        assert_eq!(taken(&mut expiry, i64::MAX, 9, &mut state), [(5, b'a')]);
        assert_eq!((expiry.next(), expiry.is_over(i64::MAX)), (i64::MAX, false));
        assert_eq!(taken(&mut expiry, i64::MAX, 9, &mut state), []);
        assert!(expiry.is_over(7));
    }

    #[test]
    fn an_earlier_row_than_all_is_found() {
        let (mut expiry, mut state) = (Expiry::new(INDEX, 10), MemState::default());
        expiry.note(50, b"a", &mut state).unwrap();
        assert_eq!(taken(&mut expiry, 60, 9, &mut state), [(50, b'a')]);
        // Of a time that was passed already, but is not due before 61.
        expiry.note(51, b"b", &mut state).unwrap();
        assert_eq!(taken(&mut expiry, 61, 9, &mut state), [(51, b'b')]);
    }
}
