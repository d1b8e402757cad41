//! The output as a reader of committed records sees it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::topics::{PARTITIONS, Topics};

const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// All that was read so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The last count of a key and the start of its window.
    pub counts: BTreeMap<(String, i64), u64>,
    /// Counts that came after a higher one.
    pub went_back: Vec<String>,
    /// Ids and names by key, in order.
    pub named: BTreeMap<String, Vec<(u64, String)>>,
    /// How often each pair of an event and a payment came.
    pub paid: HashMap<(u64, u64), u64>,
    /// Records that make no sense.
    pub strange: Vec<String>,
    /// The next offset of a topic's partition.
    next: HashMap<(String, i32), i64>,
}

/// Offsets by topic and partition.
#[derive(Debug, Clone)]
pub struct Ends(HashMap<(String, i32), i64>);

/// Reads the output in the background.
pub struct Output {
    topics: Topics,
    seen: Arc<Mutex<Seen>>,
    committed: BaseConsumer,
    uncommitted: BaseConsumer,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    /// Starts to read.
    ///
    /// # Errors
    /// What the client says.
    pub fn read(bootstrap: &str, topics: &Topics) -> Result<Self, String> {
        let reader = consumer(bootstrap, "read_committed")?;
        let mut assignment = TopicPartitionList::new();
        for topic in topics.outputs() {
            for partition in 0..PARTITIONS {
                let added = assignment.add_partition_offset(topic, partition, Offset::Beginning);
                added.map_err(|e| format!("cannot read {topic}: {e}"))?;
            }
        }
        reader.assign(&assignment).map_err(|e| format!("cannot read the output: {e}"))?;
        let (seen, stop) =
            (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (into, stopped, names) = (seen.clone(), stop.clone(), topics.clone());
        let reader = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // Errors pass: the cluster is ours and comes back, and what is missing shows.
                if let Some(Ok(message)) = reader.poll(POLL) {
                    into.lock().take(&message, &names);
                }
            }
        });
        Ok(Output {
            topics: topics.clone(),
            seen,
            committed: consumer(bootstrap, "read_committed")?,
            uncommitted: consumer(bootstrap, "read_uncommitted")?,
            stop,
            reader: Some(reader),
        })
    }

    /// What has been read until now.
    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// Where the committed output ends.
    ///
    /// # Errors
    /// What the client says.
    pub fn committed_ends(&self) -> Result<Ends, String> {
        self.ends(&self.committed)
    }

    /// Whether the dead server left a transaction open: a partition that it writes to (output,
    /// changelog, repartition topic or progress) whose last stable offset is below its end. Nobody
    /// else writes there, the broker gives such a transaction up only after its time-out, and the
    /// stable offsets are asked first, so each one that is found was open when the server died.
    ///
    /// # Errors
    /// What the client says.
    pub fn is_open(&self, service_id: &str) -> Result<bool, String> {
        let prefix = format!("_confluent-ksql-{service_id}");
        let outputs = self.topics.outputs();
        let written = |name: &str| outputs.contains(&name) || name.starts_with(&prefix);
        Ok(!self.undecided(written)?.is_empty())
    }

    /// What readers of committed records wait for, and which partitions of the output hold more than
    /// was read.
    pub fn waits(&self) -> String {
        let undecided = match self.undecided(|_| true) {
            Ok(undecided) => undecided.join(", "),
            Err(why) => why,
        };
        let seen = self.seen.lock().next.clone();
        let ends = self.committed_ends().map(|ends| ends.0).unwrap_or_default();
        let unread =
            ends.iter().filter(|(at, end)| **end > seen.get(*at).copied().unwrap_or(0) + 1);
        let unread: Vec<String> = unread.map(|((t, p), end)| format!("{t}/{p} to {end}")).collect();
        format!("undecided: [{undecided}]; committed and not read: [{}]", unread.join(", "))
    }

    /// Partitions of such topics whose last stable offset is below their end.
    fn undecided(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
        let metadata = self.committed.fetch_metadata(None, ANSWER_TIME_MAX);
        let metadata = metadata.map_err(|e| format!("which topics are there? {e}"))?;
        let mut undecided = Vec::new();
        for topic in metadata.topics().iter().filter(|topic| wanted(topic.name())) {
            for partition in topic.partitions() {
                let (name, partition) = (topic.name(), partition.id());
                let stable = end(&self.committed, name, partition)?;
                let end = end(&self.uncommitted, name, partition)?;
                if end > stable {
                    undecided.push(format!("{name}/{partition} {stable}..{end}"));
                }
            }
        }
        Ok(undecided)
    }

    /// Output topics that have no committed record behind `ends` yet.
    pub fn without_progress(&self, ends: &Ends) -> Vec<&str> {
        let seen = self.seen.lock();
        let moved = |topic: &str| {
            ends.0.iter().any(|(at, end)| at.0 == topic && seen.next.get(at) > Some(end))
        };
        self.topics.outputs().into_iter().filter(|topic| !moved(topic)).collect()
    }

    /// Where the reader is now.
    pub fn read_ends(&self) -> Ends {
        let seen = self.seen.lock();
        let mut ends = HashMap::new();
        for topic in self.topics.outputs() {
            for partition in 0..PARTITIONS {
                let at = (topic.to_owned(), partition);
                let next = seen.next.get(&at).copied().unwrap_or_default();
                ends.insert(at, next);
            }
        }
        Ends(ends)
    }

    /// Partitions of counts and named events of which nothing behind `ends` was read yet: each is written
    /// by another lane.
    pub fn resting(&self, ends: &Ends) -> Vec<String> {
        let seen = self.seen.lock();
        let rests = |(at, end): &(&(String, i32), &i64)| {
            at.0 != self.topics.paid && seen.next.get(*at).is_none_or(|next| next <= *end)
        };
        ends.0.iter().filter(rests).map(|((topic, p), end)| format!("{topic}/{p} {end}")).collect()
    }

    fn ends(&self, consumer: &BaseConsumer) -> Result<Ends, String> {
        let mut ends = HashMap::new();
        for topic in self.topics.outputs() {
            for partition in 0..PARTITIONS {
                ends.insert((topic.to_owned(), partition), end(consumer, topic, partition)?);
            }
        }
        Ok(Ends(ends))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}

impl Seen {
    fn take(&mut self, message: &BorrowedMessage<'_>, topics: &Topics) {
        let at = (message.topic().to_owned(), message.partition());
        self.next.insert(at, message.offset() + 1);
        let key = message.key().unwrap_or_default();
        let value: Value = match serde_json::from_slice(message.payload().unwrap_or_default()) {
            Ok(value) => value,
            Err(e) => return self.refuse(message, &e.to_string()),
        };
        let number = |name: &str| value[name].as_u64();
        let text = String::from_utf8_lossy(key).into_owned();
        if message.topic() == topics.counts {
            match (windowed(key), number("N")) {
                (Some(window), Some(count)) => self.count(window, count),
                _ => self.refuse(message, "no count"),
            }
        } else if message.topic() == topics.named {
            match (number("ID"), value["NAME"].as_str()) {
                (Some(id), Some(name)) => {
                    self.named.entry(text).or_default().push((id, name.to_owned()));
                }
                _ => self.refuse(message, "no name"),
            }
        } else {
            match (number("ID"), number("PAYMENT")) {
                (Some(id), Some(payment)) => *self.paid.entry((id, payment)).or_default() += 1,
                _ => self.refuse(message, "no payment"),
            }
        }
    }

    fn count(&mut self, window: (String, i64), count: u64) {
        let before = self.counts.insert(window.clone(), count).unwrap_or_default();
        if before > count {
            self.went_back.push(format!("{window:?} from {before} to {count}"));
        }
    }

    fn refuse(&mut self, message: &BorrowedMessage<'_>, why: &str) {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        self.strange.push(format!("{topic}/{partition} at {offset}: {why}: {value}"));
    }
}

/// Key and start of the window, as Kafka Streams writes them: eight bytes behind the key.
fn windowed(bytes: &[u8]) -> Option<(String, i64)> {
    let (key, start) = bytes.split_last_chunk::<8>()?;
    Some((String::from_utf8(key.to_vec()).ok()?, i64::from_be_bytes(*start)))
}

/// Where a partition ends for readers like this one.
fn end(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<i64, String> {
    let until = Instant::now() + ANSWER_TIME_MAX;
    loop {
        match consumer.fetch_watermarks(topic, partition, ANSWER_TIME_MAX) {
            Ok((_, end)) => return Ok(end),
            Err(e) if Instant::now() > until => return Err(format!("where does {topic} end? {e}")),
            // A broker that has just come back does not lead everything yet.
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

pub(super) fn consumer(bootstrap: &str, isolation: &str) -> Result<BaseConsumer, String> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "kill9")
        .set("enable.auto.commit", "false")
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", "100")
        .set("enable.partition.eof", "true")
        .create()
        .map_err(|e| format!("no consumer: {e}"))
}
