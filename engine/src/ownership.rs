//! Whether this node still has a lane: asked before a lane that was fenced opens its writer again,
//! so that two nodes do not fence each other in turns. Liveness only; safety is the writer's fence.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::RwLock;

use crate::ids::LaneId;

/// How long word from the group's coordinator counts: its session time-out.
const FRESH: Duration = Duration::from_secs(10);

/// What the group last said about each lane.
#[derive(Debug, Default)]
pub struct Ownership {
    /// On the clock, until when a lane is taken for this node's.
    until: RwLock<BTreeMap<LaneId, Duration>>,
}

impl Ownership {
    /// The group said `age` ago that the lane is this node's.
    pub fn heard(&self, lane: LaneId, now: Duration, age: Duration) {
        let until = (now + FRESH).saturating_sub(age);
        self.until.write().insert(lane, until);
    }

    /// The lane is another node's now.
    pub fn lost(&self, lane: LaneId) {
        self.until.write().insert(lane, Duration::ZERO);
    }

    /// True if the lane is this node's as far as anybody said.
    pub fn is_ours(&self, lane: LaneId, now: Duration) -> bool {
        self.until.read().get(&lane).is_none_or(|until| now <= *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_gets_old() {
        let (ownership, s) = (Ownership::default(), Duration::from_secs);
        assert!(ownership.is_ours(LaneId(1), s(99)), "nobody shares out lanes");
        ownership.heard(LaneId(1), s(100), s(3));
        for (now, ours) in [(100, true), (107, true), (108, false)] {
            assert_eq!(ownership.is_ours(LaneId(1), s(now)), ours, "{now}");
        }
        ownership.heard(LaneId(1), s(110), s(0));
        assert!(ownership.is_ours(LaneId(1), s(120)));
        ownership.lost(LaneId(1));
        assert!(!ownership.is_ours(LaneId(1), s(111)));
    }
}
