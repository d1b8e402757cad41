//! What an operator gets wrong, or what fails under a server: each is said in one line, with what,
//! where, why and what to do; and nothing that can wait ends the server.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use millrace_tests::kill9::http;
use millrace_tests::kill9::server::{Launch, binary};
use millrace_tests::rig::Kafka;
use millrace_tests::rig::process::{Guarded, free_ports};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(200);

/// Runs a server that cannot start; what it says.
fn refused(args: &[&str]) -> String {
    let mut server = Command::new(binary().expect("a server"))
        .arg("server")
        .args(args)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let start = Instant::now();
    while server.try_wait().expect("a process").is_none() {
        if start.elapsed() > Duration::from_secs(20) {
            server.kill().expect("a process");
            panic!("{args:?}: it runs");
        }
        std::thread::sleep(LOOK);
    }
    let output = server.wait_with_output().expect("what it said");
    assert!(!output.status.success(), "{args:?}: it says that all is well");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All parts are in one line that begins with `error:`.
fn check_refused(args: &[&str], parts: &[&str]) {
    let said = refused(args);
    let line = said.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
    for part in parts {
        assert!(line.contains(part), "{args:?}: no {part:?} in {said:?}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().join("state");
    let state = text(&state);
    let free = || format!("127.0.0.1:{}", free_ports(1).expect("a port")[0]);
    let listen = free();

    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = held.local_addr().expect("its address").to_string();
    let args = ["--state-dir", state, "--listen", &taken];
    check_refused(&args, &[&taken, "the port is taken", "--listen"]);

    let config = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("a file");
        text(&path).to_owned()
    };
    let bad = config("bad.properties", "commit.interval.ms=soon\n");
    let args = ["--config", &bad, "--state-dir", state, "--listen", &listen];
    check_refused(&args, &["commit.interval.ms", "soon", "whole number"]);
    let missing = dir.path().join("missing.properties");
    let args = ["--config", text(&missing), "--state-dir", state];
    check_refused(&args, &["missing.properties"]);
    let bad = config("id.properties", "ksql.service.id=a/b c\n");
    check_refused(&["--config", &bad, "--state-dir", state], &["ksql.service.id", "a/b c"]);
    let args = ["--listen", "nowhere", "--state-dir", state];
    check_refused(&args, &["nowhere"]);

    let file = config("file", "");
    check_refused(&["--state-dir", &file, "--listen", &listen], &["state directory", &file]);
    let launch = launch("", dir.path());
    let server = launch.start(1).expect("a server");
    let (dir, other) = (launch.state_dir(), free());
    let args = ["--state-dir", text(&dir), "--listen", &other];
    check_refused(&args, &["state directory", "in use by another process", "--state-dir"]);
    server.stop();
}

/// R2: what was given to lanes by their number does not move.
#[test]
fn another_number_of_lanes_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let launch = launch("", dir.path());
    let first = launch.start(1).expect("a server");
    // It listens before it has made its lanes.
    await_health(launch.port, true, "");
    first.stop();
    let config = dir.path().join("lanes.properties");
    let settings = format!("ksql.service.id={}\nmillrace.lanes=5\n", launch.service_id);
    std::fs::write(&config, settings).expect("a file");
    let listen = format!("127.0.0.1:{}", launch.port);
    let state = launch.state_dir();
    let args =
        ["server", "--config", text(&config), "--state-dir", text(&state), "--listen", &listen];
    let program = binary().expect("a server");
    let args = args.map(str::to_owned);
    let _server = Guarded::start(text(&program), &args, &dir.path().join("again.log"));
    await_health(launch.port, false, "and --lanes or millrace.lanes says 5; leave it out or say");
}

/// A server of its own; no brokers: the embedded log.
fn launch(bootstrap: &str, dir: &Path) -> Launch {
    Launch {
        bootstrap: bootstrap.to_owned(),
        port: free_ports(1).expect("a port")[0],
        service_id: "bad_".to_owned(),
        dir: dir.to_owned(),
        mutant: None,
        commit_ms: 200,
    }
}

/// Waits until `/healthcheck` is as it should be; what it says.
fn await_health(port: u16, healthy: bool, part: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let health = http::get(port, "/healthcheck");
        if let Ok(found) = &health
            && found["isHealthy"] == Value::Bool(healthy)
            && found.to_string().contains(part)
        {
            return found.clone();
        }
        assert!(Instant::now() < until, "waited for {healthy} and {part:?}: {health:?}");
        std::thread::sleep(LOOK);
    }
}

fn await_rows(port: u16, sql: &str, want: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let rows = http::pull(port, sql).map(|rows| Value::from_iter(rows).to_string());
        if rows.as_deref() == Ok(want) {
            return;
        }
        assert!(Instant::now() < until, "{sql}: {rows:?} instead of {want}");
        std::thread::sleep(LOOK);
    }
}

#[test]
fn a_broker_that_is_away_is_waited_for() {
    let kafka = Kafka::start(1).expect("a Kafka");
    if !kafka.is_ours() {
        return println!("an external cluster is not killed: not tested");
    }
    kafka.kill9(0);
    let dir = tempfile::tempdir().expect("a folder");
    let launch = launch(&kafka.bootstrap, dir.path());
    let server = launch.start(1).expect("a server that serves without a broker");
    let health = await_health(launch.port, false, &kafka.bootstrap);
    println!("without a broker: {health}");
    std::thread::sleep(Duration::from_secs(7));
    let said = launch.log(1);
    let lines = said.lines().filter(|line| line.contains("has not answered for")).count();
    assert!(lines >= 2, "a line every few seconds: {said}");
    let refused = http::ksql(launch.port, "SHOW STREAMS;");
    println!("a statement: {refused:?}");

    kafka.revive(0).expect("the broker");
    let start = Instant::now();
    await_health(launch.port, true, "");
    println!("healthy {:?} after the broker came", start.elapsed());
    let sql = "CREATE STREAM s (k VARCHAR KEY, v BIGINT) \
               WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2); \
               CREATE TABLE t AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;";
    http::ksql(launch.port, sql).expect("statements");
    let insert = "INSERT INTO s (k, v) VALUES ('a', 1);";
    http::ksql(launch.port, insert).expect("a row");
    await_rows(launch.port, "SELECT n FROM t WHERE k = 'a';", "[[1]]");

    // Longer than the transaction time-out, so that whatever was open is lost.
    kafka.kill9(0);
    let health = await_health(launch.port, false, "does not answer");
    println!("broker gone: {health}");
    std::thread::sleep(Duration::from_secs(15));
    kafka.revive(0).expect("the broker");
    let start = Instant::now();
    await_health(launch.port, true, "");
    let until = Instant::now() + PATIENCE;
    while let Err(error) = http::ksql(launch.port, insert) {
        assert!(Instant::now() < until, "no row: {error}");
        std::thread::sleep(LOOK);
    }
    await_rows(launch.port, "SELECT n FROM t WHERE k = 'a';", "[[2]]");
    println!("the query went on {:?} after the broker was back", start.elapsed());
    assert!(server.runs());
    server.stop();
}
