//! A writer of a simulated node. Dropping it leaves its transaction open, as a dead process does.

use std::sync::Arc;
use std::task::Poll;

use millrace_engine::ids::{TopicId, Tp};
use millrace_engine::log::{Ending, Lost, Outcome, RecordRef, SendError, TxnState, Writer};
use millrace_engine::mutant::{self, Mutant};

use super::cluster::{LateEnd, Refusal, SimCluster};
use super::faults::{Fault, Op, Point};
use super::node::Node;
use crate::embedded::LocalWriter;
use crate::embedded::core::txn::CommitFault;

pub struct SimWriter {
    cluster: Arc<SimCluster>,
    node: Arc<Node>,
    inner: LocalWriter,
    /// Polls that show records as not acknowledged.
    slow: u32,
    /// The transaction touched a topic that the log refuses.
    refused: Option<Refusal>,
    /// The connection broke after the last transaction.
    shaken: bool,
}

impl SimWriter {
    pub(super) fn new(cluster: &Arc<SimCluster>, node: &Arc<Node>, mut inner: LocalWriter) -> Self {
        inner.abandon();
        let (cluster, node) = (cluster.clone(), node.clone());
        SimWriter { cluster, node, inner, slow: 0, refused: None, shaken: false }
    }

    fn fault(&self, op: Op, tp: Option<Tp>) -> Fault {
        let (node, id) = (self.node.name.as_str(), self.inner.id());
        self.cluster.faults.at(&Point { node, op, id, tp })
    }

    /// Does to the transaction what others would do to it.
    fn strike(&self, fault: Fault) {
        match fault {
            Fault::Fence => self.cluster.fence(self.inner.id()),
            Fault::TimeOut => self.cluster.time_out(self.inner.id()),
            _ => {}
        }
    }

    fn ending(self, commit: bool) -> Box<dyn Ending> {
        let fault = self.fault(if commit { Op::Commit } else { Op::Abort }, None);
        let (before, after) = match fault {
            Fault::Slow { before, after } => (before, after),
            _ => (0, 0),
        };
        Box::new(SimEnding { stage: Stage::Before(Box::new(self)), commit, fault, before, after })
    }
}

fn shaken() -> Lost {
    Lost::Unknown("the connection broke after the last transaction".to_owned())
}

fn crashed() -> Lost {
    Lost::Fatal("the node has crashed".to_owned())
}

impl Writer for SimWriter {
    fn send(&mut self, to: Tp, record: &RecordRef<'_>) -> Result<(), SendError> {
        if self.node.crashed() {
            return Err(SendError::Dead(crashed()));
        }
        if self.shaken {
            return Err(SendError::Dead(shaken()));
        }
        let fault = self.fault(Op::Send, Some(to));
        match fault {
            Fault::Full => return Err(SendError::Full),
            Fault::CrashBefore => {
                self.node.crash();
                return Err(SendError::Dead(crashed()));
            }
            Fault::CrashAfter | Fault::CrashLate => {
                self.inner.send(to, record)?;
                self.inner.flush();
                self.node.crash();
                return Err(SendError::Dead(crashed()));
            }
            _ => self.strike(fault),
        }
        self.refused = self.refused.or(self.cluster.refusal(to.topic));
        self.inner.send(to, record)
    }

    fn poll(&mut self) -> TxnState {
        if self.node.crashed() {
            return TxnState::Dead(crashed());
        }
        if self.shaken {
            return TxnState::Dead(shaken());
        }
        let fault = match self.slow {
            0 => self.fault(Op::WriterPoll, None),
            _ => Fault::None,
        };
        match fault {
            Fault::Slow { before, after } => self.slow = before + after,
            Fault::CrashBefore => self.node.crash(),
            Fault::CrashAfter | Fault::CrashLate => {
                self.inner.flush();
                self.node.crash();
            }
            _ => self.strike(fault),
        }
        if self.node.crashed() {
            return TxnState::Dead(crashed());
        }
        if self.slow > 0 && self.inner.held() > 0 {
            self.slow -= 1;
            return TxnState::Open { unacked: self.inner.held() };
        }
        self.slow = 0;
        match (self.inner.poll(), self.refused) {
            (TxnState::Open { .. }, Some(Refusal::AtPoll)) => {
                let reason = "records were purged".to_owned();
                TxnState::MustAbort { culprits: Vec::new(), reason }
            }
            (state, _) => state,
        }
    }

    fn commit(self: Box<Self>) -> Box<dyn Ending> {
        self.ending(true)
    }

    fn abort(self: Box<Self>) -> Box<dyn Ending> {
        self.ending(false)
    }

    fn settle(mut self: Box<Self>, at: &[Tp]) -> Box<dyn Ending> {
        let fault = self.fault(Op::Settle, None);
        let before = match fault {
            Fault::Slow { before, .. } => before,
            _ => 0,
        };
        let drop = mutant::active() == Some(Mutant::DropForgotten);
        if fault == Fault::CrashBefore {
            self.node.crash();
        }
        let outcome = match self.node.crashed() {
            true => Outcome::Lost(crashed()),
            false => {
                let (id, epoch) = self.inner.incarnation();
                match self.cluster.shared.settle((&id, epoch), at, drop) {
                    Ok(()) => {
                        self.shaken = false;
                        Outcome::Committed { writer: self, ends: Vec::new() }
                    }
                    Err(lost) => Outcome::Lost(lost),
                }
            }
        };
        let stage = Stage::After(outcome);
        Box::new(SimEnding { stage, commit: true, fault: Fault::None, before: 0, after: before })
    }
}

struct SimEnding {
    stage: Stage,
    commit: bool,
    fault: Fault,
    before: u32,
    after: u32,
}

enum Stage {
    Before(Box<SimWriter>),
    /// Decided; the answer is on its way.
    After(Outcome),
    Over,
}

impl Ending for SimEnding {
    fn poll(&mut self) -> Poll<Outcome> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Before(writer) if self.before > 0 => {
                    self.before -= 1;
                    self.stage = Stage::Before(writer);
                    return Poll::Pending;
                }
                Stage::Before(writer) => match self.decide(writer) {
                    Some(outcome) => self.stage = Stage::After(outcome),
                    None => return Poll::Pending,
                },
                Stage::After(outcome) if self.after > 0 => {
                    self.after -= 1;
                    self.stage = Stage::After(outcome);
                    return Poll::Pending;
                }
                Stage::After(outcome) => return Poll::Ready(outcome),
                // The node is dead, or it was polled again after the end: no answer ever.
                Stage::Over => return Poll::Pending,
            }
        }
    }
}

impl SimEnding {
    /// Ends the transaction under the fault; `None` when the node dies of it.
    fn decide(&mut self, mut writer: Box<SimWriter>) -> Option<Outcome> {
        let node = writer.node.clone();
        if node.crashed() {
            return None;
        }
        let unknown = Lost::Unknown("the answer to the end was lost".to_owned());
        let unknown = Some(Outcome::Lost(unknown));
        match self.fault {
            Fault::CrashBefore => node.crash(),
            Fault::CrashAfter => {
                let _ = finish(writer, self.commit);
                node.crash();
            }
            Fault::CrashLate => {
                self.send_late(&mut writer);
                node.crash();
            }
            Fault::Late => {
                self.send_late(&mut writer);
                return unknown;
            }
            Fault::Unknown { done: true } => {
                let _ = finish(writer, self.commit);
                return unknown;
            }
            Fault::Unknown { done: false } => {
                writer.inner.flush();
                return unknown;
            }
            Fault::Forget { which, told } => {
                let outcome = self.forget(writer, which);
                return if told { Some(outcome) } else { unknown };
            }
            fault => {
                writer.strike(fault);
                return Some(finish(writer, self.commit));
            }
        }
        None
    }

    /// Ends the transaction, of which not all partitions are told.
    fn forget(&self, mut writer: Box<SimWriter>, which: u64) -> Outcome {
        writer.inner.flush();
        let (id, epoch) = writer.inner.incarnation();
        let cluster = &writer.cluster;
        let sound = writer.refused.is_none() && cluster.shared.is_sound(&id, epoch);
        if sound {
            let picked = |at: usize| which >> (at % u64::BITS as usize) & 1 == 1;
            cluster.shared.forget(&id, self.commit, picked);
            writer.shaken = true;
        }
        finish(writer, self.commit)
    }

    fn send_late(&self, writer: &mut SimWriter) {
        writer.inner.flush();
        let (id, epoch) = writer.inner.incarnation();
        let commit = self.commit && writer.refused.is_none();
        writer.cluster.send_late(LateEnd { id, epoch, commit });
    }
}

fn finish(mut writer: Box<SimWriter>, commit: bool) -> Outcome {
    if !commit {
        return aborted(writer, Vec::new());
    }
    match writer.refused {
        Some(Refusal::Fatal) => {
            return Outcome::Lost(Lost::Fatal("records were purged".to_owned()));
        }
        Some(_) => return aborted(writer, Vec::new()),
        None => {}
    }
    match writer.inner.finish_commit() {
        Ok(done) => Outcome::Committed { writer, ends: done.ends },
        Err(CommitFault::Lost(lost)) => Outcome::Lost(lost),
        Err(CommitFault::Poisoned(poison)) => aborted(writer, poison.culprits),
    }
}

fn aborted(mut writer: Box<SimWriter>, culprits: Vec<TopicId>) -> Outcome {
    writer.refused = None;
    match writer.inner.finish_abort() {
        Ok(()) => Outcome::Aborted { writer, culprits },
        Err(lost) => Outcome::Lost(lost),
    }
}
