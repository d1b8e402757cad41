//! What a lane does for others now and then, best effort: tells consumer groups where its queries
//! stand, and drops records that nobody needs any more: of repartition topics what was read, of
//! windowed changelogs what is older than the first live window.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{Offset, TopicId, Tp};
use crate::lane::Lane;
use crate::mutant::{self, Mutant};
use crate::topology::Input;

/// What was told last.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    next: Duration,
    /// Commits of the lane at the last round.
    commits: u64,
    told: BTreeMap<(String, Tp), Offset>,
    /// Where changelogs were told to begin.
    purged: BTreeMap<Tp, Offset>,
}

impl Lane {
    /// Called while the lane runs. Positions are told to groups that nobody recovers from (R37).
    pub(crate) fn keep_up(&mut self) {
        let now = self.world.clock.elapsed();
        if now < self.upkeep.next || self.upkeep.commits == self.stats.commits {
            return;
        }
        (self.upkeep.next, self.upkeep.commits) =
            (now + self.world.limits.upkeep_interval, self.stats.commits);
        let mut moved: BTreeMap<&str, Vec<(Tp, Offset)>> = BTreeMap::new();
        let mut read = Vec::new();
        for task in self.tasks.values() {
            let sub = &task.query.topology.subs[task.key.sub as usize];
            for (input, kind) in task.inputs.iter().zip(&sub.inputs) {
                // Behind control records there is nothing to read, though it is not committed.
                let at = if task.dirty { input.committed } else { input.position };
                let told = (task.key.query.clone(), input.tp);
                if self.upkeep.told.insert(told, at) == Some(at) {
                    continue;
                }
                moved.entry(&task.key.query).or_default().push((input.tp, at));
                if matches!(kind, Input::Repartition(_)) {
                    read.push((input.tp, input.committed));
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
        self.purge_changelogs();
        let tasks = &self.tasks;
        self.upkeep.told.retain(|(query, _), _| tasks.keys().any(|key| key.query == *query));
    }

    /// R14: what was written before all that is live. A disk that stands further back is rebuilt.
    fn purge_changelogs(&mut self) {
        let mutant = mutant::active() == Some(Mutant::PurgeLive);
        let mut dead: BTreeMap<TopicId, Vec<(Tp, Offset)>> = BTreeMap::new();
        for (tp, store) in &self.changelogs {
            let needed = self.state.needed_from(*store);
            let applied = self.state.applied(*store).map(|meta| meta.applied);
            let to = if mutant { applied } else { needed };
            let Some(to) = to.filter(|to| *to > Offset(0)) else { continue };
            if self.upkeep.purged.insert(*tp, to) != Some(to) {
                dead.entry(tp.topic).or_default().push((*tp, to));
            }
        }
        self.upkeep.purged.retain(|tp, _| self.changelogs.contains_key(tp));
        for below in dead.values_mut() {
            below.sort_unstable();
            // Topics that an older version made refuse it, and keep what they have.
            let _ = self.world.log.purge(below);
        }
    }
}
