//! Where a task's rows leave: the sink's topic or a repartition topic.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use millrace_sql::catalog::Source;

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
}

impl OutputWriter {
    pub fn new(query: &QueryDef, key: &TaskKey, formats: &dyn Formats) -> Result<Self> {
        match &query.topology.subs[key.sub as usize].output {
            Output::Sink(node) => {
                let facts = query.topic(&node.sink.topic)?;
                let sink = SinkWriter::new(&node.sink, facts, formats, key.partition)?;
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

    /// Encodes `batch` into `outbox`; rows that cannot be are told as (row, reason).
    pub fn write(&mut self, batch: &Batch, outbox: &mut Outbox) -> Result<Vec<(usize, String)>> {
        match self {
            OutputWriter::Sink(sink) => sink.write(batch, outbox),
            OutputWriter::Repartition(writer) => writer.write(batch, outbox),
        }
    }
}

/// Writes to the sink's topic.
pub struct SinkWriter {
    topic: TopicId,
    partitions: u32,
    encoder: Box<dyn RowEncoder>,
    encoded: EncodedRows,
    /// Column that gives the record's timestamp, instead of the row's time.
    timestamp: Option<usize>,
    own_partition: u32,
}

impl SinkWriter {
    pub fn new(
        sink: &Source,
        facts: crate::command::TopicFacts,
        formats: &dyn Formats,
        own_partition: u32,
    ) -> Result<Self> {
        let column = sink.timestamp.as_ref().map(|spec| &spec.column);
        let timestamp = column.and_then(|name| sink.columns.iter().position(|c| &c.name == name));
        Ok(SinkWriter {
            topic: facts.id,
            partitions: facts.partitions,
            encoder: formats.encoder(sink)?,
            encoded: EncodedRows::default(),
            timestamp,
            own_partition,
        })
    }

    pub fn write(&mut self, batch: &Batch, outbox: &mut Outbox) -> Result<Vec<(usize, String)>> {
        self.encoded.clear();
        self.encoder.encode(&batch.rows, batch.live.as_ref(), &mut self.encoded)?;
        let data = &self.encoded.data;
        for entry in &self.encoded.rows {
            let key = entry.key.clone().map(|range| &data[range]);
            let partition = match key {
                Some(key) => partition_for_key(&key[..entry.inner_key_len], self.partitions),
                None => self.own_partition % self.partitions,
            };
            let value = entry.value.clone().map(|range| &data[range]);
            let time = self.time(batch, entry.row as usize);
            outbox.push(Tp::new(self.topic, partition), Timestamp(time), key, value);
        }
        Ok(std::mem::take(&mut self.encoded.errors))
    }

    fn time(&self, batch: &Batch, row: usize) -> i64 {
        let of_column = self.timestamp.and_then(|at| column_time(batch.column(at), row));
        of_column.unwrap_or(batch.times[row])
    }
}

/// Milliseconds of a BIGINT or TIMESTAMP column.
fn column_time(column: &dyn Array, row: usize) -> Option<i64> {
    if column.is_null(row) {
        return None;
    }
    if let Some(values) = column.as_primitive_opt::<Int64Type>() {
        return Some(values.value(row));
    }
    column.as_primitive_opt::<TimestampMillisecondType>().map(|values| values.value(row))
}
