//! What goes away by itself, and what never does.

use std::time::Duration;

use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{Cleanup, Record, TopicSpec};

use super::ctx::{Ctx, IN_2013, Read};
use super::{Case, Need, case};

pub const CASES: &[Case] = &[
    case("no_retention_keeps_2013", Need::Expire, no_retention_keeps_2013),
    case("retention_goes_by_create_time", Need::Expire, retention_goes_by_create_time),
    case("retention_spares_compacted_topics", Need::Expire, retention_spares_compacted_topics),
    case("retention_stops_at_the_lso", Need::Expire, retention_stops_at_the_lso),
    case("compaction_keeps_the_last", Need::Compact, compaction_keeps_the_last),
    case("compaction_stops_at_the_lso", Need::Compact, compaction_stops_at_the_lso),
    case("compaction_again_and_again", Need::Compact, compaction_again_and_again),
    case("tombstones_stay_for_their_time", Need::CompactAndAdvance, tombstones),
];

const HOUR_MS: i64 = 60 * 60 * 1000;

fn expire(ctx: &Ctx) {
    ctx.hooks().expire.as_ref().expect("needed")();
}

fn compact(ctx: &Ctx, tp: Tp) {
    ctx.hooks().compact.as_ref().expect("needed")(tp);
}

fn pairs(read: &[Read]) -> Vec<(String, String)> {
    let text = |bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => "<null>".to_owned(),
    };
    read.iter().map(|record| (text(&record.key), text(&record.value))).collect()
}

fn put(ctx: &Ctx, tp: Tp, records: &[(&str, Option<&str>)]) {
    let record = |(key, value): &(&str, Option<&str>)| {
        Record::new(IN_2013, Some(key.as_bytes()), value.map(str::as_bytes))
    };
    let records: Vec<_> = records.iter().map(record).collect();
    ctx.append_records(tp, &records);
}

fn check(ctx: &Ctx, tp: Tp, expected: &[(&str, &str)]) {
    let read = pairs(&ctx.read(tp));
    let read: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(read, expected);
}

fn no_retention_keeps_2013(ctx: &Ctx) {
    let tp = ctx.tp("t");
    ctx.append(tp, &["a"]);
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["b"]);
    ctx.commit(writer);
    expire(ctx);
    ctx.check_values(tp, &["a", "b"]);
    assert_eq!(ctx.ends(tp).start, Offset(0));
}

fn retention_goes_by_create_time(ctx: &Ctx) {
    let spec = TopicSpec { retention_ms: Some(HOUR_MS), ..ctx.spec("t", 1) };
    let tp = Tp::new(ctx.ensure(&spec).id, 0);
    let future = Timestamp(4_102_444_800_000);
    ctx.append(tp, &["old"]);
    ctx.append_records(tp, &[Record::new(future, None, Some(b"new"))]);
    ctx.append(tp, &["old behind new"]);
    expire(ctx);
    ctx.check_values(tp, &["new", "old behind new"]);
    assert_eq!(ctx.ends(tp).start, Offset(1));
}

fn retention_spares_compacted_topics(ctx: &Ctx) {
    let spec =
        TopicSpec { cleanup: Cleanup::Compact, retention_ms: Some(HOUR_MS), ..ctx.spec("t", 1) };
    let tp = Tp::new(ctx.ensure(&spec).id, 0);
    put(ctx, tp, &[("k", Some("v"))]);
    expire(ctx);
    check(ctx, tp, &[("k", "v")]);
}

fn retention_stops_at_the_lso(ctx: &Ctx) {
    let spec = TopicSpec { retention_ms: Some(HOUR_MS), ..ctx.spec("t", 1) };
    let tp = Tp::new(ctx.ensure(&spec).id, 0);
    ctx.append(tp, &["a"]);
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["open"]);
    ctx.acked(&mut *writer);
    ctx.append(tp, &["b"]);
    expire(ctx);
    assert_eq!(ctx.ends(tp).start, Offset(1));
    ctx.commit(writer);
    ctx.check_values(tp, &["open", "b"]);
}

fn compacted(ctx: &Ctx, delete_retention_ms: i64) -> Tp {
    let spec = TopicSpec {
        cleanup: Cleanup::Compact,
        config: vec![("delete.retention.ms".to_owned(), delete_retention_ms.to_string())],
        ..ctx.spec("t", 1)
    };
    Tp::new(ctx.ensure(&spec).id, 0)
}

fn compaction_keeps_the_last(ctx: &Ctx) {
    let tp = compacted(ctx, HOUR_MS);
    put(ctx, tp, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
    put(ctx, tp, &[("c", Some("1")), ("b", None), ("a", Some("3"))]);
    let before = ctx.ends(tp);
    let offsets: Vec<_> = ctx.read(tp).iter().map(|record| record.offset).collect();
    compact(ctx, tp);
    check(ctx, tp, &[("c", "1"), ("b", "<null>"), ("a", "3")]);
    assert_eq!(ctx.ends(tp), before, "compaction moves no end");
    let after: Vec<_> = ctx.read(tp).iter().map(|record| record.offset).collect();
    assert_eq!(after, &offsets[3..], "records keep their offsets");
    let mut cursor = ctx.cursor(&[(tp, 1)]);
    let batches = ctx.read_on(&mut *cursor, &[tp], &super::ctx::ALL);
    assert_eq!(super::ctx::records(&batches).len(), 3, "a position in a gap is fine");
}

fn compaction_stops_at_the_lso(ctx: &Ctx) {
    let tp = compacted(ctx, HOUR_MS);
    put(ctx, tp, &[("a", Some("1")), ("a", Some("2"))]);
    let mut writer = ctx.writer("w");
    ctx.send_record(&mut *writer, tp, Some(b"a"), Some(b"3"), &[]);
    ctx.acked(&mut *writer);
    put(ctx, tp, &[("a", Some("4"))]);
    compact(ctx, tp);
    check(ctx, tp, &[("a", "2")]);
    ctx.abort(writer);
    check(ctx, tp, &[("a", "2"), ("a", "4")]);
    compact(ctx, tp);
    check(ctx, tp, &[("a", "4")]);
}

fn compaction_again_and_again(ctx: &Ctx) {
    let tp = compacted(ctx, HOUR_MS);
    let mut writer = ctx.writer("w");
    for round in 0..30 {
        for key in 0..10 {
            let (key, value) = (format!("k{key}"), format!("{round}"));
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            ctx.send_record(&mut *writer, tp, key, value, &[("h", Some(b"x"))]);
        }
        writer = if round % 4 == 3 { ctx.abort(writer) } else { ctx.commit(writer) };
        if round % 5 == 0 {
            compact(ctx, tp);
        }
    }
    compact(ctx, tp);
    let read = ctx.read(tp);
    assert_eq!(read.len(), 10);
    assert!(read.iter().all(|record| record.value.as_deref() == Some(b"29".as_slice())));
    assert!(read.iter().all(|record| record.headers.len() == 1));
}

fn tombstones(ctx: &Ctx) {
    let tp = compacted(ctx, HOUR_MS);
    let advance = ctx.hooks().advance.as_ref().expect("needed");
    put(ctx, tp, &[("a", Some("1")), ("b", Some("1"))]);
    put(ctx, tp, &[("a", None)]);
    compact(ctx, tp);
    check(ctx, tp, &[("b", "1"), ("a", "<null>")]);
    advance(Duration::from_millis(HOUR_MS as u64 / 2));
    compact(ctx, tp);
    check(ctx, tp, &[("b", "1"), ("a", "<null>")]);
    advance(Duration::from_millis(HOUR_MS as u64));
    compact(ctx, tp);
    check(ctx, tp, &[("b", "1")]);
}
