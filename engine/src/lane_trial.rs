//! Who breaks the lane's transactions when the log names nobody (R13). A topic can doom a transaction
//! with all that is in it; without the query that writes there the lane could go on.
//!
//! When transactions with work fail repeatedly like that, their queries are put on trial: only some of
//! them run, in transactions of their own, until they have passed the place where it failed. Groups
//! that fail are halved. A query that fails alone, while a transaction of nothing but the lane's own
//! header goes through before and after, is stopped. When its pause is over it is tried alone again.
//!
//! A log that refuses everybody refuses the header, too: then nobody is stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::EngineError;
use crate::ids::Offset;
use crate::lane::Lane;
use crate::limits::Limits;
use crate::log::{Lost, SendError};
use crate::progress::TaskKey;

/// Where the inputs of tasks stood when a transaction failed.
type Goals = BTreeMap<TaskKey, Vec<Offset>>;

/// What is suspected in a lane; survives its recoveries.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// Transactions with work that failed in a row, with nobody to blame.
    unexplained: u32,
    /// Queries on trial; the last group is being tried. Empty: everybody runs.
    groups: Vec<Vec<String>>,
    /// Since when the last group is tried.
    since: Option<Duration>,
    /// Times in a row that it failed, being one query.
    alone: u32,
    /// What failed transactions had reached.
    goals: Goals,
    /// What was seen last.
    reason: String,
    /// Queries that were stopped, and what they must pass when they come back.
    convicts: BTreeMap<String, Goals>,
}

impl Trials {
    /// True if a query may run now.
    pub fn admits(&self, query: &str) -> bool {
        self.groups.last().is_none_or(|group| group.iter().any(|id| id == query))
    }

    /// True while something is unexplained.
    pub fn suspects(&self) -> bool {
        self.unexplained > 0
    }

    /// A transaction of tasks that had come to `reached` failed, and nobody is to blame.
    fn failed(&mut self, reached: Goals, reason: &str, limits: &Limits) {
        if reached.is_empty() {
            // Not even the header goes through: it is no query's fault.
            self.alone = 0;
            return;
        }
        reason.clone_into(&mut self.reason);
        for (key, at) in reached {
            let goals = self.goals.entry(key).or_insert_with(|| at.clone());
            goals.iter_mut().zip(at).for_each(|(goal, at)| *goal = (*goal).max(at));
        }
        self.since = None;
        match self.groups.pop() {
            None => {
                self.unexplained += 1;
                if self.unexplained >= limits.trial_unexplained_max {
                    let mut suspects: Vec<String> =
                        self.goals.keys().map(|key| key.query.clone()).collect();
                    suspects.dedup();
                    self.split(suspects);
                }
            }
            Some(group) if group.len() == 1 => {
                self.alone += 1;
                self.groups.push(group);
            }
            Some(group) => self.split(group),
        }
    }

    fn split(&mut self, mut group: Vec<String>) {
        self.alone = 0;
        let rest = group.split_off(group.len() / 2);
        self.groups.extend([rest, group].into_iter().filter(|half| !half.is_empty()));
    }

    /// Something else went wrong: what was seen before and after does not belong together.
    fn disturbed(&mut self) {
        self.alone = 0;
    }

    /// A transaction went through. Without work, it shows that the log works: the query that is to
    /// blame, if that is proved now, and why.
    fn committed(&mut self, with_work: bool, limits: &Limits) -> Option<(String, String)> {
        if with_work {
            self.alone = 0;
            if self.groups.is_empty() {
                self.unexplained = 0;
                self.goals.clear();
            }
            return None;
        }
        if self.alone < limits.trial_alone_max {
            return None;
        }
        let query = self.groups.last()?.first()?.clone();
        let goals = self.goals.iter().filter(|(key, _)| key.query == query);
        let goals = goals.map(|(key, at)| (key.clone(), at.clone())).collect();
        self.convicts.insert(query.clone(), goals);
        self.next();
        Some((query, self.reason.clone()))
    }

    /// The group that is being tried has passed.
    fn passed(&mut self) {
        for query in self.groups.last().into_iter().flatten() {
            self.convicts.remove(query);
        }
        self.next();
    }

    fn next(&mut self) {
        self.groups.pop();
        (self.since, self.alone) = (None, 0);
        if self.groups.is_empty() {
            self.unexplained = 0;
            self.goals.clear();
        }
    }

    /// Queries that were stopped and run again are tried alone, after what is tried already.
    fn readmit(&mut self, exists: impl Fn(&str) -> bool, runs: impl Fn(&str) -> bool) {
        self.convicts.retain(|query, _| exists(query));
        for (query, goals) in &self.convicts {
            if runs(query) && !self.groups.iter().flatten().any(|id| id == query) {
                self.goals.extend(goals.clone());
                self.groups.insert(0, vec![query.clone()]);
            }
        }
    }
}

impl Lane {
    /// Called with every failure of the lane, before it forgets its tasks.
    pub(crate) fn suspect(&mut self, error: &EngineError) {
        if !is_unexplained(error) {
            return self.trials.disturbed();
        }
        let reached = self.tasks.values().filter(|task| task.dirty).map(|task| {
            let at = task.inputs.iter().map(|input| input.position);
            (task.key.clone(), at.collect())
        });
        let reached = reached.collect();
        self.trials.failed(reached, &error.to_string(), &self.world.limits);
        if let Some(group) = self.trials.groups.last() {
            tracing::warn!(lane = self.id.0, queries = ?group, "only these run, on trial");
        }
    }

    /// Called after every commit, before it is known what comes next.
    pub(crate) fn judge(&mut self, with_work: bool) {
        let Some((query, reason)) = self.trials.committed(with_work, &self.world.limits) else {
            return;
        };
        let def = self.registry.get(&query);
        let names = def.iter().flat_map(|def| {
            let topics = def.facts.topics.iter();
            topics.filter(|(_, t)| def.written_topic(t.id).is_some()).map(|(name, _)| name.as_str())
        });
        let names: Vec<&str> = names.collect();
        let reason = format!(
            "transactions with this query's rows fail, and those without go through: {reason}. \
             Look at the topics that it writes to ({}); it is tried again later",
            names.join(", ")
        );
        self.eject(&query, &reason);
    }

    /// True when another group is to be tried, or the trial is over. Called with no transaction open.
    pub(crate) fn trial_moves_on(&mut self) -> bool {
        if self.trials.groups.is_empty() {
            return false;
        }
        let now = self.world.clock.elapsed();
        let since = *self.trials.since.get_or_insert(now);
        let timed_out = now.saturating_sub(since) >= self.world.limits.trial_time_max;
        // One that failed alone and is not judged yet has not passed; one that was stopped or dropped
        // meanwhile has no tasks any more.
        let seen = self.tasks.is_empty() || self.trials.alone == 0 && self.reached();
        let over = timed_out || seen;
        if over {
            self.trials.passed();
        }
        over
    }

    /// True when the group that is being tried has taken in what failed.
    pub(crate) fn trial_is_due(&self) -> bool {
        !self.trials.groups.is_empty() && self.reached()
    }

    /// What is committed does not count: positions behind control records are not written alone.
    fn reached(&self) -> bool {
        self.tasks.iter().all(|(key, task)| {
            let goals = self.trials.goals.get(key).into_iter().flatten();
            task.inputs.iter().zip(goals).all(|(input, goal)| input.position >= *goal)
        })
    }

    /// Called when the tasks that should run are looked up.
    pub(crate) fn readmit(&mut self) {
        let registry = &self.registry;
        let runs = |query: &str| {
            registry
                .get(query)
                .is_some_and(|def| !def.status.is_paused() && def.status.failure().is_none())
        };
        self.trials.readmit(|query| registry.get(query).is_some(), runs);
    }
}

/// The log gave a transaction up without saying whose fault it was. One that took too long or was
/// fenced is something else, and so is a log that cannot be reached.
fn is_unexplained(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Unexplained(_)
            | EngineError::Lost(Lost::Fatal(_))
            | EngineError::Send(SendError::Dead(Lost::Fatal(_)))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a lane of queries of which those in `guilty` doom their transactions; the first `outage`
    /// headers do not go through either. The queries that are stopped, and how much failed.
    fn play(queries: &[&str], guilty: &[&str], mut outage: u32) -> (Vec<String>, u32) {
        let (mut trials, limits) = (Trials::default(), Limits::default());
        let (mut stopped, mut failures) = (Vec::new(), 0);
        let mut done: Vec<&str> = Vec::new();
        for _ in 0..100 {
            if outage > 0 {
                outage -= 1;
                failures += 1;
                trials.failed(Goals::new(), "down", &limits);
                continue;
            }
            if let Some((query, _)) = trials.committed(false, &limits) {
                stopped.push(query);
            }
            let runs = |q: &&&str| trials.admits(q) && !stopped.iter().any(|s| s == **q);
            let runs: Vec<&str> = queries.iter().filter(runs).copied().collect();
            if runs.iter().any(|query| guilty.contains(query)) {
                failures += 1;
                let key = |q: &&str| TaskKey { query: (*q).to_owned(), sub: 0, partition: 0 };
                trials.failed(
                    runs.iter().map(|q| (key(q), vec![Offset(1)])).collect(),
                    "refused",
                    &limits,
                );
                continue;
            }
            trials.committed(true, &limits);
            done.extend(&runs);
            match trials.groups.is_empty() {
                true => return (stopped, failures),
                false => trials.passed(),
            }
        }
        panic!("no end: {trials:?}");
    }

    #[test]
    fn the_guilty_are_found() {
        let all = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let cases: [(&[&str], &[&str], u32, u32); 7] = [
            (&all, &[], 0, 0),
            (&all, &[], 9, 9),
            (&all[..1], &["a"], 0, 4),
            (&all[..2], &["b"], 0, 4),
            (&all, &["c"], 0, 6),
            (&all, &["c"], 5, 11),
            (&all, &["a", "h"], 0, 10),
        ];
        for (queries, guilty, outage, failures) in cases {
            let mut found = play(queries, guilty, outage);
            found.0.sort_unstable();
            let want: Vec<String> = guilty.iter().map(|g| (*g).to_owned()).collect();
            assert_eq!(found, (want, failures), "{queries:?} {guilty:?} {outage}");
        }
    }

    #[test]
    fn a_query_is_not_stopped_for_an_outage() {
        let goals = || {
            let key = TaskKey { query: "a".to_owned(), sub: 0, partition: 0 };
            Goals::from([(key, vec![Offset(3)])])
        };
        let (mut trials, limits) = (Trials::default(), Limits::default());
        for _ in 0..10 {
            // With and without its rows: the log is down.
            trials.failed(goals(), "down", &limits);
            trials.failed(Goals::new(), "down", &limits);
        }
        assert_eq!(trials.committed(false, &limits), None);
        assert!(trials.admits("a") && !trials.admits("b"));
        // Between its failures other things went wrong.
        for _ in 0..10 {
            trials.failed(goals(), "down", &limits);
            trials.disturbed();
            assert_eq!(trials.committed(false, &limits), None);
        }
        trials.failed(goals(), "refused", &limits);
        assert_eq!(trials.committed(false, &limits), None);
        trials.failed(goals(), "refused", &limits);
        assert_eq!(trials.committed(false, &limits), Some(("a".to_owned(), "refused".to_owned())));
        // It comes back, alone, and passes.
        assert!(trials.admits("b"));
        trials.readmit(|_| true, |_| true);
        assert!(trials.admits("a") && !trials.admits("b"));
        trials.passed();
        trials.readmit(|_| true, |_| true);
        assert!(trials.admits("a") && trials.admits("b"));
    }
}
