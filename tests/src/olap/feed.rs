//! Writes transactions of records as Java's clients do.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Message};

const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Longer than a broker is away.
const END_TIME_MAX: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(10);

/// A record of a source.
#[derive(Debug, Clone)]
pub struct Record {
    pub topic: String,
    pub key: String,
    /// JSON; `None`: a tombstone.
    pub value: Option<String>,
    pub time_ms: i64,
}

/// A transactional producer. Each transaction has a record of its own, which tells whether it was committed when
/// nobody else can.
pub struct Feed {
    producer: BaseProducer,
    bootstrap: String,
    id: String,
    marks: String,
    sent: usize,
}

impl Feed {
    /// `marks`: a topic for the transactions' own records.
    ///
    /// # Errors
    /// What the client says.
    pub fn connect(bootstrap: &str, id: &str, marks: &str) -> Result<Feed, String> {
        let producer = producer(bootstrap, id)?;
        let (bootstrap, id, marks) = (bootstrap.to_owned(), id.to_owned(), marks.to_owned());
        Ok(Feed { producer, bootstrap, id, marks, sent: 0 })
    }

    /// Sends all in one transaction. Whether it was committed: it may be aborted in spite of `keep`, when a broker
    /// has died.
    ///
    /// # Errors
    /// It is not known how the transaction ended.
    pub fn send(&mut self, records: &[Record], keep: bool) -> Result<bool, String> {
        self.sent += 1;
        let mark = format!("{}", self.sent);
        let why = match self.transact(records, &mark, keep) {
            Ok(committed) => return Ok(committed),
            Err(why) => why,
        };
        // A new producer ends what the old one has left open; then the mark is there, or it is not.
        println!("the input starts again: {why}");
        self.producer = producer(&self.bootstrap, &self.id)?;
        self.is_committed(&mark).map_err(|e| format!("{why}; {e}"))
    }

    fn transact(&self, records: &[Record], mark: &str, keep: bool) -> Result<bool, String> {
        self.producer.begin_transaction().map_err(|e| format!("no transaction: {e}"))?;
        let (topic, key) = (self.marks.clone(), mark.to_owned());
        let mark = Record { topic, key, value: Some("{}".to_owned()), time_ms: 0 };
        let mut whole = true;
        for record in records.iter().chain([&mark]) {
            whole &= self.put(record);
        }
        // Aborted records are in the log like the others: flushed first.
        whole &= self.producer.flush(ANSWER_TIME_MAX).is_ok();
        if keep && whole && self.end(|| self.producer.commit_transaction(ANSWER_TIME_MAX))? {
            return Ok(true);
        }
        match self.end(|| self.producer.abort_transaction(ANSWER_TIME_MAX))? {
            true => Ok(false),
            false => Err("a transaction can be neither committed nor aborted".to_owned()),
        }
    }

    /// Reads the marks to their end.
    fn is_committed(&self, mark: &str) -> Result<bool, String> {
        let failed = |e: KafkaError| format!("the marks: {e}");
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "marks")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .map_err(failed)?;
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(&self.marks, partition(mark), Offset::Beginning)
            .map_err(failed)?;
        consumer.assign(&all).map_err(failed)?;
        let start = Instant::now();
        while start.elapsed() < END_TIME_MAX {
            match consumer.poll(PAUSE) {
                Some(Ok(message)) if message.key() == Some(mark.as_bytes()) => return Ok(true),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(false),
                _ => {}
            }
        }
        Err("the marks have no end".to_owned())
    }

    /// Whether the queue took it.
    fn put(&self, record: &Record) -> bool {
        let start = Instant::now();
        while start.elapsed() < ANSWER_TIME_MAX {
            let out = BaseRecord::to(&record.topic)
                .partition(partition(&record.key))
                .key(&record.key)
                .timestamp(record.time_ms);
            let out = match &record.value {
                Some(text) => out.payload(text),
                None => out,
            };
            match self.producer.send(out) {
                Ok(()) => return true,
                Err((KafkaError::MessageProduction(e), _)) if is_full(e) => {
                    self.producer.poll(PAUSE);
                }
                Err(_) => return false,
            }
        }
        false
    }

    /// Whether it ended so; if not, it must be aborted.
    fn end(&self, ask: impl Fn() -> Result<(), KafkaError>) -> Result<bool, String> {
        let start = Instant::now();
        loop {
            match ask() {
                Ok(()) => return Ok(true),
                Err(KafkaError::Transaction(e)) if e.txn_requires_abort() => return Ok(false),
                Err(KafkaError::Transaction(e))
                    if e.is_retriable() && start.elapsed() < END_TIME_MAX =>
                {
                    self.producer.poll(PAUSE);
                }
                Err(e) => return Err(format!("how a transaction of the input ended: {e}")),
            }
        }
    }
}

/// Of that id, when it is the only one.
fn producer(bootstrap: &str, id: &str) -> Result<BaseProducer, String> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", id)
        .set("transaction.timeout.ms", "300000")
        .set("message.timeout.ms", "240000")
        .set("message.max.bytes", "1000000")
        .create()
        .map_err(|e| format!("no producer: {e}"))?;
    let start = Instant::now();
    loop {
        match producer.init_transactions(ANSWER_TIME_MAX) {
            Ok(()) => return Ok(producer),
            Err(KafkaError::Transaction(e))
                if e.is_retriable() && start.elapsed() < END_TIME_MAX => {}
            Err(e) => return Err(format!("the producer: {e}")),
        }
    }
}

fn is_full(error: rdkafka::types::RDKafkaErrorCode) -> bool {
    error == rdkafka::types::RDKafkaErrorCode::QueueFull
}

/// Partitions of each source.
pub const PARTITIONS: i32 = 2;

/// Where Java's clients put a key.
pub fn partition(key: &str) -> i32 {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) as i32 % PARTITIONS
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ data.len() as u32;
    let chunks = data.chunks_exact(4);
    let rest = chunks.remainder();
    for chunk in chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (at, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * at);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    #[test]
    fn keys_lie_where_java_puts_them() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
