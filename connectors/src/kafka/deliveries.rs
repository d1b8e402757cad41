//! What delivery reports say about the open transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, TopicId, Tp};
use parking_lot::Mutex;

use super::native::{Callbacks, NativeError, code};
use super::signal::Signal;

/// Counts deliveries; shared by the writer, its thread and librdkafka's callbacks.
pub(super) struct Reports {
    state: Mutex<State>,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct State {
    /// By the tag that travels with each record.
    partitions: Vec<(Tp, Option<Offset>)>,
    delivered: usize,
    failed: usize,
    /// Names of the topics by tag, to tell whom librdkafka's log accuses.
    names: Vec<Arc<str>>,
    culprits: Vec<TopicId>,
    reason: Option<String>,
    /// Records have been purged since then, and nothing has said why.
    unexplained_since: Option<Instant>,
    /// A connection broke since this was last cleared: when, and what was said.
    shaken: Option<(Instant, String)>,
}

/// The callbacks' end of [`Reports`].
pub(super) struct Deliveries(pub Arc<Reports>);

impl Callbacks for Deliveries {
    fn delivered(&self, tag: usize, error: i32, offset: i64) {
        let mut state = self.0.state.lock();
        if error == code::NONE {
            state.delivered += 1;
            if let Some((_, last)) = state.partitions.get_mut(tag) {
                *last = (*last).max(Some(Offset(offset)));
            }
            return;
        }
        state.failed += 1;
        let topic = state.partitions.get(tag).map(|(tp, _)| tp.topic);
        let guilty = BLAMED.contains(&error);
        if let Some(topic) = topic.filter(|t| guilty && !state.culprits.contains(t)) {
            state.culprits.push(topic);
        }
        if !PURGED.contains(&error) {
            state.unexplained_since = None;
        } else if state.reason.is_none() {
            state.unexplained_since = Some(Instant::now());
        }
        if state.reason.is_none() {
            state.reason = Some(NativeError::of(error).text);
        }
        drop(state);
        self.0.signal.raise();
    }

    /// A topic that cannot be added to the transaction is named in the log only; its records are
    /// purged like everybody's.
    fn logged(&self, facility: &str, line: &str) {
        let Some(name) = accused(facility, line) else { return };
        let mut state = self.0.state.lock();
        let Some(tag) = state.names.iter().position(|n| **n == *name) else { return };
        let topic = state.partitions[tag].0.topic;
        if !state.culprits.contains(&topic) {
            state.culprits.push(topic);
        }
        state.reason = Some(line.to_owned());
        state.unexplained_since = None;
    }

    fn failed(&self, code: i32, text: &str) {
        tracing::debug!(code, text, "a producer's connection");
        let broke = || (Instant::now(), text.to_owned());
        self.0.state.lock().shaken.get_or_insert_with(broke);
    }
}

/// The topic in `Failed to add partition "t" [0] to transaction: ...`, unless it only suffers from
/// another one's failure.
fn accused<'a>(facility: &str, line: &'a str) -> Option<&'a str> {
    let (_, rest) = line.split_once("Failed to add partition \"").filter(|_| facility == ADDING)?;
    (!line.contains(NOT_ATTEMPTED)).then_some(rest.split_once('"')?.0)
}

const NOT_ATTEMPTED: &str = "Operation not attempted";

/// What a topic is to blame for. A broker that is away is nobody's fault, and purged records suffer
/// from another one's failure.
const BLAMED: [i32; 7] = [
    code::TOO_LARGE,
    code::BATCH_TOO_LARGE,
    code::UNKNOWN_TOPIC,
    code::NO_TOPIC,
    code::NO_PARTITION,
    code::TOPIC_DENIED,
    code::INVALID_RECORD,
];

/// A record that was given up because the transaction had failed.
const PURGED: [i32; 2] = [code::PURGE_QUEUE, code::PURGE_INFLIGHT];

/// How long the reason of a failed transaction is waited for.
pub(super) const REASON_WAIT: Duration = Duration::from_millis(500);

/// How long a broker may take to write the markers of a commit that it has confirmed, and a client to
/// notice that the broker has died.
const TELLING_TIME_MAX: Duration = Duration::from_secs(10);

/// librdkafka's name for the adding of partitions to a transaction.
const ADDING: &str = "ADDPARTS";

impl Reports {
    pub fn new(signal: Arc<Signal>) -> Self {
        Reports { state: Mutex::default(), signal }
    }

    /// A new tag for records of `tp`, a partition of topic `name`.
    pub fn slot(&self, tp: Tp, name: Arc<str>) -> usize {
        let mut state = self.state.lock();
        state.names.push(name);
        state.partitions.push((tp, None));
        state.partitions.len() - 1
    }

    /// Records that were reported on, one way or the other.
    pub fn done(&self) -> usize {
        let state = self.state.lock();
        state.delivered + state.failed
    }

    pub fn delivered(&self) -> usize {
        self.state.lock().delivered
    }

    /// Topics to blame and the reason, when a record was given up. The records are purged first; why
    /// comes in the log, a little later.
    pub fn failure(&self) -> Option<(Vec<TopicId>, String)> {
        let state = self.state.lock();
        if state.unexplained_since.is_some_and(|since| since.elapsed() < REASON_WAIT) {
            return None;
        }
        let reason = state.reason.clone()?;
        Some((state.culprits.clone(), reason))
    }

    /// Whether a record was given up, for whatever reason.
    pub fn has_failed(&self) -> bool {
        self.state.lock().failed > 0
    }

    pub fn culprits(&self) -> Vec<TopicId> {
        self.state.lock().culprits.clone()
    }

    /// Offset after the last delivered record of each partition of this transaction.
    pub fn ends(&self) -> Vec<(Tp, Offset)> {
        let state = self.state.lock();
        let wrote = state.partitions.iter();
        wrote.filter_map(|(tp, last)| Some((*tp, Offset((*last)?.0 + 1)))).collect()
    }

    /// A connection that broke since the last call.
    pub fn take_shaken(&self) -> Option<String> {
        self.state.lock().shaken.take().map(|(_, said)| said)
    }

    /// A connection that broke so soon after the commit of `committed_at` that a broker may not have told
    /// all partitions of it. One that broke later is forgotten.
    pub fn doubt(&self, committed_at: Instant) -> Option<String> {
        let mut state = self.state.lock();
        let (broke_at, said) = state.shaken.as_ref()?;
        if broke_at.saturating_duration_since(committed_at) < TELLING_TIME_MAX {
            return Some(said.clone());
        }
        state.shaken = None;
        None
    }

    /// Forgets the ended transaction; tags stay valid.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        for (_, last) in &mut state.partitions {
            *last = None;
        }
        state.delivered = 0;
        state.failed = 0;
        state.culprits.clear();
        state.unexplained_since = None;
        state.reason = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_culprit() {
        let reports = Arc::new(Reports::new(Arc::new(Signal::new())));
        let deliveries = Deliveries(reports.clone());
        let tp = |id| Tp::new(TopicId(id), 0);
        let (a, b) = (reports.slot(tp(1), "a".into()), reports.slot(tp(2), "b".into()));
        let line = "h:1/1: Failed to add partition \"b\" [0] to transaction: Unknown topic";
        deliveries.logged("ADDPARTS", line);
        deliveries.delivered(a, code::TIMED_OUT, -1);
        deliveries.delivered(b, code::TIMED_OUT, -1);
        assert_eq!(reports.culprits(), [TopicId(2)]);
        assert_eq!(reports.failure(), Some((vec![TopicId(2)], line.to_owned())));
        let victim = "Failed to add partition \"a\" [0] to transaction: Operation not attempted";
        let cut = "Failed to add partition \"";
        for (facility, line) in [("FAIL", line), ("ADDPARTS", cut), ("ADDPARTS", victim)] {
            assert_eq!(accused(facility, line), None);
        }
    }

    #[test]
    fn a_purge_is_told_with_its_reason() {
        let reports = Arc::new(Reports::new(Arc::new(Signal::new())));
        let deliveries = Deliveries(reports.clone());
        let tag = reports.slot(Tp::new(TopicId(1), 0), "a".into());
        deliveries.delivered(tag, code::PURGE_QUEUE, -1);
        assert_eq!((reports.has_failed(), reports.failure()), (true, None), "the reason comes");
        let line = "h:1/1: Failed to add partition \"a\" [0] to transaction: Unknown topic";
        deliveries.logged("ADDPARTS", line);
        deliveries.delivered(tag, code::PURGE_QUEUE, -1);
        assert_eq!(reports.failure(), Some((vec![TopicId(1)], line.to_owned())));
        reports.reset();
        assert_eq!((reports.has_failed(), reports.failure()), (false, None));
        deliveries.delivered(tag, code::PURGE_INFLIGHT, -1);
        std::thread::sleep(REASON_WAIT);
        assert!(matches!(reports.failure(), Some((culprits, _)) if culprits.is_empty()));
    }

    #[test]
    fn a_break_soon_after_a_commit_casts_doubt_on_it() {
        let reports = Arc::new(Reports::new(Arc::new(Signal::new())));
        let deliveries = Deliveries(reports.clone());
        let now = Instant::now();
        assert_eq!(reports.doubt(now), None, "nothing broke");
        deliveries.failed(code::TRANSPORT, "gone");
        deliveries.failed(code::TRANSPORT, "gone again");
        assert_eq!(reports.doubt(now), Some("gone".to_owned()));
        assert_eq!(reports.doubt(now), Some("gone".to_owned()), "until it is taken");
        let Some(long_ago) = now.checked_sub(TELLING_TIME_MAX) else { return };
        assert_eq!(reports.doubt(long_ago), None);
        assert_eq!(reports.take_shaken(), None, "it is forgotten");
    }

    #[test]
    fn ends_are_of_this_transaction_only() {
        let reports = Arc::new(Reports::new(Arc::new(Signal::new())));
        let deliveries = Deliveries(reports.clone());
        let tag = reports.slot(Tp::new(TopicId(1), 0), "a".into());
        deliveries.delivered(tag, code::NONE, 7);
        deliveries.delivered(tag, code::NONE, 6);
        assert_eq!(reports.ends(), [(Tp::new(TopicId(1), 0), Offset(8))]);
        assert_eq!((reports.done(), reports.failure()), (2, None));
        reports.reset();
        assert_eq!((reports.ends(), reports.done()), (Vec::new(), 0));
    }
}
