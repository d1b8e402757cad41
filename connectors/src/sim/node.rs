//! One node's handle on the simulated log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{
    AppendIf, Cursor, Ends, EnsureError, Log, LogError, LogEvent, Members, ReadClass, Record,
    TopicInfo, TopicSpec, Writer,
};
use parking_lot::Mutex;

use super::cluster::SimCluster;
use super::cursor::SimCursor;
use super::faults::{Fault, Op, Point};
use super::members::SimMembers;
use super::writer::SimWriter;
use crate::embedded::LocalWriter;

/// A node of a simulation as a [`Log`].
pub struct SimLog {
    cluster: Arc<SimCluster>,
    node: Arc<Node>,
    events_from: Mutex<u64>,
}

/// A call that may be asked again: the same operation with the same arguments.
type Call = (Op, String, Option<Tp>);

/// A process of the simulation.
pub(super) struct Node {
    pub name: String,
    crashed: AtomicBool,
    /// Calls that are not ready yet, and for how many polls.
    waiting: Mutex<BTreeMap<Call, u32>>,
}

impl Node {
    pub fn crashed(&self) -> bool {
        self.crashed.load(Ordering::Acquire)
    }

    pub fn crash(&self) {
        self.crashed.store(true, Ordering::Release);
    }
}

impl SimLog {
    pub(super) fn new(cluster: Arc<SimCluster>, name: &str) -> Self {
        let (crashed, waiting) = Default::default();
        let node = Arc::new(Node { name: name.to_owned(), crashed, waiting });
        let events_from = Mutex::new(cluster.shared.events_end());
        SimLog { cluster, node, events_from }
    }

    /// Ends the node at once; see the module.
    pub fn kill(&self) {
        self.node.crash();
    }

    /// Whether the node was killed, by a fault or by [`SimLog::kill`].
    pub fn crashed(&self) -> bool {
        self.node.crashed()
    }

    /// One call under the plan of faults. `lost` is the answer when there is none from the log.
    fn call<T>(
        &self,
        (op, id, tp): (Op, &str, Option<Tp>),
        act: impl FnOnce() -> T,
        lost: impl FnOnce(String) -> T,
    ) -> Poll<T> {
        if self.crashed() {
            return Poll::Pending;
        }
        let Some(fault) = self.fault(op, id, tp) else { return Poll::Pending };
        match fault {
            Fault::CrashBefore => {
                self.kill();
                Poll::Pending
            }
            Fault::CrashAfter | Fault::CrashLate => {
                act();
                self.kill();
                Poll::Pending
            }
            Fault::Unknown { done } => {
                if done {
                    act();
                }
                Poll::Ready(lost(format!("the answer to {op:?} {id} was lost")))
            }
            Fault::Unreachable => Poll::Ready(lost(format!("no connection for {op:?} {id}"))),
            _ => Poll::Ready(act()),
        }
    }

    /// The fault for a call, or `None` while it is not ready.
    fn fault(&self, op: Op, id: &str, tp: Option<Tp>) -> Option<Fault> {
        let mut waiting = self.node.waiting.lock();
        let key = (op, id.to_owned(), tp);
        if let Some(left) = waiting.get_mut(&key) {
            if *left == 0 {
                waiting.remove(&key);
                return Some(Fault::None);
            }
            *left -= 1;
            return None;
        }
        match self.cluster.faults.at(&Point { node: &self.node.name, op, id, tp }) {
            Fault::Slow { before, after } if before + after > 0 => {
                waiting.insert(key, before + after - 1);
                None
            }
            fault => Some(fault),
        }
    }
}

fn unreachable<T>(why: String) -> Result<T, LogError> {
    Err(LogError::Unreachable(why))
}

impl Log for SimLog {
    fn describe(&self, name: &str) -> Poll<Result<Option<TopicInfo>, LogError>> {
        let act = || Ok(self.cluster.shared.describe(name));
        self.call((Op::Describe, name, None), act, unreachable)
    }

    fn list(&self) -> Poll<Result<Vec<TopicInfo>, LogError>> {
        self.call((Op::List, "", None), || Ok(self.cluster.shared.list()), unreachable)
    }

    fn ensure(&self, spec: &TopicSpec) -> Poll<Result<TopicInfo, EnsureError>> {
        let lost = |why| Err(EnsureError::Log(LogError::Unreachable(why)));
        self.call((Op::Ensure, &spec.name, None), || self.cluster.shared.ensure(spec), lost)
    }

    fn delete(&self, topic: TopicId) -> Poll<Result<(), LogError>> {
        let act = || self.cluster.shared.delete(topic);
        self.call((Op::Delete, &topic.to_string(), None), act, unreachable)
    }

    fn purge(&self, below: &[(Tp, Offset)]) -> Poll<Result<(), LogError>> {
        let tp = below.first().map(|(tp, _)| *tp);
        self.call((Op::Purge, "", tp), || self.cluster.shared.purge(below), unreachable)
    }

    fn ends(&self, tps: &[Tp]) -> Poll<Result<Vec<Ends>, LogError>> {
        let tp = tps.first().copied();
        self.call((Op::Ends, "", tp), || self.cluster.shared.ends(tps), unreachable)
    }

    fn events(&self) -> Vec<LogEvent> {
        if self.crashed() {
            return Vec::new();
        }
        self.cluster.shared.events(&mut self.events_from.lock())
    }

    fn cursor(&self, _class: ReadClass) -> Box<dyn Cursor> {
        Box::new(SimCursor::new(&self.cluster, &self.node))
    }

    fn writer(&self, id: &str) -> Poll<Result<Box<dyn Writer>, LogError>> {
        // What is on its way to the broker arrives while this one is being opened, not before.
        if !self.crashed() && self.cluster.land_late_of(id) {
            return Poll::Pending;
        }
        let act = || {
            let inner = LocalWriter::open(&self.cluster.shared, id);
            Ok(Box::new(SimWriter::new(&self.cluster, &self.node, inner)) as Box<dyn Writer>)
        };
        self.call((Op::OpenWriter, id, None), act, unreachable)
    }

    fn append(&self, tp: Tp, records: &[Record]) -> Poll<Result<Offset, LogError>> {
        let act = || self.cluster.shared.append(tp, records);
        self.call((Op::Append, "", Some(tp)), act, unreachable)
    }

    fn append_if(&self, id: &str, tp: Tp, end: Offset, record: &Record) -> Poll<AppendIf> {
        if !self.crashed() && self.cluster.land_late_of(id) {
            return Poll::Pending;
        }
        let act = || self.cluster.shared.append_if(id, tp, end, record);
        self.call((Op::AppendIf, id, Some(tp)), act, AppendIf::Unknown)
    }

    fn join(&self, group: &str, _topic: &str, _node: &str, slots: u32) -> Box<dyn Members> {
        Box::new(SimMembers::join(&self.cluster, &self.node, group, slots))
    }

    fn publish_lag(&self, group: &str, at: &[(Tp, Offset)]) {
        if !self.crashed() {
            self.cluster.shared.publish_lag(group, at);
        }
    }

    fn park(&self, _at_most: Duration) {}

    fn wake(&self) {}
}
