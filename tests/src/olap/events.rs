//! Streams of events and of payments, late ones among them, and what queries make of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::feed::{PARTITIONS, Record, partition};
use super::{Rows, rows};
use crate::kill9::random::Random;

/// Size of tumbling and hopping windows, in milliseconds.
pub const WINDOW_MS: i64 = 60_000;
/// From one hopping window to the next.
pub const ADVANCE_MS: i64 = 20_000;
/// Later ones do not count.
pub const GRACE_MS: i64 = 2_000;
/// Windows that are shown once, when they are over.
pub const FINAL_MS: i64 = 30_000;
/// Events of a key that are no further apart belong to one session.
pub const GAP_MS: i64 = 10_000;
/// How far an event and its payments may be apart.
pub const WITHIN_MS: i64 = 5_000;
const KEYS: u64 = 40;
/// 1 March 2013.
const START_MS: i64 = 1_362_096_000_000;
/// Event time that passes from one record to the next.
const STEP_MS: i64 = 250;
/// How far event times are out of order, both ways.
const JITTER_MS: u64 = 5_000;

/// An event, or a payment.
#[derive(Debug, Clone)]
pub struct Event {
    key: String,
    id: i64,
    amount: i64,
    time_ms: i64,
}

/// Draws records one after the other.
#[derive(Debug, Default)]
pub struct Clock(i64);

impl Clock {
    /// The next event or payment.
    pub fn next(&mut self, random: &Random, topic: &str) -> (Record, Event) {
        self.0 += 1;
        let jitter = random.below(2 * JITTER_MS) as i64 - JITTER_MS as i64;
        let event = Event {
            key: format!("e-{}", random.below(KEYS)),
            id: self.0,
            amount: random.below(2000) as i64 - 1000,
            time_ms: START_MS + self.0 * STEP_MS + jitter,
        };
        let value = json!({"ID": event.id, "AMOUNT": event.amount, "MOMENT": event.time_ms});
        let record = Record {
            topic: topic.to_owned(),
            key: event.key.clone(),
            value: Some(value.to_string()),
            time_ms: event.time_ms,
        };
        (record, event)
    }
}

/// A name of each key but every tenth.
pub fn names(topic: &str) -> Vec<Record> {
    let record = |key: u64| {
        let name = name(&format!("e-{key}"))?;
        Some(Record {
            topic: topic.to_owned(),
            key: format!("e-{key}"),
            value: Some(json!({ "NAME": name }).to_string()),
            time_ms: START_MS - 1_000_000,
        })
    };
    (0..KEYS).filter_map(record).collect()
}

fn name(key: &str) -> Option<String> {
    (!key.ends_with('0')).then(|| format!("name of {key}"))
}

/// What was committed, in the order of the log.
#[derive(Debug, Default)]
pub struct Events {
    pub events: Vec<Event>,
    pub payments: Vec<Event>,
}

/// Count and total of a window.
type Totals = BTreeMap<(String, i64), (i64, i64)>;

impl Events {
    /// Rows of the stream: key, id, amount, time.
    pub fn rows(&self) -> Rows {
        let row = |e: &Event| vec![json!(e.key), json!(e.id), json!(e.amount), json!(e.time_ms)];
        rows(self.events.iter().map(row))
    }

    /// Tumbling windows: key, start, end, count, total.
    pub fn tumbling(&self) -> Rows {
        window_rows(&self.windows(WINDOW_MS, WINDOW_MS, GRACE_MS).0, WINDOW_MS)
    }

    /// Hopping windows.
    pub fn hopping(&self) -> Rows {
        window_rows(&self.windows(WINDOW_MS, ADVANCE_MS, GRACE_MS).0, WINDOW_MS)
    }

    /// Smaller tumbling windows, those that are not over as well.
    pub fn all_finals(&self) -> Rows {
        window_rows(&self.windows(FINAL_MS, FINAL_MS, GRACE_MS).0, FINAL_MS)
    }

    /// Those that are over.
    pub fn finals(&self) -> Rows {
        let (mut totals, now) = self.windows(FINAL_MS, FINAL_MS, GRACE_MS);
        totals
            .retain(|(key, start), _| start + FINAL_MS + GRACE_MS <= now[partition(key) as usize]);
        window_rows(&totals, FINAL_MS)
    }

    /// How many events came too late for their tumbling window.
    pub fn late(&self) -> usize {
        let totals = self.windows(WINDOW_MS, WINDOW_MS, GRACE_MS).0;
        self.events.len() - totals.values().map(|(count, _)| *count as usize).sum::<usize>()
    }

    /// The windows, and stream time of each partition.
    fn windows(&self, size: i64, advance: i64, grace: i64) -> (Totals, Vec<i64>) {
        let mut now = vec![i64::MIN; PARTITIONS as usize];
        let mut totals = Totals::new();
        for event in &self.events {
            let now = &mut now[partition(&event.key) as usize];
            *now = (*now).max(event.time_ms);
            let last = event.time_ms - event.time_ms.rem_euclid(advance);
            let starts = (0..).map(|back| last - back * advance);
            for start in starts.take_while(|start| start + size > event.time_ms) {
                if start + size + grace > *now {
                    let window = totals.entry((event.key.clone(), start)).or_default();
                    *window = (window.0 + 1, window.1 + event.amount);
                }
            }
        }
        (totals, now)
    }

    /// Sessions: key, start, end, count, total.
    pub fn sessions(&self) -> Rows {
        let mut by_key: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &self.events {
            by_key.entry(&event.key).or_default().push(event);
        }
        let mut found: Vec<Vec<Value>> = Vec::new();
        for (key, mut events) in by_key {
            events.sort_by_key(|event| event.time_ms);
            let mut open: Option<[i64; 4]> = None;
            for Event { time_ms: time, amount, .. } in events {
                open = match open {
                    Some([start, end, count, total]) if time - end <= GAP_MS => {
                        Some([start, *time, count + 1, total + amount])
                    }
                    before => {
                        found.extend(before.map(|session| window_row(key, session)));
                        Some([*time, *time, 1, *amount])
                    }
                };
            }
            found.extend(open.map(|session| window_row(key, session)));
        }
        rows(found)
    }

    /// Each event with each payment of its key that is near: key, ids.
    pub fn paid(&self) -> Rows {
        let mut by_key: BTreeMap<&str, BTreeMap<(i64, i64), i64>> = BTreeMap::new();
        for payment in &self.payments {
            let of_key = by_key.entry(&payment.key).or_default();
            of_key.insert((payment.time_ms, payment.id), payment.id);
        }
        let mut pairs = Vec::new();
        for event in &self.events {
            let Some(payments) = by_key.get(event.key.as_str()) else { continue };
            let near =
                (event.time_ms - WITHIN_MS, i64::MIN)..=(event.time_ms + WITHIN_MS, i64::MAX);
            pairs.extend(
                payments
                    .range(near)
                    .map(|(_, id)| vec![json!(event.key), json!(event.id), json!(id)]),
            );
        }
        rows(pairs)
    }

    /// Each event with the name of its key, for which there may be none: `null` stands for it.
    pub fn named(&self, null: &Value) -> Rows {
        rows(self.events.iter().map(|event| {
            let name = name(&event.key).map_or(null.clone(), Value::String);
            vec![json!(event.key), json!(event.id), name]
        }))
    }
}

fn window_rows(totals: &Totals, size: i64) -> Rows {
    rows(totals.iter().map(|((key, start), (count, total))| {
        window_row(key, [*start, start + size, *count, *total])
    }))
}

fn window_row(key: &str, [start, end, count, total]: [i64; 4]) -> Vec<Value> {
    vec![json!(key), json!(start), json!(end), json!(count), json!(total)]
}
