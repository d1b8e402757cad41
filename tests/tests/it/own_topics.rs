//! The service's own topics: statements cannot write, make or delete them, and a service that has
//! lost them says so.

use std::path::Path;
use std::sync::Arc;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_engine::api::{Api, ApiError, Properties};
use millrace_engine::log::Log;
use millrace_tests::local::{Local, Setup, answer, await_some, describe};

const COMMANDS: &str = "_confluent-ksql-own__command_topic";
const PROGRESS: &str = "_confluent-ksql-own__progress";
const LOG: &str = "own_ksql_processing_log";

fn open(dir: &Path) -> Arc<dyn Log> {
    Arc::new(EmbeddedLog::open(&dir.join("log"), Options::default()).expect("a log"))
}

fn start(dir: &Path) -> Local {
    Local::start(open(dir), &Setup::new("own_", dir))
}

/// Says a statement as a request does: in the sandbox first. Both must refuse it.
fn refused(local: &Local, sql: &str) -> String {
    let mut sandbox = (*local.service.catalog()).clone();
    let tried = local.service.validate(&mut sandbox, sql, &Properties::new());
    let Err(ApiError::Engine(tried)) = tried else { panic!("{sql}: {tried:?}") };
    let error = local.try_run(sql).expect_err(sql);
    assert_eq!(error, tried.to_string(), "{sql}");
    error
}

#[test]
fn statements_leave_the_services_own_topics_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let local = start(dir.path());
    let source = |name: &str, topic: &str, more: &str| {
        format!(
            "CREATE STREAM {name} (A INT) WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON'{more});"
        )
    };
    local.run(&source("A", "own_a", ", PARTITIONS=1"));
    // To read them is fine.
    local.run(&source("COMMANDS", COMMANDS, ""));
    local.run(&source("PROGRESS", PROGRESS, ""));
    let copy = |topic: &str| {
        format!("CREATE STREAM B WITH (KAFKA_TOPIC='{topic}', PARTITIONS=1) AS SELECT * FROM A;")
    };
    let write = "Cannot write to read-only topic: ";
    let cases: [(String, String); 11] = [
        ("DROP STREAM COMMANDS DELETE TOPIC;".into(), format!("Cannot delete read-only topic: {COMMANDS}")),
        ("DROP STREAM PROGRESS DELETE TOPIC;".into(), format!("Cannot delete read-only topic: {PROGRESS}")),
        ("DROP STREAM KSQL_PROCESSING_LOG DELETE TOPIC;".into(), format!("Cannot delete read-only topic: {LOG}")),
        (copy(COMMANDS), format!("{write}{COMMANDS}")),
        (copy(PROGRESS), format!("{write}{PROGRESS}")),
        (copy(LOG), format!("{write}{LOG}")),
        (copy("_confluent-ksql-other_command_topic"), format!("{write}_confluent-ksql-other")),
        ("CREATE TABLE T WITH (KAFKA_TOPIC='__consumer_offsets') AS SELECT A, COUNT(*) AS N FROM A GROUP BY A;".into(), format!("{write}__consumer_offsets")),
        ("INSERT INTO COMMANDS SELECT * FROM A;".into(), format!("{write}{COMMANDS}")),
        ("INSERT INTO PROGRESS SELECT * FROM A;".into(), format!("{write}{PROGRESS}")),
        (source("MADE", "_confluent-ksql-own_made", ", PARTITIONS=1"), "Cannot make topic _confluent-ksql-own_made".into()),
    ];
    for (sql, wanted) in cases {
        let error = refused(&local, &sql);
        assert!(error.starts_with(&wanted), "{sql}\n{error}\nlacks {wanted}");
    }
    for target in ["COMMANDS", "PROGRESS", "KSQL_PROCESSING_LOG"] {
        let values = match target {
            "KSQL_PROCESSING_LOG" => format!("INSERT INTO {target} (LOGGER) VALUES ('x');"),
            _ => format!("INSERT INTO {target} VALUES (1);"),
        };
        let error = local.service.insert_values(&values, &Properties::new());
        let error = format!("{:?}", error.expect_err(&values));
        assert!(error.contains("Cannot insert values into read-only topic"), "{error}");
        let error = local.service.insert_target(target).expect_err(target);
        assert!(format!("{error:?}").contains("read-only"), "{error:?}");
    }
    for topic in [COMMANDS, PROGRESS, LOG] {
        assert!(local.service.load(topic, Vec::new()).is_err(), "{topic}");
    }
    // All of it is still there, and goes on after a start.
    local.run("CREATE STREAM C WITH (KAFKA_TOPIC='own_c') AS SELECT * FROM A;");
    local.run("DROP STREAM COMMANDS;");
    local.run("DROP STREAM PROGRESS;");
    local.stop();
    let local = start(dir.path());
    let names: Vec<String> = local.service.catalog().sources.keys().cloned().collect();
    assert_eq!(names, ["A", "C", "KSQL_PROCESSING_LOG"]);
    assert!(local.service.health().command_runner, "{:?}", local.service.health());
    local.stop();
}

/// The commands are gone, and the lanes have committed by them: said, and nothing is taken.
#[test]
fn a_command_log_that_was_lost_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let local = start(dir.path());
    local.run(
        "CREATE STREAM A (K STRING KEY, V INT) \
         WITH (KAFKA_TOPIC='own_a', VALUE_FORMAT='JSON', PARTITIONS=2);",
    );
    local.run("CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM A GROUP BY K;");
    local.load("own_a", [("a", r#"{"V":1}"#.to_owned(), 1000)]);
    local.await_pull("SELECT N FROM T WHERE K = 'a';", &["1"]);
    local.stop();
    let log = open(dir.path());
    let commands = describe(&*log, COMMANDS).id;
    answer(&*log, || log.delete(commands)).expect("deleted");
    drop(log);
    let local = start(dir.path());
    let reason = await_some("a node that is not well", || {
        let health = local.service.health();
        let told = health.reasons.iter().find(|reason| reason.contains(COMMANDS)).cloned();
        told.filter(|_| !health.command_runner).ok_or(health)
    });
    for part in ["ends at 0", "Nothing runs", "ksql.service.id"] {
        assert!(reason.contains(part), "{reason} lacks {part}");
    }
    let refused = local.service.execute(
        "CREATE STREAM B (A INT) WITH (KAFKA_TOPIC='own_a', VALUE_FORMAT='JSON');",
        &Properties::new(),
    );
    let told = matches!(&refused, Err(ApiError::Starting(why)) if why.contains(COMMANDS));
    assert!(told, "{refused:?}");
    local.stop();
}
