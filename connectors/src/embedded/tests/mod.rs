//! What only this log does; what every log does is held by the contract suite of the tests crate.

mod crash;
mod model;
mod threads;

use std::sync::Arc;
use std::task::Poll;

use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{
    Cleanup, Log, Outcome, PollLimits, ReadClass, Record, RecordRef, TopicSpec, Writer,
};
use millrace_engine::seams::{SeededEntropy, SystemClock};

use super::{EmbeddedLog, FileDisk, MemoryDisk, Options};

const ALL: PollLimits = PollLimits { records_max: 1 << 20, bytes_max: 1 << 30 };

fn open(disk: &Arc<MemoryDisk>) -> std::io::Result<EmbeddedLog> {
    let seams = (Arc::new(SystemClock::default()) as _, Arc::new(SeededEntropy::new(1)) as _);
    EmbeddedLog::open_on(disk.clone(), seams, Options::default())
}

fn topic(log: &EmbeddedLog, name: &str, partitions: u32, cleanup: Cleanup) -> Tp {
    let (replicas, retention_ms, config) = Default::default();
    let name = name.to_owned();
    let spec = TopicSpec { name, partitions, replicas, cleanup, retention_ms, config };
    let Poll::Ready(Ok(info)) = log.ensure(&spec) else { panic!("ensure") };
    Tp::new(info.id, 0)
}

fn writer(log: &EmbeddedLog, id: &str) -> Box<dyn Writer> {
    let Poll::Ready(Ok(writer)) = log.writer(id) else { panic!("writer") };
    writer
}

fn send(writer: &mut dyn Writer, tp: Tp, value: &str) {
    let value = Some(value.as_bytes());
    let record = RecordRef { timestamp: Timestamp(1), key: Some(b"k"), value, headers: &[] };
    writer.send(tp, &record).unwrap();
}

fn commit(writer: Box<dyn Writer>) -> Box<dyn Writer> {
    let Poll::Ready(Outcome::Committed { writer, .. }) = writer.commit().poll() else {
        panic!("commit")
    };
    writer
}

fn values(log: &EmbeddedLog, tp: Tp) -> Vec<String> {
    let mut cursor = log.cursor(ReadClass::Shared);
    cursor.assign(&[(tp, Offset(0))]);
    let mut out = Vec::new();
    cursor.poll(&ALL, &mut out).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    out.iter().flat_map(|b| (0..b.records.len()).map(|i| text(b.value(i)))).collect()
}

#[test]
fn reopened() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk).unwrap();
    let tp = topic(&log, "a", 2, Cleanup::Delete);
    let mut w = writer(&log, "w");
    send(&mut *w, tp, "1");
    send(&mut *w, tp, "2");
    let mut w = commit(w);
    send(&mut *w, tp, "aborted");
    let Poll::Ready(Outcome::Aborted { writer: mut w, .. }) = w.abort().poll() else { panic!() };
    send(&mut *w, tp, "open");
    w.poll();
    assert_eq!(values(&log, tp), ["1", "2"]);
    let crashed = Arc::new(disk.copy());
    let again = open(&crashed).unwrap();
    assert_eq!(values(&again, tp), ["1", "2"]);
    commit(w);
    assert_eq!(values(&log, tp), ["1", "2", "open"]);
}

#[test]
fn second_process() {
    let folder = std::env::temp_dir().join(format!("millrace-lock-{}", std::process::id()));
    let first = FileDisk::open(&folder).unwrap();
    let error = FileDisk::open(&folder).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    drop(first);
    drop(FileDisk::open(&folder).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
}

/// Not a bench, but a bar that a mistake of complexity does not pass.
#[test]
fn fast_enough() {
    const COUNT: usize = 200_000;
    let folder = std::env::temp_dir().join(format!("millrace-fast-{}", std::process::id()));
    let log = EmbeddedLog::open(&folder, Options::default()).unwrap();
    let tp = topic(&log, "a", 1, Cleanup::Delete);
    let started = std::time::Instant::now();
    let value = [b'x'; 257];
    let mut w = writer(&log, "w");
    for i in 0..COUNT {
        let key = (i as u64).to_le_bytes();
        let (key, value) = (Some(&key[..]), Some(&value[..]));
        w.send(tp, &RecordRef { timestamp: Timestamp(1), key, value, headers: &[] }).unwrap();
        if i % 20_000 == 0 {
            w = commit(w);
        }
    }
    commit(w);
    let written = started.elapsed();
    let mut cursor = log.cursor(ReadClass::Shared);
    cursor.assign(&[(tp, Offset(0))]);
    let mut count = 0;
    let limits = PollLimits { records_max: 5000, bytes_max: 1 << 22 };
    while count < COUNT {
        let mut out = Vec::new();
        cursor.poll(&limits, &mut out).unwrap();
        count += out.iter().map(|batch| batch.records.len()).sum::<usize>();
    }
    let read = started.elapsed() - written;
    println!("{COUNT} records: written in {written:?}, read in {read:?}");
    std::fs::remove_dir_all(folder).unwrap();
    assert!(written.as_secs() < 10 && read.as_secs() < 10);
}

#[test]
fn records_keep_their_time() {
    let log = open(&Arc::new(MemoryDisk::default())).unwrap();
    let tp = topic(&log, "a", 1, Cleanup::Delete);
    let record = Record::new(Timestamp(-5), None, Some(b""));
    assert_eq!(log.append(tp, &[record]), Poll::Ready(Ok(Offset(0))));
    let mut cursor = log.cursor(ReadClass::Restore);
    cursor.assign(&[(tp, Offset(0))]);
    let mut out = Vec::new();
    cursor.poll(&ALL, &mut out).unwrap();
    assert_eq!((out[0].records[0].timestamp, out[0].key(0)), (Timestamp(-5), None));
    assert_eq!(out[0].value(0), Some(&b""[..]));
}
