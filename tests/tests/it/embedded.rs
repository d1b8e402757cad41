//! The embedded log and the simulator's log against the contract of `Log`.

use std::sync::Arc;
use std::time::Duration;

use millrace_connectors::embedded::{EmbeddedLog, FileDisk, Options};
use millrace_connectors::sim::{Fault, Op, Scripted, SimClock, SimCluster};
use millrace_engine::seams::SeededEntropy;
use millrace_tests::contract::{self, Hooks, Subject};

#[test]
fn embedded_log_keeps_the_contract() {
    let report = contract::run("embedded", "", &|_| embedded());
    assert!(report.passed >= 60, "{}", report.passed);
}

fn embedded() -> Subject {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = Arc::new(FileDisk::open(folder.path()).expect("an empty folder"));
    let clock = Arc::new(SimClock::default());
    let seams = (clock.clone() as _, Arc::new(SeededEntropy::from_os()) as _);
    // Small segments, so that the journal rolls in the middle of things.
    let options = Options { segment_bytes_max: 2000, ..Options::default() };
    let log = Arc::new(EmbeddedLog::open_on(disk, seams, options).expect("an empty log"));
    let (a, b, c) = (log.clone(), log.clone(), log.clone());
    let hooks = Hooks {
        expire: Some(Box::new(move || a.expire().expect("expire"))),
        compact: Some(Box::new(move |tp| {
            b.compact(tp).expect("compact");
            b.reclaim().expect("reclaim");
        })),
        grow: Some(Box::new(move |topic, count| {
            c.set_partitions(topic, count).expect("more partitions");
        })),
        advance: Some(Box::new(move |by| clock.advance(by))),
        lose_commit: None,
        settle: None,
    };
    Subject { log, hooks, keep: Box::new(folder) }
}

#[test]
fn simulated_log_keeps_the_contract() {
    let report = contract::run("simulated", "", &|_| simulated());
    assert_eq!(report.skipped, [""; 0]);
}

fn simulated() -> Subject {
    let faults = Arc::new(Scripted::default());
    let cluster = SimCluster::new(1, faults.clone());
    let (a, b, c, d) = (cluster.clone(), cluster.clone(), cluster.clone(), cluster.clone());
    let hooks = Hooks {
        settle: None,
        expire: Some(Box::new(move || a.expire().expect("expire"))),
        compact: Some(Box::new(move |tp| b.compact(tp).expect("compact"))),
        grow: Some(Box::new(move |topic, count| {
            c.set_partitions(topic, count).expect("more partitions");
        })),
        advance: Some(Box::new(move |by: Duration| d.advance(by))),
        lose_commit: Some(Box::new(move |done| {
            faults.plan(Op::Commit, 0, Fault::Unknown { done });
        })),
    };
    Subject { log: cluster.node("n1"), hooks, keep: Box::new(()) }
}
