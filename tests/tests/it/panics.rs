//! A panic while a lane is stepped ends no thread: the query that was worked on stops and is tried
//! again, or the lane starts anew; each record counts once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::formats::StandardFormats;
use millrace_engine::api::QueryState;
use millrace_engine::error::Result;
use millrace_engine::format::{Decoded, EncodedRows, Formats, KeyEncoder, RowDecoder, RowEncoder};
use millrace_engine::log::RawBatch;
use millrace_sql::catalog::{FormatSpec, Source};
use millrace_sql::plan::ScanColumn;
use millrace_sql::types::SqlType;
use millrace_tests::local::{Local, Setup};

/// Formats that break off when they decode or encode the records of some topics.
#[derive(Default)]
struct Breaking {
    /// Times that it still happens.
    decoding: Arc<AtomicUsize>,
    encoding: Arc<AtomicUsize>,
}

const DECODED: &str = "panics_decoded";
const ENCODED: &str = "ENCODED_T";

struct Breaks<T: ?Sized> {
    inner: Box<T>,
    left: Option<Arc<AtomicUsize>>,
}

impl<T: ?Sized> Breaks<T> {
    fn maybe(&self) {
        let Some(left) = &self.left else { return };
        let less = |left: usize| left.checked_sub(1);
        let one = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        assert!(one.is_err(), "broken on purpose");
    }
}

impl RowDecoder for Breaks<dyn RowDecoder> {
    fn decode(&mut self, raw: &RawBatch, range: Range<usize>) -> Result<Decoded> {
        self.maybe();
        self.inner.decode(raw, range)
    }
}

impl RowEncoder for Breaks<dyn RowEncoder> {
    fn encode(
        &mut self,
        rows: &RecordBatch,
        live: Option<&BooleanBuffer>,
        out: &mut EncodedRows,
    ) -> Result<()> {
        self.maybe();
        self.inner.encode(rows, live, out)
    }
}

impl Formats for Breaking {
    fn decoder(&self, source: &Source, columns: &[ScanColumn]) -> Result<Box<dyn RowDecoder>> {
        let left = (source.topic == DECODED).then(|| self.decoding.clone());
        Ok(Box::new(Breaks { inner: StandardFormats.decoder(source, columns)?, left }))
    }

    fn encoder(&self, sink: &Source) -> Result<Box<dyn RowEncoder>> {
        let left = (sink.topic == ENCODED).then(|| self.encoding.clone());
        Ok(Box::new(Breaks { inner: StandardFormats.encoder(sink)?, left }))
    }

    fn key_encoder(
        &self,
        format: &FormatSpec,
        columns: &[(String, SqlType)],
    ) -> Result<Box<dyn KeyEncoder>> {
        StandardFormats.key_encoder(format, columns)
    }
}

#[test]
fn a_panic_ends_no_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(&dir.path().join("log"), Options::default()).expect("a log");
    let formats = Arc::new(Breaking::default());
    let setup = Setup { lanes: 1, ..Setup::new("panics_", dir.path()) };
    let local = Local::start_with(Arc::new(log), &setup, formats.clone());
    let names = ["decoded", "encoded", "other"];
    for name in names {
        local.run(&format!(
            "CREATE STREAM {name} (k VARCHAR KEY, v BIGINT) \
             WITH (KAFKA_TOPIC='panics_{name}', VALUE_FORMAT='JSON', PARTITIONS=2);"
        ));
        local.run(&format!(
            "CREATE TABLE {name}_T AS SELECT k, COUNT(*) AS n FROM {name} GROUP BY k;"
        ));
    }
    let feed = |name: &str| {
        let row = |key: &'static str| (key, r#"{"V":1}"#.to_owned(), 1000);
        local.load(&format!("panics_{name}"), [row("a"), row("b"), row("a")]);
    };
    let await_count = |name: &str, count: &str| {
        local.await_pull(&format!("SELECT n FROM {name}_T WHERE k = 'a';"), &[count]);
    };
    for name in names {
        feed(name);
        await_count(name, "2");
    }
    // Reading breaks off, twice: that is no query's, and the lane starts anew.
    formats.decoding.store(2, Ordering::Release);
    names.iter().for_each(|name| feed(name));
    names.iter().for_each(|name| await_count(name, "4"));
    assert_eq!(formats.decoding.load(Ordering::Acquire), 0, "it happened");
    // A task breaks off: its query stops, says why, and is tried again; the others go on.
    formats.encoding.store(1, Ordering::Release);
    names.iter().for_each(|name| feed(name));
    let reason = local.await_state(ENCODED, QueryState::Error);
    assert!(reason.contains("bug: a panic: broken on purpose"), "{reason}");
    for name in ["decoded", "other"] {
        await_count(name, "6");
    }
    local.await_state(ENCODED, QueryState::Running);
    await_count("encoded", "6");
    local.stop();
}
