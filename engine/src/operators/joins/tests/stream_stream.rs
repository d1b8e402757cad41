//! Stream-stream joins: cases, and an oracle that looks at every pair of rows.

use super::*;
use crate::operators::testing::step;

fn within(before_ms: i64, after_ms: i64, grace_ms: Option<i64>) -> JoinShape {
    JoinShape::StreamStream { before_ms, after_ms, grace_ms }
}

#[test]
fn rows_within_the_window_meet() {
    let rows = [
        (0, Some("a"), Some(1), 100),
        (1, Some("a"), Some(2), 90),
        (1, Some("a"), Some(3), 89),
        (1, Some("a"), Some(4), 105),
        (1, Some("a"), Some(5), 106),
        (1, Some("b"), Some(6), 100),
        (0, Some("a"), Some(7), 101),
        (1, None, Some(8), 101),
        (0, Some("a"), None, 101),
    ];
    let want = ["a 1 a 2 a @100", "a 1 a 4 a @105", "a 7 a 4 a @105", "a 7 a 5 a @106"];
    check(&plan(Inner, within(10, 5, Some(100))), &rows, &want);
    assert_eq!(run(&plan(Inner, within(10, 5, None)), &rows, 9).rejects.len(), 1);
}

#[test]
fn outer_rows_wait_for_window_and_grace() {
    let rows = [
        (0, Some("a"), Some(1), 100),
        (1, Some("b"), Some(2), 101),
        (0, Some("c"), Some(3), 103),
        (1, Some("a"), Some(4), 112),
        (0, Some("d"), Some(5), 113),
        (1, Some("c"), Some(6), 114),
        (0, Some("z"), Some(7), 1),
        (0, Some("z"), Some(8), 200),
    ];
    // Window 10, grace 2: a row waits until stream time is above its time + 12.
    let want = [
        "a 1 NULL NULL a @100",
        "NULL NULL b 2 b @101",
        "c 3 c 6 c @114",
        "NULL NULL a 4 a @112",
        "d 5 NULL NULL d @113",
    ];
    let mut rows = rows.to_vec();
    rows[5].3 = 112;
    let want: Vec<String> = want.iter().map(|row| row.to_string()).collect();
    let mut full = want.clone();
    full.splice(
        0..3,
        [
            "a 1 NULL NULL a @100".to_string(),
            "c 3 c 6 c @112".to_string(),
            // Nobody waits for its window any more.
            "z 7 NULL NULL z @1".to_string(),
            "NULL NULL b 2 b @101".to_string(),
        ],
    );
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    let node = plan(Full, within(10, 10, Some(2)));
    check(&node, &rows, &full);
    assert_eq!(run(&node, &rows, 3).late_records, 1);
    let left: Vec<&str> = full.iter().copied().filter(|row| !row.starts_with("NULL")).collect();
    check(&plan(Left, within(10, 10, Some(2))), &rows, &left);
}

#[test]
fn without_grace_outer_rows_come_at_once_and_again() {
    let rows = [(0, Some("a"), Some(1), 100), (1, Some("a"), Some(2), 105), (1, None, Some(3), 9)];
    let want = ["a 1 NULL NULL a @100", "a 1 a 2 a @105"];
    check(&plan(Left, within(10, 10, None)), &rows, &want);
    let want = ["a 1 NULL NULL a @100", "a 1 a 2 a @105", "NULL NULL NULL 3 NULL @9"];
    check(&plan(Full, within(10, 10, None)), &rows, &want);
}

/// Rows of both sides whose time rises with jitter.
fn random_rows(seed: u64, count: usize) -> Vec<Row> {
    let mut random = Random(seed);
    let mut now = 1_000;
    (0..count)
        .map(|i| {
            now += random.below(6) as i64;
            let key = Some(KEYS[random.below(3) as usize]).filter(|_| random.below(40) > 0);
            let time = now - random.below(40) as i64;
            (random.below(2) as usize, key, Some(i as i64), time)
        })
        .collect()
}

/// A row that the oracle keeps: key, value, time, whether it waits for a partner.
type Kept = (&'static str, i64, i64, bool);

/// Every row against every row of the other side.
fn oracle(kind: JoinKind, lengths: (i64, i64, Option<i64>), rows: &[Row]) -> (Vec<String>, u64) {
    let (before, after, grace) = lengths;
    let eager = grace.is_none();
    let grace = grace.unwrap_or(24 * 3600 * 1000 - before - after);
    let outer = |side: usize| kind == Full || kind == if side == 0 { Left } else { Right };
    let (mut out, mut late) = (Vec::new(), 0);
    let mut sides: [Vec<Kept>; 2] = [vec![], vec![]];
    let (mut stream_time, mut side_times) = (i64::MIN, [i64::MIN; 2]);
    let alone = |side: usize, key: &str, value: i64, time: i64| match side {
        0 => format!("{key} {value} NULL NULL {key} @{time}"),
        _ => format!("NULL NULL {key} {value} {key} @{time}"),
    };
    let close = |side: usize, time: i64| time + [after, before][side] + grace;
    for (side, key, value, time) in rows {
        let (side, value, time) = (*side, value.unwrap(), *time);
        let Some(key) = key else {
            if outer(side) {
                out.push(alone(side, "NULL", value, time));
            }
            continue;
        };
        if time > stream_time {
            stream_time = time;
            let mut gone: Vec<(i64, i64, String)> = Vec::new();
            for side in [0, 1] {
                sides[side].retain(|(key, value, time, waits)| {
                    let closed = *waits && close(side, *time) < stream_time;
                    if closed {
                        gone.push((close(side, *time), *value, alone(side, key, *value, *time)));
                    }
                    !closed
                });
            }
            // Values rise with the rows.
            gone.sort();
            out.extend(gone.into_iter().map(|(_, _, text)| text));
        }
        side_times[side] = side_times[side].max(time);
        let kept = before + after + grace;
        let floors = side_times.map(|now: i64| now.saturating_sub(kept));
        let mut partners: Vec<&mut Kept> = sides[1 - side]
            .iter_mut()
            .filter(|other| {
                let (left, right) = if side == 0 { (time, other.2) } else { (other.2, time) };
                other.0 == *key
                    && other.2 >= floors[1 - side]
                    && left - before <= right
                    && right <= left + after
            })
            .collect();
        partners.sort_by_key(|other| (other.2, other.1));
        let matched = !partners.is_empty();
        for other in partners {
            other.3 = false;
            let (left, right) = if side == 0 { (value, other.1) } else { (other.1, value) };
            out.push(format!("{key} {left} {key} {right} {key} @{}", time.max(other.2)));
        }
        let unmatched = !matched && outer(side);
        let at_once = eager || time + [after, before][side] < stream_time;
        if unmatched && at_once {
            out.push(alone(side, key, value, time));
        }
        if time < floors[side] {
            late += 1;
            continue;
        }
        sides[side].push((key, value, time, unmatched && !at_once));
    }
    (out, late)
}

#[test]
fn any_split_gives_the_oracles_rows() {
    let lengths = [(10, 10, Some(5)), (20, 0, Some(0)), (0, 15, Some(30)), (10, 5, None)];
    for seed in [1, 2, 3] {
        let rows = random_rows(seed, 250);
        for kind in [Inner, Left, Right, Full] {
            for lengths in lengths {
                let node = plan(kind, within(lengths.0, lengths.1, lengths.2));
                let (want, late) = oracle(kind, lengths, &rows);
                for size in [1, 7, 1000] {
                    for flush_rows in [1, 13, 1000] {
                        for cache_bytes_max in [0, usize::MAX] {
                            for crash in [false, true] {
                                let cut = Cut { size, flush_rows, cache_bytes_max, crash };
                                let output = run_cut(&node, &rows, cut);
                                let context = format!("seed {seed} {kind:?} {lengths:?} {cut:?}");
                                assert_eq!(texts(&output, usize::MAX), want, "{context}");
                                assert_eq!(output.late_records, late, "{context}");
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How rows are cut and what happens between.
#[derive(Debug, Clone, Copy)]
struct Cut {
    size: usize,
    flush_rows: usize,
    cache_bytes_max: usize,
    /// Go on with a new operator after each commit.
    crash: bool,
}

fn run_cut(node: &JoinNode, rows: &[Row], cut: Cut) -> Output {
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut op = operator(node, cut.cache_bytes_max);
    for rows in rows.chunks(cut.flush_rows) {
        push_all(&mut *op, node, rows, cut.size, &mut state, &mut output);
        flush(&mut *op, &mut state, &mut output, false).unwrap();
        if cut.crash {
            let progress = op.progress();
            op = operator(node, cut.cache_bytes_max);
            op.restore(&progress);
        }
    }
    output
}

#[test]
fn old_rows_leave_the_stores() {
    let node = plan(Full, within(10, 10, Some(0)));
    let rows: Vec<Row> = (0..100).map(|i| (i % 2, Some("a"), Some(1), 100 * i as i64)).collect();
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut op = operator(&node, usize::MAX);
    for row in rows {
        push(&mut *op, row.0, batch(&node, &[row]), &mut state, &mut output, false).unwrap();
        flush(&mut *op, &mut state, &mut output, false).unwrap();
    }
    let left: Vec<usize> = state.stores.values().map(|store| store.len()).collect();
    assert!(left.iter().all(|entries| *entries <= 1), "{left:?}");
}

#[test]
fn the_clock_gives_up_rows() {
    let node = plan(Left, within(10, 10, Some(2)));
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut op = operator(&node, usize::MAX);
    assert_eq!(op.next_close(&state).unwrap(), i64::MAX);
    push_all(&mut *op, &node, &[(0, Some("a"), Some(1), 100)], 1, &mut state, &mut output);
    assert_eq!(op.next_close(&state).unwrap(), 113);
    flush(&mut *op, &mut state, &mut output, false).unwrap();
    // Also after a restart.
    let mut again = operator(&node, usize::MAX);
    again.restore(&op.progress());
    assert_eq!(again.next_close(&state).unwrap(), 113);
    for (now, want) in [(112, vec![]), (113, vec!["a 1 NULL NULL a @100"])] {
        let mut output = Output::default();
        step(&mut state, &mut output, false, |ctx| again.close(now, ctx)).unwrap();
        assert_eq!(texts(&output, usize::MAX), want, "{now}");
    }
    assert_eq!(again.next_close(&state).unwrap(), i64::MAX);
    // Who was given up meets nobody.
    let mut output = Output::default();
    push_all(&mut *again, &node, &[(1, Some("a"), Some(2), 105)], 1, &mut state, &mut output);
    assert_eq!(texts(&output, usize::MAX), [""; 0]);
}
