//! A writer while partitions are told how its transactions ended: poll-style around `settle`.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_engine::ids::Tp;
use millrace_engine::log::{Ending, Lost, Outcome};
use parking_lot::Mutex;

use super::endings::Verdict;
use super::producer::Place;
use super::txn::{TxnWriter, Work};

/// Ids whose writers are telling partitions something right now.
static TELLING: Mutex<Vec<String>> = Mutex::new(Vec::new());
const LOOK: Duration = Duration::from_millis(5);

/// While it lives, nobody in this process takes the id over: that would abort what is being told.
pub(super) struct Telling(String);

impl Telling {
    pub fn begin(id: &str) -> Telling {
        TELLING.lock().push(id.to_owned());
        Telling(id.to_owned())
    }

    /// Waits until nobody tells anything for `id`, at most until `until`.
    pub fn await_end(id: &str, until: Instant) {
        while TELLING.lock().iter().any(|telling| telling == id) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let mut all = TELLING.lock();
        if let Some(at) = all.iter().position(|telling| *telling == self.0) {
            all.swap_remove(at);
        }
    }
}

/// Undecided rows being settled.
pub(super) struct Settling {
    writer: Option<Box<TxnWriter>>,
    at: Vec<Tp>,
    /// None until all topics are known.
    verdict: Option<Arc<Mutex<Option<Verdict>>>>,
}

impl Settling {
    pub fn new(writer: Box<TxnWriter>, at: &[Tp]) -> Self {
        Settling { writer: Some(writer), at: at.to_vec(), verdict: None }
    }

    /// What librdkafka calls the partitions; `None` while that is not known of all. A topic that is gone
    /// has nothing to be settled.
    fn places(writer: &mut TxnWriter, at: &[Tp]) -> Option<Vec<Place>> {
        let mut places = Vec::with_capacity(at.len());
        for tp in at {
            match writer.open_topic(tp.topic) {
                Some(topic) => places.push((topic, tp.partition.0)),
                None => drop(writer.doomed.take()?),
            }
        }
        Some(places)
    }
}

impl Ending for Settling {
    fn poll(&mut self) -> Poll<Outcome> {
        let Some(mut writer) = self.writer.take() else {
            return Poll::Ready(Outcome::Lost(Lost::Fatal("polled after its end".into())));
        };
        if self.verdict.is_none() {
            self.verdict = Self::places(&mut writer, &self.at)
                .map(|places| writer.order(Work::Settle(places)));
        }
        let found = self.verdict.as_ref().and_then(|verdict| verdict.lock().take());
        let Some(verdict) = found else {
            self.writer = Some(writer);
            return Poll::Pending;
        };
        writer.reset();
        Poll::Ready(match verdict {
            Verdict::Lost(lost) => Outcome::Lost(lost),
            Verdict::Committed | Verdict::Aborted { .. } => {
                Outcome::Committed { writer, ends: Vec::new() }
            }
        })
    }
}

impl TxnWriter {
    /// As [`millrace_engine::log::Writer::settle`], and waits for it.
    ///
    /// # Errors
    /// It is not settled; this writer must not be used any more.
    pub fn settle_now(&mut self, at: &[Tp]) -> Result<(), Lost> {
        let places = loop {
            match Settling::places(self, at) {
                Some(places) => break places,
                None => self.inner.signal.wait(Duration::from_millis(5)),
            }
        };
        let verdict = self.order(Work::Settle(places));
        loop {
            match verdict.lock().take() {
                Some(Verdict::Lost(lost)) => return Err(lost),
                Some(Verdict::Committed | Verdict::Aborted { .. }) => {
                    self.reset();
                    return Ok(());
                }
                None => self.inner.signal.wait(Duration::from_millis(5)),
            }
        }
    }
}
