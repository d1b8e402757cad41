//! Group membership as the test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millrace_engine::ids::LaneId;
use millrace_engine::log::{Members, SlotEvent};

use super::cluster::SimCluster;
use super::node::Node;

/// Slots of all groups.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<String, BTreeMap<LaneId, String>>,
    expelled: BTreeSet<(String, String)>,
}

impl Groups {
    fn join(&mut self, group: &str, node: &str, slots: u32) {
        self.expelled.remove(&(group.to_owned(), node.to_owned()));
        if !self.groups.contains_key(group) {
            let all = (0..slots).map(|slot| (LaneId(slot), node.to_owned()));
            self.groups.insert(group.to_owned(), all.collect());
        }
    }

    pub fn assign(&mut self, group: &str, slot: LaneId, node: Option<&str>) {
        let slots = self.groups.entry(group.to_owned()).or_default();
        match node {
            Some(node) => slots.insert(slot, node.to_owned()),
            None => slots.remove(&slot),
        };
    }

    pub fn expel(&mut self, group: &str, node: &str) {
        if let Some(slots) = self.groups.get_mut(group) {
            slots.retain(|_, owner| owner != node);
        }
        self.expelled.insert((group.to_owned(), node.to_owned()));
    }

    fn of(&self, group: &str, node: &str) -> BTreeSet<LaneId> {
        let slots = self.groups.get(group).into_iter().flatten();
        slots.filter(|(_, owner)| *owner == node).map(|(slot, _)| *slot).collect()
    }
}

/// A node's membership of one group.
pub struct SimMembers {
    cluster: Arc<SimCluster>,
    node: Arc<Node>,
    group: String,
    held: BTreeSet<LaneId>,
    left: bool,
}

impl SimMembers {
    pub(super) fn join(
        cluster: &Arc<SimCluster>,
        node: &Arc<Node>,
        group: &str,
        slots: u32,
    ) -> Self {
        cluster.groups.lock().join(group, &node.name, slots);
        SimMembers {
            cluster: cluster.clone(),
            node: node.clone(),
            group: group.to_owned(),
            held: BTreeSet::new(),
            left: false,
        }
    }
}

impl Members for SimMembers {
    fn poll(&mut self) -> Vec<SlotEvent> {
        if self.left || self.node.crashed() {
            return Vec::new();
        }
        let groups = self.cluster.groups.lock();
        let me = (self.group.clone(), self.node.name.clone());
        if groups.expelled.contains(&me) {
            self.left = true;
            self.held.clear();
            return vec![SlotEvent::Lost];
        }
        let now = groups.of(&self.group, &self.node.name);
        let revoked = self.held.difference(&now).map(|slot| SlotEvent::Revoked(*slot));
        let assigned = now.difference(&self.held).map(|slot| SlotEvent::Assigned(*slot));
        let events = revoked.chain(assigned).collect();
        self.held = now;
        events
    }

    fn owns(&self, slot: LaneId) -> Option<Duration> {
        self.held.contains(&slot).then_some(Duration::ZERO)
    }

    fn leave(&mut self) {
        self.left = true;
        self.held.clear();
        let mut groups = self.cluster.groups.lock();
        if let Some(slots) = groups.groups.get_mut(&self.group) {
            slots.retain(|_, owner| *owner != self.node.name);
        }
    }
}
