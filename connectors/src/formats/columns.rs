//! Key or value columns being built from records, whatever their format.

use arrow::array::ArrayRef;
use millrace_engine::codec::builder::ColumnBuilder;
use millrace_engine::error::Result;
use millrace_sql::catalog::{FormatKind, FormatSpec};
use millrace_sql::types::SqlType;

use super::avro::AvroDecoder;
use super::delimited::DelimitedDecoder;
use super::json::JsonDecoder;
use super::json_sr::JsonSrDecoder;
use super::kafka::KafkaDecoder;
use super::protobuf::ProtobufDecoder;
use super::schemas::{Readiness, Schemas};

/// A key or value column as the formats see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub ty: SqlType,
    /// False: only checked, not kept.
    pub wanted: bool,
}

/// A format's reading side.
pub trait ColumnDecoder: Send {
    /// Appends the record as row `row` of the wanted columns; false: it stands for no row at all.
    /// On error (and on false) parts of the row may be left behind, which the caller cuts off.
    ///
    /// # Errors
    /// One line for the processing log.
    fn read_row(
        &mut self,
        bytes: &[u8],
        columns: &mut [ColumnBuilder],
        row: usize,
    ) -> Result<bool, String>;

    /// Whether the record can be read now: its schema is here.
    fn ready(&mut self, _bytes: &[u8]) -> Readiness {
        Readiness::Ready
    }
}

/// Columns of the key or of the value of many records.
pub struct Columns {
    fields: Vec<Field>,
    builders: Vec<ColumnBuilder>,
    decoder: Box<dyn ColumnDecoder>,
    rows: usize,
    has_ids: bool,
}

impl Columns {
    /// # Errors
    /// When the format cannot hold the columns.
    pub fn new(format: &FormatSpec, fields: Vec<Field>, schemas: Schemas) -> Result<Self, String> {
        let decoder: Box<dyn ColumnDecoder> = match format.kind {
            FormatKind::Json => Box::new(JsonDecoder::new(&fields, format.wrapped)?),
            FormatKind::JsonSr => Box::new(JsonSrDecoder::new(&fields, format.wrapped)?),
            FormatKind::Avro => Box::new(AvroDecoder::new(&fields, format.wrapped, schemas)),
            FormatKind::Protobuf | FormatKind::ProtobufNoSr => {
                Box::new(ProtobufDecoder::new(format, &fields, schemas)?)
            }
            FormatKind::Delimited => Box::new(DelimitedDecoder::new(&fields, format.delimiter)?),
            FormatKind::Kafka => Box::new(KafkaDecoder::new(&fields)?),
            FormatKind::None if fields.is_empty() => Box::new(NoColumns),
            FormatKind::None => return Err("the NONE format has no columns".into()),
        };
        let builders = fields.iter().map(|field| ColumnBuilder::new(&field.ty)).collect();
        let has_ids = format.kind.has_registry();
        Ok(Columns { fields, builders, decoder, rows: 0, has_ids })
    }

    /// True if records name their schemas.
    pub fn has_ids(&self) -> bool {
        self.has_ids
    }

    /// Whether a record can be decoded now.
    #[inline]
    pub fn ready(&mut self, bytes: &[u8]) -> Readiness {
        self.decoder.ready(bytes)
    }

    /// Appends a row; false: the record says that there is none, and NULLs were appended.
    ///
    /// # Errors
    /// The record is bad and nothing was appended.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, String> {
        let outcome = self.decoder.read_row(bytes, &mut self.builders, self.rows);
        match outcome {
            Ok(true) => self.rows += 1,
            Ok(false) => {
                self.truncate(self.rows);
                self.push_null();
            }
            Err(_) => self.truncate(self.rows),
        }
        outcome
    }

    /// Appends a row of NULLs.
    pub fn push_null(&mut self) {
        self.wanted().for_each(|(_, builder)| builder.push_null());
        self.rows += 1;
    }

    /// Cuts back to `rows` rows.
    pub fn truncate(&mut self, rows: usize) {
        self.wanted().for_each(|(_, builder)| builder.truncate(rows));
        self.rows = rows;
    }

    /// The columns; `None` for those that are not wanted.
    ///
    /// # Errors
    /// When a batch is too large for Arrow's offsets.
    pub fn finish(&mut self) -> Result<Vec<Option<ArrayRef>>> {
        self.rows = 0;
        let pairs = self.fields.iter().zip(&mut self.builders);
        pairs
            .map(
                |(field, builder)| if field.wanted { builder.finish().map(Some) } else { Ok(None) },
            )
            .collect()
    }

    fn wanted(&mut self) -> impl Iterator<Item = (&Field, &mut ColumnBuilder)> {
        self.fields.iter().zip(&mut self.builders).filter(|(field, _)| field.wanted)
    }
}

/// The NONE format: bytes mean nothing.
struct NoColumns;

impl ColumnDecoder for NoColumns {
    fn read_row(&mut self, _: &[u8], _: &mut [ColumnBuilder], _: usize) -> Result<bool, String> {
        Ok(true)
    }
}
