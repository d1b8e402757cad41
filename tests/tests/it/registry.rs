//! Formats with schemas against a real registry: what is registered, inferred, refused, and what
//! goes on without it.

use std::sync::Arc;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::formats::RegistryFormats;
use millrace_connectors::registry::{RegistryClient, RegistryConfig};
use millrace_engine::api::Api;
use millrace_engine::log::Log;
use millrace_engine::schemas::{Lookup, SchemaRegistry};
use millrace_sql::catalog::{SchemaKind, SchemaText};
use millrace_tests::local::{Local, Setup, await_some};
use millrace_tests::rig::Registry;
use millrace_tests::skipped::skipped;

struct World {
    registry: Registry,
    client: Arc<RegistryClient>,
    local: Local,
    _dir: tempfile::TempDir,
}

/// `None` where no registry can be started; says why.
fn world() -> Option<World> {
    let registry = match Registry::start() {
        Ok(registry) => registry,
        Err(why) => {
            skipped(&format!("a real schema registry ({why})"));
            return None;
        }
    };
    let config = RegistryConfig { urls: vec![registry.url.clone()], credentials: None };
    let client = Arc::new(RegistryClient::new(config).expect("a client"));
    let dir = tempfile::tempdir().expect("a directory");
    let log = EmbeddedLog::open(&dir.path().join("log"), Options::default()).expect("a log");
    let log: Arc<dyn Log> = Arc::new(log);
    let formats = Arc::new(RegistryFormats::new(client.clone()));
    let setup = Setup::new("registry_", &dir.path().join("state"));
    let local = Local::start_with(log, &setup, formats);
    Some(World { registry, client, local, _dir: dir })
}

fn insert(local: &Local, sql: &str) {
    let done = local.service.insert_values(sql, &Default::default());
    done.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
}

fn each_format(world: &World, format: &str, marker: &str) {
    let World { local, client, .. } = world;
    let name = format.to_lowercase();
    local.run(&format!(
        "CREATE STREAM s_{name} (k INT KEY, who STRING, amount DECIMAL(6,2), tags ARRAY<STRING>, \
         more MAP<STRING, INT>, seen TIMESTAMP) \
         WITH (KAFKA_TOPIC='{name}', PARTITIONS=2, FORMAT='{format}');"
    ));
    local.run(&format!(
        "CREATE TABLE t_{name} AS SELECT who, COUNT(*) AS n, SUM(amount) AS total \
         FROM s_{name} GROUP BY who;"
    ));
    for (k, who, amount) in [(1, "a", "1.50"), (2, "b", "2.00"), (3, "a", "3.25")] {
        insert(
            local,
            &format!(
                "INSERT INTO s_{name} VALUES ({k}, '{who}', {amount}, ARRAY['x', 'y'], MAP('m' := 1), \
             '2024-01-02T03:04:05');"
            ),
        );
    }
    let total = format!("SELECT n, total FROM t_{name} WHERE who = 'a';");
    local.await_pull(&total, &["2 4.75"]);

    for subject in
        [format!("{name}-key"), format!("{name}-value"), format!("T_{}-value", name.to_uppercase())]
    {
        let schema = client.latest(&subject).expect("an answer");
        assert!(schema.is_some(), "{subject} is registered");
    }
    let schema = client.latest(&format!("{name}-value")).expect("an answer").expect("a schema");
    assert!(schema.schema.text.contains(marker), "{}", schema.schema.text);

    // Another stream over the topic finds all columns in the registry.
    local.run(&format!(
        "CREATE STREAM again_{name} WITH (KAFKA_TOPIC='{name}', FORMAT='{format}');"
    ));
    let all = format!("SELECT who, amount, tags, seen FROM again_{name};");
    await_some("the rows of the inferred stream", || {
        let mut rows = local.pull(&all).expect("rows");
        rows.sort();
        let want = [
            "a 1.50 [x, y] 2024-01-02T03:04:05",
            "a 3.25 [x, y] 2024-01-02T03:04:05",
            "b 2.00 [x, y] 2024-01-02T03:04:05",
        ];
        if rows == want { Ok(()) } else { Err(rows) }
    });
}

#[test]
fn every_format_registers_infers_and_refuses() {
    let Some(world) = world() else { return };
    each_format(&world, "AVRO", "\"name\":\"WHO\"");
    each_format(&world, "PROTOBUF", "string WHO = 1;");
    each_format(&world, "JSON_SR", "\"WHO\"");

    let World { local, client, mut registry, _dir } = world;
    // What cannot be read together is refused in the registry's words.
    let other = r#"{"type":"record","name":"X","fields":[{"name":"Q","type":"int"}]}"#;
    let other = SchemaText { kind: SchemaKind::Avro, text: other.into(), references: Vec::new() };
    client.register("taken-value", &other).expect("it is the first");
    let refused = local.try_run(
        "CREATE STREAM taken WITH (KAFKA_TOPIC='taken', VALUE_FORMAT='AVRO') AS \
         SELECT k, who FROM s_avro;",
    );
    let why = refused.expect_err("it is incompatible");
    assert!(why.contains("Could not register schema for topic") && why.contains("409"), "{why}");

    let missing =
        local.try_run("CREATE STREAM m WITH (KAFKA_TOPIC='avro', VALUE_FORMAT='PROTOBUF');");
    let why = missing.expect_err("it is Avro");
    assert!(why.contains("Value schema is not in the expected format"), "{why}");

    // An id that nobody knows is told so, and does not hold anything up.
    await_some("the registry's word on an id", || match client.lookup(999_999) {
        Lookup::Missing(why) => Ok(why),
        other => Err(other),
    });

    // Without the registry: statements say so, what is known goes on.
    if !registry.stop() {
        skipped("the restart of the schema registry, for it is external");
        return local.stop();
    }
    let done = local
        .service
        .insert_values("INSERT INTO s_avro (k, who) VALUES (9, 'z');", &Default::default());
    let why = format!("{:?}", done.expect_err("nobody answers"));
    assert!(why.contains("cannot be reached"), "{why}");
    await_some("bad news in the health", || match local.service.health().schema_registry {
        Some(false) => Ok(()),
        other => Err(other),
    });
    local.await_pull("SELECT n, total FROM t_avro WHERE who = 'a';", &["2 4.75"]);

    // It is back: the query that ran all the time takes in what is written with its schemas.
    registry.start_again().expect("the registry starts again");
    await_some("good news in the health", || match local.service.health().schema_registry {
        Some(true) => Ok(()),
        other => Err(other),
    });
    insert(&local, "INSERT INTO s_avro (k, who, amount) VALUES (4, 'a', 1.00);");
    local.await_pull("SELECT n, total FROM t_avro WHERE who = 'a';", &["3 5.75"]);
    local.run(
        "CREATE STREAM after_avro WITH (KAFKA_TOPIC='after_avro', FORMAT='AVRO') AS SELECT k, who \
         FROM s_avro;",
    );
    assert!(client.latest("after_avro-value").expect("an answer").is_some());
    local.stop();
}
