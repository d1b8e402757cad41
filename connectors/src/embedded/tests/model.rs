//! Random operations, crashes among them, against a model made of vectors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{
    Cleanup, Cursor, Log, Outcome, PollLimits, ReadClass, Record, RecordRef, Writer,
};
use millrace_engine::seams::{Entropy, SeededEntropy};

use super::super::{EmbeddedLog, MemoryDisk, Options};
use super::{ALL, topic, writer};

const SEEDS: u64 = 150;
const STEPS: usize = 250;
const WRITERS: [&str; 3] = ["w0", "w1", "w2"];
const KEYS: u64 = 6;

/// A record that was sent; in the order of offsets.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    key: String,
    value: String,
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Open(usize),
    Committed,
}

/// Partitions: 0 and 1 keep all, 2 is purged, 3 is compacted.
struct Run {
    seed: u64,
    random: SeededEntropy,
    disk: Arc<MemoryDisk>,
    log: EmbeddedLog,
    tps: Vec<Tp>,
    model: Vec<Vec<Item>>,
    writers: BTreeMap<usize, Box<dyn Writer>>,
    /// A reader that reads along on each of the first two partitions, and what it has read.
    readers: Vec<(Box<dyn Cursor>, Vec<String>)>,
    count: u64,
}

#[test]
fn random_operations() {
    for seed in 0..SEEDS {
        let mut run = Run::new(seed);
        for _ in 0..STEPS {
            run.step();
        }
        run.check();
    }
}

fn open(disk: &Arc<MemoryDisk>, seed: u64) -> EmbeddedLog {
    let clock = Arc::new(crate::sim::SimClock::default());
    let seams = (clock as _, Arc::new(SeededEntropy::new(seed)) as _);
    let options = Options { segment_bytes_max: 3000, ..Options::default() };
    EmbeddedLog::open_on(disk.clone(), seams, options).unwrap()
}

fn reader(log: &EmbeddedLog, tp: Tp, at: Offset) -> Box<dyn Cursor> {
    let mut cursor = log.cursor(ReadClass::Shared);
    cursor.assign(&[(tp, at)]);
    cursor
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = Arc::new(MemoryDisk::default());
        let log = open(&disk, seed);
        let plain = topic(&log, "plain", 3, Cleanup::Delete).topic;
        let compacted = topic(&log, "compacted", 1, Cleanup::Compact);
        let tps = vec![Tp::new(plain, 0), Tp::new(plain, 1), Tp::new(plain, 2), compacted];
        let readers = (0..2).map(|p| (reader(&log, tps[p], Offset(0)), Vec::new())).collect();
        let random = SeededEntropy::new(seed);
        let (writers, model) = (BTreeMap::new(), vec![Vec::new(); 4]);
        Run { seed, random, disk, log, tps, model, writers, readers, count: 0 }
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn step(&mut self) {
        match self.below(100) {
            0..45 => self.send(),
            45..60 => self.end(true),
            60..67 => self.end(false),
            67..75 => self.append(),
            75..80 => self.reopen_writer(),
            80..90 => self.read_along(),
            90..92 => self.purge(),
            92..94 => self.compact(),
            94..96 => self.log.reclaim().unwrap(),
            96..98 => self.crash(),
            _ => self.check(),
        }
    }

    fn item(&mut self, state: State) -> Item {
        self.count += 1;
        let key = format!("k{}", self.below(KEYS));
        Item { key, value: format!("v{}", self.count), state }
    }

    fn send(&mut self) {
        let (w, p) = (self.below(3) as usize, self.below(4) as usize);
        for _ in 0..1 + self.below(4) {
            let item = self.item(State::Open(w));
            let log = &self.log;
            let writer = self.writers.entry(w).or_insert_with(|| writer(log, WRITERS[w]));
            let (key, value) = (Some(item.key.as_bytes()), Some(item.value.as_bytes()));
            let record = RecordRef { timestamp: Timestamp(1), key, value, headers: &[] };
            writer.send(self.tps[p], &record).unwrap();
            self.model[p].push(item);
        }
        self.writers.get_mut(&w).unwrap().poll();
    }

    fn end(&mut self, commit: bool) {
        let w = self.below(3) as usize;
        let Some(writer) = self.writers.remove(&w) else { return };
        let outcome = if commit { writer.commit().poll() } else { writer.abort().poll() };
        match outcome {
            Poll::Ready(Outcome::Committed { writer, .. }) => {
                self.decide(w, true);
                self.writers.insert(w, writer);
            }
            Poll::Ready(Outcome::Aborted { writer, .. }) => {
                self.decide(w, false);
                self.writers.insert(w, writer);
            }
            _ => panic!("seed {}: an end without an outcome", self.seed),
        }
    }

    fn decide(&mut self, w: usize, commit: bool) {
        for items in &mut self.model {
            items.retain(|item| commit || item.state != State::Open(w));
            let own = items.iter_mut().filter(|item| item.state == State::Open(w));
            own.for_each(|item| item.state = State::Committed);
        }
    }

    fn append(&mut self) {
        let p = self.below(4) as usize;
        let item = self.item(State::Committed);
        let (key, value) = (Some(item.key.as_bytes()), Some(item.value.as_bytes()));
        let answer = self.log.append(self.tps[p], &[Record::new(Timestamp(1), key, value)]);
        assert!(matches!(answer, Poll::Ready(Ok(_))));
        self.model[p].push(item);
    }

    fn reopen_writer(&mut self) {
        let w = self.below(3) as usize;
        let old = self.writers.remove(&w);
        self.writers.insert(w, writer(&self.log, WRITERS[w]));
        drop(old);
        self.decide(w, false);
    }

    fn read_along(&mut self) {
        let limits = PollLimits { records_max: 1 + self.below(5) as usize, bytes_max: 1 << 20 };
        for (cursor, read) in &mut self.readers {
            let mut out = Vec::new();
            cursor.poll(&limits, &mut out).unwrap();
            for batch in &out {
                let text = |i| String::from_utf8(batch.value(i).unwrap().to_vec()).unwrap();
                read.extend((0..batch.records.len()).map(text));
            }
        }
    }

    fn purge(&mut self) {
        let tp = self.tps[2];
        let read = self.read(2);
        if read.is_empty() {
            return;
        }
        let count = self.below(read.len() as u64) as usize;
        let below = [(tp, Offset(read[count].0))];
        assert_eq!(self.log.purge(&below), Poll::Ready(Ok(())));
        self.model[2].drain(..count);
    }

    fn compact(&mut self) {
        self.log.compact(self.tps[3]).unwrap();
        let items = &mut self.model[3];
        let stable = items.iter().position(|item| item.state != State::Committed);
        let stable = stable.unwrap_or(items.len());
        let mut i = 0;
        let before = items.clone();
        items.retain(|item| {
            i += 1;
            i > stable || !before[i..stable].iter().any(|later| later.key == item.key)
        });
    }

    /// The process ends; what it had written to its files stays.
    fn crash(&mut self) {
        self.disk = Arc::new(self.disk.copy());
        self.writers.clear();
        self.log = open(&self.disk, self.count);
        for items in &mut self.model {
            items.retain(|item| item.state == State::Committed);
        }
        for (p, (cursor, _)) in self.readers.iter_mut().enumerate() {
            let at = cursor.position(self.tps[p]).unwrap().next;
            *cursor = reader(&self.log, self.tps[p], at);
        }
    }

    fn read(&self, p: usize) -> Vec<(i64, String)> {
        let Poll::Ready(Ok(ends)) = self.log.ends(&[self.tps[p]]) else { panic!("ends") };
        let mut cursor = reader(&self.log, self.tps[p], ends[0].start);
        let mut out = Vec::new();
        cursor.poll(&ALL, &mut out).unwrap();
        let mut read = Vec::new();
        for batch in &out {
            for (i, record) in batch.records.iter().enumerate() {
                let value = String::from_utf8(batch.value(i).unwrap().to_vec()).unwrap();
                read.push((record.offset.0, value));
            }
        }
        let position = cursor.position(self.tps[p]).unwrap();
        assert_eq!(position.next, ends[0].lso, "seed {}: read to the LSO", self.seed);
        read
    }

    fn check(&mut self) {
        for p in 0..4 {
            let stable = self.model[p].iter().take_while(|item| item.state == State::Committed);
            let expected: Vec<_> = stable.map(|item| item.value.clone()).collect();
            let read: Vec<_> = self.read(p).into_iter().map(|(_, value)| value).collect();
            assert_eq!(read, expected, "seed {} partition {p}", self.seed);
            if let Some((_, along)) = self.readers.get(p) {
                assert_eq!(along[..], expected[..along.len()], "seed {}: reader {p}", self.seed);
            }
        }
    }
}
