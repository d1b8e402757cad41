//! Which sessions there are per group, and how a row changes them.

use crate::error::Result;
use crate::operators::slots::{SlotTable, WINDOW_BYTES, split_session, window_bytes};

/// Lengths of a session window. Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    pub gap_ms: i64,
    pub grace_ms: i64,
    /// How long a session is kept after its end.
    pub keep_ms: i64,
}

impl Lengths {
    /// Sessions that end before this take no more rows.
    pub fn closed_to(&self, stream_time: i64) -> i64 {
        stream_time.saturating_sub(self.gap_ms.saturating_add(self.grace_ms))
    }

    /// Sessions that end before this no longer exist.
    pub fn floor(&self, stream_time: i64) -> i64 {
        stream_time.saturating_sub(self.keep_ms)
    }
}

/// A session: from its first to its last row, both inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub start: i64,
    pub end: i64,
    /// Slot of its state.
    pub slot: u32,
    /// The store has an entry of these bounds.
    pub stored: bool,
    /// Downstream has a row of these bounds.
    pub emitted: bool,
    /// The store does not have the present state.
    pub dirty: bool,
    /// Downstream does not have the present value.
    pub owed: bool,
    /// Where the value that downstream has was captured, if it is needed.
    pub old: Option<u32>,
}

/// A session that was merged into another one of other bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removed {
    pub key: u32,
    pub session: Session,
}

/// What a row did.
pub(super) enum Taken {
    /// Its session would be closed already.
    Late,
    /// It went into session number `at` of its key; [`Sessions::merged`] are the ones that were
    /// there before.
    Into { at: usize },
}

/// Sessions of one group, by start; they do not overlap.
#[derive(Default)]
pub(super) struct KeySessions {
    pub all: Vec<Session>,
    pub dirty: bool,
}

/// Groups by key bytes and their sessions.
pub(super) struct Sessions {
    pub table: SlotTable,
    pub keys: Vec<KeySessions>,
    /// Next free slot.
    pub slots: u32,
    /// What the last row taken found, by start.
    pub merged: Vec<Session>,
}

impl Sessions {
    pub fn new() -> Self {
        let table = SlotTable::new(false);
        Sessions { table, keys: Vec::new(), slots: 0, merged: Vec::new() }
    }

    pub fn clear(&mut self) {
        self.table.retain(&[]);
        self.keys.clear();
        self.slots = 0;
    }

    /// Number of the group of `key`, and whether it is new.
    pub fn key(&mut self, key: &[u8]) -> Result<(u32, bool)> {
        let hash = self.table.hash(key);
        let (number, new) = self.table.find_or_insert(hash, 0, key)?;
        if new {
            self.keys.push(KeySessions::default());
        }
        Ok((number, new))
    }

    /// Puts a row's time into the sessions of a group: those within the gap become one. Sessions
    /// that end before `floor` are not seen, a result that ends before `closed_to` is late.
    pub fn take(&mut self, key: u32, time: i64, gap_ms: i64, floor: i64, closed_to: i64) -> Taken {
        let sessions = &mut self.keys[key as usize].all;
        let reach = time.saturating_sub(gap_ms).max(floor);
        let from = sessions.partition_point(|session| session.end < reach);
        let until = time.saturating_add(gap_ms);
        let to = sessions.partition_point(|session| session.start <= until).max(from);
        let near = &sessions[from..to];
        let start = near.first().map_or(time, |session| session.start.min(time));
        let end = near.last().map_or(time, |session| session.end.max(time));
        if end < closed_to {
            return Taken::Late;
        }
        self.merged.clear();
        self.merged.extend_from_slice(near);
        let same = near.iter().find(|session| (session.start, session.end) == (start, end));
        let slot = near.first().map_or(self.slots, |session| session.slot);
        self.slots += u32::from(near.is_empty());
        let session = Session {
            start,
            end,
            slot,
            stored: same.is_some_and(|session| session.stored),
            emitted: same.is_some_and(|session| session.emitted),
            dirty: true,
            owed: false,
            old: same.and_then(|session| session.old),
        };
        sessions.splice(from..to, [session]);
        Taken::Into { at: from }
    }

    pub fn memory_bytes(&self) -> usize {
        // A list of one session has room for four.
        let per_key = size_of::<KeySessions>() + 4 * size_of::<Session>();
        self.table.memory_bytes() + self.keys.capacity() * per_key
    }
}

/// Key of a session's entry in the store: group key, end, start.
pub(super) fn session_key(key: &[u8], session: &Session, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(key);
    out.extend_from_slice(&window_bytes(session.end));
    out.extend_from_slice(&window_bytes(session.start));
}

/// Key of a session's entry in the store by ends: end, group key, start.
pub(super) fn end_key(key: &[u8], session: &Session, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&window_bytes(session.end));
    out.extend_from_slice(key);
    out.extend_from_slice(&window_bytes(session.start));
}

/// Group key and session key from an entry of the store by ends.
///
/// # Errors
/// `State` when the entry is too short.
pub(super) fn from_end_key(entry: &[u8]) -> Result<(&[u8], Vec<u8>)> {
    // The same parts in another order: check the length by reading it as a session's key.
    split_session(entry)?;
    let (end, rest) = entry.split_at(WINDOW_BYTES);
    let (key, start) = rest.split_at(rest.len() - WINDOW_BYTES);
    Ok((key, [key, end, start].concat()))
}

/// The range of session keys of a group. No group key is a prefix of another.
pub(super) fn key_range(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut to = key.to_vec();
    to.extend_from_slice(&[u8::MAX; 2 * WINDOW_BYTES + 1]);
    (key.to_vec(), to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gap_ms: i64, grace_ms: i64, times: &[i64], want: &[(i64, i64)]) {
        let lengths = Lengths { gap_ms, grace_ms, keep_ms: gap_ms + grace_ms };
        let mut sessions = Sessions::new();
        let (key, _) = sessions.key(b"k").unwrap();
        let mut stream_time = i64::MIN;
        for time in times {
            stream_time = stream_time.max(*time);
            let (floor, closed) = (lengths.floor(stream_time), lengths.closed_to(stream_time));
            sessions.take(key, *time, gap_ms, floor, closed);
        }
        let got: Vec<_> = sessions.keys[0].all.iter().map(|s| (s.start, s.end)).collect();
        assert_eq!(got, want, "{times:?}");
    }

    #[test]
    fn rows_within_the_gap_make_one_session() {
        check(5, 100, &[10, 15], &[(10, 15)]);
        check(5, 100, &[10, 16], &[(10, 10), (16, 16)]);
        check(5, 100, &[10, 20, 15], &[(10, 20)]);
        check(5, 100, &[20, 10, 30, 15], &[(10, 20), (30, 30)]);
        check(5, 100, &[10, 8, 12, 11], &[(8, 12)]);
        check(0, 100, &[1, 1, 2], &[(1, 1), (2, 2)]);
    }

    #[test]
    fn a_session_is_late_when_its_end_gap_and_grace_have_passed() {
        check(5, 0, &[20, 15], &[(15, 20)]);
        check(5, 0, &[20, 14], &[(20, 20)]);
        check(5, 0, &[30, 25, 20, 19], &[(19, 30)]);
        check(5, 0, &[30, 24], &[(30, 30)]);
    }

    #[test]
    fn entries_by_end_lead_to_sessions() {
        let session = Session {
            start: -3,
            end: 7,
            slot: 0,
            stored: false,
            emitted: false,
            dirty: false,
            owed: false,
            old: None,
        };
        let (mut by_key, mut by_end) = (Vec::new(), Vec::new());
        session_key(b"key", &session, &mut by_key);
        end_key(b"key", &session, &mut by_end);
        assert_eq!(from_end_key(&by_end).unwrap(), (b"key".as_slice(), by_key.clone()));
        assert_eq!(split_session(&by_key).unwrap(), (b"key".as_slice(), -3, 7));
        assert!(from_end_key(&by_end[..15]).is_err());
    }
}
