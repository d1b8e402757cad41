//! A table with a column of every type.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Feed, Rows, rows};
use crate::kill9::random::Random;

/// Its columns, as CREATE TABLE has them.
pub const COLUMNS: &str = "k VARCHAR PRIMARY KEY, b BOOLEAN, i INT, l BIGINT, d DOUBLE, \
                           m DECIMAL(14, 4), s VARCHAR, y BYTES, da DATE, ti TIME, ts TIMESTAMP, \
                           a ARRAY<INT>, p MAP<VARCHAR, VARCHAR>, o STRUCT<x INT, z DECIMAL(6, 2)>";
/// Updates, deletes and inserts among so many.
const KEYS: u64 = 500;
const DELETES_PERCENT: u64 = 15;
const NULLS_PERCENT: u64 = 20;
/// Event times go back to 2001.
const TIMES_FROM_MS: u64 = 1_000_000_000_000;
const TIMES_MS: u64 = 700_000_000_000;

/// One value in its forms: the record's, the pull query's, Pinot's, Druid's.
type Forms = [Value; 4];

/// The table as it must be.
#[derive(Default)]
pub struct Items {
    rows: BTreeMap<String, Vec<Forms>>,
    pub changes: usize,
}

impl Items {
    /// Inserts, updates or deletes a row.
    pub fn change(&mut self, random: &Random, feed: &Feed, topic: &str) {
        let key = format!("k-{}", random.below(KEYS));
        let time_ms = (TIMES_FROM_MS + random.below(TIMES_MS)) as i64;
        self.changes += 1;
        if random.chance(DELETES_PERCENT) {
            self.rows.remove(&key);
            return feed.send(topic, &key, None, time_ms);
        }
        let mut values = values(random);
        for value in &mut values {
            if random.chance(NULLS_PERCENT) {
                *value = all(Value::Null);
            }
        }
        for (value, shown) in values.iter_mut().zip(shown_for_null()) {
            if value[0].is_null() {
                value[2] = shown;
            }
        }
        let names = ["B", "I", "L", "D", "M", "S", "Y", "DA", "TI", "TS", "A", "P", "O"];
        let record = names.iter().zip(&values).map(|(n, v)| ((*n).to_owned(), v[0].clone()));
        feed.send(topic, &key, Some(&Value::Object(record.collect())), time_ms);
        self.rows.insert(key, values);
    }

    /// How many rows have a NULL in the boolean column.
    pub fn nulls(&self) -> usize {
        self.rows.values().filter(|values| values[0][0].is_null()).count()
    }

    /// What a pull query gives.
    pub fn pulled(&self) -> Rows {
        self.form(1)
    }

    /// What Pinot's current rows are.
    pub fn in_pinot(&self) -> Rows {
        self.form(2)
    }

    /// What Druid's current rows are.
    pub fn in_druid(&self) -> Rows {
        self.form(3)
    }

    fn form(&self, form: usize) -> Rows {
        rows(self.rows.iter().map(|(key, values)| {
            let values = values.iter().map(|forms| forms[form].clone());
            std::iter::once(json!(key)).chain(values).collect()
        }))
    }
}

/// What Pinot shows for a NULL of each column.
fn shown_for_null() -> Vec<Value> {
    let text = json!("null");
    vec![
        json!(false),
        json!(i32::MIN),
        json!(i64::MIN),
        json!("-Infinity"),
        json!(0),
        text.clone(),
        json!(""),
        text.clone(),
        json!(i32::MIN),
        json!("1970-01-01 00:00:00.0"),
        text.clone(),
        text.clone(),
        text,
    ]
}

fn all(value: Value) -> Forms {
    [value.clone(), value.clone(), value.clone(), value]
}

fn values(random: &Random) -> Vec<Forms> {
    let pick = |count: usize| random.below(count as u64) as usize;
    let bigs = [0, 1, -1, i64::MAX, i64::MIN + 1, 1 << 53, (1 << 53) + 1];
    let ints = [0, -1, i32::MAX, i32::MIN + 1, 42];
    let doubles = [0.0, -1.5, 1e300, 1.0 / 3.0, 5e-324];
    let long = "x\u{1F600}".repeat(50_000);
    let texts = ["", "null", "a \"quoted\" \\ text\n", "Grüße 漢字 😀", "{}", &long[..]];
    // The long one seldom: it is 250 kB.
    let text = if random.chance(1) { 5 } else { pick(5) };
    let bytes = [("", ""), ("AP8QAQ==", "00ff1001"), ("aGVsbG8=", "68656c6c6f")][1 + pick(2)];
    let (days, date) = [(0, "1970-01-01"), (-1, "1969-12-31"), (19_000, "2022-01-08")][pick(3)];
    let (time, clock) = [(0, "00:00"), (3_661_000, "01:01:01")][pick(2)];
    let (ms, pulled, sunk) = [
        (0, "1970-01-01T00:00:00.000", "1970-01-01 00:00:00.0"),
        (1_600_000_000_123_i64, "2020-09-13T12:26:40.123", "2020-09-13 12:26:40.123"),
    ][pick(2)];
    let tenths = random.below(1_000_000_000) as f64 / 10.0;
    let (list, list_text) =
        [(json!([]), "[]"), (json!([1, null, -3]), "[1,null,-3]")][pick(2)].clone();
    let (map, map_text) =
        [(json!({}), "{}"), (json!({"a\"": "b"}), "{\"a\\\"\":\"b\"}")][pick(2)].clone();
    let bit = random.chance(50);
    let (list_json, map_json) = (json!(list_text), json!(map_text));
    let decimal = json!(format!("{tenths:.4}"));
    let object = json!({"X": 7, "Z": 1.5});
    let object_text = json!("{\"X\":7,\"Z\":\"1.50\"}");
    vec![
        [json!(bit), json!(bit), json!(bit), json!(i32::from(bit))],
        all(json!(ints[pick(ints.len())])),
        all(json!(bigs[pick(bigs.len())])),
        all(json!(doubles[pick(doubles.len())])),
        [json!(tenths), json!(tenths), json!(tenths), decimal],
        all(json!(texts[text])),
        [json!(bytes.0), json!(bytes.0), json!(bytes.1), json!(bytes.0)],
        [json!(days), json!(date), json!(date), json!(date)],
        [json!(time), json!(clock), json!(time), json!(time)],
        [json!(ms), json!(pulled), json!(sunk), json!(ms)],
        [list.clone(), list, list_json.clone(), list_json],
        [map.clone(), map, map_json.clone(), map_json],
        [object.clone(), object, object_text.clone(), object_text],
    ]
}
