//! What a read-committed reader sees of a topic, and how it is held against what is expected.

use std::collections::BTreeMap;

use millrace_engine::ids::Tp;
use millrace_engine::log::{Log, PollLimits, ReadClass, TopicInfo};

use super::setup::ready;

/// Polls without progress after which a reader gives up.
const IDLE_POLLS_MAX: usize = 3;

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub offset: i64,
    pub time: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// What a sink must hold. Values are JSON without NULL members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Every row, in order per key.
    PerKey(BTreeMap<Vec<u8>, Vec<String>>),
    /// Every row, in any order.
    Bag(Vec<(Vec<u8>, String)>),
    /// The last row per key; deleted keys are not there.
    Table(BTreeMap<Vec<u8>, String>),
}

impl Expected {
    /// The first difference to `rows` (per partition), if there is one.
    pub fn differs(&self, rows: &[Vec<Row>]) -> Option<String> {
        match self {
            Expected::PerKey(want) => difference(want, &per_key(rows)),
            Expected::Bag(want) => difference(&counted(want.clone()), &counted(bag(rows))),
            Expected::Table(want) => difference(want, &table(rows)),
        }
    }
}

fn difference<V: PartialEq + std::fmt::Debug>(
    want: &BTreeMap<Vec<u8>, V>,
    got: &BTreeMap<Vec<u8>, V>,
) -> Option<String> {
    let keys = want.keys().chain(got.keys());
    let key = keys.into_iter().find(|key| want.get(*key) != got.get(*key))?;
    let key_text = key.escape_ascii();
    Some(format!("key {key_text}\n  want {:?}\n  got  {:?}", want.get(key), got.get(key)))
}

fn per_key(rows: &[Vec<Row>]) -> BTreeMap<Vec<u8>, Vec<String>> {
    let mut found: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for row in rows.iter().flatten() {
        found.entry(key_of(row)).or_default().push(value_of(row));
    }
    found
}

fn bag(rows: &[Vec<Row>]) -> Vec<(Vec<u8>, String)> {
    rows.iter().flatten().map(|row| (key_of(row), value_of(row))).collect()
}

/// Values of each key, sorted.
fn counted(rows: Vec<(Vec<u8>, String)>) -> BTreeMap<Vec<u8>, Vec<String>> {
    let mut found: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    rows.into_iter().for_each(|(key, value)| found.entry(key).or_default().push(value));
    found.values_mut().for_each(|values| values.sort_unstable());
    found
}

fn table(rows: &[Vec<Row>]) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    for row in rows.iter().flatten() {
        match row.value {
            Some(_) => found.insert(key_of(row), value_of(row)),
            None => found.remove(&key_of(row)),
        };
    }
    found
}

fn key_of(row: &Row) -> Vec<u8> {
    row.key.clone().unwrap_or_default()
}

fn value_of(row: &Row) -> String {
    let Some(value) = &row.value else { return "-".to_owned() };
    match serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(value) {
        Ok(mut members) => {
            members.retain(|_, value| !value.is_null());
            serde_json::to_string(&members).unwrap_or_default()
        }
        Err(_) => String::from_utf8_lossy(value).into_owned(),
    }
}

/// All committed records of a topic, per partition.
pub fn read(log: &dyn Log, topic: &TopicInfo) -> Vec<Vec<Row>> {
    (0..topic.partitions).map(|p| read_partition(log, Tp::new(topic.id, p))).collect()
}

fn read_partition(log: &dyn Log, tp: Tp) -> Vec<Row> {
    let mut cursor = log.cursor(ReadClass::Restore);
    let ends = ready(log.ends(&[tp])).expect("the outside can look");
    // Repartition topics do not keep what was read.
    cursor.assign(&[(tp, ends[0].start)]);
    let limits = PollLimits { records_max: 100_000, bytes_max: 64 << 20 };
    let (mut rows, mut idle) = (Vec::new(), 0);
    while idle < IDLE_POLLS_MAX {
        let mut batches = Vec::new();
        cursor.poll(&limits, &mut batches).expect("nothing is wrong outside");
        idle += 1;
        for raw in &batches {
            idle = 0;
            rows.extend((0..raw.records.len()).map(|i| Row {
                offset: raw.records[i].offset.0,
                time: raw.records[i].timestamp.0,
                key: raw.key(i).map(<[u8]>::to_vec),
                value: raw.value(i).map(<[u8]>::to_vec),
            }));
        }
    }
    rows
}
