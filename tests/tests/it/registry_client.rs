//! The registry's client against a stub: what it asks, what it makes of answers, and what goes on
//! without any.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::formats::{RegistryFormats, StandardFormats};
use millrace_connectors::registry::limits::CALL_TRIES_MAX;
use millrace_connectors::registry::{Credentials, RegistryClient, RegistryConfig};
use millrace_engine::api::Api;
use millrace_engine::format::{Formats, Naming};
use millrace_engine::ids::Timestamp;
use millrace_engine::log::{Log, Record};
use millrace_engine::schemas::{Lookup, RegistryError, SchemaRegistry};
use millrace_sql::catalog::{FormatKind, FormatSpec, SchemaKind, SchemaText};
use millrace_tests::local::{Local, Setup, await_some, read};
use millrace_tests::rig::stub_registry::{Reply, StubRegistry};

const TIMEOUT: Duration = Duration::from_millis(500);

fn client(stub: &StubRegistry) -> RegistryClient {
    let config = RegistryConfig { urls: vec![format!("{}/", stub.url)], credentials: None };
    RegistryClient::with_timeout(config, TIMEOUT).expect("a client")
}

fn avro(text: &str) -> SchemaText {
    SchemaText { kind: SchemaKind::Avro, text: text.to_owned(), references: Vec::new() }
}

fn answer(fields: serde_json::Value) -> Reply {
    Reply::new(200, &fields.to_string())
}

/// Columns of the newest schema of `s`, as text.
fn columns(stub: &StubRegistry, kind: FormatKind) -> Result<String, String> {
    let found = client(stub).latest("s").map_err(|e| e.to_string())?.ok_or("none")?;
    let naming = Naming { single: "ROWVAL", keep_case: true };
    let format = FormatSpec::new(kind, true);
    let inferred = StandardFormats.infer(&format, &found.schema, naming);
    let columns = inferred.map_err(|e| e.to_string())?.columns;
    let columns: Vec<_> = columns.iter().map(|(name, ty)| format!("{name} {ty}")).collect();
    Ok(columns.join(", "))
}

#[test]
fn references_are_resolved() {
    let reference = |name: &str, subject: &str| serde_json::json!([{"name": name, "subject": subject, "version": 2}]);
    let check = |kind: FormatKind, word: &str, refs: [&str; 2], texts: [&str; 3], want: &str| {
        let stub = StubRegistry::start();
        let answers = [
            ("s/versions/latest", texts[0], Some(reference(refs[0], "mid"))),
            ("mid/versions/2", texts[1], Some(reference(refs[1], "leaf/x y"))),
            ("leaf%2Fx%20y/versions/2", texts[2], None),
        ];
        for (at, (path, schema, references)) in answers.into_iter().enumerate() {
            let body = serde_json::json!({"id": at, "version": 2, "subject": "any", "schema": schema,
                "schemaType": word, "references": references.unwrap_or(serde_json::json!([]))});
            stub.on(&format!("GET /subjects/{path}"), &[answer(body)]);
        }
        assert_eq!(columns(&stub, kind).as_deref(), Ok(want));
    };
    check(
        FormatKind::Avro,
        "AVRO",
        ["a.Mid", "a.Leaf"],
        [
            r#"{"type":"record","name":"R","fields":[{"name":"m","type":"a.Mid"}]}"#,
            r#"{"type":"record","name":"a.Mid","fields":[{"name":"l","type":"a.Leaf"}]}"#,
            r#"{"type":"record","name":"a.Leaf","fields":[{"name":"x","type":"int"}]}"#,
        ],
        "m STRUCT<`l` STRUCT<`x` INTEGER>>",
    );
    check(
        FormatKind::Protobuf,
        "PROTOBUF",
        ["mid.proto", "leaf.proto"],
        [
            "syntax = \"proto3\"; import \"mid.proto\"; message R { Mid m = 1; }",
            "syntax = \"proto3\"; import \"leaf.proto\"; message Mid { Leaf l = 1; }",
            "syntax = \"proto3\"; message Leaf { int32 x = 1; }",
        ],
        "m STRUCT<`l` STRUCT<`x` INTEGER>>",
    );
    check(
        FormatKind::JsonSr,
        "JSON",
        ["mid.json", "leaf.json"],
        [
            r#"{"type":"object","properties":{"m":{"$ref":"mid.json"}}}"#,
            r#"{"type":"object","properties":{"l":{"$ref":"leaf.json"}}}"#,
            r#"{"type":"object","properties":{"x":{"type":"integer"}}}"#,
        ],
        "m STRUCT<`l` STRUCT<`x` BIGINT>>",
    );
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let stub = StubRegistry::start();
    let body = serde_json::json!({"id": 1, "schema": "\"string\"", "references":
        [{"name": "n", "subject": "s", "version": 1}]});
    for path in ["s/versions/latest", "s/versions/1"] {
        stub.on(&format!("GET /subjects/{path}"), &[answer(body.clone())]);
    }
    let why = columns(&stub, FormatKind::Avro).expect_err("it never ends");
    assert!(why.contains("too many references") || why.contains("too deep"), "{why}");
}

#[test]
fn who_asks_is_told_and_refused_clearly() {
    let stub = StubRegistry::start();
    stub.on("GET /schemas/ids/1", &[answer(serde_json::json!({"schema": "\"string\""}))]);
    stub.on("GET /schemas/ids/2", &[Reply::new(401, "<html>who?</html>")]);
    let words = r#"{"error_code":40101,"message":"User cannot be found"}"#;
    stub.on("POST /subjects/s/versions", &[Reply::new(401, words)]);
    let (user, password) = ("alice".to_owned(), "secret".to_owned());
    let credentials = Some(Credentials { user, password });
    let config = RegistryConfig { urls: vec![stub.url.clone()], credentials };
    let client = RegistryClient::with_timeout(config, TIMEOUT).expect("a client");
    assert_eq!(client.by_id(1).expect("an answer").expect("a schema").schema, avro("\"string\""));
    client.delete("gone").expect("there is none");
    // `alice:secret`
    let all = stub.asked();
    assert!(all.len() >= 2);
    for asked in &all {
        assert_eq!(asked.authorization.as_deref(), Some("Basic YWxpY2U6c2VjcmV0"), "{asked:?}");
    }
    let why = client.by_id(2).expect_err("it is refused").to_string();
    assert!(why.contains("401 Unauthorized"), "{why}");
    assert!(why.contains("check ksql.schema.registry.basic.auth.user.info"), "{why}");
    let why = client.register("s", &avro("\"int\"")).expect_err("it is refused").to_string();
    assert!(why.contains("User cannot be found") && why.contains("40101"), "{why}");
    assert!(!why.contains("secret"), "{why}");
}

#[test]
fn refusals_are_in_the_registrys_words() {
    let stub = StubRegistry::start();
    let client = client(&stub);
    for (status, code, words) in [
        (409, 409, "Schema being registered is incompatible with an earlier schema"),
        (422, 42201, "Invalid schema: Type xyz not supported"),
        (422, 42205, "Subject s is in read-only mode"),
    ] {
        let body = serde_json::json!({"error_code": code, "message": words}).to_string();
        stub.on("POST /subjects/s/versions", &[Reply::new(status, &body)]);
        let refused = client.register("s", &avro("\"int\"")).expect_err("it is refused");
        assert_eq!(refused, RegistryError::Refused { code, message: words.to_owned() });
    }
    assert_eq!(stub.count("POST /subjects/s/versions"), 3, "a refusal is not tried again");
    assert_eq!(client.latest("s").expect("an answer"), None);
    assert_eq!(client.by_id(9).expect("an answer"), None);
    stub.on("GET /subjects/odd/versions/latest", &[Reply::new(200, "no JSON")]);
    let why = client.latest("odd").expect_err("no JSON").to_string();
    assert!(why.contains("its answer cannot be used"), "{why}");
}

#[test]
fn what_may_pass_is_tried_again() {
    let stub = StubRegistry::start();
    let client = client(&stub);
    let good = answer(serde_json::json!({"id": 5, "schema": "\"string\""}));
    let what = "GET /subjects/s/versions/latest";
    for status in [503, 500, 429, 502] {
        let bad = Reply::new(status, r#"{"error_code":50001,"message":"store is busy"}"#);
        stub.on(what, &[bad, good.clone()]);
        let found = client.latest("s").expect("the second try").expect("a schema");
        assert_eq!(found.id, 5, "{status}");
    }
    let before = stub.count(what);
    stub.on(what, &[Reply::new(500, r#"{"error_code":50001,"message":"store is broken"}"#)]);
    let why = client.latest("s").expect_err("it stays broken").to_string();
    assert!(why.contains("store is broken"), "{why}");
    assert_eq!(stub.count(what) - before, CALL_TRIES_MAX as usize);
    stub.on(what, &[Reply::new(504, "")]);
    let why = client.latest("s").expect_err("it stays away").to_string();
    assert!(why.contains("cannot be reached") && why.contains("504"), "{why}");
}

#[test]
fn nobody_waits_longer_than_the_time_out() {
    let stub = StubRegistry::start();
    let client = client(&stub);
    let slow = Reply { after: TIMEOUT * 8, ..answer(serde_json::json!({"schema": "\"int\""})) };
    stub.on("GET /schemas/ids/1", &[slow]);
    let start = Instant::now();
    let why = client.by_id(1).expect_err("it is too slow").to_string();
    assert!(why.contains("cannot be reached") && start.elapsed() < TIMEOUT * 4, "{why}");
    assert!(client.trouble().is_some());
}

#[test]
fn the_next_url_answers_for_one_that_does_not() {
    let (away, stub) = (StubRegistry::start(), StubRegistry::start());
    away.set_down(true);
    stub.on("GET /schemas/ids/1", &[answer(serde_json::json!({"schema": "\"int\""}))]);
    let config =
        RegistryConfig { urls: vec![away.url.clone(), stub.url.clone()], credentials: None };
    let client = RegistryClient::with_timeout(config, TIMEOUT).expect("a client");
    assert_eq!(client.by_id(1).expect("an answer").expect("a schema").schema, avro("\"int\""));
    client.delete("s").expect("there is none");
    assert_eq!(client.trouble(), None);
}

#[test]
fn the_data_path_asks_once_and_never_waits() {
    let stub = StubRegistry::start();
    let client = client(&stub);
    let slow = Reply { after: TIMEOUT / 4, ..answer(serde_json::json!({"schema": "\"int\""})) };
    stub.on("GET /schemas/ids/3", &[slow]);
    let start = Instant::now();
    for _ in 0..100 {
        assert!(matches!(client.lookup(3), Lookup::Wait));
    }
    assert!(start.elapsed() < TIMEOUT / 4, "nobody waited");
    await_some("the schema", || match client.lookup(3) {
        Lookup::Known(schema) => Ok(schema),
        other => Err(other),
    });
    assert_eq!(stub.count("GET /schemas/ids/3"), 1);
    await_some("a no", || match client.lookup(4) {
        Lookup::Missing(why) => Ok(why),
        other => Err(other),
    });
    assert!(matches!(client.lookup(4), Lookup::Missing(_)));
    assert_eq!(stub.count("GET /schemas/ids/4"), 1, "a no is kept for a while");
}

/// Avro texts behind an id.
fn record(id: u32, text: &str) -> Record {
    let mut value = vec![0];
    value.extend_from_slice(&id.to_be_bytes());
    value.push(text.len() as u8 * 2);
    value.extend_from_slice(text.as_bytes());
    Record::new(Timestamp(1), None, Some(&value))
}

/// Without the registry: known ids go on, a new one holds its partition alone, and all is well when
/// the registry is back (R21).
#[test]
fn known_ids_go_on_and_new_ones_wait() {
    let stub = StubRegistry::start();
    let text = |id: u32| serde_json::json!({"id": id, "schema": "\"string\""});
    stub.on("GET /schemas/ids/1", &[answer(text(1))]);
    stub.on("GET /schemas/ids/2", &[answer(text(2))]);
    stub.on("GET /subjects/in-value/versions/latest", &[answer(text(1))]);
    let client = Arc::new(client(&stub));
    let dir = tempfile::tempdir().expect("a directory");
    let log = EmbeddedLog::open(&dir.path().join("log"), Options::default()).expect("a log");
    let log: Arc<dyn Log> = Arc::new(log);
    let formats = Arc::new(RegistryFormats::new(client.clone()));
    let local =
        Local::start_with(log.clone(), &Setup::new("waits_", &dir.path().join("state")), formats);
    local.run(
        "CREATE STREAM s (v STRING) WITH (KAFKA_TOPIC='in', PARTITIONS=2, VALUE_FORMAT='AVRO', \
         WRAP_SINGLE_VALUE=false);",
    );
    local.run(
        "CREATE STREAM out WITH (KAFKA_TOPIC='out', PARTITIONS=1, VALUE_FORMAT='KAFKA') AS SELECT v \
         FROM s;",
    );
    let topic = millrace_tests::local::describe(&*log, "in");
    let put = |partition: u32, records: &[Record]| {
        let tp = millrace_engine::ids::Tp::new(topic.id, partition);
        let done = millrace_tests::local::answer(&*log, || log.append(tp, records));
        done.expect("it is taken");
    };
    let await_rows = |want: &[&str]| {
        await_some(&format!("{want:?}"), || {
            let mut rows: Vec<_> = read(&*log, "out").iter().map(|row| row.text()).collect();
            rows.sort();
            if rows == want { Ok(()) } else { Err(rows) }
        });
    };
    put(0, &[record(1, "a")]);
    await_rows(&["a"]);

    stub.set_down(true);
    await_some("bad news in the health", || match local.service.health().schema_registry {
        Some(false) => Ok(()),
        other => Err(other),
    });
    put(0, &[record(1, "b"), record(2, "c"), record(1, "d")]);
    put(1, &[record(1, "e")]);
    await_rows(&["a", "b", "e"]);
    std::thread::sleep(Duration::from_millis(700));
    await_rows(&["a", "b", "e"]);

    stub.set_down(false);
    await_rows(&["a", "b", "c", "d", "e"]);
    await_some("good news in the health", || match local.service.health().schema_registry {
        Some(true) => Ok(()),
        other => Err(other),
    });
    local.stop();
}
