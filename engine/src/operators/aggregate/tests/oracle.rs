//! Random rows through operators in batches of any size, against plain folds of the same rows.

use std::collections::BTreeMap;

use millrace_sql::plan::WindowKind::{Hopping, Tumbling};

use super::*;

const KEYS: [&str; 5] = ["a", "b", "c", "dd", "e"];

/// xorshift64*: the same rows from the same seed.
pub(super) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// Rows whose time rises with jitter, some of them late, some without key.
pub(super) fn random_rows(seed: u64, count: usize, jitter_ms: u64) -> Vec<Row> {
    let mut random = Random(seed);
    let mut now = 1_000;
    (0..count)
        .map(|_| {
            now += random.below(8) as i64;
            let key = match random.below(30) {
                0 => None,
                _ => Some(KEYS[random.below(5) as usize]),
            };
            let time = now - random.below(jitter_ms + 1) as i64;
            (key, random.below(100) as i64 - 20, time)
        })
        .collect()
}

/// How rows are cut and what happens between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub batch: usize,
    /// Commit after so many rows.
    pub flush_rows: usize,
    /// Replace the operator by a new one at each commit.
    pub crash: bool,
    pub coalesce: bool,
    pub cache_bytes_max: usize,
}

pub(super) fn run_split(node: &AggregateNode, rows: &[Row], split: Split) -> (Output, MemState) {
    let (mut state, mut output) = (MemState::default(), Output::default());
    let make = || operator_of_bytes(node, false, split.cache_bytes_max);
    let mut operator = make();
    for rows in rows.chunks(split.flush_rows) {
        for rows in rows.chunks(split.batch) {
            push(&mut *operator, 0, batch(rows), &mut state, &mut output, split.coalesce).unwrap();
        }
        flush(&mut *operator, &mut state, &mut output, split.coalesce).unwrap();
        if split.crash {
            let progress = operator.progress();
            // What an aborted transaction did is forgotten: by `reset` or by a new operator.
            let mut scratch = (state.clone(), Output::default());
            let rows = [(Some("a"), 1_000_000, 9_000)];
            push(&mut *operator, 0, batch(&rows), &mut scratch.0, &mut scratch.1, true).unwrap();
            if progress[2] % 2 == 0 {
                operator = make();
            } else {
                operator.reset();
            }
            operator.restore(&progress);
        }
    }
    (output, state)
}

/// All cuts that must agree.
pub(super) fn splits(coalesce: bool) -> Vec<Split> {
    let mut splits = Vec::new();
    for batch in [1, 7, 1000] {
        for flush_rows in [1, 13, 5000] {
            for crash in [false, true] {
                for cache_bytes_max in [0, usize::MAX] {
                    splits.push(Split { batch, flush_rows, crash, coalesce, cache_bytes_max });
                }
            }
        }
    }
    splits
}

/// Count, sum, latest value, latest time.
type Fold = (i64, i64, i64, i64);

#[derive(Default)]
struct Oracle {
    groups: BTreeMap<(i64, String), Fold>,
    stream_time: i64,
    each: Vec<String>,
    last: Vec<String>,
    late: u64,
}

fn text(key: &str, bounds: Option<(i64, i64)>, fold: Fold) -> String {
    let (count, sum, latest, time) = fold;
    match bounds {
        Some((start, end)) => format!("{key} {start} {end} {count} {sum} {latest} @{time}"),
        None => format!("{key} {count} {sum} {latest} @{time}"),
    }
}

fn fold(old: Option<&Fold>, value: i64, time: i64) -> Fold {
    let (count, sum, _, latest) = old.copied().unwrap_or((0, 0, 0, i64::MIN));
    (count + 1, sum + value, value, latest.max(time))
}

fn oracle(rows: &[Row], window: Option<(i64, i64, i64)>) -> Oracle {
    let mut oracle = Oracle::default();
    for (key, value, time) in rows {
        let Some(key) = key else { continue };
        let Some((size, advance, grace)) = window else {
            let group = oracle.groups.entry((0, key.to_string())).or_insert((0, 0, 0, i64::MIN));
            *group = fold(Some(group), *value, *time);
            oracle.each.push(text(key, None, *group));
            continue;
        };
        oracle.stream_time = oracle.stream_time.max(*time);
        let mut taken = false;
        for start in (0..=*time).filter(|start| start % advance == 0) {
            if start + size <= *time || start + size + grace <= oracle.stream_time {
                continue;
            }
            taken = true;
            let id = (start, key.to_string());
            let group = fold(oracle.groups.get(&id), *value, *time);
            oracle.groups.insert(id, group);
            oracle.each.push(text(key, Some((start, start + size)), group));
        }
        oracle.late += u64::from(!taken);
    }
    for ((start, key), group) in &oracle.groups {
        let bounds = window.map(|(size, ..)| (*start, start + size));
        oracle.last.push(text(key, bounds, *group));
    }
    oracle
}

/// The last text per key columns.
pub(super) fn folded(texts: Vec<String>, keys: usize) -> Vec<String> {
    let mut last = BTreeMap::new();
    for text in texts {
        let key: Vec<String> = text.split(' ').take(keys).map(str::to_string).collect();
        last.insert(key, text);
    }
    let mut texts: Vec<String> = last.into_values().collect();
    texts.sort();
    texts
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn any_split_gives_the_oracles_rows() {
    let windows = [
        None,
        Some((Tumbling { size_ms: 50 }, 50, 0)),
        Some((Tumbling { size_ms: 20 }, 20, 30)),
        Some((Hopping { size_ms: 30, advance_ms: 10 }, 10, 15)),
        Some((Hopping { size_ms: 25, advance_ms: 10 }, 10, 0)),
    ];
    for seed in [1, 2, 3] {
        let rows = random_rows(seed, 300, 40);
        for case in windows {
            let node = plan(case.map(|(kind, _, grace)| window(kind, grace)), false, false);
            let sizes = case.map(|(kind, advance, grace)| match kind {
                Tumbling { size_ms } | Hopping { size_ms, .. } => (size_ms, advance, grace),
                _ => unreachable!("time windows only"),
            });
            let want = oracle(&rows, sizes);
            let keys = key_columns(&node);
            for split in splits(false) {
                let (output, state) = run_split(&node, &rows, split);
                assert_eq!(texts(&output, keys), want.each, "seed {seed} {case:?} {split:?}");
                assert_eq!(output.late_records, want.late, "seed {seed} {case:?} {split:?}");
                if case.is_none() {
                    assert_eq!(sorted(stored(&node, &state)), sorted(want.last.clone()));
                }
            }
            for split in splits(true) {
                let (output, _) = run_split(&node, &rows, split);
                let got = folded(texts(&output, keys), keys);
                assert_eq!(got, sorted(want.last.clone()), "seed {seed} {case:?} {split:?}");
            }
        }
    }
}

#[test]
fn any_split_gives_the_same_final_rows() {
    let windows = [
        (Tumbling { size_ms: 50 }, (50, 50, 0)),
        (Tumbling { size_ms: 20 }, (20, 20, 30)),
        (Hopping { size_ms: 30, advance_ms: 10 }, (30, 10, 15)),
    ];
    for seed in [4, 5] {
        let rows = random_rows(seed, 300, 40);
        for (kind, sizes) in windows {
            let node = plan(Some(window(kind, sizes.2)), true, false);
            let oracle = oracle(&rows, Some(sizes));
            let (size, _, grace) = sizes;
            let closed = oracle
                .groups
                .iter()
                .filter(|((start, _), _)| start + size + grace <= oracle.stream_time);
            let want: Vec<String> = closed
                .map(|((start, key), fold)| text(key, Some((*start, start + size)), *fold))
                .collect();
            for split in splits(false).into_iter().chain(splits(true)) {
                let (output, _) = run_split(&node, &rows, split);
                assert_eq!(texts(&output, 3), want, "seed {seed} {kind:?} {split:?}");
            }
        }
    }
}

#[test]
fn expired_windows_leave_the_store() {
    let node = plan(Some(window(Tumbling { size_ms: 10 }, 20)), false, false);
    let rows = [(Some("a"), 1, 5), (Some("a"), 2, 15), (Some("a"), 3, 49)];
    let split = Split {
        batch: 1,
        flush_rows: 1,
        crash: false,
        coalesce: true,
        cache_bytes_max: usize::MAX,
    };
    let (_, state) = run_split(&node, &rows, split);
    assert_eq!(stored(&node, &state), ["a 10 20 1 2 2 @15", "a 40 50 1 3 3 @49"]);
}

#[test]
fn new_windows_do_not_ask_the_store() {
    let node = plan(Some(window(Tumbling { size_ms: 10 }, 0)), false, false);
    let rows = random_rows(9, 500, 0);
    let mut split = splits(true)[0];
    (split.batch, split.flush_rows, split.cache_bytes_max) = (7, 14, usize::MAX);
    let (_, state) = run_split(&node, &rows, split);
    assert_eq!(state.reads.get(), 0);
}
