//! What ends by time on a running service: rows of tables with ROW_TTL, and windows that the clock
//! closes.

use std::path::Path;
use std::sync::Arc;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_engine::api::{Api, ExplainTarget, Properties};
use millrace_tests::local::{Local, Setup, await_some, read};

const IDLE: &str = "millrace.window.idle.close.ms";

fn open(dir: &Path) -> Local {
    let log = EmbeddedLog::open(&dir.join("log"), Options::default()).expect("a log");
    Local::start(Arc::new(log), &Setup::new("expiring_", &dir.join("state")))
}

/// Rows of a topic as `key value`, in order; the key up to the bytes of a window.
fn rows(local: &Local, topic: &str) -> Vec<String> {
    let text = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => "-".to_owned(),
    };
    let key = |key: &[u8]| key.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let rows = read(local.log.as_ref(), topic).into_iter();
    rows.map(|row| {
        let key = row.key.as_deref().map(key);
        format!("{} {}", text(key.as_deref()), text(row.value.as_deref()))
    })
    .collect()
}

fn explained(local: &Local, sink: &str) -> String {
    let id = local.query(sink).id;
    let explained = local.service.explain(ExplainTarget::Query(&id), &Properties::new());
    let explained = explained.expect("a plan");
    format!("{}\n{}", explained.plan, explained.topology)
}

#[test]
fn rows_that_expire_leave_tables_and_topics() {
    let dir = tempfile::tempdir().expect("a folder");
    let local = open(dir.path());
    let statements = [
        "CREATE STREAM s (k VARCHAR KEY, v INTEGER) \
         WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);",
        "CREATE TABLE x WITH (ROW_TTL='10 SECONDS') AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;",
        "CREATE TABLE base (id VARCHAR PRIMARY KEY, v INTEGER) \
         WITH (KAFKA_TOPIC='base', VALUE_FORMAT='JSON', PARTITIONS=1);",
        "CREATE SOURCE TABLE kept (id VARCHAR PRIMARY KEY, v INTEGER) \
         WITH (KAFKA_TOPIC='base', VALUE_FORMAT='JSON', ROW_TTL='10 SECONDS');",
    ];
    statements.iter().for_each(|sql| local.run(sql));
    let load = |local: &Local, topic: &str, key: &str, time: i64| {
        local.load(topic, [(key, r#"{"v":1}"#.to_owned(), time)]);
    };
    for topic in ["s", "base"] {
        load(&local, topic, "a", 1_000);
        load(&local, topic, "b", 2_000);
    }
    local.await_pull("SELECT k, n FROM x;", &["a 1", "b 1"]);
    local.await_pull("SELECT id FROM kept;", &["a", "b"]);
    for topic in ["s", "base"] {
        load(&local, topic, "c", 11_500);
    }
    local.await_pull("SELECT k, n FROM x;", &["b 1", "c 1"]);
    local.await_pull("SELECT id FROM kept;", &["b", "c"]);
    let plan = explained(&local, "X");
    assert!(plan.contains("row_ttl=10000 ms") && plan.contains("-expiry"), "{plan}");
    local.stop();

    let local = open(dir.path());
    local.await_pull("SELECT k, n FROM x;", &["b 1", "c 1"]);
    for topic in ["s", "base"] {
        load(&local, topic, "a", 13_000);
    }
    local.await_pull("SELECT k, n FROM x;", &["a 1", "c 1"]);
    local.await_pull("SELECT id FROM kept;", &["a", "c"]);
    let one = r#"{"N":1}"#;
    let want = [("a", one), ("b", one), ("a", "-"), ("c", one), ("b", "-"), ("a", one)];
    assert_eq!(rows(&local, "X"), want.map(|(key, value)| format!("{key} {value}")));
    local.stop();
}

#[test]
fn the_clock_closes_windows_of_quiet_inputs() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut local = open(dir.path());
    local.run(
        "CREATE STREAM s (k VARCHAR KEY, t VARCHAR) \
         WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);",
    );
    for (value, want) in [("soon", "Invalid value 'soon' for property"), ("0", "Invalid value '0'")]
    {
        local.set(IDLE, value);
        let refused = local.try_run("CREATE STREAM o AS SELECT * FROM s;").expect_err(value);
        assert!(refused.contains(want) && refused.contains(IDLE), "{refused}");
    }
    local.set(IDLE, "300");
    let windows = "COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND, GRACE PERIOD 0 SECONDS)";
    local.run(&format!("CREATE TABLE f AS SELECT k, {windows} GROUP BY k EMIT FINAL;"));
    local.run(&format!("CREATE TABLE g AS SELECT t, {windows} GROUP BY t EMIT FINAL;"));
    let keys = ["a", "b", "c", "d", "e", "f"];
    let times = [2_000, 2_100, 2_200, 2_300, 2_400, 2_500];
    let records = keys.into_iter().zip(times).map(|(key, t)| (key, r#"{"t":"x"}"#.to_owned(), t));
    local.load("s", records);
    // The last window of each: no newer record comes.
    let sorted = |local: &Local, topic: &str| {
        let mut rows = rows(local, topic);
        rows.sort();
        rows
    };
    let want_f: Vec<String> = keys.iter().map(|key| format!(r#"{key} {{"N":1}}"#)).collect();
    let await_all = |local: &Local| {
        for (topic, want) in [("F", want_f.as_slice()), ("G", &[r#"x {"N":6}"#.to_owned()])] {
            await_some(topic, || match sorted(local, topic) {
                got if got == want => Ok(()),
                got => Err(got),
            });
        }
    };
    await_all(&local);
    let plan = explained(&local, "G");
    assert!(plan.contains("goes on with the clock after 300 ms without a record"), "{plan}");
    local.stop();
    // What was closed stays closed.
    let local = open(dir.path());
    local.load("s", [("a", r#"{"t":"x"}"#.to_owned(), 2_600)]);
    await_some("late records", || match (local.query("F"), local.query("G")) {
        (f, g) if (f.late_records, g.late_records) == (1, 1) => Ok(()),
        (f, g) => Err((f.late_records, g.late_records)),
    });
    await_all(&local);
    local.stop();
}
