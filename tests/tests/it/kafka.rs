//! The Kafka log against the contract of `Log`, and what only a real broker can show.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_engine::ids::{LaneId, Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{
    AppendIf, Ends, Log, Lost, Members, Outcome, PollLimits, ReadClass, Record, RecordRef,
    SendError, SlotEvent, TxnState, Writer,
};
use millrace_tests::contract::{self, Ctx, Hooks, Subject};
use millrace_tests::rig::{self, Kafka, Lossy};
use millrace_tests::skipped::skipped;

#[test]
fn kafka_keeps_the_contract() {
    let filter = std::env::var("CASE").unwrap_or_default();
    let report = contract::run("Kafka", &filter, &|_| subject());
    assert!(!filter.is_empty() || report.passed >= 50, "{}", report.passed);
}

fn config() -> KafkaConfig {
    let mut config = KafkaConfig::new(&Kafka::shared().bootstrap);
    config.watch_interval_ms = 300;
    config
}

fn connect() -> Arc<KafkaLog> {
    KafkaLog::connect(config()).expect("a client")
}

fn subject() -> Subject {
    let log = connect();
    let (grown, settled) = (log.clone(), log.clone());
    let hooks = Hooks {
        settle: Some(Box::new(move |ends| settle(&*settled, ends))),
        grow: Some(Box::new(move |topic, partitions| grow(&*grown, topic, partitions))),
        ..Hooks::default()
    };
    Subject { log, hooks, keep: Box::new(()) }
}

/// Waits for markers: until nothing is open. Another writer's open transaction looks the same, so
/// not for long; where an abort's markers go is not told.
fn settle(log: &dyn Log, ends: &[(Tp, Offset)]) {
    let tps: Vec<Tp> = ends.iter().map(|(tp, _)| *tp).collect();
    if tps.is_empty() {
        return std::thread::sleep(Duration::from_millis(100));
    }
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        let is_decided =
            |(found, (_, end)): (&Ends, &(Tp, Offset))| found.lso == found.hw && found.hw > *end;
        if let std::task::Poll::Ready(Ok(found)) = log.ends(&tps)
            && found.iter().zip(ends).all(is_decided)
        {
            return;
        }
        log.park(Duration::from_millis(2));
    }
}

fn grow(log: &dyn Log, topic: TopicId, partitions: u32) {
    let all = loop {
        if let std::task::Poll::Ready(all) = log.list() {
            break all.expect("list");
        }
        log.park(Duration::from_millis(5));
    };
    let name = all.into_iter().find(|t| t.id == topic).expect("the topic").name;
    rig::grow(&Kafka::shared().bootstrap, &name, partitions);
}

fn ctx(name: &str) -> Ctx {
    Ctx::new(subject(), name)
}

/// F2, T4: the answer to a commit is lost after the broker has done it, and the request is lost
/// before: in both cases the outcome is unknown, and recovery finds the truth.
#[test]
fn kafka_settles_unknown_outcomes() {
    const LOSS: Duration = Duration::from_secs(4);
    let (kafka, proxy) = Kafka::start_behind_proxy().expect("a broker");
    let proxy = Arc::new(proxy);
    let open = |_: &str| {
        let mut config = KafkaConfig::new(&kafka.bootstrap);
        config.ending_timeout_ms = 2_000;
        let log = KafkaLog::connect(config).expect("a client");
        let proxy = proxy.clone();
        let lose_commit = move |done: bool| {
            // Let the records arrive: only the end of the transaction is to be lost.
            std::thread::sleep(Duration::from_millis(500));
            proxy.lose(if done { Lossy::Answers } else { Lossy::Requests });
            let proxy = proxy.clone();
            std::thread::spawn(move || {
                std::thread::sleep(LOSS);
                proxy.lose(Lossy::Nothing);
            });
        };
        let settled = log.clone();
        let hooks = Hooks {
            settle: Some(Box::new(move |ends| settle(&*settled, ends))),
            lose_commit: Some(Box::new(lose_commit)),
            ..Hooks::default()
        };
        Subject { log, hooks, keep: Box::new(()) }
    };
    let report = contract::run("Kafka with losses", "unknown_", &open);
    assert_eq!(report.passed, 2);
}

const ALL: PollLimits = PollLimits { records_max: 100_000, bytes_max: 64 * 1024 * 1024 };

fn send(writer: &mut dyn Writer, tp: Tp, value: &[u8]) -> Result<(), SendError> {
    let record =
        RecordRef { timestamp: Timestamp(1), key: Some(b"k"), value: Some(value), headers: &[] };
    loop {
        match writer.send(tp, &record) {
            Err(SendError::Full) => drop(writer.poll()),
            done => return done,
        }
    }
}

/// R22: the price of a commit by touched partitions. Printed, and bounded only roughly.
#[test]
fn commit_latency() {
    let ctx = ctx("commit_latency");
    for partitions in [1, 16, 64] {
        let topic = ctx.topic(&format!("t{partitions}"), partitions);
        let mut writer = ctx.writer(&format!("w{partitions}"));
        let mut times = Vec::new();
        for _ in 0..50 {
            for p in 0..partitions {
                send(&mut *writer, Tp::new(topic, p), b"value").expect("send");
            }
            let start = Instant::now();
            let mut ending = writer.commit();
            let mut slowest = Duration::ZERO;
            let outcome = loop {
                let asked = Instant::now();
                let polled = ending.poll();
                slowest = slowest.max(asked.elapsed());
                match polled {
                    std::task::Poll::Ready(outcome) => break outcome,
                    std::task::Poll::Pending => ctx.log().park(Duration::from_millis(5)),
                }
            };
            assert!(slowest < Duration::from_millis(250), "a poll took {slowest:?}");
            let Outcome::Committed { writer: next, .. } = outcome else { panic!("not committed") };
            times.push(start.elapsed());
            writer = next;
        }
        times.sort();
        let (min, p50, p99) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        println!("commit, {partitions} partitions: min {min:?}, median {p50:?}, max {p99:?}");
        assert!(p50 < Duration::from_secs(2));
    }
}

/// Records a second that one reader gets, and the CPU time it takes. Printed.
#[test]
fn consume_throughput() {
    const COUNT: u32 = 200_000;
    let ctx = ctx("consume_throughput");
    let topic = ctx.topic("t", 4);
    let mut writer = ctx.writer("w");
    let value = [b'x'; 250];
    let before = (Instant::now(), cpu_time());
    for i in 0..COUNT {
        send(&mut *writer, Tp::new(topic, i % 4), &value).expect("send");
        if i % 1000 == 0 {
            writer.poll();
        }
    }
    let writer = ctx.commit(writer);
    report("produce", COUNT, before);
    let before = (Instant::now(), cpu_time());
    let mut cursor = ctx.log().cursor(ReadClass::Restore);
    cursor.assign(&(0..4).map(|p| (Tp::new(topic, p), Offset(0))).collect::<Vec<_>>());
    let (mut count, mut out) = (0, Vec::new());
    while count < COUNT as usize {
        out.clear();
        let limits = PollLimits { records_max: 8192, bytes_max: 8 * 1024 * 1024 };
        cursor.poll(&limits, &mut out).expect("poll");
        let got: usize = out.iter().map(|b| b.records.len()).sum();
        count += got;
        if got == 0 {
            ctx.log().park(Duration::from_millis(20));
        }
    }
    report("consume", COUNT, before);
    drop(writer);
}

fn report(what: &str, count: u32, (start, cpu): (Instant, Duration)) {
    let (wall, cpu) = (start.elapsed(), cpu_time() - cpu);
    let per = |d: Duration| d.as_secs_f64() * 1e6 / f64::from(count);
    let rate = f64::from(count) / wall.as_secs_f64();
    println!("{what}: {rate:.0} records/s, {:.2} us wall, {:.2} us CPU each", per(wall), per(cpu));
}

/// User and system time of this process: fields 14 and 15 of its stat line, in 10 ms ticks.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after.split(' ').skip(11).take(2).filter_map(|t| t.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// What a hundred idle cursors of one worker would cost is what one costs: they share a consumer.
#[test]
fn idle_costs_little() {
    let ctx = ctx("idle");
    let topic = ctx.topic("t", 16);
    let tps: Vec<_> = (0..16).map(|p| Tp::new(topic, p)).collect();
    let at: Vec<_> = tps.iter().map(|tp| (*tp, 0)).collect();
    let mut cursor = ctx.cursor(&at);
    let mut writer = ctx.writer("w");
    ctx.read_on(&mut *cursor, &tps, &ALL);
    let (start, mut rounds, cpu) = (Instant::now(), 0, cpu_time());
    while start.elapsed() < Duration::from_secs(3) {
        cursor.poll(&ALL, &mut Vec::new()).expect("poll");
        writer.poll();
        ctx.log().park(Duration::from_millis(50));
        rounds += 1;
    }
    let per_second = (cpu_time() - cpu).as_secs_f64() * 1e3 / start.elapsed().as_secs_f64();
    println!("idle: {per_second:.1} ms CPU a second with other tests, {rounds} rounds in 3 s");
    assert!(rounds < 300, "parking does not park: {rounds}");
}

/// Several nodes append at the same expected end: exactly one wins each round.
#[test]
fn append_if_races() {
    let ctx = ctx("append_if_races");
    let tp = ctx.tp("t");
    let id = ctx.name("command");
    let mut end = Offset(0);
    for round in 0..3 {
        let race = |node: usize| {
            let (log, id) = (connect(), id.clone());
            move || {
                let value = format!("{round}-{node}");
                let record = Record::new(Timestamp(1), None, Some(value.as_bytes()));
                loop {
                    if let std::task::Poll::Ready(answer) = log.append_if(&id, tp, end, &record) {
                        return (value, answer);
                    }
                    log.park(Duration::from_millis(5));
                }
            }
        };
        let threads: Vec<_> = (0..3).map(|node| std::thread::spawn(race(node))).collect();
        let answers: Vec<_> = threads.into_iter().map(|t| t.join().expect("a thread")).collect();
        let values = ctx.values(tp);
        let written: Vec<_> =
            answers.iter().filter(|(value, _)| values.contains(value)).map(|(v, _)| v).collect();
        println!("round {round}: {answers:?}");
        assert!(written.len() <= 1, "two won: {written:?}");
        for (value, answer) in &answers {
            match answer {
                AppendIf::Done(_) => assert!(values.contains(value), "{value} is lost"),
                AppendIf::Moved(_) | AppendIf::Failed(_) => {
                    assert!(!values.contains(value), "{value} was written")
                }
                AppendIf::Unknown(_) => {}
            }
        }
        end = ctx.ends(tp).hw;
    }
}

/// R13: when a topic is deleted by somebody else in the middle of things, the lane must learn
/// which query to blame, and another writer of the id goes on.
#[test]
fn deleted_topic_is_the_culprit() {
    let ctx = ctx("culprit");
    let (gone, stays) = (ctx.topic("gone", 1), ctx.tp("stays"));
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, Tp::new(gone, 0), &["a"]);
    let mut writer = ctx.commit(writer);
    let elsewhere = connect();
    while elsewhere.delete(gone).is_pending() {
        elsewhere.park(Duration::from_millis(5));
    }
    let start = Instant::now();
    let mut said = None;
    ctx.until("the transaction fails", || {
        for tp in [stays, Tp::new(gone, 0)] {
            let value = Some(&b"b"[..]);
            let record = RecordRef { timestamp: Timestamp(1), key: None, value, headers: &[] };
            let _ = writer.send(tp, &record);
        }
        said = Some(writer.poll());
        !matches!(said, Some(TxnState::Open { .. } | TxnState::Idle))
    });
    println!("deleted topic: {said:?} after {:?}", start.elapsed());
    let Some(TxnState::MustAbort { culprits, .. }) = said else { panic!("not told: {said:?}") };
    assert_eq!(culprits, [gone]);
    let outcome = match ctx.end(writer.abort()) {
        Outcome::Aborted { culprits, .. } => format!("aborted, {culprits:?}"),
        Outcome::Committed { .. } => panic!("committed"),
        Outcome::Lost(lost) => format!("{lost:?}"),
    };
    println!("deleted topic: {outcome} after {:?}", start.elapsed());
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, stays, &["c"]);
    ctx.commit(writer);
    ctx.check_values(stays, &["c"]);
}

/// F3: a transaction that outlives its time-out ends like a fence, and the next writer works.
#[test]
fn transaction_timeout_is_a_fence() {
    let mut config = config();
    config.transaction_timeout_ms = 1_000;
    let log = KafkaLog::connect(config).expect("a client");
    let subject = Subject { log, hooks: Hooks::default(), keep: Box::new(()) };
    let ctx = Ctx::new(subject, "timeout");
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["late"]);
    ctx.acked(&mut *writer);
    ctx.until("the broker aborts it", || ctx.ends(tp).hw > Offset(1));
    match ctx.end(writer.commit()) {
        Outcome::Lost(Lost::Fenced(_)) => {}
        Outcome::Lost(lost) => panic!("expected Fenced, got {lost:?}"),
        _ => panic!("it was too late"),
    }
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["next"]);
    ctx.commit(writer);
    ctx.check_values(tp, &["next"]);
}

/// R8: slots are shared out, taken over, and given back when a node leaves.
#[test]
fn members_share_slots() {
    const SLOTS: u32 = 8;
    let ctx = ctx("members");
    let topic = ctx.name("progress");
    ctx.topic("progress", SLOTS);
    let mut config = config();
    config.session_timeout_ms = 6_000;
    let join = |node: &str| {
        let log = KafkaLog::connect(config.clone()).expect("a client");
        let members = log.join(&ctx.name("group"), &topic, node, SLOTS);
        Node { _log: log, members, held: Default::default() }
    };
    let start = Instant::now();
    let mut a = join("a");
    ctx.until("a has all", || a.poll() == SLOTS as usize);
    println!("members: all slots after {:?}", start.elapsed());
    ctx.until("a heartbeat", || a.members.owns(LaneId(0)).is_some());
    let start = Instant::now();
    let mut b = join("b");
    ctx.until("half each", || a.poll() == 4 && b.poll() == 4);
    println!("members: shared after {:?}", start.elapsed());
    for _ in 0..100 {
        let held = |n: &Node| n.held.clone();
        assert!(held(&a).is_disjoint(&held(&b)));
        a.poll();
        b.poll();
        ctx.log().park(Duration::from_millis(20));
    }
    let age = a.members.owns(*a.held.first().expect("a slot")).expect("held");
    assert!(age < Duration::from_secs(4), "heartbeats are seen: {age:?}");
    assert_eq!(a.members.owns(*b.held.first().expect("a slot")), None);
    // Killed and back under its own name: it gets its slots at once, nothing moves.
    let mine = b.held.clone();
    drop(b);
    let start = Instant::now();
    let mut b = join("b");
    ctx.until("b is back", || {
        a.poll();
        b.poll() == 4
    });
    println!("members: back after {:?}", start.elapsed());
    assert_eq!(b.held, mine);
    // Killed for good: the other one takes over after the session time-out.
    drop(b);
    let start = Instant::now();
    ctx.until("a takes over", || a.poll() == SLOTS as usize);
    println!("members: taken over after {:?} (session time-out 6 s)", start.elapsed());
    let mut c = join("c");
    ctx.until("half each", || a.poll() == 4 && c.poll() == 4);
    let start = Instant::now();
    a.members.leave();
    ctx.until("c has all", || c.poll() == SLOTS as usize);
    println!("members: taken over after a leave in {:?}", start.elapsed());
}

struct Node {
    members: Box<dyn Members>,
    held: std::collections::BTreeSet<LaneId>,
    _log: Arc<KafkaLog>,
}

impl Node {
    fn poll(&mut self) -> usize {
        for event in self.members.poll() {
            match event {
                SlotEvent::Assigned(slot) => drop(self.held.insert(slot)),
                SlotEvent::Revoked(slot) => drop(self.held.remove(&slot)),
                SlotEvent::Lost => self.held.clear(),
            }
        }
        self.held.len()
    }
}

/// Positions for people end up in a group without members.
#[test]
fn lag_is_published() {
    let ctx = ctx("lag");
    let (topic, group) = (ctx.topic("t", 2), ctx.name("group"));
    let at = [(Tp::new(topic, 0), Offset(3)), (Tp::new(topic, 1), Offset(5))];
    let consumer: rdkafka::consumer::BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &Kafka::shared().bootstrap)
        .set("group.id", &group)
        .create()
        .expect("a consumer");
    let name = ctx.name("t");
    let mut tpl = rdkafka::TopicPartitionList::new();
    for partition in 0..2 {
        tpl.add_partition(&name, partition);
    }
    // Best effort, as a lane tells: a new cluster has nobody to tell yet. A service's own group is there
    // before its lanes.
    ctx.until("the offsets", || {
        use rdkafka::consumer::Consumer;
        ctx.log().publish_lag(&group, &at);
        let got = consumer.committed_offsets(tpl.clone(), Duration::from_secs(10));
        let Ok(got) = got.map(|got| got.to_topic_map()) else { return false };
        let offset = |p| got.get(&(name.clone(), p)).and_then(|o| o.to_raw());
        (offset(0), offset(1)) == (Some(3), Some(5))
    });
}

/// A broker that is killed and comes back: nothing is lost, nothing comes twice.
#[test]
fn broker_restart() {
    let Ok(kafka) = Kafka::start(1) else { panic!("no Kafka") };
    if !kafka.is_ours() {
        skipped("the restart of a broker, for the cluster is external");
        return;
    }
    let mut config = KafkaConfig::new(&kafka.bootstrap);
    config.transaction_timeout_ms = 60_000;
    let log = KafkaLog::connect(config).expect("a client");
    let settled = log.clone();
    let hooks =
        Hooks { settle: Some(Box::new(move |ends| settle(&*settled, ends))), ..Hooks::default() };
    let ctx = Ctx::new(Subject { log, hooks, keep: Box::new(()) }, "restart");
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["a"]);
    let mut writer = ctx.commit(writer);
    let mut cursor = ctx.cursor(&[(tp, 0)]);
    let mut read = ctx.read_on(&mut *cursor, &[tp], &ALL);
    ctx.send(&mut *writer, tp, &["b"]);
    ctx.acked(&mut *writer);
    kafka.kill9(0);
    let mut ending = writer.commit();
    std::thread::sleep(Duration::from_millis(500));
    assert!(ending.poll().is_pending(), "nobody can have answered");
    kafka.revive(0).expect("revive");
    let start = Instant::now();
    let outcome = loop {
        if let std::task::Poll::Ready(outcome) = ending.poll() {
            break outcome;
        }
        assert!(start.elapsed() < Duration::from_secs(90));
        ctx.log().park(Duration::from_millis(5));
    };
    let said = match &outcome {
        Outcome::Committed { .. } => "committed".to_owned(),
        Outcome::Aborted { .. } => "aborted".to_owned(),
        Outcome::Lost(lost) => format!("{lost:?}"),
    };
    println!("broker restart: {said} after {:?}", start.elapsed());
    assert!(matches!(outcome, Outcome::Lost(_)), "a broken connection poisons the writer");
    let mut writer = ctx.writer("w");
    let values = ctx.values(tp);
    assert!(values == ["a"] || values == ["a", "b"], "{values:?}");
    ctx.send(&mut *writer, tp, &["c"]);
    ctx.commit(writer);
    read.extend(ctx.read_on(&mut *cursor, &[tp], &ALL));
    let count: usize = read.iter().map(|b| b.records.len()).sum();
    assert_eq!(count, values.len() + 1, "the cursor goes on where it was");
}
