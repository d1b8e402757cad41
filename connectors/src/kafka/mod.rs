//! The log on Apache Kafka, through librdkafka. All `unsafe` of the project is in this module.
//!
//! `mod` answers the contract's calls; `consumer` reads, `txn` writes (`endings` holds the blocking
//! ends of a transaction, `deliveries` what was acknowledged), `append` writes outside of lanes,
//! `members` shares out slots, `topics` and `admin` ask and change the cluster, `watch` notices
//! what others change, `requests` makes blocking requests poll-style, `native`, `queue`,
//! `partitions`, `producer` and `epoch` wrap librdkafka's objects, `chatter` shortens its log, `leaders`,
//! `coordinator` and `lookups` mend three of its faults. `settle` tells partitions how transactions ended
//! that they were not told of, with `history` and `silent`.

mod admin;
mod append;
mod chatter;
mod config;
mod consumer;
#[cfg(target_os = "linux")]
mod coordinator;
mod deliveries;
mod endings;
mod epoch;
#[cfg(target_os = "linux")]
mod history;
mod ids;
mod inner;
#[cfg(target_os = "linux")]
mod leaders;
mod limits;
#[cfg(target_os = "linux")]
mod lookups;
mod members;
mod native;
mod partitions;
mod producer;
mod queue;
mod requests;
#[cfg(target_os = "linux")]
mod settle;
mod settling;
mod signal;
#[cfg(target_os = "linux")]
mod silent;
mod topics;
mod txn;
mod watch;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{
    AppendIf, Cursor, Ends, EnsureError, Log, LogError, LogEvent, Members, ReadClass, Record,
    TopicInfo, TopicSpec, Writer,
};
use parking_lot::Mutex;

pub use config::{ConfigError, KafkaConfig};
pub use limits::limits;

use admin::Admin;
use consumer::KafkaCursor;
use ids::Ids;
use inner::Inner;
use members::KafkaMembers;
use native::{Client, Kind, Silent};
use requests::{Key, Requests};
use signal::Signal;
use txn::TxnWriter;
use watch::Watch;

/// A Kafka cluster as a [`Log`].
pub struct KafkaLog {
    inner: Arc<Inner>,
    _watch: Watch,
}

/// How often the administrative client asks who is there.
const CONTROLLER_REFRESH_MS: &str = "5000";

impl KafkaLog {
    /// Starts the administrative client. Connections are made in the background: an unreachable
    /// cluster shows in the answers to requests.
    ///
    /// # Errors
    /// A property has a bad value, or threads have run out.
    pub fn connect(config: KafkaConfig) -> Result<Arc<KafkaLog>, LogError> {
        let settings = config.producer(&[
            ("allow.auto.create.topics", "false"),
            // Which broker is the controller is learned with it: until then requests go to the one that
            // was it, be it dead.
            ("topic.metadata.refresh.interval.ms", CONTROLLER_REFRESH_MS),
        ]);
        let client = Arc::new(Client::new(Kind::Producer, &settings, Box::new(Silent))?);
        let timeout_ms = i32::try_from(config.request_timeout_ms).unwrap_or(i32::MAX / 2);
        let signal = Arc::new(Signal::new());
        let inner = Arc::new(Inner {
            admin: Admin { client, timeout_ms: timeout_ms.min(i32::MAX / 2) },
            ids: Ids::default(),
            requests: Requests::new(signal.clone()),
            signal,
            events: Mutex::default(),
            appender: Mutex::default(),
            config,
        });
        let watch = Watch::start(&inner);
        Ok(Arc::new(KafkaLog { inner, _watch: watch }))
    }

    /// Polls a request that runs `work` on a thread of the pool.
    fn ask<T: Send + 'static>(
        &self,
        key: Key,
        work: impl FnOnce(&Arc<Inner>) -> T + Send + 'static,
    ) -> Poll<T> {
        let inner = self.inner.clone();
        self.inner.requests.ask(|k| *k == key, || (key.clone(), move || work(&inner)))
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.inner.requests.close();
    }
}

impl Log for KafkaLog {
    fn describe(&self, name: &str) -> Poll<Result<Option<TopicInfo>, LogError>> {
        let owned = name.to_owned();
        self.ask(Key::Describe(owned.clone()), move |inner| inner.describe_now(&owned))
    }

    fn list(&self) -> Poll<Result<Vec<TopicInfo>, LogError>> {
        self.ask(Key::List, |inner| inner.list_now())
    }

    fn ensure(&self, spec: &TopicSpec) -> Poll<Result<TopicInfo, EnsureError>> {
        let owned = spec.clone();
        self.ask(Key::Ensure(spec.clone()), move |inner| topics::ensure_now(inner, &owned))
    }

    fn delete(&self, topic: TopicId) -> Poll<Result<(), LogError>> {
        self.ask(Key::Delete(topic), move |inner| topics::delete_now(inner, topic))
    }

    fn purge(&self, below: &[(Tp, Offset)]) -> Poll<Result<(), LogError>> {
        let owned = below.to_vec();
        self.ask(Key::Purge(owned.clone()), move |inner| topics::purge_now(inner, &owned))
    }

    fn ends(&self, tps: &[Tp]) -> Poll<Result<Vec<Ends>, LogError>> {
        let owned = tps.to_vec();
        self.ask(Key::Ends(owned.clone()), move |inner| inner.ends_now(&owned))
    }

    fn events(&self) -> Vec<LogEvent> {
        std::mem::take(&mut self.inner.events.lock())
    }

    fn cursor(&self, class: ReadClass) -> Box<dyn Cursor> {
        Box::new(KafkaCursor::new(self.inner.clone(), class))
    }

    fn writer(&self, id: &str) -> Poll<Result<Box<dyn Writer>, LogError>> {
        let owned = id.to_owned();
        let opened = self
            .ask(Key::Writer(id.to_owned()), move |inner| TxnWriter::open(inner.clone(), &owned));
        opened.map(|opened| {
            // Ends that were asked for before the fence are old news: whoever fenced asks after.
            self.inner.requests.forget(|k| matches!(k, Key::Ends(_)));
            opened.map(|writer| Box::new(writer) as Box<dyn Writer>)
        })
    }

    fn append(&self, tp: Tp, records: &[Record]) -> Poll<Result<Offset, LogError>> {
        let same = |k: &Key| matches!(k, Key::Append(t, r) if *t == tp && r == records);
        self.inner.requests.ask(same, || {
            let (inner, owned) = (self.inner.clone(), records.to_vec());
            let work = move || append::append_now(&inner, tp, &owned);
            (Key::Append(tp, records.to_vec()), work)
        })
    }

    fn append_if(&self, id: &str, tp: Tp, end: Offset, record: &Record) -> Poll<AppendIf> {
        let (owned_id, owned) = (id.to_owned(), record.clone());
        let key = Key::AppendIf(owned_id.clone(), tp, end, owned.clone());
        self.ask(key, move |inner| append::append_if_now(inner, &owned_id, tp, end, &owned))
    }

    fn join(&self, group: &str, topic: &str, node: &str, slots: u32) -> Box<dyn Members> {
        let (config, signal) = (&self.inner.config, self.inner.signal.clone());
        Box::new(KafkaMembers::join(config, signal, group, topic, node, slots))
    }

    fn publish_lag(&self, group: &str, at: &[(Tp, Offset)]) {
        let (inner, group, at) = (self.inner.clone(), group.to_owned(), at.to_vec());
        self.inner.requests.run(move || topics::publish_now(&inner, &group, &at));
    }

    fn park(&self, at_most: Duration) {
        self.inner.signal.wait(at_most);
    }

    fn wake(&self) {
        self.inner.signal.raise();
    }

    fn cluster_id(&self) -> Option<String> {
        self.inner.admin.client.cluster_id()
    }

    fn place(&self) -> String {
        format!("Kafka at {}", self.inner.config.bootstrap)
    }
}
