//! What the cases are written with: calls polled until they are ready, and reading to the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{
    AppendIf, Cleanup, Cursor, Ending, Ends, Header, HeaderRef, Log, Outcome, PollLimits, RawBatch,
    ReadClass, Record, RecordRef, TopicInfo, TopicSpec, TxnState, Writer,
};

use super::{Hooks, Subject};

/// Nothing takes longer, on any log.
const PATIENCE: Duration = Duration::from_secs(60);
const NAP: Duration = Duration::from_millis(5);
pub const ALL: PollLimits = PollLimits { records_max: 100_000, bytes_max: 64 * 1024 * 1024 };
/// In the week of the flights, long before any wall clock that runs this.
pub const IN_2013: Timestamp = Timestamp(1_358_000_000_000);

/// A log under test; names are unique to the case and the run.
pub struct Ctx {
    subject: Subject,
    prefix: String,
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<Header>,
}

impl Ctx {
    pub fn new(subject: Subject, case: &str) -> Self {
        static RUN: AtomicU32 = AtomicU32::new(0);
        let run = RUN.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("contract-{}-{run}-{case}", std::process::id());
        Ctx { subject, prefix }
    }

    pub fn log(&self) -> &dyn Log {
        &*self.subject.log
    }

    pub fn hooks(&self) -> &Hooks {
        &self.subject.hooks
    }

    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Asks until there is an answer.
    pub fn ready<T>(&self, mut ask: impl FnMut() -> Poll<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Poll::Ready(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < until, "no answer within {PATIENCE:?}");
            self.log().park(NAP);
        }
    }

    /// Waits until `met` holds.
    pub fn until(&self, what: &str, mut met: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !met() {
            assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
            self.log().park(NAP);
        }
    }

    pub fn spec(&self, name: &str, partitions: u32) -> TopicSpec {
        TopicSpec {
            name: self.name(name),
            partitions,
            replicas: None,
            cleanup: Cleanup::Delete,
            retention_ms: Some(-1),
            config: Vec::new(),
        }
    }

    pub fn ensure(&self, spec: &TopicSpec) -> TopicInfo {
        self.ready(|| self.log().ensure(spec)).expect("ensure")
    }

    /// A topic that keeps everything.
    pub fn topic(&self, name: &str, partitions: u32) -> TopicId {
        self.ensure(&self.spec(name, partitions)).id
    }

    /// Its only partition.
    pub fn tp(&self, name: &str) -> Tp {
        Tp::new(self.topic(name, 1), 0)
    }

    pub fn delete(&self, topic: TopicId) {
        self.ready(|| self.log().delete(topic)).expect("delete");
    }

    pub fn describe(&self, name: &str) -> Option<TopicInfo> {
        let name = self.name(name);
        self.ready(|| self.log().describe(&name)).expect("describe")
    }

    pub fn ends(&self, tp: Tp) -> Ends {
        self.ready(|| self.log().ends(&[tp])).expect("ends")[0]
    }

    pub fn writer(&self, id: &str) -> Box<dyn Writer> {
        let id = self.name(id);
        self.ready(|| self.log().writer(&id)).unwrap_or_else(|error| panic!("writer: {error}"))
    }

    pub fn append(&self, tp: Tp, values: &[&str]) -> Offset {
        let record = |value: &&str| Record::new(IN_2013, Some(b"k"), Some(value.as_bytes()));
        let records: Vec<_> = values.iter().map(record).collect();
        self.append_records(tp, &records)
    }

    pub fn append_records(&self, tp: Tp, records: &[Record]) -> Offset {
        self.ready(|| self.log().append(tp, records)).expect("append")
    }

    pub fn append_if(&self, id: &str, tp: Tp, end: Offset, value: &str) -> AppendIf {
        let record = Record::new(IN_2013, None, Some(value.as_bytes()));
        let id = self.name(id);
        self.ready(|| self.log().append_if(&id, tp, end, &record))
    }

    /// Sends, waiting while the queue is full.
    pub fn send(&self, writer: &mut dyn Writer, tp: Tp, values: &[&str]) {
        for value in values {
            let value = Some(value.as_bytes());
            self.send_record(writer, tp, Some(b"k"), value, &[]);
        }
    }

    pub fn send_record(
        &self,
        writer: &mut dyn Writer,
        tp: Tp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderRef<'_>],
    ) {
        let record = RecordRef { timestamp: IN_2013, key, value, headers };
        self.until("room in the producer's queue", || match writer.send(tp, &record) {
            Ok(()) => true,
            Err(millrace_engine::log::SendError::Full) => {
                writer.poll();
                false
            }
            Err(error) => panic!("send: {error}"),
        });
    }

    /// Waits until the log has all that was sent; the transaction stays open.
    pub fn acked(&self, writer: &mut dyn Writer) {
        self.until("acknowledgement", || match writer.poll() {
            TxnState::Open { unacked } => unacked == 0,
            other => panic!("the transaction should be open: {other:?}"),
        });
    }

    pub fn end(&self, mut ending: Box<dyn Ending>) -> Outcome {
        self.ready(|| ending.poll())
    }

    pub fn commit(&self, writer: Box<dyn Writer>) -> Box<dyn Writer> {
        match self.end(writer.commit()) {
            Outcome::Committed { writer, ends } => {
                self.settle(&ends);
                writer
            }
            Outcome::Aborted { culprits, .. } => panic!("aborted, culprits {culprits:?}"),
            Outcome::Lost(lost) => panic!("lost: {lost:?}"),
        }
    }

    pub fn abort(&self, writer: Box<dyn Writer>) -> Box<dyn Writer> {
        match self.end(writer.abort()) {
            Outcome::Aborted { writer, .. } => {
                self.settle(&[]);
                writer
            }
            Outcome::Committed { .. } => panic!("committed instead of aborted"),
            Outcome::Lost(lost) => panic!("lost: {lost:?}"),
        }
    }

    fn settle(&self, ends: &[(Tp, Offset)]) {
        if let Some(settle) = &self.hooks().settle {
            settle(ends);
        }
    }

    pub fn cursor(&self, at: &[(Tp, i64)]) -> Box<dyn Cursor> {
        let mut cursor = self.log().cursor(ReadClass::Shared);
        let at: Vec<_> = at.iter().map(|(tp, offset)| (*tp, Offset(*offset))).collect();
        cursor.assign(&at);
        cursor
    }

    /// Reads until the cursor has passed the present LSO of all `tps`.
    pub fn read_on(
        &self,
        cursor: &mut dyn Cursor,
        tps: &[Tp],
        limits: &PollLimits,
    ) -> Vec<RawBatch> {
        let goals: Vec<_> = tps.iter().map(|tp| (*tp, self.ends(*tp).lso)).collect();
        let mut out = Vec::new();
        self.until("the LSO", || {
            cursor.poll(limits, &mut out).expect("poll");
            let there = |(tp, lso): &(Tp, Offset)| {
                cursor.position(*tp).expect("an assigned partition").next >= *lso
            };
            goals.iter().all(there)
        });
        out
    }

    /// All that can be read of `tp` now.
    pub fn read(&self, tp: Tp) -> Vec<Read> {
        let start = self.ends(tp).start.0;
        let mut cursor = self.cursor(&[(tp, start)]);
        let batches = self.read_on(&mut *cursor, &[tp], &ALL);
        records(&batches)
    }

    /// Values of all that can be read of `tp` now.
    pub fn values(&self, tp: Tp) -> Vec<String> {
        values(&self.read(tp))
    }

    pub fn check_values(&self, tp: Tp, expected: &[&str]) {
        assert_eq!(self.values(tp), expected, "what a reader sees");
    }
}

pub fn records(batches: &[RawBatch]) -> Vec<Read> {
    let mut read = Vec::new();
    for batch in batches {
        read.extend(batch.records.iter().enumerate().map(|(i, record)| Read {
            offset: record.offset.0,
            timestamp: record.timestamp.0,
            key: batch.key(i).map(<[u8]>::to_vec),
            value: batch.value(i).map(<[u8]>::to_vec),
            headers: batch.headers(i),
        }));
    }
    read
}

pub fn values(records: &[Read]) -> Vec<String> {
    let text = |record: &Read| match &record.value {
        Some(value) => String::from_utf8_lossy(value).into_owned(),
        None => "<null>".to_owned(),
    };
    records.iter().map(text).collect()
}
