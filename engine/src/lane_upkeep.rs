//! What a lane does for others now and then, best effort: tells consumer groups where its queries
//! stand, and drops records of repartition topics that have been read.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{Offset, Tp};
use crate::lane::Lane;
use crate::topology::Input;

/// Pause between two rounds.
const UPKEEP_EVERY: Duration = Duration::from_secs(10);

/// What was told last.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    next: Duration,
    /// Commits of the lane at the last round.
    commits: u64,
    told: BTreeMap<(String, Tp), Offset>,
}

impl Lane {
    /// Called while the lane runs. Positions are told to groups that nobody recovers from (R37).
    pub(crate) fn keep_up(&mut self) {
        let now = self.world.clock.elapsed();
        if now < self.upkeep.next || self.upkeep.commits == self.stats.commits {
            return;
        }
        (self.upkeep.next, self.upkeep.commits) = (now + UPKEEP_EVERY, self.stats.commits);
        let mut moved: BTreeMap<&str, Vec<(Tp, Offset)>> = BTreeMap::new();
        let mut read = Vec::new();
        for task in self.tasks.values() {
            let sub = &task.query.topology.subs[task.key.sub as usize];
            for (input, kind) in task.inputs.iter().zip(&sub.inputs) {
                let at = (input.tp, input.committed);
                let told = (task.key.query.clone(), input.tp);
                if self.upkeep.told.insert(told, input.committed) == Some(input.committed) {
                    continue;
                }
                moved.entry(&task.key.query).or_default().push(at);
                if matches!(kind, Input::Repartition(_)) {
                    read.push(at);
                }
            }
        }
        for (query, at) in moved {
            self.world.log.publish_lag(&self.world.names.application(query), &at);
        }
        if !read.is_empty() {
            // Nobody waits for it; what is missed now goes with the next round.
            let _ = self.world.log.purge(&read);
        }
        let tasks = &self.tasks;
        self.upkeep.told.retain(|(query, _), _| tasks.keys().any(|key| key.query == *query));
    }
}
