//! The blocking ends of a transaction: what each answer of librdkafka means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::ids::TopicId;
use millrace_engine::log::{LogError, Lost};
use parking_lot::Mutex;
use rdkafka_sys as sys;

use super::config::KafkaConfig;
use super::deliveries::Reports;
use super::native::{Client, NativeError, code};
use super::txn::{How, lost};

/// How a transaction ended, without the writer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Committed,
    Aborted { culprits: Vec<TopicId> },
    Lost(Lost),
}

impl Verdict {
    /// The end of a transaction that was never begun.
    pub fn nothing(how: How) -> Verdict {
        match how {
            How::Commit => Verdict::Committed,
            How::Abort => Verdict::Aborted { culprits: Vec::new() },
        }
    }
}

/// Makes the blocking calls, on a thread of the writer.
pub(super) struct Enders {
    client: Arc<Client>,
    reports: Arc<Reports>,
    ending_timeout: Duration,
    init_timeout: Duration,
    /// When the last transaction was confirmed as committed.
    committed_at: Arc<Mutex<Option<Instant>>>,
}

type NativeCall =
    unsafe extern "C" fn(*mut sys::rd_kafka_t, std::ffi::c_int) -> *mut sys::rd_kafka_error_t;

/// One slice of a call that librdkafka lets us resume.
const SLICE_MS: i32 = 500;
/// How long an abort waits for the first delivery, see [`Enders::abort`].
const FIRST_DELIVERY_WAIT: Duration = Duration::from_secs(1);

impl Enders {
    pub fn new(client: Arc<Client>, reports: Arc<Reports>, config: &KafkaConfig) -> Self {
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        Enders {
            client,
            reports,
            ending_timeout: ms(config.ending_timeout_ms),
            init_timeout: ms(config.request_timeout_ms),
            committed_at: Arc::default(),
        }
    }

    /// Shared: when the last transaction was confirmed as committed.
    pub fn committed_at(&self) -> Arc<Mutex<Option<Instant>>> {
        self.committed_at.clone()
    }

    /// Takes the id over: older writers are fenced, their transactions decided.
    pub fn init(&self, id: &str) -> Result<(), LogError> {
        let what = format!("writer {id}");
        match self.resume(sys::rd_kafka_init_transactions, self.init_timeout) {
            Ok(()) => Ok(()),
            Err(error) if error.retriable && error.code != code::TIMED_OUT => {
                Err(LogError::Unreachable(format!("{what}: {}", error.text)))
            }
            Err(error) => Err(error.to_log(&what)),
        }
    }

    pub fn end(&self, how: How) -> Verdict {
        match how {
            How::Commit => self.commit(),
            How::Abort => self.abort(),
        }
    }

    fn commit(&self) -> Verdict {
        if let Err(verdict) = self.flush() {
            return verdict;
        }
        if self.reports.has_failed() {
            return self.abort();
        }
        self.serve_all();
        // Records were taken in since, so there is no doubt about the last commit: [`Reports::doubt`].
        self.reports.take_shaken();
        let committed = self.resume(sys::rd_kafka_commit_transaction, self.ending_timeout);
        self.serve_all();
        match (committed, self.reports.take_shaken()) {
            (Ok(()), None) => {
                *self.committed_at.lock() = Some(Instant::now());
                Verdict::Committed
            }
            // The request may have been sent twice, and its ghost could end a later transaction:
            // librdkafka's epoch does not change between transactions. Only a new producer is safe.
            (Ok(()), Some(broke)) => {
                Verdict::Lost(Lost::Unknown(format!("a connection broke meanwhile: {broke}")))
            }
            (Err(error), _) if error.fatal || self.client.fatal().is_some() => {
                Verdict::Lost(lost(&self.client, &error))
            }
            // All records were delivered, so this is about the end itself: it may have happened.
            (Err(error), _) => Verdict::Lost(Lost::Unknown(error.text)),
        }
    }

    /// Waits until each record is delivered or given up.
    fn flush(&self) -> Result<(), Verdict> {
        let deadline = Instant::now() + self.ending_timeout;
        loop {
            // SAFETY: the client is alive.
            let flushed = unsafe { sys::rd_kafka_flush(self.client.ptr(), SLICE_MS) } as i32;
            if let Some(fatal) = self.client.fatal() {
                return Err(Verdict::Lost(lost(&self.client, &fatal)));
            }
            if flushed == code::NONE || self.reports.has_failed() {
                return Ok(());
            }
            if Instant::now() > deadline {
                // Nothing was committed: EndTxn was not sent. But an abort may not pass either.
                return Err(self.abort());
            }
        }
    }

    fn abort(&self) -> Verdict {
        self.await_first_delivery();
        self.abort_now()
    }

    /// Aborts a transaction that partitions were added to, whether they got records or not.
    pub fn abort_now(&self) -> Verdict {
        match self.resume(sys::rd_kafka_abort_transaction, self.ending_timeout) {
            // Only now: the log may name them while the transaction is being aborted.
            Ok(()) => Verdict::Aborted { culprits: self.reports.culprits() },
            Err(error) => {
                let verdict = lost(&self.client, &error);
                tracing::info!(error = error.text, "an abort failed: the writer is given up");
                Verdict::Lost(verdict)
            }
        }
    }

    /// An abort that overtakes the transaction's first AddPartitionsToTxn ends the producer.
    fn await_first_delivery(&self) {
        let deadline = Instant::now() + FIRST_DELIVERY_WAIT;
        let waits = || self.reports.done() == 0 && self.reports.delivered() == 0;
        while waits() && self.client.fatal().is_none() && Instant::now() < deadline {
            // SAFETY: the client is alive. Flushing skips the lingering.
            unsafe { sys::rd_kafka_flush(self.client.ptr(), 20) };
        }
    }

    /// Makes a resumable call in slices until it succeeds, fails for good or takes too long.
    fn resume(&self, call: NativeCall, at_most: Duration) -> Result<(), NativeError> {
        let deadline = Instant::now() + at_most;
        loop {
            // SAFETY: the client is alive; the returned error is ours.
            let called = unsafe { NativeError::take(call(self.client.ptr(), SLICE_MS)) };
            match called {
                Err(error) if error.retriable && Instant::now() < deadline => {
                    self.client.poll(RETRY_PAUSE_MS);
                }
                done => return done,
            }
        }
    }

    fn serve_all(&self) {
        while self.client.poll(0) > 0 {}
    }
}

/// Between two tries of a call that failed without taking its time.
const RETRY_PAUSE_MS: i32 = 2;
