//! NOT, AND, OR, CASE, IS NULL.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::error::ArrowError;

use crate::error::{Result, SqlError};
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, true_rows};
use crate::expr::op::{OpKind, call, make};
use crate::expr::typed::{Typed, type_name};
use crate::types::SqlType;

/// `NOT value`; NULL is an error of the row.
///
/// # Errors
/// When `value` is no BOOLEAN.
pub fn not(value: Typed) -> Result<Typed> {
    boolean("NOT", &value)?;
    Ok(call("NOT", invert, vec![value], SqlType::Boolean))
}

/// Lazy: `FALSE AND <error>` is FALSE.
///
/// # Errors
/// When a side is no BOOLEAN.
pub fn and(left: Typed, right: Typed) -> Result<Typed> {
    logical("AND", OpKind::And, left, right)
}

/// Lazy: `TRUE OR <error>` is TRUE.
///
/// # Errors
/// When a side is no BOOLEAN.
pub fn or(left: Typed, right: Typed) -> Result<Typed> {
    logical("OR", OpKind::Or, left, right)
}

fn logical(name: &str, kind: OpKind, left: Typed, right: Typed) -> Result<Typed> {
    boolean(name, &left)?;
    boolean(name, &right)?;
    Ok(make(name, kind, vec![left, right], SqlType::Boolean))
}

fn boolean(operator: &str, value: &Typed) -> Result<()> {
    match value.ty {
        Some(SqlType::Boolean) => Ok(()),
        _ => {
            let ty = type_name(&value.ty);
            let message = format!("{operator} needs a BOOLEAN, but {value} is {ty}");
            Err(SqlError::invalid(message))
        }
    }
}

fn invert(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let value = args.array(0)?;
    frame.fault_nulls(value.nulls(), "the operand of NOT is NULL");
    Ok(Arc::new(BooleanArray::new(!&true_rows(&value)?, None)))
}

/// `value IS NULL`
///
/// # Errors
/// None; of any type.
pub fn is_null(value: Typed) -> Result<Typed> {
    if value.is_null() {
        return Ok(Typed::boolean(true));
    }
    Ok(call("IS NULL", |args, _| null_test(args, true), vec![value], SqlType::Boolean))
}

/// `value IS NOT NULL`
///
/// # Errors
/// None; of any type.
pub fn is_not_null(value: Typed) -> Result<Typed> {
    if value.is_null() {
        return Ok(Typed::boolean(false));
    }
    Ok(call("IS NOT NULL", |args, _| null_test(args, false), vec![value], SqlType::Boolean))
}

fn null_test(args: &Args<'_>, null: bool) -> Result<ArrayRef, ArrowError> {
    let value = args.array(0)?;
    let result = match null {
        true => arrow::compute::is_null(&value)?,
        false => arrow::compute::is_not_null(&value)?,
    };
    Ok(Arc::new(result))
}

/// `CASE WHEN c THEN x ... [ELSE y] END`; lazy per row.
///
/// # Errors
/// When a condition is no BOOLEAN, or the values are of different types.
pub fn case_when(whens: Vec<(Typed, Typed)>, otherwise: Option<Typed>) -> Result<Typed> {
    let mut returns: Option<SqlType> = None;
    for (condition, value) in &whens {
        if condition.ty != Some(SqlType::Boolean) {
            let ty = type_name(&condition.ty);
            let message =
                format!("WHEN operand type should be boolean.\nType for '{condition}' is {ty}");
            return Err(SqlError::invalid(message));
        }
        match (&returns, &value.ty) {
            (Some(known), Some(ty)) if known != ty => {
                return Err(SqlError::invalid(format!(
                    "Invalid Case expression. Type for all 'THEN' clauses should be the same.\n\
                     THEN expression 'WHEN {condition} THEN {value}' has type: {ty}.\n\
                     Previous THEN expression(s) type: {known}."
                ))
                .hint("CAST the values to one type"));
            }
            (None, Some(ty)) => returns = Some(ty.clone()),
            _ => {}
        }
    }
    match (&returns, otherwise.as_ref().and_then(|value| value.ty.clone())) {
        (Some(known), Some(ty)) if *known != ty => {
            return Err(SqlError::invalid(format!(
                "Invalid Case expression. Type for the default clause should be the same as for \
                 'THEN' clauses.\nTHEN type: {known}.\nDEFAULT type: {ty}."
            ))
            .hint("CAST the values to one type"));
        }
        (None, ty) => returns = ty,
        _ => {}
    }
    let Some(returns) = returns else {
        let message = "Invalid Case expression. All case branches have NULL type";
        return Err(SqlError::invalid(message));
    };
    let mut args = Vec::with_capacity(whens.len() * 2 + 1);
    for (condition, value) in whens {
        args.extend([condition, value.typed_null(&returns)]);
    }
    args.extend(otherwise.map(|value| value.typed_null(&returns)));
    Ok(make("CASE", OpKind::Case, args, returns))
}
