//! Messages with a meaning of their own, and how their bytes become values.

use chrono::{Datelike, NaiveDate};

use crate::formats::wire::{Input, Wire, bad, big_endian, rescale, write_big_endian, write_varint};

/// Files that every registry knows without being told.
pub const FILES: [(&str, &str); 4] = [
    (
        "google/type/date.proto",
        "syntax = \"proto3\"; package google.type; \
         message Date { int32 year = 1; int32 month = 2; int32 day = 3; }",
    ),
    (
        "google/type/timeofday.proto",
        "syntax = \"proto3\"; package google.type; message TimeOfDay { int32 hours = 1; \
         int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }",
    ),
    (
        "confluent/type/decimal.proto",
        "syntax = \"proto3\"; package confluent.type; \
         message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }",
    ),
    ("confluent/meta.proto", "syntax = \"proto3\"; package confluent;"),
];

/// A message that stands for a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Timestamp,
    Date,
    TimeOfDay,
    Decimal,
}

impl Known {
    pub fn of(full_name: &str) -> Option<Known> {
        match full_name {
            "google.protobuf.Timestamp" => Some(Known::Timestamp),
            "google.type.Date" => Some(Known::Date),
            "google.type.TimeOfDay" => Some(Known::TimeOfDay),
            "confluent.type.Decimal" => Some(Known::Decimal),
            _ => None,
        }
    }
}

/// True for the messages of `google/protobuf/wrappers.proto`.
pub fn is_wrapper(full_name: &str) -> bool {
    const WRAPPERS: [&str; 9] = [
        "DoubleValue",
        "FloatValue",
        "Int64Value",
        "UInt64Value",
        "Int32Value",
        "UInt32Value",
        "BoolValue",
        "StringValue",
        "BytesValue",
    ];
    full_name.strip_prefix("google.protobuf.").is_some_and(|name| WRAPPERS.contains(&name))
}

const DAY_SECONDS: i64 = 86_400;

/// The values of the first fields of a message of numbers; other fields are passed over.
fn numbers<const N: usize>(bytes: &[u8]) -> Wire<[i64; N]> {
    let mut values = [0; N];
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let tag = input.varint()?;
        match (tag & 7, usize::try_from(tag >> 3).unwrap_or(0)) {
            (0, number @ 1..) if number <= N => values[number - 1] = input.varint()? as i64,
            (wire, _) => super::skip::skip(&mut input, wire, tag >> 3, 0)?,
        }
    }
    Ok(values)
}

/// Milliseconds since the epoch.
pub fn read_timestamp(bytes: &[u8]) -> Wire<i64> {
    let [seconds, nanos] = numbers(bytes)?;
    let millis =
        seconds.checked_mul(1000).and_then(|ms| ms.checked_add(nanos.div_euclid(1_000_000)));
    millis.map_or_else(|| bad("a timestamp out of range"), Ok)
}

pub fn write_timestamp(millis: i64, out: &mut Vec<u8>) {
    write_number(1, millis.div_euclid(1000), out);
    write_number(2, millis.rem_euclid(1000) * 1_000_000, out);
}

/// Days since the epoch.
pub fn read_date(bytes: &[u8]) -> Wire<i32> {
    let [year, month, day] = numbers(bytes)?;
    let small = |value: i64| u32::try_from(value).ok();
    let date = match (i32::try_from(year), small(month), small(day)) {
        (Ok(year), Some(month), Some(day)) => NaiveDate::from_ymd_opt(year, month, day),
        _ => None,
    };
    match date {
        Some(date) => Ok(date.num_days_from_ce() - EPOCH_FROM_CE),
        None => bad(format!("{year}-{month}-{day} is no date")),
    }
}

/// 1970-01-01 in days of the common era.
const EPOCH_FROM_CE: i32 = 719_163;

/// False: no date that the message can hold.
pub fn write_date(days: i32, out: &mut Vec<u8>) -> bool {
    let date = days.checked_add(EPOCH_FROM_CE).and_then(NaiveDate::from_num_days_from_ce_opt);
    let Some(date) = date else { return false };
    write_number(1, i64::from(date.year()), out);
    write_number(2, i64::from(date.month()), out);
    write_number(3, i64::from(date.day()), out);
    true
}

/// Milliseconds of the day.
pub fn read_time(bytes: &[u8]) -> Wire<i32> {
    let [hours, minutes, seconds, nanos] = numbers(bytes)?;
    let in_range = (0..24).contains(&hours)
        && (0..60).contains(&minutes)
        && (0..60).contains(&seconds)
        && (0..1_000_000_000).contains(&nanos);
    if !in_range {
        return bad(format!("{hours}:{minutes}:{seconds} is no time of day"));
    }
    Ok((((hours * 60 + minutes) * 60 + seconds) * 1000 + nanos / 1_000_000) as i32)
}

pub fn write_time(millis: i32, out: &mut Vec<u8>) {
    let millis = i64::from(millis).rem_euclid(DAY_SECONDS * 1000);
    let seconds = millis / 1000;
    write_number(1, seconds / 3600, out);
    write_number(2, seconds / 60 % 60, out);
    write_number(3, seconds % 60, out);
    write_number(4, millis % 1000 * 1_000_000, out);
}

/// Unscaled, at the scale of the column.
pub fn read_decimal(bytes: &[u8], precision: u8, scale: u8) -> Wire<i128> {
    let (mut unscaled, mut from) = (Some(0), 0);
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let tag = input.varint()?;
        match (tag >> 3, tag & 7) {
            (1, 2) => unscaled = big_endian(input.varint_bytes()?),
            (3, 0) => from = input.varint()? as i32,
            (number, wire) => super::skip::skip(&mut input, wire, number, 0)?,
        }
    }
    let from = u32::try_from(from).ok();
    let value = unscaled.zip(from).and_then(|(value, from)| rescale(value, from, scale, precision));
    match value {
        Some(value) => Ok(value),
        None => bad(format!("a decimal that does not fit DECIMAL({precision}, {scale})")),
    }
}

pub fn write_decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    let mut bytes = Vec::with_capacity(16);
    write_big_endian(unscaled, &mut bytes);
    out.push(1 << 3 | 2);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(&bytes);
    let digits = unscaled.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    write_number(2, i64::from(digits), out);
    write_number(3, i64::from(scale), out);
}

/// A field with a number; zero is not written.
fn write_number(field: u64, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        write_varint(field << 3, out);
        write_varint(value as u64, out);
    }
}
