//! Values of Arrow arrays as the JSON that ksqlDB's clients expect.
//!
//! Numbers stay numbers (DECIMAL exact, in plain notation), BYTES are base64, DATE is `yyyy-MM-dd`,
//! TIME `HH:mm[:ss]`, TIMESTAMP `yyyy-MM-ddTHH:mm:ss.SSS` in UTC. Inside a STRUCT those three are
//! numbers (days, milliseconds), as ksqlDB has it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimeUnit, TimestampMillisecondType,
};
use chrono::{DateTime, NaiveDate, NaiveTime, Timelike};

/// Appends row `row` as a JSON array.
pub fn write_row(out: &mut Vec<u8>, batch: &RecordBatch, row: usize) {
    out.push(b'[');
    for (i, column) in batch.columns().iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_value(out, column.as_ref(), row, false);
    }
    out.push(b']');
}

/// Appends one value as JSON; `null` also for a row beyond the array.
pub fn write_value(out: &mut Vec<u8>, array: &dyn Array, row: usize, in_struct: bool) {
    if row >= array.len() || array.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match array.data_type() {
        DataType::Boolean => write_text(out, bool_text(array.as_boolean().value(row))),
        DataType::Int32 => write_display(out, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => write_display(out, array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => write_double(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => {
            write_text(out, &array.as_primitive::<Decimal128Type>().value_as_string(row));
        }
        DataType::Utf8 => write_json_string(out, array.as_string::<i32>().value(row)),
        DataType::Binary => write_base64(out, array.as_binary::<i32>().value(row)),
        DataType::Date32 => {
            write_date(out, array.as_primitive::<Date32Type>().value(row), in_struct);
        }
        DataType::Time32(TimeUnit::Millisecond) => {
            write_time(out, array.as_primitive::<Time32MillisecondType>().value(row), in_struct);
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let ms = array.as_primitive::<TimestampMillisecondType>().value(row);
            write_timestamp(out, ms, in_struct);
        }
        DataType::List(_) => write_list(out, &array.as_list::<i32>().value(row), in_struct),
        DataType::Map(..) => write_map(out, &array.as_map().value(row), in_struct),
        DataType::Struct(_) => write_struct(out, array, row),
        // The engine carries no other type; text is better than a panic if it ever does.
        other => write_json_string(out, &format!("<{other}>")),
    }
}

fn write_list(out: &mut Vec<u8>, items: &dyn Array, in_struct: bool) {
    out.push(b'[');
    for i in 0..items.len() {
        if i > 0 {
            out.push(b',');
        }
        write_value(out, items, i, in_struct);
    }
    out.push(b']');
}

fn write_map(out: &mut Vec<u8>, entries: &arrow::array::StructArray, in_struct: bool) {
    let (keys, values) = (entries.column(0), entries.column(1));
    out.push(b'{');
    for i in 0..entries.len() {
        if i > 0 {
            out.push(b',');
        }
        write_map_key(out, keys.as_ref(), i);
        out.push(b':');
        write_value(out, values.as_ref(), i, in_struct);
    }
    out.push(b'}');
}

/// JSON wants text for names: other keys are quoted as they would be written.
fn write_map_key(out: &mut Vec<u8>, keys: &dyn Array, row: usize) {
    let mut text = Vec::new();
    write_value(&mut text, keys, row, false);
    if text.first() == Some(&b'"') {
        out.extend_from_slice(&text);
    } else {
        write_json_string(out, &String::from_utf8_lossy(&text));
    }
}

fn write_struct(out: &mut Vec<u8>, array: &dyn Array, row: usize) {
    let array = array.as_struct();
    out.push(b'{');
    for (i, (field, column)) in array.fields().iter().zip(array.columns()).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_json_string(out, field.name());
        out.push(b':');
        write_value(out, column.as_ref(), row, true);
    }
    out.push(b'}');
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn write_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

/// Appends `text` as a JSON string, quoted and escaped.
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// A double as Java prints it (`1.0E10`), which is valid JSON; what is no number becomes text.
fn write_double(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return write_text(out, "\"NaN\"");
    }
    if value.is_infinite() {
        return write_text(out, if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return write_text(out, &format!("{value:?}"));
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    write_text(out, digits);
    if !digits.contains('.') {
        write_text(out, ".0");
    }
    write_text(out, "E");
    write_text(out, exponent);
}

fn write_date(out: &mut Vec<u8>, days: i32, in_struct: bool) {
    const DAYS_TO_EPOCH: i32 = 719_163;
    let date = days.checked_add(DAYS_TO_EPOCH).and_then(NaiveDate::from_num_days_from_ce_opt);
    match date {
        Some(date) if !in_struct => write_display(out, format_args!("\"{date}\"")),
        _ => write_display(out, days),
    }
}

fn write_time(out: &mut Vec<u8>, ms: i32, in_struct: bool) {
    let seconds = u32::try_from(ms / 1000).ok();
    let time = seconds.and_then(|s| NaiveTime::from_num_seconds_from_midnight_opt(s, 0));
    match time {
        Some(t) if !in_struct && t.second() == 0 => {
            write_display(out, format_args!("\"{:02}:{:02}\"", t.hour(), t.minute()));
        }
        Some(t) if !in_struct => write_display(out, format_args!("\"{t}\"")),
        _ => write_display(out, ms),
    }
}

fn write_timestamp(out: &mut Vec<u8>, ms: i64, in_struct: bool) {
    match DateTime::from_timestamp_millis(ms) {
        Some(t) if !in_struct => {
            write_display(out, format_args!("\"{}\"", t.format("%Y-%m-%dT%H:%M:%S%.3f")));
        }
        _ => write_display(out, ms),
    }
}

/// Appends base64 with padding, quoted.
pub fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push(b'"');
    for chunk in bytes.chunks(3) {
        let b = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = b(0) << 16 | b(1) << 8 | b(2);
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = ALPHABET[(bits >> shift & 63) as usize];
            out.push(if i <= chunk.len() { digit } else { b'=' });
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::*;
    use arrow::datatypes::{Field, Fields};

    use super::*;

    fn check(array: &dyn Array, expected: &[&str]) {
        let got: Vec<String> = (0..array.len())
            .map(|i| {
                let mut out = Vec::new();
                write_value(&mut out, array, i, false);
                String::from_utf8(out).unwrap()
            })
            .collect();
        assert_eq!(got, expected);
        for text in got {
            serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON");
        }
    }

    #[test]
    fn scalars() {
        check(&BooleanArray::from(vec![Some(true), None]), &["true", "null"]);
        check(&Int32Array::from(vec![i32::MIN]), &["-2147483648"]);
        check(&Int64Array::from(vec![i64::MAX]), &["9223372036854775807"]);
        check(&StringArray::from(vec!["a\"\n\u{1}ü"]), &["\"a\\\"\\n\\u0001ü\""]);
        let bytes: Vec<&[u8]> = vec![b"", b"f", b"fo", b"foo", b"\xff\xfe"];
        check(&BinaryArray::from(bytes), &["\"\"", "\"Zg==\"", "\"Zm8=\"", "\"Zm9v\"", "\"//4=\""]);
    }

    #[test]
    fn doubles_as_java_prints_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (1.5e-3, "0.0015"),
            (9.999999e-4, "9.999999E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e10, "1.25E10"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ];
        for (value, expected) in cases {
            check(&Float64Array::from(vec![value]), &[expected]);
        }
    }

    #[test]
    fn decimals_are_exact() {
        let values = vec![Some(12345), Some(-5), Some(0), None];
        let array = Decimal128Array::from(values).with_precision_and_scale(10, 3).unwrap();
        check(&array, &["12.345", "-0.005", "0.000", "null"]);
        let big = Decimal128Array::from(vec![10i128.pow(37)]);
        check(&big.with_precision_and_scale(38, 0).unwrap(), &[&format!("1{}", "0".repeat(37))]);
    }

    #[test]
    fn temporal_values() {
        check(
            &Date32Array::from(vec![0, -1, i32::MAX]),
            &["\"1970-01-01\"", "\"1969-12-31\"", "2147483647"],
        );
        check(
            &Time32MillisecondArray::from(vec![0, 3_661_999, 45_000_000, -1]),
            &["\"00:00\"", "\"01:01:01\"", "\"12:30\"", "\"00:00\""],
        );
        check(
            &TimestampMillisecondArray::from(vec![1_357_041_720_005, i64::MAX]),
            &["\"2013-01-01T12:02:00.005\"", "9223372036854775807"],
        );
    }

    #[test]
    fn nested_values() {
        let fields = Fields::from(vec![
            Field::new("A", DataType::Int32, true),
            Field::new("D", DataType::Date32, true),
        ]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from(vec![1])), Arc::new(Date32Array::from(vec![15000]))];
        check(&StructArray::new(fields, columns, None), &["{\"A\":1,\"D\":15000}"]);

        let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        map.keys().append_value("k");
        map.values().append_null();
        map.append(true).unwrap();
        map.append(false).unwrap();
        check(&map.finish(), &["{\"k\":null}", "null"]);

        let mut list = ListBuilder::new(Date32Builder::new());
        list.append_value([Some(0), None]);
        list.append_value([]);
        check(&list.finish(), &["[\"1970-01-01\",null]", "[]"]);
    }

    #[test]
    fn map_keys_are_names() {
        let mut map = MapBuilder::new(None, Int32Builder::new(), BooleanBuilder::new());
        map.keys().append_value(7);
        map.values().append_value(true);
        map.append(true).unwrap();
        check(&map.finish(), &["{\"7\":true}"]);
    }
}
