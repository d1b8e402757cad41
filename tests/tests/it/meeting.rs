//! Keys that meet: rows that are sent to another topic's rows land in their partitions, whatever id
//! of a schema the other topic's keys carry.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::formats::RegistryFormats;
use millrace_connectors::registry::MemoryRegistry;
use millrace_engine::api::QueryState;
use millrace_engine::format::{EncodedRows, Formats, partition_for_key};
use millrace_engine::ids::{Timestamp, Tp};
use millrace_engine::log::{Cleanup, Log, Record, TopicSpec};
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::catalog::{
    FormatKind, FormatSpec, RegisteredSchema, SchemaKind, SchemaSpec, SchemaText,
};
use millrace_sql::types::SqlType;
use millrace_tests::local::{Local, Setup, answer, await_some, read};

const PARTITIONS: u32 = 4;
const KEYS: i64 = 40;

struct World {
    registry: Arc<MemoryRegistry>,
    formats: Arc<RegistryFormats>,
    log: Arc<dyn Log>,
    local: Local,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EmbeddedLog::open(&dir.path().join("log"), Options::default()).expect("a log");
    let log: Arc<dyn Log> = Arc::new(log);
    let registry = Arc::new(MemoryRegistry::default());
    let formats = Arc::new(RegistryFormats::new(registry.clone()));
    let setup = Setup::new("meeting_", &dir.path().join("state"));
    let local = Local::start_with(log.clone(), &setup, formats.clone());
    World { registry, formats, log, local, _dir: dir }
}

fn text(kind: SchemaKind, text: &str) -> SchemaText {
    SchemaText { kind, text: text.to_owned(), references: Vec::new() }
}

impl World {
    /// Rows `name -> n<name>` as a producer of its own writes them: keys with the schema `id`.
    fn produce(&self, topic: &str, kind: FormatKind, id: u32, schema: &SchemaText, column: &str) {
        self.registry.register_as(&format!("{topic}-key"), id, schema.clone());
        let spec = TopicSpec {
            name: topic.to_owned(),
            partitions: PARTITIONS,
            replicas: None,
            cleanup: Cleanup::Compact,
            retention_ms: Some(-1),
            config: Vec::new(),
        };
        let made = answer(&*self.log, || self.log.ensure(&spec)).expect("a topic");
        let registered = Some(Arc::new(RegisteredSchema { id, schema: schema.clone() }));
        let mut key = FormatSpec::new(kind, true);
        key.schema = SchemaSpec { registered, ..SchemaSpec::default() };
        let wanted = [(column.to_owned(), SqlType::String)];
        let mut encoder = self.formats.key_encoder(&key, &wanted).expect("an encoder");
        let names = StringArray::from_iter_values((0..KEYS).map(|n| format!("name {n}")));
        let field = Field::new(column, DataType::Utf8, true);
        let rows = RecordBatch::try_new(
            Arc::new(Schema::new(vec![field])),
            vec![Arc::new(names) as ArrayRef],
        );
        let mut out = EncodedRows::default();
        encoder.encode_keys(&rows.expect("rows"), &mut out).expect("keys");
        for (n, row) in out.rows.iter().enumerate() {
            let key = &out.data[row.key.clone().expect("a key")];
            assert_eq!(key[..5], [[0].as_slice(), &id.to_be_bytes()].concat()[..], "its own id");
            let value = format!("{{\"V\":{n}}}");
            let record = Record::new(Timestamp(0), Some(key), Some(value.as_bytes()));
            let tp = Tp::new(made.id, partition_for_key(key, PARTITIONS));
            let records = std::slice::from_ref(&record);
            answer(&*self.log, || self.log.append(tp, records)).expect("it is taken");
        }
    }
}

/// A stream whose key is another, joined with such a table: all rows find theirs.
#[test]
fn every_row_meets_the_row_of_its_key() {
    let world = world();
    let cases = [
        (FormatKind::Avro, "AVRO", text(SchemaKind::Avro, "\"string\"")),
        (FormatKind::Avro, "AVRO", text(SchemaKind::Avro, "[\"null\",\"string\"]")),
        (FormatKind::JsonSr, "JSON_SR", text(SchemaKind::Json, "{\"type\":\"string\"}")),
        (
            FormatKind::Protobuf,
            "PROTOBUF",
            text(SchemaKind::Protobuf, "syntax = \"proto3\"; message K { string NAME = 3; }"),
        ),
    ];
    for (at, (kind, format, schema)) in cases.into_iter().enumerate() {
        let topic = format!("people{at}");
        world.produce(&topic, kind, 4_711 + at as u32, &schema, "NAME");
        let local = &world.local;
        local.run(&format!(
            "CREATE TABLE {topic} (name STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='{topic}', \
             KEY_FORMAT='{format}', VALUE_FORMAT='JSON');"
        ));
        local.run(&format!(
            "CREATE STREAM s{at} (id STRING KEY, who STRING) WITH (KAFKA_TOPIC='s{at}', \
             PARTITIONS={PARTITIONS}, VALUE_FORMAT='JSON');"
        ));
        local.run(&format!(
            "CREATE STREAM joined{at} WITH (KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS SELECT \
             s{at}.who AS who, s{at}.id, {topic}.v FROM s{at} LEFT JOIN {topic} ON s{at}.who = \
             {topic}.name;"
        ));
        let row = |n: i64| ("k", format!("{{\"WHO\":\"name {n}\"}}"), 10 + n);
        local.load(&format!("s{at}"), (0..KEYS).map(row));
        await_some("all rows", || {
            let out: Vec<String> =
                read(&*world.log, &format!("JOINED{at}")).iter().map(|r| r.text()).collect();
            if out.len() == KEYS as usize { Ok(out) } else { Err(out.len()) }
        })
        .iter()
        .for_each(|row| assert!(!row.contains("null"), "{format} {schema:?}: {row}"));
    }
    world.local.stop();
}

/// A join by foreign key asks in the partition where the other table's row is.
#[test]
fn every_foreign_key_finds_its_row() {
    let world = world();
    let schema = text(SchemaKind::Avro, "\"string\"");
    world.produce("people", FormatKind::Avro, 815, &schema, "NAME");
    let local = &world.local;
    local.run(
        "CREATE TABLE people (name STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='people', \
         KEY_FORMAT='AVRO', VALUE_FORMAT='JSON');",
    );
    local.run(
        "CREATE TABLE t (id STRING PRIMARY KEY, who STRING) WITH (KAFKA_TOPIC='t', \
         PARTITIONS=4, VALUE_FORMAT='JSON');",
    );
    local.run(
        "CREATE TABLE joined WITH (VALUE_FORMAT='JSON') AS SELECT t.id, t.who, people.v FROM t \
         JOIN people ON t.who = people.name;",
    );
    let ids: Vec<String> = (0..KEYS).map(|n| format!("id{n}")).collect();
    let row = |n: i64| (ids[n as usize].as_str(), format!("{{\"WHO\":\"name {n}\"}}"), 10 + n);
    local.load("t", (0..KEYS).map(row));
    await_some("all rows", || {
        let rows = read(&*world.log, "JOINED").len();
        if rows == KEYS as usize { Ok(()) } else { Err(rows) }
    });
    world.local.stop();
}

/// Tables cannot be sent again: keys that may lie apart are refused, equal ids are fine.
#[test]
fn tables_whose_keys_may_lie_apart_are_not_joined() {
    let world = world();
    let plain = text(SchemaKind::Avro, "\"string\"");
    let other = text(SchemaKind::Avro, "[\"null\",\"string\"]");
    for (topic, id, schema) in [("a", 50, &plain), ("b", 51, &other), ("c", 50, &plain)] {
        world.produce(topic, FormatKind::Avro, id, schema, "NAME");
        world.local.run(&format!(
            "CREATE TABLE {topic} (name STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='{topic}', \
             KEY_FORMAT='AVRO', VALUE_FORMAT='JSON');"
        ));
    }
    let join = |left: &str, right: &str| {
        world.local.try_run(&format!(
            "CREATE TABLE {left}{right} WITH (VALUE_FORMAT='JSON') AS SELECT {left}.name, {left}.v \
             FROM {left} JOIN {right} ON {left}.name = {right}.name;"
        ))
    };
    let why = join("a", "b").expect_err("their ids differ");
    assert!(why.contains("Can't join `A` with `B`") && why.contains("50 and 51"), "{why}");
    join("a", "c").expect("their ids are the same");
    await_some("all rows", || {
        let rows = read(&*world.log, "AC").len();
        if rows == KEYS as usize { Ok(()) } else { Err(rows) }
    });
    world.local.stop();
}

/// A key that the other's schema cannot hold is told when the query is made.
#[test]
fn keys_that_cannot_be_written_are_refused() {
    let world = world();
    let schema = text(SchemaKind::Avro, "\"string\"");
    world.produce("people", FormatKind::Avro, 7, &schema, "NAME");
    let newer = text(SchemaKind::Avro, "{\"type\":\"array\",\"items\":\"string\"}");
    world.registry.register("people-key", &newer).expect("any schema is taken");
    let local = &world.local;
    local.run(
        "CREATE TABLE people (name STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='people', \
         KEY_FORMAT='AVRO', VALUE_FORMAT='JSON');",
    );
    local.run(
        "CREATE STREAM s (id STRING KEY, who STRING) WITH (KAFKA_TOPIC='s', PARTITIONS=4, \
         VALUE_FORMAT='JSON');",
    );
    let refused = local.try_run(
        "CREATE STREAM joined WITH (KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS SELECT s.who, v \
         FROM s JOIN people ON s.who = people.name;",
    );
    let why = refused.expect_err("a text is no list");
    assert!(why.contains("Keys cannot be written with the schema"), "{why}");
    world.local.stop();
}

/// A row that its topic's schema cannot hold stops the query, as in ksqlDB; others go on.
#[test]
fn a_row_that_cannot_be_serialized_stops_its_query() {
    let world = world();
    let wants_more =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"V\",\"type\":\"int\"}]}";
    world.registry.register_as("strict-value", 12, text(SchemaKind::Avro, wants_more));
    let local = &world.local;
    local.run(
        "CREATE STREAM s (id STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, \
         VALUE_FORMAT='JSON');",
    );
    local.run(
        "CREATE STREAM strict WITH (KAFKA_TOPIC='strict', VALUE_FORMAT='AVRO', \
         VALUE_SCHEMA_ID=12) AS SELECT id, v FROM s;",
    );
    local.run("CREATE STREAM plain WITH (KAFKA_TOPIC='plain') AS SELECT id, v FROM s;");
    let row = |(time, value): (i64, &str)| ("k", value.to_owned(), time);
    local.load("s", [(1, "{\"V\":1}"), (2, "{}"), (3, "{\"V\":3}")].map(row));
    let why = local.await_state("STRICT", QueryState::Error);
    assert!(why.contains("Unable to serialize record. topic: strict"), "{why}");
    await_some("the other query's rows", || match read(&*world.log, "plain").len() {
        3 => Ok(()),
        other => Err(other),
    });
    world.local.stop();
}
