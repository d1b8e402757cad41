//! Two servers of one service: who has which lane, and what happens when one of them dies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::server::{Launch, Server};
use super::{LOOK, Summary, Trial, http};
use crate::rig::process::free_ports;

/// Lanes of a service on Kafka.
const LANES: i32 = 8;
const SHARE_TIME_MAX: Duration = Duration::from_secs(60);

/// A trial with a second server.
pub struct Pair {
    pub trial: Trial,
    second: Launch,
    second_server: Option<Server>,
    headers: Headers,
    _dir: tempfile::TempDir,
}

/// The last header of each lane.
struct Headers {
    consumer: BaseConsumer,
    last: BTreeMap<i32, Header>,
}

/// Who wrote the header, and the number of the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    port: u16,
    commit: u64,
}

impl Pair {
    /// Starts the second server beside the trial's.
    ///
    /// # Errors
    /// It does not come up.
    pub fn begin(trial: Trial) -> Result<Self, String> {
        let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
        let port = free_ports(1)?[0];
        let second = Launch { port, dir: dir.path().to_owned(), ..trial.launch.clone() };
        let headers = Headers::read(&second.bootstrap, &second.service_id)?;
        let mut pair = Pair { trial, second, second_server: None, headers, _dir: dir };
        pair.second_server = Some(pair.second.start(1)?);
        Ok(pair)
    }

    /// Ports of the two servers.
    pub fn ports(&self) -> (u16, u16) {
        (self.trial.launch.port, self.second.port)
    }

    /// Waits until each server has half of the lanes; how long that took.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn await_shared(&mut self) -> Result<Duration, String> {
        let (first, second) = self.ports();
        let half = LANES as usize / 2;
        self.until("half of the lanes each", SHARE_TIME_MAX, |lanes| {
            let of = |port| lanes.values().filter(|header| header.port == port).count();
            of(first) == half && of(second) == half
        })
    }

    /// Kills the first server; how long until the second one has committed in every lane.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn kill_first(&mut self) -> Result<Duration, String> {
        let second = self.second.port;
        if let Some(server) = self.trial.server.take() {
            server.kill9();
        }
        self.until("the second has all lanes", SHARE_TIME_MAX, |lanes| {
            lanes.len() == LANES as usize && lanes.values().all(|header| header.port == second)
        })
    }

    /// Starts the first server again on its own state.
    ///
    /// # Errors
    /// It does not come up.
    pub fn restart_first(&mut self) -> Result<(), String> {
        self.trial.start()
    }

    /// Stops and lets go on the first server, as a machine that sleeps does.
    pub fn pause_first(&self, on: bool) {
        if let Some(server) = &self.trial.server {
            server.signal(if on { "STOP" } else { "CONT" });
        }
    }

    /// Waits until the second server has all lanes.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn await_second_alone(&mut self) -> Result<Duration, String> {
        let second = self.second.port;
        self.until("the second has all lanes", SHARE_TIME_MAX, |lanes| {
            lanes.len() == LANES as usize && lanes.values().all(|header| header.port == second)
        })
    }

    /// Stops the input and judges all of the output.
    ///
    /// # Errors
    /// The input failed.
    pub fn finish(&mut self) -> Result<Summary, String> {
        let mut summary = Summary::default();
        self.trial.finish(&mut summary)?;
        Ok(summary)
    }

    /// Waits until a server answers a statement with something that has (or lacks) a text.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn await_answer(&self, port: u16, sql: &str, text: &str, has: bool) -> Result<(), String> {
        let until = Instant::now() + SHARE_TIME_MAX;
        loop {
            let got = http::ksql(port, sql).map(|answer| answer.to_string());
            if got.as_ref().is_ok_and(|got| got.contains(text) == has) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{sql} on {port}: {got:?}; has {text}: {has}"));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The ends of both logs.
    pub fn log(&self) -> String {
        format!("{}\n{}", self.trial.log(), self.second.log_tail(1))
    }

    fn until(
        &mut self,
        what: &str,
        at_most: Duration,
        mut is: impl FnMut(&BTreeMap<i32, Header>) -> bool,
    ) -> Result<Duration, String> {
        let start = Instant::now();
        while start.elapsed() < at_most {
            self.headers.poll();
            if is(&self.headers.last) {
                return Ok(start.elapsed());
            }
        }
        let lanes = &self.headers.last;
        Err(format!("waited for: {what}; the lanes: {lanes:?}; {}", self.log()))
    }
}

impl Headers {
    fn read(bootstrap: &str, service_id: &str) -> Result<Self, String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "headers")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()
            .map_err(|e| format!("no consumer: {e}"))?;
        let topic = format!("_confluent-ksql-{service_id}_progress");
        let mut assignment = TopicPartitionList::new();
        for lane in 0..LANES {
            let added = assignment.add_partition_offset(&topic, lane, Offset::Beginning);
            added.map_err(|e| format!("cannot read {topic}: {e}"))?;
        }
        consumer.assign(&assignment).map_err(|e| format!("cannot read {topic}: {e}"))?;
        Ok(Headers { consumer, last: BTreeMap::new() })
    }

    fn poll(&mut self) {
        let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(50)) else { return };
        if message.key() != Some(b"lane") {
            return;
        }
        let value: Value =
            serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
        let url = value["url"].as_str().unwrap_or_default();
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        if let (Some(port), Some(commit)) = (port, value["commit"].as_u64()) {
            self.last.insert(message.partition(), Header { port, commit });
        }
    }
}
