//! Commits that a broker confirmed and then forgot to tell partitions of: a lone Kafka that is killed right
//! after a commit leaves the markers out when it starts (4.3 does, for partitions without a leader).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{
    Cleanup, Ends, Log, Outcome, PollLimits, ReadClass, RecordRef, SendError, TopicSpec, TxnState,
    Writer,
};
use millrace_tests::rig::Kafka;
use millrace_tests::skipped::skipped;

const PARTITIONS: u32 = 64;
const WRITERS: usize = 4;
const ROUNDS_MAX: usize = 6;
const PATIENCE: Duration = Duration::from_secs(60);
/// No round stops before this, so that kills do not come too early.
const FIRST_KILL: Duration = Duration::from_millis(1500);
const ALL: PollLimits = PollLimits { records_max: 100_000, bytes_max: 64 * 1024 * 1024 };

/// A writer's work: the same number to all partitions of its topic, again and again.
struct Work {
    id: String,
    at: Vec<Tp>,
    /// The last number whose commit was confirmed.
    committed: AtomicI64,
    stop: AtomicBool,
}

#[test]
fn commits_that_a_dead_broker_forgot_are_told_again() {
    let kafka = Kafka::start(1).expect("a Kafka");
    if !kafka.is_ours() {
        return println!("an external cluster is not killed: not tested");
    }
    let log = connect(&kafka);
    let works: Vec<Arc<Work>> = (0..WRITERS).map(|at| Arc::new(Work::new(&log, at))).collect();
    let mut rows_saved = 0;
    for round in 0..ROUNDS_MAX {
        crash(&kafka, &works, FIRST_KILL + Duration::from_millis(137 * round as u64));
        let log = connect(&kafka);
        for work in &works {
            rows_saved += work.check(&log);
        }
        println!("round {round}: {rows_saved} partitions saved so far");
        if rows_saved > 0 && round > 0 {
            return;
        }
    }
    // Whether markers are left out is a matter of milliseconds. All transactions were whole.
    skipped(
        "commits that the broker forgot to tell of: it told of all, each time that it was killed",
    );
}

fn connect(kafka: &Kafka) -> Arc<KafkaLog> {
    let mut config = KafkaConfig::new(&kafka.bootstrap);
    // The broker does not come back while its commits are waited for.
    config.ending_timeout_ms = 2_000;
    KafkaLog::connect(config).expect("a client")
}

/// Lets all write, kills the broker in the midst of it, and brings it back.
fn crash(kafka: &Kafka, works: &[Arc<Work>], after: Duration) {
    let threads: Vec<_> = works
        .iter()
        .map(|work| {
            work.stop.store(false, Ordering::Release);
            let (work, log) = (work.clone(), connect(kafka));
            std::thread::spawn(move || work.write(&log))
        })
        .collect();
    std::thread::sleep(after);
    // Right after a commit: its markers may be on their way.
    let committed = || works.iter().map(|work| work.committed.load(Ordering::Acquire)).sum::<i64>();
    let (before, until) = (committed(), Instant::now() + PATIENCE);
    while committed() == before && Instant::now() < until {
        std::thread::yield_now();
    }
    kafka.kill9(0);
    works.iter().for_each(|work| work.stop.store(true, Ordering::Release));
    threads.into_iter().for_each(|thread| thread.join().expect("a writer's thread"));
    kafka.revive(0).expect("the broker again");
}

fn ready<T>(
    what: &str,
    mut ask: impl FnMut() -> Poll<Result<T, millrace_engine::log::LogError>>,
) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Poll::Ready(Ok(answer)) => return answer,
            Poll::Ready(Err(error)) => assert!(Instant::now() < until, "{what}: {error}"),
            Poll::Pending => assert!(Instant::now() < until, "{what}: no answer"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Work {
    fn new(log: &KafkaLog, at: usize) -> Work {
        let spec = TopicSpec {
            name: format!("told-{at}"),
            partitions: PARTITIONS,
            replicas: None,
            cleanup: Cleanup::Delete,
            retention_ms: Some(-1),
            config: Vec::new(),
        };
        let until = Instant::now() + PATIENCE;
        let topic = loop {
            match log.ensure(&spec) {
                Poll::Ready(Ok(topic)) => break topic.id,
                other => assert!(Instant::now() < until, "no topic: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Work {
            id: format!("writer-{at}"),
            at: (0..PARTITIONS).map(|partition| Tp::new(topic, partition)).collect(),
            committed: AtomicI64::new(-1),
            stop: AtomicBool::new(false),
        }
    }

    /// Commits until the broker is gone.
    fn write(&self, log: &KafkaLog) {
        let mut writer = ready("a writer", || log.writer(&self.id));
        let mut number = self.committed.load(Ordering::Acquire) + 1;
        while !self.stop.load(Ordering::Acquire) {
            let text = number.to_string();
            if !self.at.iter().all(|tp| self.send(log, &mut *writer, *tp, text.as_bytes())) {
                return;
            }
            let mut ending = writer.commit();
            let outcome = loop {
                match ending.poll() {
                    Poll::Ready(outcome) => break outcome,
                    Poll::Pending => log.park(Duration::from_millis(1)),
                }
            };
            let Outcome::Committed { writer: next, .. } = outcome else { return };
            self.committed.store(number, Ordering::Release);
            number += 1;
            writer = next;
        }
    }

    /// False: the broker is gone.
    fn send(&self, log: &KafkaLog, writer: &mut dyn Writer, tp: Tp, value: &[u8]) -> bool {
        let timestamp = Timestamp(1);
        let record = RecordRef { timestamp, key: None, value: Some(value), headers: &[] };
        loop {
            match writer.send(tp, &record) {
                Ok(()) => return true,
                Err(SendError::Full) if !self.stop.load(Ordering::Acquire) => {
                    if !matches!(writer.poll(), TxnState::Idle | TxnState::Open { .. }) {
                        return false;
                    }
                    log.park(Duration::from_millis(1));
                }
                Err(_) => return false,
            }
        }
    }

    /// Settles what is left and looks whether transactions are whole; how many partitions were
    /// undecided of one that was committed.
    fn check(&self, log: &KafkaLog) -> usize {
        let committed = self.committed.load(Ordering::Acquire);
        let writer = ready("a writer", || log.writer(&self.id));
        let undecided = |ends: &[Ends]| -> Vec<Tp> {
            let all = self.at.iter().zip(ends);
            all.filter(|(_, ends)| ends.lso < ends.hw).map(|(tp, _)| *tp).collect()
        };
        let left = undecided(&ready("ends", || log.ends(&self.at)));
        let before = self.read(log);
        let mut ending = writer.settle(&left);
        let until = Instant::now() + PATIENCE;
        loop {
            match ending.poll() {
                Poll::Ready(Outcome::Committed { .. } | Outcome::Aborted { .. }) => break,
                Poll::Ready(Outcome::Lost(lost)) => panic!("{}: not settled: {lost:?}", self.id),
                Poll::Pending => assert!(Instant::now() < until, "{}: not settled", self.id),
            }
            log.park(Duration::from_millis(1));
        }
        // Markers are written after the answer.
        let until = Instant::now() + PATIENCE;
        while !undecided(&ready("ends", || log.ends(&self.at))).is_empty() {
            assert!(Instant::now() < until, "{}: still undecided", self.id);
            std::thread::sleep(Duration::from_millis(20));
        }
        let after = self.read(log);
        let whole: BTreeSet<&Vec<i64>> = after.iter().collect();
        assert_eq!(whole.len(), 1, "{}: a transaction was torn: {whole:?}", self.id);
        let found = &after[0];
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{}: doubled: {found:?}", self.id);
        assert!(
            committed < 0 || found.contains(&committed),
            "{}: {committed} was confirmed, and is lost: {found:?}",
            self.id
        );
        // Numbers of a transaction that committed without an answer are not given again.
        self.committed.fetch_max(found.last().copied().unwrap_or(-1), Ordering::AcqRel);
        before.iter().zip(&after).filter(|(before, after)| before.len() < after.len()).count()
    }

    /// The committed numbers of each partition.
    fn read(&self, log: &KafkaLog) -> Vec<Vec<i64>> {
        let ends = ready("ends", || log.ends(&self.at));
        let mut cursor = log.cursor(ReadClass::Restore);
        cursor.assign(&self.at.iter().map(|tp| (*tp, Offset(0))).collect::<Vec<_>>());
        let mut found = vec![Vec::new(); self.at.len()];
        let until = Instant::now() + PATIENCE;
        let is_read = |cursor: &dyn millrace_engine::log::Cursor| {
            let all = self.at.iter().zip(&ends);
            all.into_iter()
                .all(|(tp, ends)| cursor.position(*tp).is_some_and(|at| at.next >= ends.lso))
        };
        while !is_read(&*cursor) {
            assert!(Instant::now() < until, "{}: not read", self.id);
            let mut batches = Vec::new();
            cursor.poll(&ALL, &mut batches).expect("records");
            for batch in &batches {
                for i in 0..batch.records.len() {
                    let text = std::str::from_utf8(batch.value(i).expect("a value"));
                    let number = text.expect("a text").parse().expect("a number");
                    found[batch.tp.partition.0 as usize].push(number);
                }
            }
            log.park(Duration::from_millis(1));
        }
        found
    }
}
