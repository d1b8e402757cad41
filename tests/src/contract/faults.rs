//! Lost answers: the outcome of a commit is unknown, and either may be true.

use millrace_engine::log::{Lost, Outcome};

use super::ctx::Ctx;
use super::{Case, Need, case};

pub const CASES: &[Case] = &[
    case("unknown_but_committed", Need::LoseCommit, unknown_but_committed),
    case("unknown_and_not_committed", Need::LoseCommit, unknown_and_not_committed),
];

fn lose(ctx: &Ctx, committed: bool, expected: &[&str]) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["a"]);
    writer = ctx.commit(writer);
    ctx.send(&mut *writer, tp, &["b"]);
    ctx.hooks().lose_commit.as_ref().expect("needed")(committed);
    match ctx.end(writer.commit()) {
        Outcome::Lost(Lost::Unknown(_)) => {}
        Outcome::Lost(lost) => panic!("expected Unknown, got {lost:?}"),
        _ => panic!("the answer should have been lost"),
    }
    let mut writer = ctx.writer("w");
    ctx.check_values(tp, expected);
    let ends = ctx.ends(tp);
    assert_eq!(ends.lso, ends.hw, "all is decided once the next writer is ready");
    ctx.send(&mut *writer, tp, &["c"]);
    ctx.commit(writer);
    ctx.check_values(tp, &[expected, &["c"]].concat());
}

fn unknown_but_committed(ctx: &Ctx) {
    lose(ctx, true, &["a", "b"]);
}

fn unknown_and_not_committed(ctx: &Ctx) {
    lose(ctx, false, &["a"]);
}
