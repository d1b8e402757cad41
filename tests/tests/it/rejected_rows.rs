//! Rows that cannot be processed are told with the record that they came from.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_engine::api::Api;
use millrace_engine::ids::Timestamp;
use millrace_engine::log::Record;
use millrace_tests::local::{Local, Setup, await_some, read};
use serde_json::Value;

const STATEMENTS: [&str; 4] = [
    "CREATE STREAM s (k VARCHAR KEY, v BIGINT) \
     WITH (KAFKA_TOPIC='rejected', VALUE_FORMAT='JSON', PARTITIONS=1);",
    // A mask, then an expression that fails.
    "CREATE STREAM divided AS SELECT k, 12 / v AS q FROM s WHERE v < 9;",
    // A group that is the key, and one that takes another topic.
    "CREATE TABLE by_key AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;",
    "CREATE TABLE by_value AS SELECT v, COUNT(*) AS n FROM s GROUP BY v;",
];
/// Key and value, at the offsets 0 to 5.
const RECORDS: [(Option<&str>, &str); 6] = [
    (Some("a"), r#"{"v":1}"#),
    (Some("a"), r#"{"v":20}"#),
    (Some("b"), r#"{"v":0}"#),
    (None, r#"{"v":2}"#),
    (Some("c"), r#"{"v":null}"#),
    (Some("c"), r#"{"v":3}"#),
];

#[test]
fn a_rejected_row_names_its_record() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(&dir.path().join("log"), Options::default()).expect("a log");
    let log = Arc::new(log);
    let local = Local::start(log.clone(), &Setup::new("rejected_", dir.path()));
    STATEMENTS.iter().for_each(|sql| local.run(sql));
    let record = |(time, (key, value)): (i64, &(Option<&str>, &str))| {
        Record::new(Timestamp(time), key.map(str::as_bytes), Some(value.as_bytes()))
    };
    let records = (1_000..).zip(&RECORDS).map(record).collect();
    local.service.load("rejected", records).expect("loaded");
    let expected = [("DIVIDED", 2), ("BY_KEY", 3), ("BY_VALUE", 4)];
    let expected = expected.map(|(query, offset)| (query.to_owned(), offset));
    await_some("the processing log", || {
        let told: Vec<(String, i64)> = read(log.as_ref(), "rejected_ksql_processing_log")
            .iter()
            .map(|r| told(&r.text()))
            .collect();
        let all: BTreeSet<_> = told.iter().cloned().collect();
        match told.len() == expected.len() && all == BTreeSet::from(expected.clone()) {
            true => Ok(()),
            false => Err(told),
        }
    });
}

/// The sink of the query that an entry is of, and the offset.
fn told(entry: &str) -> (String, i64) {
    let start = entry.find('{').expect("a value");
    let entry: Value = serde_json::from_str(&entry[start..entry.rfind('}').expect("an end") + 1])
        .unwrap_or_else(|e| panic!("{e}: {entry}"));
    let logger = entry["logger"].as_str().unwrap_or_default();
    let sinks = ["DIVIDED", "BY_KEY", "BY_VALUE"];
    let sink = sinks.into_iter().find(|sink| logger.contains(sink)).unwrap_or(logger);
    let error = &entry["message"]["recordProcessingError"];
    assert_eq!((&error["topic"], &error["partition"]), (&"rejected".into(), &0.into()), "{entry}");
    assert!(error["record"].is_string() && error["errorMessage"].is_string(), "{entry}");
    (sink.to_owned(), error["offset"].as_i64().unwrap_or(-1))
}
