//! Comparisons, BETWEEN and IN. Two-valued: with a NULL operand they are FALSE.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Datum};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::BinaryOp;
use super::arithmetic::common_numeric;
use super::equality::equality;
use super::logic::{is_not_null, is_null};
use crate::error::{Result, SqlError};
use crate::expr::cast::{can_lax_cast, convert, implicit_cast, lax_coerce, lax_number};
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Col, KernelFn, true_bits};
use crate::expr::op::call;
use crate::expr::typed::Typed;
use crate::types::{SqlType, StructField};

pub(super) fn binary(op: BinaryOp, left: Typed, right: Typed) -> Result<Typed> {
    use BinaryOp::{IsDistinctFrom, IsNotDistinctFrom};
    let distinct = matches!(op, IsDistinctFrom | IsNotDistinctFrom);
    let (Some(l), Some(r)) = (left.ty.clone(), right.ty.clone()) else {
        return match (distinct, left.is_null()) {
            (false, _) => Err(with_null(op, &left, &right)),
            (true, true) => null_distinct(op, right),
            (true, false) => null_distinct(op, left),
        };
    };
    let Some(common) = comparable(&l, &r).filter(|ty| !is_ordering(op) || has_order(ty)) else {
        let name = operator_name(op);
        let message = format!("Cannot compare {left} ({l}) to {right} ({r}) with {name}.");
        return Err(SqlError::invalid(message));
    };
    let args = vec![convert(left, &common), convert(right, &common)];
    Ok(call(op.symbol(), kernel(op), args, SqlType::Boolean))
}

fn with_null(op: BinaryOp, left: &Typed, right: &Typed) -> SqlError {
    let kind = |side: &Typed| side.ty.as_ref().map_or("NULL", SqlType::base_name);
    let (left, right) = (kind(left), kind(right));
    SqlError::invalid(format!(
        "Comparison with NULL not supported: {left} {} {right}\n\
         Use 'IS NULL' or 'IS NOT NULL' instead.",
        op.symbol()
    ))
}

fn null_distinct(op: BinaryOp, other: Typed) -> Result<Typed> {
    match op {
        BinaryOp::IsDistinctFrom => is_not_null(other),
        _ => is_null(other),
    }
}

fn operator_name(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Equal => "EQUAL",
        BinaryOp::NotEqual => "NOT_EQUAL",
        BinaryOp::Less => "LESS_THAN",
        BinaryOp::LessOrEqual => "LESS_THAN_OR_EQUAL",
        BinaryOp::Greater => "GREATER_THAN",
        BinaryOp::GreaterOrEqual => "GREATER_THAN_OR_EQUAL",
        BinaryOp::IsDistinctFrom => "IS_DISTINCT_FROM",
        _ => "IS_NOT_DISTINCT_FROM",
    }
}

fn is_ordering(op: BinaryOp) -> bool {
    use BinaryOp::*;
    matches!(op, Less | LessOrEqual | Greater | GreaterOrEqual)
}

fn has_order(ty: &SqlType) -> bool {
    !matches!(ty, SqlType::Boolean | SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_))
}

/// The type in which values of both types are compared; `None` if they cannot be.
pub(super) fn comparable(left: &SqlType, right: &SqlType) -> Option<SqlType> {
    use SqlType::*;
    match (left, right) {
        (l, r) if l == r => Some(l.clone()),
        (l, r) if l.is_numeric() && r.is_numeric() => Some(common_numeric(l, r)),
        (String, time @ (Date | Time | Timestamp)) | (time @ (Date | Time | Timestamp), String) => {
            Some(time.clone())
        }
        (Date, Timestamp) | (Timestamp, Date) => Some(Timestamp),
        (Array(l), Array(r)) => Some(Array(Box::new(comparable(l, r)?))),
        (Map(lk, lv), Map(rk, rv)) => {
            Some(Map(Box::new(comparable(lk, rk)?), Box::new(comparable(lv, rv)?)))
        }
        (Struct(l), Struct(r)) if l.len() == r.len() => {
            let fields = l.iter().zip(r).map(|(l, r)| {
                let ty = comparable(&l.ty, &r.ty).filter(|_| l.name == r.name)?;
                Some(StructField { name: l.name.clone(), ty })
            });
            Some(Struct(fields.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn kernel(op: BinaryOp) -> KernelFn {
    match op {
        BinaryOp::Equal => |args, _| equal(args, true),
        BinaryOp::NotEqual => |args, _| equal(args, false),
        BinaryOp::Less => |args, _| compare(args, 0, 1, cmp::lt),
        BinaryOp::LessOrEqual => |args, _| compare(args, 0, 1, cmp::lt_eq),
        BinaryOp::Greater => |args, _| compare(args, 0, 1, cmp::gt),
        BinaryOp::GreaterOrEqual => |args, _| compare(args, 0, 1, cmp::gt_eq),
        BinaryOp::IsDistinctFrom => |args, _| distinct(args, true),
        _ => |args, _| distinct(args, false),
    }
}

type Compare = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, ArrowError>;

fn compare(args: &Args<'_>, left: usize, right: usize, f: Compare) -> Result<ArrayRef, ArrowError> {
    Ok(two_valued(compare_cols(args, args.col(left)?, args.col(right)?, f)?))
}

fn compare_cols(
    args: &Args<'_>,
    left: &Col,
    right: &Col,
    f: Compare,
) -> Result<BooleanBuffer, ArrowError> {
    let result = f(left.datum().as_ref(), right.datum().as_ref())?;
    let bits = true_bits(&result);
    Ok(match (bits.len() == args.rows, bits.len() == 1 && bits.value(0)) {
        (true, _) => bits,
        (false, true) => BooleanBuffer::new_set(args.rows),
        (false, false) => BooleanBuffer::new_unset(args.rows),
    })
}

fn two_valued(bits: BooleanBuffer) -> ArrayRef {
    Arc::new(BooleanArray::new(bits, None))
}

/// `=` (`want` = true) and `<>`.
fn equal(args: &Args<'_>, want: bool) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (args.col(0)?, args.col(1)?);
    if !left.array.data_type().is_nested() {
        return compare(args, 0, 1, if want { cmp::eq } else { cmp::neq });
    }
    Ok(two_valued(nested_equal(args, left, right, |same, any_null| !any_null && same == want)?))
}

fn distinct(args: &Args<'_>, want: bool) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (args.col(0)?, args.col(1)?);
    if !left.array.data_type().is_nested() {
        return compare(args, 0, 1, if want { cmp::distinct } else { cmp::not_distinct });
    }
    Ok(two_valued(nested_equal(args, left, right, |same, _| same != want)?))
}

fn nested_equal(
    args: &Args<'_>,
    left: &Col,
    right: &Col,
    decide: impl Fn(bool, bool) -> bool,
) -> Result<BooleanBuffer, ArrowError> {
    let same = equality(&left.array, &right.array)?;
    Ok(BooleanBuffer::collect_bool(args.rows, |row| {
        let any_null = left.is_null(row) || right.is_null(row);
        decide(same(left.row(row), right.row(row)), any_null)
    }))
}

/// `value BETWEEN low AND high`; negate with `not`.
///
/// # Errors
/// When the operands cannot be compared.
pub fn between(value: Typed, low: Typed, high: Typed) -> Result<Typed> {
    let mut common = value.ty.clone();
    for (bound, op) in [(&low, BinaryOp::GreaterOrEqual), (&high, BinaryOp::LessOrEqual)] {
        let (Some(known), Some(ty)) = (&common, &bound.ty) else {
            return Err(with_null(op, &value, bound));
        };
        common = comparable(known, ty).filter(has_order);
        if common.is_none() {
            return binary(op, value, bound.clone());
        }
    }
    let Some(common) = common else { return Err(with_null(BinaryOp::Equal, &value, &low)) };
    let args = [value, low, high].map(|operand| convert(operand, &common));
    Ok(call("BETWEEN", is_between, args.into(), SqlType::Boolean))
}

fn is_between(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (value, low, high) = (args.col(0)?, args.col(1)?, args.col(2)?);
    let above = compare_cols(args, value, low, cmp::gt_eq)?;
    let below = compare_cols(args, value, high, cmp::lt_eq)?;
    Ok(two_valued(&above & &below))
}

/// `value IN (list)`; negate with `not`. Literals of the list are converted leniently; NULLs among
/// them are left out.
///
/// # Errors
/// When an element cannot be compared with `value`.
pub fn in_list(value: Typed, list: Vec<Typed>) -> Result<Typed> {
    let Some(mut common) = value.ty.clone() else {
        return Err(SqlError::invalid("Comparison with NULL not supported: NULL IN (...)"));
    };
    let list: Vec<Typed> = list.into_iter().filter(|item| !item.is_null()).collect();
    let mut args = vec![value];
    for item in list {
        let item = if common.is_numeric() { lax_number(item, &common)? } else { item };
        let ty = item.ty.as_ref().unwrap_or(&common);
        match comparable(&common, ty) {
            Some(wider) => common = wider,
            None if item.as_literal().is_some() && can_lax_cast(ty, &common) => {}
            None => {
                let message = format!("operator does not exist: {common} = {ty} ({item})");
                let hint = "You might need to add explicit type casts.";
                return Err(SqlError::invalid(format!("{message}\nHint: {hint}")));
            }
        }
        args.push(item);
    }
    let args = args.into_iter().map(|arg| match arg.as_literal() {
        Some(_) => lax_coerce(arg, &common),
        None => implicit_cast(arg, &common),
    });
    Ok(call("IN", is_in, args.collect::<Result<_>>()?, SqlType::Boolean))
}

fn is_in(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let value = args.col(0)?;
    let nested = matches!(value.array.data_type(), DataType::List(_) | DataType::Map(..))
        || matches!(value.array.data_type(), DataType::Struct(_));
    let mut found = BooleanBuffer::new_unset(args.rows);
    for item in &args.cols[1..] {
        let same = match nested {
            true => nested_equal(args, value, item, |same, any_null| same && !any_null)?,
            false => compare_cols(args, value, item, cmp::eq)?,
        };
        found = &found | &same;
    }
    Ok(two_valued(found))
}
