//! Encoded records on their way to the writer: filled by a step, drained as the writer has room.

use crate::error::{EngineError, Result};
use crate::ids::{Timestamp, Tp};
use crate::log::{HeaderRef, RecordRef, SendError, Span, Writer, push_bytes, split_headers};
use crate::progress::TaskKey;
use crate::state::StoreId;

/// Records waiting to be sent, in order, in one buffer.
#[derive(Debug, Default)]
pub struct Outbox {
    data: Vec<u8>,
    entries: Vec<Entry>,
    sent: usize,
    /// Whose the entries are, from that one on.
    owners: Vec<(usize, Owner)>,
}

#[derive(Debug)]
struct Entry {
    to: Tp,
    timestamp: Timestamp,
    key: Span,
    value: Span,
    /// Encoded as in the log.
    headers: Span,
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

/// Capacity that an emptied outbox keeps.
const KEEP_BYTES: usize = 4 << 20;

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
        let key = push_bytes(&mut self.data, key);
        let value = push_bytes(&mut self.data, value);
        let headers = push_bytes(&mut self.data, headers);
        self.entries.push(Entry { to, timestamp, key, value, headers });
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
            let (key, value) = (entry.key.get(&self.data), entry.value.get(&self.data));
            let headers = entry.headers.get(&self.data).map(split_headers).unwrap_or_default();
            let names = headers.iter().map(|(name, _)| String::from_utf8_lossy(name));
            let names: Vec<_> = names.collect();
            let headers = names.iter().zip(&headers).map(|(name, (_, v))| (name.as_ref(), *v));
            let headers: Vec<HeaderRef<'_>> = headers.collect();
            let record = RecordRef { timestamp: entry.timestamp, key, value, headers: &headers };
            match writer.send(entry.to, &record) {
                Ok(()) => {
                    note(entry.to, key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len));
                    self.sent += 1;
                }
                Err(SendError::Full) => return Ok(Drained::Some),
                Err(SendError::TooLarge { bytes, bytes_max }) => {
                    let (owner, to) = (self.owner_of(self.sent), entry.to);
                    self.sent += 1;
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
        self.entries.clear();
        self.owners.clear();
        self.data.clear();
        self.data.shrink_to(KEEP_BYTES);
        self.sent = 0;
    }
}
