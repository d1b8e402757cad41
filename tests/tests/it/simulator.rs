//! Seeds of the simulator: exactly-once under every fault, for every kind of operator.
//!
//! `SIM_SEEDS=300` sets how many seeds run in all, `SIM_SEED=7 SIM_WORKLOAD=count` replays one.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use millrace_connectors::sim::{Fault, NoFaults, Op, Rates, Scripted, SeededFaults};
use millrace_tests::simulator::{self, Plan, Ran, Watched, Workload};

/// Seeds in all, over all workloads.
const SEEDS_DEFAULT: u64 = 400;
/// From this many seeds on, every kind of fault must have struck.
const SEEDS_FOR_ALL_KINDS: u64 = 200;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seeds() -> u64 {
    number("SIM_SEEDS").unwrap_or(SEEDS_DEFAULT)
}

fn watched(seed: u64, rates: Rates) -> Arc<Watched> {
    Watched::new(Arc::new(SeededFaults::new(seed, rates)))
}

/// Two nodes that take lanes from each other while the log answers slowly: what one of them does
/// late meets what the other does early.
fn contested() -> Rates {
    Rates { slow: 300_000, ..Rates::default() }
}

/// Runs one seed; the failure with the command that replays it.
fn one(workload: &Workload, seed: u64) -> (Ran, BTreeMap<String, u64>, Option<String>) {
    let plan = Plan::drawn(seed, watched(seed, Rates::default()));
    planned(workload, &plan, "seeds_agree_with_the_oracle")
}

fn planned(
    workload: &Workload,
    plan: &Plan,
    test: &str,
) -> (Ran, BTreeMap<String, u64>, Option<String>) {
    let (name, seed) = (workload.name, plan.seed);
    let ran = simulator::run(workload, plan);
    let replay = |why: &String| {
        format!(
            "workload {name}, seed {seed}: {why}\n  SIM_SEED={seed} SIM_WORKLOAD={name} cargo test \
             -p millrace-tests --test it simulator::{test} -- --nocapture",
        )
    };
    let failure = ran.failure.as_ref().map(replay);
    (ran, plan.faults.counts(), failure)
}

/// Runs all seeds that are asked for; how often each fault struck, and how many seeds ran.
fn all_seeds(test: &str, plan: impl Fn(u64) -> Plan) -> (BTreeMap<String, u64>, u64) {
    let only = std::env::var("SIM_WORKLOAD").ok();
    let workloads: Vec<&Workload> = simulator::all()
        .iter()
        .filter(|w| only.as_ref().is_none_or(|only| only == w.name))
        .collect();
    let (from, to) = match number("SIM_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, seeds().div_ceil(workloads.len() as u64)),
    };
    let (mut struck, mut failures) = (BTreeMap::new(), Vec::new());
    for seed in from..to {
        for workload in &workloads {
            let (_, counts, failure) = planned(workload, &plan(seed), test);
            failures.extend(failure);
            for (kind, count) in counts {
                *struck.entry(kind).or_insert(0) += count;
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    (struck, (to - from) * workloads.len() as u64)
}

#[test]
fn seeds_agree_with_the_oracle() {
    let drawn = |seed| Plan::drawn(seed, watched(seed, Rates::default()));
    let (struck, ran) = all_seeds("seeds_agree_with_the_oracle", drawn);
    println!("faults: {struck:#?}");
    if ran >= SEEDS_FOR_ALL_KINDS {
        let missing: Vec<_> = KINDS.iter().filter(|kind| !struck.contains_key(**kind)).collect();
        assert!(missing.is_empty(), "these faults never struck: {missing:?}");
    }
}

#[test]
fn contested_lanes_agree_with_the_oracle() {
    let drawn = |seed| Plan::contested(seed, watched(seed, contested()));
    let (struck, _) = all_seeds("contested_lanes_agree_with_the_oracle", drawn);
    println!("lanes moved: {:?}", struck.get("Lane Moved"));
}

/// Topics that the log refuses without a word cost their own queries only.
#[test]
fn those_who_break_transactions_are_found() {
    let (from, to) = match number("SIM_SEED") {
        Some(seed) => (seed, seed + 1),
        None => (0, seeds() / 4),
    };
    let failures = (from..to).filter_map(|seed| {
        // Every other run without anything else going wrong.
        let rates = if seed % 2 == 0 { Rates::NONE } else { Rates::default() };
        let plan = Plan::drawn(seed, watched(seed, rates));
        let plan = Plan { chaos: seed % 2 == 1, ..plan };
        simulator::run_refused(&plan).map(|why| {
            format!(
                "seed {seed}: {why}\n  SIM_SEED={seed} cargo test -p millrace-tests --test it \
                 simulator::those_who_break_transactions_are_found"
            )
        })
    });
    let failures: Vec<String> = failures.collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn changelogs_of_windows_stay_small() {
    for name in ["tumbling", "hopping", "final"] {
        let workload = simulator::find(name).expect("the workload exists");
        for seed in 0..4 {
            let mut plan = Plan::drawn(seed, watched(seed, Rates::NONE));
            (plan.chaos, plan.records) = (false, 4000);
            plan.limits.upkeep_interval = Duration::from_millis(100);
            let ran = simulator::run_purged(workload, &plan);
            let (kept, written) = ran.unwrap_or_else(|why| panic!("{name} {seed}: {why}"));
            println!("{name} {seed}: {kept} of {written} records");
            assert!(kept * 5 < written, "{name} {seed}: {kept} of {written} records are kept");
        }
    }
}

/// What was aborted, or read twice, is counted once; so is what a query sends to itself.
#[test]
fn counters_count_what_was_committed() {
    for name in ["filter", "count"] {
        let workload = simulator::find(name).expect("the workload exists");
        for seed in 0..seeds() / 16 {
            let rates = Rates { crash: 0, fence: 20_000, time_out: 20_000, ..Rates::default() };
            let mut plan = Plan::drawn(seed, watched(seed, rates));
            plan.chaos = false;
            let ran = simulator::run(workload, &plan);
            assert_eq!(ran.failure, None, "{name} {seed}");
            let rows_out = ran.topics["OUT"].iter().map(Vec::len).sum::<usize>() as u64;
            assert_eq!(ran.counted, (ran.inputs.len() as u64, rows_out), "{name} {seed}");
        }
    }
}

/// Seeds that found something. A lane that had been fenced took the next owner's state for proof
/// that its own positions were lost; a restored join gave up rows that had met a partner.
const FOUND: &[(&str, u64)] = &[
    ("stream-table", 120),
    ("stream-stream", 362),
    ("stream-stream", 561),
    ("stream-stream", 683),
];

#[test]
fn what_was_found_stays_fixed() {
    for (name, seed) in FOUND {
        let workload = simulator::find(name).expect("the workload exists");
        let mut plan = Plan::drawn(*seed, watched(*seed, Rates::default()));
        // As it was then.
        plan.limits.upkeep_interval = std::time::Duration::from_secs(10);
        assert_eq!(planned(workload, &plan, "what_was_found_stays_fixed").2, None);
    }
}

/// Every fault that can strike a lane, but for those that strike seldom: [`POINTS`] has them.
const KINDS: &[&str] = &[
    "Commit CrashAfter",
    "Commit CrashBefore",
    "Commit CrashLate",
    "Commit Fence",
    "Commit ForgetTold",
    "Commit ForgetUntold",
    "Commit Late",
    "Commit Slow",
    "Commit TimeOut",
    "Commit UnknownDone",
    "Commit UnknownNotDone",
    "Ends CrashBefore",
    "Ends Slow",
    "Ends Unreachable",
    "Lane HandedOver",
    "Lane Moved",
    "Node Killed",
    "OpenWriter Slow",
    "OpenWriter UnknownDone",
    "OpenWriter UnknownNotDone",
    "OpenWriter Unreachable",
    "Poll CrashBefore",
    "Poll Few",
    "Poll Slow",
    "Poll Unreachable",
    "Send CrashAfter",
    "Send CrashBefore",
    "Send Fence",
    "Send Full",
    "Send TimeOut",
    "Spill CrashAfter",
    "Spill Fails",
    "WriterPoll CrashAfter",
    "WriterPoll CrashBefore",
    "WriterPoll Fence",
    "WriterPoll Slow",
    "WriterPoll TimeOut",
];

#[test]
fn one_seed_is_one_run() {
    for workload in simulator::all() {
        for seed in 0..2 {
            let (first, second) = (one(workload, seed), one(workload, seed));
            assert_eq!(first.1, second.1, "faults of {} {seed}", workload.name);
            for (name, rows) in &first.0.topics {
                let again = &second.0.topics[name];
                assert_eq!(rows, again, "topic {name} of {} {seed}", workload.name);
            }
        }
    }
}

/// Every point of the commit protocol.
const POINTS: &[(Op, Fault)] = &[
    (Op::Send, Fault::CrashBefore),
    (Op::Send, Fault::CrashAfter),
    (Op::Send, Fault::Full),
    (Op::Send, Fault::Fence),
    (Op::Send, Fault::TimeOut),
    (Op::WriterPoll, Fault::CrashAfter),
    (Op::Commit, Fault::CrashBefore),
    (Op::Commit, Fault::CrashAfter),
    (Op::Commit, Fault::CrashLate),
    (Op::Commit, Fault::Unknown { done: true }),
    (Op::Commit, Fault::Unknown { done: false }),
    (Op::Commit, Fault::Late),
    (Op::Commit, Fault::Fence),
    (Op::Commit, Fault::Forget { which: 0b1010_1010, told: true }),
    (Op::Commit, Fault::Forget { which: 0b0101_0101, told: false }),
    (Op::Commit, Fault::Forget { which: u64::MAX, told: true }),
    (Op::Commit, Fault::TimeOut),
    (Op::Commit, Fault::Slow { before: 3, after: 3 }),
    (Op::OpenWriter, Fault::CrashAfter),
    (Op::OpenWriter, Fault::CrashBefore),
    (Op::Ends, Fault::CrashBefore),
    (Op::Poll, Fault::CrashBefore),
];

#[test]
fn every_point_of_the_commit_protocol_is_survived() {
    let mut failures = Vec::new();
    for workload in simulator::all() {
        for (at, (op, fault)) in POINTS.iter().enumerate() {
            let skip = [0, 2, 3, 5, 9][(at + workload.name.len()) % 5];
            let scripted = Arc::new(Scripted::default());
            scripted.plan(*op, skip, *fault);
            let faults = Watched::new(scripted.clone());
            let plan = Plan { chaos: false, ..Plan::drawn(at as u64, faults) };
            let ran = simulator::run(workload, &plan);
            let what = format!("{} {op:?} {fault:?} after {skip}", workload.name);
            failures.extend(ran.failure.map(|why| format!("{what}: {why}")));
            // Every lane commits at least that often.
            if !scripted.exhausted() && *op == Op::Commit && skip < 3 {
                failures.push(format!("{what}: the fault never struck"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn batches_are_only_an_optimisation() {
    for workload in simulator::all() {
        let run = |poll_records_max: usize| {
            let mut plan = Plan::drawn(11, Watched::new(Arc::new(NoFaults)));
            (plan.coalesce, plan.chaos, plan.lanes, plan.nodes) = (false, false, 1, 1);
            // One upstream task: the order of several in a repartition topic is nobody's promise.
            (plan.pinned, plan.one_partition) = (Some(40), true);
            plan.limits.poll_records_max = poll_records_max;
            plan.limits.commit_interval = std::time::Duration::from_secs(5);
            plan.limits.transaction_records_max = 1_000_000;
            plan.limits.input_buffer_records_max = 1000;
            simulator::run(workload, &plan)
        };
        let one = run(1);
        assert_eq!(one.failure, None, "{}", workload.name);
        for records in [7, 1000] {
            let many = run(records);
            assert_eq!(many.failure, None, "{} {records}", workload.name);
            // When the clock closes something is not pinned to offsets.
            if workload.meets_by_chance() || workload.idles() {
                continue;
            }
            for (name, rows) in one.topics.iter().filter(|(name, _)| !name.contains("progress")) {
                assert_eq!(rows, &many.topics[name], "{} {name} {records}", workload.name);
            }
        }
    }
}

/// Each must be seen by some seed.
const MUTANTS: &[&str] = &[
    "positions-outside",
    "state-before-commit",
    "progress-before-init",
    "end-of-partition",
    "purge-live",
    "drop-forgotten",
];

#[test]
fn mutants_are_caught() {
    if std::env::var_os("MILLRACE_MUTANT").is_some() {
        return;
    }
    let me = std::env::current_exe().expect("this test has a file");
    for mutant in MUTANTS {
        let child = Command::new(&me)
            .arg("agree_with_the_oracle")
            .env("MILLRACE_MUTANT", mutant)
            .env("SIM_SEEDS", "140")
            .output()
            .expect("this test can be run");
        let said = String::from_utf8_lossy(&child.stderr) + String::from_utf8_lossy(&child.stdout);
        let wrong = said.lines().filter(|line| line.starts_with("  want ")).count();
        let seeds = said.lines().filter(|line| line.starts_with("workload ")).count();
        println!("{mutant}: {seeds} seeds failed, {wrong} of them with a wrong answer");
        assert!(!child.status.success(), "no seed saw the mutant {mutant}");
        // A run that only broke off, or never came to rest, proves nothing about what it wrote.
        assert!(wrong > 0, "the mutant {mutant} gave no wrong answer:\n{said}");
    }
}
