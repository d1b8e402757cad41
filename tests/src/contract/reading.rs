//! Cursors: positions, limits, many at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{PollLimits, RawBatch, ReadClass, ReadError};

use super::ctx::{ALL, Ctx, records, values};
use super::{Case, Need, case};

pub const CASES: &[Case] = &[
    case("position_passes_control_records", Need::Nothing, position_passes_control_records),
    case("position_stops_at_the_lso", Need::Nothing, position_stops_at_the_lso),
    case("two_cursors_on_one_partition", Need::Nothing, two_cursors_on_one_partition),
    case("starts_in_the_middle", Need::Nothing, starts_in_the_middle),
    case("pause_and_resume", Need::Nothing, pause_and_resume),
    case("poll_limits", Need::Nothing, poll_limits),
    case("batches_continue", Need::Nothing, batches_continue),
    case("idle_poll_is_empty", Need::Nothing, idle_poll_is_empty),
    case("assign_replaces", Need::Nothing, assign_replaces),
    case("unassigned_has_no_position", Need::Nothing, unassigned_has_no_position),
    case("beyond_the_end_waits", Need::Nothing, beyond_the_end_waits),
    case("purged_is_out_of_range", Need::Nothing, purged_is_out_of_range),
    case("gone_topic_is_reported", Need::Nothing, gone_topic_is_reported),
    case("one_bad_partition_hides_no_records", Need::Nothing, one_bad_partition),
    case("every_class_reads", Need::Nothing, every_class_reads),
    case("no_partition_starves", Need::Nothing, no_partition_starves),
    case("a_parked_thread_is_woken", Need::Nothing, a_parked_thread_is_woken),
];

fn texts(batches: &[RawBatch]) -> Vec<String> {
    values(&records(batches))
}

fn position_passes_control_records(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["a"]);
    writer = ctx.commit(writer);
    let mut cursor = ctx.cursor(&[(tp, 0)]);
    let batches = ctx.read_on(&mut *cursor, &[tp], &ALL);
    assert_eq!(texts(&batches), ["a"]);
    let position = cursor.position(tp).expect("assigned");
    assert_eq!(position.next, ctx.ends(tp).hw);
    assert!(position.lso.is_some());
    // Only aborted records and control records: the position moves, nothing is handed out.
    ctx.send(&mut *writer, tp, &["no"]);
    ctx.acked(&mut *writer);
    ctx.abort(writer);
    assert!(ctx.ends(tp).hw > position.next);
    let batches = ctx.read_on(&mut *cursor, &[tp], &ALL);
    assert_eq!(texts(&batches), [""; 0]);
    assert_eq!(cursor.position(tp).expect("assigned").next, ctx.ends(tp).hw);
}

fn position_stops_at_the_lso(ctx: &Ctx) {
    let tp = ctx.tp("t");
    ctx.append(tp, &["a", "b"]);
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["open"]);
    ctx.acked(&mut *writer);
    ctx.append(tp, &["c"]);
    let mut cursor = ctx.cursor(&[(tp, 0)]);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[tp], &ALL)), ["a", "b"]);
    let mut out = Vec::new();
    // A log may tell an upper bound first, but it tells the LSO in the end.
    ctx.until("the LSO is told", || {
        cursor.poll(&ALL, &mut out).expect("poll");
        let position = cursor.position(tp).expect("assigned");
        assert_eq!(position.next, Offset(2));
        position.lso == Some(Offset(2))
    });
    assert!(out.is_empty());
    ctx.commit(writer);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[tp], &ALL)), ["open", "c"]);
}

fn two_cursors_on_one_partition(ctx: &Ctx) {
    let tp = ctx.tp("t");
    ctx.append(tp, &["a", "b", "c", "d"]);
    let (mut one, mut two) = (ctx.cursor(&[(tp, 0)]), ctx.cursor(&[(tp, 2)]));
    assert_eq!(texts(&ctx.read_on(&mut *two, &[tp], &ALL)), ["c", "d"]);
    ctx.append(tp, &["e"]);
    assert_eq!(texts(&ctx.read_on(&mut *one, &[tp], &ALL)), ["a", "b", "c", "d", "e"]);
    assert_eq!(texts(&ctx.read_on(&mut *two, &[tp], &ALL)), ["e"]);
}

fn starts_in_the_middle(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["a", "b", "c"]);
    writer = ctx.commit(writer);
    ctx.send(&mut *writer, tp, &["d", "e"]);
    ctx.commit(writer);
    for (from, expected) in [(1, "bcde"), (2, "cde"), (3, "de"), (4, "de"), (5, "e"), (6, "")] {
        let mut cursor = ctx.cursor(&[(tp, from)]);
        let read = texts(&ctx.read_on(&mut *cursor, &[tp], &ALL)).concat();
        assert_eq!(read, expected, "from {from}");
    }
}

fn pause_and_resume(ctx: &Ctx) {
    let topic = ctx.topic("t", 2);
    let (a, b) = (Tp::new(topic, 0), Tp::new(topic, 1));
    ctx.append(a, &["a1", "a2"]);
    ctx.append(b, &["b1"]);
    let mut cursor = ctx.cursor(&[(a, 1), (b, 0)]);
    cursor.pause(a, true);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[b], &ALL)), ["b1"]);
    ctx.append(b, &["b2"]);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[b], &ALL)), ["b2"]);
    assert_eq!(cursor.position(a).expect("assigned").next, Offset(1));
    cursor.pause(a, false);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[a], &ALL)), ["a2"]);
    ctx.append(a, &["a3"]);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[a, b], &ALL)), ["a3"]);
}

fn poll_limits(ctx: &Ctx) {
    let topic = ctx.topic("t", 2);
    let expected: Vec<String> = (0..100).map(|i| format!("{i:04}")).collect();
    for p in 0..2 {
        let values: Vec<&str> = expected.iter().map(String::as_str).collect();
        ctx.append(Tp::new(topic, p), &values);
    }
    for records_max in [1, 7, 99] {
        let limits = PollLimits { records_max, ..ALL };
        let mut cursor = ctx.cursor(&[(Tp::new(topic, 0), 0), (Tp::new(topic, 1), 0)]);
        let mut read = [Vec::new(), Vec::new()];
        ctx.until("all records", || {
            let mut out = Vec::new();
            cursor.poll(&limits, &mut out).expect("poll");
            let count: usize = out.iter().map(|batch| batch.records.len()).sum();
            assert!(count <= records_max, "{count} records, {records_max} allowed");
            for batch in &out {
                read[batch.tp.partition.0 as usize].extend(texts(std::slice::from_ref(batch)));
            }
            read.iter().all(|values| values.len() == expected.len())
        });
        assert_eq!(read, [expected.clone(), expected.clone()]);
    }
    // A limit of bytes bounds a poll, but never so that it gets nowhere.
    let limits = PollLimits { bytes_max: 1, ..ALL };
    let mut cursor = ctx.cursor(&[(Tp::new(topic, 0), 0)]);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[Tp::new(topic, 0)], &limits)), expected);
}

fn batches_continue(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    for _ in 0..10 {
        ctx.send(&mut *writer, tp, &["a", "b", "c"]);
        writer = ctx.commit(writer);
    }
    let mut cursor = ctx.cursor(&[(tp, 0)]);
    let limits = PollLimits { records_max: 4, ..ALL };
    let (goal, mut next) = (ctx.ends(tp).lso, Offset(0));
    ctx.until("the LSO", || {
        let mut out = Vec::new();
        cursor.poll(&limits, &mut out).expect("poll");
        for batch in &out {
            assert!(batch.records.iter().all(|record| record.offset >= next));
            assert!(batch.records.last().is_some_and(|record| record.offset < batch.next));
            next = batch.next;
        }
        let position = cursor.position(tp).expect("assigned").next;
        assert!(position >= next);
        position >= goal
    });
}

fn idle_poll_is_empty(ctx: &Ctx) {
    let topic = ctx.topic("t", 20);
    let at: Vec<_> = (0..20).map(|p| (Tp::new(topic, p), 0)).collect();
    let mut cursor = ctx.cursor(&at);
    let mut out = Vec::new();
    for _ in 0..100 {
        cursor.poll(&ALL, &mut out).expect("poll");
    }
    assert!(out.is_empty());
    ctx.append(at[7].0, &["a"]);
    let batches = ctx.read_on(&mut *cursor, &[at[7].0], &ALL);
    assert_eq!((batches.len(), batches[0].tp), (1, at[7].0));
}

fn assign_replaces(ctx: &Ctx) {
    let topic = ctx.topic("t", 2);
    let (a, b) = (Tp::new(topic, 0), Tp::new(topic, 1));
    ctx.append(a, &["a1", "a2", "a3"]);
    ctx.append(b, &["b1"]);
    let mut cursor = ctx.cursor(&[(a, 0), (b, 0)]);
    let mut out = Vec::new();
    let one = PollLimits { records_max: 1, ..ALL };
    ctx.until("a record", || {
        cursor.poll(&one, &mut out).expect("poll");
        !out.is_empty()
    });
    cursor.assign(&[(a, Offset(1))]);
    assert_eq!(cursor.position(a).expect("assigned").next, Offset(1));
    assert_eq!(cursor.position(b), None);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[a], &ALL)), ["a2", "a3"]);
    cursor.assign(&[]);
    out.clear();
    cursor.poll(&ALL, &mut out).expect("poll");
    assert!(out.is_empty());
}

fn unassigned_has_no_position(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let cursor = ctx.cursor(&[]);
    assert_eq!(cursor.position(tp), None);
    let cursor = ctx.cursor(&[(tp, 5)]);
    let position = cursor.position(tp).expect("assigned");
    assert_eq!((position.next, position.lso), (Offset(5), None));
}

fn beyond_the_end_waits(ctx: &Ctx) {
    let tp = ctx.tp("t");
    ctx.append(tp, &["a", "b"]);
    let mut cursor = ctx.cursor(&[(tp, 2)]);
    let mut out = Vec::new();
    for _ in 0..10 {
        cursor.poll(&ALL, &mut out).expect("poll");
    }
    assert!(out.is_empty());
    ctx.append(tp, &["c"]);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[tp], &ALL)), ["c"]);
}

fn purged_is_out_of_range(ctx: &Ctx) {
    let tp = ctx.tp("t");
    ctx.append(tp, &["a", "b", "c", "d"]);
    ctx.ready(|| ctx.log().purge(&[(tp, Offset(2))])).expect("purge");
    assert_eq!(ctx.ends(tp).start, Offset(2));
    let mut cursor = ctx.cursor(&[(tp, 1)]);
    ctx.until("an error", || match cursor.poll(&ALL, &mut Vec::new()) {
        Ok(()) => false,
        Err(ReadError::OutOfRange { tp: which, at, start }) => {
            assert_eq!((which, at, start), (tp, Offset(1), Offset(2)));
            true
        }
        Err(error) => panic!("{error}"),
    });
    assert_eq!(cursor.position(tp).expect("assigned").next, Offset(1), "never reset by itself");
    ctx.check_values(tp, &["c", "d"]);
}

fn gone_topic_is_reported(ctx: &Ctx) {
    let topic = ctx.topic("t", 1);
    let tp = Tp::new(topic, 0);
    ctx.append(tp, &["a"]);
    let mut cursor = ctx.cursor(&[(tp, 0)]);
    assert_eq!(texts(&ctx.read_on(&mut *cursor, &[tp], &ALL)), ["a"]);
    ctx.delete(topic);
    ctx.until("an error", || match cursor.poll(&ALL, &mut Vec::new()) {
        Ok(()) => false,
        Err(ReadError::Gone(which)) => which == tp,
        Err(error) => panic!("{error}"),
    });
}

fn one_bad_partition(ctx: &Ctx) {
    let topic = ctx.topic("t", 2);
    let (bad, good) = (Tp::new(topic, 0), Tp::new(topic, 1));
    ctx.append(bad, &["a", "b"]);
    ctx.append(good, &["c"]);
    ctx.ready(|| ctx.log().purge(&[(bad, Offset(1))])).expect("purge");
    let mut cursor = ctx.cursor(&[(bad, 0), (good, 0)]);
    let mut out = Vec::new();
    ctx.until("an error", || cursor.poll(&ALL, &mut out).is_err());
    // Resumed without the bad one, nothing is missing and nothing comes twice.
    let next = cursor.position(good).expect("assigned").next;
    cursor.assign(&[(bad, Offset(1)), (good, next)]);
    out.extend(ctx.read_on(&mut *cursor, &[bad, good], &ALL));
    let mut read = texts(&out);
    read.sort();
    assert_eq!(read, ["b", "c"]);
}

fn every_class_reads(ctx: &Ctx) {
    let tp = ctx.tp("t");
    ctx.append(tp, &["a"]);
    for class in [ReadClass::Shared, ReadClass::CatchUp, ReadClass::Restore] {
        let mut cursor = ctx.log().cursor(class);
        cursor.assign(&[(tp, Offset(0))]);
        assert_eq!(texts(&ctx.read_on(&mut *cursor, &[tp], &ALL)), ["a"]);
    }
}

fn no_partition_starves(ctx: &Ctx) {
    let topic = ctx.topic("t", 4);
    let tps: Vec<_> = (0..4).map(|p| Tp::new(topic, p)).collect();
    let values = ["v"; 500];
    tps.iter().for_each(|tp| {
        ctx.append(*tp, &values);
    });
    let at: Vec<_> = tps.iter().map(|tp| (*tp, 0)).collect();
    let mut cursor = ctx.cursor(&at);
    let (mut seen, mut total) = (std::collections::BTreeSet::new(), 0);
    ctx.until("records of all partitions", || {
        let mut out = Vec::new();
        cursor.poll(&PollLimits { records_max: 40, ..ALL }, &mut out).expect("poll");
        total += out.iter().map(|batch| batch.records.len()).sum::<usize>();
        seen.extend(out.iter().map(|batch| batch.tp));
        seen.len() == tps.len()
    });
    assert!(total < 2000, "one partition was read to its end first");
}

/// A reader of the state must not wait until a worker has slept out.
fn a_parked_thread_is_woken(ctx: &Ctx) {
    const SLEEP: Duration = Duration::from_secs(30);
    let (log, told) = (ctx.log(), AtomicBool::new(false));
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !told.load(Ordering::Acquire) {
                log.park(SLEEP);
            }
        });
        std::thread::sleep(Duration::from_millis(100));
        told.store(true, Ordering::Release);
        log.wake();
    });
    assert!(start.elapsed() < SLEEP, "slept for {:?}", start.elapsed());
}
