//! What delivery reports say about the open transaction.

use std::sync::Arc;

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
    culprits: Vec<TopicId>,
    reason: Option<String>,
    /// A connection broke since this was last cleared.
    shaken: Option<String>,
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
        // Purged records suffer from another one's failure: they do not name a culprit.
        let purged = [code::PURGE_QUEUE, code::PURGE_INFLIGHT].contains(&error);
        if let Some(topic) = topic.filter(|t| !purged && !state.culprits.contains(t)) {
            state.culprits.push(topic);
        }
        if state.reason.is_none() || (!purged && state.culprits.len() == 1) {
            state.reason = Some(NativeError::of(error).text);
        }
        drop(state);
        self.0.signal.raise();
    }

    fn failed(&self, code: i32, text: &str) {
        tracing::debug!(code, text, "a producer's connection");
        self.0.state.lock().shaken.get_or_insert_with(|| text.to_owned());
    }
}

impl Reports {
    pub fn new(signal: Arc<Signal>) -> Self {
        Reports { state: Mutex::default(), signal }
    }

    /// A new tag for records of `tp`.
    pub fn slot(&self, tp: Tp) -> usize {
        let mut state = self.state.lock();
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

    /// Topics to blame and the reason, when a record was given up.
    pub fn failure(&self) -> Option<(Vec<TopicId>, String)> {
        let state = self.state.lock();
        let reason = state.reason.clone()?;
        Some((state.culprits.clone(), reason))
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
        self.state.lock().shaken.take()
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
        state.reason = None;
    }
}
