//! EMIT FINAL where the clock closes what no row closes.

use millrace_sql::plan::WindowKind::{Session, Tumbling};

use super::*;
use crate::operators::testing::step;

/// Closes what is due by `now`; the rows that come out.
fn closed(op: &mut dyn Operator, now: i64, state: &mut MemState) -> Vec<String> {
    let mut output = Output::default();
    step(state, &mut output, true, |ctx| op.close(now, ctx)).unwrap();
    texts(&output, 3)
}

fn pushed(op: &mut dyn Operator, rows: &[Row], state: &mut MemState) -> (Vec<String>, u64) {
    let mut output = Output::default();
    push(op, 0, batch(rows), state, &mut output, true).unwrap();
    (texts(&output, 3), output.late_records)
}

/// The operator after a commit and a restart.
fn restarted(
    mut op: Box<dyn Operator>,
    node: &AggregateNode,
    state: &mut MemState,
) -> Box<dyn Operator> {
    flush(&mut *op, state, &mut Output::default(), true).unwrap();
    let mut again = operator(node, false);
    again.restore(&op.progress());
    again
}

#[test]
fn the_clock_closes_windows() {
    let node = plan(Some(window(Tumbling { size_ms: 10 }, 5)), true, false);
    let (mut op, mut state) = (operator(&node, false), MemState::default());
    assert_eq!(op.next_close(&state).unwrap(), i64::MAX);
    let rows = [(Some("a"), 1, 3), (Some("b"), 2, 4), (Some("a"), 3, 14)];
    assert_eq!(pushed(&mut *op, &rows, &mut state), (vec![], 0));
    assert_eq!(op.next_close(&state).unwrap(), 15);
    assert_eq!(closed(&mut *op, 14, &mut state), [""; 0]);
    let want = ["a 0 10 1 1 1 @3", "b 0 10 1 2 2 @4"];
    assert_eq!(closed(&mut *op, 15, &mut state), want);
    // What was closed stays closed, and rows for it are late, also after a restart.
    let mut op = restarted(op, &node, &mut state);
    assert_eq!(pushed(&mut *op, &[(Some("a"), 9, 9)], &mut state), (vec![], 1));
    assert_eq!(op.next_close(&state).unwrap(), 25);
    assert_eq!(closed(&mut *op, 25, &mut state), ["a 10 20 1 3 3 @14"]);
    assert_eq!(op.next_close(&state).unwrap(), i64::MAX);
}

#[test]
fn the_clock_closes_sessions() {
    let node = plan(Some(window(Session { gap_ms: 5 }, 2)), true, false);
    let (mut op, mut state) = (operator(&node, false), MemState::default());
    let rows = [(Some("a"), 1, 3), (Some("b"), 2, 4), (Some("a"), 3, 7)];
    assert_eq!(pushed(&mut *op, &rows, &mut state), (vec![], 0));
    let mut op = restarted(op, &node, &mut state);
    assert_eq!(op.next_close(&state).unwrap(), 12);
    assert_eq!(closed(&mut *op, 11, &mut state), [""; 0]);
    assert_eq!(closed(&mut *op, 12, &mut state), ["b 4 4 1 2 2 @4"]);
    assert_eq!(op.next_close(&state).unwrap(), 15);
    assert_eq!(closed(&mut *op, 15, &mut state), ["a 3 7 2 4 3 @7"]);
    assert_eq!(pushed(&mut *op, &[(Some("a"), 9, 7)], &mut state), (vec![], 1));
}
