//! Topics of the bench's own Kafka.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Partitions of the bids.
pub const PARTITIONS: i32 = 4;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Makes a topic that keeps its records, however old their event time is.
///
/// # Errors
/// What the cluster says.
pub fn create(bootstrap: &str, name: &str) -> Result<(), String> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .map_err(|e| format!("no admin client: {e}"))?;
    let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("message.timestamp.type", "CreateTime");
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIME_MAX));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| format!("no runtime: {e}"))?;
    let work = admin.create_topics([&topic], &options);
    let made = runtime.block_on(work).map_err(|e| format!("topic {name}: {e}"))?;
    made.into_iter().try_for_each(|one| one.map(drop).map_err(|(_, e)| format!("{name}: {e}")))
}

/// Reads what is committed in all partitions of a topic, from its beginning.
///
/// # Errors
/// The topic does not exist within half a minute.
pub fn reader(bootstrap: &str, name: &str) -> Result<BaseConsumer, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "4096")
        // The default of a second would let our process idle, and count it, while the reader sleeps.
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .map_err(|e| format!("no consumer: {e}"))?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..partitions_of(&consumer, name)? {
        let added = partitions.add_partition_offset(name, partition, Offset::Beginning);
        added.map_err(|e| e.to_string())?;
    }
    consumer.assign(&partitions).map_err(|e| e.to_string())?;
    Ok(consumer)
}

fn partitions_of(consumer: &BaseConsumer, name: &str) -> Result<i32, String> {
    let until = std::time::Instant::now() + ANSWER_TIME_MAX;
    loop {
        let metadata = consumer.fetch_metadata(Some(name), ANSWER_TIME_MAX);
        let metadata = metadata.map_err(|e| format!("topic {name}: {e}"))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if count > 0 {
            return Ok(count as i32);
        }
        if std::time::Instant::now() > until {
            return Err(format!("there is no topic {name}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
