//! What tables come to whose rows expire (ROW_TTL).

use std::collections::BTreeMap;

use super::compare::Expected;
use super::inputs::{Input, PARTITIONS};
use super::oracle::json;
use super::oracle_joins::ordered;

const TTL: i64 = 2_000;
/// Rows go in steps of a thousandth of their lifetime.
const STEP: i64 = 2;

fn due(time: i64) -> i64 {
    (time + TTL + STEP - 1) / STEP * STEP
}

/// The rows of one partition, by key: time and what is known of them.
struct Live<'a, T> {
    rows: BTreeMap<&'a str, (i64, T)>,
    now: i64,
}

impl<'a, T> Live<'a, T> {
    fn new() -> Self {
        Live { rows: BTreeMap::new(), now: i64::MIN }
    }

    /// Keys of the rows that are gone by now.
    fn advance(&mut self, now: i64) -> Vec<&'a str> {
        self.now = self.now.max(now);
        let over =
            |(key, (time, _)): (&&'a str, &(i64, T))| (due(*time) <= self.now).then_some(*key);
        let gone: Vec<&str> = self.rows.iter().filter_map(over).collect();
        gone.iter().for_each(|key| drop(self.rows.remove(key)));
        gone
    }

    fn is_over(&self, time: i64) -> bool {
        due(time) <= self.now
    }
}

type Changes = BTreeMap<Vec<u8>, Vec<String>>;

fn tell(changes: &mut Changes, key: &str, value: String) {
    changes.entry(key.as_bytes().to_vec()).or_default().push(value);
}

fn of_partition(inputs: &[Input], partition: u32) -> impl Iterator<Item = &Input> {
    inputs.iter().filter(move |input| input.partition() == partition)
}

/// Counts and sums per key; a group that expired begins anew.
pub fn count(inputs: &[Input], coalesce: bool) -> Expected {
    counts(inputs, coalesce, None)
}

/// As [`count`]; in the end all groups expire by the clock.
pub fn count_and_idle(inputs: &[Input], coalesce: bool) -> Expected {
    counts(inputs, coalesce, Some(i64::MAX))
}

fn counts(inputs: &[Input], coalesce: bool, end: Option<i64>) -> Expected {
    let (mut changes, mut table) = (Changes::new(), BTreeMap::new());
    for partition in 0..PARTITIONS {
        let mut live = Live::new();
        for input in of_partition(inputs, partition) {
            for key in live.advance(input.time) {
                tell(&mut changes, key, "-".to_owned());
            }
            if !live.rows.contains_key(input.key.as_str()) && live.is_over(input.time) {
                continue;
            }
            let (time, (count, sum)) = live.rows.entry(&input.key).or_insert((i64::MIN, (0, 0)));
            (*time, *count) = ((*time).max(input.time), *count + 1);
            *sum += input.value.unwrap_or(0);
            let row = json(&[("N", Some(*count)), ("W", Some(*sum))]);
            tell(&mut changes, &input.key, row);
        }
        for key in end.map(|end| live.advance(end)).unwrap_or_default() {
            tell(&mut changes, key, "-".to_owned());
        }
        let row = |(key, (_, (n, w))): (&str, (i64, (i64, i64)))| {
            (key.as_bytes().to_vec(), json(&[("N", Some(n)), ("W", Some(w))]))
        };
        table.extend(live.rows.into_iter().map(row));
    }
    if coalesce { Expected::Table(table) } else { Expected::PerKey(changes) }
}

/// What a change of a table does: `None`, nothing.
fn change<'a>(live: &mut Live<'a, &'a Input>, input: &'a Input) -> Option<Option<i64>> {
    let key = input.key.as_str();
    if input.value.is_none() {
        live.rows.remove(key);
        return Some(None);
    }
    if live.is_over(input.time) {
        return live.rows.remove(key).map(|_| None);
    }
    live.rows.insert(key, (input.time, input));
    Some(input.value)
}

/// Each change of the table, and the deletions of what expires.
pub fn table(inputs: &[Input], _: bool) -> Expected {
    let mut changes = Changes::new();
    for partition in 0..PARTITIONS {
        let mut live = Live::new();
        for input in of_partition(inputs, partition) {
            for key in live.advance(input.time) {
                tell(&mut changes, key, "-".to_owned());
            }
            let Some(value) = change(&mut live, input) else { continue };
            let row = value.map_or("-".to_owned(), |v| json(&[("W", Some(v))]));
            tell(&mut changes, &input.key, row);
        }
    }
    Expected::PerKey(changes)
}

/// Groups of the rows that live in the end; a group that has lost all of them keeps a row.
pub fn grouped(inputs: &[Input], _: bool) -> Expected {
    let mut groups: BTreeMap<Vec<u8>, (i64, i64)> = BTreeMap::new();
    for partition in 0..PARTITIONS {
        let mut live = Live::new();
        for input in of_partition(inputs, partition) {
            live.advance(input.time);
            if change(&mut live, input).flatten().is_some() {
                groups.entry(input.group.clone().into_bytes()).or_default();
            }
        }
        for (_, input) in live.rows.into_values() {
            let (count, sum) = groups.entry(input.group.clone().into_bytes()).or_default();
            (*count, *sum) = (*count + 1, *sum + input.value.unwrap_or(0));
        }
    }
    let row = |(key, (n, w))| (key, json(&[("N", Some(n)), ("W", Some(w))]));
    Expected::Table(groups.into_iter().map(row).collect())
}

/// Rows of a stream with those of the table that have not expired by then.
pub fn stream_table(inputs: &[Input], _: bool) -> Expected {
    let mut rows = Changes::new();
    for partition in 0..PARTITIONS {
        let mut live = Live::new();
        for input in ordered(inputs, partition) {
            live.advance(input.time);
            if input.topic == "t" {
                change(&mut live, input);
                continue;
            }
            let found = live.rows.get(input.key.as_str()).and_then(|(_, found)| found.value);
            tell(&mut rows, &input.key, json(&[("V", input.value), ("W", found)]));
        }
    }
    Expected::PerKey(rows)
}
