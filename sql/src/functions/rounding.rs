//! CEIL, FLOOR, ROUND, TRUNC.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;

use super::registry::{Body::*, Scalar};
use crate::error::Result as SqlResult;
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Big, Dbl, Dec, Int, Prim, RowResult, mismatch, ok, rows1, rows2};
use crate::expr::{Typed, double_text};
use crate::types::SqlType;

const MATH: &str = "MATHEMATICAL";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "CEIL",
        category: MATH,
        about: "The smallest whole number that is not smaller; in the type of the argument.",
        example: ("CEIL(3.2)", "4.0"),
        overloads: &[
            ("(INT) -> INT", Kernel(same)),
            ("(BIGINT) -> BIGINT", Kernel(same)),
            ("(DECIMAL) -> DECIMAL", Kernel(|args, frame| whole(args, frame, Way::Up))),
            ("(DOUBLE) -> DOUBLE", Kernel(|args, _| doubles(args, f64::ceil))),
        ],
    },
    Scalar {
        name: "FLOOR",
        category: MATH,
        about: "The largest whole number that is not larger; in the type of the argument.",
        example: ("FLOOR(3.7)", "3.0"),
        overloads: &[
            ("(INT) -> INT", Kernel(same)),
            ("(BIGINT) -> BIGINT", Kernel(same)),
            ("(DECIMAL) -> DECIMAL", Kernel(|args, frame| whole(args, frame, Way::Down))),
            ("(DOUBLE) -> DOUBLE", Kernel(|args, _| doubles(args, f64::floor))),
        ],
    },
    Scalar {
        name: "ROUND",
        category: MATH,
        about: "Rounds to whole numbers, or to places after the point (before it if negative); \
                ties go up.",
        example: ("ROUND(2.45, 1)", "2.50"),
        overloads: &[
            ("(INT) -> BIGINT", Kernel(round_int)),
            ("(BIGINT) -> BIGINT", Kernel(round_bigint)),
            ("(DOUBLE) -> BIGINT", Kernel(round_double)),
            ("(DOUBLE, INT) -> DOUBLE", Kernel(|args, frame| places(args, frame, Way::HalfUp))),
            (
                "(DECIMAL) -> DECIMAL",
                Typed(|args, frame| digits(args, frame, Way::HalfUp), whole_type),
            ),
            ("(DECIMAL, INT) -> DECIMAL", Kernel(|args, frame| digits(args, frame, Way::HalfUp))),
        ],
    },
    Scalar {
        name: "TRUNC",
        category: MATH,
        about: "Cuts towards zero, to whole numbers or to places after the point.",
        example: ("TRUNC(-2.45, 1)", "-2.40"),
        overloads: &[
            ("(INT) -> BIGINT", Kernel(widen)),
            ("(BIGINT) -> BIGINT", Kernel(same)),
            (
                "(DOUBLE) -> BIGINT",
                Kernel(|args, frame| rows1::<Dbl, Big>(args, frame, |x| ok(x.trunc() as i64))),
            ),
            ("(DOUBLE, INT) -> DOUBLE", Kernel(|args, frame| places(args, frame, Way::ToZero))),
            (
                "(DECIMAL) -> DECIMAL",
                Typed(|args, frame| digits(args, frame, Way::ToZero), whole_type),
            ),
            ("(DECIMAL, INT) -> DECIMAL", Kernel(|args, frame| digits(args, frame, Way::ToZero))),
        ],
    },
];

#[derive(Clone, Copy)]
enum Way {
    Up,
    Down,
    ToZero,
    /// Ties towards positive infinity.
    HalfUp,
}

impl Way {
    /// `value / unit` as a whole number.
    fn divide(self, value: i128, unit: i128) -> i128 {
        let (down, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
        match self {
            Way::Up => down + i128::from(rest > 0),
            Way::Down => down,
            Way::ToZero => value / unit,
            Way::HalfUp => down + i128::from(rest >= unit - rest),
        }
    }
}

fn same(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    args.array(0)
}

fn widen(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    arrow::compute::cast(&args.array(0)?, args.returns)
}

fn doubles(args: &Args<'_>, f: fn(f64) -> f64) -> Result<ArrayRef, ArrowError> {
    let values = args.array(0)?;
    let values = values.as_primitive_opt::<Float64Type>();
    let values = values.ok_or_else(|| mismatch("DOUBLE", args.returns))?;
    Ok(Arc::new(values.unary::<_, Float64Type>(f)))
}

fn round_int(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows1::<Prim<Int>, Big>(args, frame, ok)
}

fn round_bigint(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows1::<Prim<Big>, Big>(args, frame, ok)
}

fn round_double(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows1::<Dbl, Big>(args, frame, |x| ok((x + 0.5).floor() as i64))
}

/// The type of a DECIMAL rounded to whole numbers.
fn whole_type(args: &[Typed]) -> SqlResult<SqlType> {
    let (precision, scale) = match args.first().and_then(|arg| arg.ty.as_ref()) {
        Some(SqlType::Decimal { precision, scale }) => (*precision, *scale),
        _ => (1, 0),
    };
    Ok(SqlType::Decimal { precision: (precision - scale).max(1), scale: 0 })
}

fn scale_of(ty: &DataType) -> i8 {
    match ty {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    }
}

fn power_of_ten(exponent: i8) -> i128 {
    10i128.saturating_pow(exponent.max(0) as u32)
}

/// Rounds to a whole number and keeps the scale.
fn whole(args: &Args<'_>, frame: &mut Frame, way: Way) -> Result<ArrayRef, ArrowError> {
    let unit = power_of_ten(scale_of(args.returns));
    let limit = limit_of(args.returns);
    rows1::<Dec, Dec>(args, frame, |value| fit(way.divide(value, unit).checked_mul(unit), limit))
}

fn limit_of(ty: &DataType) -> i128 {
    match ty {
        DataType::Decimal128(precision, _) => power_of_ten(*precision as i8),
        _ => i128::MAX,
    }
}

fn fit(value: Option<i128>, limit: i128) -> RowResult<i128> {
    let value = value.filter(|value| value.unsigned_abs() < limit.unsigned_abs());
    value.map(Some).ok_or("the rounded value does not fit its DECIMAL type".into())
}

/// DECIMAL to whole numbers (one argument) or to places.
fn digits(args: &Args<'_>, frame: &mut Frame, way: Way) -> Result<ArrayRef, ArrowError> {
    let (from, limit) = (scale_of(args.col(0)?.array.data_type()), limit_of(args.returns));
    if args.cols.len() == 1 {
        let unit = power_of_ten(from);
        return rows1::<Dec, Dec>(args, frame, |value| fit(Some(way.divide(value, unit)), limit));
    }
    rows2::<Dec, Int, Dec>(args, frame, |value, places| {
        let cut = i64::from(from) - i64::from(places);
        match cut {
            ..=0 => ok(value),
            1..=38 => {
                let unit = power_of_ten(cut as i8);
                fit(way.divide(value, unit).checked_mul(unit), limit)
            }
            _ => ok(0),
        }
    })
}

/// DOUBLE to places, by its decimal digits as ksqlDB does: 2.45 has no binary form.
fn places(args: &Args<'_>, frame: &mut Frame, way: Way) -> Result<ArrayRef, ArrowError> {
    rows2::<Dbl, Int, Dbl>(args, frame, |value, places| ok(round_places(value, places, way)))
}

/// Doubles have at most this many digits after the point that matter here.
const PLACES_MAX: i32 = 30;

fn round_places(value: f64, places: i32, way: Way) -> f64 {
    if !value.is_finite() || places > PLACES_MAX {
        return value;
    }
    let text = double_text(value);
    let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(all) = format!("{integer}{fraction}").parse::<i128>() else { return value };
    let scale = fraction.len() as i32 - exponent;
    let cut = scale - places;
    match cut {
        ..=0 => value,
        1..=37 => {
            let rounded = way.divide(all, power_of_ten(cut as i8));
            format!("{rounded}e{}", -places).parse().unwrap_or(value)
        }
        _ => 0.0,
    }
}
