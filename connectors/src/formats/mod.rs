//! Bytes of keys and values to Arrow columns and back: JSON, DELIMITED, KAFKA and NONE.

mod base64;
mod columns;
mod delimited;
mod event_time;
mod headers;
mod java;
mod json;
mod kafka;
mod number;
mod sink;
mod source;
mod window;

use millrace_engine::error::{EngineError, Result};
use millrace_engine::format::{Formats, KeyEncoder, RowDecoder, RowEncoder};
use millrace_sql::catalog::{FormatSpec, Source};
use millrace_sql::plan::ScanColumn;
use millrace_sql::types::SqlType;

pub use self::json::DEPTH_MAX as JSON_DEPTH_MAX;

/// The formats that need no schema registry.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandardFormats;

impl Formats for StandardFormats {
    fn decoder(&self, source: &Source, columns: &[ScanColumn]) -> Result<Box<dyn RowDecoder>> {
        Ok(Box::new(source::SourceDecoder::new(source, columns)?))
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
}

/// A DOUBLE as Java writes it, which is how formats do.
pub fn double_text(value: f64) -> String {
    let mut out = Vec::new();
    java::write_f64(value, &mut out);
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
