//! Brokers that die in turn, while the server, its input and its readers go on.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use super::input::{Committed, Event, Input};
use super::output::consumer;
use super::server::Server;
use super::topics::{PARTITIONS, Topics};
use super::{LOOK, PROGRESS_TIME_MAX, Summary, Trial};
use crate::rig::Kafka;

const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// A broker has copied what it missed within this time.
const IN_SYNC_TIME_MAX: Duration = Duration::from_secs(60);

impl Trial {
    /// Kills one node after the other and starts each again; the longest time until every lane had
    /// committed after a death.
    ///
    /// # Errors
    /// A lane makes no progress, the server ends, or a node does not come back.
    pub fn kill_brokers(&mut self, kafka: &Kafka) -> Result<Duration, String> {
        self.stop_input()?;
        let mut input = self.input.take().ok_or("there is no input")?;
        input.outlive_brokers();
        self.feeding = Some(Input::feed(input));
        self.await_all_lanes()?;
        let mut longest = Duration::ZERO;
        for node in 0..kafka.nodes() {
            await_in_sync(&self.launch.bootstrap, kafka.nodes())?;
            let died = Instant::now();
            kafka.kill9(node);
            self.await_all_lanes().map_err(|e| format!("without node {node}: {e}"))?;
            longest = longest.max(died.elapsed());
            kafka.revive(node)?;
            self.await_all_lanes().map_err(|e| format!("with node {node} again: {e}"))?;
        }
        Ok(longest)
    }

    /// As [`Trial::finish`], with what the topics of the input hold for the truth: a transaction whose
    /// broker died may have been committed or not.
    ///
    /// # Errors
    /// As for [`Trial::finish`].
    pub fn finish_by_reading(&mut self) -> Result<Summary, String> {
        self.stop_input()?;
        *self.committed.lock() = committed(&self.launch.bootstrap, &self.topics)?;
        let verdict = self.judge();
        let events = self.committed.lock().events.len();
        Ok(Summary { verdict, events, ..Summary::default() })
    }

    /// Port of the server.
    pub fn port(&self) -> u16 {
        self.launch.port
    }

    /// Waits until each partition of the output has something new, twice: what was committed before a
    /// death may be read after it. Brokers are not asked: those that died would have to answer.
    fn await_all_lanes(&self) -> Result<(), String> {
        self.await_each_lane()?;
        self.await_each_lane()
    }

    fn await_each_lane(&self) -> Result<(), String> {
        let before = self.output.read_ends();
        let until = Instant::now() + PROGRESS_TIME_MAX;
        loop {
            let resting = self.output.resting(&before);
            if resting.is_empty() {
                return Ok(());
            }
            if !self.server.as_ref().is_some_and(Server::runs) {
                return Err(format!("the server ended by itself; {}", self.log()));
            }
            if !self.feeding.as_ref().is_some_and(super::Feeding::runs) {
                return Err("the input ended by itself".to_owned());
            }
            if Instant::now() > until {
                let (seconds, rest) = (PROGRESS_TIME_MAX.as_secs(), resting.join(", "));
                return Err(format!("nothing new in {rest} for {seconds} s; {}", self.log()));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Waits until all replicas of all partitions are in sync: one more death is no loss then.
fn await_in_sync(bootstrap: &str, nodes: usize) -> Result<(), String> {
    let consumer = consumer(bootstrap, "read_committed")?;
    let until = Instant::now() + IN_SYNC_TIME_MAX;
    loop {
        let behind = match consumer.fetch_metadata(None, ANSWER_TIME_MAX) {
            Ok(metadata) => metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions().iter().map(move |p| (topic.name(), p)))
                .filter(|(_, partition)| partition.isr().len() < nodes)
                .map(|(topic, partition)| format!("{topic}/{}", partition.id()))
                .collect::<Vec<_>>(),
            Err(e) => vec![e.to_string()],
        };
        if behind.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("replicas stay behind: {}", behind.join(", ")));
        }
        std::thread::sleep(LOOK);
    }
}

/// What readers of committed records find in the topics of the input.
fn committed(bootstrap: &str, topics: &Topics) -> Result<Committed, String> {
    let (events, payments) = (read(bootstrap, &topics.events)?, read(bootstrap, &topics.payments)?);
    Ok(Committed { events, payments, aborted: 0 })
}

fn read(bootstrap: &str, topic: &str) -> Result<Vec<Event>, String> {
    let consumer: BaseConsumer = consumer(bootstrap, "read_committed")?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let added = assignment.add_partition_offset(topic, partition, Offset::Beginning);
        added.map_err(|e| format!("cannot read {topic}: {e}"))?;
    }
    consumer.assign(&assignment).map_err(|e| format!("cannot read {topic}: {e}"))?;
    let (mut found, mut ended) = (Vec::new(), HashSet::new());
    let until = Instant::now() + PROGRESS_TIME_MAX;
    while ended.len() < PARTITIONS as usize {
        match consumer.poll(LOOK) {
            Some(Ok(message)) => {
                let event = event(message.key(), message.payload());
                found.push(event.ok_or_else(|| format!("a strange record in {topic}"))?);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            Some(Err(_)) | None if Instant::now() < until => {}
            failed => return Err(format!("the input in {topic} has no end: {failed:?}")),
        }
    }
    Ok(found)
}

fn event(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Event> {
    let key = std::str::from_utf8(key?).ok()?.strip_prefix('k')?.parse().ok()?;
    let value: Value = serde_json::from_slice(value?).ok()?;
    Some(Event { key, id: value["ID"].as_u64()?, ts: value["TS"].as_i64()? })
}
