//! A group of one: the only node has all slots.

use std::time::Duration;

use millrace_engine::ids::LaneId;
use millrace_engine::log::{Members, SlotEvent};

/// All slots, given out at the first poll.
#[derive(Debug)]
pub struct OnlyMember {
    slots: u32,
    announced: bool,
    left: bool,
}

impl OnlyMember {
    pub fn new(slots: u32) -> Self {
        OnlyMember { slots, announced: false, left: false }
    }
}

impl Members for OnlyMember {
    fn poll(&mut self) -> Vec<SlotEvent> {
        if self.left || std::mem::replace(&mut self.announced, true) {
            return Vec::new();
        }
        (0..self.slots).map(|slot| SlotEvent::Assigned(LaneId(slot))).collect()
    }

    fn owns(&self, slot: LaneId) -> Option<Duration> {
        let held = self.announced && !self.left && slot.0 < self.slots;
        held.then_some(Duration::ZERO)
    }

    fn leave(&mut self) {
        self.left = true;
    }
}
