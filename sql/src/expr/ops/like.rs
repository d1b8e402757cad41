//! LIKE.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder};
use arrow::error::ArrowError;

use crate::error::{Result, SqlError};
use crate::expr::frame::{Fault, Frame};
use crate::expr::kernel::{Args, Bool, Prim, Str, rows2, true_bits};
use crate::expr::memo::with_regex;
use crate::expr::op::call;
use crate::expr::typed::{Typed, type_name};
use crate::types::SqlType;

/// `value LIKE pattern [ESCAPE escape]`; negate with `not`. NULL is an error of the row.
///
/// # Errors
/// When an operand is no STRING.
pub fn like(value: Typed, pattern: Typed, escape: Option<char>) -> Result<Typed> {
    for operand in [&value, &pattern] {
        if operand.ty != Some(SqlType::String) {
            let ty = type_name(&operand.ty);
            let message = format!("LIKE condition must be between strings, but {operand} is {ty}");
            return Err(SqlError::invalid(message));
        }
    }
    let mut args = vec![value, pattern];
    args.extend(escape.map(Typed::string));
    Ok(call("LIKE", matches, args, SqlType::Boolean))
}

fn matches(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let escape = match args.cols.get(2) {
        Some(col) => col.get::<Str>(0)?.and_then(|text| text.chars().next()),
        None => None,
    };
    if let Some(result) = simple(args, escape)? {
        frame.fault_nulls(result.nulls(), "the operand of LIKE is NULL");
        return Ok(Arc::new(result));
    }
    rows2::<Prim<Str>, Prim<Str>, Bool>(args, frame, |value, pattern| {
        by_regex(value, pattern, escape).map(Some)
    })
}

fn by_regex(value: &str, pattern: &str, escape: Option<char>) -> Result<bool, Fault> {
    let key = (pattern, escape.map_or(0, |c| c as u32 + 1));
    with_regex(key, || like_regex(pattern, escape), |regex| regex.is_match(value))
}

/// Constant patterns of plain text and `%` are arrow's to match; but its `%` matches line ends.
fn simple(args: &Args<'_>, escape: Option<char>) -> Result<Option<BooleanArray>, ArrowError> {
    let (values, col) = (args.col(0)?, args.col(1)?);
    let pattern = if col.constant { col.get::<Str>(0)? } else { None };
    let special = |c: char| c == '_' || c == '\\' || Some(c) == escape;
    let Some(pattern) = pattern.filter(|p| !values.constant && !p.contains(special)) else {
        return Ok(None);
    };
    let matched = arrow::compute::like(&values.array, col.datum().as_ref())?;
    let texts = values.array.as_string::<i32>();
    let wrong = |row: &usize| {
        let text = texts.value(*row);
        may_have_line_end(text) && !by_regex(text, pattern, escape).unwrap_or(false)
    };
    let wrong: Vec<usize> = true_bits(&matched).set_indices().filter(wrong).collect();
    if wrong.is_empty() {
        return Ok(Some(matched));
    }
    let mut bits = BooleanBufferBuilder::new(matched.len());
    bits.append_buffer(matched.values());
    wrong.into_iter().for_each(|row| bits.set_bit(row, false));
    Ok(Some(BooleanArray::new(bits.finish(), matched.nulls().cloned())))
}

/// True for texts with a line end of Java's, and for few others.
fn may_have_line_end(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'\n' | b'\r' | 0xC2 | 0xE2))
}

/// `.` of a Java regex does not match line ends.
fn like_regex(pattern: &str, escape: Option<char>) -> String {
    let mut regex = String::from("^(?:");
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            c if Some(c) == escape => chars.next().unwrap_or(c),
            '%' => {
                regex.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]*");
                continue;
            }
            '_' => {
                regex.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]");
                continue;
            }
            c => c,
        };
        regex.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
    }
    regex.push_str(")$");
    regex
}
