//! Where a task's rows leave: the sink's topic or a repartition topic.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use millrace_sql::catalog::{ColumnRole, Source, TimestampSpec};
use millrace_sql::expr::java_time::{TimePattern, Zone};
use millrace_sql::plan::SinkNode;

use crate::batch::Batch;
use crate::error::{EngineError, Result};
use crate::format::{EncodedRows, Formats, RowEncoder, partition_for_key};
use crate::ids::{Timestamp, TopicId, Tp};
use crate::outbox::Outbox;
use crate::progress::TaskKey;
use crate::query::QueryDef;
use crate::repartition::RepartitionWriter;
use crate::topology::Output;

/// Encodes a task's output.
pub enum OutputWriter {
    Sink(SinkWriter),
    Repartition(RepartitionWriter),
    /// The result is kept in its store, and nowhere else.
    Nothing,
}

impl OutputWriter {
    pub fn new(query: &QueryDef, key: &TaskKey, formats: &dyn Formats) -> Result<Self> {
        match &query.topology.subs[key.sub as usize].output {
            // The topic of a read-only table is not ours to write.
            Output::Sink(node) if node.sink.read_only => Ok(OutputWriter::Nothing),
            Output::Sink(node) => {
                let facts = query.topic(&node.sink.topic)?;
                let sink = SinkWriter::new(node, facts, formats, key.partition)?;
                Ok(OutputWriter::Sink(sink))
            }
            Output::Repartition(at) => {
                let writer = RepartitionWriter::new(query, *at, formats, key.partition)?;
                Ok(OutputWriter::Repartition(writer))
            }
            Output::Reader => {
                Err(EngineError::Bug("a push query's plan was given to a lane".to_owned()))
            }
        }
    }

    /// Whether the rows go to another task of the same query.
    pub fn is_internal(&self) -> bool {
        matches!(self, OutputWriter::Repartition(_))
    }

    /// Forgets what was sent since the last commit.
    pub fn reset(&mut self) {
        if let OutputWriter::Repartition(writer) = self {
            writer.reset();
        }
    }

    /// Encodes `batch` into `outbox`; rows without a usable time, or without a group, are told as (row,
    /// reason).
    ///
    /// # Errors
    /// `Config` for a row that its topic's format cannot hold: as in ksqlDB, it stops the query.
    pub fn write(&mut self, batch: &Batch, outbox: &mut Outbox) -> Result<Vec<(usize, String)>> {
        match self {
            OutputWriter::Sink(sink) => sink.write(batch, outbox),
            OutputWriter::Repartition(writer) => writer.write(batch, outbox),
            OutputWriter::Nothing => Ok(Vec::new()),
        }
    }
}

/// Why a query stops whose row cannot be written.
///
/// # Errors
/// `Config`, if there is such a row.
pub fn all_serialized(topic: &str, errors: &[(usize, String)]) -> Result<()> {
    match errors.first() {
        None => Ok(()),
        Some((_, why)) => Err(EngineError::Config(format!(
            "Unable to serialize record. topic: {topic}: {why}; leave such rows out (WHERE), or give \
             the topic a schema that holds them"
        ))),
    }
}

/// Writes to the sink's topic.
pub struct SinkWriter {
    topic: TopicId,
    name: String,
    partitions: u32,
    encoder: Box<dyn RowEncoder>,
    encoded: EncodedRows,
    /// What gives the record's timestamp, instead of the row's time.
    timestamp: Option<SinkTime>,
    /// Key columns of which at least one must be set for there to be a key.
    needed_key: Vec<usize>,
    own_partition: u32,
}

impl SinkWriter {
    pub fn new(
        node: &SinkNode,
        facts: crate::command::TopicFacts,
        formats: &dyn Formats,
        own_partition: u32,
    ) -> Result<Self> {
        let sink = node.sink.as_ref();
        let columns = sink.columns.iter().enumerate();
        let keys = columns.filter(|(_, column)| column.role == ColumnRole::Key);
        let mut needed_key: Vec<usize> = keys.map(|(at, _)| at).collect();
        if node.computed_key || needed_key.len() < 2 {
            // A single column of NULL is no key whoever computed it.
            needed_key.clear();
        }
        let timestamp =
            sink.timestamp.as_ref().map(|spec| SinkTime::new(sink, spec)).transpose()?;
        Ok(SinkWriter {
            topic: facts.id,
            name: sink.topic.clone(),
            partitions: facts.partitions,
            encoder: formats.encoder(sink)?,
            encoded: EncodedRows::default(),
            timestamp,
            needed_key,
            own_partition,
        })
    }

    pub fn write(&mut self, batch: &Batch, outbox: &mut Outbox) -> Result<Vec<(usize, String)>> {
        self.encoded.clear();
        self.encoder.encode(&batch.rows, batch.live.as_ref(), &mut self.encoded)?;
        all_serialized(&self.name, &self.encoded.errors)?;
        let mut errors = Vec::new();
        let data = &self.encoded.data;
        for entry in &self.encoded.rows {
            let row = entry.row as usize;
            let absent = !self.needed_key.is_empty()
                && self.needed_key.iter().all(|at| batch.column(*at).is_null(row));
            let key = entry.key.clone().filter(|_| !absent).map(|range| &data[range]);
            let partition = match key {
                Some(key) => partition_for_key(&key[..entry.inner_key_len], self.partitions),
                None => self.own_partition % self.partitions,
            };
            let value = entry.value.clone().map(|range| &data[range]);
            let time = match self.time(batch, entry.row as usize) {
                Ok(time) => time,
                Err(why) => {
                    errors.push((entry.row as usize, why));
                    continue;
                }
            };
            let (to, time) = (Tp::new(self.topic, partition), Timestamp(time));
            outbox.push_with(to, time, key, value, batch.headers_of(row));
        }
        Ok(errors)
    }

    /// A row without a value has no column to take its time from.
    fn time(&self, batch: &Batch, row: usize) -> Result<i64, String> {
        match &self.timestamp {
            Some(timestamp) if batch.is_live(row) => timestamp.of(batch.column(timestamp.at), row),
            _ => Ok(batch.times[row]),
        }
    }
}

/// A column that gives the timestamps of a sink's records.
struct SinkTime {
    at: usize,
    name: String,
    /// How a STRING column is read.
    pattern: Option<TimePattern>,
}

impl SinkTime {
    fn new(sink: &Source, spec: &TimestampSpec) -> Result<Self> {
        let at = sink.columns.iter().position(|column| column.name == spec.column);
        let at = at.ok_or_else(|| {
            EngineError::Bug(format!("{} has no column {}", sink.name, spec.column))
        })?;
        let pattern = spec.pattern.as_deref().map(TimePattern::new).transpose();
        let pattern =
            pattern.map_err(|why| EngineError::User(format!("TIMESTAMP_FORMAT: {why}")))?;
        Ok(SinkTime { at, name: spec.column.clone(), pattern })
    }

    /// Milliseconds since the epoch.
    fn of(&self, column: &dyn Array, row: usize) -> Result<i64, String> {
        let wrong = |why: &str| {
            let name = &self.name;
            Err(format!("Error writing row with extracted timestamp: column {name} {why}"))
        };
        if column.is_null(row) {
            return wrong("is NULL");
        }
        let time = if let Some(values) = column.as_primitive_opt::<Int64Type>() {
            values.value(row)
        } else if let Some(values) = column.as_primitive_opt::<TimestampMillisecondType>() {
            values.value(row)
        } else if let (Some(texts), Some(pattern)) = (column.as_string_opt::<i32>(), &self.pattern)
        {
            match pattern.parse(texts.value(row)).and_then(|parsed| parsed.timestamp(Zone::UTC)) {
                Ok(time) => time,
                Err(why) => return wrong(&why.to_string()),
            }
        } else {
            return wrong("is of a type without times");
        };
        if time < 0 { wrong("is negative") } else { Ok(time) }
    }
}
