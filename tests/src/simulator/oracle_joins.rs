//! What joins must come to. Inputs are in the order of event time, and all there from the start.

use std::collections::BTreeMap;

use super::compare::Expected;
use super::inputs::{Input, PARTITIONS};
use super::oracle::{json, last};

const WITHIN: i64 = 1_000;
const GRACE: i64 = 1_000;

fn row(key: &str, v: Option<i64>, w: Option<i64>) -> (Vec<u8>, String) {
    (key.as_bytes().to_vec(), json(&[("V", v), ("W", w)]))
}

/// Per partition in the order of event time; a table's change comes before a stream's row.
pub fn ordered(inputs: &[Input], partition: u32) -> Vec<&Input> {
    let mut own: Vec<&Input> =
        inputs.iter().filter(|input| input.partition() == partition).collect();
    own.sort_by_key(|input| (input.time, input.topic == "s"));
    own
}

pub fn stream_table(inputs: &[Input], _: bool) -> Expected {
    let mut rows: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let mut table: BTreeMap<&str, i64> = BTreeMap::new();
        for input in ordered(inputs, partition) {
            if input.topic == "t" {
                match input.value {
                    Some(v) => table.insert(&input.key, v),
                    None => table.remove(input.key.as_str()),
                };
                continue;
            }
            let found = table.get(input.key.as_str()).copied();
            let (key, value) = row(&input.key, input.value, found);
            rows.entry(key).or_default().push(value);
        }
    }
    Expected::PerKey(rows)
}

/// All pairs that are near enough; left rows without a partner whose time is over.
pub fn stream_stream(inputs: &[Input], _: bool) -> Expected {
    let mut rows = Vec::new();
    for partition in 0..PARTITIONS {
        let own: Vec<&Input> =
            inputs.iter().filter(|input| input.partition() == partition).collect();
        let now = own.iter().map(|input| input.time).max().unwrap_or(i64::MIN);
        for left in own.iter().filter(|input| input.topic == "s") {
            let near = own.iter().filter(|right| {
                right.topic == "r"
                    && right.key == left.key
                    && (right.time - left.time).abs() <= WITHIN
            });
            let pairs: Vec<_> = near.map(|r| row(&left.key, left.value, r.value)).collect();
            if pairs.is_empty() && left.time + WITHIN + GRACE < now {
                rows.push(row(&left.key, left.value, None));
            }
            rows.extend(pairs);
        }
    }
    Expected::Bag(rows)
}

pub fn table_table(inputs: &[Input], _: bool) -> Expected {
    let (left, right) = (last(inputs, "t"), last(inputs, "u"));
    let both = left.into_iter().filter_map(|(key, left)| Some((key, left, right.get(key)?)));
    Expected::Table(both.map(|(key, l, r)| row(key, l.value, r.value)).collect())
}

/// Left rows with the value of the right row that their group names.
fn foreign(inputs: &[Input]) -> impl Iterator<Item = (&Input, String, Option<i64>)> {
    let right = last(inputs, "u");
    last(inputs, "t").into_values().map(move |left| {
        let name = left.group.replace('g', "k");
        let found = right.get(name.as_str()).and_then(|right| right.value);
        (left, name, found)
    })
}

pub fn foreign_inner(inputs: &[Input], _: bool) -> Expected {
    let rows = foreign(inputs).filter(|(_, _, found)| found.is_some());
    Expected::Table(rows.map(|(left, _, w)| row(&left.key, left.value, w)).collect())
}

pub fn foreign_left(inputs: &[Input], _: bool) -> Expected {
    Expected::Table(foreign(inputs).map(|(left, _, w)| row(&left.key, left.value, w)).collect())
}

/// Joined rows by the right key. A group that has lost all its rows is deleted.
pub fn foreign_group(inputs: &[Input], _: bool) -> Expected {
    let mut groups: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for (left, name, _) in foreign(inputs).filter(|(_, _, found)| found.is_some()) {
        let (count, sum) = groups.entry(name).or_default();
        (*count, *sum) = (*count + 1, *sum + left.value.unwrap_or(0));
    }
    let row =
        |(key, (n, w)): (String, _)| (key.into_bytes(), json(&[("N", Some(n)), ("W", Some(w))]));
    Expected::Table(groups.into_iter().map(row).collect())
}
