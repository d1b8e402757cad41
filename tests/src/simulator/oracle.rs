//! What each query must come to: plain folds over the input, written without the engine.

use std::collections::BTreeMap;

use super::compare::Expected;
use super::inputs::{Input, PARTITIONS};

const FILTER_ABOVE: i64 = 30;
const TABLE_FILTER_ABOVE: i64 = 50;

/// JSON as sinks write it, members by name.
pub fn json(members: &[(&str, Option<i64>)]) -> String {
    let members = members.iter().filter_map(|(name, v)| v.map(|v| format!("\"{name}\":{v}")));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

pub fn filter(inputs: &[Input], _: bool) -> Expected {
    let mut rows: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for input in inputs {
        let Some(v) = input.value.filter(|v| *v > FILTER_ABOVE) else { continue };
        let value = format!("{{\"G\":\"{}\",\"W\":{}}}", input.group, v * 2);
        rows.entry(input.key.clone().into_bytes()).or_default().push(value);
    }
    Expected::PerKey(rows)
}

/// As [`filter`], without rows whose number has three digits: the topic does not take them.
pub fn narrow(inputs: &[Input], coalesce: bool) -> Expected {
    let fits = |input: &&Input| input.value.is_some_and(|v| v * 2 < 100);
    let inputs: Vec<Input> = inputs.iter().filter(fits).cloned().collect();
    filter(&inputs, coalesce)
}

pub fn count(inputs: &[Input], coalesce: bool) -> Expected {
    counts(inputs.iter(), coalesce)
}

pub fn chain(inputs: &[Input], coalesce: bool) -> Expected {
    counts(inputs.iter().filter(|input| input.value > Some(FILTER_ABOVE)), coalesce)
}

fn counts<'a>(inputs: impl Iterator<Item = &'a Input>, coalesce: bool) -> Expected {
    let groups = inputs.map(|input| (input.group.clone().into_bytes(), None));
    running(groups.map(|(key, v): (_, Option<i64>)| (key, v)), coalesce)
}

/// Counts, and sums where there are values; every change unless changes are merged.
pub fn running(rows: impl Iterator<Item = (Vec<u8>, Option<i64>)>, coalesce: bool) -> Expected {
    let mut groups: BTreeMap<Vec<u8>, (i64, Option<i64>)> = BTreeMap::new();
    let mut changes: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for (key, value) in rows {
        let (count, sum) = groups.entry(key.clone()).or_default();
        *count += 1;
        *sum = value.map(|v| v + sum.unwrap_or(0)).or(*sum);
        changes.entry(key).or_default().push(json(&[("N", Some(*count)), ("W", *sum)]));
    }
    if !coalesce {
        return Expected::PerKey(changes);
    }
    let last = |(key, rows): (Vec<u8>, Vec<String>)| Some((key, rows.last()?.clone()));
    Expected::Table(changes.into_iter().filter_map(last).collect())
}

/// Key with window start, and value, of a row.
pub type Counted = (Vec<u8>, Option<i64>);

/// A window per row; rows of windows that the partition's stream time has closed are late.
pub struct Windows {
    pub size: i64,
    pub advance: i64,
    pub grace: i64,
}

impl Windows {
    /// Key with window start and value of each row that counts, and stream time per partition.
    pub fn assign(&self, inputs: &[Input]) -> (Vec<Counted>, Vec<i64>) {
        let mut now = vec![i64::MIN; PARTITIONS as usize];
        let mut rows = Vec::new();
        for input in inputs {
            let now = &mut now[input.partition() as usize];
            *now = (*now).max(input.time);
            let mut start = (input.time / self.advance) * self.advance;
            let mut starts = Vec::new();
            while start > input.time - self.size && start >= 0 {
                starts.push(start);
                start -= self.advance;
            }
            let open = starts.into_iter().rev().filter(|s| s + self.size + self.grace > *now);
            rows.extend(open.map(|start| (time_key(&input.key, start), input.value)));
        }
        (rows, now)
    }
}

pub fn time_key(key: &str, start: i64) -> Vec<u8> {
    [key.as_bytes(), &start.to_be_bytes()].concat()
}

pub fn tumbling(inputs: &[Input], coalesce: bool) -> Expected {
    let windows = Windows { size: 10_000, advance: 10_000, grace: 3_000 };
    running(windows.assign(inputs).0.into_iter(), coalesce)
}

pub fn hopping(inputs: &[Input], coalesce: bool) -> Expected {
    let windows = Windows { size: 10_000, advance: 4_000, grace: 3_000 };
    running(windows.assign(inputs).0.into_iter(), coalesce)
}

/// Each closed window once.
pub fn emit_final(inputs: &[Input], _: bool) -> Expected {
    let windows = Windows { size: 5_000, advance: 5_000, grace: 2_000 };
    let mut rows = Vec::new();
    for partition in 0..PARTITIONS {
        let own: Vec<Input> =
            inputs.iter().filter(|input| input.partition() == partition).cloned().collect();
        let (assigned, now) = windows.assign(&own);
        let now = now[partition as usize];
        let Expected::Table(table) = running(assigned.into_iter(), true) else { continue };
        let closed = |key: &[u8]| {
            let start = key.last_chunk::<8>().map_or(0, |start| i64::from_be_bytes(*start));
            start + windows.size + windows.grace <= now
        };
        rows.extend(table.into_iter().filter(|(key, _)| closed(key)));
    }
    Expected::Bag(rows)
}

const SESSION_GAP: i64 = 1_000;
const SESSION_FINAL_GRACE: i64 = 2_000;

/// Sessions of a key: start, end, count, sum.
pub fn sessions(inputs: &[Input]) -> BTreeMap<String, Vec<(i64, i64, i64, i64)>> {
    let mut sorted: Vec<&Input> = inputs.iter().collect();
    sorted.sort_by_key(|input| input.time);
    let mut keys: BTreeMap<String, Vec<(i64, i64, i64, i64)>> = BTreeMap::new();
    for input in sorted {
        let (sessions, v) = (keys.entry(input.key.clone()).or_default(), input.value.unwrap_or(0));
        match sessions.last_mut() {
            Some((_, end, count, sum)) if input.time - *end <= SESSION_GAP => {
                (*end, *count, *sum) = (input.time, *count + 1, *sum + v);
            }
            _ => sessions.push((input.time, input.time, 1, v)),
        }
    }
    keys
}

pub fn session_row(key: &str, session: (i64, i64, i64, i64)) -> (Vec<u8>, String) {
    let (start, end, count, sum) = session;
    let key = [key.as_bytes(), &end.to_be_bytes(), &start.to_be_bytes()].concat();
    (key, json(&[("N", Some(count)), ("W", Some(sum))]))
}

pub fn session(inputs: &[Input], _: bool) -> Expected {
    let rows = sessions(inputs).into_iter().flat_map(|(key, sessions)| {
        sessions.into_iter().map(move |session| session_row(&key, session))
    });
    Expected::Table(rows.collect())
}

pub fn session_final(inputs: &[Input], _: bool) -> Expected {
    let mut rows = Vec::new();
    for partition in 0..PARTITIONS {
        let own: Vec<Input> =
            inputs.iter().filter(|input| input.partition() == partition).cloned().collect();
        let now = own.iter().map(|input| input.time).max().unwrap_or(i64::MIN);
        for (key, sessions) in sessions(&own) {
            let closed =
                sessions.into_iter().filter(|s| s.1 + SESSION_GAP + SESSION_FINAL_GRACE < now);
            rows.extend(closed.map(|session| session_row(&key, session)));
        }
    }
    Expected::Bag(rows)
}

/// The table as it stands in the end.
pub fn last<'a>(inputs: &'a [Input], topic: &str) -> BTreeMap<&'a str, &'a Input> {
    let mut table = BTreeMap::new();
    for input in inputs.iter().filter(|input| input.topic == topic) {
        match input.value {
            Some(_) => table.insert(input.key.as_str(), input),
            None => table.remove(input.key.as_str()),
        };
    }
    table
}

pub fn table_filter(inputs: &[Input], _: bool) -> Expected {
    let rows = last(inputs, "t").into_iter().filter(|(_, i)| i.value > Some(TABLE_FILTER_ABOVE));
    let row = |(key, input): (&str, &Input)| (key.as_bytes().to_vec(), json(&[("W", input.value)]));
    Expected::Table(rows.map(row).collect())
}

/// A group that has lost all its rows keeps a row of its own.
pub fn table_group(inputs: &[Input], _: bool) -> Expected {
    let mut groups: BTreeMap<Vec<u8>, (i64, i64)> = BTreeMap::new();
    for input in inputs.iter().filter(|input| input.value.is_some()) {
        groups.entry(input.group.clone().into_bytes()).or_default();
    }
    for input in last(inputs, "t").into_values() {
        let (count, sum) = groups.entry(input.group.clone().into_bytes()).or_default();
        (*count, *sum) = (*count + 1, *sum + input.value.unwrap_or(0));
    }
    let row = |(key, (n, w))| (key, json(&[("N", Some(n)), ("W", Some(w))]));
    Expected::Table(groups.into_iter().map(row).collect())
}
