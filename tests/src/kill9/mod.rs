//! Kills a server on a real Kafka again and again while input arrives, and compares what readers
//! of committed records see with an independent answer.

pub mod brokers;
pub mod http;
pub mod input;
pub mod oracle;
pub mod output;
pub mod pair;
pub mod random;
pub mod server;
pub mod topics;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::input::{Committed, Feeding, Input, key_text};
use self::oracle::{Oracle, Verdict};
use self::output::Output;
use self::random::Random;
use self::server::{Launch, Server};
use self::topics::Topics;
use crate::rig::Kafka;
use crate::rig::process::free_ports;

const PAUSE_MEAN: Duration = Duration::from_millis(1200);
const PAUSE_MIN: Duration = Duration::from_millis(300);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// A commit that was under way at the kill is over then.
const SETTLING: Duration = Duration::from_millis(100);
/// The server takes statements within this time after its start.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
/// Error code of a server that has no log yet.
const NOT_READY: &str = "50302";
/// Each query commits within this time after a restart.
const PROGRESS_TIME_MAX: Duration = Duration::from_secs(90);
/// The output is complete within this time after the end of the input.
const COMPLETE_TIME_MAX: Duration = Duration::from_secs(120);
/// How long the output is read on when it is complete, for what comes too often.
const AFTERMATH: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(200);

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub kills: usize,
    pub seed: u64,
    pub mutant: Option<&'static str>,
    /// Commit interval of the server, in milliseconds.
    pub commit_ms: u32,
}

/// What came out of it.
#[derive(Debug, Default)]
pub struct Summary {
    pub kills: usize,
    /// Kills that hit an open transaction.
    pub open: usize,
    pub verdict: Verdict,
    pub events: usize,
    pub aborted: u64,
}

/// A server under test, its input and its output.
pub struct Trial {
    plan: Plan,
    launch: Launch,
    random: Random,
    topics: Topics,
    committed: Arc<Mutex<Committed>>,
    output: Output,
    server: Option<Server>,
    /// The input is one or the other: arriving, or at rest.
    feeding: Option<Feeding>,
    input: Option<Input>,
    /// Servers started so far.
    runs: usize,
    /// When the topics were made.
    born: Instant,
    _dir: tempfile::TempDir,
}

impl Trial {
    /// Makes the topics, starts the server and its queries, and lets input arrive.
    ///
    /// # Errors
    /// What does not work, and what the server says about it.
    pub fn begin(bootstrap: &str, plan: Plan) -> Result<Self, String> {
        let run = format!("kill9-{}-{:x}", std::process::id(), plan.seed);
        let topics = Topics::new(&run);
        topics.create(bootstrap)?;
        let input = Input::connect(bootstrap, &topics, plan.seed)?;
        input.preload()?;
        let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
        let launch = Launch {
            bootstrap: bootstrap.to_owned(),
            port: free_ports(1)?[0],
            service_id: format!("{run}_"),
            dir: dir.path().to_owned(),
            mutant: plan.mutant,
            commit_ms: plan.commit_ms,
        };
        let mut trial = Trial {
            launch,
            random: Random::new(plan.seed ^ 1),
            committed: input.committed(),
            output: Output::read(bootstrap, &topics)?,
            topics,
            server: None,
            feeding: None,
            input: None,
            runs: 0,
            born: Instant::now(),
            _dir: dir,
            plan,
        };
        trial.start()?;
        trial.create_queries()?;
        trial.feeding = Some(input.feed());
        Ok(trial)
    }

    /// Kills the server as often as planned; stops early when the output is certainly wrong.
    ///
    /// # Errors
    /// A query makes no progress between two kills, or a server does not start.
    pub fn kill(&mut self) -> Result<Summary, String> {
        let mut summary = Summary::default();
        self.await_progress()?;
        while summary.kills < self.plan.kills {
            std::thread::sleep(self.random.pause(PAUSE_MEAN, PAUSE_MIN, PAUSE_MAX));
            if !self.server.as_ref().is_some_and(Server::runs) {
                return Err(format!("the server ended by itself; {}", self.log()));
            }
            if let Some(server) = self.server.take() {
                server.kill9();
            }
            summary.kills += 1;
            std::thread::sleep(SETTLING);
            summary.open += usize::from(self.output.is_open(&self.launch.service_id)?);
            self.start()?;
            self.await_progress()?;
            summary.verdict = Verdict::certain(&self.output.seen());
            if !summary.verdict.is_right() {
                break;
            }
        }
        Ok(summary)
    }

    /// Stops the input, waits for the rest of the output and judges all of it.
    ///
    /// # Errors
    /// The input failed.
    pub fn finish(&mut self, summary: &mut Summary) -> Result<(), String> {
        self.stop_input()?;
        summary.verdict = self.judge();
        let committed = self.committed.lock();
        (summary.events, summary.aborted) = (committed.events.len(), committed.aborted);
        Ok(())
    }

    /// Starts the server on an emptied state directory and feeds it again for `feed`.
    ///
    /// # Errors
    /// It does not go on, or a pull query gives something else than expected.
    pub fn restore(&mut self, feed: Duration) -> Result<Verdict, String> {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        std::fs::remove_dir_all(self.launch.state_dir())
            .map_err(|e| format!("cannot empty the state directory: {e}"))?;
        self.start()?;
        self.check_pulls()?;
        self.feeding = self.input.take().map(Input::feed);
        self.await_progress()?;
        std::thread::sleep(feed);
        self.stop_input()?;
        let verdict = self.judge();
        self.check_pulls()?;
        Ok(verdict)
    }

    /// Lets the server die in an open transaction and the broker with it, brings the broker back after
    /// `down`, longer than the transaction's time-out, and goes on. Whether the transaction was open.
    ///
    /// # Errors
    /// It does not go on.
    pub fn crash_with_broker(&mut self, kafka: &Kafka, down: Duration) -> Result<bool, String> {
        self.await_progress()?;
        std::thread::sleep(self.random.pause(PAUSE_MEAN, PAUSE_MIN, PAUSE_MAX));
        // The input must not fail with the broker; what it brought last is still uncommitted.
        self.stop_input()?;
        if let Some(server) = self.server.take() {
            server.kill9();
        }
        let open = self.output.is_open(&self.launch.service_id)?;
        kafka.kill9(0);
        std::thread::sleep(down);
        kafka.revive(0)?;
        self.start()?;
        self.feeding = self.input.take().map(Input::feed);
        self.await_progress()?;
        Ok(open)
    }

    /// Rows that are certainly wrong.
    pub fn certain(&self) -> Verdict {
        Verdict::certain(&self.output.seen())
    }

    /// How old the topics are at least.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Where the output stands, and the end of the server's log.
    pub fn log(&self) -> String {
        format!("{}; {}", self.output.waits(), self.launch.log_tail(self.runs))
    }

    fn start(&mut self) -> Result<(), String> {
        self.runs += 1;
        self.server = Some(self.launch.start(self.runs)?);
        Ok(())
    }

    /// Runs the statements as soon as the server takes any.
    fn create_queries(&self) -> Result<(), String> {
        let until = Instant::now() + READY_TIME_MAX;
        loop {
            match http::ksql(self.launch.port, &self.topics.statements()) {
                Ok(_) => return Ok(()),
                Err(e) if e.contains(NOT_READY) && Instant::now() < until => {
                    std::thread::sleep(LOOK);
                }
                Err(e) => return Err(format!("{e}; {}", self.log())),
            }
        }
    }

    fn stop_input(&mut self) -> Result<(), String> {
        let feeding = self.feeding.take().ok_or("there is no input")?;
        self.input = Some(feeding.stop()?);
        Ok(())
    }

    /// Waits until each query has committed something new.
    fn await_progress(&self) -> Result<(), String> {
        let before = self.output.committed_ends()?;
        let until = Instant::now() + PROGRESS_TIME_MAX;
        loop {
            let missing = self.output.without_progress(&before);
            if missing.is_empty() {
                return Ok(());
            }
            if !self.feeding.as_ref().is_some_and(Feeding::runs) {
                return Err("the input ended by itself".to_owned());
            }
            if Instant::now() > until {
                let seconds = PROGRESS_TIME_MAX.as_secs();
                let topics = missing.join(", ");
                return Err(format!("nothing new in {topics} for {seconds} s; {}", self.log()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until the output is as it should be, or too long, then a little more.
    fn judge(&self) -> Verdict {
        let oracle = Oracle::of(&self.committed.lock());
        let until = Instant::now() + COMPLETE_TIME_MAX;
        while Instant::now() < until {
            let seen = self.output.seen();
            if oracle.judge(&seen).is_right() || !Verdict::certain(&seen).is_right() {
                break;
            }
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(AFTERMATH);
        oracle.judge(&self.output.seen())
    }

    /// Pull queries of some keys against the oracle.
    fn check_pulls(&self) -> Result<(), String> {
        let oracle = Oracle::of(&self.committed.lock());
        for key in (0..input::KEYS).step_by(17).map(key_text) {
            let want = oracle.counts_of(&key);
            let until = Instant::now() + PROGRESS_TIME_MAX;
            loop {
                let got = self.pull_counts(&key);
                if got.as_ref() == Ok(&want) {
                    break;
                }
                if Instant::now() > until {
                    let log = self.log();
                    return Err(format!("pull of {key}: {got:?} instead of {want:?}; {log}"));
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    fn pull_counts(&self, key: &str) -> Result<Vec<(i64, u64)>, String> {
        let sql = format!("SELECT windowstart, n FROM counts WHERE k = '{key}';");
        let rows = http::pull(self.launch.port, &sql)?;
        let pair = |row: &Vec<serde_json::Value>| {
            let (start, count) = (row.first()?.as_i64()?, row.get(1)?.as_u64()?);
            Some((start, count))
        };
        let mut counts: Vec<(i64, u64)> = rows.iter().filter_map(pair).collect();
        counts.sort_unstable();
        Ok(counts)
    }
}
