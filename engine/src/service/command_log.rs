//! The command topic: a log of commands that every node replays, and appends that cannot fork it.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::command::{COMMAND_FORMAT, CommandRecord};
use crate::error::{EngineError, Result};
use crate::ids::{Offset, Timestamp, Tp};
use crate::log::{AppendIf, Cursor, Log, LogError, PollLimits, ReadClass, Record};

/// Waits for a poll-style answer, off the lanes.
pub fn wait<T>(
    log: &dyn Log,
    at_most: Duration,
    mut poll: impl FnMut() -> Poll<T>,
) -> Result<T, LogError> {
    let start = Instant::now();
    loop {
        if let Poll::Ready(value) = poll() {
            return Ok(value);
        }
        if start.elapsed() > at_most {
            let waited = at_most.as_secs();
            return Err(LogError::Unreachable(format!("no answer within {waited} s")));
        }
        log.park(POLL_PAUSE);
    }
}

const POLL_PAUSE: Duration = Duration::from_millis(2);

/// A command as it stands in the topic; a record that cannot be read keeps its place.
pub struct Replayed {
    pub offset: Offset,
    pub command: Result<CommandRecord, String>,
}

/// Reads commands in order.
pub struct CommandReader {
    cursor: Box<dyn Cursor>,
    tp: Tp,
}

impl CommandReader {
    pub fn new(log: &dyn Log, tp: Tp) -> Self {
        Self::from(log, tp, Offset(0))
    }

    /// Starts at an offset.
    pub fn from(log: &dyn Log, tp: Tp, at: Offset) -> Self {
        let mut cursor = log.cursor(ReadClass::Restore);
        cursor.assign(&[(tp, at)]);
        CommandReader { cursor, tp }
    }

    /// Commands that came since the last call.
    pub fn poll(&mut self) -> Result<Vec<Replayed>> {
        let limits = PollLimits { records_max: 1000, bytes_max: 4 << 20 };
        let mut batches = Vec::new();
        self.cursor.poll(&limits, &mut batches)?;
        let mut commands = Vec::new();
        for raw in &batches {
            for (i, record) in raw.records.iter().enumerate() {
                let command = parse(raw.value(i).unwrap_or_default());
                commands.push(Replayed { offset: record.offset, command });
            }
        }
        Ok(commands)
    }

    /// Everything below is replayed.
    pub fn position(&self) -> Offset {
        self.cursor.position(self.tp).map_or(Offset(0), |p| p.next)
    }
}

fn parse(bytes: &[u8]) -> Result<CommandRecord, String> {
    let record: CommandRecord =
        serde_json::from_slice(bytes).map_err(|e| format!("the command does not parse: {e}"))?;
    if record.format > COMMAND_FORMAT {
        return Err(format!(
            "the command has format {}, this version knows {COMMAND_FORMAT}: update this node",
            record.format
        ));
    }
    Ok(record)
}

/// Appends commands under the fencing of the service's command writer (R35).
pub struct CommandWriter {
    log: Arc<dyn Log>,
    tp: Tp,
    id: String,
}

/// How an append ended.
pub enum Appended {
    At(Offset),
    /// Another node was faster: replay, look again, decide again.
    Moved,
    /// Read the log and look for the command's UUID.
    Unknown,
}

impl CommandWriter {
    pub fn new(log: Arc<dyn Log>, tp: Tp, id: String) -> Self {
        CommandWriter { log, tp, id }
    }

    /// Where the next command will stand if nobody else appends.
    pub fn end(&self, at_most: Duration) -> Result<Offset> {
        let ends = wait(self.log.as_ref(), at_most, || self.log.ends(&[self.tp]))??;
        let end = ends.first().map(|ends| ends.hw);
        end.ok_or_else(|| EngineError::Bug("the command topic has no end".to_owned()))
    }

    /// Appends if the topic still ends at `end`.
    pub fn append(
        &self,
        end: Offset,
        key: &str,
        record: &CommandRecord,
        now: Timestamp,
        at_most: Duration,
    ) -> Result<Appended> {
        let value = serde_json::to_vec(record)
            .map_err(|e| EngineError::Bug(format!("cannot write the command: {e}")))?;
        let record = Record::new(now, Some(key.as_bytes()), Some(&value));
        let log = self.log.as_ref();
        match wait(log, at_most, || log.append_if(&self.id, self.tp, end, &record))? {
            AppendIf::Done(offset) => Ok(Appended::At(offset)),
            AppendIf::Moved(_) => Ok(Appended::Moved),
            AppendIf::Unknown(_) => Ok(Appended::Unknown),
            AppendIf::Failed(error) => Err(EngineError::Log(error)),
        }
    }
}
