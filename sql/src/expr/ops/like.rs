//! LIKE.

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use crate::error::{Result, SqlError};
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Bool, Prim, Str, ok, rows2};
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
    args.extend(escape.map(|escape| Typed::string(escape)));
    Ok(call("LIKE", matches, args, SqlType::Boolean))
}

fn matches(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let escape = match args.cols.get(2) {
        Some(col) => col.get::<Str>(0)?.and_then(|text| text.chars().next()),
        None => None,
    };
    rows2::<Prim<Str>, Prim<Str>, Bool>(args, frame, |value, pattern| {
        if let Some(simple) = simple_match(value, pattern, escape) {
            return ok(simple);
        }
        let regex = || like_regex(pattern, escape);
        let key = (pattern, escape.map_or(0, |c| c as u32 + 1));
        with_regex(key, regex, |regex| regex.is_match(value)).map(Some)
    })
}

/// `%text%`, `text%`, `%text` and `text` need no regex. (`%` does not match line ends.)
fn simple_match(value: &str, pattern: &str, escape: Option<char>) -> Option<bool> {
    let inner = pattern.trim_matches('%');
    let special = |c: char| c == '%' || c == '_' || Some(c) == escape;
    if inner.contains(special) || value.contains(LINE_ENDS) {
        return None;
    }
    let (open, close) = (pattern.starts_with('%'), pattern.ends_with('%'));
    Some(match (open, close) {
        (true, true) => value.contains(inner),
        (true, false) => value.ends_with(inner),
        (false, true) => value.starts_with(inner),
        (false, false) => value == inner,
    })
}

/// What `.` of a Java regex does not match.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

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
