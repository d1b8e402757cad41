//! What is left of the values of a table that come and go, against all of them sorted.

use super::*;
use crate::aggs::make_for_table;
use crate::aggs::of_table::VALUES_MAX;
use crate::seams::{Entropy, SeededEntropy};

/// Rows that come (true) and go, of few different values.
fn history(seed: u64, rows: usize) -> Vec<(Option<i32>, bool)> {
    let random = SeededEntropy::new(seed);
    let (mut there, mut all) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let below = |n: u64| (random.next_u64() % n) as usize;
        if there.is_empty() || below(3) > 0 {
            let value = (below(9) > 0).then(|| below(7) as i32 - 3);
            there.push(value);
            all.push((value, true));
        } else {
            all.push((there.swap_remove(below(there.len() as u64)), false));
        }
    }
    all
}

fn expected(function: &str, there: &[i32]) -> String {
    let mut sorted = there.to_vec();
    sorted.sort_by(|a, b| b.cmp(a));
    let text = |value: Option<&i32>| value.map_or("NULL".to_string(), i32::to_string);
    match function {
        "MAX" => text(sorted.first()),
        "MIN" => text(sorted.last()),
        _ => {
            if function == "TOPKDISTINCT" {
                sorted.dedup();
            }
            let top: Vec<String> = sorted.iter().take(3).map(i32::to_string).collect();
            format!("[{}]", top.join(", "))
        }
    }
}

#[test]
fn what_is_left_counts() {
    for seed in 0..20 {
        let history = history(seed, 60);
        for function in ["MIN", "MAX", "TOPK", "TOPKDISTINCT"] {
            let top = function.starts_with("TOPK");
            let params = if top { vec![ScalarValue::Int32(Some(3))] } else { vec![] };
            let returns = if top { list(Integer) } else { Integer };
            let call = call(function, &[Integer], &params, returns);
            let mut agg = make_for_table(&call).unwrap();
            agg.grow(1);
            let mut there: Vec<i32> = Vec::new();
            for (at, (value, comes)) in history.iter().enumerate() {
                let undo = BooleanBuffer::from(vec![!comes]);
                let args = [ints(&[*value])];
                let rows = Rows { undo: Some(&undo), ..rows(&[0], &args, at as i64) };
                let each = texts(&agg.update_each(&rows).unwrap());
                match (value, comes) {
                    (Some(value), true) => there.push(*value),
                    (Some(value), false) => {
                        let at = there.iter().position(|v| v == value).unwrap();
                        there.remove(at);
                    }
                    (None, _) => {}
                }
                assert_eq!(each, [expected(function, &there)], "{function} seed {seed} row {at}");
                // It is saved and loaded at any time.
                let mut saved = Vec::new();
                agg.save(0, &mut saved);
                let mut loaded = make_for_table(&call).unwrap();
                loaded.grow(1);
                let mut reader = Reader::new(&saved);
                loaded.load(0, &mut reader).unwrap();
                reader.finish().unwrap();
                assert!((0..saved.len()).all(|len| {
                    let mut cut = make_for_table(&call).unwrap();
                    cut.grow(1);
                    cut.load(0, &mut Reader::new(&saved[..len])).is_err()
                }));
                agg = loaded;
            }
        }
    }
}

#[test]
fn text_and_doubles_are_ordered() {
    for (function, ty, args, want) in [
        ("MAX", Text, strings(&[Some("b"), Some("a"), Some("c")]), "c"),
        ("MIN", Text, strings(&[Some("b"), Some("a"), Some("c")]), "a"),
        ("MIN", Double, doubles(&[Some(0.5), Some(-2.5), None]), "-2.5"),
        ("MAX", Bigint, bigints(&[Some(-1), Some(i64::MIN), None]), "-1"),
    ] {
        let mut agg =
            make_for_table(&call(function, std::slice::from_ref(&ty), &[], ty.clone())).unwrap();
        agg.grow(1);
        agg.update(&rows(&[0, 0, 0], &[args], 0)).unwrap();
        assert_eq!(texts(&agg.value(&[0]).unwrap()), [want]);
    }
}

#[test]
fn a_group_holds_so_many_values() {
    let mut agg = make_for_table(&call("MAX", &[Integer], &[], Integer)).unwrap();
    agg.grow(1);
    // Ascending values stand first: appended ones are quicker.
    let values: Vec<Option<i32>> = (0..=VALUES_MAX as i32).map(|v| Some(-v)).collect();
    let n = VALUES_MAX;
    agg.update(&rows(&vec![0; n], &[ints(&values[..n])], 0)).unwrap();
    let error = agg.update(&rows(&[0], &[ints(&values[n..])], 0)).unwrap_err().to_string();
    assert!(error.contains("more than 100000 different values"), "{error}");
}
