//! The broker of a simulation, and what a test does to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_engine::ids::{LaneId, Offset, TopicId, Tp};
use millrace_engine::log::{LogError, Lost};
use millrace_engine::seams::SeededEntropy;
use parking_lot::Mutex;

use super::clock::SimClock;
use super::faults::Faults;
use super::members::Groups;
use super::node::SimLog;
use crate::embedded::core::Core;
use crate::embedded::{Options, Shared, housekeeping};

/// A log in memory that several nodes share.
pub struct SimCluster {
    pub(super) shared: Arc<Shared>,
    pub(super) faults: Arc<dyn Faults>,
    pub(super) groups: Mutex<Groups>,
    clock: Arc<SimClock>,
    late: Mutex<Vec<LateEnd>>,
    refused: Mutex<BTreeMap<TopicId, Refusal>>,
}

/// How transactions end that touch a topic which the log refuses; it never says which topic it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Told before the end: the transaction can only be aborted.
    AtPoll,
    /// The commit aborts.
    AtCommit,
    /// The commit ends the producer.
    Fatal,
}

/// The end of a transaction that is still on its way.
#[derive(Debug)]
pub(super) struct LateEnd {
    pub id: Arc<str>,
    pub epoch: u64,
    pub commit: bool,
}

impl SimCluster {
    /// An empty log; topic ids follow from `seed`.
    pub fn new(seed: u64, faults: Arc<dyn Faults>) -> Arc<Self> {
        let clock = Arc::new(SimClock::default());
        let seams = (clock.clone() as _, Arc::new(SeededEntropy::new(seed)) as _);
        let shared = Shared::new((Core::default(), None), None, seams, Options::default());
        let (groups, late, refused) = Default::default();
        Arc::new(SimCluster { shared: Arc::new(shared), faults, groups, clock, late, refused })
    }

    /// A handle for a node; a restarted node gets a new one.
    pub fn node(self: &Arc<Self>, name: &str) -> Arc<SimLog> {
        Arc::new(SimLog::new(self.clone(), name))
    }

    /// The clock of the broker and of all nodes.
    pub fn clock(&self) -> Arc<SimClock> {
        self.clock.clone()
    }

    /// Lets time pass; transactions that are open for too long are aborted.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.shared.expire_transactions();
    }

    /// Fences the writers of `id`, as another process opening it would.
    pub fn fence(&self, id: &str) {
        self.shared.open_writer(id);
    }

    /// Lets the open transaction of `id` time out.
    pub fn time_out(&self, id: &str) {
        self.shared.lose(id, Lost::Fenced(format!("the transaction of {id} timed out")));
    }

    /// Lets all ends of transactions that are still on their way take effect.
    pub fn land_late(&self) {
        let late = std::mem::take(&mut *self.late.lock());
        late.into_iter().for_each(|end| self.land(&end));
    }

    /// As [`SimCluster::land_late`], of one writer id; true if there were any.
    pub(super) fn land_late_of(&self, id: &str) -> bool {
        let mut late = self.late.lock();
        let (of_id, rest) = std::mem::take(&mut *late).into_iter().partition(|e| &*e.id == id);
        *late = rest;
        drop(late);
        let of_id: Vec<LateEnd> = of_id;
        of_id.iter().for_each(|end| self.land(end));
        !of_id.is_empty()
    }

    pub(super) fn send_late(&self, end: LateEnd) {
        self.late.lock().push(end);
    }

    /// It may come too late: the broker refuses an older epoch, and nobody is left to be told.
    fn land(&self, end: &LateEnd) {
        if end.commit {
            let _ = self.shared.commit(&end.id, end.epoch);
        } else {
            let _ = self.shared.abort(&end.id, end.epoch);
        }
    }

    /// Refuses transactions that touch `topic` from now on, or no more.
    pub fn refuse(&self, topic: TopicId, how: Option<Refusal>) {
        let mut refused = self.refused.lock();
        match how {
            Some(how) => refused.insert(topic, how),
            None => refused.remove(&topic),
        };
    }

    pub(super) fn refusal(&self, topic: TopicId) -> Option<Refusal> {
        self.refused.lock().get(&topic).copied()
    }

    /// Applies retention now.
    ///
    /// # Errors
    /// None in memory.
    pub fn expire(&self) -> std::io::Result<()> {
        housekeeping::expire(&self.shared)
    }

    /// Compacts a partition now.
    ///
    /// # Errors
    /// None in memory.
    pub fn compact(&self, tp: Tp) -> std::io::Result<()> {
        housekeeping::compact(&self.shared, tp)
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// An unknown topic, or a count that is not above the present one.
    pub fn set_partitions(&self, topic: TopicId, partitions: u32) -> Result<(), LogError> {
        self.shared.grow(topic, partitions)
    }

    /// Positions last published for `group`.
    pub fn lag(&self, group: &str) -> Vec<(Tp, Offset)> {
        self.shared.lag(group)
    }

    /// Gives a slot of a group to a node, or to nobody. The first to join has all of them.
    pub fn assign(&self, group: &str, slot: LaneId, node: Option<&str>) {
        self.groups.lock().assign(group, slot, node);
    }

    /// Lets a node lose its membership: it must join again to get slots.
    pub fn expel(&self, group: &str, node: &str) {
        self.groups.lock().expel(group, node);
    }
}
