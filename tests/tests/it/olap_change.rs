//! Sinks that change, stop and go on, against stubs of Pinot and Druid that lose what real ones lose.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_connectors::olap::{Access, OlapClients, OlapConfig};
use millrace_engine::api::{Api, SinkStatus};
use millrace_engine::log::Log;
use millrace_engine::olap::OlapTargets;
use millrace_tests::local::{Local, Setup, await_some, read};
use millrace_tests::olap_stub::{self, Played, Row, Stub};
use millrace_tests::rig::Kafka;
use serde_json::{Value, json};

const SOURCES: &str = "
    CREATE STREAM clicks (k VARCHAR KEY, a INT, b INT)
        WITH (KAFKA_TOPIC='clicks', PARTITIONS=2, VALUE_FORMAT='JSON');
    CREATE STREAM shown AS SELECT k, a FROM clicks;
    CREATE TABLE items (k VARCHAR PRIMARY KEY, a INT, b INT)
        WITH (KAFKA_TOPIC='items', PARTITIONS=2, VALUE_FORMAT='JSON');
    CREATE TABLE items_now AS SELECT k, a FROM items";
const PLAYED: [Played; 3] = [Played::Pinot(0, 11), Played::Pinot(1, 5), Played::Druid(33)];
/// Keys of the table.
const KEYS: usize = 20;

pub(crate) struct World {
    pub(crate) stub: Stub,
    log: Arc<dyn Log>,
    local: Option<Local>,
    system: &'static str,
    dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn start(played: Played) -> World {
        let dir = tempfile::tempdir().expect("a folder");
        let log = EmbeddedLog::open(&dir.path().join("log"), Options::default()).expect("a log");
        World::on(Arc::new(log), played, dir)
    }

    fn on(log: Arc<dyn Log>, played: Played, dir: tempfile::TempDir) -> World {
        let setup = olap_stub::Setup { log: Some(log.clone()), ..olap_stub::Setup::new(played) };
        let system = if matches!(played, Played::Pinot(..)) { "PINOT" } else { "DRUID" };
        let stub = Stub::start(setup);
        let mut world = World { stub, log, local: None, system, dir };
        world.boot();
        for sql in SOURCES.split(';') {
            world.run(sql.trim());
        }
        world
    }

    /// Starts the service, again on its own state.
    fn boot(&mut self) {
        if let Some(local) = self.local.take() {
            local.stop();
        }
        let setup = Setup::new("change_", Path::new(self.dir.path()));
        self.local = Some(Local::start_olap(self.log.clone(), &setup, self.clients()));
    }

    fn clients(&self) -> Arc<dyn OlapTargets> {
        let access = Access { url: Some(self.stub.url.clone()), ..Access::default() };
        let config =
            OlapConfig { brokers: "k:9092".to_owned(), pinot: access.clone(), druid: access };
        Arc::new(OlapClients::new(config).expect("clients"))
    }

    fn local(&self) -> &Local {
        self.local.as_ref().expect("it runs")
    }

    fn run(&self, sql: &str) {
        self.local().run(&format!("{sql};"));
    }

    fn refused(&self, sql: &str, part: &str) {
        let why = self.local().try_run(&format!("{sql};")).expect_err(sql);
        assert!(why.contains(part), "{sql}: {why}");
    }

    pub(crate) fn create(&self, sink: &str, source: &str) {
        self.run(&format!("CREATE SINK {sink} FOR {} FROM {source}", self.system));
    }

    pub(crate) fn sink(&self, name: &str) -> SinkStatus {
        let found = self.local().service.sinks(Some(name)).expect("an answer");
        found.into_iter().next().unwrap_or_else(|| panic!("there is no sink {name}"))
    }

    pub(crate) fn load(&self, topic: &str, from: usize, to: usize) {
        let record = |n: usize| {
            let value = json!({ "a": n, "b": n * 2 }).to_string();
            (KEY_NAMES[n % KEYS], value, 1_000 + n as i64)
        };
        self.local().load(topic, (from..to).map(record));
    }

    /// Waits until a table has all rows that the topic of its source has.
    pub(crate) fn await_stream(&self, table: &str, topic: &str) -> Vec<Row> {
        await_some(table, || {
            let sent = read(self.log.as_ref(), topic);
            let mut sent: Vec<String> = sent.iter().map(|r| shape(&json(&r.text()))).collect();
            let rows = self.stub.rows(table);
            let mut kept: Vec<String> = rows.iter().map(shape).collect();
            sent.sort();
            kept.sort();
            let lost = sent.iter().zip(&kept).find(|(sent, kept)| sent != kept);
            match (sent.len() == kept.len(), lost) {
                (true, None) => Ok(rows),
                (_, first) => Err(format!("{} of {} rows: {first:?}", kept.len(), sent.len())),
            }
        })
    }

    /// Waits until the newest rows of a table are those that a pull query gives.
    fn await_table(&self, table: &str, sql: &str) {
        await_some(table, || {
            let mut wanted = self.local().pull(sql)?;
            wanted.sort();
            let mut newest: BTreeMap<String, Row> = BTreeMap::new();
            for row in self.stub.rows(table) {
                let key = row["k"].to_string();
                let version = |row: &Row| row["_version"].as_i64();
                if newest.get(&key).is_none_or(|old| version(old) < version(&row)) {
                    newest.insert(key, row);
                }
            }
            let cell = |row: &Row, name: &str| row.get(name).map_or("".into(), Value::to_string);
            let text = |row: &Row| {
                let key = row["k"].as_str().unwrap_or_default();
                format!("{key} {} {}", cell(row, "a"), cell(row, "b")).trim_end().to_owned()
            };
            let mut got: Vec<String> = newest.values().map(text).collect();
            got.sort();
            let wanted: Vec<String> = wanted.iter().map(|row| row.trim_end().to_owned()).collect();
            if got == wanted { Ok(()) } else { Err(format!("{got:?}\nwanted {wanted:?}")) }
        });
    }
}

const KEY_NAMES: [&str; KEYS] = [
    "k00", "k01", "k02", "k03", "k04", "k05", "k06", "k07", "k08", "k09", "k10", "k11", "k12",
    "k13", "k14", "k15", "k16", "k17", "k18", "k19",
];

fn json(text: &str) -> Row {
    serde_json::from_str(text).unwrap_or_default()
}

/// What a source's record and a row of its sink have in common.
fn shape(row: &Row) -> String {
    let get = |name: &str| row.get(name).or_else(|| row.get(&name.to_uppercase()));
    ["a", "b", "c"].map(|name| get(name).unwrap_or(&Value::Null).to_string()).join(" ")
}

/// Writes to both topics while `change` runs, and a little longer.
fn under_load(world: &World, from: usize, change: impl FnOnce()) -> usize {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut at, mut rest) = (from, 20);
            while rest > 0 {
                world.load("clicks", at, at + 5);
                world.load("items", at, at + 5);
                at += 5;
                rest -= usize::from(done.load(Ordering::SeqCst));
                std::thread::sleep(Duration::from_millis(10));
            }
            at
        });
        change();
        done.store(true, Ordering::SeqCst);
        load.join().expect("the load")
    })
}

#[test]
fn no_value_of_a_new_column_is_lost() {
    for played in PLAYED {
        let mut world = World::start(played);
        world.create("shown_olap", "shown");
        world.create("now_olap", "items_now");
        let at = under_load(&world, 0, || {
            std::thread::sleep(Duration::from_millis(300));
            world.run("CREATE OR REPLACE STREAM shown AS SELECT k, a, b FROM clicks");
            world.run("CREATE OR REPLACE TABLE items_now AS SELECT k, a, b FROM items");
        });
        let rows = world.await_stream("shown_olap", "SHOWN");
        let with = rows.iter().filter(|row| row.contains_key("b")).count();
        assert!(with > 0 && with < rows.len(), "{played:?}: {with} of {}", rows.len());
        world.await_table("now_olap", "SELECT k, a, b FROM items_now;");
        println!("{played:?}: {at} records, {with} of {} rows have the column", rows.len());

        // All of it is in the commands, and versions go on where they were.
        world.boot();
        world.load("clicks", at, at + 50);
        world.load("items", at, at + 50);
        world.await_stream("shown_olap", "SHOWN");
        world.await_table("now_olap", "SELECT k, a, b FROM items_now;");
        let status = world.sink("now_olap".to_uppercase().as_str());
        assert_eq!((status.sink.table.columns.len(), status.state.as_str()), (3, "RUNNING"));
        let sql = format!("CREATE OR REPLACE SINK now_olap FOR {} FROM items_now;", world.system);
        world.local().try_run(&sql).expect("nothing is to be done");
    }
}

/// The lanes that write the source and those that read it for the sink are on two nodes.
#[test]
fn all_nodes_know_a_column_before_it_is_written() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let connect = || KafkaLog::connect(KafkaConfig::new(&kafka.bootstrap)).expect("a client");
    let dir = tempfile::tempdir().expect("a folder");
    let world = World::on(connect(), Played::Pinot(1, 5), dir);
    world.create("shown_olap", "shown");
    let own = tempfile::tempdir().expect("a folder");
    let setup = Setup { node: "second".to_owned(), ..Setup::new("change_", own.path()) };
    let second = Local::start_olap(connect(), &setup, world.clients());
    let mut at = 0;
    // What a node counts is what its own lanes did.
    let written = |local: &Local| local.query("SHOWN").records_out;
    let (first_before, start) = (written(world.local()), std::time::Instant::now());
    while written(&second) == 0 || written(world.local()) == first_before {
        assert!(start.elapsed() < Duration::from_secs(60), "the lanes are not shared");
        world.load("clicks", at, at + 20);
        at += 20;
        std::thread::sleep(Duration::from_millis(300));
    }
    for (columns, local) in [("b", world.local()), ("b, b * 2 AS c", &second)] {
        at = under_load(&world, at, || {
            local.run(&format!(
                "CREATE OR REPLACE STREAM shown AS SELECT k, a, {columns} FROM clicks;"
            ));
        });
    }
    let rows = world.await_stream("shown_olap", "SHOWN");
    let count = |name: &str| rows.iter().filter(|row| row.contains_key(name)).count();
    println!("two nodes: {} rows, {} with b, {} with c", rows.len(), count("b"), count("c"));
    assert!(count("c") > 0 && count("c") < count("b") && count("b") < rows.len());
    second.stop();
}

#[test]
fn a_source_does_not_change_without_its_sinks() {
    let replace = "CREATE OR REPLACE STREAM shown AS SELECT k, a, b FROM clicks";
    for played in PLAYED {
        let world = World::start(played);
        world.create("shown_olap", "shown");
        world.stub.set_down(true);
        world.refused(replace, "Sink SHOWN_OLAP shows SHOWN, and cannot get its new columns");
        world.stub.set_down(false);
        let columns = || world.local().service.catalog().sources["SHOWN"].columns.len();
        assert_eq!(columns(), 2, "{played:?}: the source is as it was");
        // Somebody has a column of that name there already.
        world.stub.spoil("shown_olap", |document| match played {
            Played::Pinot(..) => {
                let mine = json!({ "name": "b", "dataType": "STRING" });
                document["schema"]["dimensionFieldSpecs"].as_array_mut().expect("fields").push(mine)
            }
            Played::Druid(_) => document["spec"]["dataSchema"]["dataSource"] = json!("other"),
        });
        let part = if world.system == "PINOT" { "column \"b\" of type" } else { "somebody else" };
        world.refused(replace, part);
        world.stub.spoil("shown_olap", |document| match played {
            Played::Pinot(..) => {
                document["schema"]["dimensionFieldSpecs"].as_array_mut().expect("fields").pop();
            }
            Played::Druid(_) => document["spec"]["dataSchema"]["dataSource"] = json!("shown_olap"),
        });
        // What will be refused anyway changes no table.
        let before = world.stub.document("shown_olap");
        world.run(
            "CREATE STREAM other (k VARCHAR KEY, a INT, b INT) WITH (KAFKA_TOPIC='other', \
             PARTITIONS=2, VALUE_FORMAT='JSON')",
        );
        world.refused(
            "CREATE OR REPLACE STREAM shown AS SELECT k, a, b FROM other",
            "not upgradeable",
        );
        assert_eq!(world.stub.document("shown_olap"), before);
        world.run(replace);
        assert_eq!(columns(), 3);
        world.load("clicks", 0, 10);
        world.await_stream("shown_olap", "SHOWN");
    }
}

#[test]
fn columns_of_topics_are_followed_too() {
    let world = World::start(Played::Pinot(1, 5));
    world.create("clicks_olap", "clicks");
    world.create("items_olap", "items");
    world.run("ALTER STREAM clicks ADD COLUMN c INT");
    world.run(
        "CREATE OR REPLACE TABLE items (k VARCHAR PRIMARY KEY, a INT, b INT, c DECIMAL(9, 2)) WITH \
         (KAFKA_TOPIC='items', PARTITIONS=2, VALUE_FORMAT='JSON')",
    );
    for topic in ["clicks", "items"] {
        let value = r#"{"a": 1, "b": 2, "c": 3}"#.to_owned();
        world.local().load(topic, [("k00", value, 5)]);
    }
    for (table, wanted) in [("clicks_olap", json!(3)), ("items_olap", json!("3.00"))] {
        await_some(table, || match world.stub.rows(table).first() {
            Some(row) if row["c"] == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    // The order of fields tells columns apart there: old records would be read wrongly.
    world.run(
        "CREATE STREAM csv (k VARCHAR KEY, a INT) WITH (KAFKA_TOPIC='csv', PARTITIONS=1, \
         VALUE_FORMAT='DELIMITED')",
    );
    world.create("csv_olap", "csv");
    world.refused("ALTER STREAM csv ADD COLUMN b INT", "Sink CSV_OLAP cannot follow CSV");
    world.refused("ALTER STREAM clicks ADD COLUMN _version INT", "reserved");
}

#[test]
fn sums_of_changes_stay_as_they_are() {
    let world = World::start(Played::Druid(33));
    let x = "SINK x FOR DRUID FROM items_now WITH";
    world.run(&format!("CREATE {x} (ROLLUP=true)"));
    let before = world.stub.document("x");
    world.refused(
        "CREATE OR REPLACE TABLE items_now AS SELECT k, a, b FROM items",
        "Sink X cannot follow ITEMS_NOW: sums of b would begin in the middle",
    );
    world.refused(&format!("CREATE OR REPLACE {x} (TASKS=1)"), "ROLLUP is true, not not set");
    assert_eq!(world.stub.document("x"), before);
}

#[test]
fn a_table_is_rebuilt_beside_the_old_one() {
    for played in PLAYED {
        let mut world = World::start(played);
        world.create("x", "items_now");
        world.load("items", 0, 100);
        world.await_table("x", "SELECT k, a FROM items_now;");
        let replace = |with: &str| {
            format!("CREATE OR REPLACE SINK x FOR {} FROM items_now WITH ({with})", world.system)
        };
        let option = if world.system == "PINOT" { "FLUSH_ROWS=9" } else { "TASKS=2" };
        world.refused(&replace(option), "Table x of sink X stays as it is, but");
        world.run(&replace(&format!("TABLE='x_2', {option}")));
        world.await_table("x_2", "SELECT k, a FROM items_now;");
        world.refused(&replace("TABLE='x_3'"), "a former table, as sink X_OLD");
        // Both are fed until nobody reads the old one any more, whatever happens in between.
        world.boot();
        world.load("items", 100, 150);
        world.run("CREATE OR REPLACE TABLE items_now AS SELECT k, a, b FROM items");
        world.load("items", 150, 200);
        for table in ["x", "x_2"] {
            world.await_table(table, "SELECT k, a, b FROM items_now;");
        }
        assert_eq!(world.sink("X").sink.table.topic, "X_2_OLAP");
        assert_eq!(world.sink("X_OLD").sink.table.topic, "X_OLAP");
        world.run("DROP SINK x_old DELETE TABLE DELETE TOPIC");
        assert_eq!(world.stub.tables(), ["x_2"]);
        world.load("items", 200, 220);
        world.await_table("x_2", "SELECT k, a, b FROM items_now;");
    }
}

#[test]
fn sinks_pause_and_go_on() {
    let world = World::start(Played::Pinot(0, 11));
    world.create("x", "clicks");
    world.load("clicks", 0, 10);
    world.await_stream("x", "clicks");
    world.run("PAUSE SINK x");
    assert_eq!(world.sink("X").state, "PAUSED");
    world.load("clicks", 10, 20);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(world.stub.rows("x").len(), 10, "nothing is written");
    world.run("RESUME SINK x");
    world.await_stream("x", "clicks");
    assert_eq!(world.sink("X").state, "RUNNING");
    world.refused("PAUSE SINK nobody", "Sink `NOBODY` does not exist");
    world.refused("RESUME SINK nobody", "Sink `NOBODY` does not exist");
    world.refused("TERMINATE SINK x", "Syntax Error");
}

#[test]
fn a_target_that_is_down_holds_nothing_up() {
    for played in PLAYED {
        let world = World::start(played);
        world.create("x", "shown");
        world.load("clicks", 0, 10);
        await_some("rows", || if world.stub.rows("x").len() == 10 { Ok(()) } else { Err(()) });
        await_some("lag 0", || match world.sink("X") {
            status if (status.lag, status.freshness_ms) == (Some(0), Some(0)) => Ok(()),
            status => Err(format!("{status:?}")),
        });
        world.stub.set_down(true);
        let status = world.sink("X");
        assert_eq!(status.state, "UNREACHABLE", "{status:?}");
        let why = status.last_error.expect("a reason");
        assert!(why.contains("does not answer"), "{why}");
        world.load("clicks", 10, 60);
        await_some("the topic goes on", || match read(world.log.as_ref(), "X_OLAP").len() {
            60 => Ok(()),
            count => Err(count),
        });
        // The stub reads on, for it is only deaf; what it said last counts.
        await_some("it is behind", || match world.sink("X") {
            status if status.lag == Some(50) && status.freshness_ms > Some(0) => Ok(()),
            status => Err(format!("{status:?}")),
        });
        world.stub.set_down(false);
        await_some("it catches up", || match world.sink("X") {
            status if status.state == "RUNNING" && status.lag == Some(0) => Ok(()),
            status => Err(format!("{status:?}")),
        });
        let status = world.sink("X");
        assert_eq!((status.rows, status.last_error), (60, None));
        assert_eq!(status.partitions.len(), 2);
        assert!(status.partitions.iter().all(|p| p.next.is_some()), "{:?}", status.partitions);
    }
}

#[test]
fn what_is_made_follows_the_version_that_answers() {
    for (minor, major, comparison) in
        [(11, 0, "comparisonColumn"), (0, 1, "comparisonColumns"), (6, 1, "comparisonColumns")]
    {
        let world = World::start(Played::Pinot(major, minor));
        world.create("x", "items");
        let document = world.stub.document("x");
        let upsert = &document["realtime"]["upsertConfig"];
        assert!(!upsert[comparison].is_null(), "{major}.{minor}: {document}");
        assert_eq!(upsert["deleteRecordColumn"].is_null(), major == 0);
        assert_eq!(world.sink("X").documents, document, "DESCRIBE shows what is there");
    }
    for version in [33, 37, 39] {
        let world = World::start(Played::Druid(version));
        world.create("x", "items");
        world.run(
            "CREATE OR REPLACE TABLE items (k VARCHAR PRIMARY KEY, a INT, b INT, c INT) WITH \
             (KAFKA_TOPIC='items', PARTITIONS=2, VALUE_FORMAT='JSON')",
        );
        world.local().load("items", [("k00", r#"{"c": 3}"#.to_owned(), 5)]);
        await_some("the column", || match world.stub.rows("x").first() {
            Some(row) if row["c"] == 3 => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn what_fails_leaves_nothing_and_what_is_left_is_adopted() {
    for (played, call) in [
        (Played::Pinot(0, 11), "POST /tableConfigs"),
        (Played::Pinot(1, 5), "POST /tableConfigs"),
        (Played::Druid(33), "POST /druid/indexer/v1/supervisor"),
    ] {
        let world = World::start(played);
        let create = format!("CREATE SINK x FOR {} FROM items", world.system);
        let topics = || {
            let topics = world.local().service.topics().expect("an answer");
            topics.into_iter().any(|topic| topic.name == "X_OLAP")
        };
        // The dry run passes, the making does not.
        world.stub.break_at(Some(call));
        world.refused(&create, "it burns");
        world.stub.break_at(None);
        assert!(world.stub.tables().is_empty() && !topics(), "{played:?}");
        assert!(world.local().service.catalog().sinks.is_empty());

        if world.system == "PINOT" {
            world.create("y", "items");
            let mut schema = world.stub.document("y")["schema"].clone();
            schema["schemaName"] = json!("x");
            world.run("DROP SINK y DELETE TABLE DELETE TOPIC");
            schema["dimensionFieldSpecs"][0]["dataType"] = json!("INT");
            world.stub.leave_schema("x", schema.clone());
            world.refused(&create, "a schema x of another shape already, without a table");
            schema["dimensionFieldSpecs"][0]["dataType"] = json!("STRING");
            world.stub.leave_schema("x", schema);
        }
        // A server that ends between the table and the command leaves a table that nobody knows.
        world.create("x", "items");
        let table = world.sink("X").sink.table.clone();
        world.run("DROP SINK x DELETE TABLE DELETE TOPIC");
        world.clients().create(&table).expect("the half");
        let made = world.stub.document("x");
        world.create("x", "items");
        assert_eq!(world.stub.document("x"), made, "{played:?}: it is taken as it is");
        world.load("items", 0, 10);
        await_some("its rows", || match world.stub.rows("x").len() {
            10 => Ok(()),
            count => Err(count),
        });
    }
}
