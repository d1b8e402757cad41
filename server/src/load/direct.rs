//! Lines into a topic of Kafka without a server.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_engine::api::Properties;
use millrace_engine::format::partition_for_key;
use millrace_engine::ids::Tp;
use millrace_engine::log::{Log, LogError, Record, TopicInfo};

/// A cluster that does not answer for so long is not there.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const PARK: Duration = Duration::from_millis(20);

/// A client of a cluster. It connects in the background: an unreachable cluster shows in the
/// answers to requests.
///
/// # Errors
/// One line: a setting that the client does not take.
pub fn connect(brokers: &str, settings: &Properties) -> Result<Arc<dyn Log>, String> {
    let mut config = KafkaConfig::new(brokers);
    for (name, value) in settings {
        config.set(name, value.as_str()).map_err(|e| e.to_string())?;
    }
    let log = KafkaLog::connect(config).map_err(|e| format!("Kafka at {brokers}: {e}"))?;
    Ok(log)
}

/// The topic, as it is.
///
/// # Errors
/// One line: it does not exist, or the cluster does not answer.
pub fn topic(log: &dyn Log, name: &str) -> Result<TopicInfo, LogError> {
    let found = wait(log, || log.describe(name))?;
    found.ok_or_else(|| LogError::Gone(name.to_string()))
}

/// Appends records to the partitions of their keys, as Kafka's producers choose them; those
/// without a key go round. `first` is the number of the first record.
///
/// # Errors
/// What the cluster says; some of the records may have been written.
pub fn append(
    log: &dyn Log,
    topic: &TopicInfo,
    records: Vec<Record>,
    first: u64,
) -> Result<(), LogError> {
    let partitions = topic.partitions.max(1);
    let mut by_partition: Vec<Vec<Record>> = vec![Vec::new(); partitions as usize];
    for (number, record) in (first..).zip(records) {
        let partition = match &record.key {
            Some(key) => partition_for_key(key, partitions),
            None => (number % u64::from(partitions)) as u32,
        };
        by_partition[partition as usize].push(record);
    }
    for (partition, records) in (0u32..).zip(&by_partition) {
        if !records.is_empty() {
            wait(log, || log.append(Tp::new(topic.id, partition), records))?;
        }
    }
    Ok(())
}

fn wait<T>(
    log: &dyn Log,
    mut ask: impl FnMut() -> Poll<Result<T, LogError>>,
) -> Result<T, LogError> {
    let until = Instant::now() + ANSWER_WAIT;
    loop {
        if let Poll::Ready(answer) = ask() {
            return answer;
        }
        if Instant::now() > until {
            let seconds = ANSWER_WAIT.as_secs();
            return Err(LogError::Unreachable(format!("no answer within {seconds} s")));
        }
        log.park(PARK);
    }
}
