//! What a decoder learned of earlier records changes no answer: it reads each record as one that
//! never saw another, and takes what the library takes. Random records, whole and damaged.

use millrace_engine::seams::{Entropy, SeededEntropy};

use super::*;

const SCHEMA: &str = "A BIGINT, B STRING, C INT, D DOUBLE, E BOOLEAN, F TIMESTAMP, G DATE, \
                      S STRUCT<A BIGINT, B STRING>, L ARRAY<INT>";
const NAMES: [&str; 14] =
    ["A", "a", "B", "b", "C", "c", "D", "e", "F", "G", "S", "L", "unknown", "a rather long name"];
const VALUES: [&str; 44] = [
    "0",
    "7",
    "-1",
    "10",
    "-0",
    "12345678",
    "123456789012345",
    "1234567890123456",
    "-2147483648",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1700000000000",
    "00",
    "01",
    "-",
    "1.5",
    "-2e3",
    "1e400",
    "0.1",
    "1.",
    "true",
    "false",
    "null",
    "nul",
    "\"\"",
    "\"x\"",
    "\"12\"",
    "\"ü\"",
    "\"a longer text, with {}[]: and so on, over one chunk\"",
    "\"\\n\"",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\q\"",
    "\"\t\"",
    "\"open",
    "[]",
    "[1,2]",
    "[1,]",
    "{\"A\":1,\"B\":\"x\"}",
    "{\"B\":\"x\",\"A\":2}",
    "{}",
    "{\"A\":1{\"B\":\"y\"}",
];
const GAPS: [&str; 8] = ["", "", "", "", "", "", " ", "\n"];
const RECORDS: usize = 120;

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Members in an order, which records share.
    fn shape(&self) -> Vec<(&'static str, &'static str)> {
        (0..self.below(8)).map(|_| (self.one(&NAMES), self.one(&GAPS))).collect()
    }

    fn record(&self, shape: &[(&str, &str)]) -> Vec<u8> {
        let mut out = b"{".to_vec();
        for (i, (name, gap)) in shape.iter().enumerate() {
            // Mostly what fits, or no record would be good.
            let value = match (self.below(12), *name) {
                (0, _) => self.one(&VALUES),
                (_, "B" | "b" | "unknown") => {
                    self.one(&["\"x\"", "\"some more text\"", "12", "\"ü\""])
                }
                (_, "S") => self.one(&["{\"A\":1,\"B\":\"x\"}", "{\"A\":12,\"B\":\"\"}", "{}"]),
                (_, "L") => self.one(&["[]", "[1,2]"]),
                (_, "e") => self.one(&["true", "false"]),
                _ => self.one(&["0", "12", "-345", "1234567", "10957"]),
            };
            let comma = if i == 0 { "" } else { "," };
            out.extend(format!("{comma}{gap}\"{name}\":{gap}{value}").bytes());
        }
        out.push(b'}');
        if self.below(4) == 0 {
            self.damage(&mut out);
        }
        out
    }

    fn damage(&self, record: &mut Vec<u8>) {
        let bytes = b"\"{}[]:,\\ \n0123456789-+.eEtfn\x00\x1f\x7f\x80\xc3\xff";
        let (at, byte) = (self.below(record.len()), self.one(bytes));
        match self.below(4) {
            0 => record.truncate(at),
            1 => record.insert(at, byte),
            2 => drop(record.remove(at)),
            _ => record[at] = byte,
        }
    }
}

/// Whether the library takes the object at the start of the text; `None` when there is none. What
/// stands behind the closing brace is not looked at.
fn is_json(record: &[u8]) -> Option<bool> {
    if record.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(record).into_iter::<serde_json::Value>();
    values.next().map(|first| first.is_ok())
}

fn check_seed(seed: u64) -> usize {
    let dice = Dice(SeededEntropy::new(seed));
    let wants = dice.0.next_u64();
    let wanted = |(i, field): (usize, Field)| Field { wanted: wants >> i & 1 == 1, ..field };
    let fields: Vec<Field> = fields(SCHEMA).into_iter().enumerate().map(wanted).collect();
    let shapes: Vec<_> = (0..3).map(|_| dice.shape()).collect();
    let mut columns =
        Columns::new(&json(), fields.clone(), Default::default()).expect("types of JSON");
    let mut rows = Vec::new();
    for _ in 0..RECORDS {
        let record = dice.record(&shapes[dice.below(shapes.len())]);
        let shown = || format!("seed {seed}: {}", String::from_utf8_lossy(&record));
        let alone = read(&json(), &fields, &record);
        let among = columns.push(&record);
        assert_eq!(among.as_ref().err(), alone.as_ref().err(), "{}", shown());
        let malformed = alone.as_ref().is_err_and(|reason| reason.contains("invalid JSON"));
        if let Some(good) = is_json(&record) {
            assert_eq!(malformed, !good, "{}: {alone:?}", shown());
        }
        if let Ok(row) = alone {
            rows.push((row, shown()));
        }
    }
    let arrays: Vec<_> = columns.finish().expect("small").into_iter().flatten().collect();
    let kept: Vec<_> = fields.into_iter().filter(|field| field.wanted).collect();
    for (i, (want, shown)) in rows.iter().enumerate() {
        assert_eq!(row(&kept, &arrays, i), *want, "{shown}");
    }
    rows.len()
}

#[test]
fn earlier_records_change_no_answer() {
    let (seeds, mut good) = (100, 0);
    for seed in 0..seeds {
        good += check_seed(seed);
    }
    let all = seeds as usize * RECORDS;
    assert!(good > all / 4 && good < all * 3 / 4, "{good} good records of {all}");
}

#[test]
fn an_opening_is_not_taken_behind_a_value() {
    let mut columns =
        Columns::new(&json(), fields("A INT, X INT"), Default::default()).expect("types of JSON");
    for record in [r#"{"A":1}"#, r#"{"X":1}"#, r#"{"A":1,"X":1}"#] {
        assert_eq!(columns.push(record.as_bytes()), Ok(true), "{record}");
    }
    for record in [r#"{"X":1{"A":2}"#, r#"{"A":1{"X":2}"#, r#","X":1}"#] {
        assert!(columns.push(record.as_bytes()).is_err(), "{record}");
    }
}
