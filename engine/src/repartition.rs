//! Records of repartition topics. The key is the new key in its format's bytes (they decide the
//! partition); the value holds the whole row, and for tables the row before it:
//! `version, flags, [u32 task that sent it, i64 its stream time], [u32 length of the new row, new
//! row], [old row]`; numbers are little-endian. A record without rows is a mark: it tells how far the
//! stream time of the task that sent it has come.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Int32Type, SchemaRef};
use millrace_sql::plan::ResultKind;
use millrace_sql::types::SqlType;

use crate::batch::{Batch, Old};
use crate::codec::buffer::RowBuffer;
use crate::codec::row::RowCodec;
use crate::error::{EngineError, Result};
use crate::format::{EncodedRows, Formats, KeyEncoder, partition_for_key};
use crate::ids::{Timestamp, Tp};
use crate::log::RawBatch;
use crate::outbox::Outbox;
use crate::output::all_serialized;
use crate::query::QueryDef;
use crate::reader::headers;
use crate::upstream::Upstream;

const VERSION: u8 = 1;
const HAS_NEW: u8 = 1;
const HAS_OLD: u8 = 2;
const HAS_UPSTREAM: u8 = 4;
const IS_MARK: u8 = 8;

/// Types of a plan edge.
pub fn edge_types(schema: &SchemaRef) -> Result<Vec<(String, SqlType)>> {
    schema
        .fields()
        .iter()
        .map(|field| {
            let ty = SqlType::from_arrow(field.data_type());
            let ty = ty.ok_or_else(|| EngineError::Bug(format!("no SQL type for {field}")))?;
            Ok((field.name().clone(), ty))
        })
        .collect()
}

/// Sends rows to a repartition topic.
pub struct RepartitionWriter {
    topic: crate::ids::TopicId,
    name: String,
    partitions: u32,
    key: Vec<usize>,
    drop_null_keys: bool,
    to_partition: Option<usize>,
    keys: Box<dyn KeyEncoder>,
    codec: RowCodec,
    /// A row without a key goes where it came from.
    own_partition: u32,
    /// Other tasks write to the topic, too.
    shared: bool,
    /// Greatest event time that this task has sent, in milliseconds.
    stream_time_ms: i64,
}

impl RepartitionWriter {
    pub fn new(
        query: &QueryDef,
        at: usize,
        formats: &dyn Formats,
        own_partition: u32,
    ) -> Result<Self> {
        let node = &query.topology.repartitions[at].node;
        let facts = query.repartition_topic(at)?;
        let types = edge_types(&Arc::new(node.input.schema().as_arrow().clone()))?;
        let (key_format, key_columns) = query.repartition_key(at)?;
        let types: Vec<SqlType> = types.into_iter().map(|(_, ty)| ty).collect();
        Ok(RepartitionWriter {
            topic: facts.id,
            name: query.names.repartition_topic(&query.id, &node.step),
            partitions: facts.partitions,
            key: node.key.clone(),
            drop_null_keys: node.drop_null_keys,
            to_partition: node.to_partition,
            keys: formats.key_encoder(&key_format, &key_columns)?,
            codec: RowCodec::new(&types),
            own_partition,
            shared: query.tells_upstream(at),
            stream_time_ms: i64::MIN,
        })
    }

    /// Forgets what was sent since the last commit.
    pub fn reset(&mut self) {
        self.stream_time_ms = i64::MIN;
    }

    /// Who sends, and when.
    fn upstream(&self) -> Option<Upstream> {
        let (task, stream_time_ms) = (self.own_partition, self.stream_time_ms);
        self.shared.then_some(Upstream { task, stream_time_ms })
    }

    /// Tells all who read the topic that stream time has come to `time_ms`.
    pub fn mark(&mut self, time_ms: i64, outbox: &mut Outbox) {
        self.stream_time_ms = self.stream_time_ms.max(time_ms);
        let mut value = value(self.upstream(), None, None);
        value[1] |= IS_MARK;
        for partition in 0..self.partitions {
            outbox.push(Tp::new(self.topic, partition), Timestamp(time_ms), None, Some(&value));
        }
    }

    /// Encodes `batch` into `outbox`; rows that belong to no group are told as (row, reason).
    ///
    /// # Errors
    /// `Config` for a key that its format cannot hold.
    pub fn write(&mut self, batch: &Batch, outbox: &mut Outbox) -> Result<Vec<(usize, String)>> {
        let new = self.side(&batch.rows, |i| batch.is_live(i))?;
        let old = match &batch.old {
            Some(old) => Some(self.side(&old.rows, |i| old.live.value(i))?),
            None => None,
        };
        let to = match self.to_partition {
            Some(column) => {
                Some(batch.column(column).as_primitive_opt::<Int32Type>().ok_or_else(|| {
                    EngineError::Bug("a partition is named by no INT column".to_owned())
                })?)
            }
            None => None,
        };
        for i in 0..batch.len() {
            let time = Timestamp(batch.times[i]);
            self.stream_time_ms = self.stream_time_ms.max(time.0);
            let (new, headers) = (new.get(i), batch.headers_of(i));
            if let (Some(to), Some(new)) = (to, new) {
                let to = Tp::new(self.topic, to.value(i) as u32 % self.partitions);
                let value = value(self.upstream(), Some(new.row), None);
                outbox.push_with(to, time, new.key, Some(&value), headers);
                continue;
            }
            match old.as_ref().and_then(|old| old.get(i)) {
                // A changed key is two records: the old group loses, then the new one gains.
                Some(before) if new.is_none_or(|new| new.key != before.key) => {
                    self.send(outbox, time, before.key, None, Some(before.row), headers);
                    if let Some(new) = new {
                        self.send(outbox, time, new.key, Some(new.row), None, headers);
                    }
                }
                before => {
                    if let Some(new) = new {
                        let old = before.map(|b| b.row);
                        self.send(outbox, time, new.key, Some(new.row), old, headers);
                    }
                }
            }
        }
        Ok(new.dropped.iter().map(|row| (*row, self.no_group(&batch.rows, *row))).collect())
    }

    /// Why a row is not sent.
    fn no_group(&self, rows: &RecordBatch, row: usize) -> String {
        let column = self.key.iter().find(|at| rows.column(**at).is_null(row));
        let schema = rows.schema();
        let name = column.map_or("?", |at| schema.field(*at).name());
        no_group(name)
    }

    fn side(&mut self, rows: &RecordBatch, live: impl Fn(usize) -> bool) -> Result<Side> {
        let mut keys = EncodedRows::default();
        self.keys.encode_keys(&rows.project(&self.key)?, &mut keys)?;
        all_serialized(&self.name, &keys.errors)?;
        let key_columns: Vec<&ArrayRef> = self.key.iter().map(|i| rows.column(*i)).collect();
        let mut places = vec![None; rows.num_rows()];
        let (mut kept, mut dropped) = (Vec::with_capacity(keys.rows.len()), Vec::new());
        for entry in &keys.rows {
            let row = entry.row as usize;
            let null = key_columns.iter().any(|column| column.is_null(row));
            if !live(row) {
                continue;
            }
            if null && self.drop_null_keys {
                dropped.push(row);
            } else {
                places[row] = Some((entry.key.clone(), kept.len()));
                kept.push(row);
            }
        }
        let mut encoded = RowBuffer::new();
        self.codec.encode(rows.columns(), kept, &mut encoded)?;
        Ok(Side { keys: keys.data, rows: encoded, places, dropped })
    }

    fn send(
        &self,
        outbox: &mut Outbox,
        time: Timestamp,
        key: Option<&[u8]>,
        new: Option<&[u8]>,
        old: Option<&[u8]>,
        headers: Option<&[u8]>,
    ) {
        let partition = key.map_or(self.own_partition % self.partitions, |k| {
            partition_for_key(k, self.partitions)
        });
        let to = Tp::new(self.topic, partition);
        outbox.push_with(to, time, key, Some(&value(self.upstream(), new, old)), headers);
    }
}

/// Why a row counts for no group.
pub fn no_group(column: &str) -> String {
    format!("grouping column {column} is NULL: the row belongs to no group")
}

/// The value of a record: the new row and the old one.
fn value(upstream: Option<Upstream>, new: Option<&[u8]>, old: Option<&[u8]>) -> Vec<u8> {
    let mut value = vec![VERSION, 0];
    if let Some(upstream) = upstream {
        value[1] |= HAS_UPSTREAM;
        value.extend_from_slice(&upstream.task.to_le_bytes());
        value.extend_from_slice(&upstream.stream_time_ms.to_le_bytes());
    }
    if let Some(new) = new {
        value[1] |= HAS_NEW;
        value.extend_from_slice(&(new.len() as u32).to_le_bytes());
        value.extend_from_slice(new);
    }
    if let Some(old) = old {
        value[1] |= HAS_OLD;
        value.extend_from_slice(old);
    }
    value
}

/// One encoded side (new or old) of a batch.
struct Side {
    keys: Vec<u8>,
    rows: RowBuffer,
    /// Per row of the batch: key range, and which encoded row.
    places: Vec<Option<(Option<Range<usize>>, usize)>>,
    /// Rows that belong to no group.
    dropped: Vec<usize>,
}

#[derive(Clone, Copy)]
struct SideRow<'a> {
    key: Option<&'a [u8]>,
    row: &'a [u8],
}

impl Side {
    fn get(&self, i: usize) -> Option<SideRow<'_>> {
        let (key, row) = self.places[i].as_ref()?;
        Some(SideRow { key: key.clone().map(|k| &self.keys[k]), row: self.rows.get(*row) })
    }
}

/// Reads what [`RepartitionWriter`] wrote.
pub struct RepartitionReader {
    codec: RowCodec,
    schema: SchemaRef,
    table: bool,
}

impl RepartitionReader {
    pub fn new(query: &QueryDef, at: usize) -> Result<Self> {
        let repartition = &query.topology.repartitions[at];
        let schema: SchemaRef = Arc::new(repartition.node.input.schema().as_arrow().clone());
        let types: Vec<SqlType> = edge_types(&schema)?.into_iter().map(|(_, ty)| ty).collect();
        let table = repartition.kind == ResultKind::Table;
        Ok(RepartitionReader { codec: RowCodec::new(&types), schema, table })
    }

    /// One row per record, and who sent each where that is told. The row of a mark is all NULL.
    ///
    /// # Errors
    /// `State` when a record is not ours: someone else wrote to an internal topic.
    pub fn read(&self, raw: &RawBatch) -> Result<Read> {
        let mut marks = Vec::with_capacity(raw.records.len());
        let mut new = Vec::with_capacity(raw.records.len());
        let mut old = Vec::with_capacity(raw.records.len());
        let mut upstream = Vec::new();
        for i in 0..raw.records.len() {
            let Parts { from, new: n, old: o, mark } =
                raw.value(i).and_then(split).ok_or_else(|| {
                    let offset = raw.records[i].offset;
                    EngineError::Config(format!(
                        "record {offset} of internal topic {:?} was not written by this service",
                        raw.tp
                    ))
                })?;
            marks.push(mark);
            new.push(n);
            old.push(o);
            upstream.extend(from);
        }
        // Records of before this was written: all or nothing.
        let upstream = (!upstream.is_empty() && upstream.len() == new.len()).then_some(upstream);
        let marks = marks.contains(&true).then_some(marks);
        let times = raw.records.iter().map(|r| r.timestamp.0).collect();
        if !self.table {
            let rows: Vec<&[u8]> = new.iter().flatten().copied().collect();
            let mut columns = self.codec.decode(&rows)?;
            if marks.is_some() {
                columns = spread(&columns, new.iter().map(Option::is_some))?;
            }
            let rows = self.batch(columns, new.len())?;
            let headers = headers(raw, 0..raw.records.len());
            let batch = Batch { headers, ..Batch::new(rows, times) };
            return Ok(Read { batch, upstream, marks });
        }
        // A tombstone's key columns come from the old row.
        let either: Vec<&[u8]> = new.iter().zip(&old).filter_map(|(n, o)| n.or(*o)).collect();
        let rows = self.batch(self.codec.decode(&either)?, either.len())?;
        let live: BooleanBuffer = new.iter().map(Option::is_some).collect();
        let headers = headers(raw, 0..raw.records.len());
        let old = Some(self.old(&old)?);
        let batch = Batch { live: Some(live), headers, old, ..Batch::new(rows, times) };
        Ok(Read { batch, upstream, marks: None })
    }

    fn old(&self, old: &[Option<&[u8]>]) -> Result<Old> {
        let present: Vec<&[u8]> = old.iter().flatten().copied().collect();
        let columns = spread(&self.codec.decode(&present)?, old.iter().map(Option::is_some))?;
        let live = old.iter().map(Option::is_some).collect();
        Ok(Old { rows: self.batch(columns, old.len())?, live })
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

/// Decoded records.
pub struct Read {
    pub batch: Batch,
    pub upstream: Option<Vec<Upstream>>,
    /// Which rows are none but marks; `None`: no one is.
    pub marks: Option<Vec<bool>>,
}

/// Who sent a record, and its encoded rows, where there are any.
struct Parts<'a> {
    from: Option<Upstream>,
    new: Option<&'a [u8]>,
    old: Option<&'a [u8]>,
    mark: bool,
}

/// The parts of a record's value.
fn split(value: &[u8]) -> Option<Parts<'_>> {
    let (&[version, flags], rest) = value.split_first_chunk::<2>()?;
    if version != VERSION {
        return None;
    }
    let (from, rest) = if flags & HAS_UPSTREAM != 0 {
        let (task, rest) = rest.split_first_chunk::<4>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (task, stream_time_ms) = (u32::from_le_bytes(*task), i64::from_le_bytes(*time));
        (Some(Upstream { task, stream_time_ms }), rest)
    } else {
        (None, rest)
    };
    let (new, rest) = if flags & HAS_NEW != 0 {
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (new, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        (Some(new), rest)
    } else {
        (None, rest)
    };
    let old = (flags & HAS_OLD != 0).then_some(rest);
    let mark = flags & IS_MARK != 0;
    (new.is_some() || old.is_some() || mark).then_some(Parts { from, new, old, mark })
}

/// Puts the rows of `columns` at the places where `present` is true; the others are NULL.
pub fn spread(columns: &[ArrayRef], present: impl Iterator<Item = bool>) -> Result<Vec<ArrayRef>> {
    let mut next = 0;
    let places: UInt32Array = present
        .map(|here| {
            here.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    let take = |column: &ArrayRef| Ok(arrow::compute::take(column, &places, None)?);
    columns.iter().map(take).collect()
}
