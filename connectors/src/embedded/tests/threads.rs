//! Many threads at once: writers, readers, and the housekeeping that moves records under them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{Cleanup, Log, Outcome, PollLimits, ReadClass, RecordRef};

use super::super::{EmbeddedLog, Options};
use super::{topic, writer};

const WRITERS: u64 = 3;
const TRANSACTIONS: u64 = 200;
const RECORDS: u64 = 10;
const PARTITIONS: u32 = 3;

#[test]
fn all_at_once() {
    let folder = std::env::temp_dir().join(format!("millrace-threads-{}", std::process::id()));
    let options = Options { segment_bytes_max: 20_000, ..Options::default() };
    let log = EmbeddedLog::open(&folder, options).unwrap();
    let plain = topic(&log, "plain", PARTITIONS, Cleanup::Delete);
    let compacted = topic(&log, "compacted", 1, Cleanup::Compact);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let log = &log;
        let writers: Vec<_> =
            (0..WRITERS).map(|w| scope.spawn(move || write(log, w, plain, compacted))).collect();
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(move || read(log, plain))).collect();
        let keeper = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                log.compact(compacted).unwrap();
                log.reclaim().unwrap();
                std::thread::yield_now();
            }
        });
        writers.into_iter().for_each(|thread| thread.join().unwrap());
        readers.into_iter().for_each(|thread| thread.join().unwrap());
        over.store(true, Ordering::Release);
        keeper.join().unwrap();
    });
    drop(log);
    read(&EmbeddedLog::open(&folder, Options::default()).unwrap(), plain);
    std::fs::remove_dir_all(folder).unwrap();
}

fn value(writer: u64, number: u64) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&writer.to_le_bytes());
    value[8..].copy_from_slice(&number.to_le_bytes());
    value
}

/// Every third transaction is aborted and sent again.
fn write(log: &EmbeddedLog, w: u64, plain: Tp, compacted: Tp) {
    let mut out = writer(log, &format!("w{w}"));
    let mut number = 0;
    let mut attempt = 0;
    while number < TRANSACTIONS * RECORDS {
        for i in number..number + RECORDS {
            let value = value(w, i);
            let (key, value) = (Some(&value[..9]), Some(&value[..]));
            let record = RecordRef { timestamp: Timestamp(1), key, value, headers: &[] };
            let partition = (i % u64::from(PARTITIONS)) as u32;
            out.send(Tp::new(plain.topic, partition), &record).unwrap();
            out.send(compacted, &record).unwrap();
        }
        attempt += 1;
        let mut ending = if attempt % 3 == 0 { out.abort() } else { out.commit() };
        out = match ending.poll() {
            Poll::Ready(Outcome::Committed { writer, .. }) => {
                number += RECORDS;
                writer
            }
            Poll::Ready(Outcome::Aborted { writer, .. }) => writer,
            _ => panic!("writer {w} was lost"),
        };
    }
}

/// Each writer's records come once and in order, in every partition.
fn read(log: &EmbeddedLog, plain: Tp) {
    let mut cursor = log.cursor(ReadClass::Shared);
    let at: Vec<_> = (0..PARTITIONS).map(|p| (Tp::new(plain.topic, p), Offset(0))).collect();
    cursor.assign(&at);
    let limits = PollLimits { records_max: 77, bytes_max: 1 << 20 };
    let mut next = BTreeMap::new();
    let mut count = 0;
    let until = Instant::now() + Duration::from_secs(60);
    while count < WRITERS * TRANSACTIONS * RECORDS {
        assert!(Instant::now() < until, "only {count} records came");
        let mut out = Vec::new();
        cursor.poll(&limits, &mut out).unwrap();
        if out.is_empty() {
            log.park(Duration::from_millis(50));
        }
        for batch in &out {
            for i in 0..batch.records.len() {
                let value: [u8; 16] = batch.value(i).unwrap().try_into().unwrap();
                let (w, number) = value.split_at(8);
                let number = u64::from_le_bytes(number.try_into().unwrap());
                let first = u64::from(batch.tp.partition.0);
                let next = next.entry((batch.tp, w.to_vec())).or_insert(first);
                assert_eq!(number, *next, "in {:?}", batch.tp);
                *next += u64::from(PARTITIONS);
                count += 1;
            }
        }
    }
}

/// Hundreds of queries with nothing to do must cost next to nothing.
#[test]
fn idle_cursors_are_cheap() {
    let folder = std::env::temp_dir().join(format!("millrace-idle-{}", std::process::id()));
    let log = EmbeddedLog::open(&folder, Options::default()).unwrap();
    let tp = topic(&log, "a", 16, Cleanup::Delete);
    let at: Vec<_> = (0..16).map(|p| (Tp::new(tp.topic, p), Offset(0))).collect();
    let mut cursors: Vec<_> = (0..200).map(|_| log.cursor(ReadClass::Shared)).collect();
    cursors.iter_mut().for_each(|cursor| cursor.assign(&at));
    let limits = PollLimits { records_max: 1000, bytes_max: 1 << 20 };
    let started = Instant::now();
    let mut out = Vec::new();
    for _ in 0..1000 {
        cursors.iter_mut().for_each(|cursor| cursor.poll(&limits, &mut out).unwrap());
    }
    let took = started.elapsed();
    println!("200,000 idle polls took {took:?}");
    assert!(out.is_empty() && took < Duration::from_secs(1), "{took:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
