//! How transactions ended, by the coordinator's own records: the compacted topic in which Kafka keeps the
//! state of every transactional id. Format: `TransactionLogKey` and `TransactionLogValue` of Apache Kafka's
//! transaction coordinator, key version 0, value versions 0 and 1.
//!
//! Asked only after a failure, when rows are undecided although their transaction has ended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::config::KafkaConfig;
use super::txn::How;

const TOPIC: &str = "__transaction_state";
/// Records at the end of the topic that are looked at first.
const RECENT: i64 = 20_000;

/// What is known of the transactions of an id.
#[derive(Debug, Default)]
pub(super) struct History {
    /// How the last one that a partition took part in ended, for each topic and partition.
    pub endings: HashMap<(String, i32), How>,
    /// What took part in the last one of all.
    pub last: Vec<(String, i32)>,
}

/// Reads how the transactions of `id` ended. Blocks.
///
/// # Errors
/// The topic cannot be read, or not in time.
pub(super) fn read(config: &KafkaConfig, id: &str) -> Result<History, String> {
    let wait = Duration::from_millis(u64::from(config.request_timeout_ms));
    let until = Instant::now() + wait;
    let mut settings = rdkafka::ClientConfig::new();
    for (name, value) in config.consumer(&[("group.id", id), ("enable.auto.commit", "false")]) {
        settings.set(name, value);
    }
    settings.set("isolation.level", "read_uncommitted").set("enable.partition.eof", "false");
    let consumer: BaseConsumer = settings.create().map_err(|e| e.to_string())?;
    let said = |error: rdkafka::error::KafkaError| format!("{TOPIC}: {error}");
    let metadata = consumer.fetch_metadata(Some(TOPIC), wait).map_err(said)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    if partitions == 0 {
        return Err(format!("{TOPIC} is not there"));
    }
    let partition = partition_of(id, partitions as i32);
    let (low, high) = consumer.fetch_watermarks(TOPIC, partition, wait).map_err(said)?;
    let recent = low.max(high - RECENT);
    for from in if recent > low { vec![recent, low] } else { vec![low] } {
        let found = read_from(&consumer, id, (partition, from, high), until)?;
        if !found.last.is_empty() {
            return Ok(found);
        }
    }
    Ok(History::default())
}

fn read_from(
    consumer: &BaseConsumer,
    id: &str,
    (partition, from, to): (i32, i64, i64),
    until: Instant,
) -> Result<History, String> {
    let mut found = History::default();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, partition, Offset::Offset(from))
        .and_then(|()| consumer.assign(&list))
        .map_err(|e| format!("{TOPIC}: {e}"))?;
    let mut next = from;
    while next < to {
        if Instant::now() > until {
            return Err(format!("{TOPIC}: read to {next} of {to} only, then time was up"));
        }
        let Some(record) = consumer.poll(Duration::from_millis(100)) else {
            // Compaction may have taken the last records.
            next = next.max(position(consumer, partition));
            continue;
        };
        let record = record.map_err(|e| format!("{TOPIC}: {e}"))?;
        next = record.offset() + 1;
        if let (Some(key), Some(value)) = (record.key(), record.payload())
            && is_of(key, id)
            && let Some((how, wrote)) = ended(value)
        {
            found.endings.extend(wrote.iter().map(|tp| (tp.clone(), how)));
            found.last = wrote;
        }
    }
    Ok(found)
}

fn position(consumer: &BaseConsumer, partition: i32) -> i64 {
    let positions = consumer.position().ok();
    let found = positions.as_ref().and_then(|all| all.find_partition(TOPIC, partition));
    found.and_then(|at| at.offset().to_raw()).unwrap_or(-1)
}

/// Where Kafka keeps an id: Java's hash of the text, as `Utils.abs` makes it positive.
fn partition_of(id: &str, partitions: i32) -> i32 {
    let hash = id
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions
}

fn is_of(key: &[u8], id: &str) -> bool {
    let mut bytes = Bytes(key);
    bytes.int16() == Some(0) && bytes.int16() == Some(id.len() as i16) && bytes.0 == id.as_bytes()
}

/// If the record says how a transaction ends: how, and what it wrote to. It is the first such record that
/// names the partitions; the one that says that all of them were told names none.
fn ended(value: &[u8]) -> Option<(How, Vec<(String, i32)>)> {
    const PREPARE_COMMIT: u8 = 2;
    const PREPARE_ABORT: u8 = 3;
    const PREPARE_EPOCH_FENCE: u8 = 7;
    let mut bytes = Bytes(value);
    let flexible = match bytes.int16()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    // Producer id, epoch, time-out.
    bytes.take(8 + 2 + 4)?;
    let how = match bytes.take(1)?[0] {
        PREPARE_COMMIT => How::Commit,
        PREPARE_ABORT | PREPARE_EPOCH_FENCE => How::Abort,
        _ => return None,
    };
    let mut wrote = Vec::new();
    for _ in 0..bytes.count(flexible)? {
        let length = if flexible { bytes.count(true)? } else { bytes.int16()? as usize };
        let topic = String::from_utf8(bytes.take(length)?.to_vec()).ok()?;
        for _ in 0..bytes.count(flexible)? {
            wrote.push((topic.clone(), bytes.int32()?));
        }
        if flexible {
            bytes.tags()?;
        }
    }
    Some((how, wrote))
}

/// Kafka's encodings, read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn int16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn int32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// At most five bytes of seven bits each.
    fn varint(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Elements of an array, or bytes of a compact text; NULL counts as none.
    fn count(&mut self, compact: bool) -> Option<usize> {
        match compact {
            true => Some(self.varint()?.saturating_sub(1)),
            false => Some(usize::try_from(self.int32()?).unwrap_or(0)),
        }
    }

    /// Skips tagged fields.
    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(length)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_where_kafka_keeps_them() {
        // Java: Math.abs(text.hashCode()) % 50.
        for (id, want) in [("", 0), ("a", 47), ("x0", 18), ("polygenelubricants", 0)] {
            assert_eq!(partition_of(id, 50), want, "{id}");
        }
    }

    fn value(version: i16, status: u8, flexible: bool) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend(7_i64.to_be_bytes());
        bytes.extend(1_i16.to_be_bytes());
        bytes.extend(10_000_i32.to_be_bytes());
        bytes.push(status);
        match flexible {
            // Two topics, the second with a tagged field; times and tags follow.
            true => {
                bytes.extend([3, 2, b'a', 3, 0, 0, 0, 0, 0, 0, 0, 9, 0]);
                bytes.extend([3, b'b', b'c', 2, 0, 0, 1, 0, 1, 5, 1, 42]);
            }
            false => {
                bytes.extend([0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
                bytes.extend([0, 2, b'b', b'c', 0, 0, 0, 1, 0, 0, 1, 0]);
            }
        }
        bytes.extend([0; 17]);
        bytes
    }

    #[test]
    fn endings_are_read() {
        let wrote = || vec![("a".to_owned(), 0), ("a".to_owned(), 9), ("bc".to_owned(), 256)];
        for (version, flexible) in [(0, false), (1, true)] {
            for (status, want) in [
                (0, None),
                (1, None),
                (2, Some((How::Commit, wrote()))),
                (3, Some((How::Abort, wrote()))),
                (4, None),
                (5, None),
                (7, Some((How::Abort, wrote()))),
            ] {
                let bytes = value(version, status, flexible);
                assert_eq!(ended(&bytes), want, "version {version}, status {status}");
                for cut in 0..bytes.len() - 17 {
                    ended(&bytes[..cut]);
                }
            }
        }
        assert_eq!(ended(&value(9, 2, false)), None, "another version");
    }

    #[test]
    fn keys_are_of_one_id() {
        assert!(is_of(&[0, 0, 0, 2, b'x', b'0'], "x0"));
        for key in
            [&[0, 0, 0, 2, b'x', b'1'][..], &[0, 1, 0, 2, b'x', b'0'], &[0, 0, 0, 2, b'x'], &[]]
        {
            assert!(!is_of(key, "x0"), "{key:?}");
        }
    }
}
