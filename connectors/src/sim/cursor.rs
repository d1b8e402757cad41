//! A cursor of a simulated node.

use std::sync::Arc;

use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{Cursor, PollLimits, Position, RawBatch, ReadError};

use super::cluster::SimCluster;
use super::faults::{Fault, Op, Point};
use super::node::Node;
use crate::embedded::LocalCursor;

pub struct SimCursor {
    cluster: Arc<SimCluster>,
    node: Arc<Node>,
    inner: LocalCursor,
    /// Polls that return nothing.
    slow: u32,
}

impl SimCursor {
    pub(super) fn new(cluster: &Arc<SimCluster>, node: &Arc<Node>) -> Self {
        let inner = LocalCursor::new(cluster.shared.clone());
        SimCursor { cluster: cluster.clone(), node: node.clone(), inner, slow: 0 }
    }
}

impl Cursor for SimCursor {
    fn assign(&mut self, at: &[(Tp, Offset)]) {
        self.inner.assign(at);
    }

    fn pause(&mut self, tp: Tp, on: bool) {
        self.inner.pause(tp, on);
    }

    fn poll(&mut self, limits: &PollLimits, out: &mut Vec<RawBatch>) -> Result<(), ReadError> {
        if self.node.crashed() {
            return Ok(());
        }
        if self.slow > 0 {
            self.slow -= 1;
            return Ok(());
        }
        let point = Point { node: &self.node.name, op: Op::Poll, id: "", tp: None };
        match self.cluster.faults.at(&point) {
            Fault::Slow { before, after } => {
                self.slow = before + after;
                Ok(())
            }
            Fault::Few(count) => {
                let records_max = limits.records_max.min(count as usize);
                self.inner.poll(&PollLimits { records_max, ..*limits }, out)
            }
            Fault::CrashBefore | Fault::CrashAfter | Fault::CrashLate => {
                self.node.crash();
                Ok(())
            }
            Fault::Unreachable | Fault::Unknown { .. } => {
                Err(ReadError::Unreachable("no connection for a fetch".to_owned()))
            }
            _ => self.inner.poll(limits, out),
        }
    }

    fn position(&self, tp: Tp) -> Option<Position> {
        self.inner.position(tp)
    }
}
