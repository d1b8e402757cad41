//! What goes wrong inside one node, on the embedded log: records that are too large, damaged state.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_engine::api::QueryState;
use millrace_engine::ids::{Timestamp, Tp};
use millrace_engine::log::{Cleanup, Log, Record, TopicSpec};
use millrace_tests::local::{Local, Setup, answer, await_some, describe, read};

const SOURCE: &str = "CREATE STREAM S (K VARCHAR KEY, V VARCHAR) \
                      WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);";
const COUNTS: &str = "CREATE TABLE COUNTS AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;";

fn embedded(dir: &Path) -> Arc<dyn Log> {
    Arc::new(EmbeddedLog::open(&dir.join("log"), Options::default()).expect("a log"))
}

/// Makes a topic whose records may be as large as given.
pub fn make_topic(log: &dyn Log, name: &str, record_bytes_max: usize) {
    let spec = TopicSpec {
        name: name.to_owned(),
        partitions: 2,
        replicas: None,
        cleanup: Cleanup::Delete,
        retention_ms: Some(-1),
        config: vec![("max.message.bytes".to_owned(), record_bytes_max.to_string())],
    };
    answer(log, || log.ensure(&spec)).expect("a topic");
}

/// Rows whose values have so many bytes.
fn rows<'a>(sizes: &[(&'a str, usize)]) -> Vec<(&'a str, String, i64)> {
    let value = |bytes: usize| format!(r#"{{"V":"{}"}}"#, "x".repeat(bytes));
    sizes.iter().map(|(key, bytes)| (*key, value(*bytes), 1000)).collect()
}

/// A row that the sink's topic does not take is one entry of the processing log; state that the
/// changelog does not take stops its query. Nobody else notices.
pub fn check_too_large(local: &Local, log: &dyn Log, processing_log: &str) {
    make_topic(log, "s", 8 << 20);
    local.run(SOURCE);
    local.run("CREATE STREAM ALL_ROWS AS SELECT K, V FROM S;");
    local.run(COUNTS);
    local.run("CREATE TABLE LAST AS SELECT K, LATEST_BY_OFFSET(V) AS V FROM S GROUP BY K;");
    local.load("s", rows(&[("a", 10), ("b", 10)]));
    local.await_pull("SELECT N FROM COUNTS WHERE K = 'a';", &["1"]);
    local.load("s", rows(&[("a", 2 << 20), ("b", 2 << 20)]));
    let reason = local.await_state("LAST", QueryState::Error);
    local.load("s", rows(&[("a", 20), ("b", 20)]));
    local.await_pull("SELECT N FROM COUNTS WHERE K = 'a';", &["3"]);
    local.await_pull("SELECT N FROM COUNTS WHERE K = 'b';", &["3"]);
    for part in ["changelog", "larger than", "max.message.bytes"] {
        assert!(reason.contains(part), "{reason}");
    }
    await_some("rows that fit", || {
        let found = read(log, "ALL_ROWS");
        if found.len() == 4 { Ok(()) } else { Err(found.len()) }
    });
    assert_eq!(local.query("ALL_ROWS").state, QueryState::Running);
    assert_eq!(local.query("COUNTS").state, QueryState::Running);
    assert!(local.query("ALL_ROWS").rejects >= 2, "work that was done again counts again");
    let entries: Vec<String> = read(log, processing_log).iter().map(|r| r.text()).collect();
    assert_eq!(entries.len(), 2, "{entries:?}");
    for entry in entries {
        for part in ["productionError", "topic ALL_ROWS", "2097", "1048"] {
            assert!(entry.contains(part), "{entry} lacks {part}");
        }
    }
}

#[test]
fn records_that_are_too_large_stop_no_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = embedded(dir.path());
    let local = Local::start(log.clone(), &Setup::new("large_", dir.path()));
    check_too_large(&local, &*log, "large_ksql_processing_log");
    local.stop();
}

/// Inverts some bytes of a file.
fn damage(path: &Path) {
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("the file");
    let len = file.metadata().expect("its size").len();
    let from = len.min(8) / 2;
    let mut bytes = vec![0; (len - from).min(64) as usize];
    file.seek(SeekFrom::Start(from)).expect("seek");
    file.read_exact(&mut bytes).expect("read");
    bytes.iter_mut().for_each(|byte| *byte = !*byte);
    file.seek(SeekFrom::Start(from)).expect("seek");
    file.write_all(&bytes).expect("write");
}

/// Files of all lanes whose names begin or end so.
fn state_files(dir: &Path, is: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for lane in 0..2 {
        let entries = std::fs::read_dir(dir.join(format!("lane-{lane}"))).expect("a lane's state");
        let paths = entries.flatten().map(|entry| entry.path());
        found.extend(paths.filter(|path| {
            is(&path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default())
        }));
    }
    found
}

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn feed(local: &Local, rounds: usize) {
    for _ in 0..rounds {
        local.load("s", rows(&KEYS.map(|key| (key, 10))));
    }
}

fn await_counts(local: &Local, count: usize) {
    for key in KEYS {
        let sql = format!("SELECT N FROM COUNTS WHERE K = '{key}';");
        local.await_pull(&sql, &[&count.to_string()]);
    }
}

/// Makes state, damages the files while the service is down, starts it, and goes on.
fn check_damage(what: &str, is: fn(&str) -> bool) {
    let dir = tempfile::tempdir().expect("a folder");
    let log = embedded(dir.path());
    let setup = Setup::new("damaged_", dir.path());
    let local = Local::start(log.clone(), &setup);
    local.run(SOURCE);
    local.run(COUNTS);
    feed(&local, 3);
    await_counts(&local, 3);
    local.stop();
    let files = state_files(dir.path(), is);
    assert!(!files.is_empty(), "no {what}");
    files.iter().for_each(|path| damage(path));
    let local = Local::start(log, &setup);
    await_counts(&local, 3);
    feed(&local, 2);
    await_counts(&local, 5);
    assert_eq!(local.query("COUNTS").state, QueryState::Running);
    assert!(dir.path().join("lane-0.corrupt-1").exists(), "{what}: moved aside");
    local.stop();
}

#[test]
fn damaged_state_is_moved_aside_and_restored() {
    check_damage("CURRENT", |name| name == "CURRENT");
    check_damage("MANIFEST", |name| name.starts_with("MANIFEST"));
    check_damage("SST", |name| name.ends_with(".sst"));
}

#[test]
fn state_that_breaks_while_it_is_in_use_is_restored() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = embedded(dir.path());
    let setup = Setup::new("breaking_", dir.path());
    let local = Local::start(log.clone(), &setup);
    local.run(SOURCE);
    local.run(COUNTS);
    feed(&local, 3);
    await_counts(&local, 3);
    local.stop();
    // What was written before is in files now, and nothing of it in a cache.
    let local = Local::start(log, &setup);
    await_some("RUNNING", || {
        let state = local.query("COUNTS").state;
        if state == QueryState::Running { Ok(()) } else { Err(state) }
    });
    state_files(dir.path(), |name| name.ends_with(".sst")).iter().for_each(|path| damage(path));
    feed(&local, 2);
    await_counts(&local, 5);
    assert!(dir.path().join("lane-0.corrupt-1").exists(), "moved aside");
    local.stop();
}

/// Somebody deletes the topic of the processing log: it is made again, and no row is lost.
pub fn check_lost_log(local: &Local, log: &dyn Log, processing_log: &str) {
    local.run(SOURCE);
    local.run("CREATE STREAM COPY AS SELECT K, V FROM S;");
    let good = |keys: [&'static str; 2]| keys.map(|key| (key, r#"{"V":"x"}"#.to_owned(), 1000));
    let await_copies = |count: usize| {
        await_some("all rows", || {
            let found = read(log, "COPY").len();
            if found == count { Ok(()) } else { Err(found) }
        });
    };
    local.load("s", good(["a", "b"]));
    await_copies(2);
    let id = describe(log, processing_log).id;
    answer(log, || log.delete(id)).expect("deleted");
    local.load("s", [("a", "{bad".to_owned(), 1000), ("b", "{bad".to_owned(), 1000)]);
    local.load("s", good(["a", "b"]));
    await_copies(4);
    let entries = read(log, processing_log);
    assert_eq!(entries.len(), 2, "{:?}", entries.iter().map(|r| r.text()).collect::<Vec<_>>());
    assert_eq!(local.query("COPY").state, QueryState::Running);
}

#[test]
fn a_processing_log_that_was_deleted_is_made_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = embedded(dir.path());
    let local = Local::start(log.clone(), &Setup::new("lost_", dir.path()));
    check_lost_log(&local, &*log, "lost_ksql_processing_log");
    local.stop();
}

/// A row that belongs to no group is told, whichever way the rows are grouped.
#[test]
fn rows_of_no_group_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = embedded(dir.path());
    let local = Local::start(log.clone(), &Setup::new("groups_", dir.path()));
    local.run(
        "CREATE STREAM O (K VARCHAR KEY, U VARCHAR, W BIGINT) \
         WITH (KAFKA_TOPIC='o', VALUE_FORMAT='JSON', PARTITIONS=2);",
    );
    let queries = [
        ("PLAIN", "GROUP BY U", "U"),
        ("TWO", "GROUP BY U, W", "U"),
        ("TUMBLED", "WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY U", "U"),
        ("SESSIONS", "WINDOW SESSION (1 HOUR) GROUP BY U", "U"),
        ("COMPUTED", "GROUP BY UCASE(U)", ""),
        ("KEYED", "GROUP BY K", "K"),
    ];
    for (name, how, _) in queries {
        let what = how.rsplit("GROUP BY ").next().unwrap_or_default();
        local.run(&format!(
            "CREATE TABLE {name} WITH (KEY_FORMAT='JSON') AS \
             SELECT {what}, COUNT(*) AS N FROM O {how};"
        ));
    }
    let topic = describe(&*log, "o");
    let row = |key: Option<&str>, value: &str| {
        Record::new(Timestamp(1000), key.map(str::as_bytes), Some(value.as_bytes()))
    };
    let rows = [
        row(Some("a"), r#"{"U":"x","W":1}"#),
        row(Some("a"), r#"{"U":null,"W":1}"#),
        row(None, r#"{"U":"x","W":2}"#),
    ];
    answer(&*log, || log.append(Tp::new(topic.id, 0), &rows)).expect("written");
    await_some("one entry of each query", || {
        let entries: Vec<String> =
            read(&*log, "groups_ksql_processing_log").iter().map(|r| r.text()).collect();
        let told = |(name, _, column): &(&str, &str, &str)| {
            let whose = format!("_{name}_");
            let why = "is NULL: the row belongs to no group";
            let of = |entry: &&String| {
                [whose.as_str(), column, why].iter().all(|part| entry.contains(part))
            };
            entries.iter().filter(of).count() == 1
        };
        match entries.len() == queries.len() && queries.iter().all(told) {
            true => Ok(()),
            false => Err(entries),
        }
    });
    local.await_pull("SELECT N FROM PLAIN WHERE U = 'x';", &["2"]);
    local.stop();
}

/// Queries that were paused at many places of a topic go on, though only a few are read at once (R19).
#[test]
fn queries_at_many_positions_go_on() {
    const QUERIES: usize = 8;
    let dir = tempfile::tempdir().expect("a folder");
    let log = embedded(dir.path());
    let local = Local::start(log.clone(), &Setup::new("many_", dir.path()));
    local.run(SOURCE);
    let row = |at: usize| (KEYS[at % KEYS.len()], format!(r#"{{"V":"{at}"}}"#), 1000);
    for at in 0..QUERIES {
        local.run(&format!("CREATE STREAM C{at} AS SELECT K, V FROM S;"));
    }
    let copies = |at: usize| read(&*log, &format!("C{at}"));
    for at in 0..QUERIES {
        local.load("s", (at * 10..(at + 1) * 10).map(row));
        await_some("the rows so far", || {
            let found = copies(at).len();
            if found == (at + 1) * 10 { Ok(()) } else { Err(found) }
        });
        local.run(&format!("PAUSE {};", local.query(&format!("C{at}")).id));
    }
    local.load("s", (QUERIES * 10..2_000).map(row));
    local.run("RESUME ALL;");
    for at in 0..QUERIES {
        await_some("all rows", || {
            let found = copies(at).len();
            if found == 2_000 { Ok(()) } else { Err((at, found)) }
        });
        let mut seen: Vec<String> = copies(at).iter().map(|row| row.text()).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 2_000, "C{at} has rows twice");
    }
    local.stop();
}
