//! `+ - * / %` and the sign: types by ksqlDB's rules, 32 and 64 bit numbers wrap, DECIMAL is exact.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::{cmp, numeric};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

use super::BinaryOp;
use crate::error::{Result, SqlError};
use crate::expr::cast::implicit_cast;
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Col, KernelFn, Opt, Str, mismatch, ok, rows2};
use crate::expr::op::call;
use crate::expr::typed::Typed;
use crate::types::{DECIMAL_PRECISION_MAX, SqlType};

const NULL_OPERAND: &str = "an operand of an arithmetic operator is NULL";
const DIVISION_BY_ZERO: &str = "Division by zero";
const NOT_EXACT: &str = "Rounding necessary: the DECIMAL result does not fit its type exactly";

pub(super) fn binary(op: BinaryOp, left: Typed, right: Typed) -> Result<Typed> {
    let (Some(l), Some(r)) = (left.ty.clone(), right.ty.clone()) else {
        return Err(unsupported(op, &left, &right));
    };
    if op == BinaryOp::Add && l == SqlType::String && r == SqlType::String {
        return Ok(call("+", add_text, vec![left, right], SqlType::String));
    }
    if !l.is_numeric() || !r.is_numeric() {
        return Err(unsupported(op, &left, &right));
    }
    let common = common_numeric(&l, &r);
    let symbol = op.symbol();
    if let SqlType::Decimal { .. } = common {
        let returns = decimal_result(op, as_decimal(&l), as_decimal(&r))?;
        let left = implicit_cast(left, &as_decimal(&l).ty())?;
        let right = implicit_cast(right, &as_decimal(&r).ty())?;
        return Ok(call(symbol, decimal_kernel(op), vec![left, right], returns.ty()));
    }
    let args = vec![implicit_cast(left, &common)?, implicit_cast(right, &common)?];
    Ok(call(symbol, kernel(op), args, common))
}

pub(super) fn negate(value: Typed) -> Result<Typed> {
    match value.ty.clone() {
        Some(ty) if ty.is_numeric() => Ok(call("-", minus, vec![value], ty)),
        ty => {
            let ty = crate::expr::typed::type_name(&ty);
            Err(SqlError::invalid(format!("No negation operator for type {ty}: {value}")))
        }
    }
}

fn unsupported(op: BinaryOp, left: &Typed, right: &Typed) -> SqlError {
    if left.ty.is_none() || right.ty.is_none() {
        let name = |typed: &Typed| crate::expr::typed::type_name(&typed.ty);
        return SqlError::invalid(format!(
            "Error processing expression: ({left} {} {right}). Arithmetic on types {} and {} are \
             not supported.",
            op.symbol(),
            name(left),
            name(right)
        ));
    }
    let name = |typed: &Typed| typed.ty.as_ref().map_or("null", SqlType::base_name);
    SqlError::invalid(format!(
        "Error processing expression: ({left} {} {right}). Unsupported arithmetic types. {} {}",
        op.symbol(),
        name(left),
        name(right)
    ))
}

/// INTEGER < BIGINT < DECIMAL < DOUBLE: the wider of two number types. Of two DECIMALs, one that
/// holds both (as far as 38 digits go).
pub(crate) fn common_numeric(left: &SqlType, right: &SqlType) -> SqlType {
    use SqlType::*;
    match (left, right) {
        (Double, _) | (_, Double) => Double,
        (Decimal { .. }, _) | (_, Decimal { .. }) => {
            let (l, r) = (as_decimal(left), as_decimal(right));
            let scale = l.scale.max(r.scale);
            let whole = (l.precision - l.scale).max(r.precision - r.scale);
            let precision = (whole + scale).min(DECIMAL_PRECISION_MAX as i32);
            Digits { precision, scale }.ty()
        }
        (Bigint, _) | (_, Bigint) => Bigint,
        _ => Integer,
    }
}

/// Precision and scale, in numbers that can be added.
#[derive(Debug, Clone, Copy)]
struct Digits {
    precision: i32,
    scale: i32,
}

impl Digits {
    fn ty(self) -> SqlType {
        SqlType::Decimal { precision: self.precision as u8, scale: self.scale as u8 }
    }
}

fn as_decimal(ty: &SqlType) -> Digits {
    match ty {
        SqlType::Decimal { precision, scale } => {
            Digits { precision: *precision as i32, scale: *scale as i32 }
        }
        SqlType::Integer => Digits { precision: 10, scale: 0 },
        _ => Digits { precision: 19, scale: 0 },
    }
}

fn decimal_result(op: BinaryOp, l: Digits, r: Digits) -> Result<Digits> {
    let (p1, s1, p2, s2) = (l.precision, l.scale, r.precision, r.scale);
    let (precision, scale) = match op {
        BinaryOp::Multiply => (p1 + p2 + 1, s1 + s2),
        BinaryOp::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            (p1 - s1 + s2 + scale, scale)
        }
        BinaryOp::Modulo => {
            let scale = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            (scale + (p1 - s1).max(p2 - s2) + 1, scale)
        }
    };
    // Digits before the point give way: a result that needs them is an error of its row.
    if scale > DECIMAL_PRECISION_MAX as i32 {
        let text = format!(
            "The result of DECIMAL({p1}, {s1}) {} DECIMAL({p2}, {s2}) would be \
             DECIMAL({precision}, {scale}), which has more than {DECIMAL_PRECISION_MAX} digits",
            op.symbol()
        );
        let hint = "CAST the operands to DECIMALs with fewer digits, or to DOUBLE";
        return Err(SqlError::invalid(text).hint(hint));
    }
    // A modulus of a number below 1 may need no digits at all; a type needs one.
    Ok(Digits { precision: precision.clamp(1, DECIMAL_PRECISION_MAX as i32), scale })
}

/// Java's string concatenation: NULL is the text "null".
fn add_text(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Opt<Str>, Opt<Str>, Str>(args, frame, |left, right| {
        ok([left.unwrap_or("null"), right.unwrap_or("null")].concat())
    })
}

fn kernel(op: BinaryOp) -> KernelFn {
    match op {
        BinaryOp::Add => |args, frame| plain(args, frame, numeric::add_wrapping),
        BinaryOp::Subtract => |args, frame| plain(args, frame, numeric::sub_wrapping),
        BinaryOp::Multiply => |args, frame| plain(args, frame, numeric::mul_wrapping),
        BinaryOp::Divide => |args, frame| division(args, frame, numeric::div, wrapped_division),
        _ => |args, frame| division(args, frame, numeric::rem, |_, _, _| None),
    }
}

type ArrowKernel =
    fn(&dyn arrow::array::Datum, &dyn arrow::array::Datum) -> Result<ArrayRef, ArrowError>;

fn plain(args: &Args<'_>, frame: &mut Frame, f: ArrowKernel) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (args.col(0)?.datum(), args.col(1)?.datum());
    let result = spread(f(left.as_ref(), right.as_ref())?, args)?;
    frame.fault_nulls(result.nulls(), NULL_OPERAND);
    Ok(result)
}

/// Two constants make one row.
fn spread(result: ArrayRef, args: &Args<'_>) -> Result<ArrayRef, ArrowError> {
    if result.len() == args.rows {
        return Ok(result);
    }
    let first = arrow::array::UInt32Array::from(vec![0; args.rows]);
    arrow::compute::take(&result, &first, None)
}

/// Division and modulus: zero divisors are errors, except for DOUBLE.
fn division(
    args: &Args<'_>,
    frame: &mut Frame,
    f: ArrowKernel,
    wrapped: fn(&ArrayRef, &ArrayRef, &NullBuffer) -> Option<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let right = args.col(1)?;
    if *args.returns == DataType::Float64 {
        return plain(args, frame, f);
    }
    if right.constant && is_safe_divisor(right) {
        return plain(args, frame, f);
    }
    let (left, right) = (args.array(0)?, args.array(1)?);
    let zero = arrow::array::Scalar::new(arrow::compute::cast(
        &arrow::array::Int32Array::from(vec![0]),
        args.returns,
    )?);
    let by_zero = cmp::eq(&right, &zero)?;
    let valid = NullBuffer::union(left.nulls(), right.nulls());
    frame.fault_nulls(valid.as_ref(), NULL_OPERAND);
    for row in crate::expr::kernel::true_bits(&by_zero).set_indices() {
        frame.fault(row, DIVISION_BY_ZERO);
    }
    let right = nullif(&right, &by_zero)?;
    let valid = NullBuffer::union(left.nulls(), right.nulls());
    let valid = valid.unwrap_or_else(|| NullBuffer::new_valid(args.rows));
    match wrapped(&left, &right, &valid) {
        Some(result) => Ok(result),
        None => f(&left, &right),
    }
}

/// Neither zero nor -1: no row can fail or overflow.
fn is_safe_divisor(col: &Col) -> bool {
    if col.array.is_null(0) {
        return false;
    }
    let value = match col.array.data_type() {
        DataType::Int32 => i64::from(col.array.as_primitive::<Int32Type>().value(0)),
        DataType::Int64 => col.array.as_primitive::<Int64Type>().value(0),
        _ => 0,
    };
    value != 0 && value != -1
}

/// Arrow's division refuses `MIN / -1`, which wraps in Java.
fn wrapped_division(left: &ArrayRef, right: &ArrayRef, valid: &NullBuffer) -> Option<ArrayRef> {
    macro_rules! divide {
        ($ty:ty) => {{
            let (l, r) = (left.as_primitive::<$ty>(), right.as_primitive::<$ty>());
            let quotient = |row: usize| match valid.is_valid(row) {
                true => l.value(row).wrapping_div(r.value(row)),
                false => 0,
            };
            let values = (0..l.len()).map(quotient).collect();
            Some(Arc::new(PrimitiveArray::<$ty>::new(values, Some(valid.clone()))) as ArrayRef)
        }};
    }
    match left.data_type() {
        DataType::Int32 => divide!(Int32Type),
        DataType::Int64 => divide!(Int64Type),
        _ => None,
    }
}

fn decimal_kernel(op: BinaryOp) -> KernelFn {
    match op {
        BinaryOp::Add => {
            |args, frame| decimals(args, frame, |l, r| l.checked_add(r).ok_or(NOT_EXACT))
        }
        BinaryOp::Subtract => {
            |args, frame| decimals(args, frame, |l, r| l.checked_sub(r).ok_or(NOT_EXACT))
        }
        BinaryOp::Multiply => multiply,
        BinaryOp::Divide => divide,
        _ => |args, frame| decimals(args, frame, |l, r| l.checked_rem(r).ok_or(DIVISION_BY_ZERO)),
    }
}

/// Both operands at the larger scale.
fn decimals(
    args: &Args<'_>,
    frame: &mut Frame,
    f: impl Fn(i128, i128) -> Result<i128, &'static str>,
) -> Result<ArrayRef, ArrowError> {
    let (l, r) = (scale_of(args.col(0)?)?, scale_of(args.col(1)?)?);
    let (up_left, up_right) = (power_of_ten(r - l), power_of_ten(l - r));
    each_decimal(args, frame, |left, right| {
        let scaled = left.checked_mul(up_left).zip(right.checked_mul(up_right));
        let (left, right) = scaled.ok_or(NOT_EXACT)?;
        f(left, right)
    })
}

fn multiply(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    each_decimal(args, frame, |left, right| left.checked_mul(right).ok_or(NOT_EXACT))
}

fn divide(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::Decimal128(_, scale) = args.returns else {
        return Err(mismatch("DECIMAL", args.returns));
    };
    let up = power_of_ten(scale - scale_of(args.col(0)?)? + scale_of(args.col(1)?)?);
    each_decimal(args, frame, |left, right| {
        if right == 0 {
            return Err(DIVISION_BY_ZERO);
        }
        let left = left.checked_mul(up).ok_or(NOT_EXACT)?;
        let quotient = left / right;
        if left % right != 0 { Err(NOT_EXACT) } else { Ok(quotient) }
    })
}

fn each_decimal(
    args: &Args<'_>,
    frame: &mut Frame,
    f: impl Fn(i128, i128) -> Result<i128, &'static str>,
) -> Result<ArrayRef, ArrowError> {
    let (l, r) = (args.col(0)?, args.col(1)?);
    let left = decimal_array(&l.array)?.values();
    let right = decimal_array(&r.array)?.values();
    let DataType::Decimal128(precision, _) = args.returns else {
        return Err(mismatch("DECIMAL", args.returns));
    };
    let limit = power_of_ten(*precision as i8).unsigned_abs();
    let fits = |value: i128| if value.unsigned_abs() < limit { Ok(value) } else { Err(NOT_EXACT) };
    let mut values = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        values.push(match f(left[l.row(row)], right[r.row(row)]).and_then(fits) {
            Ok(value) => value,
            Err(_) if l.is_null(row) || r.is_null(row) => 0,
            Err(message) => {
                frame.fault(row, message);
                0
            }
        });
    }
    let nulls = nulls_of_both(args, l, r);
    frame.fault_nulls(nulls.as_ref(), NULL_OPERAND);
    let result = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
    Ok(Arc::new(result.with_data_type(args.returns.clone())))
}

fn nulls_of_both(args: &Args<'_>, l: &Col, r: &Col) -> Option<NullBuffer> {
    let side = |col: &Col| match col.constant {
        true if col.array.is_null(0) => Some(NullBuffer::new_null(args.rows)),
        true => None,
        false => col.array.nulls().cloned(),
    };
    NullBuffer::union(side(l).as_ref(), side(r).as_ref())
}

fn decimal_array(array: &ArrayRef) -> Result<&Decimal128Array, ArrowError> {
    array.as_primitive_opt().ok_or_else(|| mismatch("DECIMAL", array.data_type()))
}

fn scale_of(col: &Col) -> Result<i8, ArrowError> {
    match col.array.data_type() {
        DataType::Decimal128(_, scale) => Ok(*scale),
        other => Err(mismatch("DECIMAL", other)),
    }
}

/// 1 for exponents below 1. Exponents are at most 38, which fits.
fn power_of_ten(exponent: i8) -> i128 {
    10i128.saturating_pow(exponent.max(0) as u32)
}

fn minus(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let value = args.array(0)?;
    frame.fault_nulls(value.nulls(), NULL_OPERAND);
    match value.data_type() {
        DataType::Float64 => {
            let negated = value.as_primitive::<Float64Type>().unary::<_, Float64Type>(|v| -v);
            Ok(Arc::new(negated))
        }
        _ => numeric::neg_wrapping(&value),
    }
}
