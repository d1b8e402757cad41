//! Functions of regular expressions, in Java's syntax. A pattern that needs too many steps on a text is
//! an error of the row.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use super::registry::{Body::*, Scalar};
use super::strings::TEXT_BYTES_MAX;
use crate::expr::frame::{Fault, Frame};
use crate::expr::kernel::{Args, Int, RowResult, Str, StrList, rows2, rows3};
use crate::expr::{JavaRegex, Spans, with_java_regex};

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

fn extract(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    fn first<'a>(pattern: &str, text: &'a str, group: i32) -> RowResult<Cow<'a, str>> {
        let Ok(group) = usize::try_from(group) else { return Ok(None) };
        with_java_regex(pattern, |regex| {
            let mut spans = Spans::new();
            regex.find(text, &mut spans)?;
            Ok(spans
                .get(group)
                .copied()
                .flatten()
                .map(|(start, end)| Cow::Borrowed(&text[start..end])))
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
        with_java_regex(pattern, |regex| {
            if group >= regex.groups()? {
                return Ok(None);
            }
            let mut all = Texts::new();
            regex.each_match(text, |_, spans| {
                let span = spans.get(group).copied().flatten();
                all.push(span.map(|(start, end)| Cow::Borrowed(&text[start..end])));
                Ok(())
            })?;
            Ok(Some(all))
        })
    }
    match args.cols.len() {
        2 => rows2::<Str, Str, StrList>(args, frame, |pattern, text| all(pattern, text, 0)),
        _ => rows3::<Str, Str, Int, StrList>(args, frame, all),
    }
}

fn replace(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Str, Str, Str>(args, frame, |text, pattern, replacement| {
        with_java_regex(pattern, |regex| replace_all(regex, text, replacement)).map(Some)
    })
}

/// Java's `replaceAll`: `$n` is a group (as many digits as there are groups), `\x` is x.
fn replace_all<'a>(
    regex: &JavaRegex,
    text: &'a str,
    replacement: &str,
) -> Result<Cow<'a, str>, Fault> {
    let mut out = String::new();
    let mut done = 0;
    regex.each_match(text, |(start, end), spans| {
        out.push_str(&text[done..start]);
        append_replacement(text, spans, replacement, &mut out)?;
        done = end;
        match out.len() > TEXT_BYTES_MAX {
            true => Err("the result of REGEXP_REPLACE would be too long".into()),
            false => Ok(()),
        }
    })?;
    if out.is_empty() && done == 0 {
        return Ok(Cow::Borrowed(text));
    }
    out.push_str(&text[done..]);
    Ok(Cow::Owned(out))
}

fn append_replacement(
    text: &str,
    spans: &Spans,
    replacement: &str,
    out: &mut String,
) -> Result<(), Fault> {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().ok_or("a replacement ends with a lone backslash")?),
            '$' => {
                let mut group = digit(&mut chars).ok_or("a replacement has a $ without a group")?;
                if group >= spans.len() {
                    return Err(Fault::Owned(format!("No group {group}")));
                }
                while let Some(next) = chars.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + next as usize;
                    if longer >= spans.len() {
                        break;
                    }
                    group = longer;
                    chars.next();
                }
                out.push_str(spans[group].map_or("", |(start, end)| &text[start..end]));
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
        with_java_regex(pattern, |regex| {
            let nothing = regex.matches_nothing()?;
            let (mut parts, mut done) = (Vec::new(), 0);
            regex.each_match(text, |(start, end), _| {
                // No empty part in front of a match of nothing at the start.
                if !(nothing && done == 0 && end == 0) {
                    parts.push(&text[done..start]);
                    done = end;
                }
                Ok(())
            })?;
            parts.push(&text[done..]);
            // As Java's `Pattern.split`, which is asked then: no empty parts at the end.
            if nothing && parts.len() > 1 {
                let last = parts.iter().rposition(|part| !part.is_empty());
                parts.truncate(last.map_or(0, |last| last + 1));
            }
            Ok(Some(parts.into_iter().map(|part| Some(Cow::Borrowed(part))).collect()))
        })
    })
}

/// Every character on its own; the empty text is one part.
pub(super) fn characters(text: &str) -> Texts<'_> {
    if text.is_empty() {
        return vec![Some(Cow::Borrowed(text))];
    }
    let end = |at: usize, c: char| at + c.len_utf8();
    text.char_indices().map(|(at, c)| Some(Cow::Borrowed(&text[at..end(at, c)]))).collect()
}
