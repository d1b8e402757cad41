//! What a crash, a loss of power, a failing or a full disk leave.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{Cleanup, Log, LogError, Outcome, ReadClass, ReadError, Record};
use millrace_engine::seams::{Disk, SeededEntropy};

use super::super::{Durability, EmbeddedLog, MemoryDisk, Options};
use super::{ALL, commit, open, send, topic, values, writer};
use crate::sim::SimClock;

const FILE: &str = "journal/0000000001.log";

/// A disk with three transactions over two partitions, and where the last one begins.
fn three_transactions() -> (Arc<MemoryDisk>, [Tp; 2], u64) {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk).unwrap();
    let a = topic(&log, "a", 2, Cleanup::Delete);
    let b = Tp::new(a.topic, 1);
    let mut w = writer(&log, "w");
    let mut last = 0;
    for value in ["1", "2", "3"] {
        last = disk.len(FILE).unwrap().unwrap();
        send(&mut *w, a, value);
        send(&mut *w, b, value);
        w = commit(w);
    }
    (disk, [a, b], last)
}

#[test]
fn cut_at_every_byte_of_the_last_transaction() {
    let (disk, [a, b], last) = three_transactions();
    let len = disk.len(FILE).unwrap().unwrap();
    for at in last..=len {
        let cut = Arc::new(disk.copy());
        cut.truncate(FILE, at).unwrap();
        let log = open(&cut).unwrap();
        let whole = &["1", "2", "3"][..if at == len { 3 } else { 2 }];
        assert_eq!((values(&log, a), values(&log, b)), (owned(whole), owned(whole)), "cut at {at}");
        // It goes on from there, and again after a restart.
        let mut w = writer(&log, "w");
        send(&mut *w, a, "next");
        commit(w);
        drop(log);
        let next = [whole, &["next"]].concat();
        assert_eq!(values(&open(&cut).unwrap(), a), owned(&next), "cut at {at}");
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn flipped(disk: &MemoryDisk, at: u64) -> Arc<MemoryDisk> {
    let mut bytes = disk.read(FILE).unwrap().unwrap();
    bytes[at as usize] ^= 0x10;
    let damaged = MemoryDisk::default();
    damaged.replace(FILE, &bytes).unwrap();
    Arc::new(damaged)
}

/// Nothing was known to be durable: damage ends the log there, whole transactions stay.
#[test]
fn flipped_byte_in_the_last_transaction() {
    let (disk, [a, b], last) = three_transactions();
    for at in last..disk.len(FILE).unwrap().unwrap() {
        let log = open(&flipped(&disk, at)).unwrap();
        let expected = (owned(&["1", "2"]), owned(&["1", "2"]));
        assert_eq!((values(&log, a), values(&log, b)), expected, "byte {at}");
    }
}

/// What was durable once must still be there.
#[test]
fn flipped_byte_in_what_was_durable() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk).unwrap();
    let a = topic(&log, "a", 1, Cleanup::Delete);
    let mut w = writer(&log, "w");
    send(&mut *w, a, "1");
    w = commit(w);
    log.sync().unwrap();
    let durable = disk.len(FILE).unwrap().unwrap();
    send(&mut *w, a, "2");
    commit(w);
    for at in 0..durable {
        let error = open(&flipped(&disk, at)).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("byte {at} was not noticed"));
        assert!(error.contains("damaged: journal/0000000001.log at byte"), "{error}");
    }
}

/// Closed segments are not read at opening, but their records are checked when they are read.
#[test]
fn flipped_record_in_an_old_segment() {
    let disk = Arc::new(MemoryDisk::default());
    let log = tiny_segments(&disk).unwrap();
    let a = topic(&log, "a", 1, Cleanup::Delete);
    let mut w = writer(&log, "w");
    for _ in 0..20 {
        send(&mut *w, a, "needle in a haystack");
        w = commit(w);
    }
    drop((w, log));
    let mut bytes = disk.read(FILE).unwrap().unwrap();
    let at = bytes.windows(6).position(|window| window == b"needle").unwrap();
    bytes[at] = b'N';
    disk.replace(FILE, &bytes).unwrap();
    let log = tiny_segments(&disk).unwrap();
    let mut cursor = log.cursor(ReadClass::Shared);
    cursor.assign(&[(a, Offset(0))]);
    let error = cursor.poll(&ALL, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { .. }), "{error}");
}

#[test]
fn missing_segment() {
    let disk = Arc::new(MemoryDisk::default());
    let log = tiny_segments(&disk).unwrap();
    let a = topic(&log, "a", 1, Cleanup::Delete);
    for _ in 0..50 {
        assert!(append(&log, a, "some value").is_ok());
    }
    drop(log);
    disk.remove("journal/0000000002.log").unwrap();
    let error = tiny_segments(&disk).err().unwrap().to_string();
    assert!(error.contains("0000000002.log is missing"), "{error}");
}

fn append(log: &EmbeddedLog, tp: Tp, value: &str) -> Result<Offset, LogError> {
    keyed(log, tp, "k", Some(value))
}

fn keyed(log: &EmbeddedLog, tp: Tp, key: &str, value: Option<&str>) -> Result<Offset, LogError> {
    let value = value.map(str::as_bytes);
    match log.append(tp, &[Record::new(Timestamp(1), Some(key.as_bytes()), value)]) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("pending"),
    }
}

fn tiny_segments(disk: &Arc<MemoryDisk>) -> io::Result<EmbeddedLog> {
    with(disk.clone(), Options { segment_bytes_max: 1000, ..Options::default() })
}

fn with(disk: Arc<dyn Disk>, options: Options) -> io::Result<EmbeddedLog> {
    let seams = (Arc::new(SimClock::default()) as _, Arc::new(SeededEntropy::new(7)) as _);
    EmbeddedLog::open_on(disk, seams, options)
}

#[test]
fn power_loss_keeps_what_always_promises() {
    let disk = Arc::new(MemoryDisk::default());
    let options = Options { durability: Durability::Always, ..Options::default() };
    let log = with(disk.clone(), options.clone()).unwrap();
    let a = topic(&log, "a", 1, Cleanup::Delete);
    let mut w = writer(&log, "w");
    for value in ["1", "2", "3"] {
        send(&mut *w, a, value);
        let mut ending = w.commit();
        w = loop {
            match ending.poll() {
                Poll::Ready(Outcome::Committed { writer, .. }) => break writer,
                Poll::Ready(_) => panic!("not committed"),
                Poll::Pending => log.park(Duration::from_millis(10)),
            }
        };
        let after = Arc::new(disk.after_power_loss());
        let again = with(after, options.clone()).unwrap();
        assert_eq!(values(&again, a).last().map(String::as_str), Some(value));
    }
    assert!(append(&log, a, "4").is_ok());
    let again = with(Arc::new(disk.after_power_loss()), options).unwrap();
    assert_eq!(values(&again, a), ["1", "2", "3", "4"]);
}

/// Readers pass the offsets of aborted records; a restart must not hand them out again.
#[test]
fn offsets_of_aborted_records_stay_used() {
    let disk = Arc::new(MemoryDisk::default());
    let log = open(&disk).unwrap();
    let a = topic(&log, "a", 1, Cleanup::Delete);
    let mut w = writer(&log, "w");
    for _ in 0..10 {
        send(&mut *w, a, "no");
    }
    w.poll();
    assert!(matches!(w.abort().poll(), Poll::Ready(Outcome::Aborted { .. })));
    let before = log.ends(&[a]);
    drop(log);
    assert_eq!(open(&disk).unwrap().ends(&[a]), before);
}

#[test]
fn compacted_keys_stay_gone_when_segments_go() {
    let disk = Arc::new(MemoryDisk::default());
    let clock = Arc::new(SimClock::default());
    let reopen = || {
        let options = Options { segment_bytes_max: 1500, ..Options::default() };
        let seams = (clock.clone() as _, Arc::new(SeededEntropy::new(7)) as _);
        EmbeddedLog::open_on(disk.clone(), seams, options).unwrap()
    };
    let mut log = reopen();
    let a = topic(&log, "a", 1, Cleanup::Compact);
    let stay = topic(&log, "stay", 1, Cleanup::Delete);
    append(&log, stay, "first").unwrap();
    for round in 0..20 {
        for key in ["a", "b", "c", "d"] {
            keyed(&log, a, key, Some(&format!("{key}{round}"))).unwrap();
        }
        keyed(&log, a, "b", None).unwrap();
        clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
        log.compact(a).unwrap();
        log.reclaim().unwrap();
        if round % 3 == 0 {
            drop(log);
            log = reopen();
        }
        let expected = ["a", "c", "d"].map(|key| format!("{key}{round}"));
        assert_eq!(values(&log, a), expected, "round {round}");
        assert_eq!(values(&log, stay), ["first"]);
    }
    let segments = disk.list("journal").unwrap();
    assert!(segments.len() < 8, "garbage stays: {segments:?}");
}

#[test]
fn dropped_topics_give_back_their_room() {
    let disk = Arc::new(MemoryDisk::default());
    let log = tiny_segments(&disk).unwrap();
    let keep = topic(&log, "keep", 1, Cleanup::Delete);
    append(&log, keep, "kept").unwrap();
    for round in 0..10 {
        let a = topic(&log, &format!("t{round}"), 1, Cleanup::Delete);
        for _ in 0..20 {
            append(&log, a, "some value").unwrap();
        }
        assert_eq!(log.delete(a.topic), Poll::Ready(Ok(())));
    }
    assert!(disk.list("journal").unwrap().len() > 10);
    log.reclaim().unwrap();
    assert!(disk.list("journal").unwrap().len() <= 3);
    drop(log);
    assert_eq!(values(&tiny_segments(&disk).unwrap(), keep), ["kept"]);
}

/// A disk that is full while the switch is on: half of an append is written, then it fails.
#[derive(Default)]
struct Full {
    disk: MemoryDisk,
    full: AtomicBool,
}

impl Disk for Full {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(path)
    }
    fn read_at(&self, path: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
        self.disk.read_at(path, at, len)
    }
    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<u64> {
        if self.full.load(Ordering::Acquire) {
            self.disk.append(path, &bytes[..bytes.len() / 2])?;
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left"));
        }
        self.disk.append(path, bytes)
    }
    fn replace(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(path, bytes)
    }
    fn sync(&self, path: &str) -> io::Result<()> {
        self.disk.sync(path)
    }
    fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        self.disk.truncate(path, len)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
}

#[test]
fn full_disk_aborts_and_recovers() {
    let disk = Arc::new(Full::default());
    let log = with(disk.clone(), Options::default()).unwrap();
    let a = topic(&log, "a", 1, Cleanup::Delete);
    let mut w = writer(&log, "w");
    send(&mut *w, a, "1");
    let mut w = commit(w);
    disk.full.store(true, Ordering::Release);
    send(&mut *w, a, "lost");
    let Poll::Ready(Outcome::Aborted { writer: mut w, culprits }) = w.commit().poll() else {
        panic!("a commit that was not written is an abort")
    };
    assert!(culprits.is_empty());
    let refused = append(&log, a, "lost").unwrap_err().to_string();
    assert!(refused.contains("no space left"), "{refused}");
    let end = log.ends(&[a]);
    disk.full.store(false, Ordering::Release);
    send(&mut *w, a, "2");
    commit(w);
    assert_eq!(values(&log, a), ["1", "2"]);
    drop(log);
    let again = with(Arc::new(disk.disk.copy()), Options::default()).unwrap();
    assert_eq!(values(&again, a), ["1", "2"]);
    let (Poll::Ready(Ok(before)), Poll::Ready(Ok(after))) = (end, again.ends(&[a])) else {
        panic!("ends")
    };
    assert!(after[0].hw > before[0].hw, "offsets of the failed commit stay used");
}
