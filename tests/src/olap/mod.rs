//! Changes of a table and of a stream, made at random, and what everybody must show in the end.

pub mod items;
pub mod sessions;

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

/// Rows as text, with how often each is there.
pub type Rows = BTreeMap<String, usize>;

/// Counts rows.
pub fn rows(rows: impl IntoIterator<Item = Vec<Value>>) -> Rows {
    let mut counted = Rows::new();
    for row in rows {
        let row: Vec<Value> = row.into_iter().map(plain).collect();
        *counted.entry(Value::Array(row).to_string()).or_default() += 1;
    }
    counted
}

/// The same text for numbers of the same value: `1.50` is 1.5, and `1.0E300` is 1e300.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            match (text.parse::<i64>(), text.parse::<f64>()) {
                (Err(_), Ok(double)) => Value::String(format!("number {double:?}")),
                _ => Value::Number(number),
            }
        }
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, plain(value))).collect()
        }
        other => other,
    }
}

/// Rows that one side has and the other has not, and the first of them.
pub fn differences(expected: &Rows, found: &Rows) -> (usize, String) {
    let (mut count, mut first) = (0, String::new());
    for (row, wanted) in expected {
        let has = found.get(row).copied().unwrap_or(0);
        if has < *wanted {
            count += wanted - has;
            if first.len() < SHOWN_MAX / 2 {
                first.push_str(&format!("\nmissing: {row}"));
            }
        }
    }
    for (row, has) in found {
        let wanted = expected.get(row).copied().unwrap_or(0);
        if wanted < *has {
            count += has - wanted;
            if first.len() < SHOWN_MAX {
                first.push_str(&format!("\ntoo many: {row}"));
            }
        }
    }
    (count, first)
}

const SHOWN_MAX: usize = 2000;

/// Writes records as Java's clients do.
pub struct Feed(BaseProducer);

impl Feed {
    /// # Panics
    /// There is no client.
    pub fn connect(bootstrap: &str) -> Feed {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .create()
            .expect("a producer");
        Feed(producer)
    }

    /// `None`: a tombstone.
    ///
    /// # Panics
    /// The client refuses.
    pub fn send(&self, topic: &str, key: &str, value: Option<&Value>, time_ms: i64) {
        let text = value.map(Value::to_string);
        loop {
            let record = BaseRecord::to(topic).key(key).timestamp(time_ms);
            let record = match &text {
                Some(text) => record.payload(text),
                None => record,
            };
            match self.0.send(record) {
                Ok(()) => return,
                // Its queue is full.
                Err(_) => {
                    self.0.poll(Duration::from_millis(10));
                }
            }
        }
    }

    /// # Panics
    /// The broker does not take what was sent.
    pub fn flush(&self) {
        self.0.flush(Duration::from_secs(60)).expect("all is sent");
    }
}
