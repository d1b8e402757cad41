//! A table with a column of every type.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::feed::Record;
use super::{Rows, rows};
use crate::kill9::random::Random;

/// Its columns, as CREATE TABLE has them.
pub const COLUMNS: &str = "k VARCHAR PRIMARY KEY, b BOOLEAN, i INT, l BIGINT, d DOUBLE, \
                           m DECIMAL(14, 4), w DECIMAL(38, 10), s VARCHAR, y BYTES, da DATE, \
                           ti TIME, ts TIMESTAMP, a ARRAY<INT>, p MAP<VARCHAR, VARCHAR>, \
                           o STRUCT<x INT, z DECIMAL(6, 2)>, aa ARRAY<ARRAY<VARCHAR>>";
const NAMES: [&str; 15] =
    ["B", "I", "L", "D", "M", "W", "S", "Y", "DA", "TI", "TS", "A", "P", "O", "AA"];
/// Updates, deletes and inserts among so many.
const KEYS: u64 = 500;
const DELETES_PERCENT: u64 = 15;
const NULLS_PERCENT: u64 = 20;
/// Event times go back to 2001.
const TIMES_FROM_MS: u64 = 1_000_000_000_000;
const TIMES_MS: u64 = 700_000_000_000;

/// One value in its forms: the record's, the pull query's, Pinot's, Druid's.
pub type Forms = [Value; 4];

/// A row that is written, or deleted.
pub type Change = (String, Option<Vec<Forms>>);

/// The table as it must be.
#[derive(Debug, Default)]
pub struct Items(BTreeMap<String, Vec<Forms>>);

/// Inserts, updates or deletes a row.
pub fn change(random: &Random, topic: &str) -> (Record, Change) {
    let key = format!("k-{}", random.below(KEYS));
    let time_ms = (TIMES_FROM_MS + random.below(TIMES_MS)) as i64;
    let record = |value| Record { topic: topic.to_owned(), key: key.clone(), value, time_ms };
    if random.chance(DELETES_PERCENT) {
        return (record(None), (key, None));
    }
    let mut values = values(random);
    for (value, shown) in values.iter_mut().zip(shown_for_null()) {
        if random.chance(NULLS_PERCENT) {
            *value = [Value::Null, Value::Null, shown, Value::Null];
        }
    }
    let members = NAMES.iter().zip(&values).map(|(n, v)| ((*n).to_owned(), v[0].clone()));
    let text = Value::Object(members.collect()).to_string();
    (record(Some(text)), (key, Some(values)))
}

impl Items {
    /// What was committed.
    pub fn apply(&mut self, (key, values): Change) {
        match values {
            Some(values) => self.0.insert(key, values),
            None => self.0.remove(&key),
        };
    }

    /// How many rows have a NULL in each column.
    pub fn nulls(&self) -> Vec<(String, usize)> {
        let nulls = |at: usize| self.0.values().filter(|row| row[at][0].is_null()).count();
        NAMES.iter().enumerate().map(|(at, n)| (n.to_ascii_lowercase(), nulls(at))).collect()
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
        rows(self.0.iter().map(|(key, values)| {
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
        json!(0),
        text.clone(),
        json!(""),
        text.clone(),
        json!(i32::MIN),
        json!("1970-01-01 00:00:00.0"),
        text.clone(),
        text.clone(),
        text.clone(),
        text,
    ]
}

fn all(value: Value) -> Forms {
    [value.clone(), value.clone(), value.clone(), value]
}

fn values(random: &Random) -> Vec<Forms> {
    let mut values = numbers(random);
    values.extend(texts(random));
    values.extend(times(random));
    values.extend(nested(random));
    values
}

/// One of them, chosen at random.
fn one<T: Clone>(random: &Random, of: &[T]) -> T {
    of[random.below(of.len() as u64) as usize].clone()
}

fn numbers(random: &Random) -> Vec<Forms> {
    let bit = random.chance(50);
    let ints = [0, -1, i32::MAX, i32::MIN, 42];
    let bigs = [0, 1, -1, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1];
    let doubles = [
        json!(0.0),
        json!(-1.5),
        json!(1e300),
        json!(1.0 / 3.0),
        json!(5e-324),
        json!("NaN"),
        json!("Infinity"),
        json!("-Infinity"),
    ];
    let tenths = random.below(1_000_000_000) as f64 / 10.0;
    let wides = [
        "9999999999999999999999999999.9999999999",
        "-9999999999999999999999999999.9999999999",
        "0.0000000001",
        "0.0000000000",
        "-1234567890123456789.0123456789",
    ];
    let wide = one(random, &wides);
    let number: Value = serde_json::from_str(wide).unwrap_or_default();
    vec![
        [json!(bit), json!(bit), json!(bit), json!(i32::from(bit))],
        all(json!(one(random, &ints))),
        all(json!(one(random, &bigs))),
        all(one(random, &doubles)),
        [json!(tenths), json!(tenths), json!(tenths), json!(format!("{tenths:.4}"))],
        [number.clone(), number.clone(), number, json!(wide)],
    ]
}

fn texts(random: &Random) -> Vec<Forms> {
    let texts = ["", "null", "a \"quoted\" \\ text\n\t\u{1}", "Grüße 漢字 😀 e\u{301}", "{}"];
    // Seldom: it is 250 kB.
    let text = match random.chance(1) {
        true => "x\u{1F600}".repeat(50_000),
        false => one(random, &texts).to_owned(),
    };
    let bytes = [("AP8QAQ==", "00ff1001"), ("aGVsbG8=", "68656c6c6f"), ("/w==", "ff")];
    let (base64, hex) = one(random, &bytes);
    vec![all(json!(text)), [json!(base64), json!(base64), json!(hex), json!(base64)]]
}

fn times(random: &Random) -> Vec<Forms> {
    let dates = [
        (0, "1970-01-01"),
        (-1, "1969-12-31"),
        (19_000, "2022-01-08"),
        (2_932_896, "9999-12-31"),
        (-719_162, "0001-01-01"),
    ];
    let (days, date) = one(random, &dates);
    let clocks = [(0, "00:00"), (3_661_000, "01:01:01"), (86_399_000, "23:59:59")];
    let (time, clock) = one(random, &clocks);
    let moments = [
        (0, "1970-01-01T00:00:00.000", "1970-01-01 00:00:00.0"),
        (1_600_000_000_123_i64, "2020-09-13T12:26:40.123", "2020-09-13 12:26:40.123"),
        (-1, "1969-12-31T23:59:59.999", "1969-12-31 23:59:59.999"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999", "9999-12-31 23:59:59.999"),
    ];
    let (ms, pulled, in_pinot) = one(random, &moments);
    vec![
        [json!(days), json!(date), json!(date), json!(date)],
        [json!(time), json!(clock), json!(time), json!(time)],
        [json!(ms), json!(pulled), json!(in_pinot), json!(ms)],
    ]
}

fn nested(random: &Random) -> Vec<Forms> {
    let lists = ["[]", "[1,null,-3]", "[2147483647]"];
    let maps = ["{}", "{\"a\\\"\":\"b\"}", "{\"漢\":null}"];
    let objects = [
        ("{\"X\":7,\"Z\":1.5}", "{\"X\":7,\"Z\":\"1.50\"}"),
        ("{\"X\":null,\"Z\":-9999.99}", "{\"X\":null,\"Z\":\"-9999.99\"}"),
    ];
    let deep = ["[]", "[[\"a\",\"b\\\"\"],[]]", "[[null],null]"];
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let as_text = |text: &str| [parsed(text), parsed(text), json!(text), json!(text)];
    let (object, written) = one(random, &objects);
    vec![
        as_text(one(random, &lists)),
        as_text(one(random, &maps)),
        [parsed(object), parsed(object), json!(written), json!(written)],
        as_text(one(random, &deep)),
    ]
}
