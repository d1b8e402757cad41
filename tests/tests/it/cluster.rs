//! Two servers of one service on a real Kafka: they share the lanes, and one takes over from the
//! other, exactly once.

use std::time::Duration;

use millrace_tests::kill9::http;
use millrace_tests::kill9::pair::Pair;
use millrace_tests::kill9::{Plan, Trial};
use millrace_tests::rig::Kafka;

/// From the death of a server to the first commit of another one in the last of its lanes. The
/// session time-out is 10 s of it.
const TAKE_OVER_TIME_MAX: Duration = Duration::from_secs(15);

fn pair(kafka: &Kafka, seed: u64) -> Pair {
    let plan = Plan { kills: 0, seed, mutant: None, commit_ms: 500 };
    let trial = Trial::begin(&kafka.bootstrap, plan).expect("a server");
    Pair::begin(trial).expect("a second server")
}

#[test]
fn a_server_takes_over_from_one_that_died() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let mut pair = pair(&kafka, 7);
    let shared = pair.await_shared().expect("shared lanes");
    println!("cluster: lanes shared after {shared:?}");
    let (first, second) = pair.ports();
    let made = "CREATE TABLE extra AS SELECT k, COUNT(*) AS n FROM events GROUP BY k;";
    http::ksql(second, made).expect("a statement to the second server");
    pair.await_answer(first, "SHOW QUERIES;", "CTAS_EXTRA", true).expect("the first knows it");
    let took = pair.kill_first().expect("a take-over");
    println!("cluster: taken over after {took:?}");
    assert!(took < TAKE_OVER_TIME_MAX, "taken over after {took:?}");
    pair.restart_first().expect("the first again");
    let shared = pair.await_shared().expect("lanes move back");
    println!("cluster: the first has its lanes back after {shared:?}");
    // Either server drops what the other one made; topics go when all lanes have passed it.
    let all_topics = "SHOW ALL TOPICS;";
    pair.await_answer(first, all_topics, "CTAS_EXTRA", true).expect("a changelog");
    http::ksql(first, "DROP TABLE extra DELETE TOPIC;").expect("a statement to the first server");
    pair.await_answer(second, "SHOW QUERIES;", "CTAS_EXTRA", false).expect("no query");
    pair.await_answer(second, all_topics, "CTAS_EXTRA", false).expect("no changelog");
    pair.await_answer(second, all_topics, "\"EXTRA\"", false).expect("no sink");
    let summary = pair.finish().expect("all of the output");
    println!("cluster: {} events, {}", summary.events, summary.verdict);
    assert!(summary.verdict.is_right(), "{}; {}", summary.verdict, pair.log());
}

/// A machine that slept while others took its lanes: what it still does is fenced.
#[test]
fn a_server_that_slept_gives_its_lanes_up() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let mut pair = pair(&kafka, 8);
    pair.await_shared().expect("shared lanes");
    pair.pause_first(true);
    let took = pair.await_second_alone().expect("a take-over");
    println!("cluster: taken over from a sleeper after {took:?}");
    pair.pause_first(false);
    pair.await_shared().expect("the sleeper joins again");
    let summary = pair.finish().expect("all of the output");
    println!("cluster: {} events, {}", summary.events, summary.verdict);
    assert!(summary.verdict.is_right(), "{}; {}", summary.verdict, pair.log());
}
