//! Compares answers with what a case expects: partial objects, strict values, rows in any order.

use serde_json::{Map, Number, Value};

use super::case::{ExpectedError, RestCase};
use super::proto;

/// Checks all answers of a case.
///
/// # Errors
/// The first difference, for people.
pub fn responses(case: &RestCase, actual: &[Value]) -> Result<(), String> {
    if actual.len() < case.responses.len() {
        return Err(format!("{} answers, expected {}", actual.len(), case.responses.len()));
    }
    for (i, (expected, actual)) in case.responses.iter().zip(actual).enumerate() {
        response(case, expected, actual).map_err(|e| format!("answer {i}: {e}"))?;
    }
    Ok(())
}

fn response(case: &RestCase, expected: &Value, actual: &Value) -> Result<(), String> {
    let Some((kind, expected)) = expected.as_object().and_then(|o| o.iter().next()) else {
        return Err(format!("the file expects no object: {expected}"));
    };
    let got = actual.get(kind).ok_or_else(|| format!("expected {kind}, got {actual}"))?;
    match kind.as_str() {
        "query" => rows(expected, got, case.verify_order),
        "queryProto" => rows(expected, got, false),
        _ => partial(expected, got),
    }
}

/// Rows of a query: kinds by position, columns as a multiset.
fn rows(expected: &Value, actual: &Value, ordered: bool) -> Result<(), String> {
    let empty = Vec::new();
    let (expected, actual) =
        (expected.as_array().unwrap_or(&empty), actual.as_array().unwrap_or(&empty));
    let shown = || Value::Array(actual.clone()).to_string();
    if expected.len() != actual.len() {
        return Err(format!("{} rows, expected {}: {}", actual.len(), expected.len(), shown()));
    }
    let (mut wanted, mut got) = (Vec::new(), Vec::new());
    for (expected, actual) in expected.iter().zip(actual) {
        let mut expected = expected.clone();
        let mut actual = normal(actual);
        for (row, all) in [(&mut expected, &mut wanted), (&mut actual, &mut got)] {
            match row.get_mut("row") {
                Some(Value::Object(row)) => all.extend(row.remove("columns")),
                // Rows of the Protobuf form are text.
                Some(text) => {
                    let message = text.take();
                    all.push(Value::String(proto::sorted(message.as_str().unwrap_or_default())));
                }
                None => {}
            }
        }
        partial(&expected, &actual)?;
    }
    if !ordered {
        let by_text = |row: &Value| row.to_string();
        wanted.sort_by_key(by_text);
        got.sort_by_key(by_text);
    }
    if let Some((wanted, got)) = wanted.iter().zip(&got).find(|(a, b)| !same(a, b)) {
        return Err(format!("expected row {wanted}, got {got}, all: {}", shown()));
    }
    Ok(())
}

/// Every member that is expected is there and fits; others are ignored.
fn partial(expected: &Value, actual: &Value) -> Result<(), String> {
    let Value::Object(members) = expected else {
        return match same(expected, actual) {
            true => Ok(()),
            false => Err(format!("expected {expected}, got {actual}")),
        };
    };
    for (name, expected) in members {
        let (name, prefix) = match name.strip_suffix("|starts_with") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let actual = actual.get(name).ok_or_else(|| format!("no '{name}' in {actual}"))?;
        match (prefix, expected, actual) {
            (true, Value::String(start), Value::String(text)) if text.starts_with(start) => {}
            (true, ..) => return Err(format!("'{name}' is {actual}, expected {expected}...")),
            _ => partial(expected, actual).map_err(|e| format!("{name}: {e}"))?,
        }
    }
    Ok(())
}

/// Equality of JSON; members of objects in any order, numbers by their text.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
        }
        (Value::Number(a), Value::Number(b)) => a.to_string() == b.to_string(),
        (a, b) => a == b,
    }
}

/// Numbers in plain notation, members in order of their names.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(normal).collect()),
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), normal(value))).collect();
            Value::Object(members)
        }
        Value::Number(number) => match plain(&number.to_string()) {
            Some(text) => text.parse::<Number>().map_or_else(|_| value.clone(), Value::Number),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

/// `1.5E3` as `1500`; `None` when there is no exponent.
fn plain(text: &str) -> Option<String> {
    let (digits, exponent) = text.split_once(['e', 'E'])?;
    let exponent: i64 = exponent.trim_start_matches('+').parse().ok()?;
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all = format!("{whole}{fraction}");
    let mut point = whole.len() as i64 + exponent;
    if point <= 0 {
        all.insert_str(0, &"0".repeat((1 - point).unsigned_abs() as usize));
        point = 1;
    }
    let missing = point - all.len() as i64;
    if missing > 0 {
        all.push_str(&"0".repeat(missing.unsigned_abs() as usize));
    }
    let (whole, fraction) = all.split_at(point.unsigned_abs() as usize);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{dot}{fraction}"))
}

/// Checks a refusal.
///
/// # Errors
/// What differs, for people.
pub fn error(
    case: &RestCase,
    expected: &ExpectedError,
    status: u16,
    body: &Value,
) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}, got {status}: {body}"));
    if expected.status.is_some_and(|s| s != status) {
        return wrong(&format!("expected status {:?}", expected.status));
    }
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
    if let Some(part) = &expected.message
        && !message.contains(part.as_str())
    {
        return wrong(&format!("expected an error with '{part}'"));
    }
    let statement_error = expected.class.as_ref().is_some_and(|c| c.contains("StatementError"));
    if statement_error {
        let text = body.get("statementText").and_then(Value::as_str).unwrap_or_default();
        let last = case.case.statements.last().map(|s| masked(s)).unwrap_or_default();
        if !text.contains(&last) {
            return wrong(&format!("expected the statement '{last}'"));
        }
    }
    Ok(())
}

/// The statement as an error may show it.
fn masked(statement: &str) -> String {
    let parts = crate::statements::split(statement, &crate::statements::Session::default());
    match parts.ok().and_then(|mut parts| parts.pop()) {
        Some(part) => part.masked(),
        None => statement.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_notation() {
        let cases = [
            ("1.0E10", Some("10000000000")),
            ("1.25E1", Some("12.5")),
            ("-1.5E-3", Some("-0.0015")),
            ("4.9E-2", Some("0.049")),
            ("10.0", None),
            ("7", None),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn objects_are_compared_in_part_and_rows_as_a_multiset() {
        let row = |a: &str| json!({"row": {"columns": [a, {"X": 1, "Y": 2}]}});
        let got = [json!({"header": {"schema": "s", "queryId": "q_1"}}), row("a"), row("b")];
        let ok = json!([{"header": {"schema": "s", "queryId|starts_with": "q"}},
            {"row": {"columns": ["b", {"Y": 2, "X": 1}]}}, row("a")]);
        assert_eq!(rows(&ok, &Value::Array(got.to_vec()), false), Ok(()));
        assert!(rows(&ok, &Value::Array(got.to_vec()), true).is_err());
        let other = json!([{"header": {"schema": "t"}}, row("a"), row("b")]);
        assert!(rows(&other, &Value::Array(got.to_vec()), false).is_err());
        let scale = [json!([{"row": {"columns": [1]}}]), json!([{"row": {"columns": [1.0]}}])];
        assert!(rows(&scale[0], &scale[1], false).is_err());
    }
}
