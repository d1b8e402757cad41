//! Functions of regular expressions. They run in linear time; what Java's syntax has beyond that
//! (look-around, back-references) is an error of the row.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::error::ArrowError;
use regex::{Captures, Regex};

use super::registry::{Body::*, Scalar};
use super::strings::TEXT_BYTES_MAX;
use crate::expr::frame::{Fault, Frame};
use crate::expr::kernel::{Args, Int, RowResult, Str, StrList, rows2, rows3};
use crate::expr::with_regex;

const REGEX: &str = "REGULAR EXPRESSION";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "REGEXP_EXTRACT",
        category: REGEX,
        about: "The first match of a pattern in a text, or a group of it.",
        example: ("REGEXP_EXTRACT('(.*) (.*)', 'hello there', 2)", "there"),
        overloads: &[
            ("(STRING, STRING) -> STRING", Kernel(extract)),
            ("(STRING, STRING, INT) -> STRING", Kernel(extract)),
        ],
    },
    Scalar {
        name: "REGEXP_EXTRACT_ALL",
        category: REGEX,
        about: "All matches of a pattern in a text, or a group of each.",
        example: ("CAST(REGEXP_EXTRACT_ALL('a.', 'abacad') AS STRING)", "[ab, ac, ad]"),
        overloads: &[
            ("(STRING, STRING) -> ARRAY<STRING>", Kernel(extract_all)),
            ("(STRING, STRING, INT) -> ARRAY<STRING>", Kernel(extract_all)),
        ],
    },
    Scalar {
        name: "REGEXP_REPLACE",
        category: REGEX,
        about: "Every match of a pattern replaced; $1 stands for the first group.",
        example: ("REGEXP_REPLACE('foobar', '(o+)', '<$1>')", "f<oo>bar"),
        overloads: &[("(STRING, STRING, STRING) -> STRING", Kernel(replace))],
    },
    Scalar {
        name: "REGEXP_SPLIT_TO_ARRAY",
        category: REGEX,
        about: "The parts between the matches of a pattern.",
        example: ("CAST(REGEXP_SPLIT_TO_ARRAY('a1b22c', '[0-9]+') AS STRING)", "[a, b, c]"),
        overloads: &[("(STRING, STRING) -> ARRAY<STRING>", Kernel(split))],
    },
];

/// The key of plain patterns in the memo of regexes; LIKE has its own.
const PLAIN: u32 = u32::MAX;

pub(super) fn with_pattern<R>(pattern: &str, f: impl FnOnce(&Regex) -> R) -> Result<R, Fault> {
    with_regex((pattern, PLAIN), || pattern.to_string(), f)
}

fn extract(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    fn first<'a>(pattern: &str, text: &'a str, group: i32) -> RowResult<Cow<'a, str>> {
        let Ok(group) = usize::try_from(group) else { return Ok(None) };
        with_pattern(pattern, |regex| {
            let captures = regex.captures(text)?;
            Some(Cow::Borrowed(captures.get(group)?.as_str()))
        })
    }
    match args.cols.len() {
        2 => rows2::<Str, Str, Str>(args, frame, |pattern, text| first(pattern, text, 0)),
        _ => rows3::<Str, Str, Int, Str>(args, frame, first),
    }
}

type Texts<'a> = Vec<Option<Cow<'a, str>>>;

fn extract_all(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    fn all<'a>(pattern: &str, text: &'a str, group: i32) -> RowResult<Texts<'a>> {
        let Ok(group) = usize::try_from(group) else { return Ok(None) };
        with_pattern(pattern, |regex| {
            if group >= regex.captures_len() {
                return None;
            }
            let of = |captures: Captures<'a>| {
                captures.get(group).map(|found| Cow::Borrowed(found.as_str()))
            };
            Some(regex.captures_iter(text).map(of).collect())
        })
    }
    match args.cols.len() {
        2 => rows2::<Str, Str, StrList>(args, frame, |pattern, text| all(pattern, text, 0)),
        _ => rows3::<Str, Str, Int, StrList>(args, frame, all),
    }
}

fn replace(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Str, Str, Str>(args, frame, |text, pattern, replacement| {
        with_pattern(pattern, |regex| replace_all(regex, text, replacement))?.map(Some)
    })
}

/// Java's `replaceAll`: `$n` is a group (as many digits as there are groups), `\x` is x.
fn replace_all<'a>(regex: &Regex, text: &'a str, replacement: &str) -> Result<Cow<'a, str>, Fault> {
    let mut out = String::new();
    let mut end = 0;
    for captures in regex.captures_iter(text) {
        let Some(found) = captures.get(0) else { continue };
        out.push_str(&text[end..found.start()]);
        append_replacement(&captures, replacement, &mut out)?;
        end = found.end();
        if out.len() > TEXT_BYTES_MAX {
            return Err("the result of REGEXP_REPLACE would be too long".into());
        }
    }
    if out.is_empty() && end == 0 {
        return Ok(Cow::Borrowed(text));
    }
    out.push_str(&text[end..]);
    Ok(Cow::Owned(out))
}

fn append_replacement(
    captures: &Captures<'_>,
    replacement: &str,
    out: &mut String,
) -> Result<(), Fault> {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().ok_or("a replacement ends with a lone backslash")?),
            '$' => {
                let mut group = digit(&mut chars).ok_or("a replacement has a $ without a group")?;
                if group >= captures.len() {
                    return Err(Fault::Owned(format!("No group {group}")));
                }
                while let Some(next) = chars.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + next as usize;
                    if longer >= captures.len() {
                        break;
                    }
                    group = longer;
                    chars.next();
                }
                out.push_str(captures.get(group).map_or("", |found| found.as_str()));
            }
            c => out.push(c),
        }
    }
    Ok(())
}

fn digit(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let digit = chars.next()?.to_digit(10)?;
    Some(digit as usize)
}

fn split(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Str, Str, StrList>(args, frame, |text, pattern| {
        let matches_empty = with_pattern(pattern, |regex| regex.is_match(""))?;
        if matches_empty {
            return with_pattern(pattern, |regex| Some(split_at_nothing(regex, text)));
        }
        with_pattern(pattern, |regex| {
            Some(regex.split(text).map(|part| Some(Cow::Borrowed(part))).collect())
        })
    })
}

/// Java's `Pattern.split` for patterns that match nothing, too: no empty part in front of a match
/// of nothing at the start, and none at the end.
fn split_at_nothing<'a>(regex: &Regex, text: &'a str) -> Texts<'a> {
    let (mut parts, mut done, mut from) = (Vec::new(), 0, 0);
    while let Some(found) = (from <= text.len()).then(|| regex.find_at(text, from)).flatten() {
        from = match found.is_empty() {
            false => found.end(),
            true => found.end() + text[found.end()..].chars().next().map_or(1, char::len_utf8),
        };
        if done == 0 && found.end() == 0 {
            continue;
        }
        parts.push(&text[done..found.start()]);
        done = found.end();
    }
    parts.push(&text[done..]);
    if parts.len() > 1 {
        let kept = parts.iter().rposition(|part| !part.is_empty()).map_or(0, |last| last + 1);
        parts.truncate(kept);
    }
    parts.into_iter().map(|part| Some(Cow::Borrowed(part))).collect()
}

/// Every character on its own; the empty text is one part.
pub(super) fn characters(text: &str) -> Texts<'_> {
    if text.is_empty() {
        return vec![Some(Cow::Borrowed(text))];
    }
    let end = |at: usize, c: char| at + c.len_utf8();
    text.char_indices().map(|(at, c)| Some(Cow::Borrowed(&text[at..end(at, c)]))).collect()
}
