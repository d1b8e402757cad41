//! Columns that are added under load on the real systems, which take minutes and gigabytes:
//! `cargo test --workspace --test it -- --ignored olap_change_real`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_tests::kill9::http::{ksql, pull};
use millrace_tests::kill9::server::{Launch, Server};
use millrace_tests::olap::feed::{Feed, PARTITIONS, Record};
use millrace_tests::olap::{Rows, differences, rows};
use millrace_tests::rig::process::free_ports;
use millrace_tests::rig::{Druid, Kafka, Pinot};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);
const KEYS: i64 = 500;
const SINKS: [&str; 2] = ["shown", "items_now"];
/// What each statement adds, in turn.
const ADDED: [&str; 2] = ["b", "c"];

struct World {
    run: String,
    port: u16,
    launch: Launch,
    _server: Server,
    _dir: tempfile::TempDir,
}

impl World {
    fn start(system: &str) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let run = format!("columns-{system}-{}", std::process::id());
        let launch = Launch {
            bootstrap: Kafka::shared().bootstrap.clone(),
            port: free_ports(1).expect("a port")[0],
            service_id: format!("{run}_"),
            dir: dir.path().to_owned(),
            mutant: None,
            commit_ms: 100,
        };
        let server = launch.start(1).expect("a server");
        let world = World { run, port: launch.port, launch, _server: server, _dir: dir };
        let start = Instant::now();
        while let Err(why) = ksql(world.port, "SHOW SINKS;") {
            assert!(start.elapsed() < PATIENCE, "{why}; {}", world.launch.log_tail(1));
            std::thread::sleep(LOOK);
        }
        world
    }

    fn run(&self, sql: &str) -> Value {
        ksql(self.port, sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// A stream and a table, each of a topic, and what shows their first column.
    fn sources(&self) {
        let run = &self.run;
        let with = format!("PARTITIONS={PARTITIONS}, RETENTION_MS=-1, VALUE_FORMAT='JSON'");
        self.run(&format!(
            "CREATE STREAM marks (k VARCHAR KEY, n BIGINT) WITH (KAFKA_TOPIC='{run}-marks', {with});\
             CREATE STREAM clicks (k VARCHAR KEY, a BIGINT, b BIGINT, c VARCHAR) WITH \
             (KAFKA_TOPIC='{run}-clicks', {with});\
             CREATE TABLE items (k VARCHAR PRIMARY KEY, a BIGINT, b BIGINT, c VARCHAR) WITH \
             (KAFKA_TOPIC='{run}-items', {with});\
             CREATE STREAM shown WITH (KAFKA_TOPIC='{run}-shown') AS SELECT k, a FROM clicks;\
             CREATE TABLE items_now WITH (KAFKA_TOPIC='{run}-now') AS SELECT k, a FROM items;"
        ));
    }

    fn replace(&self, columns: &str) {
        for (kind, name, source) in [("STREAM", "shown", "clicks"), ("TABLE", "items_now", "items")]
        {
            let topic = if kind == "STREAM" { "shown" } else { "now" };
            let start = Instant::now();
            self.run(&format!(
                "CREATE OR REPLACE {kind} {name} WITH (KAFKA_TOPIC='{}-{topic}') AS SELECT k, a, \
                 {columns} FROM {source};",
                self.run
            ));
            println!("{name} has {columns} after {:?}", start.elapsed());
        }
    }

    /// Sends to both topics until told, and a little more; how many records.
    fn feed(&self, done: &AtomicBool) -> i64 {
        let id = format!("{}-feed", self.run);
        let marks = format!("{}-marks", self.run);
        let bootstrap = &Kafka::shared().bootstrap;
        let mut feed = Feed::connect(bootstrap, &id, &marks).expect("a producer");
        let (mut at, mut rest) = (0, 100);
        while rest > 0 {
            let mut records = Vec::new();
            for _ in 0..10 {
                let value = json!({ "a": at, "b": at * 2, "c": format!("c{at}") });
                records.extend(["clicks", "items"].map(|topic| Record {
                    topic: format!("{}-{topic}", self.run),
                    key: format!("k{}", at % KEYS),
                    value: Some(value.to_string()),
                    time_ms: 1_700_000 + at,
                }));
                at += 1;
            }
            assert!(feed.send(&records, true).expect("an end"), "committed");
            rest -= usize::from(done.load(Ordering::SeqCst));
            std::thread::sleep(Duration::from_millis(20));
        }
        at
    }

    /// What a pull query gives, with what a system shows for NULL.
    fn pulled(&self, source: &str, null: &dyn Fn(usize) -> Value) -> Result<Rows, String> {
        let found = pull(self.port, &format!("SELECT k, a, b, c FROM {source};"))?;
        let shown = |row: Vec<Value>| -> Vec<Value> {
            let cells = row.into_iter().enumerate();
            cells.map(|(at, cell)| if cell.is_null() { null(at) } else { cell }).collect()
        };
        Ok(rows(found.into_iter().map(shown)))
    }

    fn current_rows(&self, sink: &str) -> String {
        let described = self.run(&format!("DESCRIBE SINK {sink};"));
        let sql = described[0]["sinkDescription"]["currentRowsQuery"].as_str();
        sql.expect("a query").to_owned()
    }
}

/// Rows of a system's own SQL.
type Query<'a> = dyn Fn(&str) -> Result<Vec<Vec<Value>>, String> + 'a;

/// Adds two columns one after the other while records come in; then every system has every value.
fn check(system: &str, with: &str, null: &dyn Fn(usize) -> Value, query: &Query<'_>) {
    let world = World::start(system);
    world.sources();
    for source in SINKS {
        let topic = format!("{}-{source}-olap", world.run);
        world.run(&format!(
            "CREATE SINK {source}_x FOR {system} FROM {source} WITH ({with}, KAFKA_TOPIC='{topic}');"
        ));
    }
    let done = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let feed = scope.spawn(|| world.feed(&done));
        for count in 1..=ADDED.len() {
            std::thread::sleep(Duration::from_secs(3));
            world.replace(&ADDED[..count].join(", "));
        }
        done.store(true, Ordering::SeqCst);
        feed.join().expect("the feed")
    });
    for source in SINKS {
        let sql = world.current_rows(&format!("{source}_x"));
        let start = Instant::now();
        loop {
            let wanted = world.pulled(source, null).expect("a pull query");
            let (count, first) = match query(&sql) {
                Ok(found) => differences(&wanted, &rows(found)),
                Err(why) => (1, why),
            };
            let whole = source != "shown" || wanted.values().sum::<usize>() as i64 == sent;
            if count == 0 && whole {
                let kinds = [2, 3].map(|at| {
                    let cells = wanted.keys().map(|row| serde_json::from_str::<Value>(row));
                    cells.flatten().filter(|row| row[at] == null(at)).count()
                });
                println!(
                    "{system}: {source}: {} rows of {sent} records, 0 differences, {kinds:?} from \
                     before a column",
                    wanted.values().sum::<usize>()
                );
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{source}: {count} differences{first}");
            std::thread::sleep(LOOK);
        }
    }
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn pinot_keeps_every_value_of_a_new_column() {
    let pinot = Pinot::start().expect("a Pinot");
    // What it shows for NULL, unless asked otherwise.
    let null = |at| if at == 3 { json!("null") } else { json!(i64::MIN) };
    let with = format!("CONTROLLER='{}'", pinot.url());
    check("PINOT", &with, &null, &|sql| pinot.query(sql));
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn druid_keeps_every_value_of_a_new_column() {
    let druid = Druid::start().expect("a Druid");
    let with = format!("ROUTER='{}'", druid.url());
    check("DRUID", &with, &|_| Value::Null, &|sql| druid.query(sql));
}
