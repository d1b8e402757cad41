//! Sinks against the real Pinot and Druid: changes made at random while everything is killed in turn, and
//! what everybody must show in the end.

pub mod demo;
pub mod events;
pub mod feed;
pub mod items;
pub mod kinds;
pub mod model;
pub mod page;
pub mod sides;
pub mod source;
pub mod target;
pub mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Rows as text, with how often each is there.
pub type Rows = BTreeMap<String, usize>;

/// Whoever is asked answers right within this time.
pub const EQUAL_TIME_MAX: Duration = Duration::from_secs(180);
/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(500);
const SHOWN_MAX: usize = 2000;
/// A double has no more digits than that.
const DOUBLE_DIGITS_MAX: usize = 17;

/// Counts rows.
pub fn rows(rows: impl IntoIterator<Item = Vec<Value>>) -> Rows {
    let mut counted = Rows::new();
    for row in rows {
        let row: Vec<Value> = row.into_iter().map(plain).collect();
        *counted.entry(Value::Array(row).to_string()).or_default() += 1;
    }
    counted
}

/// The same text for numbers of the same value: `1.50` is 1.5, `1.0E300` is 1e300.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(format!("number {}", digits(&number.to_string()))),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, plain(value))).collect()
        }
        other => other,
    }
}

/// All digits of a number without zeros at the end, and the power of ten. Short ones may be doubles, which not
/// everybody writes with the fewest digits.
fn digits(text: &str) -> String {
    let significant = |text: &str| {
        let digits = text.split(['e', 'E']).next().unwrap_or_default();
        let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
        digits.trim_matches('0').len()
    };
    let double = text.parse::<f64>().ok();
    let text = match double {
        Some(double) if significant(text) <= DOUBLE_DIGITS_MAX => format!("{double:e}"),
        _ => text.to_owned(),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let all = format!("{whole}{part}");
    let kept = all.trim_end_matches('0');
    let power = exponent.parse::<i64>().unwrap_or_default() - part.len() as i64
        + (all.len() - kept.len()) as i64;
    match kept.trim_start_matches('0') {
        "" => "0".to_owned(),
        kept => format!("{sign}{kept}e{power}"),
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
                first.push_str(&format!("\nmissing: {}", short(row)));
            }
        }
    }
    for (row, has) in found {
        let wanted = expected.get(row).copied().unwrap_or(0);
        if wanted < *has {
            count += has - wanted;
            if first.len() < SHOWN_MAX {
                first.push_str(&format!("\ntoo many: {}", short(row)));
            }
        }
    }
    (count, first)
}

fn short(row: &str) -> String {
    row.chars().take(SHOWN_MAX / 2).collect()
}

/// Waits until both are equal, and says how many rows they are and how long that took.
///
/// # Errors
/// They stay different: where.
pub fn await_equal(
    what: &str,
    expected: &Rows,
    ask: impl Fn() -> Result<Rows, String>,
) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let (count, first) = match ask() {
            Ok(found) => differences(expected, &found),
            Err(why) => (1, why),
        };
        if count == 0 {
            let rows: usize = expected.values().sum();
            println!("{what}: {rows} rows, 0 differences, after {:.1?}", start.elapsed());
            return Ok(());
        }
        if start.elapsed() > EQUAL_TIME_MAX {
            return Err(format!("{what}: {count} differences{first}"));
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let big = "12345678901234567890123456789012345678";
        for (one, other) in [
            ("1.50", "1.5"),
            ("1.0E300", "1e300"),
            ("4.9E-324", "5e-324"),
            ("0", "0.0"),
            ("7", "7.000"),
            ("-0.5", "-5e-1"),
            (big, "12345678901234567890123456789012345678.000"),
        ] {
            assert_eq!(digits(one), digits(other));
        }
        for (one, other) in [
            ("1.5", "-1.5"),
            ("1.5", "15"),
            ("9223372036854775807", "9223372036854775806"),
            (big, "12345678901234567890123456789012345679"),
            (big, "1.2345678901234568e37"),
        ] {
            assert_ne!(digits(one), digits(other));
        }
    }

    #[test]
    fn each_difference_counts() {
        let of = |rows: &[(&str, usize)]| -> Rows {
            rows.iter().map(|(row, count)| ((*row).to_owned(), *count)).collect()
        };
        let expected = of(&[("a", 2), ("b", 1)]);
        assert_eq!(differences(&expected, &expected).0, 0);
        assert_eq!(differences(&expected, &of(&[("a", 1), ("b", 1)])).0, 1);
        assert_eq!(differences(&expected, &of(&[("a", 2), ("c", 1)])).0, 2);
    }
}
