//! What a lane does for others now and then, best effort: tells consumer groups where its queries
//! stand, and drops records that nobody needs any more: of repartition topics what was read, of
//! windowed changelogs what is older than the first live window.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{Offset, TopicId, Tp};
use crate::lane::Lane;
use crate::mutant::{self, Mutant};
use crate::progress::{PositionRecord, TaskKey, decode, position_key};
use crate::query::QueryDef;
use crate::task::{Task, TaskInput};
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
    /// What may be purged when the lane has committed once more. A broker says that a transaction is
    /// committed before it has told its partitions; when it dies in between, and forgets them, the
    /// transaction is undone by the cleansing abort (R11), and what it had read is needed again. The
    /// transaction after it begins only when all partitions know.
    pub(crate) settling: Vec<(Tp, Offset)>,
}

impl Lane {
    /// Called while the lane runs. Positions are told to groups that nobody recovers from (R37).
    pub(crate) fn keep_up(&mut self) {
        let now = self.world.clock.elapsed();
        if now < self.upkeep.next {
            return;
        }
        if self.upkeep.commits == self.stats.commits {
            // Nothing goes on: a header will do.
            if !self.upkeep.settling.is_empty() {
                self.upkeep.next = now + self.world.limits.upkeep_interval;
                self.header_due();
            }
            return;
        }
        (self.upkeep.next, self.upkeep.commits) =
            (now + self.world.limits.upkeep_interval, self.stats.commits);
        let mut moved: BTreeMap<&str, Vec<(Tp, Offset)>> = BTreeMap::new();
        let mut read = Vec::new();
        for task in self.tasks.values() {
            let sub = &task.query.topology.subs[task.key.sub as usize];
            for (input, kind) in task.inputs.iter().zip(&sub.inputs) {
                let at = reached(task, input);
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
        self.note_dead(&mut read);
        self.purge_settled(read);
        let tasks = &self.tasks;
        self.upkeep.told.retain(|(query, _), _| tasks.keys().any(|key| key.query == *query));
    }

    /// Where a query's tasks of this lane stand; of those that do not run now: where they stood.
    pub(crate) fn positions(&self, query: &QueryDef) -> BTreeMap<Tp, Offset> {
        let tasks = self.tasks.values().filter(|task| task.key.query == query.id);
        let running = tasks
            .flat_map(|task| task.inputs.iter().map(move |input| (input.tp, reached(task, input))));
        let mut all: Vec<(Tp, Offset)> = running.collect();
        if all.is_empty() {
            all = self.stood(query);
        }
        // The sides of a self-join may stand at different places.
        let mut found = BTreeMap::new();
        for (tp, at) in all {
            let least = found.entry(tp).or_insert(at);
            *least = at.min(*least);
        }
        found
    }

    /// What the committed progress says.
    fn stood(&self, query: &QueryDef) -> Vec<(Tp, Offset)> {
        let mut all = Vec::new();
        let subs = query.topology.subs.iter().zip(&query.facts.subs).zip(0..);
        for ((sub, facts), number) in subs {
            let topics = (0..sub.inputs.len()).filter_map(|at| query.input_topic(number, at).ok());
            let topics: Vec<TopicId> = topics.map(|topic| topic.id).collect();
            for partition in 0..facts.partitions {
                let task = TaskKey { query: query.id.clone(), sub: number as u32, partition };
                for topic in &topics {
                    let tp = Tp::new(*topic, partition);
                    let key = position_key(&task, tp, 0);
                    let stored = self.progress.get(&key);
                    let stored = stored.and_then(|v| decode::<PositionRecord>(&key, v).ok());
                    all.extend(stored.map(|record| (tp, record.next)));
                }
            }
        }
        all
    }

    /// Drops what was noted in the last round, and notes the rest for the next one.
    fn purge_settled(&mut self, noted: Vec<(Tp, Offset)>) {
        let mut topics: BTreeMap<TopicId, Vec<(Tp, Offset)>> = BTreeMap::new();
        for (tp, below) in std::mem::replace(&mut self.upkeep.settling, noted) {
            topics.entry(tp.topic).or_default().push((tp, below));
        }
        for below in topics.values_mut() {
            below.sort_unstable();
            // Nobody waits for it; what is missed now goes with a later round. Topics that an older
            // version made refuse it, and keep what they have.
            let _ = self.world.log.purge(below);
        }
    }

    /// R14: what was written before all that is live. A disk that stands further back is rebuilt.
    fn note_dead(&mut self, dead: &mut Vec<(Tp, Offset)>) {
        let mutant = mutant::active() == Some(Mutant::PurgeLive);
        for (tp, store) in &self.changelogs {
            let needed = self.state.needed_from(*store);
            let applied = self.state.applied(*store).map(|meta| meta.applied);
            let to = if mutant { applied } else { needed };
            let Some(to) = to.filter(|to| *to > Offset(0)) else { continue };
            if self.upkeep.purged.insert(*tp, to) != Some(to) {
                dead.push((*tp, to));
            }
        }
        self.upkeep.purged.retain(|tp, _| self.changelogs.contains_key(tp));
    }
}

/// Behind control records there is nothing to read, though it is not committed.
fn reached(task: &Task, input: &TaskInput) -> Offset {
    if task.dirty { input.committed } else { input.position }
}
