//! Exactly once on a real Kafka, through `kill -9`; and proof that these tests would see a fault.

use std::time::Duration;

use millrace_tests::kill9::{Plan, Summary, Trial};
use millrace_tests::rig::Kafka;

/// Overrides the number of kills.
const KILLS_VARIABLE: &str = "MILLRACE_KILLS";
/// The seed of a run to repeat.
const SEED_VARIABLE: &str = "MILLRACE_SEED";
/// Set to 1: the last restore waits until the topics are old.
const LONG_VARIABLE: &str = "MILLRACE_LONG";
const KILLS: usize = 25;
const OPEN_PERCENT_MIN: usize = 60;
/// A broker looks for old segments for the first time after five minutes.
const OLD_TOPIC: Duration = Duration::from_secs(6 * 60);
/// How long input arrives again after the last restore.
const FEED: Duration = Duration::from_secs(3);
/// Deletes what is older than a week (all of it: the records are of 2013) within seconds from
/// topics that do not say otherwise, so that state which relies on the default is lost.
const FORGETFUL: &str = "log.retention.ms=604800000\n\
                         log.retention.check.interval.ms=2000\n\
                         log.initial.task.delay.ms=2000\n";

#[test]
fn nothing_is_lost_or_doubled_by_kills() {
    let plan = Plan { kills: kills(), seed: seed(), mutant: None, commit_ms: 1000 };
    println!("kill9 seed={}", plan.seed);
    let kafka = Kafka::start_with(1, FORGETFUL).expect("a Kafka");
    let mut trial = Trial::begin(&kafka.bootstrap, plan.clone()).expect("a trial");
    let mut summary = trial.kill().expect("progress between the kills");
    trial.finish(&mut summary).expect("all of the output");
    report(&summary, plan.seed);
    assert!(summary.verdict.is_right(), "seed {}: {}; {}", plan.seed, summary.verdict, trial.log());
    let open_min = (summary.kills * OPEN_PERCENT_MIN).div_ceil(100);
    assert!(summary.open >= open_min, "{} of {} kills hit open work", summary.open, summary.kills);
    await_old_topics(&trial);
    let verdict = trial.restore(FEED).expect("a restored server");
    println!("kill9 restored {verdict}");
    assert!(verdict.is_right(), "seed {}: {verdict}; {}", plan.seed, trial.log());
}

/// A lone broker that dies with a transaction open and comes back after its time-out forgets the
/// markers that abort it (seen with 4.3.1): its rows would show with the next commit of the same
/// producer, or hold readers up for ever.
#[test]
fn a_transaction_that_a_dead_broker_forgot_stays_invisible() {
    const ROUNDS: usize = 3;
    const DOWN: Duration = Duration::from_secs(13);
    let plan = Plan { kills: 0, seed: seed(), mutant: None, commit_ms: 1000 };
    println!("kill9 hanging seed={}", plan.seed);
    let kafka = Kafka::start(1).expect("a Kafka");
    if !kafka.is_ours() {
        return println!("an external cluster is not killed: not tested");
    }
    let mut trial = Trial::begin(&kafka.bootstrap, plan.clone()).expect("a trial");
    let mut open = 0;
    for round in 0..ROUNDS {
        open += usize::from(trial.crash_with_broker(&kafka, DOWN).expect("progress after a crash"));
        let verdict = trial.certain();
        assert!(verdict.is_right(), "round {round}: {verdict}; {}", trial.log());
    }
    let mut summary = Summary::default();
    trial.finish(&mut summary).expect("all of the output");
    println!("kill9 hanging: {open} of {ROUNDS} open, {}", summary.verdict);
    assert!(summary.verdict.is_right(), "{}; {}", summary.verdict, trial.log());
    assert!(open > 0, "no transaction was open");
}

#[test]
fn positions_outside_of_the_transaction_are_noticed() {
    check_mutant("positions-outside", 1000);
}

#[test]
fn state_on_disk_before_the_commit_is_noticed() {
    check_mutant("state-before-commit", 1000);
}

fn check_mutant(mutant: &'static str, commit_ms: u32) {
    let plan = Plan { kills: KILLS, seed: seed(), mutant: Some(mutant), commit_ms };
    println!("kill9 {mutant} seed={}", plan.seed);
    let kafka = Kafka::start_with(1, FORGETFUL).expect("a Kafka");
    let mut trial = Trial::begin(&kafka.bootstrap, plan.clone()).expect("a trial");
    let mut summary = trial.kill().expect("progress between the kills");
    if summary.verdict.is_right() {
        trial.finish(&mut summary).expect("all of the output");
    }
    report(&summary, plan.seed);
    println!("kill9 {mutant}: {}", summary.verdict);
    assert!(!summary.verdict.is_right(), "{mutant} was not noticed in {} kills", summary.kills);
}

fn report(summary: &Summary, seed: u64) {
    let Summary { kills, open, verdict, events, aborted } = summary;
    let (lost, doubled, wrong) = (verdict.lost, verdict.doubled, verdict.wrong);
    println!(
        "kills={kills} open={open} lost={lost} doubled={doubled} wrong={wrong} events={events} \
         aborted={aborted} seed={seed}"
    );
}

fn await_old_topics(trial: &Trial) {
    let missing = OLD_TOPIC.saturating_sub(trial.age());
    if missing.is_zero() {
        return;
    }
    match std::env::var(LONG_VARIABLE).as_deref() {
        Ok("1") => std::thread::sleep(missing),
        _ => println!(
            "kill9: not waited until the topics are {} s old ({LONG_VARIABLE}=1 does); the broker \
             of this test deletes by time every 2 s instead",
            OLD_TOPIC.as_secs()
        ),
    }
}

fn kills() -> usize {
    let given = std::env::var(KILLS_VARIABLE).ok();
    given.map_or(KILLS, |kills| kills.parse().expect("MILLRACE_KILLS is a number"))
}

fn seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(given) => given.parse().expect("MILLRACE_SEED is a number"),
        Err(_) => fresh_seed(),
    }
}

/// Seconds and parts of them: another seed each time.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}
