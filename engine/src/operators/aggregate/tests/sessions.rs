//! Session windows: cases, and an oracle that keeps a list of sessions.

use std::collections::BTreeMap;

use millrace_sql::plan::WindowKind::Session;

use super::oracle::{random_rows, run_split, splits};
use super::*;

fn sessions(gap_ms: i64, grace_ms: i64, emit_final: bool) -> AggregateNode {
    plan(Some(window(Session { gap_ms }, grace_ms)), emit_final, false)
}

fn check(node: &AggregateNode, rows: &[Row], want: &[&str], want_coalesced: &[&str]) {
    assert_eq!(texts(&run(node, rows, false), 3), want);
    assert_eq!(texts(&run(node, rows, true), 3), want_coalesced, "coalesced");
}

#[test]
fn a_merge_emits_tombstones_and_then_the_merged_session() {
    let rows = [(Some("a"), 1, 10), (Some("a"), 2, 20), (Some("b"), 9, 21), (Some("a"), 4, 15)];
    let each = [
        "a 10 10 1 1 1 @10",
        "a 20 20 1 2 2 @20",
        "b 21 21 1 9 9 @21",
        "-a 10 10 @10",
        "-a 20 20 @20",
        "a 10 20 3 7 4 @20",
    ];
    check(&sessions(5, 100, false), &rows, &each, &["a 10 20 3 7 4 @20", "b 21 21 1 9 9 @21"]);
}

#[test]
fn a_row_at_a_sessions_only_instant_replaces_the_value() {
    let rows = [(Some("a"), 1, 10), (Some("a"), 2, 10), (Some("a"), 4, 12), (Some("a"), 8, 11)];
    let each = [
        "a 10 10 1 1 1 @10",
        "a 10 10 2 3 2 @10",
        "-a 10 10 @10",
        "a 10 12 3 7 4 @12",
        "-a 10 12 @12",
        "a 10 12 4 15 8 @12",
    ];
    check(&sessions(5, 100, false), &rows, &each, &["a 10 12 4 15 8 @12"]);
}

#[test]
fn commits_between_rows_remember_what_was_emitted() {
    let node = sessions(5, 100, false);
    let rows = [(Some("a"), 1, 10), (Some("a"), 2, 20), (Some("a"), 4, 15), (Some("a"), 8, 16)];
    let mut split = splits(true)[0];
    (split.flush_rows, split.batch) = (1, 1);
    let want = [
        "a 10 10 1 1 1 @10",
        "a 20 20 1 2 2 @20",
        "-a 10 10 @10",
        "-a 20 20 @20",
        "a 10 20 3 7 4 @20",
        "a 10 20 4 15 8 @20",
    ];
    for crash in [false, true] {
        split.crash = crash;
        let (output, state) = run_split(&node, &rows, split);
        assert_eq!(texts(&output, 3), want);
        assert_eq!(stored(&node, &state), ["a 10 20 4 15 8 @20"]);
    }
}

#[test]
fn old_values_of_sessions() {
    let node = sessions(5, 100, false);
    let rows = [(Some("a"), 1, 10), (Some("a"), 2, 10), (Some("a"), 4, 12)];
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut op = operator(&node, true);
    push(&mut *op, 0, batch(&rows), &mut state, &mut output, false).unwrap();
    let want = [
        "a 10 10 1 1 1 @10 < none",
        "a 10 10 2 3 2 @10 < a 10 10 1 1 1",
        "-a 10 10 @10 < a 10 10 2 3 2",
        "a 10 12 3 7 4 @12 < none",
    ];
    assert_eq!(texts(&output, 3), want);
    flush(&mut *op, &mut state, &mut output, false).unwrap();
    let mut output = Output::default();
    for rows in [[(Some("a"), 8, 11)], [(Some("a"), 16, 17)]] {
        push(&mut *op, 0, batch(&rows), &mut state, &mut output, true).unwrap();
    }
    flush(&mut *op, &mut state, &mut output, true).unwrap();
    let want = ["-a 10 12 @12 < a 10 12 3 7 4", "a 10 17 5 31 16 @17 < none"];
    assert_eq!(texts(&output, 3), want);
}

#[test]
fn final_sessions_come_once() {
    let rows = [
        (Some("b"), 1, 10),
        (Some("a"), 2, 12),
        (Some("b"), 4, 14),
        (Some("c"), 8, 18),
        (Some("c"), 16, 20),
        (Some("a"), 32, 15),
    ];
    let want = ["a 12 12 1 2 2 @12", "b 10 14 2 5 4 @14"];
    check(&sessions(5, 0, true), &rows, &want, &want);
    let (output, _) = run_split(&sessions(5, 0, true), &rows, splits(true)[0]);
    assert_eq!(texts(&output, 3), want);
}

#[test]
fn expired_sessions_leave_the_store() {
    let node = sessions(5, 10, false);
    let rows = [(Some("a"), 1, 10), (Some("b"), 2, 20), (Some("a"), 4, 40)];
    let (_, state) = run_split(&node, &rows, splits(true)[0]);
    assert_eq!(stored(&node, &state), ["a 40 40 1 4 4 @40"]);
    assert_eq!(state.stores[&(store(1), Shape::WindowFirst)].len(), 1);
}

/// Start, end, count, sum, latest value, row that brought it.
type Open = (i64, i64, i64, i64, i64, usize);

#[derive(Default)]
struct Oracle {
    open: BTreeMap<String, Vec<Open>>,
    each: Vec<String>,
    closed: Vec<(i64, String, String)>,
    late: u64,
}

fn text(key: &str, session: &Open) -> String {
    let (start, end, count, sum, latest, _) = session;
    format!("{key} {start} {end} {count} {sum} {latest} @{end}")
}

/// One row after the other, as the reference describes sessions.
fn oracle(rows: &[Row], gap: i64, grace: i64, emit_final: bool) -> Oracle {
    let mut oracle = Oracle::default();
    let mut stream_time = i64::MIN;
    for (i, (key, value, time)) in rows.iter().enumerate() {
        let Some(key) = key else { continue };
        stream_time = stream_time.max(*time);
        let closed_to = stream_time - gap - grace;
        let sessions = oracle.open.entry(key.to_string()).or_default();
        let near = |s: &&Open| s.1 >= time - gap && s.0 <= time + gap && s.1 >= closed_to;
        let merged: Vec<Open> = sessions.iter().filter(near).copied().collect();
        let mut new = (*time, *time, 1, *value, *value, i);
        for session in &merged {
            new.0 = new.0.min(session.0);
            new.1 = new.1.max(session.1);
            new.2 += session.2;
            new.3 += session.3;
        }
        if new.1 < closed_to {
            oracle.late += 1;
        } else {
            if (new.0, new.1) != (*time, *time) {
                let mut merged = merged.clone();
                merged.sort();
                for session in &merged {
                    let (start, end, ..) = session;
                    oracle.each.push(format!("-{key} {start} {end} @{end}"));
                }
            }
            sessions.retain(|session| !merged.contains(session));
            sessions.push(new);
            oracle.each.push(text(key, &new));
        }
        if !emit_final {
            continue;
        }
        for (key, sessions) in &mut oracle.open {
            let ended = sessions.iter().filter(|session| session.1 < closed_to);
            oracle.closed.extend(ended.map(|s| (s.1, key.clone(), text(key, s))));
            sessions.retain(|session| session.1 >= closed_to);
        }
    }
    // Closed by end, then key.
    oracle.closed.sort();
    oracle
}

/// What a reader holds that applies rows and tombstones by key and bounds.
fn view(texts: Vec<String>) -> Vec<String> {
    let mut view = BTreeMap::new();
    for text in texts {
        let bare = text.trim_start_matches('-');
        let key: Vec<String> = bare.split(' ').take(3).map(str::to_string).collect();
        match text.starts_with('-') {
            true => view.remove(&key),
            false => view.insert(key, text),
        };
    }
    let mut rows: Vec<String> = view.into_values().collect();
    rows.sort();
    rows
}

#[test]
fn any_split_gives_the_oracles_sessions() {
    for seed in [1, 2, 3] {
        let rows = random_rows(seed, 300, 40);
        for (gap, grace) in [(10, 0), (20, 30), (3, 5), (0, 10)] {
            let want = oracle(&rows, gap, grace, false);
            let node = sessions(gap, grace, false);
            for split in splits(false) {
                let (output, _) = run_split(&node, &rows, split);
                let context = format!("seed {seed} gap {gap} grace {grace} {split:?}");
                assert_eq!(texts(&output, 3), want.each, "{context}");
                assert_eq!(output.late_records, want.late, "{context}");
            }
            for split in splits(true) {
                let (output, _) = run_split(&node, &rows, split);
                let context = format!("seed {seed} gap {gap} grace {grace} {split:?}");
                assert_eq!(view(texts(&output, 3)), view(want.each.clone()), "{context}");
            }
        }
    }
}

#[test]
fn any_split_gives_the_same_final_sessions() {
    for seed in [4, 5, 6] {
        let rows = random_rows(seed, 300, 40);
        for (gap, grace) in [(10, 0), (20, 30), (3, 5), (0, 10)] {
            let want = oracle(&rows, gap, grace, true);
            let want: Vec<String> = want.closed.into_iter().map(|(_, _, text)| text).collect();
            let node = sessions(gap, grace, true);
            for split in splits(false).into_iter().chain(splits(true)) {
                let (output, _) = run_split(&node, &rows, split);
                let context = format!("seed {seed} gap {gap} grace {grace} {split:?}");
                assert_eq!(texts(&output, 3), want, "{context}");
            }
        }
    }
}
