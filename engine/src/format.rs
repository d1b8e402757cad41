//! The seam to formats: bytes of keys and values to Arrow and back. `connectors` implements it.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use millrace_sql::catalog::{FormatSpec, SchemaText, Source};
use millrace_sql::plan::ScanColumn;
use millrace_sql::types::SqlType;

use crate::error::{EngineError, Result};
use crate::log::RawBatch;
use crate::schemas::SchemaRegistry;

/// Makes decoders and encoders.
pub trait Formats: Send + Sync {
    /// A decoder of `source`'s records that hands out `columns` in that order.
    fn decoder(&self, source: &Source, columns: &[ScanColumn]) -> Result<Box<dyn RowDecoder>>;

    /// An encoder of rows for `sink`'s topic.
    fn encoder(&self, sink: &Source) -> Result<Box<dyn RowEncoder>>;

    /// An encoder of bare keys, e.g. for repartition topics and for finding a key's partition.
    fn key_encoder(
        &self,
        format: &FormatSpec,
        columns: &[(String, SqlType)],
    ) -> Result<Box<dyn KeyEncoder>>;

    /// The registry of schemas, when there is one.
    fn registry(&self) -> Option<&Arc<dyn SchemaRegistry>> {
        None
    }

    /// The schema that describes columns as `format` writes them.
    ///
    /// # Errors
    /// `User` when the format has no schemas, or its schemas cannot describe the columns.
    fn describe(&self, format: &FormatSpec, _: &[(String, SqlType)]) -> Result<SchemaText> {
        Err(no_schemas(format))
    }

    /// The columns that a schema stands for, when keys or values are read as `format` says.
    ///
    /// # Errors
    /// `User` with the reason when it stands for none.
    fn infer(&self, format: &FormatSpec, _: &SchemaText, _: Naming) -> Result<Inferred> {
        Err(no_schemas(format))
    }
}

fn no_schemas(format: &FormatSpec) -> EngineError {
    EngineError::User(format!("the format {} has no schemas", format.kind.name()))
}

/// How columns are named after the fields of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// The name of an only column that is no field of anything.
    pub single: &'static str,
    /// Names as they stand, not in upper case.
    pub keep_case: bool,
}

/// What a schema stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    pub columns: Vec<(String, SqlType)>,
    /// The full name of the schema, if it has one.
    pub name: Option<String>,
    /// Full names to choose from, when the schema defines more than one type.
    pub names: Vec<String>,
}

/// Decodes raw records of one source. Keeps its buffers between calls.
pub trait RowDecoder: Send {
    /// Decodes records `range` of `raw`. A record that cannot be decoded is left out of the batch
    /// and reported; the batch goes on.
    fn decode(&mut self, raw: &RawBatch, range: Range<usize>) -> Result<Decoded>;

    /// The end of the part of `range` whose schemas are here. What lies behind waits until the
    /// registry has answered.
    fn ready(&mut self, _: &RawBatch, range: Range<usize>) -> usize {
        range.end
    }
}

/// What decoding gave.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The asked columns, one row per good record.
    pub rows: RecordBatch,
    /// Event time per row: the TIMESTAMP column's or the record's.
    pub times: Vec<i64>,
    /// False: the record had no value (a tombstone). `None`: all had one.
    pub live: Option<BooleanBuffer>,
    /// Index into the raw batch per row, ascending.
    pub origin: Vec<u32>,
    pub rejects: Vec<Reject>,
}

/// A record, or a part of a row, that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Index into the raw batch.
    pub record: u32,
    pub what: RejectKind,
    /// One line: what is wrong, with the path of the field (`$.A.B`).
    pub reason: String,
}

/// Type of a processing-log entry, as ksqlDB numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectKind {
    DeserializeKey,
    DeserializeValue,
    /// The row was dropped or a column nulled while processing.
    Processing,
    SerializeKey,
    SerializeValue,
    /// The topic does not take the record.
    Production,
}

/// Encodes rows for a topic.
pub trait RowEncoder: Send {
    /// `rows`: the sink's columns in order, then WINDOWSTART and WINDOWEND (BIGINT) when its key is
    /// windowed. Rows that are not live get no value. Appends to `out`.
    fn encode(
        &mut self,
        rows: &RecordBatch,
        live: Option<&BooleanBuffer>,
        out: &mut EncodedRows,
    ) -> Result<()>;
}

/// Encodes key columns only.
pub trait KeyEncoder: Send {
    /// Key bytes per row of `key` (its columns in key order). A key whose columns are all NULL is
    /// absent.
    fn encode_keys(&mut self, key: &RecordBatch, out: &mut EncodedRows) -> Result<()>;
}

/// Encoded rows: one buffer and ranges into it. Cleared and reused by the caller.
#[derive(Debug, Clone, Default)]
pub struct EncodedRows {
    pub data: Vec<u8>,
    pub rows: Vec<EncodedRow>,
    /// Rows that could not be encoded: (row, message). They have no entry in `rows`.
    pub errors: Vec<(usize, String)>,
}

/// One encoded row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRow {
    /// Index of the row in the batch.
    pub row: u32,
    pub key: Option<Range<usize>>,
    /// Length of the inner key at the start of `key`: what the partitioner hashes.
    pub inner_key_len: usize,
    pub value: Option<Range<usize>>,
}

impl EncodedRows {
    pub fn clear(&mut self) {
        self.data.clear();
        self.rows.clear();
        self.errors.clear();
    }
}

/// Kafka's default partitioner: murmur2 of the key bytes, positive, modulo the partition count.
/// Source: `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut h = SEED ^ (data.len() as u32);
    let (chunks, tail) = data.as_chunks::<4>();
    for chunk in chunks {
        let mut k = u32::from_le_bytes(*chunk).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (i, byte) in tail.iter().enumerate() {
        h ^= u32::from(*byte) << (8 * i);
    }
    if !tail.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_kafka() {
        let cases: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ];
        for (input, want) in cases {
            assert_eq!(murmur2(input) as i32, want, "{}", String::from_utf8_lossy(input));
        }
    }
}
