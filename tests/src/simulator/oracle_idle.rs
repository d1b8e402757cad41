//! What comes out when the clock goes on without input: everything that waits for later rows.

use super::compare::Expected;
use super::inputs::{Input, PARTITIONS};
use super::oracle::{Windows, json, running, session_row, sessions, time_key};

/// All rows of a table, each once.
fn bag(table: Expected) -> Expected {
    match table {
        Expected::Table(rows) => Expected::Bag(rows.into_iter().collect()),
        other => other,
    }
}

/// Each window once, closed by later rows or by the clock.
pub fn emit_final(inputs: &[Input], _: bool) -> Expected {
    let windows = Windows { size: 5_000, advance: 5_000, grace: 2_000 };
    bag(running(windows.assign(inputs).0.into_iter(), true))
}

/// Each window of each group once; no row is late, for all tasks are waited for.
pub fn final_groups(inputs: &[Input], _: bool) -> Expected {
    const SIZE: i64 = 6_000;
    const ADVANCE: i64 = 2_000;
    let mut rows = Vec::new();
    for input in inputs {
        let last = input.time / ADVANCE * ADVANCE;
        let starts = (0..SIZE / ADVANCE).map(|at| last - at * ADVANCE);
        let starts = starts.filter(|start| *start >= 0);
        rows.extend(starts.map(|start| (time_key(&input.group, start), input.value)));
    }
    bag(running(rows.into_iter(), true))
}

/// Each session once.
pub fn session_final(inputs: &[Input], _: bool) -> Expected {
    let all = sessions(inputs).into_iter();
    let rows = all.flat_map(|(key, sessions)| {
        sessions.into_iter().map(|session| session_row(&key, session)).collect::<Vec<_>>()
    });
    Expected::Bag(rows.collect())
}

/// All pairs that are near enough, and all left rows without a partner.
pub fn outer(inputs: &[Input], _: bool) -> Expected {
    const WITHIN: i64 = 1_000;
    let row = |left: &Input, w: Option<i64>| {
        (left.key.clone().into_bytes(), json(&[("V", left.value), ("W", w)]))
    };
    let mut rows = Vec::new();
    for partition in 0..PARTITIONS {
        let own: Vec<&Input> =
            inputs.iter().filter(|input| input.partition() == partition).collect();
        for left in own.iter().filter(|input| input.topic == "s") {
            let near = own.iter().filter(|right| {
                right.topic == "r"
                    && right.key == left.key
                    && (right.time - left.time).abs() <= WITHIN
            });
            let pairs: Vec<_> = near.map(|right| row(left, right.value)).collect();
            match pairs.is_empty() {
                true => rows.push(row(left, None)),
                false => rows.extend(pairs),
            }
        }
    }
    Expected::Bag(rows)
}
