//! What ended transactions have left behind (R11). A broker can forget the markers of a transaction of
//! this lane, committed or aborted: the rows stay undecided, hold readers up, and would be decided by
//! whatever the lane does next. So before a lane relies on a partition that it writes to and that
//! holds something undecided, it lets its writer settle that.
//!
//! Other lanes' running transactions look the same; for them there is nothing to settle. What a
//! producer of another identity left open cannot be ended from here.

use std::task::Poll;

use crate::error::{EngineError, Result};
use crate::ids::Tp;
use crate::lane::Lane;
use crate::log::{Ending, Ends, Outcome, Writer};
use crate::task::Task;

/// A writer that may have to settle what is left before it is used.
pub(crate) struct Cleanser {
    state: State,
    /// Partitions that were looked at.
    done: Vec<Tp>,
}

enum State {
    Clean(Box<dyn Writer>),
    Settling(Box<dyn Ending>),
    /// Between states; never seen outside of a step.
    Moving,
}

impl Cleanser {
    pub fn new(writer: Box<dyn Writer>) -> Self {
        Cleanser { state: State::Clean(writer), done: Vec::new() }
    }

    /// The writer, unless it is settling something.
    pub fn into_writer(self) -> Result<Box<dyn Writer>> {
        match self.state {
            State::Clean(writer) => Ok(writer),
            _ => Err(EngineError::Bug("the writer is still cleaning up".to_owned())),
        }
    }

    /// Starts what undecided ends call for; true if there is something to do.
    pub fn look(&mut self, tps: &[Tp], ends: &[Ends]) -> bool {
        let new = tps.iter().zip(ends).filter(|(tp, _)| !self.done.contains(tp));
        let undecided: Vec<Tp> = new.filter(|(_, e)| e.lso < e.hw).map(|(tp, _)| *tp).collect();
        self.done.extend(tps);
        if undecided.is_empty() {
            return false;
        }
        self.state = match std::mem::replace(&mut self.state, State::Moving) {
            State::Clean(writer) => {
                tracing::info!(partitions = undecided.len(), "undecided rows: settling");
                State::Settling(writer.settle(&undecided))
            }
            other => other,
        };
        true
    }

    /// Goes on with settling; true when the writer is clean.
    pub fn step(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Clean(writer) => {
                self.state = State::Clean(writer);
                Ok(true)
            }
            State::Settling(mut ending) => match ending.poll() {
                Poll::Pending => {
                    self.state = State::Settling(ending);
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
