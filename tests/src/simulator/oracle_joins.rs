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
fn ordered(inputs: &[Input], partition: u32) -> Vec<&Input> {
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
