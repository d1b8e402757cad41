//! Conversions to STRING, in the form that Java gives them.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use arrow::error::ArrowError;

use crate::expr::base64;
use crate::expr::frame::Frame;
use crate::expr::hash_order;
use crate::expr::java_time::iso;
use crate::expr::kernel::{Args, Str, Time, mismatch, ok, rows1};

pub(super) fn column(array: &ArrayRef, from: &DataType) -> Result<ArrayRef, ArrowError> {
    if matches!(from, DataType::Boolean | DataType::Int32 | DataType::Int64) {
        return arrow::compute::cast(array, &DataType::Utf8);
    }
    let mut out = StringBuilder::with_capacity(array.len(), array.len() * 16);
    for row in 0..array.len() {
        if array.is_null(row) {
            out.append_null();
        } else {
            write_value(array.as_ref(), row, &mut out)?;
            out.append_value("");
        }
    }
    Ok(Arc::new(out.finish()))
}

/// `CAST(time AS STRING)`: hours and minutes, seconds if there are any, never milliseconds.
pub(super) fn time_without_millis(
    args: &Args<'_>,
    frame: &mut Frame,
) -> Result<ArrayRef, ArrowError> {
    rows1::<Time, Str>(args, frame, |ms| {
        let mut text = String::new();
        let _ = iso::write_time(&mut text, ms / 1000 * 1000);
        ok(text)
    })
}

/// Writes the value of a row that is not NULL as Java's `toString` does.
fn write_value(array: &dyn Array, row: usize, out: &mut impl Write) -> Result<(), ArrowError> {
    let done = match array.data_type() {
        DataType::Boolean => write!(out, "{}", array.as_boolean().value(row)),
        DataType::Int32 => write!(out, "{}", array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => write!(out, "{}", array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => write_double(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            write_decimal(out, array.as_primitive::<Decimal128Type>().value(row), *scale)
        }
        DataType::Utf8 => out.write_str(array.as_string::<i32>().value(row)),
        DataType::Binary => out.write_str(&base64::encode(array.as_binary::<i32>().value(row))),
        DataType::Date32 => iso::write_date(out, array.as_primitive::<Date32Type>().value(row)),
        DataType::Time32(_) => {
            iso::write_time(out, array.as_primitive::<Time32MillisecondType>().value(row))
        }
        DataType::Timestamp(..) => {
            let times = array.as_primitive::<TimestampMillisecondType>();
            iso::write_timestamp(out, times.value(row))
        }
        DataType::List(_) | DataType::Map(..) | DataType::Struct(_) => {
            return write_nested(array, row, out);
        }
        other => return Err(mismatch("a type that becomes text", other)),
    };
    done.map_err(|_| mismatch("room for text", "none"))
}

fn write_nested(array: &dyn Array, row: usize, out: &mut impl Write) -> Result<(), ArrowError> {
    let full = |_| mismatch("room for text", "none");
    match array.data_type() {
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            out.write_str("[").map_err(full)?;
            for item in 0..items.len() {
                out.write_str(if item > 0 { ", " } else { "" }).map_err(full)?;
                write_or_null(items.as_ref(), item, out)?;
            }
            out.write_str("]").map_err(full)
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let order = hash_order(entries.column(0), 0..entries.len());
            out.write_str("{").map_err(full)?;
            for (place, entry) in order.into_iter().enumerate() {
                out.write_str(if place > 0 { ", " } else { "" }).map_err(full)?;
                write_or_null(entries.column(0).as_ref(), entry, out)?;
                out.write_str("=").map_err(full)?;
                write_or_null(entries.column(1).as_ref(), entry, out)?;
            }
            out.write_str("}").map_err(full)
        }
        _ => {
            let members = array.as_struct();
            out.write_str("Struct{").map_err(full)?;
            let mut comma = "";
            for (field, member) in members.fields().iter().zip(members.columns()) {
                if member.is_valid(row) {
                    write!(out, "{comma}{}=", field.name()).map_err(full)?;
                    write_value(member.as_ref(), row, out)?;
                    comma = ",";
                }
            }
            out.write_str("}").map_err(full)
        }
    }
}

fn write_or_null(array: &dyn Array, row: usize, out: &mut impl Write) -> Result<(), ArrowError> {
    match array.is_null(row) {
        true => out.write_str("null").map_err(|_| mismatch("room for text", "none")),
        false => write_value(array, row, out),
    }
}

/// Java's `Double.toString`: the shortest digits that give the number back, with an exponent
/// below 10^-3 and from 10^7 on.
pub fn double_text(value: f64) -> String {
    let mut text = String::with_capacity(24);
    let _ = write_double(&mut text, value);
    text
}

fn write_double(out: &mut impl Write, value: f64) -> std::fmt::Result {
    if value.is_nan() {
        return out.write_str("NaN");
    }
    if value.is_infinite() {
        return out.write_str(if value < 0.0 { "-Infinity" } else { "Infinity" });
    }
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return write!(out, "{value:?}");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let fraction = if mantissa.contains('.') { "" } else { ".0" };
    write!(out, "{mantissa}{fraction}E{exponent}")
}

fn write_decimal(out: &mut impl Write, value: i128, scale: i8) -> std::fmt::Result {
    let unit = 10u128.saturating_pow(scale.max(0) as u32);
    let (size, sign) = (value.unsigned_abs(), if value < 0 { "-" } else { "" });
    match scale {
        ..=0 => write!(out, "{value}"),
        _ => write!(out, "{sign}{}.{:0width$}", size / unit, size % unit, width = scale as usize),
    }
}

/// The plain digits of a DECIMAL.
pub(crate) fn decimal_text(value: i128, scale: i8) -> String {
    let mut text = String::new();
    let _ = write_decimal(&mut text, value, scale);
    text
}
