//! The same on the embedded log and on Kafka: what queries write, and what happens to them when
//! their topics change.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_engine::api::{Api, QueryState};
use millrace_engine::ids::{Timestamp, TopicId, Tp};
use millrace_engine::log::{Log, Record};
use millrace_sql::parser;
use millrace_sql::unparse::to_sql;
use millrace_tests::local::{Committed, Local, Setup, answer, await_some, describe, read};
use millrace_tests::rig::{Kafka, grow};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

use super::reliability::{check_lost_log, check_too_large};

/// Gives a topic, by name and by id, so many partitions.
type Grow = Box<dyn Fn(&str, TopicId, u32)>;

/// A log, and how a topic gets more partitions in it.
struct Under {
    log: Arc<dyn Log>,
    grow: Grow,
}

fn embedded(dir: &Path) -> Under {
    let log = Arc::new(EmbeddedLog::open(&dir.join("log"), Options::default()).expect("a log"));
    let grown = log.clone();
    let grow = move |_: &str, topic, partitions| {
        grown.set_partitions(topic, partitions).expect("more partitions");
    };
    Under { log, grow: Box::new(grow) }
}

fn on_kafka(kafka: &Kafka) -> Under {
    let mut config = KafkaConfig::new(&kafka.bootstrap);
    config.watch_interval_ms = 300;
    let log = KafkaLog::connect(config).expect("a client");
    let bootstrap = kafka.bootstrap.clone();
    let grow = move |name: &str, _, partitions| grow(&bootstrap, name, partitions);
    Under { log, grow: Box::new(grow) }
}

/// Topics that are deleted or extended under their queries stop those, with the reason; the others
/// go on, also those of the same lane.
fn check_topic_changes(under: &Under, dir: &Path) {
    let local = Local::start(under.log.clone(), &Setup::new("changes_", dir));
    let error = local.try_run(
        "CREATE STREAM none (k VARCHAR KEY, v BIGINT) \
         WITH (KAFKA_TOPIC='none', VALUE_FORMAT='JSON');",
    );
    let error = error.expect_err("a topic that does not exist");
    assert!(error.contains("Topic 'none' does not exist."), "{error}");
    assert!(error.contains("PARTITIONS"), "what to do: {error}");
    for name in ["gone", "grown", "kept", "sunk"] {
        local.run(&format!(
            "CREATE STREAM {name} (k VARCHAR KEY, v BIGINT) \
             WITH (KAFKA_TOPIC='changes_{name}', VALUE_FORMAT='JSON', PARTITIONS=2);"
        ));
        local.run(&format!(
            "CREATE TABLE {name}_T AS SELECT k, COUNT(*) AS n FROM {name} GROUP BY k;"
        ));
    }
    let feed = |name: &str| {
        let row = |key: &'static str| (key, r#"{"V":1}"#.to_owned(), 1000);
        local.load(&format!("changes_{name}"), [row("a"), row("b"), row("c")]);
    };
    let await_count = |name: &str, count: &str| {
        local.await_pull(&format!("SELECT n FROM {name}_T WHERE k = 'a';"), &[count]);
    };
    for name in ["gone", "grown", "kept", "sunk"] {
        feed(name);
        await_count(name, "1");
    }
    let id = |topic: &str| describe(&*under.log, topic).id;
    let delete = |topic: &str| {
        let id = id(topic);
        answer(&*under.log, || under.log.delete(id)).expect("deleted");
    };
    delete("changes_gone");
    (under.grow)("changes_grown", id("changes_grown"), 4);
    delete("SUNK_T");
    for (table, topic, what) in [
        ("GONE_T", "changes_gone", "was deleted"),
        ("GROWN_T", "changes_grown", "has 4 partitions now, not the 2"),
        ("SUNK_T", "SUNK_T", "was deleted"),
    ] {
        let start = Instant::now();
        let reason = local.await_state(table, QueryState::Error);
        println!("{table} after {:?}: {reason}", start.elapsed());
        for part in [topic, what, "TERMINATE"] {
            assert!(reason.contains(part), "{reason} lacks {part}");
        }
    }
    feed("kept");
    await_count("kept", "2");
    feed("sunk");
    assert_eq!(local.query("KEPT_T").state, QueryState::Running);
    // It stays so, also for a node that starts later and sees the topics as they are now.
    local.stop();
    let local = Local::start(under.log.clone(), &Setup::new("changes_", dir));
    for table in ["GONE_T", "GROWN_T", "SUNK_T"] {
        let reason = local.await_state(table, QueryState::Error);
        assert!(reason.contains("TERMINATE"), "{reason}");
    }
    local.await_pull("SELECT n FROM kept_T WHERE k = 'a';", &["2"]);
    let topics = local.service.topics().expect("topics").len();
    local.run("DROP TABLE kept_T DELETE TOPIC;");
    await_some("no sink and no internal topics", || {
        let left = local.service.topics().expect("topics").len();
        if left < topics - 1 { Ok(()) } else { Err(left) }
    });
    local.stop();
}

/// How far a query has read is told, also while it does not run.
fn check_offsets(under: &Under, dir: &Path) {
    let local = Local::start(under.log.clone(), &Setup::new("offsets_", dir));
    local.run(
        "CREATE STREAM seen (k VARCHAR KEY, v BIGINT) \
         WITH (KAFKA_TOPIC='offsets_seen', VALUE_FORMAT='JSON', PARTITIONS=2);",
    );
    local.run("CREATE STREAM copied AS SELECT * FROM seen;");
    let id = local.query("COPIED").id;
    let feed = || {
        // Keys of both partitions: of one without a commit nothing is known while the query rests.
        let row = |key: &'static str| (key, r#"{"V":1}"#.to_owned(), 1000);
        local.load("offsets_seen", [row("a"), row("b"), row("d")]);
    };
    let await_lag = |what: &str, wanted: &dyn Fn(i64) -> bool| {
        await_some(what, || {
            let all = local.service.offsets(&[&id, "NOBODY"]).expect("offsets");
            let [of] = all.as_slice() else { return Err(format!("{all:?}")) };
            assert_eq!(of.group, format!("_confluent-ksql-offsets_query_{id}"));
            let partitions = of.topics.get("offsets_seen").map(Vec::as_slice).unwrap_or_default();
            let lag: i64 = partitions.iter().map(|at| at.end - at.position).sum();
            let ends: i64 = partitions.iter().map(|at| at.end - at.start).sum();
            match partitions.len() == 2 && ends >= 3 && wanted(lag) {
                true => Ok(()),
                false => Err(format!("{of:?}")),
            }
        });
    };
    feed();
    await_lag("no lag", &|lag| lag == 0);
    local.run(&format!("PAUSE {id};"));
    feed();
    await_lag("a lag while it is paused", &|lag| lag >= 3);
    local.run(&format!("RESUME {id};"));
    await_lag("no lag again", &|lag| lag == 0);
    local.stop();
}

#[test]
fn topics_that_change_stop_their_queries_on_the_embedded_log() {
    let dir = tempfile::tempdir().expect("a folder");
    check_topic_changes(&embedded(dir.path()), dir.path());
}

#[test]
fn lag_is_told_on_the_embedded_log() {
    let dir = tempfile::tempdir().expect("a folder");
    check_offsets(&embedded(dir.path()), dir.path());
}

#[test]
fn lag_is_told_on_kafka() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let dir = tempfile::tempdir().expect("a folder");
    check_offsets(&on_kafka(&kafka), dir.path());
}

#[test]
fn topics_that_change_stop_their_queries_on_kafka() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let dir = tempfile::tempdir().expect("a folder");
    check_topic_changes(&on_kafka(&kafka), dir.path());
}

#[test]
fn records_that_are_too_large_stop_no_lane_on_kafka() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let dir = tempfile::tempdir().expect("a folder");
    let under = on_kafka(&kafka);
    let local = Local::start(under.log.clone(), &Setup::new("large_", dir.path()));
    check_too_large(&local, &*under.log, "large_ksql_processing_log");
    local.stop();
}

#[test]
fn a_processing_log_that_was_deleted_is_made_again_on_kafka() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let dir = tempfile::tempdir().expect("a folder");
    let under = on_kafka(&kafka);
    let local = Local::start(under.log.clone(), &Setup::new("lost_", dir.path()));
    check_lost_log(&local, &*under.log, "lost_ksql_processing_log");
    local.stop();
}

const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/demo");
const SINKS: [&str; 5] =
    ["NAMED_DEPARTURES", "AIRLINE_DELAYS", "HOURLY_DEPARTURES", "TRIPS", "LANDINGS"];
/// Output is complete when nothing came for so long.
const QUIET: Duration = Duration::from_secs(3);
const FLIGHTS_TIME_MAX: Duration = Duration::from_secs(180);

/// Records of a file of the demo, by time; without a time they come first.
fn flights(file: &str, key: &str, times: &[&str]) -> Vec<Record> {
    let text = std::fs::read_to_string(format!("{FLIGHTS}/flights/{file}")).expect("the flights");
    let record = |line: &str| {
        let members: Value = serde_json::from_str(line).expect("a line of JSON");
        let time = times.iter().find_map(|time| members[*time].as_i64()).unwrap_or(0);
        let key = members[key].as_str().expect("a key").as_bytes();
        Record::new(Timestamp(time), Some(key), Some(line.as_bytes()))
    };
    let mut records: Vec<Record> = text.lines().map(record).collect();
    records.sort_by_key(|record| record.timestamp);
    records
}

/// What the demo's queries write, per topic.
fn fly(under: &Under, dir: &Path, partitions: u32) -> BTreeMap<&'static str, Vec<Committed>> {
    let mut local = Local::start(under.log.clone(), &Setup::new("flights_", dir));
    local.set("cache.max.bytes.buffering", "0");
    let sql = std::fs::read_to_string(format!("{FLIGHTS}/flights.sql")).expect("the statements");
    let sql = sql.replace("PARTITIONS = 2", &format!("PARTITIONS = {partitions}"));
    let statements = parser::parse(&sql).expect("the statements parse");
    let statements: Vec<String> = statements.iter().map(|s| to_sql(&s.statement)).collect();
    let (sources, queries) = statements.split_at(3);
    sources.iter().for_each(|sql| local.run(sql));
    let departures = flights("departures.jsonl", "flight_id", &["departed", "scheduled"]);
    let count = departures.len();
    for (topic, records) in [
        ("airlines", flights("airlines.jsonl", "carrier", &[])),
        ("departures", departures),
        ("arrivals", flights("arrivals.jsonl", "flight_id", &["arrived"])),
    ] {
        for records in records.chunks(1000) {
            local.service.load(topic, records.to_vec()).expect("loaded");
        }
    }
    queries.iter().for_each(|sql| local.run(sql));
    let (start, mut before, mut since) = (Instant::now(), Vec::new(), Instant::now());
    let found = loop {
        let found: BTreeMap<&str, Vec<Committed>> =
            SINKS.into_iter().map(|sink| (sink, read(&*under.log, sink))).collect();
        let counts: Vec<usize> = found.values().map(Vec::len).collect();
        // None is late, although two tasks read the backlog, each at its own speed.
        let complete = ["NAMED_DEPARTURES", "AIRLINE_DELAYS", "HOURLY_DEPARTURES"].iter();
        let all = complete.into_iter().all(|sink| found[sink].len() >= count)
            && found["TRIPS"].len() == found["LANDINGS"].len();
        if counts != before {
            (before, since) = (counts, Instant::now());
        }
        if all && since.elapsed() > QUIET {
            break found;
        }
        assert!(start.elapsed() < FLIGHTS_TIME_MAX, "not complete: {before:?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    local.stop();
    found
}

/// A record without its partition.
type Row = (Option<Vec<u8>>, i64);

fn by_key(records: &[Committed]) -> BTreeMap<Option<Vec<u8>>, Vec<Row>> {
    let mut keys: BTreeMap<Option<Vec<u8>>, Vec<Row>> = BTreeMap::new();
    for record in records {
        keys.entry(record.key.clone()).or_default().push((record.value.clone(), record.time));
    }
    keys
}

fn compare(embedded: &[Committed], kafka: &[Committed], what: &str, ordered: bool) {
    let (mut embedded, mut kafka) = (by_key(embedded), by_key(kafka));
    assert!(!embedded.is_empty(), "{what} has no rows");
    if !ordered {
        embedded.values_mut().chain(kafka.values_mut()).for_each(|rows| rows.sort_unstable());
    }
    for (key, rows) in &embedded {
        let other = kafka.get(key).map_or(&[][..], Vec::as_slice);
        let at = rows.iter().zip(other).position(|(a, b)| a != b);
        let text = |rows: &[Row], at: usize| {
            rows.get(at).map(|(value, time)| {
                (String::from_utf8_lossy(value.as_deref().unwrap_or(b"-")).into_owned(), *time)
            })
        };
        if let Some(at) = at.or((rows.len() != other.len()).then(|| rows.len().min(other.len()))) {
            let key = key.as_deref().unwrap_or_default().escape_ascii().to_string();
            panic!(
                "{what}, key {key}, row {at}: {:?} embedded, {:?} on Kafka",
                text(rows, at),
                text(other, at)
            );
        }
    }
    assert_eq!(embedded.len(), kafka.len(), "{what}: keys");
}

/// Topics whose rows pass no repartition topic are in the same order whatever the number of
/// partitions; the order in which several upstream tasks write to one is nobody's promise.
const ORDERED: [&str; 1] = ["TRIPS"];
/// With several partitions these hold the same rows in another order.
const UNORDERED: [&str; 1] = ["NAMED_DEPARTURES"];

#[test]
fn flights_are_the_same_on_both_logs() {
    for partitions in [1, 2] {
        let kafka = Kafka::start(1).expect("a Kafka");
        let dir = tempfile::tempdir().expect("a folder");
        let (here, there) = (dir.path().join("embedded"), dir.path().join("kafka"));
        std::fs::create_dir_all(&here).expect("a folder");
        std::fs::create_dir_all(&there).expect("a folder");
        let on_embedded = fly(&embedded(&here), &here, partitions);
        let on_kafka = fly(&on_kafka(&kafka), &there, partitions);
        for sink in SINKS {
            let (a, b) = (&on_embedded[sink], &on_kafka[sink]);
            println!("flights, {partitions} partitions, {sink}: {} records", a.len());
            let what = format!("{sink} with {partitions} partitions");
            if partitions == 1 || ORDERED.contains(&sink) {
                compare(a, b, &what, true);
            } else if UNORDERED.contains(&sink) {
                compare(a, b, &what, false);
            } else {
                compare(&last(a), &last(b), &what, true);
            }
        }
    }
}

/// The last record of each key, without its time: that is of whichever row came last.
fn last(records: &[Committed]) -> Vec<Committed> {
    let mut keys = BTreeMap::new();
    for record in records {
        keys.insert(record.key.clone(), Committed { time: 0, ..record.clone() });
    }
    keys.into_values().collect()
}

/// Positions are told to a group named as ksqlDB names it, so that other tools show the lag; what a
/// repartition topic has handed on is deleted.
#[test]
fn positions_are_told_and_repartition_topics_purged() {
    const ROWS: i64 = 6;
    let kafka = Kafka::start(1).expect("a Kafka");
    let dir = tempfile::tempdir().expect("a folder");
    let under = on_kafka(&kafka);
    let local = Local::start(under.log.clone(), &Setup::new("lag_", dir.path()));
    local.run(
        "CREATE STREAM s (k VARCHAR KEY, v BIGINT) \
         WITH (KAFKA_TOPIC='lag_s', VALUE_FORMAT='JSON', PARTITIONS=2);",
    );
    local.run("CREATE TABLE t AS SELECT v, COUNT(*) AS n FROM s GROUP BY v;");
    let query = local.query("T").id;
    let row = |i: i64| (["a", "b", "c"][i as usize % 3], r#"{"V":1}"#.to_owned(), 1000 + i);
    local.load("lag_s", (0..ROWS).map(row));
    local.await_pull("SELECT n FROM t WHERE v = 1;", &[&ROWS.to_string()]);
    let group = format!("_confluent-ksql-lag_query_{query}");
    let told: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &kafka.bootstrap)
        .set("group.id", &group)
        .create()
        .expect("a client");
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range("lag_s", 0, 1);
    await_some("positions of all rows", || {
        let found = told.committed_offsets(asked.clone(), Duration::from_secs(5)).expect("offsets");
        let elements = found.elements();
        let offsets = elements.iter().filter_map(|e| e.offset().to_raw());
        let sum: i64 = offsets.filter(|offset| *offset > 0).sum();
        if sum >= ROWS { Ok(()) } else { Err(found) }
    });
    let topics = local.service.topics().expect("topics");
    let repartition = topics.iter().find(|t| t.name.ends_with("-repartition")).expect("one");
    let tps: Vec<Tp> = (0..repartition.partitions).map(|p| Tp::new(repartition.id, p)).collect();
    await_some("an empty repartition topic", || {
        let ends = answer(&*under.log, || under.log.ends(&tps)).expect("ends");
        let starts: i64 = ends.iter().map(|ends| ends.start.0).sum();
        if starts >= ROWS { Ok(()) } else { Err(ends) }
    });
    local.stop();
}
