//! Conversions from and to DECIMAL: HALF_UP into it, cut and wrapped out of it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int32Type, Int64Type,
};
use arrow::error::ArrowError;

use super::to_text::double_text;
use crate::expr::frame::{Fault, Frame};
use crate::expr::kernel::mismatch;

pub(super) fn column(
    array: &ArrayRef,
    to: &DataType,
    frame: &mut Frame,
) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    match (array.data_type(), to) {
        (Int32, Decimal128(p, s)) => into(array.as_primitive::<Int32Type>(), *p, *s, frame, |v| {
            rescale(i128::from(v), 0, *s, *p)
        }),
        (Int64, Decimal128(p, s)) => into(array.as_primitive::<Int64Type>(), *p, *s, frame, |v| {
            rescale(i128::from(v), 0, *s, *p)
        }),
        (Float64, Decimal128(p, s)) => {
            into(array.as_primitive::<Float64Type>(), *p, *s, frame, |v| {
                parse(&double_text(v), *p, *s)
            })
        }
        (Decimal128(_, from), Decimal128(p, s)) => {
            into(array.as_primitive::<Decimal128Type>(), *p, *s, frame, |v| {
                rescale(v, *from, *s, *p)
            })
        }
        (Decimal128(_, scale), Int32) => Ok(whole::<Int32Type>(array, *scale, |v| v as i32)),
        (Decimal128(_, scale), Int64) => Ok(whole::<Int64Type>(array, *scale, |v| v as i64)),
        (Decimal128(_, scale), Float64) => {
            let values = array.as_primitive::<Decimal128Type>();
            Ok(Arc::new(values.unary::<_, Float64Type>(|v| to_double(v, *scale))))
        }
        (from, to) => Err(mismatch(&format!("a type that becomes {to}"), from)),
    }
}

fn into<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    precision: u8,
    scale: i8,
    frame: &mut Frame,
    f: impl Fn(T::Native) -> Result<i128, Fault>,
) -> Result<ArrayRef, ArrowError> {
    let mut values = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        values.push(match array.is_valid(row).then(|| f(array.value(row))) {
            None => 0,
            Some(Ok(value)) => value,
            Some(Err(message)) => {
                frame.fault(row, message);
                0
            }
        });
    }
    let result = PrimitiveArray::<Decimal128Type>::new(values.into(), array.nulls().cloned());
    Ok(Arc::new(result.with_precision_and_scale(precision, scale)?))
}

fn whole<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    scale: i8,
    f: impl Fn(i128) -> T::Native,
) -> ArrayRef {
    let unit = power_of_ten(scale);
    Arc::new(array.as_primitive::<Decimal128Type>().unary::<_, T>(|value| f(value / unit)))
}

/// The nearest double.
pub(crate) fn to_double(value: i128, scale: i8) -> f64 {
    /// Below this both numbers are exact doubles, and so one division rounds right.
    const EXACT: u128 = 1 << 53;
    if value.unsigned_abs() <= EXACT && scale <= 22 {
        return value as f64 / power_of_ten(scale) as f64;
    }
    format!("{value}e-{scale}").parse().unwrap_or(f64::NAN)
}

/// `value` (with `from` digits after the point) with `to` digits, rounded HALF_UP.
///
/// # Errors
/// When the result has more than `precision` digits.
pub(crate) fn rescale(value: i128, from: i8, to: i8, precision: u8) -> Result<i128, Fault> {
    let overflow = || {
        Fault::Owned(format!(
            "Numeric field overflow: A field with precision {precision} and scale {to} must \
             round to an absolute value less than 10^{}. Got {value}e-{from}",
            precision as i8 - to
        ))
    };
    let scaled = if to >= from {
        value.checked_mul(power_of_ten(to - from)).ok_or_else(overflow)?
    } else {
        let unit = power_of_ten(from - to);
        let (quotient, rest) = (value / unit, (value % unit).unsigned_abs());
        quotient + if rest >= unit.unsigned_abs() / 2 { value.signum() } else { 0 }
    };
    let fits = scaled.unsigned_abs() < power_of_ten(precision as i8).unsigned_abs();
    if fits { Ok(scaled) } else { Err(overflow()) }
}

fn power_of_ten(exponent: i8) -> i128 {
    10i128.saturating_pow(exponent.max(0) as u32)
}

/// The number in `text` (with optional exponent), rounded HALF_UP.
///
/// # Errors
/// When it is no number, or does not fit.
pub(super) fn parse(text: &str, precision: u8, scale: i8) -> Result<i128, Fault> {
    let bad = || Fault::Owned(format!("invalid input syntax for type DECIMAL: \"{text}\"."));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| bad())?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    // Digits that count: those before the wanted scale, and one more for the rounding.
    let point = i64::try_from(whole.len()).map_err(|_| bad())? + i64::from(exponent);
    let wanted = point + i64::from(scale);
    let mut value: i128 = 0;
    let overflow = || Fault::Owned(format!("Numeric field overflow: {text} has too many digits"));
    let mut taken = 0;
    for digit in digits().take(wanted.max(0) as usize) {
        let shifted = value.checked_mul(10).ok_or_else(overflow)?;
        value = shifted.checked_add(i128::from(digit - b'0')).ok_or_else(overflow)?;
        taken += 1;
    }
    for _ in taken..wanted.max(0) {
        if value == 0 {
            break;
        }
        value = value.checked_mul(10).ok_or_else(overflow)?;
    }
    let next = usize::try_from(wanted).ok().and_then(|at| digits().nth(at));
    if next.is_some_and(|digit| digit >= b'5') {
        value += 1;
    }
    rescale(if negative { -value } else { value }, scale, scale, precision)
}
