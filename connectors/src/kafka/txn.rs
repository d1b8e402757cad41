//! Transactions: a writer, and the thread that begins and ends its transactions.
//!
//! librdkafka's transaction calls block. Each writer has one thread for them, so that a lane never
//! waits and lanes do not wait for each other. While an ending runs the writer is inside of it, so
//! writer and thread never use the producer at the same time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{
    Ending, LogError, Lost, Outcome, RecordRef, SendError, TxnState, Writer,
};
use parking_lot::Mutex;
use rdkafka_sys as sys;

use super::config::KafkaConfig;
use super::deliveries::{Deliveries, REASON_WAIT, Reports};
use super::endings::{Enders, Verdict};
use super::inner::Inner;
use super::limits::{MESSAGE_BYTES, UNSENT_KIB, UNSENT_MESSAGES};
use super::native::{Client, Kind, NativeError, code};
use super::producer::{Place, Producer, Topic};
use super::settling::{Settling, Telling};

type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// A transactional producer. See the module.
pub(super) struct TxnWriter {
    pub(super) inner: Arc<Inner>,
    producer: Producer,
    reports: Arc<Reports>,
    /// Where records go; emptied when a topic went away.
    targets: HashMap<Tp, Target>,
    /// Tags of partitions; they outlive their targets.
    tags: HashMap<Tp, usize>,
    /// Whether librdkafka has a transaction open.
    open: bool,
    sent: usize,
    /// [`super::ids::Ids::losses`] when topics were last looked up.
    losses: u64,
    /// A partition that the client was told to look for.
    refreshing: Option<Tp>,
    /// When librdkafka first refused a record because the transaction has failed.
    refused_since: Option<Instant>,
    /// Why the transaction can only be aborted, when reports do not say it.
    pub(super) doomed: Option<(Vec<TopicId>, String)>,
    /// When the last transaction was confirmed as committed.
    committed_at: Arc<Mutex<Option<Instant>>>,
    thread: Sender<Job>,
}

/// A partition that was written to.
#[derive(Clone)]
struct Target {
    tag: usize,
    topic: Arc<Topic>,
}

/// How a transaction is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Commit,
    Abort,
}

struct Job {
    work: Work,
    verdict: Arc<Mutex<Option<Verdict>>>,
}

pub(super) enum Work {
    End(How),
    /// See [`super::settle`].
    Settle(Vec<Place>),
}

impl TxnWriter {
    /// Fences older writers of `id` and waits until their transactions are decided. Blocks.
    pub fn open(inner: Arc<Inner>, id: &str) -> Result<TxnWriter, LogError> {
        let reports = Arc::new(Reports::new(inner.signal.clone()));
        let settings = settings(&inner.config, id);
        let client = Client::new(Kind::Producer, &settings, Box::new(Deliveries(reports.clone())))?;
        let client = Arc::new(client);
        let enders = Enders::new(client.clone(), reports.clone(), &inner.config);
        let wait = Duration::from_millis(u64::from(inner.config.request_timeout_ms));
        Telling::await_end(id, Instant::now() + wait);
        enders.init(id)?;
        let (thread, jobs) = channel();
        let (signal, committed_at) = (inner.signal.clone(), enders.committed_at());
        let (id, served) = (id.to_owned(), client.clone());
        let name = format!("txn-{id}");
        let service =
            Service { enders, client: served, config: inner.config.clone(), id: id.clone() };
        std::thread::Builder::new()
            .name(name)
            .spawn(move || service.serve(&jobs, || signal.raise()))
            .map_err(|e| LogError::Other(format!("no thread for writer {id}: {e}")))?;
        Ok(TxnWriter {
            inner,
            producer: Producer::new(client),
            reports,
            targets: HashMap::default(),
            tags: HashMap::default(),
            open: false,
            sent: 0,
            losses: 0,
            refreshing: None,
            refused_since: None,
            doomed: None,
            committed_at,
            thread,
        })
    }

    /// Ends the transaction and waits for it.
    pub fn end_now(&mut self, how: How) -> Verdict {
        let Some(verdict) = self.start_ending(how) else { return Verdict::nothing(how) };
        loop {
            if let Some(found) = verdict.lock().take() {
                return found;
            }
            self.inner.signal.wait(Duration::from_millis(5));
        }
    }

    /// Offset of the last record that this transaction wrote to a partition.
    pub fn last_of(&self, tp: Tp) -> Option<Offset> {
        let ends = self.reports.ends();
        ends.iter().find(|(at, _)| *at == tp).map(|(_, end)| Offset(end.0 - 1))
    }

    /// `None` when there is nothing to end.
    fn start_ending(&self, how: How) -> Option<Arc<Mutex<Option<Verdict>>>> {
        if !self.open {
            return None;
        }
        // An empty transaction ends without a request; aborting it could only go wrong.
        let how = if self.sent == 0 { How::Commit } else { how };
        Some(self.order(Work::End(how)))
    }

    /// Lets the thread do it; where its verdict will be.
    pub(super) fn order(&self, work: Work) -> Arc<Mutex<Option<Verdict>>> {
        let verdict = Arc::new(Mutex::new(None));
        if self.thread.send(Job { work, verdict: verdict.clone() }).is_err() {
            *verdict.lock() = Some(Verdict::Lost(Lost::Fatal("the writer's thread ended".into())));
        }
        verdict
    }

    fn view(&self) -> TxnState {
        match self.open {
            true => TxnState::Open { unacked: self.sent.saturating_sub(self.reports.done()) },
            false => TxnState::Idle,
        }
    }

    /// A connection broke right after the last commit: maybe not all partitions were told of it, and a
    /// transaction that writes to them and is aborted would take what was committed along.
    fn doubt(&self) -> Option<Lost> {
        let committed_at = (*self.committed_at.lock())?;
        let said = self.reports.doubt(committed_at)?;
        Some(Lost::Unknown(format!("a connection broke right after a commit: {said}")))
    }

    /// Ready for the next transaction.
    pub(super) fn reset(&mut self) {
        self.open = false;
        self.sent = 0;
        self.doomed = None;
        self.refused_since = None;
        self.reports.reset();
    }

    /// Where records of `to` go; `None` when that is not known yet, or never will be.
    fn target(&mut self, to: Tp) -> Option<&Target> {
        let losses = self.inner.ids.losses();
        if std::mem::replace(&mut self.losses, losses) != losses {
            // librdkafka writes by name: a namesake must not get what was meant for a lost topic.
            self.targets.clear();
            self.producer.forget_topics();
        }
        if !self.targets.contains_key(&to) {
            let topic = self.open_topic(to.topic)?;
            let reports = &self.reports;
            let new_tag = || reports.slot(to, topic.name.clone());
            let tag = *self.tags.entry(to).or_insert_with(new_tag);
            self.targets.insert(to, Target { tag, topic });
        }
        self.targets.get(&to)
    }

    pub(super) fn open_topic(&mut self, topic: TopicId) -> Option<Arc<Topic>> {
        if let Some(open) = self.producer.topic(topic) {
            return Some(open.clone());
        }
        match self.inner.topic(topic) {
            Poll::Pending => None,
            Poll::Ready(None) => {
                self.doom(vec![topic], format!("topic {topic} is gone"));
                None
            }
            Poll::Ready(Some(seen)) => self
                .producer
                .open(topic, &seen.name, seen.record_bytes_max)
                .map_err(|error| self.doom(vec![topic], error.to_string()))
                .ok(),
        }
    }

    fn doom(&mut self, culprits: Vec<TopicId>, reason: String) {
        self.doomed.get_or_insert((culprits, reason));
    }

    fn begin(&mut self) -> Result<(), SendError> {
        if let Some(doubt) = self.doubt() {
            return Err(SendError::Dead(doubt));
        }
        // SAFETY: the client is alive; the error is ours.
        let began = unsafe {
            NativeError::take(sys::rd_kafka_begin_transaction(self.producer.client.ptr()))
        };
        match began {
            Ok(()) => {
                self.open = true;
                Ok(())
            }
            Err(error) => Err(SendError::Dead(self.lost(&error))),
        }
    }

    fn lost(&self, error: &NativeError) -> Lost {
        lost(&self.producer.client, error)
    }

    fn refused(&mut self, to: Tp, target: &Target, error: &NativeError) -> SendError {
        match error.code {
            code::QUEUE_FULL => SendError::Full,
            // The client's limit, beyond the topic's: no single record that large gets so far.
            code::TOO_LARGE => {
                self.doom(vec![to.topic], error.text.clone());
                SendError::Full
            }
            _ if error.fatal || self.producer.client.fatal().is_some() => {
                SendError::Dead(self.lost(error))
            }
            code::NO_PARTITION if self.inner.has_partition(to) => {
                if self.refreshing != Some(to) {
                    self.refreshing = Some(to);
                    self.inner.refresh(&self.producer.client, &target.topic.name);
                }
                SendError::Full
            }
            code::NO_PARTITION | code::NO_TOPIC | code::UNKNOWN_TOPIC => {
                self.doom(vec![to.topic], format!("{to:?}: {}", error.text));
                SendError::Full
            }
            // The transaction has failed meanwhile. Its records are being given up, and with them
            // comes the reason; without any, this has to do.
            _ => {
                let since = *self.refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() > REASON_WAIT {
                    self.doom(self.reports.culprits(), error.text.clone());
                }
                SendError::Full
            }
        }
    }
}

/// A fence, or else the fatal error of a client.
pub(super) fn lost(client: &Client, error: &NativeError) -> Lost {
    let fatal = client.fatal();
    let cause = fatal.as_ref().unwrap_or(error);
    match cause.is_fence() {
        true => Lost::Fenced(cause.text.clone()),
        false => Lost::Fatal(cause.text.clone()),
    }
}

fn settings(config: &KafkaConfig, id: &str) -> Vec<(String, String)> {
    config.producer(&[
        ("transactional.id", id),
        ("transaction.timeout.ms", &config.transaction_timeout_ms.to_string()),
        ("enable.idempotence", "true"),
        ("linger.ms", "5"),
        ("batch.size", "262144"),
        ("batch.num.messages", "50000"),
        ("compression.type", "lz4"),
        ("queue.buffering.max.kbytes", UNSENT_KIB),
        ("queue.buffering.max.messages", UNSENT_MESSAGES),
        // The next transaction's first request meets the last one's markers being written; with
        // the default of 100 ms each commit would cost that much.
        ("retry.backoff.ms", "1"),
        ("message.max.bytes", MESSAGE_BYTES),
        ("allow.auto.create.topics", "false"),
    ])
}

/// What a writer's thread works with.
struct Service {
    enders: Enders,
    client: Arc<Client>,
    config: KafkaConfig,
    id: String,
}

impl Service {
    fn serve(&self, jobs: &Receiver<Job>, done: impl Fn()) {
        while let Ok(job) = jobs.recv() {
            let verdict = match job.work {
                Work::End(how) => self.enders.end(how),
                Work::Settle(at) => self.settle(&at),
            };
            *job.verdict.lock() = Some(verdict);
            done();
        }
    }

    #[cfg(target_os = "linux")]
    fn settle(&self, at: &[Place]) -> Verdict {
        let Service { enders, client, config, id } = self;
        let _telling = Telling::begin(id);
        super::settle::Settler { enders, client, config, id }.settle(at)
    }

    /// It needs a linker that redirects calls.
    #[cfg(not(target_os = "linux"))]
    fn settle(&self, at: &[Place]) -> Verdict {
        let (id, partitions, client) = (&self.id, at.len(), self.client.ptr());
        let retries = self.config.request_timeout_ms;
        tracing::error!(
            id,
            partitions,
            ?client,
            retries,
            "undecided rows are settled on Linux only"
        );
        Verdict::Committed
    }
}

impl Writer for TxnWriter {
    fn send(&mut self, to: Tp, record: &RecordRef<'_>) -> Result<(), SendError> {
        if self.doomed.is_some() {
            return Err(SendError::Full);
        }
        let Some(target) = self.target(to) else { return Err(SendError::Full) };
        target.topic.check(record)?;
        if !self.open {
            self.begin()?;
        }
        let Some(target) = self.targets.get(&to) else { return Err(SendError::Full) };
        match target.topic.produce(to.partition.0, record, target.tag) {
            Ok(()) => {
                self.sent += 1;
                self.refreshing = None;
                Ok(())
            }
            Err(error) => {
                let target = target.clone();
                Err(self.refused(to, &target, &error))
            }
        }
    }

    fn poll(&mut self) -> TxnState {
        self.producer.client.poll(0);
        if let Some(fatal) = self.producer.client.fatal() {
            return TxnState::Dead(self.lost(&fatal));
        }
        match self.doomed.clone().or_else(|| self.reports.failure()) {
            Some((culprits, reason)) => TxnState::MustAbort { culprits, reason },
            // The broker has taken a partition into this transaction: so all were told of the last.
            None if self.open && self.reports.delivered() > 0 => self.view(),
            None => self.doubt().map_or_else(|| self.view(), TxnState::Dead),
        }
    }

    fn commit(self: Box<Self>) -> Box<dyn Ending> {
        TxnEnding::start(self, How::Commit)
    }

    fn abort(self: Box<Self>) -> Box<dyn Ending> {
        TxnEnding::start(self, How::Abort)
    }

    fn settle(self: Box<Self>, at: &[Tp]) -> Box<dyn Ending> {
        Box::new(Settling::new(self, at))
    }
}

struct TxnEnding {
    writer: Option<Box<TxnWriter>>,
    how: How,
    verdict: Option<Arc<Mutex<Option<Verdict>>>>,
}

impl TxnEnding {
    fn start(writer: Box<TxnWriter>, how: How) -> Box<dyn Ending> {
        let how = if writer.doomed.is_some() { How::Abort } else { how };
        let verdict = writer.start_ending(how);
        Box::new(TxnEnding { writer: Some(writer), how, verdict })
    }

    fn verdict(&self) -> Option<Verdict> {
        match &self.verdict {
            None => Some(Verdict::nothing(self.how)),
            Some(verdict) => verdict.lock().take(),
        }
    }
}

impl Ending for TxnEnding {
    fn poll(&mut self) -> Poll<Outcome> {
        let Some(verdict) = self.verdict() else { return Poll::Pending };
        let Some(mut writer) = self.writer.take() else {
            return Poll::Ready(Outcome::Lost(Lost::Fatal("polled after its end".into())));
        };
        let ends: Vec<(Tp, Offset)> = writer.reports.ends();
        let doomed = writer.doomed.take().map(|(culprits, _)| culprits);
        let empty = writer.sent == 0;
        writer.reset();
        Poll::Ready(match verdict {
            Verdict::Committed if self.how == How::Abort && empty => {
                Outcome::Aborted { writer, culprits: doomed.unwrap_or_default() }
            }
            Verdict::Committed => Outcome::Committed { writer, ends },
            Verdict::Aborted { culprits } => {
                let culprits =
                    if culprits.is_empty() { doomed.unwrap_or_default() } else { culprits };
                Outcome::Aborted { writer, culprits }
            }
            // Dropping the writer destroys its producer: the poison rule.
            Verdict::Lost(lost) => Outcome::Lost(lost),
        })
    }
}
