//! Functions that write JSON text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use arrow::error::ArrowError;
use serde_json::{Map, Number, Value};

use super::java_json::{Numbers, java_text};
use super::json::parse;
use super::registry::{Body::*, Scalar};
use crate::expr::base64;
use crate::expr::frame::{Fault, Frame};
use crate::expr::java_time::iso;
use crate::expr::kernel::{Args, Str, mismatch};

const JSON: &str = "JSON";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "JSON_CONCAT",
        category: JSON,
        about: "JSON objects merged, or JSON values as one array.",
        example: ("JSON_CONCAT('{\"a\": 1}', '{\"b\": 2}')", "{\"a\":1,\"b\":2}"),
        overloads: &[("(STRING...) -> STRING", Kernel(concat))],
    },
    Scalar {
        name: "TO_JSON_STRING",
        category: JSON,
        about: "Any value as JSON.",
        example: ("TO_JSON_STRING(ARRAY[1, NULL])", "[1,null]"),
        overloads: &[("(T) -> STRING", Kernel(to_json))],
    },
];

fn concat(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = StringBuilder::with_capacity(args.rows, args.rows * 32);
    for row in 0..args.rows {
        let mut values = Vec::with_capacity(args.cols.len());
        for col in args.cols {
            let text = col.get::<Str>(row)?.filter(|text| !text.is_empty());
            values.push(text.map(parse).transpose());
        }
        match values.into_iter().collect::<Result<Option<Vec<Value>>, Fault>>() {
            Ok(Some(values)) if !values.is_empty() => {
                out.append_value(java_text(&joined(values), Numbers::Plain));
            }
            Ok(_) => out.append_null(),
            Err(message) => {
                frame.fault(row, message);
                out.append_null();
            }
        }
    }
    Ok(Arc::new(out.finish()))
}

fn joined(values: Vec<Value>) -> Value {
    if values.iter().all(Value::is_object) {
        let mut all = Map::new();
        for value in values {
            if let Value::Object(members) = value {
                all.extend(members);
            }
        }
        return Value::Object(all);
    }
    let items = values.into_iter().flat_map(|value| match value {
        Value::Array(items) => items,
        other => vec![other],
    });
    Value::Array(items.collect())
}

fn to_json(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let values = args.array(0)?;
    let mut out = StringBuilder::with_capacity(args.rows, args.rows * 16);
    for row in 0..args.rows {
        out.append_value(java_text(&json_of(values.as_ref(), row)?, Numbers::Double));
    }
    Ok(Arc::new(out.finish()))
}

pub(super) fn json_of(array: &dyn Array, row: usize) -> Result<Value, ArrowError> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    let text = |write: &dyn Fn(&mut String) -> std::fmt::Result| {
        let mut text = String::new();
        let _ = write(&mut text);
        Value::String(text)
    };
    Ok(match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Value::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => number_of_double(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            decimal(value, *scale)
        }
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::Binary => Value::from(base64::encode(array.as_binary::<i32>().value(row))),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            text(&|out| iso::write_date(out, days))
        }
        DataType::Time32(_) => {
            let ms = array.as_primitive::<Time32MillisecondType>().value(row);
            // As CAST does it: without milliseconds.
            text(&|out| iso::write_time(out, ms / 1000 * 1000))
        }
        DataType::Timestamp(..) => {
            let ms = array.as_primitive::<TimestampMillisecondType>().value(row);
            text(&|out| iso::write_timestamp(out, ms))
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items = (0..items.len()).map(|item| json_of(items.as_ref(), item));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let member = |entry: usize| {
                let key = match json_of(keys.as_ref(), entry)? {
                    Value::String(key) => key,
                    key => key.to_string(),
                };
                Ok((key, json_of(values.as_ref(), entry)?))
            };
            object((0..entries.len()).map(member).collect::<Result<_, ArrowError>>()?)
        }
        DataType::Struct(_) => {
            let members = array.as_struct();
            let fields = members.fields().iter().zip(members.columns());
            let member = |(field, column): (&arrow::datatypes::FieldRef, &ArrayRef)| {
                Ok((field.name().clone(), json_of(column.as_ref(), row)?))
            };
            object(fields.map(member).collect::<Result<_, ArrowError>>()?)
        }
        other => return Err(mismatch("a type that becomes JSON", other)),
    })
}

/// Members by name.
fn object(mut members: Vec<(String, Value)>) -> Value {
    members.sort_by(|left, right| left.0.cmp(&right.0));
    Value::Object(members.into_iter().collect())
}

fn number_of_double(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(_) => number(&crate::expr::double_text(value)),
        None => Value::String(crate::expr::double_text(value)),
    }
}

fn decimal(value: i128, scale: i8) -> Value {
    number(&crate::expr::decimal_text(value, scale))
}

/// A number with exactly these digits.
fn number(text: &str) -> Value {
    serde_json::from_str::<Number>(text).map_or(Value::Null, Value::Number)
}
