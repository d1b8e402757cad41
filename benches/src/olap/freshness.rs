//! From a record's produce, and from the commit of its row, to the row's being visible in the target.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_tests::kill9::random::Random;
use millrace_tests::olap::target::Target;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};
use serde_json::{Value, json};

use super::node::Node;

const KEYS: u64 = 20;
const PARTITIONS: i32 = 4;
const VISIBLE_TIME_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(3);
/// Probes that only warm up caches and compilers.
const WARM_UP: usize = 10;

/// Times in milliseconds.
#[derive(Debug, Default)]
pub struct Times {
    pub from_commit: Vec<f64>,
    pub from_produce: Vec<f64>,
}

/// What feeds the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The topic that is produced to: one commit lies between.
    Stream,
    /// A table that a query without repartition makes of it: two commits.
    Table,
}

impl From {
    fn statements(self, topic: &str, kept: &str) -> (String, &'static str) {
        let stream = format!(
            "CREATE STREAM probes (k VARCHAR KEY, id BIGINT) WITH (KAFKA_TOPIC='{topic}', \
             PARTITIONS={PARTITIONS}, VALUE_FORMAT='JSON');"
        );
        match self {
            From::Stream => (stream, "probes"),
            From::Table => {
                let table = format!(
                    "{stream} CREATE TABLE latest WITH (KAFKA_TOPIC='{kept}') AS SELECT k, \
                     COUNT(*) AS n, MAX(id) AS id FROM probes GROUP BY k;"
                );
                (table, "latest")
            }
        }
    }
}

/// Sends `probes` records at random moments and waits for each to be visible.
///
/// # Errors
/// Something does not start, or a row does not show.
pub fn measure(
    bootstrap: &str,
    dir: &Path,
    target: &Target,
    from: From,
    commit_ms: u32,
    probes: usize,
) -> Result<Times, String> {
    let run = format!("fresh_{from:?}_{commit_ms}").to_lowercase();
    let mut node = Node::new(bootstrap, dir, &run, commit_ms)?;
    let server = node.start()?;
    let topic = format!("{run}_probes");
    let (statements, source) = from.statements(&topic, &format!("{run}_latest"));
    node.sql(&statements)?;
    let sink = format!("{run}_olap");
    node.create_sink(target, &sink, source)?;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "0")
        .create()
        .map_err(|e| format!("no producer: {e}"))?;
    let commits = Commits::follow(bootstrap, &sink)?;
    let random = Random::new(7);
    let mut times = Times::default();
    for id in 0..WARM_UP + probes {
        std::thread::sleep(Duration::from_millis(random.below(u64::from(commit_ms))));
        let key = format!("p-{}", random.below(KEYS));
        let value = json!({ "ID": id }).to_string();
        let sent = Instant::now();
        let record = BaseRecord::to(&topic).key(&key).payload(&value);
        producer.send(record).map_err(|(e, _)| format!("{topic}: {e}"))?;
        producer.flush(VISIBLE_TIME_MAX).map_err(|e| format!("{topic}: {e}"))?;
        let visible =
            await_visible(target, &sink, id).map_err(|e| format!("{e}; {}", node.log()))?;
        let committed = commits.of(id)?;
        if id >= WARM_UP {
            times.from_produce.push(ms(visible - sent));
            times.from_commit.push(ms(visible.saturating_duration_since(committed)));
        }
    }
    server.stop();
    Ok(times)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn await_visible(target: &Target, table: &str, id: usize) -> Result<Instant, String> {
    let sql = format!("SELECT COUNT(*) FROM \"{table}\" WHERE \"id\" = {id}");
    let start = Instant::now();
    loop {
        let answer = target.query(&sql);
        let now = Instant::now();
        if answer.as_ref().is_ok_and(|rows| rows.first() != Some(&vec![Value::from(0)])) {
            return Ok(now);
        }
        if start.elapsed() > VISIBLE_TIME_MAX {
            return Err(format!("probe {id} is not visible: {answer:?}"));
        }
        std::thread::sleep(LOOK);
    }
}

/// When a reader of committed records got each row.
struct Commits {
    seen: Arc<parking_lot::Mutex<HashMap<usize, Instant>>>,
    stop: Arc<AtomicBool>,
}

impl Commits {
    fn follow(bootstrap: &str, topic: &str) -> Result<Commits, String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "bench")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "20")
            .create()
            .map_err(|e| format!("no consumer: {e}"))?;
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let added = partitions.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(|e| e.to_string())?;
        }
        consumer.assign(&partitions).map_err(|e| e.to_string())?;
        let commits = Commits { seen: Arc::default(), stop: Arc::default() };
        let (seen, stop) = (commits.seen.clone(), commits.stop.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Acquire) {
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) else { continue };
                let row: Value = serde_json::from_slice(message.payload().unwrap_or_default())
                    .unwrap_or_default();
                if let Some(id) = row["id"].as_u64() {
                    seen.lock().entry(id as usize).or_insert_with(Instant::now);
                }
            }
        });
        Ok(commits)
    }

    /// The reader may be later than the target.
    fn of(&self, id: usize) -> Result<Instant, String> {
        let start = Instant::now();
        while start.elapsed() < VISIBLE_TIME_MAX {
            if let Some(at) = self.seen.lock().get(&id) {
                return Ok(*at);
            }
            std::thread::sleep(LOOK);
        }
        Err(format!("no row of probe {id} in the sink's topic"))
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// The smallest value that `percent` of all are not above.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (50.0, 99.0));
        assert_eq!((percentile(&[3.0], 50), percentile(&[3.0], 99)), (3.0, 3.0));
    }
}
