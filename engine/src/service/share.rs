//! This node's share of the lanes: follows the group, starts lanes and hands them back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Result;
use crate::ids::LaneId;
use crate::lane::Lane;
use crate::log::{Members, SlotEvent};
use crate::service::{Booted, Inner};
use crate::worker::Request;

/// Pause between tries to start a lane, e.g. while its last run still closes its state.
const START_PAUSE: Duration = Duration::from_millis(500);

/// Lanes that the group gave to this node.
pub(super) struct Share {
    members: Box<dyn Members>,
    /// Given to this node; when the start of one that does not run is tried again.
    given: BTreeMap<LaneId, Duration>,
    running: BTreeSet<LaneId>,
}

impl Share {
    pub fn join(inner: &Inner) -> Self {
        let (group, topic) = (inner.names.lane_group(), inner.names.progress_topic());
        let members = inner.seams.log.join(&group, &topic, &inner.config.node, inner.lanes());
        Share { members, given: BTreeMap::new(), running: BTreeSet::new() }
    }

    /// Does what the group has decided since the last call.
    pub fn follow(&mut self, inner: &Inner, booted: &Booted) -> Result<()> {
        let now = inner.seams.clock.elapsed();
        for event in self.members.poll() {
            match event {
                SlotEvent::Assigned(lane) => {
                    inner.expelled.store(false, Ordering::Release);
                    self.given.insert(lane, now);
                }
                SlotEvent::Revoked(lane) => {
                    inner.expelled.store(false, Ordering::Release);
                    self.hand_back(lane, "another node runs the lane", booted)?;
                }
                SlotEvent::Lost => {
                    inner.expelled.store(true, Ordering::Release);
                    tracing::warn!("this node lost its membership: its lanes may be others' now");
                    for lane in self.given.keys().copied().collect::<Vec<_>>() {
                        self.hand_back(lane, "the lane is given up with the membership", booted)?;
                    }
                }
            }
        }
        for lane in &self.running {
            if let Some(age) = self.members.owns(*lane) {
                booted.world.ownership.heard(*lane, now, age);
            }
        }
        self.start_missing(inner, booted, now)
    }

    /// True if all lanes of the service are this node's.
    pub fn is_whole(&self, inner: &Inner) -> bool {
        self.running.len() == inner.lanes() as usize
    }

    pub fn leave(&mut self) {
        self.members.leave();
    }

    fn start_missing(&mut self, inner: &Inner, booted: &Booted, now: Duration) -> Result<()> {
        let missing =
            self.given.iter().filter(|(lane, at)| **at <= now && !self.running.contains(lane));
        let missing: Vec<LaneId> = missing.map(|(lane, _)| *lane).collect();
        for lane in missing {
            let made = (inner.config.open_disk)(lane).and_then(|disk| {
                Lane::new(lane, booted.world.clone(), inner.registry.clone(), disk)
            });
            match made {
                Ok(made) => {
                    tracing::info!(lane = lane.0, "this node runs the lane");
                    booted.world.ownership.heard(lane, now, Duration::ZERO);
                    booted.workers.send(Request::Add(Box::new(made)))?;
                    self.running.insert(lane);
                    inner.no_trouble("lanes");
                }
                Err(error) => {
                    self.given.insert(lane, now + START_PAUSE);
                    inner.trouble("lanes", format!("lane {lane} cannot be started: {error}"));
                }
            }
        }
        Ok(())
    }

    fn hand_back(&mut self, lane: LaneId, why: &str, booted: &Booted) -> Result<()> {
        self.given.remove(&lane);
        if self.running.remove(&lane) {
            tracing::info!(lane = lane.0, "{why}");
            booted.world.ownership.lost(lane);
            booted.workers.send(Request::Remove(lane))?;
        }
        Ok(())
    }
}
