//! Exactly once while brokers of a cluster of three die in turn.

use std::sync::atomic::Ordering;
use std::time::Duration;

use millrace_tests::kill9::{Plan, Trial, http};
use millrace_tests::rig::{Kafka, available_mib};
use millrace_tests::skipped::skipped;

const NODES: usize = 3;
/// What three brokers and a server need beside what the other tests have.
const MEMORY_MIN_MIB: u64 = 2_500;
/// From a broker's death to a commit in the last lane: the cluster gives it up after three seconds, a
/// transaction that nobody can end any more after ten.
const STANDSTILL_MAX: Duration = Duration::from_secs(45);
/// A cluster that notices a death sooner than by default (9 s).
const ALERT: &str = "broker.session.timeout.ms=3000\n\
                     broker.heartbeat.interval.ms=500\n\
                     controller.quorum.election.timeout.ms=500\n\
                     controller.quorum.fetch.timeout.ms=1000\n";

#[test]
fn nothing_is_lost_or_doubled_while_brokers_die() {
    if available_mib().is_some_and(|mib| mib < MEMORY_MIN_MIB) {
        return skipped("the deaths of brokers, for there is no memory for three of them");
    }
    let kafka = Kafka::start_with(NODES, ALERT).expect("three brokers");
    if !kafka.is_ours() {
        return skipped("the deaths of brokers, for the cluster is external");
    }
    let plan = Plan { kills: 0, seed: 11, mutant: None, commit_ms: 500 };
    let mut trial = Trial::begin(&kafka.bootstrap, plan).expect("a trial");
    // Readers of streams and tables hold on to brokers, too.
    let pushed = ["events", "counts"].map(|name| {
        let sql = format!("SELECT * FROM {name} EMIT CHANGES;");
        http::push(trial.port(), &sql).expect("a push query")
    });
    let longest = trial.kill_brokers(&kafka).expect("progress through all deaths");
    println!("brokers: stood still for {longest:?} at most");
    let summary = trial.finish_by_reading().expect("all of the output");
    println!("brokers: {} events, {}", summary.events, summary.verdict);
    assert!(summary.verdict.is_right(), "{}; {}", summary.verdict, trial.log());
    assert!(longest < STANDSTILL_MAX, "stood still for {longest:?}; {}", trial.log());
    assert!(
        pushed.iter().all(|bytes| bytes.load(Ordering::Relaxed) > 0),
        "push queries said nothing"
    );
}
