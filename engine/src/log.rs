//! What the engine needs of a log: Kafka, the embedded log and the simulator all keep this contract,
//! and one test suite (`tests/`) holds each of them to it.
//!
//! **Nothing here blocks.** A call that cannot finish answers `Poll::Pending`; the caller asks again
//! with the same arguments and, in the end, gets the answer once. Per partition: order is kept,
//! offsets rise with gaps, an absent key or value differs from an empty one, headers are ordered and
//! may repeat, the timestamp is kept. A transaction becomes visible atomically per partition and
//! reader, never partly. Readers are always read-committed.

use std::task::Poll;
use std::time::Duration;

use crate::ids::{LaneId, Offset, Timestamp, TopicId, Tp};

/// A log of topics and partitions with transactions.
pub trait Log: Send + Sync {
    /// The topic of that name, or `None` when there is none.
    fn describe(&self, name: &str) -> Poll<Result<Option<TopicInfo>, LogError>>;

    /// All topics.
    fn list(&self) -> Poll<Result<Vec<TopicInfo>, LogError>>;

    /// Makes the topic unless it exists, and checks that it is as wanted if it does.
    fn ensure(&self, spec: &TopicSpec) -> Poll<Result<TopicInfo, EnsureError>>;

    /// Deletes by identity: a namesake made later survives. Deleting what is gone is fine.
    fn delete(&self, topic: TopicId) -> Poll<Result<(), LogError>>;

    /// Drops records below the offsets.
    fn purge(&self, below: &[(Tp, Offset)]) -> Poll<Result<(), LogError>>;

    /// Start, last stable offset and high watermark, asked now and never cached.
    fn ends(&self, tps: &[Tp]) -> Poll<Result<Vec<Ends>, LogError>>;

    /// What happened to topics in use since the last call.
    fn events(&self) -> Vec<LogEvent>;

    /// A new reader. `class` is a hint for sizing and sharing.
    fn cursor(&self, class: ReadClass) -> Box<dyn Cursor>;

    /// A transactional writer. Ready only when all earlier transactions of `id` are decided and
    /// readable and its older writers are fenced.
    fn writer(&self, id: &str) -> Poll<Result<Box<dyn Writer>, LogError>>;

    /// Appends outside of any transaction; the offset of the first record.
    fn append(&self, tp: Tp, records: &[Record]) -> Poll<Result<Offset, LogError>>;

    /// Appends one record if the partition still ends at `end`, under the fencing of writer `id`.
    fn append_if(&self, id: &str, tp: Tp, end: Offset, record: &Record) -> Poll<AppendIf>;

    /// Joins the group that shares out `slots` slots (partitions of topic `topic`).
    fn join(&self, group: &str, topic: &str, node: &str, slots: u32) -> Box<dyn Members>;

    /// Publishes positions for people and tools, best effort and outside of transactions.
    fn publish_lag(&self, group: &str, at: &[(Tp, Offset)]);

    /// The id of the cluster, as soon as it is known. Does not wait.
    fn cluster_id(&self) -> Option<String> {
        None
    }

    /// Where the log is, for messages.
    fn place(&self) -> String {
        "the embedded log".to_owned()
    }

    /// Sleeps until something may be ready, at most `at_most`. The simulator returns at once.
    fn park(&self, at_most: Duration);

    /// Ends the sleep of whoever is parked: there is something to do that the log does not know of.
    fn wake(&self);
}

/// A reader of partitions, read-committed. Many cursors may read one partition.
pub trait Cursor: Send {
    /// Replaces what is read; drops what was buffered.
    fn assign(&mut self, at: &[(Tp, Offset)]);

    /// Stops or resumes fetching one assigned partition without losing its position.
    fn pause(&mut self, tp: Tp, on: bool);

    /// Appends what is there: batches of one partition each, in order per partition.
    /// Never resets a position by itself.
    fn poll(&mut self, limits: &PollLimits, out: &mut Vec<RawBatch>) -> Result<(), ReadError>;

    /// Where reading of `tp` stands; `None` when it is not assigned.
    fn position(&self, tp: Tp) -> Option<Position>;
}

/// A transactional producer. The first send opens the transaction.
pub trait Writer: Send {
    /// Adds a record to the open transaction.
    ///
    /// # Errors
    /// `Full`: call [`Writer::poll`] and try again. `TooLarge`: this record can never be sent.
    /// `Dead`: drop this writer and recover.
    fn send(&mut self, to: Tp, record: &RecordRef<'_>) -> Result<(), SendError>;

    /// Serves callbacks and tells how the transaction stands.
    fn poll(&mut self) -> TxnState;

    /// Ends the transaction by committing it.
    fn commit(self: Box<Self>) -> Box<dyn Ending>;

    /// Ends the transaction by aborting it.
    fn abort(self: Box<Self>) -> Box<dyn Ending>;

    /// Decides the rows in `at` that transactions of this id have left undecided although they ended:
    /// a broker may forget to tell a partition how one has. Each is decided as its transaction was; if
    /// that is not known any more, it is dropped. Called with no transaction open.
    fn settle(self: Box<Self>, at: &[Tp]) -> Box<dyn Ending>;
}

/// A transaction being ended. Holding the writer inside keeps it from being used meanwhile.
pub trait Ending: Send {
    /// Ready exactly once; must not be polled again after that.
    fn poll(&mut self) -> Poll<Outcome>;
}

/// How a transaction ended.
pub enum Outcome {
    /// `ends`: per partition, an offset not above that of the transaction's first record after it
    /// plus one; a lower bound of the next offset is enough.
    Committed { writer: Box<dyn Writer>, ends: Vec<(Tp, Offset)> },
    /// `culprits`: topics to blame; empty when it cannot be attributed.
    Aborted { writer: Box<dyn Writer>, culprits: Vec<TopicId> },
    /// No writer comes back: recover.
    Lost(Lost),
}

/// Why a writer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The commit may or may not have happened.
    Unknown(String),
    /// A newer writer of the same id exists, or the transaction timed out: they look the same.
    Fenced(String),
    /// Anything else that ends the producer.
    Fatal(String),
}

/// Slots of a group: which lanes this node should run. Liveness only; safety is the writer's fence.
pub trait Members: Send {
    fn poll(&mut self) -> Vec<SlotEvent>;
    /// Age of the last heartbeat if the slot is held.
    fn owns(&self, slot: LaneId) -> Option<Duration>;
    fn leave(&mut self);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotEvent {
    Assigned(LaneId),
    Revoked(LaneId),
    /// Membership is lost: all slots are gone.
    Lost,
}

/// An owned record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    pub timestamp: Timestamp,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

/// A borrowed record.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [HeaderRef<'a>],
}

impl Record {
    pub fn new(timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        let headers = Vec::new();
        Record {
            timestamp,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers,
        }
    }
}

/// Records of one partition as they were read: one buffer, and where each record lies in it.
#[derive(Debug, Clone)]
pub struct RawBatch {
    pub tp: Tp,
    pub data: Vec<u8>,
    pub records: Vec<RawRecord>,
    /// Position after the last record (and after any control records behind it).
    pub next: Offset,
}

/// One record inside a [`RawBatch`].
#[derive(Debug, Clone, Copy)]
pub struct RawRecord {
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub key: Span,
    pub value: Span,
    /// Encoded headers, see [`push_headers`]; absent when there are none.
    pub headers: Span,
}

/// A range of [`RawBatch::data`], or nothing. Absent differs from empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub const ABSENT: Span = Span { start: 0, len: u32::MAX };

    pub fn new(start: usize, len: usize) -> Self {
        debug_assert!(start + len < u32::MAX as usize, "a raw batch is bounded by PollLimits");
        Span { start: start as u32, len: len as u32 }
    }

    pub fn get(self, data: &[u8]) -> Option<&[u8]> {
        if self.len == u32::MAX {
            return None;
        }
        let start = self.start as usize;
        Some(&data[start..start + self.len as usize])
    }
}

impl RawBatch {
    pub fn new(tp: Tp) -> Self {
        RawBatch { tp, data: Vec::new(), records: Vec::new(), next: Offset(0) }
    }

    pub fn key(&self, i: usize) -> Option<&[u8]> {
        self.records[i].key.get(&self.data)
    }

    pub fn value(&self, i: usize) -> Option<&[u8]> {
        self.records[i].value.get(&self.data)
    }

    /// Headers of record `i` in order.
    pub fn headers(&self, i: usize) -> Vec<Header> {
        self.records[i].headers.get(&self.data).map(read_headers).unwrap_or_default()
    }

    /// Headers of record `i` as they lie in the batch, see [`push_headers`]; `None`: it has none.
    pub fn header_bytes(&self, i: usize) -> Option<&[u8]> {
        self.records[i].headers.get(&self.data)
    }

    /// Appends a record, copying it into the batch's buffer.
    pub fn push(&mut self, offset: Offset, record: &RecordRef<'_>) {
        let key = push_bytes(&mut self.data, record.key);
        let value = push_bytes(&mut self.data, record.value);
        let headers = push_headers(&mut self.data, record.headers);
        let timestamp = record.timestamp;
        self.records.push(RawRecord { offset, timestamp, key, value, headers });
        self.next = Offset(offset.0 + 1);
    }
}

/// Appends `bytes` to `data` and tells where they lie.
pub fn push_bytes(data: &mut Vec<u8>, bytes: Option<&[u8]>) -> Span {
    let Some(bytes) = bytes else { return Span::ABSENT };
    let start = data.len();
    data.extend_from_slice(bytes);
    Span::new(start, bytes.len())
}

/// A header: name and value, which may be NULL.
pub type Header = (String, Option<Vec<u8>>);
/// A borrowed [`Header`].
pub type HeaderRef<'a> = (&'a str, Option<&'a [u8]>);

/// Length of a header's value that is NULL.
const NULL_LENGTH: u32 = u32::MAX;

/// Borrows headers.
pub fn borrow_headers(headers: &[Header]) -> Vec<HeaderRef<'_>> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
}

/// Appends one header as [`push_headers`] does.
pub fn push_header(data: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    data.extend_from_slice(&(name.len() as u32).to_le_bytes());
    data.extend_from_slice(name);
    data.extend_from_slice(&value.map_or(NULL_LENGTH, |value| value.len() as u32).to_le_bytes());
    data.extend_from_slice(value.unwrap_or_default());
}

/// Appends headers as (u32 name length, name, u32 value length, value)*, little endian. A value of
/// NULL has the length `u32::MAX` and no bytes.
pub fn push_headers(data: &mut Vec<u8>, headers: &[HeaderRef<'_>]) -> Span {
    if headers.is_empty() {
        return Span::ABSENT;
    }
    let start = data.len();
    for (name, value) in headers {
        push_header(data, name.as_bytes(), *value);
    }
    Span::new(start, data.len() - start)
}

/// Reads what [`push_headers`] wrote.
pub fn read_headers(bytes: &[u8]) -> Vec<Header> {
    let headers = split_headers(bytes).into_iter();
    headers
        .map(|(name, value)| {
            (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec))
        })
        .collect()
}

/// Names and values of what [`push_headers`] wrote.
pub fn split_headers(mut bytes: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
    // A part, or NULL; none when the bytes end.
    let mut take = || {
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len);
        if len == NULL_LENGTH {
            bytes = rest;
            return Some(None);
        }
        let (part, rest) = rest.split_at_checked(len as usize)?;
        bytes = rest;
        Some(Some(part))
    };
    let mut headers = Vec::new();
    while let (Some(name), Some(value)) = (take(), take()) {
        headers.push((name.unwrap_or_default(), value));
    }
    headers
}

/// What a cursor is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadClass {
    /// The lane's main reader.
    Shared,
    /// A query that is behind the others.
    CatchUp,
    /// Replays changelogs and progress.
    Restore,
}

/// How much one poll may return, over all partitions.
#[derive(Debug, Clone, Copy)]
pub struct PollLimits {
    pub records_max: usize,
    pub bytes_max: usize,
}

/// Where a cursor stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Offset that the next poll continues at.
    pub next: Offset,
    /// Last stable offset as of the last fetch, if there was one since the assignment. May be an
    /// upper bound until the reader reaches it; then it is told exactly.
    pub lso: Option<Offset>,
}

/// State of the writer's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxnState {
    Idle,
    /// Records sent and not yet acknowledged.
    Open {
        unacked: usize,
    },
    /// The transaction cannot commit any more.
    MustAbort {
        culprits: Vec<TopicId>,
        reason: String,
    },
    Dead(Lost),
}

/// Start, last stable offset and high watermark of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub start: Offset,
    pub lso: Offset,
    pub hw: Offset,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    pub id: TopicId,
    pub name: String,
    pub partitions: u32,
    pub replicas: u32,
    pub cleanup: Cleanup,
    /// -1: for ever.
    pub retention_ms: i64,
}

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    pub name: String,
    pub partitions: u32,
    /// `None`: the broker's default.
    pub replicas: Option<u32>,
    pub cleanup: Cleanup,
    /// `None`: the broker's default. -1: for ever.
    pub retention_ms: Option<i64>,
    /// Further settings by Kafka's names, e.g. `segment.bytes`; the embedded log ignores those it
    /// has no use for.
    pub config: Vec<(String, String)>,
}

/// Kafka's `cleanup.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cleanup {
    Delete,
    Compact,
    CompactDelete,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    TopicGone(TopicId),
    TopicReplaced { old: TopicId, new: TopicId },
    PartitionsChanged { topic: TopicId, partitions: u32 },
    Down(String),
    Up,
}

/// A failed call; the variant says what the caller may do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    #[error("cannot reach the log: {0}")]
    Unreachable(String),
    #[error("topic {0} does not exist (any more)")]
    Gone(String),
    #[error("not allowed: {0}")]
    Denied(String),
    #[error("fenced: {0}")]
    Fenced(String),
    #[error("{0}")]
    Other(String),
}

/// A topic that cannot be made as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnsureError {
    #[error("topic {topic} exists and differs: {}", differences.join("; "))]
    Differs { topic: String, differences: Vec<String> },
    /// The cluster does not make such topics, e.g. with more replicas than it has brokers.
    #[error("topic {topic} cannot be made: {reason}")]
    Refused { topic: String, reason: String },
    #[error(transparent)]
    Log(#[from] LogError),
}

/// A read that cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("offset {at} of {tp:?} is out of range: the log starts at {start}")]
    OutOfRange { tp: Tp, at: Offset, start: Offset },
    #[error("the topic of {0:?} is gone")]
    Gone(Tp),
    #[error("not allowed to read {0:?}")]
    Denied(Tp),
    #[error("corrupt data in {tp:?} at {at}: {reason}")]
    Corrupt { tp: Tp, at: Offset, reason: String },
    #[error("cannot reach the log: {0}")]
    Unreachable(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the producer's queue is full")]
    Full,
    #[error("record of {bytes} bytes is larger than the topic allows ({bytes_max})")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("the producer is dead: {0:?}")]
    Dead(Lost),
}

/// Answer of [`Log::append_if`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendIf {
    /// Written at this offset.
    Done(Offset),
    /// The partition ends elsewhere; nothing was written.
    Moved(Offset),
    /// It may or may not have been written: read and see.
    Unknown(String),
    Failed(LogError),
}
