//! Whether a system has what was asked for.

use serde_json::Value;

/// The first place where `has` differs from `wanted`, and how. Systems add their defaults: what
/// `wanted` does not say may be there. Some give numbers and booleans back as text.
pub fn difference(wanted: &Value, has: &Value) -> Option<String> {
    differs(wanted, has, "$")
}

fn differs(wanted: &Value, has: &Value, path: &str) -> Option<String> {
    match (wanted, has) {
        (Value::Object(members), Value::Object(theirs)) => {
            members.iter().find_map(|(name, value)| {
                let has = theirs.get(name).unwrap_or(&Value::Null);
                differs(value, has, &format!("{path}.{name}"))
            })
        }
        (Value::Array(items), Value::Array(theirs)) if items.len() == theirs.len() => items
            .iter()
            .zip(theirs)
            .enumerate()
            .find_map(|(at, (item, has))| differs(item, has, &format!("{path}[{at}]"))),
        // What is left out of an answer is empty or the default that it would be given.
        (Value::Object(members), Value::Null) if members.is_empty() => None,
        _ if scalar(wanted).is_some() && scalar(wanted) == scalar(has) => None,
        _ => Some(format!("{path} is {}, wanted is {}", short(has), short(wanted))),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::Bool(bit) => Some(bit.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn short(value: &Value) -> String {
    const CHARS_MAX: usize = 100;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
