//! Runs of records as the log keeps them: one buffer of encoded records with rising offsets.
//!
//! A record is `u32 offset - base, i64 timestamp, u32 key length, u32 value length, u32 headers
//! length`, then those bytes; all little endian, length `u32::MAX` means absent. Readers hand the
//! buffer out as it is, so nothing is copied record by record.

use bytes::Bytes;
use millrace_engine::ids::{Offset, Timestamp};
use millrace_engine::log::{RawBatch, RawRecord, RecordRef, Span};

/// Bytes before a record's key.
pub const RECORD_HEAD_BYTES: usize = 24;

/// A run is closed and a new one begun beyond this size, so that a reader loads little at a time.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

const ABSENT: u32 = u32::MAX;

/// Records being collected; offsets are relative to the first.
#[derive(Debug, Clone, Default)]
pub struct ChunkBuilder {
    data: Vec<u8>,
    records: u32,
    /// Difference of the offset that the next record gets from the base.
    span: u32,
    max_timestamp: i64,
}

impl ChunkBuilder {
    /// Takes what was collected, leaving room for as much again.
    pub fn take(&mut self) -> ChunkBuilder {
        let data = Vec::with_capacity(self.data.len());
        std::mem::replace(self, ChunkBuilder { data, ..ChunkBuilder::default() })
    }

    pub fn push(&mut self, record: &RecordRef<'_>) {
        self.push_at(self.span, record);
    }

    /// Appends a record whose offset is `delta` above the base; deltas must rise.
    pub fn push_at(&mut self, delta: u32, record: &RecordRef<'_>) {
        let head = self.data.len();
        self.data.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
        self.data.extend_from_slice(record.key.unwrap_or_default());
        self.data.extend_from_slice(record.value.unwrap_or_default());
        let headers_at = self.data.len();
        if !record.headers.is_empty() {
            millrace_engine::log::push_headers(&mut self.data, record.headers);
        }
        let headers = match record.headers.is_empty() {
            true => ABSENT,
            false => (self.data.len() - headers_at) as u32,
        };
        let at = &mut self.data[head..head + RECORD_HEAD_BYTES];
        at[..4].copy_from_slice(&delta.to_le_bytes());
        at[4..12].copy_from_slice(&record.timestamp.0.to_le_bytes());
        at[12..16].copy_from_slice(&length(record.key).to_le_bytes());
        at[16..20].copy_from_slice(&length(record.value).to_le_bytes());
        at[20..24].copy_from_slice(&headers.to_le_bytes());
        self.grew(delta, record.timestamp.0);
    }

    /// Appends an encoded record of another chunk under a new delta.
    pub fn push_encoded(&mut self, delta: u32, timestamp: i64, encoded: &[u8]) {
        self.data.extend_from_slice(&delta.to_le_bytes());
        self.data.extend_from_slice(encoded.get(4..).unwrap_or_default());
        self.grew(delta, timestamp);
    }

    /// Takes over the records of `other`, which follow this chunk's without a gap.
    pub fn absorb(&mut self, other: &ChunkBuilder) {
        let shift = self.span;
        let mut at = 0;
        while let Some(view) = RecordView::read(&other.data, at) {
            let encoded = &other.data[at..view.end];
            self.push_encoded(shift + view.delta, view.timestamp, encoded);
            at = view.end;
        }
    }

    fn grew(&mut self, delta: u32, timestamp: i64) {
        self.max_timestamp = match self.records {
            0 => timestamp,
            _ => self.max_timestamp.max(timestamp),
        };
        self.records += 1;
        self.span = delta + 1;
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub fn records(&self) -> u32 {
        self.records
    }

    /// How many offsets the records take up.
    pub fn span(&self) -> u32 {
        self.span
    }

    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// The finished run, its first offset being `base`, in memory.
    pub fn build(self, base: i64, appended_ms: i64) -> Chunk {
        Chunk {
            base,
            next: base + i64::from(self.span),
            records: self.records,
            bytes: self.data.len() as u32,
            crc: crc32fast::hash(&self.data),
            max_timestamp: self.max_timestamp,
            appended_ms,
            place: Place::Memory(Bytes::from(self.data)),
        }
    }
}

fn length(bytes: Option<&[u8]>) -> u32 {
    bytes.map_or(ABSENT, |bytes| bytes.len() as u32)
}

/// Encoded size of a record, which is what the limit of a topic is compared with.
pub fn record_bytes(record: &RecordRef<'_>) -> usize {
    let headers: usize =
        record.headers.iter().map(|(n, v)| 8 + n.len() + v.map_or(0, <[u8]>::len)).sum();
    let body = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    RECORD_HEAD_BYTES + body + headers
}

/// A finished run of records of one partition: where its bytes are and what is in them.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Offsets of the records are in `base..next`; compaction leaves gaps.
    pub base: i64,
    pub next: i64,
    pub records: u32,
    pub bytes: u32,
    pub crc: u32,
    /// Largest event time: retention goes by it.
    pub max_timestamp: i64,
    /// Wall clock when the records became visible: the age of tombstones goes by it.
    pub appended_ms: i64,
    pub place: Place,
}

/// Where the bytes of a chunk are.
#[derive(Debug, Clone)]
pub enum Place {
    Memory(Bytes),
    Stored { segment: u32, at: u64 },
}

impl Place {
    /// Segment and position in it.
    pub fn at(&self) -> Option<(u32, u64)> {
        match self {
            Place::Memory(_) => None,
            Place::Stored { segment, at } => Some((*segment, *at)),
        }
    }

    pub fn segment(&self) -> Option<u32> {
        match self {
            Place::Memory(_) => None,
            Place::Stored { segment, .. } => Some(*segment),
        }
    }
}

/// One encoded record inside a chunk's bytes. Positions are indexes into those bytes.
#[derive(Debug, Clone, Copy)]
pub struct RecordView {
    pub delta: u32,
    pub timestamp: i64,
    key: u32,
    value: u32,
    headers: u32,
    body: usize,
    /// Where the next record begins.
    pub end: usize,
}

impl RecordView {
    /// The record at `at`, or `None` at the end or if the bytes do not hold a whole record.
    pub fn read(data: &[u8], at: usize) -> Option<RecordView> {
        let body = at.checked_add(RECORD_HEAD_BYTES)?;
        let head: &[u8; RECORD_HEAD_BYTES] = data.get(at..body)?.try_into().ok()?;
        let number = |from: usize| {
            u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]])
        };
        let timestamp = i64::from(number(4)) | (i64::from(number(8)) << 32);
        let (key, value, headers) = (number(12), number(16), number(20));
        let end = body + present(key) + present(value) + present(headers);
        if end > data.len() {
            return None;
        }
        Some(RecordView { delta: number(0), timestamp, key, value, headers, body, end })
    }

    pub fn key<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        slice(data, self.body, self.key)
    }

    pub fn value<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        slice(data, self.body + present(self.key), self.value)
    }

    /// The record as it is encoded.
    pub fn encoded<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(self.body - RECORD_HEAD_BYTES..self.end).unwrap_or_default()
    }

    pub fn is_tombstone(&self) -> bool {
        self.value == ABSENT
    }

    /// As a record of a batch whose buffer holds the chunk's bytes from `from` at `to`.
    fn raw(&self, base: i64, from: usize, to: usize) -> RawRecord {
        let key_at = self.body - from + to;
        let value_at = key_at + present(self.key);
        let headers_at = value_at + present(self.value);
        RawRecord {
            offset: Offset(base + i64::from(self.delta)),
            timestamp: Timestamp(self.timestamp),
            key: span(key_at, self.key),
            value: span(value_at, self.value),
            headers: span(headers_at, self.headers),
        }
    }
}

fn present(length: u32) -> usize {
    if length == ABSENT { 0 } else { length as usize }
}

fn slice(data: &[u8], at: usize, length: u32) -> Option<&[u8]> {
    if length == ABSENT {
        return None;
    }
    data.get(at..at + length as usize)
}

fn span(at: usize, length: u32) -> Span {
    if length == ABSENT { Span::ABSENT } else { Span::new(at, length as usize) }
}

/// What a copy out of a chunk may still take.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub records: usize,
    pub bytes: usize,
}

/// Copies records from index `at` of a chunk's bytes into `out`, leaving out those below `from`,
/// until the room is used up. At least one record is copied if there is one and room for a record
/// is left. Returns the index after the last one copied or skipped, or `None` for broken bytes.
pub fn copy_records(
    (base, data): (i64, &[u8]),
    mut at: usize,
    from: i64,
    room: &mut Room,
    out: &mut RawBatch,
) -> Option<usize> {
    while at < data.len() {
        let view = RecordView::read(data, at)?;
        if base + i64::from(view.delta) >= from {
            break;
        }
        at = view.end;
    }
    let (first, to) = (at, out.data.len());
    while at < data.len() && room.records > 0 {
        let view = RecordView::read(data, at)?;
        let size = view.end - at;
        if size > room.bytes && !out.records.is_empty() {
            room.bytes = 0;
            break;
        }
        out.records.push(view.raw(base, first, to));
        room.records -= 1;
        room.bytes = room.bytes.saturating_sub(size);
        at = view.end;
    }
    out.data.extend_from_slice(&data[first..at]);
    Some(at)
}
