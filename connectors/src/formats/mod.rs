//! Bytes of keys and values to Arrow columns and back: JSON, JSON_SR, AVRO, PROTOBUF, DELIMITED,
//! KAFKA and NONE.

mod avro;
pub(crate) mod base64;
mod columns;
mod delimited;
mod event_time;
mod headers;
mod infer;
mod java;
mod json;
mod json_sr;
mod kafka;
mod maps;
mod number;
mod printed;
mod protobuf;
mod schemas;
mod sink;
mod source;
pub mod values;
mod window;
mod wire;

use std::sync::Arc;

use millrace_engine::error::{EngineError, Result};
use millrace_engine::format::{Formats, Inferred, KeyEncoder, Naming, RowDecoder, RowEncoder};
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::catalog::{FormatKind, FormatSpec, SchemaKind, SchemaText, Source};
use millrace_sql::plan::ScanColumn;
use millrace_sql::types::SqlType;

pub use self::json::DEPTH_MAX as JSON_DEPTH_MAX;
pub use self::printed::printed;
use self::schemas::Schemas;

/// All formats, without a schema registry: those that need one refuse records with ids that they
/// do not know.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandardFormats;

/// All formats, with a schema registry.
pub struct RegistryFormats {
    registry: Arc<dyn SchemaRegistry>,
}

impl RegistryFormats {
    pub fn new(registry: Arc<dyn SchemaRegistry>) -> Self {
        RegistryFormats { registry }
    }
}

impl Formats for StandardFormats {
    fn decoder(&self, source: &Source, columns: &[ScanColumn]) -> Result<Box<dyn RowDecoder>> {
        Ok(Box::new(source::SourceDecoder::new(source, columns, &Schemas::default())?))
    }

    fn encoder(&self, sink: &Source) -> Result<Box<dyn RowEncoder>> {
        Ok(Box::new(sink::SinkEncoder::new(sink)?))
    }

    fn key_encoder(
        &self,
        format: &FormatSpec,
        columns: &[(String, SqlType)],
    ) -> Result<Box<dyn KeyEncoder>> {
        Ok(Box::new(sink::BareKeyEncoder::new(format, columns)?))
    }

    fn describe(&self, format: &FormatSpec, columns: &[(String, SqlType)]) -> Result<SchemaText> {
        describe(format, columns).map_err(EngineError::User)
    }

    fn infer(&self, format: &FormatSpec, schema: &SchemaText, naming: Naming) -> Result<Inferred> {
        let inferred = match schema.kind {
            SchemaKind::Avro => avro::infer(schema, format.wrapped, naming),
            SchemaKind::Protobuf => protobuf::infer(schema, format, naming),
            SchemaKind::Json => json_sr::infer(schema, format.wrapped, naming),
        };
        inferred.map_err(EngineError::User)
    }
}

impl Formats for RegistryFormats {
    fn decoder(&self, source: &Source, columns: &[ScanColumn]) -> Result<Box<dyn RowDecoder>> {
        let schemas = Schemas(Some(self.registry.clone()));
        Ok(Box::new(source::SourceDecoder::new(source, columns, &schemas)?))
    }

    fn encoder(&self, sink: &Source) -> Result<Box<dyn RowEncoder>> {
        StandardFormats.encoder(sink)
    }

    fn key_encoder(
        &self,
        format: &FormatSpec,
        columns: &[(String, SqlType)],
    ) -> Result<Box<dyn KeyEncoder>> {
        StandardFormats.key_encoder(format, columns)
    }

    fn registry(&self) -> Option<&Arc<dyn SchemaRegistry>> {
        Some(&self.registry)
    }

    fn describe(&self, format: &FormatSpec, columns: &[(String, SqlType)]) -> Result<SchemaText> {
        StandardFormats.describe(format, columns)
    }

    fn infer(&self, format: &FormatSpec, schema: &SchemaText, naming: Naming) -> Result<Inferred> {
        StandardFormats.infer(format, schema, naming)
    }
}

/// The schema of columns.
fn describe(format: &FormatSpec, columns: &[(String, SqlType)]) -> Result<SchemaText, String> {
    match format.kind {
        FormatKind::Avro => avro::describe(format, columns),
        FormatKind::Protobuf | FormatKind::ProtobufNoSr => protobuf::describe(format, columns),
        FormatKind::JsonSr => Ok(json_sr::describe(format, columns)),
        kind => Err(format!("the format {} has no schemas", kind.name())),
    }
}

/// A DOUBLE as Java writes it, which is how formats do.
pub fn double_text(value: f64) -> String {
    let mut out = Vec::new();
    java::write_f64(value, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A DECIMAL as formats write it: all digits of its scale.
pub fn decimal_text(unscaled: i128, scale: i8) -> String {
    let mut out = Vec::new();
    java::write_decimal(unscaled, scale, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A format that cannot do what the statement asks of it.
fn refused(source: &str, what: String) -> EngineError {
    EngineError::User(format!("{source}: {what}"))
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
