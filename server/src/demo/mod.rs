//! `millrace demo`: a week of flights, replayed through the embedded log or a Kafka.

mod feed;
mod frame;
mod screen;
mod sinks;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_engine::api::Api;
use millrace_engine::ids::Timestamp;
use millrace_engine::log::Record;
use serde_json::{Map, json};
use tokio::net::TcpListener;

use crate::cli::exit;
use crate::config::{Config, ConfigBuilder};
use crate::http;
use crate::http::state::Server;
use crate::serve;
use crate::statements::{self, Session};
use crate::terminal::{errln, outln};
use feed::Event;
use screen::{Progress, Screen};
use sinks::Target;

const SQL: &str = include_str!("../../demo/flights.sql");
/// Lanes, and partitions of the topics in `flights.sql`.
const LANES: u32 = 2;
/// Address unless it is taken or another is asked for.
const LISTEN: &str = "127.0.0.1:8088";
/// Time between two batches of the replay, and between two frames.
const TICK: Duration = Duration::from_millis(100);
const FRAME: Duration = Duration::from_millis(500);
/// After the replay, the last results are waited for that long.
const SETTLE: Duration = Duration::from_secs(15);
/// The engine is ready long before.
const BOOT: Duration = Duration::from_secs(30);
const DAY_MS: i64 = 86_400_000;

/// Topics that the week is written to.
const INPUTS: [&str; 3] = ["departures", "arrivals", "airlines"];

/// Arguments of `millrace demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// How many times faster than the flights flew; 15000 is a week in 40 seconds
    #[arg(long, value_name = "N", default_value = "15000")]
    pace: u32,
    /// Address to serve on [default: 127.0.0.1:8088, or a free port]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Keep state here and find it again [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Kafka brokers to run on [default: a log of its own, in the state directory]
    #[arg(long, value_name = "HOST:PORT,...")]
    bootstrap_servers: Option<String>,
    /// Controller of a Pinot that is to show the results, too; needs --bootstrap-servers
    #[arg(long, value_name = "URL")]
    pinot: Option<String>,
    /// Router of a Druid that is to show the results, too; needs --bootstrap-servers
    #[arg(long, value_name = "URL")]
    druid: Option<String>,
}

/// Runs the demo until Ctrl-C; the exit code.
pub fn run(args: &DemoArgs) -> u8 {
    let temporary = std::env::temp_dir().join(format!("millrace-demo-{}", std::process::id()));
    let dir = args.state_dir.clone().unwrap_or_else(|| temporary.clone());
    let outcome = targets(args).and_then(|targets| {
        let config = config(&dir, args.bootstrap_servers.as_deref())?;
        serve::runtime()?.block_on(demo(args, config, targets))
    });
    if args.state_dir.is_none() {
        // Left behind when it cannot be removed: it is in the temporary directory.
        let _ = std::fs::remove_dir_all(&temporary);
    }
    match outcome {
        Ok(()) => exit::FINE,
        Err(e) => {
            errln!("error: {e}");
            exit::FAILED
        }
    }
}

fn targets(args: &DemoArgs) -> Result<Vec<Target>, String> {
    let has_kafka = args.bootstrap_servers.is_some();
    sinks::targets(args.pinot.as_deref(), args.druid.as_deref(), has_kafka)
}

fn config(dir: &std::path::Path, bootstrap_servers: Option<&str>) -> Result<Config, String> {
    let mut builder = ConfigBuilder::default();
    builder.flag("bootstrap.servers", bootstrap_servers);
    builder.flag("millrace.state.dir", dir.to_str());
    builder.flag("ksql.service.id", Some("demo_"));
    builder.flag("millrace.lanes", Some(&LANES.to_string()));
    builder.flag("auto.offset.reset", Some("earliest"));
    // A minute of the replay passes in milliseconds: results should follow.
    builder.flag("commit.interval.ms", Some("200"));
    builder.build()
}

async fn demo(args: &DemoArgs, mut config: Config, targets: Vec<Target>) -> Result<(), String> {
    let listener = listen(args).await?;
    config.listen = serve::local_address(&listener)?.to_string();
    let url = format!("http://{}", config.listen);
    let api = serve::engine(&config).await?;
    let host = config.listen.clone();
    let server = Server::new(Arc::clone(&api), config, host);
    let stopped = Arc::new(AtomicBool::new(false));
    let serving = tokio::spawn(http::serve(listener, Arc::clone(&server), serve::stop_signal()));
    let pace = i64::from(args.pace.max(1));
    let replaying = {
        let (server, stopped) = (Arc::clone(&server), Arc::clone(&stopped));
        tokio::task::spawn_blocking(move || {
            let replayed = replay(&server, &targets, pace, &stopped);
            if replayed.is_ok() && !stopped.load(Ordering::Acquire) {
                let further = sinks::next_steps(server.api.as_ref(), &targets);
                outln!("{}", next_steps(&url, &further));
            }
            replayed
        })
    };
    let abort = replaying.abort_handle();
    let outcome = tokio::select! {
        replayed = replaying => match replayed {
            Ok(Ok(())) => serving.await.map_err(|e| e.to_string()),
            Ok(Err(e)) => Err(e),
            Err(e) => Err(format!("the replay failed: {e}")),
        },
        () = serve::stop_signal() => Ok(()),
    };
    stopped.store(true, Ordering::Release);
    abort.abort();
    outln!("\nshutting down");
    serve::shutdown(api).await;
    outcome
}

async fn listen(args: &DemoArgs) -> Result<TcpListener, String> {
    match &args.listen {
        Some(address) => serve::listen(address).await,
        None => match serve::listen(LISTEN).await {
            Ok(listener) => Ok(listener),
            Err(_) => serve::listen("127.0.0.1:0").await,
        },
    }
}

/// Makes streams and tables, then feeds the week. Blocks.
fn replay(
    server: &Server,
    targets: &[Target],
    pace: i64,
    stopped: &AtomicBool,
) -> Result<(), String> {
    let api = server.api.as_ref();
    let events = feed::events()?;
    await_health(api, stopped)?;
    let first = events.first().map_or(0, |e| e.record.timestamp.0);
    let found = api.catalog().source("HOURLY_DEPARTURES").is_some();
    if !found {
        refuse_foreign_topics(api)?;
        setup(server, first - DAY_MS)?;
    }
    sinks::create(server, targets)?;
    if found && !screen::pull(api, "SELECT flights FROM airline_delays;").is_empty() {
        outln!("Found the state of an earlier run: nothing is replayed again.");
        return Ok(());
    }
    let mut screen = Screen::new();
    let (started, mut drawn, mut sent) = (Instant::now(), Instant::now(), 0);
    while sent < events.len() && !stopped.load(Ordering::Acquire) {
        let now_ms = first + started.elapsed().as_millis() as i64 * pace;
        let due = events[sent..].partition_point(|e| e.record.timestamp.0 <= now_ms);
        send(api, &events[sent..sent + due])?;
        sent += due;
        if drawn.elapsed() >= FRAME {
            screen.show(api, Progress { now_ms, sent, total: events.len() }, false);
            drawn = Instant::now();
        }
        std::thread::sleep(TICK);
    }
    let now_ms = events.last().map_or(0, |e| e.record.timestamp.0);
    let progress = Progress { now_ms, sent, total: events.len() };
    settle(api, &events, &mut screen, progress, stopped);
    Ok(())
}

/// Waits until the engine takes statements.
fn await_health(api: &dyn Api, stopped: &AtomicBool) -> Result<(), String> {
    let until = Instant::now() + BOOT;
    loop {
        let health = api.health();
        if health.metastore && health.log && health.command_runner {
            return Ok(());
        }
        if Instant::now() > until || stopped.load(Ordering::Acquire) {
            return Err(format!("the engine is not ready: {}", health.reasons.join("; ")));
        }
        std::thread::sleep(TICK);
    }
}

/// The demo writes into no topic that it has not made.
fn refuse_foreign_topics(api: &dyn Api) -> Result<(), String> {
    let topics = api.topics().map_err(|e| {
        format!("the topics are not known: {}", http::error::HttpError::from_api("", e).message)
    })?;
    match topics.iter().find(|topic| INPUTS.contains(&topic.name.as_str())) {
        Some(topic) => Err(format!(
            "the cluster has a topic {} already, which the demo would write into; use another \
             cluster, or delete the topic if it is left over from a demo",
            topic.name
        )),
        None => Ok(()),
    }
}

fn setup(server: &Server, before_ms: i64) -> Result<(), String> {
    let session = Session::new(&server.config.session, &Map::new(), &Map::new());
    let session = session.map_err(|e| e.message)?;
    statements::run(server, SQL, session)
        .map_err(|e| format!("flights.sql: {}\n{}", e.message, json!(e.statement)))?;
    let airlines = feed::airlines(Timestamp(before_ms))?;
    load(server.api.as_ref(), "airlines", airlines)
}

fn send(api: &dyn Api, due: &[Event]) -> Result<(), String> {
    for topic in ["departures", "arrivals"] {
        let of_topic = due.iter().filter(|e| e.topic == topic);
        let records: Vec<Record> = of_topic.map(|e| e.record.clone()).collect();
        if !records.is_empty() {
            load(api, topic, records)?;
        }
    }
    Ok(())
}

fn load(api: &dyn Api, topic: &str, records: Vec<Record>) -> Result<(), String> {
    api.load(topic, records).map_err(|e| {
        let error = http::error::HttpError::from_api("", e);
        format!("cannot write to topic {topic}: {}", error.message)
    })
}

/// Waits until every flight has been counted, within reason, and draws the last state.
fn settle(
    api: &dyn Api,
    events: &[Event],
    screen: &mut Screen,
    progress: Progress,
    stopped: &AtomicBool,
) {
    let until = Instant::now() + SETTLE;
    let of = |topic: &str| events.iter().filter(|e| e.topic == topic).count();
    let counted = |sql: &str| -> usize {
        screen::pull(api, sql).iter().flatten().filter_map(|c| c.parse::<usize>().ok()).sum()
    };
    while Instant::now() < until && !stopped.load(Ordering::Acquire) {
        if counted("SELECT flights FROM airline_delays;") >= of("departures")
            && counted("SELECT landed FROM landings;") >= of("arrivals")
        {
            break;
        }
        std::thread::sleep(FRAME);
        screen.show(api, progress, false);
    }
    screen.show(api, progress, true);
}

fn next_steps(url: &str, further: &str) -> String {
    // After `make demo` the binary is in no PATH.
    let millrace = std::env::args().next().unwrap_or_else(|| "millrace".to_string());
    format!(
        r#"
The week is over; the server stays up at {url}. Try in another terminal:

  a pull query, answered from the state:
    curl -s {url}/query -d '{{"ksql": "SELECT * FROM airline_delays;"}}'

  a push query in the shell, which follows every change (Ctrl-C ends it):
    {millrace} cli {url} -e "SELECT * FROM trips EMIT CHANGES LIMIT 20;"

  the plan of a query, in the shell:
    {millrace} cli {url}        then        SHOW QUERIES;  EXPLAIN <Query ID>;{further}

Ctrl-C here stops the server."#
    )
}
