//! Each rule by short cases.

use millrace_sql::plan::WindowKind::{Hopping, Tumbling};

use super::*;
use crate::operators::cache::CacheBudget;

fn check(node: &AggregateNode, rows: &[Row], want: &[&str], want_coalesced: &[&str]) {
    let keys = key_columns(node);
    assert_eq!(texts(&run(node, rows, false), keys), want);
    assert_eq!(texts(&run(node, rows, true), keys), want_coalesced, "coalesced");
}

#[test]
fn groups_without_window() {
    let rows = [(Some("a"), 1, 5), (Some("b"), 2, 3), (Some("a"), 3, 4)];
    let each = ["a 1 1 1 @5", "b 1 2 2 @3", "a 2 4 3 @5"];
    check(&plan(None, false, false), &rows, &each, &["a 2 4 3 @5", "b 1 2 2 @3"]);
}

#[test]
fn tumbling_windows_drop_late_rows() {
    let node = plan(Some(window(Tumbling { size_ms: 10 }, 5)), false, false);
    let rows = [(Some("a"), 1, 3), (Some("a"), 2, 14), (Some("a"), 3, 9), (Some("a"), 4, 15)];
    let late = [(Some("a"), 5, 9), (Some("b"), 6, 11)];
    let rows = [&rows[..], &late].concat();
    let each = ["a 0 10 1 1 1 @3", "a 10 20 1 2 2 @14", "a 0 10 2 4 3 @9", "a 10 20 2 6 4 @15"];
    let each = [&each[..], &["b 10 20 1 6 6 @11"]].concat();
    let folded = ["a 0 10 2 4 3 @9", "a 10 20 2 6 4 @15", "b 10 20 1 6 6 @11"];
    check(&node, &rows, &each, &folded);
    assert_eq!(run(&node, &rows, false).late_records, 1);
}

#[test]
fn hopping_windows_take_a_row_each() {
    let node = plan(Some(window(Hopping { size_ms: 10, advance_ms: 5 }, 0)), false, false);
    let rows = [(Some("a"), 1, 7), (Some("a"), 2, 12), (Some("a"), 3, 3)];
    let each = ["a 0 10 1 1 1 @7", "a 5 15 1 1 1 @7", "a 5 15 2 3 2 @12", "a 10 20 1 2 2 @12"];
    let folded = ["a 0 10 1 1 1 @7", "a 5 15 2 3 2 @12", "a 10 20 1 2 2 @12"];
    check(&node, &rows, &each, &folded);
    assert_eq!(run(&node, &rows, false).late_records, 1);
}

#[test]
fn rows_without_group_are_rejected() {
    let rows = [(Some("a"), 1, 1), (None, 2, 99), (Some("a"), 3, 2)];
    let node = plan(Some(window(Tumbling { size_ms: 10 }, 0)), false, false);
    let output = run(&node, &rows, false);
    assert_eq!(texts(&output, 3), ["a 0 10 1 1 1 @1", "a 0 10 2 4 3 @2"]);
    assert_eq!(output.rejects.len(), 1);
    assert_eq!(output.rejects[0].reason, "grouping column K is NULL: the row belongs to no group");
    assert_eq!(output.rejects[0].time_ms, 99);
}

#[test]
fn old_values_stand_beside_new_ones() {
    let node = plan(None, false, false);
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut op = operator(&node, true);
    let rows = [(Some("a"), 1, 1), (Some("a"), 2, 2), (Some("b"), 5, 3)];
    push(&mut *op, 0, batch(&rows), &mut state, &mut output, false).unwrap();
    push(&mut *op, 0, batch(&rows[2..]), &mut state, &mut output, false).unwrap();
    let want =
        ["a 1 1 1 @1 < none", "a 2 3 2 @2 < a 1 1 1", "b 1 5 5 @3 < none", "b 2 10 5 @3 < b 1 5 5"];
    assert_eq!(texts(&output, 1), want);
    flush(&mut *op, &mut state, &mut output, false).unwrap();
    let mut output = Output::default();
    for rows in [&rows[..], &rows[..1]] {
        push(&mut *op, 0, batch(rows), &mut state, &mut output, true).unwrap();
    }
    let rows = [(Some("c"), 7, 9)];
    push(&mut *op, 0, batch(&rows), &mut state, &mut output, true).unwrap();
    assert!(output.batches.is_empty());
    flush(&mut *op, &mut state, &mut output, true).unwrap();
    let want = ["a 5 7 1 @2 < a 2 3 2", "b 3 15 5 @3 < b 2 10 5", "c 1 7 7 @9 < none"];
    assert_eq!(texts(&output, 1), want);
}

#[test]
fn a_table_takes_back_old_values() {
    let node = plan(None, false, true);
    let rows: [TableChange; 5] = [
        (None, Some(("a", 5)), 1),
        (Some(("a", 5)), Some(("a", 6)), 2),
        (Some(("a", 6)), Some(("b", 6)), 3),
        (Some(("b", 6)), None, 4),
        (None, None, 5),
    ];
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut op = operator(&node, false);
    push(&mut *op, 0, changes(&rows), &mut state, &mut output, false).unwrap();
    // A change within a group is handed out once.
    let want = ["a 1 5 @1", "a 1 6 @2", "a 0 0 @3", "b 1 6 @3", "b 0 0 @4"];
    assert_eq!(texts(&output, 1), want);
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut op = operator(&node, true);
    push(&mut *op, 0, changes(&rows[..2]), &mut state, &mut output, false).unwrap();
    assert_eq!(texts(&output, 1), ["a 1 5 @1 < none", "a 1 6 @2 < a 1 5"]);
}

#[test]
fn final_rows_come_once_in_order_of_windows_and_keys() {
    let node = plan(Some(window(Tumbling { size_ms: 10 }, 5)), true, false);
    let rows = [
        (Some("b"), 1, 3),
        (Some("a"), 2, 14),
        (Some("a"), 3, 9),
        (Some("a"), 4, 15),
        (Some("a"), 5, 9),
        (Some("c"), 6, 39),
        (Some("c"), 7, 40),
    ];
    let want = ["a 0 10 1 3 3 @9", "b 0 10 1 1 1 @3", "a 10 20 2 6 4 @15"];
    check(&node, &rows, &want, &want);
}

#[test]
fn unsupported_plans_are_refused() {
    let tumbling = Some(window(Tumbling { size_ms: 10 }, 0));
    let cases = [
        plan(None, true, false),
        plan(tumbling, false, true),
        AggregateNode { table_input: true, ..plan(None, false, false) },
        plan(Some(window(Hopping { size_ms: 5, advance_ms: 6 }, 0)), false, false),
        plan(Some(window(Tumbling { size_ms: 0 }, 0)), false, false),
    ];
    for case in cases {
        let stores = (0..stores(&case).len() as u32).map(store).collect();
        let options =
            AggregateOptions { stores, with_old: false, cache: CacheBudget::new(1).share() };
        assert!(aggregate(&case, options).is_err(), "{case:?}");
    }
}
