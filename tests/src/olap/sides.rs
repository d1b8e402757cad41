//! Two tables that change, and their joins.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::feed::Record;
use super::{Rows, rows};
use crate::kill9::random::Random;

const KEYS: u64 = 300;
const DELETES_PERCENT: u64 = 20;
const TIMES_FROM_MS: u64 = 1_300_000_000_000;
const TIMES_MS: u64 = 100_000_000_000;

/// A row of the left table refers to one of the right, perhaps.
#[derive(Debug, Clone)]
pub struct Left {
    number: i64,
    reference: Option<String>,
}

/// What was committed.
#[derive(Debug, Default)]
pub struct Sides {
    left: BTreeMap<String, Left>,
    right: BTreeMap<String, i64>,
}

/// A change of one of them.
#[derive(Debug, Clone)]
pub enum Change {
    Left(String, Option<Left>),
    Right(String, Option<i64>),
}

/// Changes a row of the left table.
pub fn change_left(random: &Random, topic: &str) -> (Record, Change) {
    let row = (!random.chance(DELETES_PERCENT)).then(|| Left {
        number: random.below(1_000_000) as i64,
        reference: (!random.chance(10)).then(|| key(random)),
    });
    let value = row.as_ref().map(|row| json!({ "A": row.number, "REF": row.reference }));
    let record = record(random, topic, value);
    let key = record.key.clone();
    (record, Change::Left(key, row))
}

/// Changes a row of the right table.
pub fn change_right(random: &Random, topic: &str) -> (Record, Change) {
    let number = match random.below(20) {
        0 => i64::MAX,
        1 => i64::MIN,
        _ => random.below(1_000_000) as i64,
    };
    let row = (!random.chance(DELETES_PERCENT)).then_some(number);
    let record = record(random, topic, row.map(|number| json!({ "B": number })));
    let key = record.key.clone();
    (record, Change::Right(key, row))
}

fn key(random: &Random) -> String {
    format!("t-{}", random.below(KEYS))
}

fn record(random: &Random, topic: &str, value: Option<Value>) -> Record {
    Record {
        topic: topic.to_owned(),
        key: key(random),
        value: value.map(|value| value.to_string()),
        time_ms: (TIMES_FROM_MS + random.below(TIMES_MS)) as i64,
    }
}

impl Sides {
    /// What was committed.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Left(key, Some(row)) => drop(self.left.insert(key, row)),
            Change::Left(key, None) => drop(self.left.remove(&key)),
            Change::Right(key, Some(row)) => drop(self.right.insert(key, row)),
            Change::Right(key, None) => drop(self.right.remove(&key)),
        }
    }

    /// Left joined with right by key; `null` stands for a row that is not there.
    pub fn both(&self, null: &Value) -> Rows {
        rows(self.left.iter().map(|(key, left)| {
            let right = self.right.get(key).map_or(null.clone(), |number| json!(number));
            vec![json!(key), json!(left.number), right]
        }))
    }

    /// Left joined with right by what it refers to.
    pub fn referred(&self) -> Rows {
        rows(self.left.iter().filter_map(|(key, left)| {
            let right = self.right.get(left.reference.as_ref()?)?;
            Some(vec![json!(key), json!(left.number), json!(right)])
        }))
    }

    /// Left by what it refers to: how many, and the sum of their numbers.
    pub fn grouped(&self) -> Rows {
        let mut groups: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for left in self.left.values() {
            if let Some(reference) = &left.reference {
                let group = groups.entry(reference).or_default();
                *group = (group.0 + 1, group.1 + left.number);
            }
        }
        rows(groups.into_iter().map(|(key, (n, total))| vec![json!(key), json!(n), json!(total)]))
    }
}
