//! Encoded records on their way to the writer: filled by a step, drained as the writer has room.

use crate::error::{EngineError, Result};
use crate::ids::{Timestamp, Tp};
use crate::log::{RecordRef, SendError, Span, Writer, push_bytes};

/// Records waiting to be sent, in order, in one buffer.
#[derive(Debug, Default)]
pub struct Outbox {
    data: Vec<u8>,
    entries: Vec<Entry>,
    sent: usize,
}

#[derive(Debug)]
struct Entry {
    to: Tp,
    timestamp: Timestamp,
    key: Span,
    value: Span,
}

/// Capacity that an emptied outbox keeps.
const KEEP_BYTES: usize = 4 << 20;

impl Outbox {
    pub fn push(&mut self, to: Tp, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) {
        let key = push_bytes(&mut self.data, key);
        let value = push_bytes(&mut self.data, value);
        self.entries.push(Entry { to, timestamp, key, value });
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Sends until empty (true) or until the writer is full (false). Calls `note` for each record
    /// that went out with its size.
    ///
    /// # Errors
    /// A record that is too large, or a dead writer.
    pub fn drain(
        &mut self,
        writer: &mut dyn Writer,
        note: &mut dyn FnMut(Tp, usize),
    ) -> Result<bool> {
        while let Some(entry) = self.entries.get(self.sent) {
            let (key, value) = (entry.key.get(&self.data), entry.value.get(&self.data));
            let record = RecordRef { timestamp: entry.timestamp, key, value, headers: &[] };
            match writer.send(entry.to, &record) {
                Ok(()) => {
                    note(entry.to, key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len));
                    self.sent += 1;
                }
                Err(SendError::Full) => return Ok(false),
                Err(error) => return Err(EngineError::Send(error)),
            }
        }
        self.clear();
        Ok(true)
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.data.clear();
        self.data.shrink_to(KEEP_BYTES);
        self.sent = 0;
    }
}
