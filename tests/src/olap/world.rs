//! Millrace between a Kafka and a target; each of them can be killed.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::kinds::{KINDS, Kind, Who, kinds, queries, sources};
use super::model::{Model, Topics};
use super::source::{Feeding, Source};
use super::target::Target;
use super::{EQUAL_TIME_MAX, LOOK, Rows, await_equal, rows};
use crate::kill9::http::{get, ksql, pull};
use crate::kill9::random::Random;
use crate::kill9::server::{Launch, Server};
use crate::rig::Kafka;
use crate::rig::process::free_ports;

/// Commit interval of the server, in milliseconds.
const COMMIT_MS: u32 = 100;
/// A kill comes after that part of its share of the changes, in percent.
const PART_MAX: u64 = 80;

/// How large a run is.
#[derive(Debug, Clone)]
pub struct Plan {
    pub changes: usize,
    pub kills: usize,
    /// How long the target is away once.
    pub down: Duration,
    pub seed: u64,
}

/// Who is killed, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Millrace,
    Broker,
    Target,
}

const VICTIMS: [Victim; 3] = [Victim::Millrace, Victim::Broker, Victim::Target];

/// A server, its Kafka and its target.
pub struct World {
    pub target: Target,
    pub run: String,
    pub topics: Topics,
    launch: Launch,
    server: Option<Server>,
    runs: usize,
    kafka: Kafka,
    _dir: tempfile::TempDir,
}

impl World {
    /// # Errors
    /// Kafka or Millrace does not start.
    pub fn start(target: Target) -> Result<World, String> {
        let kafka = Kafka::start(1)?;
        let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
        let system = target.system().to_ascii_lowercase();
        let run = format!("{system}-{}", std::process::id());
        let launch = Launch {
            bootstrap: kafka.bootstrap.clone(),
            port: free_ports(1)?[0],
            service_id: format!("olap-{run}_"),
            dir: dir.path().to_owned(),
            mutant: None,
            commit_ms: COMMIT_MS,
        };
        let topics = Topics::new(&run);
        let mut world =
            World { target, run, topics, launch, server: None, runs: 0, kafka, _dir: dir };
        world.boot()?;
        Ok(world)
    }

    /// Starts the server and waits until it takes statements.
    fn boot(&mut self) -> Result<(), String> {
        self.runs += 1;
        self.server = Some(self.launch.start(self.runs)?);
        let start = Instant::now();
        loop {
            let health = get(self.launch.port, "/healthcheck");
            if health.as_ref().is_ok_and(|health| health["isHealthy"] == true) {
                return Ok(());
            }
            if start.elapsed() > EQUAL_TIME_MAX {
                return Err(format!("not healthy: {health:?}; {}", self.log()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The end of the server's log.
    pub fn log(&self) -> String {
        self.launch.log_tail(self.runs)
    }

    /// # Errors
    /// What the server refuses.
    pub fn sql(&self, sql: &str) -> Result<Value, String> {
        ksql(self.launch.port, sql).map_err(|why| format!("{sql}: {why}"))
    }

    /// # Errors
    /// A statement is taken, or refused for another reason.
    pub fn refused(&self, sql: &str, part: &str) -> Result<(), String> {
        match ksql(self.launch.port, sql) {
            Err(why) if why.contains(part) => Ok(()),
            Err(why) => Err(format!("{sql}: instead of \"{part}\": {why}")),
            Ok(_) => Err(format!("{sql} was not refused")),
        }
    }

    /// The rows of a pull query.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn pull(&self, sql: &str) -> Result<Rows, String> {
        pull(self.launch.port, sql).map(rows)
    }

    /// Addresses of the brokers.
    pub fn bootstrap(&self) -> &str {
        &self.kafka.bootstrap
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.launch.port
    }

    /// Makes all sources, writes what has to be there first, and makes queries and sinks.
    ///
    /// # Errors
    /// What is refused.
    pub fn prepare(&self, seed: u64) -> Result<Source, String> {
        self.sql(&sources(&self.topics))?;
        let source = Source::connect(&self.kafka.bootstrap, self.topics.clone(), seed)?;
        self.sql(&queries())?;
        let start = Instant::now();
        for kind in self.kinds() {
            self.create_sink(kind)?;
        }
        println!("{} sinks made after {:.1?}", self.kinds().count(), start.elapsed());
        Ok(source)
    }

    /// The sinks that this target has.
    pub fn kinds(&self) -> impl Iterator<Item = &'static Kind> + use<> {
        kinds(self.target.who())
    }

    /// # Errors
    /// What is refused.
    pub fn create_sink(&self, kind: &Kind) -> Result<(), String> {
        let (system, property) = (self.target.system(), self.target.property());
        let (sink, source, url) = (kind.sink(), kind.source, self.target.url());
        let (further, topic) = (self.target.further(kind.sums), self.topic(&sink));
        self.sql(&format!(
            "CREATE SINK {sink} FOR {system} FROM {source} WITH ({property}='{url}', \
             KAFKA_TOPIC='{topic}'{further});"
        ))?;
        Ok(())
    }

    /// A sink's topic.
    pub fn topic(&self, sink: &str) -> String {
        format!("{}-{sink}", self.run)
    }

    /// Lets changes arrive while everything is killed in turn.
    ///
    /// # Errors
    /// Something does not come back, or the input fails.
    pub fn run(&mut self, source: Source, plan: &Plan) -> Result<Source, String> {
        let feeding = source.start();
        let killed = self.kill_all(&feeding, plan);
        // Why the input failed says more than that it did.
        let source = feeding.stop()?;
        killed.map(|()| source)
    }

    fn kill_all(&mut self, feeding: &Feeding, plan: &Plan) -> Result<(), String> {
        let random = Random::new(plan.seed ^ 1);
        let start = Instant::now();
        let share = plan.changes / (plan.kills + 1);
        let mut down = Some(plan.down);
        for kill in 0..plan.kills {
            feeding.allow(share * (kill + 1));
            let part = random.below(PART_MAX) as usize;
            feeding.await_sent(share * kill + share * part / 100)?;
            let victim = VICTIMS[kill % VICTIMS.len()];
            self.kill(victim, feeding, &mut down)
                .map_err(|why| format!("kill {}, {victim:?}: {why}", kill + 1))?;
            println!(
                "kill {} of {}: {victim:?}, back after {:.0?}, {} changes sent",
                kill + 1,
                plan.kills,
                start.elapsed(),
                feeding.sent()
            );
        }
        feeding.allow(plan.changes);
        feeding.await_sent(plan.changes)
    }

    fn kill(
        &mut self,
        victim: Victim,
        feeding: &Feeding,
        down: &mut Option<Duration>,
    ) -> Result<(), String> {
        match victim {
            Victim::Millrace => {
                self.server.take().ok_or("there is no server")?.kill9();
                self.boot()
            }
            Victim::Broker if !self.kafka.is_ours() => Ok(()),
            Victim::Broker => {
                self.kafka.kill9(0);
                self.kafka.revive(0)
            }
            Victim::Target => {
                self.target.kill9();
                if let Some(down) = down.take() {
                    std::thread::sleep(down);
                    println!("the target was away for {down:?}, {} changes sent", feeding.sent());
                }
                self.target.boot()
            }
        }
    }

    /// Whether the broker can be killed.
    pub fn has_own_broker(&self) -> bool {
        self.kafka.is_ours()
    }

    /// The target's own SQL for a sink's rows.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn current_rows(&self, sink: &str) -> Result<String, String> {
        let described = self.sql(&format!("DESCRIBE SINK {sink};"))?;
        let sql = described[0]["sinkDescription"]["currentRowsQuery"].as_str();
        Ok(sql.ok_or_else(|| format!("no query in {described}"))?.to_owned())
    }

    /// Compares what pull queries give, and the target, with the model.
    ///
    /// # Errors
    /// They stay different: where.
    pub fn check(&self, model: &Model) -> Result<(), String> {
        for kind in &KINDS {
            let sql = format!("SELECT {} FROM {};", kind.columns, kind.source);
            let expected = (kind.expected)(model, Who::Pull);
            await_equal(&format!("pull, {}", kind.what), &expected, || self.pull(&sql))?;
        }
        self.kinds().try_for_each(|kind| self.check_target(kind, model))
    }

    /// Compares the target's rows of one sink with the model.
    ///
    /// # Errors
    /// They stay different: where.
    pub fn check_target(&self, kind: &Kind, model: &Model) -> Result<(), String> {
        let expected = (kind.expected)(model, self.target.who());
        let sql = self.current_rows(&kind.sink())?;
        let what = format!("{}, {}", self.target.system(), kind.what);
        await_equal(&what, &expected, || self.target.query(&sql).map(rows)).map_err(|why| {
            let described = self.sql(&format!("DESCRIBE SINK {};", kind.sink()));
            format!("{why}\n{described:?}\n{}", self.log())
        })
    }

    /// Waits until a sink runs and has read all.
    ///
    /// # Errors
    /// It does not get there.
    pub fn await_caught_up(&self, sink: &str) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let described = self.sql(&format!("DESCRIBE SINK {sink};"))?;
            let status = &described[0]["sinkDescription"];
            if status["state"] == "RUNNING" && status["lag"] == 0 {
                return Ok(());
            }
            if start.elapsed() > EQUAL_TIME_MAX {
                return Err(format!("{sink} has not caught up: {status}"));
            }
            std::thread::sleep(LOOK);
        }
    }
}
