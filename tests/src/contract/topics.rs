//! Topics: made, compared, listed, deleted by identity.

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{Cleanup, EnsureError, LogError, LogEvent, Record, TopicSpec};

use super::ctx::Ctx;
use super::{Case, Need, case};

pub const CASES: &[Case] = &[
    case("ensure_is_idempotent", Need::Nothing, ensure_is_idempotent),
    case("ensure_tells_differences", Need::Nothing, ensure_tells_differences),
    case("describe_and_list", Need::Nothing, describe_and_list),
    case("bad_names_are_refused", Need::Nothing, bad_names_are_refused),
    case("new_topic_is_empty", Need::Nothing, new_topic_is_empty),
    case("recreated_topic_has_a_new_id", Need::Nothing, recreated_topic_has_a_new_id),
    case("delete_spares_a_namesake", Need::Nothing, delete_spares_a_namesake),
    case("delete_of_nothing_is_fine", Need::Nothing, delete_of_nothing_is_fine),
    case("ends_of_a_gone_topic", Need::Nothing, ends_of_a_gone_topic),
    case("purge_moves_the_start", Need::Nothing, purge_moves_the_start),
    case("purge_of_a_compacted_topic", Need::Nothing, purge_of_a_compacted_topic),
    case("deletion_is_an_event", Need::Nothing, deletion_is_an_event),
    case("growth_is_an_event", Need::Grow, growth_is_an_event),
];

fn ensure_is_idempotent(ctx: &Ctx) {
    let spec = TopicSpec { cleanup: Cleanup::Compact, ..ctx.spec("t", 3) };
    let made = ctx.ensure(&spec);
    assert_eq!((made.partitions, made.cleanup, made.retention_ms), (3, Cleanup::Compact, -1));
    assert_eq!(made.name, spec.name);
    assert_ne!(made.id, TopicId(0));
    assert_eq!(ctx.ensure(&spec), made);
    let other = ctx.ensure(&ctx.spec("other", 3));
    assert_ne!(other.id, made.id);
}

fn ensure_tells_differences(ctx: &Ctx) {
    let spec = ctx.spec("t", 3);
    ctx.ensure(&spec);
    let changed = [
        TopicSpec { partitions: 4, ..spec.clone() },
        TopicSpec { cleanup: Cleanup::CompactDelete, ..spec.clone() },
        TopicSpec { retention_ms: Some(1000), ..spec.clone() },
    ];
    for wanted in changed {
        match ctx.ready(|| ctx.log().ensure(&wanted)) {
            Err(EnsureError::Differs { topic, differences }) => {
                assert_eq!((topic, differences.len()), (spec.name.clone(), 1), "{differences:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let any = TopicSpec { retention_ms: None, ..spec.clone() };
    assert_eq!(ctx.ensure(&any).partitions, 3);
}

fn describe_and_list(ctx: &Ctx) {
    assert_eq!(ctx.describe("t"), None);
    let made = ctx.ensure(&ctx.spec("t", 2));
    assert_eq!(ctx.describe("t"), Some(made.clone()));
    let all = ctx.ready(|| ctx.log().list()).expect("list");
    assert!(all.contains(&made));
    ctx.delete(made.id);
    ctx.until("the topic is gone", || ctx.describe("t").is_none());
    let all = ctx.ready(|| ctx.log().list()).expect("list");
    assert!(!all.iter().any(|topic| topic.id == made.id));
}

fn bad_names_are_refused(ctx: &Ctx) {
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "ä", &long] {
        let spec = TopicSpec { name: name.to_owned(), ..ctx.spec("t", 1) };
        let answer = ctx.ready(|| ctx.log().ensure(&spec));
        assert!(answer.is_err(), "{name:?} was accepted");
    }
}

fn new_topic_is_empty(ctx: &Ctx) {
    let topic = ctx.topic("t", 3);
    for p in 0..3 {
        let ends = ctx.ends(Tp::new(topic, p));
        assert_eq!((ends.start, ends.lso, ends.hw), (Offset(0), Offset(0), Offset(0)));
    }
}

fn recreated_topic_has_a_new_id(ctx: &Ctx) {
    let old = ctx.topic("t", 1);
    ctx.append(Tp::new(old, 0), &["old"]);
    ctx.delete(old);
    ctx.until("the topic is gone", || ctx.describe("t").is_none());
    let new = ctx.topic("t", 1);
    assert_ne!(old, new);
    ctx.append(Tp::new(new, 0), &["new"]);
    ctx.check_values(Tp::new(new, 0), &["new"]);
    let ends = ctx.ready(|| ctx.log().ends(&[Tp::new(old, 0)]));
    assert!(matches!(ends, Err(LogError::Gone(_))), "{ends:?}");
    let mut cursor = ctx.cursor(&[(Tp::new(old, 0), 0)]);
    ctx.until("an error", || cursor.poll(&super::ctx::ALL, &mut Vec::new()).is_err());
}

fn delete_spares_a_namesake(ctx: &Ctx) {
    let old = ctx.topic("t", 1);
    ctx.delete(old);
    ctx.until("the topic is gone", || ctx.describe("t").is_none());
    let new = ctx.topic("t", 1);
    ctx.append(Tp::new(new, 0), &["new"]);
    ctx.delete(old);
    assert_eq!(ctx.describe("t").map(|topic| topic.id), Some(new));
    ctx.check_values(Tp::new(new, 0), &["new"]);
}

fn delete_of_nothing_is_fine(ctx: &Ctx) {
    ctx.delete(TopicId(0x1234_5678_9abc_4def_8123_4567_89ab_cdef));
}

fn ends_of_a_gone_topic(ctx: &Ctx) {
    let topic = ctx.topic("t", 1);
    ctx.delete(topic);
    ctx.until("Gone", || match ctx.ready(|| ctx.log().ends(&[Tp::new(topic, 0)])) {
        Ok(_) => false,
        Err(LogError::Gone(_)) => true,
        Err(error) => panic!("{error}"),
    });
}

fn purge_moves_the_start(ctx: &Ctx) {
    let topic = ctx.topic("t", 2);
    let (a, b) = (Tp::new(topic, 0), Tp::new(topic, 1));
    ctx.append(a, &["1", "2", "3"]);
    ctx.append(b, &["1", "2", "3"]);
    ctx.ready(|| ctx.log().purge(&[(a, Offset(2)), (b, Offset(3))])).expect("purge");
    ctx.check_values(a, &["3"]);
    ctx.check_values(b, &[]);
    assert_eq!((ctx.ends(a).start, ctx.ends(b).start), (Offset(2), Offset(3)));
    assert_eq!(ctx.append(b, &["4"]), Offset(3));
    // Purging less than that changes nothing.
    ctx.ready(|| ctx.log().purge(&[(a, Offset(1))])).expect("purge");
    assert_eq!(ctx.ends(a).start, Offset(2));
    ctx.check_values(b, &["4"]);
}

/// As changelogs of windows are made.
fn purge_of_a_compacted_topic(ctx: &Ctx) {
    let spec = TopicSpec { cleanup: Cleanup::CompactDelete, ..ctx.spec("t", 1) };
    let tp = Tp::new(ctx.ensure(&spec).id, 0);
    let record = |key: &str| Record::new(super::ctx::IN_2013, Some(key.as_bytes()), Some(b"v"));
    ctx.append_records(tp, &["a", "b", "c"].map(record));
    ctx.ready(|| ctx.log().purge(&[(tp, Offset(2))])).expect("purge");
    assert_eq!((ctx.ends(tp).start, ctx.read(tp).len()), (Offset(2), 1));
}

fn deletion_is_an_event(ctx: &Ctx) {
    let topic = ctx.topic("t", 1);
    let tp = Tp::new(topic, 0);
    ctx.append(tp, &["a"]);
    let mut cursor = ctx.cursor(&[(tp, 0)]);
    ctx.read_on(&mut *cursor, &[tp], &super::ctx::ALL);
    ctx.log().events();
    ctx.delete(topic);
    ctx.until("an event", || {
        // Reading it is what makes a topic one in use.
        let _ = cursor.poll(&super::ctx::ALL, &mut Vec::new());
        let concerns = |event: &LogEvent| match event {
            LogEvent::TopicGone(id) => *id == topic,
            LogEvent::TopicReplaced { old, .. } => *old == topic,
            _ => false,
        };
        ctx.log().events().iter().any(concerns)
    });
}

fn growth_is_an_event(ctx: &Ctx) {
    let topic = ctx.topic("t", 1);
    ctx.append(Tp::new(topic, 0), &["a"]);
    let mut cursor = ctx.cursor(&[(Tp::new(topic, 0), 0)]);
    ctx.read_on(&mut *cursor, &[Tp::new(topic, 0)], &super::ctx::ALL);
    ctx.log().events();
    let grow = ctx.hooks().grow.as_ref().expect("needed");
    grow(topic, 3);
    let expected = LogEvent::PartitionsChanged { topic, partitions: 3 };
    ctx.until("an event", || ctx.log().events().contains(&expected));
    assert_eq!(ctx.describe("t").map(|topic| topic.partitions), Some(3));
    ctx.append(Tp::new(topic, 2), &["c"]);
    ctx.check_values(Tp::new(topic, 2), &["c"]);
}
