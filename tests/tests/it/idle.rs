//! What idle queries cost: measured, not estimated (`cargo test ... idle -- --ignored --nocapture`).

use std::path::Path;
use std::time::Duration;

use millrace_tests::kill9::http;
use millrace_tests::kill9::server::{Launch, Server};
use millrace_tests::local::await_some;
use millrace_tests::rig::Kafka;
use millrace_tests::rig::process::free_ports;
use serde_json::Value;

const QUERIES: usize = 200;
/// CPU time that all of them may cost in a second.
const CPU_MS_MAX: f64 = 10.0;
/// Memory that each may cost.
const MIB_MAX: f64 = 2.0;
const MEASURED: Duration = Duration::from_secs(60);
const SETTLED: Duration = Duration::from_secs(20);
/// Ticks of `/proc/<pid>/stat` in a second, on every Linux that we know.
const TICKS: f64 = 100.0;

/// CPU time of a process in seconds.
fn cpu_s(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).map(|t| t.parse::<f64>().expect("ticks")).sum();
    ticks / TICKS
}

/// Memory of a process in MiB.
fn rss_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<f64>().expect("a number") / 1024.0
}

/// CPU milliseconds a second over a minute, and memory at its end.
fn measure(server: &Server) -> (f64, f64) {
    std::thread::sleep(SETTLED);
    let before = cpu_s(server.pid());
    std::thread::sleep(MEASURED);
    let cpu = (cpu_s(server.pid()) - before) * 1000.0 / MEASURED.as_secs_f64();
    (cpu, rss_mib(server.pid()))
}

fn check(name: &str, bootstrap: &str, dir: &Path) {
    let launch = Launch {
        bootstrap: bootstrap.to_owned(),
        port: free_ports(1).expect("a port")[0],
        service_id: "idle_".to_owned(),
        dir: dir.to_owned(),
        mutant: None,
        commit_ms: 1000,
    };
    let server = launch.start(1).expect("a server");
    let run = |sql: &str| http::ksql(launch.port, sql);
    await_some("statements", || {
        let health = http::get(launch.port, "/healthcheck");
        let healthy = health.as_ref().is_ok_and(|h| h["isHealthy"] == Value::Bool(true));
        if healthy { Ok(()) } else { Err(health) }
    });
    let source = "CREATE STREAM s (k VARCHAR KEY, v BIGINT) \
                  WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);";
    run(source).expect("a stream");
    let (cpu_none, mib_none) = measure(&server);
    println!("{name}, no query: {cpu_none:.1} ms CPU a second, {mib_none:.0} MiB");
    for i in 0..QUERIES {
        let sql = match i % 2 {
            0 => format!("CREATE TABLE t{i} AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;"),
            _ => format!("CREATE STREAM t{i} AS SELECT k, v + {i} AS w FROM s;"),
        };
        run(&sql).unwrap_or_else(|e| panic!("query {i}: {e}; {}", launch.log_tail(1)));
    }
    run("INSERT INTO s (k, v) VALUES ('a', 1);").expect("a row");
    let (cpu, mib) = measure(&server);
    let (cpu_more, mib_each) = (cpu - cpu_none, (mib - mib_none) / QUERIES as f64);
    println!(
        "{name}, {QUERIES} queries: {cpu:.1} ms CPU a second, {mib:.0} MiB: {cpu_more:.1} ms more, \
         {mib_each:.2} MiB each"
    );
    server.stop();
    assert!(mib_each < MIB_MAX, "{mib_each:.2} MiB a query");
    assert!(cpu_more < CPU_MS_MAX, "{cpu_more:.1} ms CPU a second more");
}

#[test]
#[ignore = "takes three minutes, and wants a machine of its own"]
fn idle_queries_are_cheap_on_the_embedded_log() {
    let dir = tempfile::tempdir().expect("a folder");
    check("embedded", "", dir.path());
}

#[test]
#[ignore = "takes five minutes, and wants a machine of its own"]
fn idle_queries_are_cheap_on_kafka() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let dir = tempfile::tempdir().expect("a folder");
    check("Kafka", &kafka.bootstrap, dir.path());
}
