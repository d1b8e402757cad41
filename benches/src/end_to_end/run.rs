//! One measurement: a fresh server runs one query over a filled topic until it has caught up.

use std::path::Path;
use std::time::{Duration, Instant};

use millrace_engine::progress::{LANE_KEY, LaneHeader};
use millrace_tests::kill9::http;
use millrace_tests::kill9::server::{Launch, Server};
use millrace_tests::rig::process::free_ports;
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use serde_json::Value;

use super::oracle::Oracle;
use super::process;
use super::query::{self, Query};
use super::topic;

/// Commit interval, in milliseconds.
const COMMIT_MS: u32 = 1000;
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(900);
const READY_TIME_MAX: Duration = Duration::from_secs(120);
/// How long nothing more may arrive after the output is complete.
const AFTERMATH: Duration = Duration::from_millis(2500);
const POLL: Duration = Duration::from_millis(50);

type KeyValue = (Vec<u8>, Vec<u8>);

/// What a query cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub cpu_s: f64,
    pub wall_s: f64,
    pub peak_rss_mib: f64,
    pub commits: u64,
    pub malformed: usize,
    pub output_records: u64,
}

/// The server under test and the Kafka that it works on.
pub struct Bench<'a> {
    pub bootstrap: &'a str,
    /// Names this measurement's topics.
    pub run: String,
    pub dir: &'a Path,
}

impl Bench<'_> {
    /// Runs `query` over `bids` and compares its output.
    ///
    /// # Errors
    /// It does not catch up, or its output is wrong: how.
    pub fn measure(&self, query: &Query, bids: &str, expected: &Oracle) -> Result<Cost, String> {
        let launch = self.launch()?;
        let server = launch.start(1)?;
        await_ready(launch.port, &query::stream_sql(bids))?;
        let before_s = process::cpu_s(server.pid())?;
        let started = Instant::now();
        let sink = self.run.replace('-', "_").to_uppercase();
        http::ksql(launch.port, &query.sql(&sink))?;
        let mut seen = Oracle::new(query.kind);
        let reader = topic::reader(self.bootstrap, &sink)?;
        let work = Work { expected, seen: &mut seen, reader, server: &server, records: 0 };
        let (cpu_s, output_records) = work
            .await_output()
            .map_err(|e| format!("{}: {e}; {}", query.name, launch.log_tail(1)))?;
        let wall_s = started.elapsed().as_secs_f64();
        self.read_malformed(&launch, expected, &mut seen)?;
        let cost = Cost {
            cpu_s: cpu_s - before_s,
            wall_s,
            peak_rss_mib: process::peak_rss_mib(server.pid())?,
            commits: self.commits(&launch)?,
            malformed: seen.malformed(),
            output_records,
        };
        server.stop();
        Ok(cost)
    }

    fn launch(&self) -> Result<Launch, String> {
        let dir = self.dir.join(&self.run);
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Launch {
            bootstrap: self.bootstrap.to_owned(),
            port: free_ports(1)?[0],
            service_id: format!("{}_", self.run),
            dir,
            mutant: None,
            commit_ms: COMMIT_MS,
        })
    }

    /// Finds each malformed record in the processing log, once.
    fn read_malformed(
        &self,
        launch: &Launch,
        expected: &Oracle,
        seen: &mut Oracle,
    ) -> Result<(), String> {
        let log = format!("{}ksql_processing_log", launch.service_id);
        let reader = topic::reader(self.bootstrap, &log)?;
        let until = Instant::now() + AFTERMATH.max(READY_TIME_MAX / 4);
        let mut calm = Instant::now();
        while calm.elapsed() < AFTERMATH && Instant::now() < until {
            let Some(value) = next(&reader)?.map(|(_, value)| value) else { continue };
            calm = Instant::now();
            let record: Value = serde_json::from_slice(&value).map_err(|e| e.to_string())?;
            let message = find(&record, "deserializationError").unwrap_or(&record);
            let at = |name| find(message, name).and_then(Value::as_i64);
            let (Some(partition), Some(offset)) = (at("partition"), at("offset")) else {
                return Err(format!("a processing log record without a place: {record}"));
            };
            if !seen.see_malformed(partition as i32, offset) {
                return Err(format!("partition {partition} offset {offset} is there twice"));
            }
        }
        match expected.rejects_as(seen) {
            true => Ok(()),
            false => Err(format!(
                "{} malformed records in the processing log instead of {}",
                seen.malformed(),
                expected.malformed()
            )),
        }
    }

    /// Transactions that the lanes have committed.
    fn commits(&self, launch: &Launch) -> Result<u64, String> {
        let names = millrace_engine::names::Names::new(&launch.service_id);
        let reader = topic::reader(self.bootstrap, &names.progress_topic())?;
        let mut last = std::collections::HashMap::new();
        let mut calm = Instant::now();
        while calm.elapsed() < AFTERMATH {
            let Some(message) = reader.poll(POLL) else { continue };
            let message = message.map_err(|e| e.to_string())?;
            calm = Instant::now();
            if message.key() != Some(LANE_KEY.as_bytes()) {
                continue;
            }
            let header: LaneHeader = serde_json::from_slice(message.payload().unwrap_or_default())
                .map_err(|e| format!("a lane header: {e}"))?;
            last.insert(message.partition(), header.commit);
        }
        Ok(last.values().sum())
    }
}

/// Waits for the output of one query.
struct Work<'a> {
    expected: &'a Oracle,
    seen: &'a mut Oracle,
    reader: BaseConsumer,
    server: &'a Server,
    records: u64,
}

impl Work<'_> {
    /// CPU seconds of the server when the output was complete, and its records.
    fn await_output(mut self) -> Result<(f64, u64), String> {
        let until = Instant::now() + CATCH_UP_TIME_MAX;
        while self.seen.rows() < self.expected.rows() {
            if Instant::now() > until {
                let difference = self.expected.difference(self.seen).unwrap_or_default();
                return Err(format!("not caught up after {CATCH_UP_TIME_MAX:?}: {difference}"));
            }
            // Asking costs a process, so not for each record.
            if !self.take()? && !self.server.runs() {
                return Err("the server ended by itself".to_owned());
            }
        }
        let cpu_s = process::cpu_s(self.server.pid())?;
        let mut calm = Instant::now();
        while calm.elapsed() < AFTERMATH {
            if self.take()? {
                calm = Instant::now();
            }
        }
        match self.expected.difference(self.seen) {
            None => Ok((cpu_s, self.records)),
            Some(difference) => Err(difference),
        }
    }

    fn take(&mut self) -> Result<bool, String> {
        let Some((key, value)) = next(&self.reader)? else { return Ok(false) };
        self.records += 1;
        self.seen.see(&key, &value)?;
        Ok(true)
    }
}

/// Makes the stream of bids, as soon as the server has found its log.
fn await_ready(port: u16, stream_sql: &str) -> Result<(), String> {
    let until = Instant::now() + READY_TIME_MAX;
    loop {
        match http::ksql(port, stream_sql) {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > until => return Err(e),
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Key and value of the next record, if one comes soon.
fn next(reader: &BaseConsumer) -> Result<Option<KeyValue>, String> {
    let Some(message) = reader.poll(POLL) else { return Ok(None) };
    let message = message.map_err(|e| format!("reading: {e}"))?;
    let bytes = |part: Option<&[u8]>| part.unwrap_or_default().to_vec();
    Ok(Some((bytes(message.key()), bytes(message.payload()))))
}

/// A member at any depth, whatever its case.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    let here = members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v);
    here.or_else(|| members.values().find_map(|v| find(v, name)))
}
