//! Encoded records on their way to the writer: filled by a step, drained as the writer has room.

use std::mem::take;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::error::{EngineError, Result};
use crate::ids::{Timestamp, Tp};
use crate::log::{HeaderRef, RecordRef, SendError, Writer, split_headers};
use crate::progress::TaskKey;
use crate::state::StoreId;

/// Records waiting to be sent, in order, in one buffer. A transaction has tens of thousands of them,
/// in each lane: they are kept small.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Key, value and headers of each entry, one behind the other.
    data: Vec<u8>,
    entries: Vec<Entry>,
    /// Where entries go, each place once.
    places: Vec<Tp>,
    place_of: HashMap<Tp, u32, RandomState>,
    /// Entries that went out, and where the next one's data starts.
    sent: usize,
    sent_bytes: usize,
    /// Whose the entries are, from that one on.
    owners: Vec<(usize, Owner)>,
}

#[derive(Debug)]
struct Entry {
    timestamp: Timestamp,
    /// Index in `places`.
    to: u32,
    key: Length,
    value: Length,
    /// Encoded as in the log.
    headers: Length,
}

/// Length of a part of an entry, which may be absent.
#[derive(Debug, Clone, Copy)]
struct Length(u32);

impl Length {
    const ABSENT: u32 = u32::MAX;

    fn push(data: &mut Vec<u8>, bytes: Option<&[u8]>) -> Length {
        let Some(bytes) = bytes else { return Length(Length::ABSENT) };
        debug_assert!(bytes.len() < Length::ABSENT as usize, "messages are smaller");
        data.extend_from_slice(bytes);
        Length(bytes.len() as u32)
    }

    /// Cuts the part off the front.
    fn take<'a>(self, data: &mut &'a [u8]) -> Option<&'a [u8]> {
        if self.0 == Length::ABSENT {
            return None;
        }
        let (part, rest) = data.split_at(self.0 as usize);
        *data = rest;
        Some(part)
    }
}

/// Whose a record is: who is told when it cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Output of a task.
    Task(TaskKey),
    /// A store's changelog.
    Store(StoreId),
    /// The processing log.
    Log,
    /// The lane's progress.
    Lane,
}

/// How far [`Outbox::drain`] got.
#[derive(Debug, PartialEq, Eq)]
pub enum Drained {
    All,
    /// The writer is full.
    Some,
    /// A record is too large for its topic. It was left out; the rest still waits.
    Refused(Refused),
}

/// A record that its topic does not take.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub owner: Owner,
    pub to: Tp,
    pub bytes: usize,
    pub bytes_max: usize,
}

/// What an emptied outbox keeps room for: most lanes of a process wait.
const KEEP_BYTES: usize = 512 << 10;
const KEEP_ENTRIES: usize = 8192;

impl Outbox {
    /// What is pushed from now on is `owner`'s.
    pub fn owned_by(&mut self, owner: Owner) {
        let (at, last) = (self.entries.len(), self.owners.last_mut());
        match last {
            Some((_, before)) if *before == owner => {}
            Some((from, before)) if *from == at => *before = owner,
            _ => self.owners.push((at, owner)),
        }
    }

    pub fn push(&mut self, to: Tp, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.push_with(to, timestamp, key, value, None);
    }

    /// As [`Outbox::push`], with headers as they are encoded in the log.
    pub fn push_with(
        &mut self,
        to: Tp,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<&[u8]>,
    ) {
        let to = self.place(to);
        let key = Length::push(&mut self.data, key);
        let value = Length::push(&mut self.data, value);
        let headers = Length::push(&mut self.data, headers);
        self.entries.push(Entry { timestamp, to, key, value, headers });
    }

    fn place(&mut self, to: Tp) -> u32 {
        let next = self.places.len() as u32;
        let place = *self.place_of.entry(to).or_insert(next);
        if place == next {
            self.places.push(to);
        }
        place
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Sends until empty, until the writer is full, or past a record that is too large. Calls `note`
    /// for each record that went out with its size.
    ///
    /// # Errors
    /// A dead writer.
    pub fn drain(
        &mut self,
        writer: &mut dyn Writer,
        note: &mut dyn FnMut(Tp, usize),
    ) -> Result<Drained> {
        while let Some(entry) = self.entries.get(self.sent) {
            let (to, mut rest) = (self.places[entry.to as usize], &self.data[self.sent_bytes..]);
            let (key, value) = (entry.key.take(&mut rest), entry.value.take(&mut rest));
            let headers = entry.headers.take(&mut rest).map(split_headers).unwrap_or_default();
            let names = headers.iter().map(|(name, _)| String::from_utf8_lossy(name));
            let names: Vec<_> = names.collect();
            let headers = names.iter().zip(&headers).map(|(name, (_, v))| (name.as_ref(), *v));
            let headers: Vec<HeaderRef<'_>> = headers.collect();
            let record = RecordRef { timestamp: entry.timestamp, key, value, headers: &headers };
            let end = self.data.len() - rest.len();
            match writer.send(to, &record) {
                Ok(()) => {
                    note(to, key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len));
                    (self.sent, self.sent_bytes) = (self.sent + 1, end);
                }
                Err(SendError::Full) => return Ok(Drained::Some),
                Err(SendError::TooLarge { bytes, bytes_max }) => {
                    let owner = self.owner_of(self.sent);
                    (self.sent, self.sent_bytes) = (self.sent + 1, end);
                    return Ok(Drained::Refused(Refused { owner, to, bytes, bytes_max }));
                }
                Err(error) => return Err(EngineError::Send(error)),
            }
        }
        self.clear();
        Ok(Drained::All)
    }

    fn owner_of(&self, entry: usize) -> Owner {
        let behind = self.owners.partition_point(|(from, _)| *from <= entry);
        let owner = behind.checked_sub(1).map(|at| self.owners[at].1.clone());
        owner.unwrap_or(Owner::Lane)
    }

    pub fn clear(&mut self) {
        let (mut data, mut entries) = (take(&mut self.data), take(&mut self.entries));
        data.clear();
        data.shrink_to(KEEP_BYTES);
        entries.clear();
        entries.shrink_to(KEEP_ENTRIES);
        *self = Outbox { data, entries, ..Outbox::default() };
    }
}

#[cfg(test)]
mod tests;
