//! What queries must come to that ksqlDB refuses.

use std::collections::BTreeMap;

use super::compare::Expected;
use super::inputs::Input;
use super::oracle::{json, last};

const WITHIN: i64 = 1_000;

fn row(key: &str, v: Option<i64>, w: Option<i64>) -> (Vec<u8>, String) {
    (key.as_bytes().to_vec(), json(&[("V", v), ("W", w)]))
}

/// All pairs of rows of one stream that are near enough, the lesser one first.
pub fn self_join(inputs: &[Input], _: bool) -> Expected {
    let mut rows = Vec::new();
    for left in inputs {
        let partners = inputs.iter().filter(|right| {
            right.key == left.key
                && (right.time - left.time).abs() <= WITHIN
                && left.value < right.value
        });
        rows.extend(partners.map(|right| row(&left.key, left.value, right.value)));
    }
    Expected::Bag(rows)
}

/// Rows of the left table, with the right one's value where it is greater.
pub fn left_if_greater(inputs: &[Input], _: bool) -> Expected {
    let (left, right) = (last(inputs, "t"), last(inputs, "u"));
    let rows = left.into_iter().map(|(key, left)| {
        let w = right.get(key).and_then(|right| right.value).filter(|w| left.value < Some(*w));
        row(key, left.value, w)
    });
    Expected::Table(rows.collect::<BTreeMap<_, _>>())
}

/// Groups by the remainder of their counts by three.
pub fn groups_of_groups(inputs: &[Input], _: bool) -> Expected {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut groups: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for input in inputs {
        let count = counts.entry(&input.group).or_default();
        *count += 1;
    }
    for count in counts.into_values() {
        let (n, sum) = groups.entry(count % 3).or_default();
        (*n, *sum) = (*n + 1, *sum + count);
    }
    let row = |(key, (n, w)): (i64, _)| {
        (key.to_be_bytes().to_vec(), json(&[("N", Some(n)), ("W", Some(w))]))
    };
    Expected::Table(groups.into_iter().map(row).collect())
}

pub fn union_all(inputs: &[Input], _: bool) -> Expected {
    let mut rows = Vec::new();
    for input in inputs {
        rows.push(row(&input.key, input.value, None));
        if let Some(v) = input.value.filter(|v| input.topic == "s" && *v > 50) {
            rows.push(row(&input.key, Some(v + 1000), None));
        }
    }
    Expected::Bag(rows)
}

/// The least and the greatest value of each group that has rows.
pub fn table_extremes(inputs: &[Input], _: bool) -> Expected {
    let mut groups: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
    for input in last(inputs, "t").into_values() {
        groups.entry(input.group.clone().into_bytes()).or_default().extend(input.value);
    }
    let row = |(key, values): (_, Vec<i64>)| {
        let (least, most) = (values.iter().min().copied(), values.iter().max().copied());
        (key, json(&[("N", least), ("W", most)]))
    };
    Expected::Table(groups.into_iter().map(row).collect())
}
