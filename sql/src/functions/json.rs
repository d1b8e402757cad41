//! Functions that read JSON text.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringBuilder};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use serde_json::Value;

use super::java_json::{Numbers, java_text};
use super::registry::{Body::*, Scalar};
use crate::expr::frame::{Fault, Frame};
use crate::expr::kernel::{Args, Big, Bool, Dbl, Int, RowResult, Str, StrList, rows1, rows2};
use crate::expr::ops::map_from;

const JSON: &str = "JSON";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "EXTRACTJSONFIELD",
        category: JSON,
        about: "The value at a path in a JSON text; text without quotes, all else as JSON.",
        example: ("EXTRACTJSONFIELD('{\"a\": {\"b\": [1, 2]}}', '$.a.b[1]')", "2"),
        overloads: &[(
            "(STRING, STRING) -> STRING",
            Kernel(|args, frame| rows2::<Str, Str, Str>(args, frame, extract)),
        )],
    },
    Scalar {
        name: "IS_JSON_STRING",
        category: JSON,
        about: "Is the text JSON?",
        example: ("IS_JSON_STRING('[1, 2]')", "true"),
        overloads: &[("(STRING) -> BOOLEAN", Kernel(is_json))],
    },
    Scalar {
        name: "JSON_ARRAY_CONTAINS",
        category: JSON,
        about: "Does the JSON array have an item equal to the value?",
        example: ("JSON_ARRAY_CONTAINS('[1, 2, 3]', 3)", "true"),
        overloads: &[("(STRING, T) -> BOOLEAN", Kernel(array_contains))],
    },
    Scalar {
        name: "JSON_ARRAY_LENGTH",
        category: JSON,
        about: "The number of items of the JSON array; NULL if it is none.",
        example: ("JSON_ARRAY_LENGTH('[1, 2, 3]')", "3"),
        overloads: &[(
            "(STRING) -> INT",
            Kernel(|args, frame| {
                rows1::<Str, Int>(args, frame, |text| {
                    Ok(parse(text)?.as_array().map(|items| items.len() as i32))
                })
            }),
        )],
    },
    Scalar {
        name: "JSON_ITEMS",
        category: JSON,
        about: "The items of the JSON array, as JSON.",
        example: ("CAST(JSON_ITEMS('[1, \"a\", {}]') AS STRING)", "[1, \"a\", {}]"),
        overloads: &[(
            "(STRING) -> ARRAY<STRING>",
            Kernel(|args, frame| {
                rows1::<Str, StrList>(args, frame, |text| match parse(text)? {
                    Value::Array(items) => {
                        let text = |item| Some(Cow::Owned(java_text(item, Numbers::Shortest)));
                        Ok(Some(items.iter().map(text).collect()))
                    }
                    _ => Err("the text is no JSON array".into()),
                })
            }),
        )],
    },
    Scalar {
        name: "JSON_KEYS",
        category: JSON,
        about: "The keys of the JSON object; NULL if it is none.",
        example: ("CAST(JSON_KEYS('{\"a\": 1, \"b\": 2}') AS STRING)", "[a, b]"),
        overloads: &[(
            "(STRING) -> ARRAY<STRING>",
            Kernel(|args, frame| {
                rows1::<Str, StrList>(args, frame, |text| match parse(text)? {
                    Value::Object(members) => {
                        let keys = members.into_iter().map(|(key, _)| Some(Cow::Owned(key)));
                        Ok(Some(keys.collect()))
                    }
                    _ => Ok(None),
                })
            }),
        )],
    },
    Scalar {
        name: "JSON_RECORDS",
        category: JSON,
        about: "The members of the JSON object, text without quotes; NULL if it is none.",
        example: ("CAST(JSON_RECORDS('{\"a\": 1, \"b\": \"c\"}') AS STRING)", "{a=1, b=c}"),
        overloads: &[("(STRING) -> MAP<STRING, STRING>", Kernel(records))],
    },
];

/// The first JSON value of the text; what follows it is ignored, as ksqlDB does.
pub(super) fn parse(text: &str) -> Result<Value, Fault> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let first = values.next().ok_or("Invalid JSON format: there is no value")?;
    first.map_err(|error| Fault::Owned(format!("Invalid JSON format: {error}")))
}

fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => java_text(value, Numbers::Shortest),
    }
}

fn extract<'a>(text: &'a str, path: &'a str) -> RowResult<Cow<'a, str>> {
    let steps = steps(path).ok_or_else(|| Fault::Owned(format!("Invalid JSON path: '{path}'")))?;
    let root = parse(text)?;
    let mut at = &root;
    for step in steps {
        let next = match at {
            Value::Object(members) => members.get(step.as_ref()),
            Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        let Some(next) = next else { return Ok(None) };
        at = next;
    }
    Ok(Some(Cow::Owned(to_text(at))))
}

/// `$.a.b[0]["c d"]` as names and indexes.
fn steps(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            (end > 0).then_some(())?;
            steps.push(Cow::Borrowed(&after[..end]));
            rest = &after[end..];
        } else if let Some(after) = rest.strip_prefix("[\"").or_else(|| rest.strip_prefix("['")) {
            let quote = rest.as_bytes()[1] as char;
            let end = after.find(quote)?;
            steps.push(Cow::Borrowed(&after[..end]));
            rest = after[end + 1..].strip_prefix(']')?;
        } else {
            let after = rest.strip_prefix('[')?;
            let (index, tail) = after.split_once(']')?;
            steps.push(Cow::Borrowed(index.trim()));
            rest = tail;
        }
    }
    Some(steps)
}

fn is_json(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        let text = args.col(0)?.get::<Str>(row)?;
        out.push(text.is_some_and(|text| parse(text).is_ok()));
    }
    Ok(Arc::new(BooleanArray::from(out)))
}

fn array_contains(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        let parsed = args.col(0)?.get::<Str>(row)?.and_then(|text| parse(text).ok());
        let Some(Value::Array(items)) = parsed else {
            out.push(false);
            continue;
        };
        let mut found = false;
        for item in &items {
            found |= item_equals(item, args, row)?;
        }
        out.push(found);
    }
    Ok(Arc::new(BooleanArray::from(out)))
}

/// Numbers are equal only within their kind: whole, or with a fraction or exponent.
fn item_equals(item: &Value, args: &Args<'_>, row: usize) -> Result<bool, ArrowError> {
    let col = args.col(1)?;
    if col.is_null(row) {
        return Ok(item.is_null());
    }
    let whole = |value: Option<i64>| item.is_number() && value.is_some() && item.as_i64() == value;
    Ok(match col.array.data_type() {
        DataType::Boolean => col.get::<Bool>(row)? == item.as_bool(),
        DataType::Int32 => whole(col.get::<Int>(row)?.map(i64::from)),
        DataType::Int64 => whole(col.get::<Big>(row)?),
        DataType::Float64 => {
            let fraction = item.is_number() && item.as_i64().is_none();
            fraction && item.as_f64() == col.get::<Dbl>(row)?
        }
        DataType::Utf8 => col.get::<Str>(row)? == item.as_str(),
        _ => false,
    })
}

fn records(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for row in 0..args.rows {
        let members = match args.col(0)?.get::<Str>(row)?.map(parse) {
            Some(Ok(Value::Object(members))) => Some(members),
            Some(Err(message)) => {
                frame.fault(row, message);
                None
            }
            _ => None,
        };
        valid.push(members.is_some());
        let members = members.unwrap_or_default();
        lengths.push(members.len());
        for (key, value) in &members {
            keys.append_value(key);
            values.append_value(to_text(value));
        }
    }
    let (keys, values) = (Arc::new(keys.finish()), Arc::new(values.finish()));
    map_from(args.returns, keys, values, lengths, Some(valid.into()))
}
