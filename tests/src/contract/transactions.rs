//! Transactions: all or nothing, one living writer per id, the LSO.

use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{Lost, Outcome, RecordRef, SendError, TxnState};

use super::ctx::{ALL, Ctx, IN_2013, records, values};
use super::{Case, Need, case};

pub const CASES: &[Case] = &[
    case("visible_over_partitions_at_once", Need::Nothing, visible_over_partitions_at_once),
    case("aborted_is_never_seen", Need::Nothing, aborted_is_never_seen),
    case("open_pins_the_lso", Need::Nothing, open_pins_the_lso),
    case("opening_fences_and_aborts", Need::Nothing, opening_fences_and_aborts),
    case("older_writer_is_dead", Need::Nothing, older_writer_is_dead),
    case("late_commit_of_an_older_writer", Need::Nothing, late_commit_of_an_older_writer),
    case("ids_do_not_disturb_each_other", Need::Nothing, ids_do_not_disturb_each_other),
    case("writer_ready_means_readable", Need::Nothing, writer_ready_means_readable),
    case("ends_are_lower_bounds", Need::Nothing, ends_are_lower_bounds),
    case("states_of_a_transaction", Need::Nothing, states_of_a_transaction),
    case("empty_commit_and_abort", Need::Nothing, empty_commit_and_abort),
    case("topic_gone_in_a_transaction", Need::Nothing, topic_gone_in_a_transaction),
    case("many_partitions_in_one", Need::Nothing, many_partitions_in_one),
    case("writers_interleave", Need::Nothing, writers_interleave),
];

fn visible_over_partitions_at_once(ctx: &Ctx) {
    let topic = ctx.topic("t", 3);
    let tps: Vec<_> = (0..3).map(|p| Tp::new(topic, p)).collect();
    let mut writer = ctx.writer("w");
    for tp in &tps {
        ctx.send(&mut *writer, *tp, &["a", "b"]);
    }
    ctx.acked(&mut *writer);
    for tp in &tps {
        ctx.check_values(*tp, &[]);
    }
    ctx.commit(writer);
    for tp in &tps {
        ctx.check_values(*tp, &["a", "b"]);
    }
}

fn aborted_is_never_seen(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    for round in 0..5 {
        ctx.send(&mut *writer, tp, &["bad", "bad"]);
        if round % 2 == 0 {
            ctx.acked(&mut *writer);
        }
        writer = ctx.abort(writer);
        ctx.send(&mut *writer, tp, &[&format!("good{round}")]);
        writer = ctx.commit(writer);
    }
    ctx.check_values(tp, &["good0", "good1", "good2", "good3", "good4"]);
    ctx.send(&mut *writer, tp, &["bad"]);
    ctx.abort(writer);
    ctx.check_values(tp, &["good0", "good1", "good2", "good3", "good4"]);
}

fn open_pins_the_lso(ctx: &Ctx) {
    let tp = ctx.tp("t");
    ctx.append(tp, &["before"]);
    let mut pinning = ctx.writer("pinning");
    ctx.send(&mut *pinning, tp, &["pinned"]);
    ctx.acked(&mut *pinning);
    ctx.append(tp, &["plain"]);
    let mut other = ctx.writer("other");
    ctx.send(&mut *other, tp, &["other"]);
    other = ctx.commit(other);
    let ends = ctx.ends(tp);
    assert_eq!(ends.lso, Offset(1));
    assert!(ends.hw >= Offset(4), "{ends:?}");
    ctx.check_values(tp, &["before"]);
    ctx.commit(pinning);
    ctx.check_values(tp, &["before", "pinned", "plain", "other"]);
    let ends = ctx.ends(tp);
    assert_eq!(ends.lso, ends.hw);
    // The other way: released by an abort.
    let mut pinning = ctx.writer("pinning");
    ctx.send(&mut *pinning, tp, &["no"]);
    ctx.acked(&mut *pinning);
    ctx.send(&mut *other, tp, &["last"]);
    ctx.commit(other);
    ctx.check_values(tp, &["before", "pinned", "plain", "other"]);
    ctx.abort(pinning);
    ctx.check_values(tp, &["before", "pinned", "plain", "other", "last"]);
}

fn opening_fences_and_aborts(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut old = ctx.writer("w");
    ctx.send(&mut *old, tp, &["old"]);
    ctx.acked(&mut *old);
    let mut new = ctx.writer("w");
    let ends = ctx.ends(tp);
    assert_eq!(ends.lso, ends.hw, "nothing is open once the new writer is ready");
    ctx.check_values(tp, &[]);
    ctx.send(&mut *new, tp, &["new"]);
    ctx.commit(new);
    ctx.check_values(tp, &["new"]);
    drop(old);
    ctx.check_values(tp, &["new"]);
}

fn older_writer_is_dead(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut old = ctx.writer("w");
    ctx.send(&mut *old, tp, &["old"]);
    ctx.acked(&mut *old);
    let mut new = ctx.writer("w");
    // It learns of it by asking, at the latest when it sends again.
    ctx.until("the older writer is dead", || {
        let value = Some(&b"zombie"[..]);
        let record = RecordRef { timestamp: IN_2013, key: None, value, headers: &[] };
        match old.send(tp, &record) {
            Err(SendError::Dead(lost)) => assert!(matches!(lost, Lost::Fenced(_)), "{lost:?}"),
            Ok(()) | Err(SendError::Full) => {}
            Err(error) => panic!("{error}"),
        }
        match old.poll() {
            TxnState::Dead(lost) => {
                assert!(matches!(lost, Lost::Fenced(_)), "{lost:?}");
                true
            }
            _ => false,
        }
    });
    ctx.send(&mut *new, tp, &["new"]);
    ctx.commit(new);
    ctx.check_values(tp, &["new"]);
}

fn late_commit_of_an_older_writer(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut old = ctx.writer("w");
    ctx.send(&mut *old, tp, &["old"]);
    ctx.acked(&mut *old);
    let mut new = ctx.writer("w");
    ctx.send(&mut *new, tp, &["new"]);
    ctx.acked(&mut *new);
    match ctx.end(old.commit()) {
        Outcome::Lost(Lost::Fenced(_)) => {}
        Outcome::Lost(lost) => panic!("expected Fenced, got {lost:?}"),
        _ => panic!("an older writer has ended its transaction"),
    }
    ctx.check_values(tp, &[]);
    ctx.commit(new);
    ctx.check_values(tp, &["new"]);
}

fn ids_do_not_disturb_each_other(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut a = ctx.writer("a");
    ctx.send(&mut *a, tp, &["a"]);
    ctx.acked(&mut *a);
    let mut b = ctx.writer("b");
    ctx.send(&mut *b, tp, &["b"]);
    let b = ctx.abort(b);
    drop(b);
    ctx.commit(a);
    ctx.check_values(tp, &["a"]);
}

fn writer_ready_means_readable(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut expected = Vec::new();
    for round in 0..10 {
        let mut writer = ctx.writer("w");
        let ends = ctx.ends(tp);
        assert_eq!(ends.lso, ends.hw);
        assert_eq!(ctx.values(tp), expected);
        let value = format!("v{round}");
        ctx.send(&mut *writer, tp, &[&value]);
        ctx.acked(&mut *writer);
        if round % 3 != 0 {
            ctx.commit(writer);
            expected.push(value);
        }
    }
}

fn ends_are_lower_bounds(ctx: &Ctx) {
    let topic = ctx.topic("t", 2);
    let (a, b) = (Tp::new(topic, 0), Tp::new(topic, 1));
    let mut writer = ctx.writer("w");
    for round in 0..3 {
        ctx.send(&mut *writer, a, &["1", "2", "3"]);
        if round == 1 {
            ctx.send(&mut *writer, b, &["1"]);
        }
        let Outcome::Committed { writer: next, ends } = ctx.end(writer.commit()) else {
            panic!("not committed")
        };
        let touched = if round == 1 { vec![a, b] } else { vec![a] };
        for (tp, end) in ends {
            assert!(touched.contains(&tp));
            assert!(end <= ctx.ends(tp).hw, "{end}");
            // Reading on from there misses nothing of the next transaction.
            assert!(end.0 >= 1);
        }
        writer = next;
    }
}

fn states_of_a_transaction(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    assert_eq!(writer.poll(), TxnState::Idle);
    ctx.send(&mut *writer, tp, &["a"]);
    assert!(matches!(writer.poll(), TxnState::Open { .. }));
    let mut writer = ctx.commit(writer);
    assert_eq!(writer.poll(), TxnState::Idle);
    ctx.send(&mut *writer, tp, &["b"]);
    let mut writer = ctx.abort(writer);
    assert_eq!(writer.poll(), TxnState::Idle);
}

fn empty_commit_and_abort(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let writer = ctx.writer("w");
    let writer = ctx.commit(writer);
    let mut writer = ctx.abort(writer);
    ctx.send(&mut *writer, tp, &["a"]);
    ctx.commit(writer);
    ctx.check_values(tp, &["a"]);
}

/// Whatever is reported, the rest of the transaction must not become visible alone.
fn topic_gone_in_a_transaction(ctx: &Ctx) {
    let (gone, stays) = (ctx.topic("gone", 1), ctx.tp("stays"));
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, stays, &["a"]);
    ctx.send(&mut *writer, Tp::new(gone, 0), &["a"]);
    ctx.acked(&mut *writer);
    ctx.delete(gone);
    let record = RecordRef { timestamp: IN_2013, key: None, value: Some(b"b"), headers: &[] };
    // The log may notice at once or at the end.
    let _ = writer.send(Tp::new(gone, 0), &record);
    let committed = matches!(ctx.end(writer.commit()), Outcome::Committed { .. });
    let mut writer = ctx.writer("w");
    ctx.check_values(stays, if committed { &["a"] } else { &[] });
    ctx.send(&mut *writer, stays, &["next"]);
    ctx.commit(writer);
    assert_eq!(ctx.values(stays).last().map(String::as_str), Some("next"));
}

fn many_partitions_in_one(ctx: &Ctx) {
    const COUNT: u32 = 50;
    let topic = ctx.topic("t", COUNT);
    let tps: Vec<_> = (0..COUNT).map(|p| Tp::new(topic, p)).collect();
    let mut writer = ctx.writer("w");
    for tp in &tps {
        ctx.send(&mut *writer, *tp, &[&tp.partition.to_string()]);
    }
    ctx.commit(writer);
    let at: Vec<_> = tps.iter().map(|tp| (*tp, 0)).collect();
    let mut cursor = ctx.cursor(&at);
    let batches = ctx.read_on(&mut *cursor, &tps, &ALL);
    let mut read = values(&records(&batches));
    read.sort_by_key(|text| text.parse::<u32>().ok());
    assert_eq!(read, (0..COUNT).map(|p| p.to_string()).collect::<Vec<_>>());
}

fn writers_interleave(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let (mut a, mut b) = (ctx.writer("a"), ctx.writer("b"));
    for _ in 0..3 {
        ctx.send(&mut *a, tp, &["a"]);
        ctx.acked(&mut *a);
        ctx.send(&mut *b, tp, &["b"]);
        ctx.acked(&mut *b);
    }
    ctx.abort(a);
    ctx.commit(b);
    ctx.check_values(tp, &["b", "b", "b"]);
}
