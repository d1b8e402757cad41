//! Fills a topic with bids, some of them malformed.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::oracle::Oracle;
use super::topic::PARTITIONS;
use crate::bids::{Bid, Bids};

/// One record of so many is malformed.
pub const MALFORMED_EVERY: u64 = 1000;
/// Bids to a second of event time, as Nexmark's generator has by default.
const PER_SECOND: i64 = 10_000;
const FLUSH_TIME_MAX: Duration = Duration::from_secs(120);
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// Writes `events` records into `topic` and tells each oracle of them.
///
/// # Errors
/// The cluster does not take them.
pub fn fill(
    bootstrap: &str,
    topic: &str,
    events: u64,
    auctions: u64,
    oracles: &mut [Oracle],
) -> Result<(), String> {
    let producer = producer(bootstrap)?;
    let mut bids = Bids::new(auctions, PER_SECOND);
    let (mut bid, mut text) = (Bid::default(), String::new());
    let mut offsets = [0i64; PARTITIONS as usize];
    for index in 0..events {
        text.clear();
        bids.next_into(&mut bid);
        bid.write_json(&mut text);
        let partition = (bid.auction % PARTITIONS as u64) as usize;
        let bad = index % MALFORMED_EVERY == MALFORMED_EVERY / 2;
        if bad {
            spoil(&mut text, index / MALFORMED_EVERY);
        }
        for oracle in &mut *oracles {
            match bad {
                true => oracle.reject(partition as i32, offsets[partition]),
                false => oracle.take(&bid),
            }
        }
        offsets[partition] += 1;
        send(&producer, topic, partition as i32, &bid, &text)?;
    }
    producer.flush(FLUSH_TIME_MAX).map_err(|e| format!("{topic}: {e}"))
}

/// Writes `events` well-formed records; how many of them `counts` takes.
///
/// # Errors
/// The cluster does not take them.
pub fn plain(
    bootstrap: &str,
    topic: &str,
    events: u64,
    auctions: u64,
    counts: impl Fn(&Bid) -> bool,
) -> Result<u64, String> {
    let producer = producer(bootstrap)?;
    let mut bids = Bids::new(auctions, PER_SECOND);
    let (mut bid, mut text, mut counted) = (Bid::default(), String::new(), 0);
    for _ in 0..events {
        text.clear();
        bids.next_into(&mut bid);
        bid.write_json(&mut text);
        counted += u64::from(counts(&bid));
        send(&producer, topic, (bid.auction % PARTITIONS as u64) as i32, &bid, &text)?;
    }
    producer.flush(FLUSH_TIME_MAX).map_err(|e| format!("{topic}: {e}"))?;
    Ok(counted)
}

fn producer(bootstrap: &str) -> Result<BaseProducer, String> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "20")
        .set("batch.size", "131072")
        .set("enable.idempotence", "true")
        .create()
        .map_err(|e| format!("no producer: {e}"))
}

/// Breaks the text, reads a column of the wrong type, or one that most queries do not read.
fn spoil(text: &mut String, turn: u64) {
    match turn % 3 {
        0 => text.truncate(text.len() - 5),
        1 => *text = text.replacen("\"price\":", "\"price\":true,\"was\":", 1),
        _ => *text = text.replacen("\"bidder\":", "\"bidder\":{\"id\":1},\"was\":", 1),
    }
}

fn send(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    bid: &Bid,
    text: &str,
) -> Result<(), String> {
    let key = bid.auction.to_be_bytes();
    let mut record =
        BaseRecord::to(topic).partition(partition).key(&key).payload(text).timestamp(bid.time_ms);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(FULL_PAUSE);
            }
            Err((e, _)) => return Err(format!("{topic}: {e}")),
        }
    }
}
