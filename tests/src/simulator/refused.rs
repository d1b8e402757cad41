//! Runs in which the log refuses transactions that touch some topics and never says which: the
//! queries that write there must be found and stopped, the others must not miss or repeat a row, and
//! when the log takes the topics again those that were stopped must come to the same end.

use std::sync::Arc;
use std::time::Duration;

use millrace_connectors::sim::{Refusal, SimCluster, SimLog};
use millrace_engine::log::Log;
use millrace_engine::seams::{Entropy, SeededEntropy};

use super::compare::Expected;
use super::drive::Fleet;
use super::faults::OUTSIDE;
use super::inputs::{self, Input};
use super::oracle;
use super::run::{Plan, TURN, feed, read_all, rest};
use super::setup::{Service, ready};
use super::workloads::{SOURCES, shape};

/// After the topics are taken again: so many pauses, longer in sum than any query waits to be tried
/// again, and turns after each.
const PAUSE: Duration = Duration::from_secs(30);
const PAUSES: usize = 40;
const TURNS_PER_PAUSE: usize = 20;
/// Turns in which everybody is refused.
const OUTAGE_TURNS: usize = 1000;

/// A query of the lane.
struct Neighbour {
    sink: &'static str,
    source: &'static str,
    sql: &'static str,
    oracle: fn(&[Input], bool) -> Expected,
}

static NEIGHBOURS: [Neighbour; 5] = [
    Neighbour {
        sink: "PLAIN",
        source: "s",
        sql: "CREATE STREAM PLAIN AS SELECT K, G, V * 2 AS W FROM S WHERE V > 30 EMIT CHANGES;",
        oracle: oracle::filter,
    },
    Neighbour {
        sink: "COUNTED",
        source: "s",
        sql: "CREATE TABLE COUNTED AS SELECT G, COUNT(*) AS N FROM S GROUP BY G EMIT CHANGES;",
        oracle: oracle::count,
    },
    Neighbour {
        sink: "WINDOWED",
        source: "s",
        sql: "CREATE TABLE WINDOWED AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW TUMBLING \
              (SIZE 10 SECONDS, GRACE PERIOD 3 SECONDS) GROUP BY K EMIT CHANGES;",
        oracle: oracle::tumbling,
    },
    Neighbour {
        sink: "KEPT",
        source: "t",
        sql: "CREATE TABLE KEPT AS SELECT K, V AS W FROM T WHERE V > 50 EMIT CHANGES;",
        oracle: oracle::table_filter,
    },
    Neighbour {
        sink: "FOLLOWED",
        source: "s",
        sql: "CREATE TABLE FOLLOWED AS SELECT G, COUNT(*) AS N FROM PLAIN GROUP BY G EMIT CHANGES;",
        oracle: oracle::chain,
    },
];

/// Ends of the names of topics that are refused, and the sinks of the queries that write there.
const REFUSED: [(&[&str], &[&str]); 8] = [
    (&["PLAIN"], &["PLAIN"]),
    (&["COUNTED"], &["COUNTED"]),
    (&["COUNTED_1-Aggregate-Aggregate-Materialize-changelog"], &["COUNTED"]),
    (&["COUNTED_1-Aggregate-GroupBy-repartition"], &["COUNTED"]),
    (&["WINDOWED"], &["WINDOWED"]),
    (&["KEPT", "FOLLOWED"], &["KEPT", "FOLLOWED"]),
    (&["PLAIN", "WINDOWED", "KEPT"], &["PLAIN", "WINDOWED", "KEPT"]),
    // Everybody's transactions touch it.
    (&["progress"], &[]),
];

/// A run, and what is refused in it.
struct Scene<'a> {
    plan: &'a Plan,
    cluster: Arc<SimCluster>,
    outside: Arc<SimLog>,
    fleet: Fleet,
    inputs: Vec<Input>,
    topics: &'static [&'static str],
    guilty: &'static [&'static str],
    how: Refusal,
}

/// Runs the neighbours as planned; what is not as it should be.
pub fn run_refused(plan: &Plan) -> Option<String> {
    let mut scene = Scene::new(plan);
    let what = format!("{:?} of {:?}", scene.how, scene.topics);
    let refused = scene.while_refused();
    let failure = refused.map(|why| format!("refused: {why}"));
    let failure = failure.or_else(|| scene.taken_again().map(|why| format!("taken again: {why}")));
    failure.map(|why| format!("{what}, {why}"))
}

impl<'a> Scene<'a> {
    fn new(plan: &'a Plan) -> Self {
        let cluster = SimCluster::new(plan.seed, plan.faults.clone());
        let outside = cluster.node(OUTSIDE);
        let queries = NEIGHBOURS.iter().map(|neighbour| neighbour.sql);
        let statements: Vec<&str> = SOURCES.iter().copied().chain(queries).collect();
        let service = Service::new(outside.as_ref(), plan.lanes, plan.coalesce, &statements);
        let random = SeededEntropy::new(plan.seed ^ 0xbad);
        let below = |n: usize| (random.next_u64() % n as u64) as usize;
        let (topics, guilty) = REFUSED[below(REFUSED.len())];
        let how = [Refusal::AtPoll, Refusal::AtCommit, Refusal::Fatal][below(3)];
        let inputs = inputs::make(plan.seed, shape(&["s", "t"], true), plan.records);
        let from = (plan.nodes, plan.seed, plan.moves_per_mille);
        let (faults, limits) = (plan.faults.clone(), plan.limits.clone());
        let fleet = Fleet::new(cluster.clone(), service, faults, limits, from, plan.chaos);
        Scene { plan, cluster, outside, fleet, inputs, topics, guilty, how }
    }

    fn refuse(&self, how: Option<Refusal>) {
        let all = ready(self.outside.list()).expect("the outside can look");
        let is_meant = |name: &str| self.topics.iter().any(|end| name.ends_with(end));
        let meant: Vec<_> = all.iter().filter(|info| is_meant(&info.name)).collect();
        assert_eq!(meant.len(), self.topics.len(), "{:?} of {all:#?}", self.topics);
        meant.iter().for_each(|info| self.cluster.refuse(info.id, how));
    }

    fn while_refused(&mut self) -> Option<String> {
        self.refuse(Some(self.how));
        self.plan.faults.set(true);
        feed(&mut self.fleet, &self.outside, &self.inputs, self.plan.seed, false);
        self.fleet.calm();
        NEIGHBOURS.iter().for_each(|_| self.fleet.command());
        if self.guilty.is_empty() {
            // However often they try: nobody may be stopped for it.
            (0..OUTAGE_TURNS).for_each(|_| self.fleet.turn(TURN));
            return self.stopped_are(&[]);
        }
        let guilty = self.guilty;
        self.rested(guilty).or_else(|| self.stopped_are(guilty))
    }

    fn taken_again(&mut self) -> Option<String> {
        self.refuse(None);
        for _ in 0..PAUSES {
            self.fleet.turn(PAUSE);
            (0..TURNS_PER_PAUSE).for_each(|_| self.fleet.turn(TURN));
        }
        self.rested(&[])
    }

    /// What differs when all has come to rest, but for what `stopped` queries would have done.
    fn rested(&mut self, stopped: &[&str]) -> Option<String> {
        if let Err(why) = rest(&mut self.fleet) {
            return Some(why);
        }
        let topics = read_all(&self.outside);
        NEIGHBOURS.iter().find_map(|neighbour| {
            let stopped = stopped.contains(&neighbour.sink)
                || neighbour.sink == "FOLLOWED" && stopped.contains(&"PLAIN");
            let inputs = self.inputs.iter();
            let inputs = inputs.filter(|input| input.topic == neighbour.source && !stopped);
            let inputs: Vec<Input> = inputs.cloned().collect();
            let want = (neighbour.oracle)(&inputs, self.plan.coalesce);
            let differs = want.differs(topics.get(neighbour.sink).map_or(&[], Vec::as_slice));
            differs.map(|why| format!("{}: {why}", neighbour.sink))
        })
    }

    /// `guilty` queries, and no others, were stopped.
    fn stopped_are(&self, guilty: &[&str]) -> Option<String> {
        let errors = self.fleet.errors();
        let is_of = |query: &str, sink: &str| query.starts_with(&format!("Q_{sink}_"));
        let missed = guilty.iter().find(|sink| !errors.iter().any(|(id, _)| is_of(id, sink)));
        if let Some(sink) = missed {
            return Some(format!("{sink} was not stopped"));
        }
        let wronged = errors.iter().find(|(id, _)| !guilty.iter().any(|sink| is_of(id, sink)));
        wronged.map(|(query, why)| format!("{query} was stopped: {why}"))
    }
}
