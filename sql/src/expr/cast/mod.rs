//! Conversions: CAST, the implicit widening, and the lenient conversion of literals.

mod decimal;
mod nested;
mod number;
mod text;
mod to_text;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

pub use text::{parse_date_text, parse_time_text, parse_timestamp_text};
pub(crate) use to_text::decimal_text;
pub use to_text::double_text;

use super::frame::{self, Frame};
use super::kernel::{Args, KernelFn};
use super::op::{call, guard};
use super::typed::Typed;
use crate::error::{Result, SqlError};
use crate::types::{DECIMAL_PRECISION_MAX, SqlType};

/// `CAST(value AS ty)`. A value that cannot be converted is NULL, and told.
///
/// # Errors
/// When ksqlDB has no cast between the types.
pub fn cast(value: Typed, ty: &SqlType) -> Result<Typed> {
    let Some(from) = &value.ty else { return Ok(value.typed_null(ty)) };
    if !castable(from, ty) {
        return Err(SqlError::invalid(format!("Cast of {from} to {ty} is not supported")));
    }
    if from == ty {
        return Ok(value);
    }
    // The quirk of CAST: the milliseconds of a TIME are dropped, elsewhere they are not.
    let kernel: KernelFn = match (from, ty) {
        (SqlType::Time, SqlType::String) => to_text::time_without_millis,
        _ => convert_kernel,
    };
    Ok(guard(call("cast", kernel, vec![value], ty.clone())))
}

fn castable(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::*;
    match (from, to) {
        (from, to) if from == to => true,
        (from, to) if from.is_numeric() && to.is_numeric() => true,
        (Bytes, String) => false,
        (_, String) => true,
        (String, Array(_) | Map(..) | Struct(_)) => false,
        (String, _) => true,
        (Timestamp, Date | Time) | (Date, Timestamp) => true,
        (Array(from), Array(to)) => castable(from, to),
        (Map(from_key, from), Map(to_key, to)) => castable(from_key, to_key) && castable(from, to),
        (Struct(from), Struct(to)) => to.iter().all(|to| {
            let from = from.iter().find(|from| from.name == to.name);
            from.is_none_or(|from| castable(&from.ty, &to.ty))
        }),
        _ => false,
    }
}

/// The widening that ksqlDB does by itself (function arguments, INSERT INTO ... SELECT).
/// The identity if the types are equal.
///
/// # Errors
/// When `value` would have to be CAST.
pub fn implicit_cast(value: Typed, ty: &SqlType) -> Result<Typed> {
    match &value.ty {
        None => Ok(value.typed_null(ty)),
        Some(from) if can_implicitly_cast(from, ty) => Ok(convert(value, ty)),
        Some(from) => {
            let message = format!("{value} is {from}, which does not become {ty} by itself");
            Err(SqlError::invalid(message).hint(format!("use CAST({value} AS {ty})")))
        }
    }
}

/// Does ksqlDB widen `from` to `to` by itself?
pub(crate) fn can_implicitly_cast(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::*;
    match (from, to) {
        (from, to) if from == to => true,
        (Integer, Bigint | Double) | (Bigint, Double) | (Decimal { .. }, Double) => true,
        (Integer, Decimal { precision, scale }) => precision - scale >= 10,
        (Bigint, Decimal { precision, scale }) => precision - scale >= 19,
        (Decimal { precision: p1, scale: s1 }, Decimal { precision: p2, scale: s2 }) => {
            s1 <= s2 && p1 - s1 <= p2 - s2
        }
        (String, Date | Time | Timestamp | Bytes) | (Date, Timestamp) => true,
        (Array(from), Array(to)) => can_implicitly_cast(from, to),
        (Map(from_key, from), Map(to_key, to)) => {
            can_implicitly_cast(from_key, to_key) && can_implicitly_cast(from, to)
        }
        (Struct(from), Struct(to)) => from.iter().all(|from| {
            let to = to.iter().find(|to| from.name == to.name);
            to.is_some_and(|to| can_implicitly_cast(&from.ty, &to.ty))
        }),
        _ => false,
    }
}

/// The conversion without a guard: an error goes to the expression around it.
pub(crate) fn convert(value: Typed, ty: &SqlType) -> Typed {
    match &value.ty {
        None => value.typed_null(ty),
        Some(from) if from == ty => value,
        Some(_) => call("implicit_cast", convert_kernel, vec![value], ty.clone()),
    }
}

/// The lenient conversion of literals (INSERT VALUES, IN lists, key look-ups): text to numbers,
/// booleans and times as well, any literal to text. Other expressions are converted implicitly.
///
/// # Errors
/// When the value cannot become a `ty`.
pub fn lax_coerce(value: Typed, ty: &SqlType) -> Result<Typed> {
    let Some(from) = value.ty.clone() else { return Ok(value.typed_null(ty)) };
    if from == *ty {
        return Ok(value);
    }
    let Some(literal) = value.as_literal() else { return implicit_cast(value, ty) };
    let array = literal.to_array_of_size(1).map_err(|error| SqlError::invalid(error.message()))?;
    if !can_lax_cast(&from, ty) {
        return Err(SqlError::invalid(format!("{value} is {from}, which does not become {ty}")));
    }
    text::check_boolean(&array, &ty.to_arrow()).map_err(SqlError::invalid)?;
    let (result, frame) =
        frame::within(Frame::default(), || column_in_frame(&array, &ty.to_arrow()));
    if let Some(error) = frame.into_errors().into_iter().next() {
        return Err(SqlError::invalid(error.message));
    }
    let scalar = result
        .map_err(datafusion::common::DataFusionError::from)
        .and_then(|array| datafusion::scalar::ScalarValue::try_from_array(&array, 0))
        .map_err(|error| SqlError::invalid(error.strip_backtrace()))?;
    let expr = datafusion::logical_expr::Expr::Literal(scalar, None);
    Ok(Typed::new(expr, ty.clone()))
}

/// May a literal of type `from` stand for a value of type `to`? Numbers only widen.
pub(crate) fn can_lax_cast(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::*;
    match (from, to) {
        (from, to) if from == to => true,
        (Integer | Bigint, Decimal { .. }) => true,
        (Decimal { scale: from, .. }, Decimal { scale: to, .. }) => from <= to,
        (from, to) if from.is_numeric() && to.is_numeric() => can_implicitly_cast(from, to),
        (Array(from), Array(to)) => can_lax_cast(from, to),
        (Map(from_key, from), Map(to_key, to)) => {
            can_lax_cast(from_key, to_key) && can_lax_cast(from, to)
        }
        (Struct(from), Struct(to)) => from.iter().all(|from| {
            let to = to.iter().find(|to| from.name == to.name);
            // A field that is not wanted is left out.
            to.is_none_or(|to| can_lax_cast(&from.ty, &to.ty))
        }),
        (Array(_) | Map(..) | Struct(_) | Bytes, _) => false,
        (_, String) => true,
        (String, to) => castable(from, to),
        (Date, Timestamp) => true,
        _ => false,
    }
}

/// A text literal that stands where a number of type `ty` is wanted, as a number of its own type.
///
/// # Errors
/// When the text is no number.
pub(crate) fn lax_number(value: Typed, ty: &SqlType) -> Result<Typed> {
    use datafusion::scalar::ScalarValue;
    let Some(ScalarValue::Utf8(Some(text))) = value.as_literal() else { return Ok(value) };
    number_of_text(text.trim()).ok_or_else(|| {
        let ty = ty.base_name();
        SqlError::invalid(format!("invalid input syntax for type {ty}: \"{text}\"."))
    })
}

/// As Java's `BigDecimal` reads it: a whole number without point and exponent is INTEGER or
/// BIGINT, everything else DECIMAL.
fn number_of_text(text: &str) -> Option<Typed> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.split_at_checked(1) {
        Some(("-", rest)) => ("-", rest),
        Some(("+", rest)) => ("", rest),
        _ => ("", mantissa),
    };
    if !digits.contains('.')
        && mantissa.len() == text.len()
        && let Ok(whole) = format!("{sign}{digits}").parse::<i64>()
    {
        return Some(match i32::try_from(whole) {
            Ok(whole) => Typed::integer(whole),
            Err(_) => Typed::bigint(whole),
        });
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || exponent.abs() > i32::from(DECIMAL_PRECISION_MAX) {
        return None;
    }
    let scale = fraction.len() as i32 - exponent;
    let mut all = format!("{whole}{fraction}{}", "0".repeat((-scale).max(0) as usize));
    let scale = scale.max(0) as usize;
    if all.len() <= scale {
        all = format!("{}{all}", "0".repeat(scale + 1 - all.len()));
    }
    let (whole, fraction) = all.split_at_checked(all.len() - scale)?;
    let point = if scale > 0 { "." } else { "" };
    Typed::decimal(&format!("{sign}{whole}{point}{fraction}")).ok()
}

fn convert_kernel(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    column(&args.array(0)?, args.returns, frame)
}

fn column_in_frame(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    frame::current(|frame| column(array, to, frame))
        .unwrap_or_else(|| column(array, to, &mut Frame::default()))
}

/// `array` as type `to`; rows that cannot be converted go into the frame and are NULL.
pub(crate) fn column(
    array: &ArrayRef,
    to: &DataType,
    frame: &mut Frame,
) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    let from = array.data_type();
    match (from, to) {
        (from, to) if from == to => Ok(array.clone()),
        (Null, to) => Ok(new_null_array(to, array.len())),
        (Utf8, to) => text::column(array, to, frame),
        (from, Utf8) => to_text::column(array, from),
        (Decimal128(..), _) | (_, Decimal128(..)) => decimal::column(array, to, frame),
        (List(_) | Map(..) | Struct(_), _) => nested::column(array, to, frame),
        _ => number::column(array, to),
    }
}
