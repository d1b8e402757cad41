//! PRINT: raw records of a topic as text, with their formats guessed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::DateTime;
use millrace_engine::api::TopicReader;
use millrace_engine::log::RawBatch;
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::ast::Print;

use super::error::HttpError;
use super::print_schemas::Schemas;
use super::state::{Place, Server};
use super::stream::{BodyWriter, Gone};
use crate::limits;

/// Prints records until the limit, the client or somebody else ends it.
pub struct Printer {
    reader: Box<dyn TopicReader>,
    stopped: Arc<AtomicBool>,
    /// Every n-th record is shown.
    interval: u64,
    limit: Option<u64>,
    seen: u64,
    shown: u64,
    key: Guess,
    value: Guess,
    schemas: Schemas,
}

impl Printer {
    /// The printer, and what ends it.
    pub fn new(
        print: &Print,
        reader: Box<dyn TopicReader>,
        registry: Option<Arc<dyn SchemaRegistry>>,
    ) -> (Printer, Arc<dyn Fn() + Send + Sync>) {
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let printer = Printer {
            reader,
            stopped,
            interval: print.interval.unwrap_or(1).max(1),
            limit: print.limit,
            seen: 0,
            shown: 0,
            key: Guess::default(),
            value: Guess::default(),
            schemas: Schemas::new(registry),
        };
        (printer, Arc::new(move || stop.store(true, Ordering::Release)))
    }

    /// Writes lines.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn run(
        mut self,
        server: &Arc<Server>,
        mut body: BodyWriter,
        place: Place,
    ) -> Result<(), Gone> {
        let done = self.print(server, &mut body);
        // Whoever sees the body end finds the place free.
        drop(place);
        drop(body);
        done
    }

    fn print(&mut self, server: &Arc<Server>, body: &mut BodyWriter) -> Result<(), Gone> {
        while !self.is_done() && !server.is_stopping() {
            match self.reader.next(limits::PUSH_WAIT) {
                Ok(batches) => {
                    for batch in &batches {
                        self.batch(body, batch)?;
                    }
                }
                Err(e) => {
                    let message = HttpError::from_api("", e).message;
                    body.buffer().extend_from_slice(format!("error: {message}\n").as_bytes());
                    return body.flush();
                }
            }
            body.idle(b"")?;
        }
        body.flush()
    }

    /// Hands out line by line, without their ends.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn lines(
        mut self,
        server: &Server,
        line: &mut dyn FnMut(&str) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        while !self.is_done() && !server.is_stopping() {
            let batches = match self.reader.next(limits::PUSH_WAIT) {
                Ok(batches) => batches,
                Err(e) => return line(&format!("error: {}", HttpError::from_api("", e).message)),
            };
            for batch in &batches {
                for i in 0..batch.records.len() {
                    if self.is_done() {
                        break;
                    }
                    let mut text = Vec::new();
                    if self.is_shown() {
                        self.record(&mut text, batch, i);
                    }
                    String::from_utf8_lossy(&text).lines().try_for_each(&mut *line)?;
                }
            }
        }
        Ok(())
    }

    /// Counts a record; true for every n-th.
    fn is_shown(&mut self) -> bool {
        self.seen += 1;
        (self.seen - 1).is_multiple_of(self.interval)
    }

    fn is_done(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.limit.is_some_and(|limit| self.shown >= limit)
    }

    fn batch(&mut self, body: &mut BodyWriter, batch: &RawBatch) -> Result<(), Gone> {
        for i in 0..batch.records.len() {
            // The limit may have been reached in an earlier batch of the same poll.
            if self.is_done() {
                break;
            }
            if self.is_shown() {
                self.record(body.buffer(), batch, i);
                body.roll()?;
            }
        }
        Ok(())
    }

    fn record(&mut self, out: &mut Vec<u8>, batch: &RawBatch, i: usize) {
        let key = seen(batch.key(i), true, &mut self.schemas);
        let value = seen(batch.value(i), false, &mut self.schemas);
        for line in [self.key.learn("Key", key.formats), self.value.learn("Value", value.formats)] {
            out.extend_from_slice(line.unwrap_or_default().as_bytes());
        }
        let line = format!(
            "rowtime: {}, key: {}, value: {}, partition: {}\n",
            rowtime(batch.records[i].timestamp.0),
            key.text,
            value.text,
            batch.tp.partition
        );
        out.extend_from_slice(line.as_bytes());
        self.shown += 1;
    }
}

/// Formats that all records so far could have.
#[derive(Debug, Default)]
struct Guess {
    formats: Option<Vec<String>>,
}

impl Guess {
    /// The line that tells the formats, when the record changed them.
    fn learn(&mut self, what: &str, found: Option<Vec<String>>) -> Option<String> {
        let found = found?;
        let known = match &self.formats {
            None => found,
            Some(known) => {
                let both: Vec<String> =
                    known.iter().filter(|f| found.contains(f)).cloned().collect();
                if both == *known || known.iter().any(|f| f.starts_with("MIXED")) {
                    return None;
                }
                if both.is_empty() { vec![format!("MIXED ({})", known.join(", "))] } else { both }
            }
        };
        let line = format!("{what} format: {}\n", known.join(" or "));
        self.formats = Some(known);
        Some(line)
    }
}

/// What a key or a value could be, and how it is shown.
struct Seen {
    /// Most telling first; `None`: there are no bytes to tell by.
    formats: Option<Vec<String>>,
    text: String,
}

fn seen(bytes: Option<&[u8]>, key: bool, schemas: &mut Schemas) -> Seen {
    let Some(bytes) = bytes else {
        return Seen { formats: None, text: "<null>".to_string() };
    };
    let (formats, text) = look(bytes, key, schemas);
    Seen { formats: Some(formats), text }
}

/// Formats, never none, and text.
fn look(bytes: &[u8], key: bool, schemas: &mut Schemas) -> (Vec<String>, String) {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
    if let Some(text) = plain_text(bytes) {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let formats: &[&str] = if is_json { &["JSON", "KAFKA_STRING"] } else { &["KAFKA_STRING"] };
        return (names(formats), text.to_string());
    }
    let window = if key { windowed(bytes) } else { None };
    // Decoders of schemas do not mind a window behind the key.
    let in_window = window.as_ref().is_some_and(|(inner, ..)| schemas.read(inner).is_some());
    if !in_window && let Some((format, text)) = schemas.read(bytes) {
        return (names(&[format]), text);
    }
    if let Some((inner, bounds, session)) = window {
        let (mut formats, text) = look(inner, false, schemas);
        let inner = formats.pop().unwrap_or_default();
        let kinds: &[&str] = if session { &["SESSION"] } else { &["HOPPING", "TUMBLING"] };
        let formats = kinds.iter().map(|kind| format!("{kind}({inner})")).collect();
        return (formats, format!("[{text}@{bounds}]"));
    }
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return (names(&["KAFKA_INT"]), i32::from_be_bytes(four).to_string());
    }
    if let Ok(eight) = <[u8; 8]>::try_from(bytes) {
        return (names(&["KAFKA_BIGINT", "KAFKA_DOUBLE"]), i64::from_be_bytes(eight).to_string());
    }
    let text = bytes.iter().map(|b| format!("{b:02x}")).collect();
    (names(&["UNRECOGNISED_BYTES"]), text)
}

/// UTF-8 without control characters, except white space.
fn plain_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(|c| !c.is_control() || c.is_whitespace()).then_some(text)
}

/// A windowed key: the inner key, the bounds as text, and whether it is a session's.
fn windowed(bytes: &[u8]) -> Option<(&[u8], String, bool)> {
    let (rest, last) = bytes.split_last_chunk::<8>()?;
    let last = i64::from_be_bytes(*last);
    if !is_time(last) || rest.is_empty() {
        return None;
    }
    if let Some((inner, end)) = rest.split_last_chunk::<8>() {
        let end = i64::from_be_bytes(*end);
        if !inner.is_empty() && is_time(end) && end >= last {
            return Some((inner, format!("{last}/{end}"), true));
        }
    }
    Some((rest, format!("{last}/-"), false))
}

/// Milliseconds from the epoch to the year 2286.
fn is_time(ms: i64) -> bool {
    (0..10_000_000_000_000).contains(&ms)
}

fn rowtime(ms: i64) -> String {
    match DateTime::from_timestamp_millis(ms) {
        Some(time) => time.format("%Y/%m/%d %H:%M:%S%.3f Z").to_string(),
        None => ms.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use millrace_connectors::registry::MemoryRegistry;
    use millrace_sql::catalog::{SchemaKind, SchemaText};

    use super::*;

    fn check(bytes: &[u8], key: bool, expected_formats: &[&str], expected_text: &str) {
        let mut schemas = Schemas::new(Some(Arc::new(registry())));
        let (formats, text) = look(bytes, key, &mut schemas);
        assert_eq!(formats, expected_formats);
        assert_eq!(text, expected_text);
    }

    /// Knows a schema of texts, 300.
    fn registry() -> MemoryRegistry {
        let registry = MemoryRegistry::default();
        let text = "\"string\"".to_owned();
        let schema = SchemaText { kind: SchemaKind::Avro, text, references: Vec::new() };
        registry.register_as("t-key", 300, schema);
        registry
    }

    fn learn(guess: &mut Guess, bytes: Option<&[u8]>) -> Option<String> {
        guess.learn("Value", seen(bytes, false, &mut Schemas::default()).formats)
    }

    #[test]
    fn formats_are_guessed() {
        check(b"{\"a\":1}", false, &["JSON", "KAFKA_STRING"], "{\"a\":1}");
        check(b"a,b", false, &["KAFKA_STRING"], "a,b");
        check(b"", false, &["KAFKA_STRING"], "");
        check(&7i32.to_be_bytes(), true, &["KAFKA_INT"], "7");
        check(&7i64.to_be_bytes(), true, &["KAFKA_BIGINT", "KAFKA_DOUBLE"], "7");
        check(&[0xff, 0x00, 0x01], false, &["UNRECOGNISED_BYTES"], "ff0001");
        let mut key = b"JFK".to_vec();
        key.extend_from_slice(&1_357_035_300_000i64.to_be_bytes());
        let windows = ["HOPPING(KAFKA_STRING)", "TUMBLING(KAFKA_STRING)"];
        check(&key, true, &windows, "[JFK@1357035300000/-]");
        let mut key = b"JFK".to_vec();
        key.extend_from_slice(&20i64.to_be_bytes());
        key.extend_from_slice(&10i64.to_be_bytes());
        check(&key, true, &["SESSION(KAFKA_STRING)"], "[JFK@10/20]");
        let mut key = b"\0\0\0\x01\x2c\x06JFK".to_vec();
        check(&key, true, &["AVRO"], "JFK");
        check(&key, false, &["AVRO"], "JFK");
        check(b"\0\0\0\x01\x2d\x06JFK", false, &["UNRECOGNISED_BYTES"], "000000012d064a464b");
        check(
            &[0, 0, 1, 0x2c, 0, 0, 0, 0],
            false,
            &["KAFKA_BIGINT", "KAFKA_DOUBLE"],
            "1288490188800",
        );
        key.extend_from_slice(&1_357_035_300_000i64.to_be_bytes());
        check(&key, true, &["HOPPING(AVRO)", "TUMBLING(AVRO)"], "[JFK@1357035300000/-]");
    }

    #[test]
    fn formats_that_differ_are_mixed() {
        let mut guess = Guess::default();
        let line = learn(&mut guess, Some(b"1"));
        assert_eq!(line.as_deref(), Some("Value format: JSON or KAFKA_STRING\n"));
        assert_eq!(learn(&mut guess, None), None);
        let line = learn(&mut guess, Some(b"x"));
        assert_eq!(line.as_deref(), Some("Value format: KAFKA_STRING\n"));
        let line = learn(&mut guess, Some(&[0xff]));
        assert_eq!(line.as_deref(), Some("Value format: MIXED (KAFKA_STRING)\n"));
        assert_eq!(learn(&mut guess, Some(&[0xff])), None);
    }

    #[test]
    fn times() {
        assert_eq!(rowtime(1_357_041_720_005), "2013/01/01 12:02:00.005 Z");
        assert_eq!(rowtime(i64::MAX), i64::MAX.to_string());
    }
}
