//! A stream of events, late ones among them, and the sessions that they make.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Feed, Rows, rows};
use crate::kill9::random::Random;

/// Events of a key that are no further apart belong to one session, in milliseconds.
pub const GAP_MS: i64 = 10_000;
const KEYS: u64 = 60;
const TIME_FROM_MS: i64 = 1_700_000_000_000;
/// So dense that sessions are often merged.
const TIME_MS: u64 = 20_000_000;

/// What was sent.
#[derive(Default)]
pub struct Events {
    /// Of each key: time, amount.
    by_key: BTreeMap<String, Vec<(i64, i64)>>,
    all: Vec<Vec<Value>>,
}

impl Events {
    /// Sends one.
    pub fn add(&mut self, random: &Random, feed: &Feed, topic: &str) {
        let key = format!("s-{}", random.below(KEYS));
        let (time_ms, amount) =
            (TIME_FROM_MS + random.below(TIME_MS) as i64, random.below(1000) as i64);
        let id = self.all.len() as i64;
        let value = json!({"ID": id, "AMOUNT": amount, "MOMENT": time_ms});
        feed.send(topic, &key, Some(&value), time_ms);
        self.all.push(vec![json!(key), json!(id), json!(amount), json!(time_ms)]);
        self.by_key.entry(key).or_default().push((time_ms, amount));
    }

    /// The stream's rows: key, id, amount, time.
    pub fn rows(&self) -> Rows {
        rows(self.all.clone())
    }

    /// Rows of the table of sessions: key, start, end, count, total.
    pub fn sessions(&self) -> Rows {
        let mut found: Vec<Vec<Value>> = Vec::new();
        for (key, events) in &self.by_key {
            let mut events = events.clone();
            events.sort_unstable();
            let mut open: Option<[i64; 4]> = None;
            for (time, amount) in events {
                open = match open {
                    Some([start, end, count, total]) if time - end <= GAP_MS => {
                        Some([start, time, count + 1, total + amount])
                    }
                    before => {
                        found.extend(before.map(|session| row(key, session)));
                        Some([time, time, 1, amount])
                    }
                };
            }
            found.extend(open.map(|session| row(key, session)));
        }
        rows(found)
    }
}

fn row(key: &str, [start, end, count, total]: [i64; 4]) -> Vec<Value> {
    vec![json!(key), json!(start), json!(end), json!(count), json!(total)]
}
