//! Sinks against the real systems, which take minutes and gigabytes:
//! `cargo test --workspace --test it -- --ignored olap::pinot`.

use std::time::{Duration, Instant};

use millrace_tests::kill9::http::{ksql, pull};
use millrace_tests::kill9::random::Random;
use millrace_tests::kill9::server::{Launch, Server};
use millrace_tests::olap::items::{COLUMNS, Items};
use millrace_tests::olap::sessions::{Events, GAP_MS};
use millrace_tests::olap::{Feed, Rows, differences, rows};
use millrace_tests::rig::process::free_ports;
use millrace_tests::rig::{Druid, Kafka, Pinot};
use serde_json::Value;

const EQUAL_TIME_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(500);
/// Kills of the server, each after a share of the changes.
const KILLS: usize = 4;
/// Of the table, and as many events.
const CHANGES: usize = 4_000;

/// A server on the shared Kafka that is killed now and then.
struct World {
    launch: Launch,
    server: Option<Server>,
    runs: usize,
    _dir: tempfile::TempDir,
}

impl World {
    fn start(name: &str) -> World {
        let dir = tempfile::tempdir().expect("a directory");
        let launch = Launch {
            bootstrap: Kafka::shared().bootstrap.clone(),
            port: free_ports(1).expect("a port")[0],
            service_id: format!("olap-{name}-{}_", std::process::id()),
            dir: dir.path().to_owned(),
            mutant: None,
            commit_ms: 100,
        };
        let mut world = World { launch, server: None, runs: 0, _dir: dir };
        world.boot();
        world
    }

    fn boot(&mut self) {
        self.runs += 1;
        self.server = Some(self.launch.start(self.runs).expect("a server"));
        let start = Instant::now();
        while let Err(why) = ksql(self.launch.port, "SHOW SINKS;") {
            assert!(start.elapsed() < EQUAL_TIME_MAX, "{why}; {}", self.launch.log_tail(self.runs));
            std::thread::sleep(LOOK);
        }
    }

    fn kill9(&mut self) {
        self.server.take().expect("it runs").kill9();
        self.boot();
    }

    fn run(&self, sql: &str) -> Value {
        ksql(self.launch.port, sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    fn refused(&self, sql: &str, part: &str) {
        let why = ksql(self.launch.port, sql).expect_err(sql);
        assert!(why.contains(part), "{sql}: {why}");
    }

    fn pull(&self, sql: &str) -> Result<Rows, String> {
        pull(self.launch.port, sql).map(rows)
    }

    /// The target's own SQL for a sink's rows.
    fn current_rows(&self, sink: &str) -> String {
        let described = self.run(&format!("DESCRIBE SINK {sink};"));
        let sql = described[0]["sinkDescription"]["currentRowsQuery"].as_str();
        sql.expect("a query").to_owned()
    }

    /// Waits until a sink runs and has read all.
    fn await_caught_up(&self, sink: &str) {
        let start = Instant::now();
        loop {
            let described = self.run(&format!("DESCRIBE SINK {sink};"));
            let status = &described[0]["sinkDescription"];
            if status["state"] == "RUNNING" && status["lag"] == 0 {
                return;
            }
            assert!(start.elapsed() < EQUAL_TIME_MAX, "{sink}: {status}");
            std::thread::sleep(LOOK);
        }
    }
}

/// Waits until both are equal.
fn await_equal(what: &str, expected: &Rows, ask: impl Fn() -> Result<Rows, String>) {
    let start = Instant::now();
    loop {
        let (count, first) = match ask() {
            Ok(found) => differences(expected, &found),
            Err(why) => (1, why),
        };
        if count == 0 {
            let rows: usize = expected.values().sum();
            println!("{what}: {rows} rows, 0 differences, after {:?}", start.elapsed());
            return;
        }
        assert!(start.elapsed() < EQUAL_TIME_MAX, "{what}: {count} differences{first}");
        std::thread::sleep(LOOK);
    }
}

fn sources(run: &str) -> String {
    format!(
        "CREATE TABLE items ({COLUMNS}) WITH (KAFKA_TOPIC='{run}-items', PARTITIONS=4, \
         RETENTION_MS=-1, VALUE_FORMAT='JSON');\
         CREATE TABLE items_now AS SELECT * FROM items;\
         CREATE STREAM events (k VARCHAR KEY, id BIGINT, amount BIGINT, moment BIGINT) WITH \
         (KAFKA_TOPIC='{run}-events', PARTITIONS=4, RETENTION_MS=-1, VALUE_FORMAT='JSON', \
         TIMESTAMP='moment');\
         CREATE TABLE sessions AS SELECT k, COUNT(*) AS n, SUM(amount) AS total FROM events \
         WINDOW SESSION ({} SECONDS, GRACE PERIOD 100 DAYS) GROUP BY k;",
        GAP_MS / 1000
    )
}

/// Changes the sources at random while the server is killed.
fn change(world: &mut World, run: &str) -> (Items, Events) {
    let seed = std::env::var("MILLRACE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(u64::from(std::process::id()));
    println!("MILLRACE_SEED={seed}");
    let random = Random::new(seed);
    let feed = Feed::connect(&Kafka::shared().bootstrap);
    let (mut items, mut events) = (Items::default(), Events::default());
    for round in 0..=KILLS {
        for _ in 0..CHANGES / (KILLS + 1) {
            items.change(&random, &feed, &format!("{run}-items"));
            events.add(&random, &feed, &format!("{run}-events"));
        }
        feed.flush();
        if round < KILLS {
            std::thread::sleep(Duration::from_millis(random.below(1500)));
            world.kill9();
        }
    }
    (items, events)
}

fn check_pulls(world: &World, items: &Items, events: &Events) {
    let pull = |sql: &str| world.pull(sql);
    await_equal("pull: table", &items.pulled(), || pull("SELECT * FROM items_now;"));
    let sql = "SELECT k, WINDOWSTART, WINDOWEND, n, total FROM sessions;";
    await_equal("pull: sessions", &events.sessions(), || pull(sql));
    await_equal("pull: stream", &events.rows(), || {
        pull("SELECT k, id, amount, moment FROM events;")
    });
}

fn refusals(world: &World, url: &str, property: &str, system: &str) {
    let from =
        |source: &str, with: &str| format!("CREATE SINK x FOR {system} FROM {source}{with};");
    let with = |url: &str| format!(" WITH ({property}='{url}')");
    world.refused(&from("nobody", &with(url)), "NOBODY does not exist");
    world.refused(&from("items", ""), "where is");
    world.refused(&from("items", &with("http://127.0.0.1:1")), "does not answer");
    world.refused(&from("items", &with("http://u:p@h")), "belong in the configuration");
    let taken = format!(" WITH ({property}='{url}', TABLE='items_olap')");
    world.refused(&from("events", &taken), "already");
    let own = format!("http://127.0.0.1:{}", world.launch.port);
    world.refused(&from("items", &with(&own)), "is no");
    let topics = world.run("SHOW TOPICS;").to_string();
    assert!(!topics.contains("X_OLAP"), "nothing is left of what was refused: {topics}");
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn pinot_is_equal_to_the_model() {
    let pinot = Pinot::start().expect("a Pinot");
    let run = format!("pinot-{}", std::process::id());
    let mut world = World::start("pinot");
    world.run(&sources(&run));
    let url = pinot.url();
    for (sink, source) in
        [("items_olap", "items_now"), ("events_olap", "events"), ("sessions_olap", "sessions")]
    {
        let with = format!("CONTROLLER='{url}', KAFKA_TOPIC='{run}-{sink}'");
        world.run(&format!("CREATE SINK {sink} FOR PINOT FROM {source} WITH ({with});"));
    }
    refusals(&world, &url, "CONTROLLER", "PINOT");
    let (items, events) = change(&mut world, &run);
    check_pulls(&world, &items, &events);
    let rows_of = |sink: &str| pinot.query(&world.current_rows(sink)).map(rows);
    await_equal("Pinot: table", &items.in_pinot(), || rows_of("items_olap"));
    let nulls = "SELECT COUNT(*) FROM items_olap WHERE \"_deleted\" = false AND \"b\" IS NULL";
    let nulls = pinot.query(nulls).expect("an answer");
    assert_eq!(nulls, [[Value::from(items.nulls())]]);
    await_equal("Pinot: sessions", &events.sessions(), || rows_of("sessions_olap"));
    await_equal("Pinot: stream", &events.rows(), || rows_of("events_olap"));
    ["items_olap", "events_olap", "sessions_olap"].iter().for_each(|s| world.await_caught_up(s));

    world.refused("DROP SINK items_olap DELETE TOPIC;", "DELETE TABLE");
    world.refused("DROP TABLE items_now;", "read from this source");
    world.run("DROP SINK items_olap DELETE TABLE DELETE TOPIC;");
    assert!(pinot.query("SELECT * FROM items_olap LIMIT 1").is_err(), "the table is gone");
    let with = format!("CONTROLLER='{url}', KAFKA_TOPIC='{run}-items_olap'");
    world.run(&format!("CREATE SINK items_olap FOR PINOT FROM items_now WITH ({with});"));
    await_equal("Pinot: table, made anew", &items.in_pinot(), || rows_of("items_olap"));
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn druid_is_equal_to_the_model() {
    let druid = Druid::start().expect("a Druid");
    let run = format!("druid-{}", std::process::id());
    let mut world = World::start("druid");
    world.run(&sources(&run));
    let url = druid.url();
    for (sink, source) in
        [("items_olap", "items_now"), ("events_olap", "events"), ("sessions_olap", "sessions")]
    {
        let with =
            format!("ROUTER='{url}', KAFKA_TOPIC='{run}-{sink}', SEGMENT_GRANULARITY='YEAR'");
        world.run(&format!("CREATE SINK {sink} FOR DRUID FROM {source} WITH ({with});"));
    }
    refusals(&world, &url, "ROUTER", "DRUID");
    let (items, events) = change(&mut world, &run);
    check_pulls(&world, &items, &events);
    let rows_of = |sink: &str| druid.query(&world.current_rows(sink)).map(rows);
    await_equal("Druid: table", &items.in_druid(), || rows_of("items_olap"));
    await_equal("Druid: sessions", &events.sessions(), || rows_of("sessions_olap"));
    await_equal("Druid: stream", &events.rows(), || rows_of("events_olap"));
    ["items_olap", "events_olap", "sessions_olap"].iter().for_each(|s| world.await_caught_up(s));

    world.run("DROP SINK events_olap DELETE TABLE DELETE TOPIC;");
    let gone = Instant::now();
    while druid.query("SELECT COUNT(*) FROM events_olap").is_ok() {
        assert!(gone.elapsed() < EQUAL_TIME_MAX, "the rows are gone");
        std::thread::sleep(LOOK);
    }
}
