//! Faults do what they say, and a small lane gets through all of them exactly once.

use std::sync::Arc;
use std::task::Poll;

use millrace_engine::ids::{LaneId, Offset, Timestamp, Tp};
use millrace_engine::log::{
    Cleanup, Ending, Log, Lost, Outcome, PollLimits, ReadClass, Record, RecordRef, SendError,
    SlotEvent, TopicSpec, TxnState, Writer,
};

use super::{Fault, NoFaults, Op, Rates, Scripted, SeededFaults, SimCluster, SimLog};

const ALL: PollLimits = PollLimits { records_max: 1 << 20, bytes_max: 1 << 30 };
const PATIENCE: u32 = 10_000;

fn ready<T>(mut ask: impl FnMut() -> Poll<T>) -> T {
    for _ in 0..PATIENCE {
        if let Poll::Ready(answer) = ask() {
            return answer;
        }
    }
    panic!("no answer")
}

fn topic(log: &SimLog, name: &str, partitions: u32) -> Tp {
    let (replicas, retention_ms, config) = Default::default();
    let (name, cleanup) = (name.to_owned(), Cleanup::Delete);
    let spec = TopicSpec { name, partitions, replicas, cleanup, retention_ms, config };
    Tp::new(ready(|| log.ensure(&spec)).unwrap().id, 0)
}

fn send(writer: &mut dyn Writer, tp: Tp, value: &str) -> Result<(), SendError> {
    let value = Some(value.as_bytes());
    writer.send(tp, &RecordRef { timestamp: Timestamp(1), key: None, value, headers: &[] })
}

/// What a node without faults sees.
fn values(cluster: &Arc<SimCluster>, tp: Tp) -> Vec<String> {
    let mut cursor = crate::embedded::LocalCursor::new(cluster.shared.clone());
    let mut out = Vec::new();
    millrace_engine::log::Cursor::assign(&mut cursor, &[(tp, Offset(0))]);
    millrace_engine::log::Cursor::poll(&mut cursor, &ALL, &mut out).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    out.iter().flat_map(|batch| (0..batch.records.len()).map(|i| text(batch.value(i)))).collect()
}

/// A transaction of one record under one fault of its commit.
fn commit_under(fault: Fault) -> (Arc<SimCluster>, Arc<SimLog>, Tp, Box<dyn Ending>) {
    let faults = Arc::new(Scripted::default());
    let cluster = SimCluster::new(1, faults.clone());
    let log = cluster.node("n1");
    let tp = topic(&log, "t", 1);
    let mut writer = ready(|| log.writer("w")).unwrap();
    send(&mut *writer, tp, "a").unwrap();
    faults.plan(Op::Commit, 0, fault);
    let ending = writer.commit();
    (cluster, log, tp, ending)
}

fn reopened(cluster: &Arc<SimCluster>, tp: Tp) -> Vec<String> {
    let other = cluster.node("n2");
    let writer = ready(|| other.writer("w")).unwrap();
    drop(writer);
    values(cluster, tp)
}

#[test]
fn crash_before_and_after_a_commit() {
    for (fault, expected) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let (cluster, log, tp, mut ending) = commit_under(fault);
        assert!(ending.poll().is_pending() && log.crashed());
        assert!(ending.poll().is_pending());
        assert_eq!(values(&cluster, tp).len(), expected, "{fault:?}");
        assert_eq!(reopened(&cluster, tp).len(), expected, "{fault:?}");
    }
}

#[test]
fn late_ends_land_before_the_next_writer_is_ready() {
    for fault in [Fault::Late, Fault::CrashLate] {
        let (cluster, log, tp, mut ending) = commit_under(fault);
        match ending.poll() {
            Poll::Ready(Outcome::Lost(Lost::Unknown(_))) => assert!(!log.crashed()),
            Poll::Pending => assert!(log.crashed()),
            Poll::Ready(_) => panic!("{fault:?}"),
        }
        assert_eq!(values(&cluster, tp).len(), 0, "{fault:?}");
        assert_eq!(reopened(&cluster, tp), ["a"], "{fault:?}");
    }
}

#[test]
fn late_ends_land_when_told() {
    let (cluster, _, tp, mut ending) = commit_under(Fault::Late);
    assert!(ending.poll().is_ready());
    cluster.land_late();
    assert_eq!(values(&cluster, tp), ["a"]);
}

#[test]
fn slow_commits() {
    let (cluster, _, tp, mut ending) = commit_under(Fault::Slow { before: 2, after: 3 });
    for seen in [0, 0, 1, 1, 1] {
        assert!(ending.poll().is_pending());
        assert_eq!(values(&cluster, tp).len(), seen);
    }
    assert!(matches!(ending.poll(), Poll::Ready(Outcome::Committed { .. })));
}

#[test]
fn fenced_and_timed_out() {
    for fault in [Fault::Fence, Fault::TimeOut] {
        let (cluster, _, tp, mut ending) = commit_under(fault);
        assert!(matches!(ending.poll(), Poll::Ready(Outcome::Lost(Lost::Fenced(_)))), "{fault:?}");
        assert_eq!(values(&cluster, tp).len(), 0);
    }
}

#[test]
fn killed_node_pins_until_its_id_is_opened() {
    let cluster = SimCluster::new(1, Arc::new(NoFaults));
    let (one, two) = (cluster.node("n1"), cluster.node("n2"));
    let tp = topic(&one, "t", 1);
    let mut writer = ready(|| one.writer("w")).unwrap();
    send(&mut *writer, tp, "lost").unwrap();
    writer.poll();
    one.kill();
    assert!(matches!(writer.poll(), TxnState::Dead(_)));
    drop(writer);
    assert!(one.list().is_pending());
    let record = Record::new(Timestamp(1), None, Some(b"plain"));
    ready(|| two.append(tp, std::slice::from_ref(&record))).unwrap();
    assert_eq!(values(&cluster, tp).len(), 0, "the open transaction pins the LSO");
    assert_eq!(reopened(&cluster, tp), ["plain"]);
}

#[test]
fn open_transactions_time_out() {
    let cluster = SimCluster::new(1, Arc::new(NoFaults));
    let log = cluster.node("n1");
    let tp = topic(&log, "t", 1);
    let mut writer = ready(|| log.writer("w")).unwrap();
    send(&mut *writer, tp, "a").unwrap();
    writer.poll();
    cluster.advance(std::time::Duration::from_secs(59));
    assert!(matches!(writer.poll(), TxnState::Open { .. }));
    cluster.advance(std::time::Duration::from_secs(2));
    assert!(matches!(writer.poll(), TxnState::Dead(Lost::Fenced(_))));
}

#[test]
fn slots_move_as_told() {
    let cluster = SimCluster::new(1, Arc::new(NoFaults));
    let (one, two) = (cluster.node("n1"), cluster.node("n2"));
    let mut a = one.join("g", "progress", "n1", 2);
    let mut b = two.join("g", "progress", "n2", 2);
    assert_eq!(a.poll(), [0, 1].map(|slot| SlotEvent::Assigned(LaneId(slot))));
    assert_eq!(b.poll(), []);
    cluster.assign("g", LaneId(1), Some("n2"));
    assert!(a.owns(LaneId(1)).is_some(), "it has not heard of it yet");
    assert_eq!(b.poll(), [SlotEvent::Assigned(LaneId(1))]);
    assert_eq!(a.poll(), [SlotEvent::Revoked(LaneId(1))]);
    assert!(a.owns(LaneId(0)).is_some() && a.owns(LaneId(1)).is_none());
    cluster.expel("g", "n1");
    assert_eq!(a.poll(), [SlotEvent::Lost]);
    assert_eq!(a.owns(LaneId(0)), None);
}

/// The smallest lane: copies numbers, with its position in the same transaction.
struct Lane {
    cluster: Arc<SimCluster>,
    log: Arc<SimLog>,
    input: Tp,
    output: Tp,
    progress: Tp,
    incarnations: u32,
}

const COUNT: usize = 200;

impl Lane {
    fn run(&mut self) {
        while !self.incarnation() {
            self.incarnations += 1;
            assert!(self.incarnations < 5000, "it gets nowhere");
            if self.log.crashed() {
                self.log = self.cluster.node(&format!("n{}", self.incarnations));
            }
        }
    }

    /// Asks until there is an answer; `None` when the node has died or the log is out of reach.
    fn ask<T, E>(&self, mut ask: impl FnMut(&SimLog) -> Poll<Result<T, E>>) -> Option<T> {
        while !self.log.crashed() {
            if let Poll::Ready(answer) = ask(&self.log) {
                return answer.ok();
            }
        }
        None
    }

    /// From recovery to the next failure; true when all is copied.
    fn incarnation(&mut self) -> bool {
        self.try_incarnation().unwrap_or(false)
    }

    fn try_incarnation(&mut self) -> Option<bool> {
        let writer = self.ask(|log| log.writer("lane"))?;
        let mut writer = self.end(writer.settle(&[self.progress, self.output]))?;
        let end = self.ask(|log| log.ends(&[self.progress]))?[0].hw;
        let from = self
            .read(self.progress, Offset(0), end)?
            .last()
            .map_or(0, |text| text.parse().unwrap());
        let end = self.ask(|log| log.ends(&[self.input]))?[0].hw;
        let input = self.read(self.input, Offset(from), end)?;
        for (i, part) in input.chunks(7).enumerate() {
            for value in part {
                self.send(&mut *writer, self.output, value)?;
            }
            let position = from + (i * 7 + part.len()) as i64;
            self.send(&mut *writer, self.progress, &position.to_string())?;
            writer = self.end(writer.commit())?;
        }
        // A partition may not have been told of the last commit.
        Some(!matches!(writer.poll(), TxnState::Dead(_)))
    }

    fn end(&self, mut ending: Box<dyn Ending>) -> Option<Box<dyn Writer>> {
        self.ask(|_| {
            ending.poll().map(|outcome| match outcome {
                Outcome::Committed { writer, .. } => Ok(writer),
                Outcome::Aborted { .. } => Err("aborted"),
                Outcome::Lost(_) => Err("lost"),
            })
        })
    }

    fn send(&self, writer: &mut dyn Writer, tp: Tp, value: &str) -> Option<()> {
        loop {
            match send(writer, tp, value) {
                Ok(()) => return Some(()),
                Err(SendError::Full) => {}
                Err(_) => return None,
            }
            if matches!(writer.poll(), TxnState::Dead(_)) {
                return None;
            }
        }
    }

    fn read(&self, tp: Tp, from: Offset, to: Offset) -> Option<Vec<String>> {
        let mut cursor = self.log.cursor(ReadClass::Restore);
        cursor.assign(&[(tp, from)]);
        let mut read = Vec::new();
        while cursor.position(tp)?.next < to {
            if self.log.crashed() {
                return None;
            }
            let mut out = Vec::new();
            cursor.poll(&ALL, &mut out).ok()?;
            for batch in &out {
                let text = |i| String::from_utf8(batch.value(i).unwrap().to_vec()).unwrap();
                read.extend((0..batch.records.len()).map(text));
            }
        }
        Some(read)
    }
}

fn simulate(seed: u64) -> (Vec<String>, u32, i64) {
    let faults = Arc::new(SeededFaults::new(seed, Rates::NONE));
    let cluster = SimCluster::new(seed, faults.clone());
    let log = cluster.node("n0");
    let (input, output) = (topic(&log, "in", 1), topic(&log, "out", 1));
    let progress = topic(&log, "progress", 1);
    let numbers: Vec<_> = (0..COUNT).map(|i| i.to_string()).collect();
    let record = |text: &String| Record::new(Timestamp(1), None, Some(text.as_bytes()));
    let records: Vec<_> = numbers.iter().map(record).collect();
    ready(|| log.append(input, &records)).unwrap();
    faults.set(Rates::default());
    let mut lane = Lane { cluster: cluster.clone(), log, input, output, progress, incarnations: 0 };
    lane.run();
    let hw = cluster.shared.ends(&[output]).unwrap()[0].hw.0;
    (values(&cluster, output), lane.incarnations, hw)
}

#[test]
fn exactly_once_under_every_seed() {
    let expected: Vec<_> = (0..COUNT).map(|i| i.to_string()).collect();
    let mut incarnations = 0;
    for seed in 0..300 {
        let (output, lived, _) = simulate(seed);
        assert_eq!(output, expected, "seed {seed}");
        incarnations += lived;
    }
    assert!(incarnations > 300, "hardly anything went wrong: {incarnations}");
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..20 {
        assert_eq!(simulate(seed), simulate(seed), "seed {seed}");
    }
}
