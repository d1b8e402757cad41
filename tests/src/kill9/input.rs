//! The input: transactions of events and payments of 2013, some of them aborted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use super::random::Random;
use super::topics::Topics;

/// Different keys.
pub const KEYS: u64 = 200;
/// 1 March 2013, in milliseconds.
pub const START_MS: i64 = 1_362_096_000_000;
/// Events of a transaction, and as many payments.
const BATCH: usize = 10;
const BATCH_PAUSE: Duration = Duration::from_millis(100);
/// Event time that passes from one record to the next.
const STEP_MS: i64 = 50;
/// How far event times are out of order, both ways.
const JITTER_MS: u64 = 5_000;
const ABORTED_PERCENT: u64 = 20;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// A record of a source stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub key: u64,
    pub id: u64,
    /// Event time in milliseconds.
    pub ts: i64,
}

/// What was committed, in the order of the partitions.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    pub events: Vec<Event>,
    pub payments: Vec<Event>,
    /// Transactions that were aborted.
    pub aborted: u64,
}

/// The producer; its transactions go on from one feeding to the next.
pub struct Input {
    producer: BaseProducer,
    bootstrap: String,
    topics: Topics,
    random: Random,
    next_id: u64,
    committed: Arc<Mutex<Committed>>,
    /// Goes on with a new producer when a transaction fails; what was committed is not known then.
    hardy: bool,
}

/// Input arriving in the background.
pub struct Feeding {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Input, String>>,
}

/// The key of number `key` as text.
pub fn key_text(key: u64) -> String {
    format!("k{key:03}")
}

/// The row of the table for a key; every tenth key has none.
pub fn table_name(key: u64) -> Option<String> {
    (!key.is_multiple_of(10)).then(|| format!("name of {key}"))
}

impl Input {
    /// Connects, and fences a producer of the same topics.
    ///
    /// # Errors
    /// What the client says.
    pub fn connect(bootstrap: &str, topics: &Topics, seed: u64) -> Result<Self, String> {
        let (random, committed) = (Random::new(seed), Arc::default());
        Ok(Input {
            producer: producer(bootstrap, topics)?,
            bootstrap: bootstrap.to_owned(),
            topics: topics.clone(),
            random,
            next_id: 0,
            committed,
            hardy: false,
        })
    }

    /// From now on brokers may die under it: what was committed is in the topics only.
    pub fn outlive_brokers(&mut self) {
        self.hardy = true;
    }

    /// What has been committed until now and later.
    pub fn committed(&self) -> Arc<Mutex<Committed>> {
        self.committed.clone()
    }

    /// Fills the table's topic.
    ///
    /// # Errors
    /// What the client says.
    pub fn preload(&self) -> Result<(), String> {
        self.begin()?;
        for key in 0..KEYS {
            let Some(name) = table_name(key) else { continue };
            let value = json!({ "NAME": name }).to_string();
            self.send(&self.topics.names, key, &value, START_MS - 1_000_000)?;
        }
        self.end(true)
    }

    /// Goes on in the background until told to stop.
    pub fn feed(mut self) -> Feeding {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let since = Instant::now();
                match self.batch() {
                    Err(_) if self.hardy => {
                        self.producer = producer(&self.bootstrap, &self.topics)?
                    }
                    done => done?,
                }
                std::thread::sleep(BATCH_PAUSE.saturating_sub(since.elapsed()));
            }
            Ok(self)
        });
        Feeding { stop, thread }
    }

    fn batch(&mut self) -> Result<(), String> {
        let keep = !self.random.chance(ABORTED_PERCENT);
        self.begin()?;
        let (mut events, mut payments) = (Vec::new(), Vec::new());
        for _ in 0..BATCH {
            events.push(self.record(&self.topics.events)?);
            payments.push(self.record(&self.topics.payments)?);
            self.next_id += 1;
        }
        self.end(keep)?;
        let mut committed = self.committed.lock();
        if keep {
            committed.events.extend(events);
            committed.payments.extend(payments);
        } else {
            committed.aborted += 1;
        }
        Ok(())
    }

    /// One record with the next id at a random key and around the next event time.
    fn record(&self, topic: &str) -> Result<Event, String> {
        let jitter = self.random.below(2 * JITTER_MS) as i64 - JITTER_MS as i64;
        let ts = START_MS + self.next_id as i64 * STEP_MS + jitter;
        let event = Event { key: self.random.below(KEYS), id: self.next_id, ts };
        let value = json!({ "ID": event.id, "TS": event.ts }).to_string();
        self.send(topic, event.key, &value, event.ts)?;
        Ok(event)
    }

    fn send(&self, topic: &str, key: u64, value: &str, ts: i64) -> Result<(), String> {
        let key = key_text(key);
        let record = BaseRecord::to(topic).key(&key).payload(value).timestamp(ts);
        self.producer.send(record).map_err(|(e, _)| format!("cannot send to {topic}: {e}"))
    }

    fn begin(&self) -> Result<(), String> {
        self.producer.begin_transaction().map_err(|e| format!("no transaction: {e}"))
    }

    /// Aborted records are in the log like the others: flushed first.
    fn end(&self, keep: bool) -> Result<(), String> {
        self.producer.flush(ANSWER_TIME_MAX).map_err(|e| format!("the input: {e}"))?;
        let ended = match keep {
            true => self.producer.commit_transaction(ANSWER_TIME_MAX),
            false => self.producer.abort_transaction(ANSWER_TIME_MAX),
        };
        ended.map_err(|e| format!("a transaction of the input did not end: {e}"))
    }
}

/// A producer that has decided what its predecessor left open.
fn producer(bootstrap: &str, topics: &Topics) -> Result<BaseProducer, String> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", format!("{}-input", topics.events))
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .create()
        .map_err(|e| format!("no producer: {e}"))?;
    producer.init_transactions(ANSWER_TIME_MAX).map_err(|e| format!("the producer: {e}"))?;
    Ok(producer)
}

impl Feeding {
    /// Ends after the current transaction.
    ///
    /// # Errors
    /// The input had failed: what the client said.
    pub fn stop(self) -> Result<Input, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the input's thread panicked".to_owned())?
    }

    /// Whether records still arrive.
    pub fn runs(&self) -> bool {
        !self.thread.is_finished()
    }
}

impl Committed {
    /// Records by key, in order.
    pub fn by_key(records: &[Event]) -> BTreeMap<u64, Vec<Event>> {
        let mut keys: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
        for record in records {
            keys.entry(record.key).or_default().push(*record);
        }
        keys
    }
}
