//! The cleansing abort (R11). A broker can forget the markers of an aborted transaction of this lane:
//! the rows stay undecided, hold readers up, and would show with the lane's next commit. So before a
//! lane relies on a partition that it writes to and that holds something undecided, it writes a probe
//! there and aborts: that decides whatever its own producer had left open.
//!
//! Other lanes' running transactions look the same; for them the probe is one more aborted record.
//! What a producer of another identity left open cannot be ended from here: that is told.

use std::task::Poll;
use std::time::Duration;

use crate::error::{EngineError, Result};
use crate::ids::Tp;
use crate::lane::Lane;
use crate::log::{Ending, Ends, LogError, Outcome, RecordRef, SendError, TxnState, Writer};
use crate::task::Task;

/// How long probes may take.
const PROBE_TIME_MAX: Duration = Duration::from_secs(30);

/// A writer that may have to clean up before it is used.
pub(crate) struct Cleanser {
    state: State,
    /// Partitions that were looked at.
    pub(crate) done: Vec<Tp>,
}

enum State {
    Clean(Box<dyn Writer>),
    /// Probes are being sent; the next of them, and since when.
    Probing {
        writer: Box<dyn Writer>,
        probes: Vec<Tp>,
        since: Duration,
    },
    Aborting(Box<dyn Ending>),
    /// Between states; never seen outside of a step.
    Moving,
}

impl Cleanser {
    pub fn new(writer: Box<dyn Writer>) -> Self {
        Cleanser { state: State::Clean(writer), done: Vec::new() }
    }

    /// The writer, unless it is cleaning up.
    pub fn into_writer(self) -> Result<Box<dyn Writer>> {
        match self.state {
            State::Clean(writer) => Ok(writer),
            _ => Err(EngineError::Bug("the writer is still cleaning up".to_owned())),
        }
    }

    /// Notes what undecided ends call for; true if there is something to do.
    pub fn look(&mut self, tps: &[Tp], ends: &[Ends], now: Duration) -> bool {
        let new = tps.iter().zip(ends).filter(|(tp, _)| !self.done.contains(tp));
        let probes: Vec<Tp> = new.filter(|(_, e)| e.lso < e.hw).map(|(tp, _)| *tp).collect();
        self.done.extend(tps);
        if probes.is_empty() {
            return false;
        }
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Clean(writer) => {
                tracing::info!(partitions = probes.len(), "undecided rows: probing");
                self.state = State::Probing { writer, probes, since: now };
                true
            }
            other => {
                self.state = other;
                true
            }
        }
    }

    /// Goes on with cleaning up; true when the writer is clean.
    pub fn step(&mut self, now: Duration) -> Result<bool> {
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Clean(writer) => {
                self.state = State::Clean(writer);
                Ok(true)
            }
            State::Probing { writer, probes, since } => self.probe(writer, probes, since, now),
            State::Aborting(mut ending) => match ending.poll() {
                Poll::Pending => {
                    self.state = State::Aborting(ending);
                    Ok(false)
                }
                Poll::Ready(
                    Outcome::Aborted { writer, .. } | Outcome::Committed { writer, .. },
                ) => {
                    self.state = State::Clean(writer);
                    Ok(true)
                }
                Poll::Ready(Outcome::Lost(lost)) => Err(EngineError::Lost(lost)),
            },
            State::Moving => Err(EngineError::Bug("the writer was lost on the way".to_owned())),
        }
    }

    /// An abort ends only what has reached the broker: each probe is waited for.
    fn probe(
        &mut self,
        mut writer: Box<dyn Writer>,
        mut probes: Vec<Tp>,
        since: Duration,
        now: Duration,
    ) -> Result<bool> {
        while let Some(tp) = probes.last() {
            // A compacted topic wants a key; a tombstone of no one's key does no harm.
            let (timestamp, key) = (crate::ids::Timestamp(0), Some(&b"probe"[..]));
            let record = RecordRef { timestamp, key, value: None, headers: &[] };
            match writer.send(*tp, &record) {
                Ok(()) => drop(probes.pop()),
                Err(SendError::Full) => break,
                Err(error) => return Err(EngineError::Send(error)),
            }
        }
        let arrived = match writer.poll() {
            TxnState::Open { unacked } => unacked == 0,
            TxnState::Idle => true,
            // It is aborted in any case; a topic that is gone has nothing to be cleaned.
            TxnState::MustAbort { .. } => true,
            TxnState::Dead(lost) => return Err(EngineError::Lost(lost)),
        };
        if probes.is_empty() && arrived {
            self.state = State::Aborting(writer.abort());
        } else if now.saturating_sub(since) > PROBE_TIME_MAX {
            let why = "undecided rows could not be probed".to_owned();
            return Err(EngineError::Log(LogError::Unreachable(why)));
        } else {
            self.state = State::Probing { writer, probes, since };
        }
        Ok(false)
    }
}

impl Lane {
    /// Partitions that tasks write to, beside progress: sinks, repartition topics, changelogs.
    pub(crate) fn written_partitions(&self, tasks: &[Task]) -> Vec<Tp> {
        let mut all = Vec::new();
        for task in tasks {
            let topics = task.query.facts.topics.iter();
            for (_, facts) in topics.filter(|(_, t)| task.query.written_topic(t.id).is_some()) {
                all.extend((0..facts.partitions).map(|p| Tp::new(facts.id, p)));
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}
