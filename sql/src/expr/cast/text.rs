//! Conversions from STRING.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryBuilder, BooleanBuilder, PrimitiveBuilder,
    StringArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use arrow::error::ArrowError;

use super::decimal;
use crate::expr::base64;
use crate::expr::frame::{Fault, Frame};
use crate::expr::java_time::iso;
use crate::expr::kernel::mismatch;

pub(super) fn column(
    array: &ArrayRef,
    to: &DataType,
    frame: &mut Frame,
) -> Result<ArrayRef, ArrowError> {
    let texts = array.as_string::<i32>();
    match to {
        DataType::Boolean => {
            let mut out = BooleanBuilder::with_capacity(texts.len());
            texts.iter().for_each(|text| out.append_option(text.map(is_true)));
            Ok(Arc::new(out.finish()))
        }
        DataType::Int32 => Ok(numbers::<Int32Type>(texts, frame, |text| {
            trimmed(text).parse().map_err(|_| bad("INTEGER", text))
        })),
        DataType::Int64 => Ok(numbers::<Int64Type>(texts, frame, |text| {
            trimmed(text).parse().map_err(|_| bad("BIGINT", text))
        })),
        DataType::Float64 => Ok(numbers::<Float64Type>(texts, frame, parse_double)),
        DataType::Decimal128(p, s) => {
            let parsed = numbers::<Decimal128Type>(texts, frame, |text| {
                decimal::parse(trimmed(text), *p, *s)
            });
            let parsed = parsed.as_primitive::<Decimal128Type>().clone();
            Ok(Arc::new(parsed.with_precision_and_scale(*p, *s)?))
        }
        DataType::Date32 => {
            Ok(numbers::<Date32Type>(texts, frame, |text| parse_date_text(trimmed(text))))
        }
        DataType::Time32(_) => Ok(numbers::<Time32MillisecondType>(texts, frame, |text| {
            parse_time_text(trimmed(text))
        })),
        DataType::Timestamp(..) => Ok(numbers::<TimestampMillisecondType>(texts, frame, |text| {
            parse_timestamp_text(trimmed(text))
        })),
        DataType::Binary => {
            let mut out = BinaryBuilder::with_capacity(texts.len(), texts.value_data().len());
            for (row, text) in texts.iter().enumerate() {
                match text.map(|text| base64::decode(trimmed(text))) {
                    None => out.append_null(),
                    Some(Some(bytes)) => out.append_value(bytes),
                    Some(None) => {
                        frame.fault(row, "invalid base64 text for type BYTES");
                        out.append_null();
                    }
                }
            }
            Ok(Arc::new(out.finish()))
        }
        other => Err(mismatch("a type that text becomes", other)),
    }
}

fn numbers<T: ArrowPrimitiveType>(
    texts: &StringArray,
    frame: &mut Frame,
    parse: impl Fn(&str) -> Result<T::Native, Fault>,
) -> ArrayRef {
    let mut out = PrimitiveBuilder::<T>::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        match text.map(&parse) {
            None => out.append_null(),
            Some(Ok(value)) => out.append_value(value),
            Some(Err(message)) => {
                frame.fault(row, message);
                out.append_null();
            }
        }
    }
    Arc::new(out.finish())
}

fn bad(ty: &str, text: &str) -> Fault {
    Fault::Owned(format!("invalid input syntax for type {ty}: \"{text}\"."))
}

/// Java's grammar of doubles, without hexadecimals. What is not finite is no number of SQL.
fn parse_double(text: &str) -> Result<f64, Fault> {
    let trimmed = trimmed(text);
    let unsigned = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let number = trimmed.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(trimmed);
    let plain = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let parsed = number.parse().ok().filter(|value: &f64| plain && value.is_finite());
    parsed.ok_or_else(|| bad("DOUBLE", text))
}

/// A prefix of `true` or `yes`, in any case.
fn is_true(text: &str) -> bool {
    is_prefix(text, "true") || is_prefix(text, "yes")
}

fn is_prefix(text: &str, word: &str) -> bool {
    let text = trimmed(text);
    !text.is_empty() && word.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text))
}

/// Literals are stricter than CAST: what is no boolean word is refused.
pub(super) fn check_boolean(array: &ArrayRef, to: &DataType) -> Result<(), String> {
    let Some(texts) = array.as_string_opt::<i32>().filter(|_| *to == DataType::Boolean) else {
        return Ok(());
    };
    for text in texts.iter().flatten() {
        let words = ["true", "yes", "false", "no"];
        if !words.iter().any(|word| is_prefix(text, word)) {
            return Err(format!("invalid input syntax for type BOOLEAN: \"{text}\"."));
        }
    }
    Ok(())
}

/// Milliseconds since the epoch of a (possibly partial) ISO date and time, UTC unless it has a
/// zone: `2020`, `2020-02-03`, `2020-02-03T12:00`, `2020-02-03T12:00:01.5+02:00`.
///
/// # Errors
/// When the text is no such time.
pub fn parse_timestamp_text(text: &str) -> Result<i64, Fault> {
    iso::timestamp(text).map_err(|reason| {
        Fault::Owned(format!(
            "Failed to parse timestamp '{text}': {reason}\n\
             Required format is: \"yyyy-MM-dd'T'HH:mm:ss.SSS\", with an optional numeric 4-digit \
             timezone, for example: '2020-05-26T23:59:58.000' or with tz: \
             '2020-05-26T23:59:58.000+0200'. A trailing 'Z' instead of tz indicates the zero UTC \
             offset. Partials are also supported, for example \"2020-05-26\""
        ))
    })
}

/// Days since the epoch of `yyyy[-MM[-dd]]`.
///
/// # Errors
/// When the text is no date.
pub fn parse_date_text(text: &str) -> Result<i32, Fault> {
    iso::date(text).ok_or_else(|| {
        Fault::Owned(format!(
            "Failed to parse date '{text}'\n\
             Required format is: \"yyyy-MM-dd\", for example '2020-05-26'. \
             Partials are also supported, for example '2020-05'"
        ))
    })
}

/// Milliseconds of the day of `HH:mm[:ss[.SSS]]`.
///
/// # Errors
/// When the text is no time of day.
pub fn parse_time_text(text: &str) -> Result<i32, Fault> {
    iso::time(text).ok_or_else(|| {
        Fault::Owned(format!(
            "Failed to parse time '{text}'\n\
             Required format is: \"HH:mm:ss.SSS\", for example: '01:34:20.123' or '01:34:20'. \
             Partials are also supported, for example '01:34'"
        ))
    })
}

/// Without what Java's `trim` takes away: blanks and control characters at both ends.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}
