//! When a record is the expected one. The rules are ksqlDB's test harness': driven by the type of
//! what is expected, strict about digits, lenient about the case of names.

use serde_json::Value;

use super::case::{TestRecord, TestWindow};
use super::exact::{Exact, is_whole_literal};
use super::records::{Actual, ActualRecord, to_base64};

/// Two doubles are equal when they differ by less.
const DOUBLE_TOLERANCE: f64 = 1e-6;

/// Why `actual` is not `expected`; `None` if it is. `any_zero_time`: an expected timestamp of 0 is
/// not checked (a case without inputs writes with the wall clock).
pub fn difference(
    actual: &ActualRecord,
    expected: &TestRecord,
    any_zero_time: bool,
) -> Option<&'static str> {
    if !window_matches(actual, expected) {
        return Some("window");
    }
    if !matches(&top_level(&actual.key), &expected.key) {
        return Some("key");
    }
    if !matches(&top_level(&actual.value), &expected.value) {
        return Some("value");
    }
    let headers = actual.headers.iter().map(|(name, value)| (name, value));
    if !headers.eq(expected.headers.iter().map(|(name, value)| (name, value))) {
        return Some("headers");
    }
    match expected.timestamp {
        Some(time) if time != actual.timestamp && !(any_zero_time && time == 0) => {
            Some("timestamp")
        }
        _ => None,
    }
}

fn window_matches(actual: &ActualRecord, expected: &TestRecord) -> bool {
    match (actual.window, expected.window) {
        (None, None) => true,
        (Some(actual), Some(expected)) => actual == expected,
        (Some(TestWindow { .. }), None) | (None, Some(_)) => {
            actual.key == Actual::Null && expected.key.is_null()
        }
    }
}

/// Bytes at the top of a row are compared as base64 text; none at all is NULL.
fn top_level(value: &Actual) -> Actual {
    let Actual::Map(fields) = value else { return value.clone() };
    let text = |value: &Actual| match value {
        Actual::Bytes(bytes) if bytes.is_empty() => Actual::Null,
        Actual::Bytes(bytes) => Actual::Text(to_base64(bytes)),
        other => other.clone(),
    };
    Actual::Map(fields.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

/// Whether a value is the expected one.
pub fn matches(actual: &Actual, expected: &Value) -> bool {
    match expected {
        Value::Null => *actual == Actual::Null,
        Value::Bool(b) => *actual == Actual::Bool(*b),
        Value::String(text) => match actual {
            Actual::Text(actual) => actual == text,
            Actual::Decimal(decimal) => Exact::parse(text).as_ref() == Some(decimal),
            Actual::Bytes(bytes) => to_base64(bytes) == *text,
            _ => false,
        },
        Value::Number(number) => number_matches(actual, &number.to_string()),
        Value::Array(expected) => match actual {
            Actual::List(actual) => {
                actual.len() == expected.len()
                    && actual.iter().zip(expected).all(|(a, e)| matches(a, e))
            }
            _ => false,
        },
        Value::Object(expected) => match actual {
            Actual::Map(actual) => {
                actual.len() == expected.len()
                    && expected.iter().all(|(name, e)| matches(field(actual, name), e))
            }
            _ => false,
        },
    }
}

/// The field of that name, else of the name in upper case.
fn field<'a>(fields: &'a [(String, Actual)], name: &str) -> &'a Actual {
    let find = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value);
    let found = find(name).filter(|value| **value != Actual::Null);
    found.or_else(|| find(&name.to_uppercase())).unwrap_or(&Actual::Null)
}

fn number_matches(actual: &Actual, expected: &str) -> bool {
    match actual {
        Actual::Int(actual) => truncated(expected) == Some(*actual),
        Actual::Double(actual) => {
            expected.parse::<f64>().is_ok_and(|e| (e - actual).abs() < DOUBLE_TOLERANCE)
        }
        Actual::Decimal(actual) => {
            let Some(exact) = Exact::parse(expected) else { return false };
            match is_whole_literal(expected) {
                true => actual.is_whole(&exact),
                false => *actual == exact,
            }
        }
        _ => false,
    }
}

/// The whole part of a number.
pub fn truncated(number: &str) -> Option<i64> {
    if let Ok(whole) = number.parse::<i64>() {
        return Some(whole);
    }
    number.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| n.trunc() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(actual: Actual, expected: &str, want: bool) {
        let parsed = serde_json::from_str(expected).expect("the test is JSON");
        assert_eq!(matches(&actual, &parsed), want, "{actual} and {expected}");
    }

    fn decimal(text: &str) -> Actual {
        Actual::Decimal(Exact::parse(text).expect("a number"))
    }

    #[test]
    fn numbers_are_strict_about_digits_and_lenient_about_whole_ones() {
        check(decimal("10.0"), "10", false);
        check(decimal("10.0"), "10.0", true);
        check(decimal("1.50"), "1.5", false);
        check(decimal("1.50"), "\"1.50\"", true);
        check(decimal("1.0E10"), "1.0E10", true);
        check(decimal("1.0E10"), "10000000000.0", false);
        check(Actual::Int(1), "1.5", true);
        check(Actual::Int(1), "1", true);
        check(Actual::Int(1), "2", false);
        check(Actual::Double(0.1 + 0.2), "0.3", true);
        check(Actual::Double(f64::NAN), "0.3", false);
        check(Actual::Text("1".to_owned()), "1", false);
    }

    #[test]
    fn names_match_in_upper_case_too_and_their_number_counts() {
        let row =
            || Actual::Map(vec![("A".to_owned(), Actual::Int(1)), ("b".to_owned(), Actual::Null)]);
        check(row(), r#"{"a": 1, "b": null}"#, true);
        check(row(), r#"{"A": 1, "B": null}"#, true);
        check(row(), r#"{"A": 1}"#, false);
        check(row(), r#"{"A": 1, "b": null, "C": null}"#, false);
        check(Actual::List(vec![Actual::Int(1), Actual::Null]), "[1, null]", true);
        check(Actual::List(vec![Actual::Int(1)]), "[1, null]", false);
        check(Actual::Bytes(vec![1, 2]), "\"AQI=\"", true);
    }
}
