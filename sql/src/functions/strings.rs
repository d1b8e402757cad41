//! Functions of STRING. Positions and lengths count UTF-16 units, as in Java; all of them are
//! exact for text without characters beyond the basic plane.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, StringBuilder};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::escapes::unescape;
use super::registry::{Body::*, Scalar};
use super::{bytes, regexes};
use crate::expr::frame::Frame;
use crate::expr::kernel::{
    Args, Bin, Int, Opt, Prim, Str, StrList, ok, rows1, rows2, rows3, rows4,
};
use crate::expr::random;

const STRING: &str = "STRING";

/// The longest text that a function makes, in bytes; more is an error of the row.
pub(super) const TEXT_BYTES_MAX: usize = 16 << 20;

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "CHR",
        category: STRING,
        about: "The character of a code point, as a number or as '\\uXXXX'.",
        example: ("CHR(75)", "K"),
        overloads: &[("(INT) -> STRING", Kernel(chr)), ("(STRING) -> STRING", Kernel(chr_escaped))],
    },
    Scalar {
        name: "CONCAT",
        category: STRING,
        about: "The arguments one after the other, without the NULLs.",
        example: ("CONCAT('a', NULL, 'b')", "ab"),
        overloads: &[
            ("(STRING...) -> STRING", Kernel(|args, _| concat(args, 0))),
            ("(BYTES...) -> BYTES", Kernel(|args, _| concat(args, 0))),
        ],
    },
    Scalar {
        name: "CONCAT_WS",
        category: STRING,
        about: "The arguments after the first, separated by the first, without the NULLs.",
        example: ("CONCAT_WS('-', 'a', NULL, 'b')", "a-b"),
        overloads: &[
            ("(STRING, STRING, STRING...) -> STRING", Kernel(|args, _| concat(args, 1))),
            ("(BYTES, BYTES, BYTES...) -> BYTES", Kernel(|args, _| concat(args, 1))),
        ],
    },
    Scalar {
        name: "INITCAP",
        category: STRING,
        about: "Lower case, with a capital at the start of each word.",
        example: ("INITCAP('the QUICK fox')", "The Quick Fox"),
        overloads: &[("(STRING) -> STRING", Kernel(initcap))],
    },
    Scalar {
        name: "INSTR",
        category: STRING,
        about: "The position, from 1, of a substring; 0 if it is not there. Optional: where to \
                begin (from the end if negative), and which occurrence.",
        example: ("INSTR('CORPORATE FLOOR', 'OR', 3, 2)", "14"),
        overloads: &[
            ("(STRING, STRING) -> INT", Kernel(instr)),
            ("(STRING, STRING, INT) -> INT", Kernel(instr)),
            ("(STRING, STRING, INT, INT) -> INT", Kernel(instr)),
        ],
    },
    Scalar {
        name: "LCASE",
        category: STRING,
        about: "Lower case.",
        example: ("LCASE('AbC')", "abc"),
        overloads: &[(
            "(STRING) -> STRING",
            Kernel(|args, frame| rows1::<Str, Str>(args, frame, |s| ok(s.to_lowercase()))),
        )],
    },
    Scalar {
        name: "LEN",
        category: STRING,
        about: "The length: UTF-16 units of a STRING, bytes of BYTES.",
        example: ("LEN('abc')", "3"),
        overloads: &[
            (
                "(STRING) -> INT",
                Kernel(|args, frame| rows1::<Str, Int>(args, frame, |s| ok(units(s)))),
            ),
            (
                "(BYTES) -> INT",
                Kernel(|args, frame| rows1::<Bin, Int>(args, frame, |b| ok(b.len() as i32))),
            ),
        ],
    },
    Scalar {
        name: "LPAD",
        category: STRING,
        about: "Padded on the left, or cut, to a length.",
        example: ("LPAD('foo', 7, 'Bar')", "BarBfoo"),
        overloads: &[
            ("(STRING, INT, STRING) -> STRING", Kernel(|args, frame| pad(args, frame, true))),
            ("(BYTES, INT, BYTES) -> BYTES", Kernel(|args, frame| pad_bytes(args, frame, true))),
        ],
    },
    Scalar {
        name: "REPLACE",
        category: STRING,
        about: "Every occurrence of a text replaced by another.",
        example: ("REPLACE('foobar', 'o', 'x')", "fxxbar"),
        overloads: &[("(STRING, STRING, STRING) -> STRING", Kernel(replace))],
    },
    Scalar {
        name: "RPAD",
        category: STRING,
        about: "Padded on the right, or cut, to a length.",
        example: ("RPAD('foo', 7, 'Bar')", "fooBarB"),
        overloads: &[
            ("(STRING, INT, STRING) -> STRING", Kernel(|args, frame| pad(args, frame, false))),
            ("(BYTES, INT, BYTES) -> BYTES", Kernel(|args, frame| pad_bytes(args, frame, false))),
        ],
    },
    Scalar {
        name: "SPLIT",
        category: STRING,
        about: "The parts between delimiters; every character if the delimiter is empty.",
        example: ("CAST(SPLIT('a,b,,c', ',') AS STRING)", "[a, b, , c]"),
        overloads: &[
            ("(STRING, STRING) -> ARRAY<STRING>", Kernel(split)),
            ("(BYTES, BYTES) -> ARRAY<BYTES>", Kernel(bytes::split)),
        ],
    },
    Scalar {
        name: "SUBSTRING",
        category: STRING,
        about: "From a position (from 1, or from the end if negative) on, of a length.",
        example: ("SUBSTRING('stream', -4, 2)", "re"),
        overloads: &[
            ("(STRING, INT) -> STRING", Kernel(substring)),
            ("(STRING, INT, INT) -> STRING", Kernel(substring)),
            ("(BYTES, INT) -> BYTES", Kernel(subbytes)),
            ("(BYTES, INT, INT) -> BYTES", Kernel(subbytes)),
        ],
    },
    Scalar {
        name: "TRIM",
        category: STRING,
        about: "Without blanks and control characters at both ends.",
        example: ("TRIM('  a b ')", "a b"),
        overloads: &[(
            "(STRING) -> STRING",
            Kernel(|args, frame| {
                rows1::<Str, Str>(args, frame, |s| ok(s.trim_matches(|c: char| c <= ' ')))
            }),
        )],
    },
    Scalar {
        name: "UCASE",
        category: STRING,
        about: "Upper case.",
        example: ("UCASE('AbC')", "ABC"),
        overloads: &[(
            "(STRING) -> STRING",
            Kernel(|args, frame| rows1::<Str, Str>(args, frame, |s| ok(s.to_uppercase()))),
        )],
    },
    Scalar {
        name: "UUID",
        category: STRING,
        about: "A random UUID, or the text of one given as 16 bytes.",
        example: ("LEN(UUID())", "36"),
        overloads: &[
            ("() -> STRING", Volatile(uuid)),
            (
                "(BYTES) -> STRING",
                Kernel(|args, frame| {
                    rows1::<Bin, Str>(args, frame, |bytes| {
                        let id = uuid::Uuid::from_slice(bytes).ok();
                        Ok(id.map(|id| Cow::Owned(id.to_string())))
                    })
                }),
            ),
        ],
    },
];

/// Length in UTF-16 units.
pub(super) fn units(text: &str) -> i32 {
    if text.is_ascii() { text.len() as i32 } else { text.encode_utf16().count() as i32 }
}

/// Byte position of the UTF-16 unit `at`; the end if there are fewer.
pub(super) fn byte_at(text: &str, at: usize) -> usize {
    if text.is_ascii() {
        return at.min(text.len());
    }
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units >= at {
            return byte;
        }
        units += c.len_utf16();
    }
    text.len()
}

fn chr(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows1::<Int, Str>(args, frame, |code| {
        let code = u32::try_from(code).ok().and_then(char::from_u32);
        Ok(code.map(|c| Cow::Owned(c.to_string())))
    })
}

fn chr_escaped(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows1::<Str, Str>(args, frame, |text| match text.starts_with("\\u") && units(text) >= 6 {
        true => unescape(text).map(|text| Some(Cow::Owned(text))),
        false => Ok(None),
    })
}

/// Joins the arguments from `first` on; the ones before are the separator.
fn concat(args: &Args<'_>, first: usize) -> Result<ArrayRef, ArrowError> {
    if *args.returns == DataType::Binary {
        return concat_bytes(args, first);
    }
    let mut out = StringBuilder::with_capacity(args.rows, args.rows * 16);
    let mut text = String::new();
    for row in 0..args.rows {
        let separator = if first == 0 { Some("") } else { args.col(0)?.get::<Str>(row)? };
        let Some(separator) = separator else {
            out.append_null();
            continue;
        };
        text.clear();
        let mut between = "";
        for col in &args.cols[first..] {
            if let Some(part) = col.get::<Str>(row)? {
                text.push_str(between);
                text.push_str(part);
                between = separator;
            }
        }
        out.append_value(&text);
    }
    Ok(Arc::new(out.finish()))
}

fn concat_bytes(args: &Args<'_>, first: usize) -> Result<ArrayRef, ArrowError> {
    let mut out = BinaryBuilder::with_capacity(args.rows, args.rows * 16);
    for row in 0..args.rows {
        let separator = if first == 0 { Some(&[][..]) } else { args.col(0)?.get::<Bin>(row)? };
        let Some(separator) = separator else {
            out.append_null();
            continue;
        };
        let mut parts = Vec::new();
        for col in &args.cols[first..] {
            parts.extend(col.get::<Bin>(row)?);
        }
        out.append_value(parts.join(separator));
    }
    Ok(Arc::new(out.finish()))
}

fn initcap(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows1::<Str, Str>(args, frame, |text| {
        let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r');
        let mut out = String::with_capacity(text.len());
        let mut at_start = true;
        // As in ksqlDB, spaces before the first word are lost.
        for c in text.trim_start_matches(space).chars() {
            match at_start {
                true => out.extend(c.to_uppercase()),
                false => out.extend(c.to_lowercase()),
            }
            at_start = space(c);
        }
        ok(out)
    })
}

fn instr(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    type Text = Opt<Str>;
    match args.cols.len() {
        2 => rows2::<Text, Text, Int>(args, frame, |s, sub| ok(find(s, sub, 1, 1))),
        3 => rows3::<Text, Text, Prim<Int>, Int>(args, frame, |s, sub, at| ok(find(s, sub, at, 1))),
        _ => rows4::<Text, Text, Prim<Int>, Prim<Int>, Int>(args, frame, |s, sub, at, n| {
            ok(find(s, sub, at, n))
        }),
    }
}

fn find(text: Option<&str>, sub: Option<&str>, position: i32, occurrence: i32) -> i32 {
    let (Some(text), Some(sub)) = (text, sub) else { return 0 };
    let length = units(text);
    if position == 0 || position.unsigned_abs() > length.unsigned_abs() || occurrence < 1 {
        return 0;
    }
    let skip = occurrence as usize - 1;
    let found = if position > 0 {
        let from = byte_at(text, position as usize - 1);
        overlapping(&text[from..], sub).nth(skip).map(|at| from + at)
    } else {
        // All of it lies before the position, as ksqlDB searches the reversed text.
        let end = byte_at(text, (length + position + 1) as usize);
        let before = |at: &usize| at + sub.len() <= end;
        let starts: Vec<usize> = overlapping(text, sub).filter(before).collect();
        starts.iter().rev().nth(skip).copied()
    };
    found.map_or(0, |at| units(&text[..at]) + 1)
}

/// Byte positions of all occurrences, also those that overlap.
fn overlapping<'a>(text: &'a str, sub: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(sub)?;
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
        Some(at)
    })
}

fn pad(args: &Args<'_>, frame: &mut Frame, left: bool) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Int, Str, Str>(args, frame, |text, length, pad| {
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        if pad.is_empty() {
            return Ok(None);
        }
        let have = units(text) as usize;
        if have >= length {
            return ok(&text[..byte_at(text, length)]);
        }
        if length > TEXT_BYTES_MAX {
            return Err("the padded text would be too long".into());
        }
        let mut filling: String = String::with_capacity(length);
        let mut missing = length - have;
        for c in pad.chars().cycle() {
            let size = c.len_utf16();
            if size > missing {
                break;
            }
            filling.push(c);
            missing -= size;
        }
        ok(if left { filling + text } else { text.to_string() + &filling })
    })
}

fn pad_bytes(args: &Args<'_>, frame: &mut Frame, left: bool) -> Result<ArrayRef, ArrowError> {
    rows3::<Bin, Int, Bin, Bin>(args, frame, |bytes, length, pad| {
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        if pad.is_empty() {
            return Ok(None);
        }
        if bytes.len() >= length {
            return ok(&bytes[..length]);
        }
        if length > TEXT_BYTES_MAX {
            return Err("the padded value would be too long".into());
        }
        let filling = pad.iter().cycle().take(length - bytes.len()).copied();
        ok::<Cow<'_, [u8]>>(match left {
            true => filling.chain(bytes.iter().copied()).collect::<Vec<u8>>(),
            false => bytes.iter().copied().chain(filling).collect::<Vec<u8>>(),
        })
    })
}

fn replace(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Str, Str, Str>(args, frame, |text, old, new| {
        let many = text.matches(old).count();
        if text.len() + many.saturating_mul(new.len()) > TEXT_BYTES_MAX {
            return Err("the result of REPLACE would be too long".into());
        }
        if many == 0 { ok(text) } else { ok(text.replace(old, new)) }
    })
}

fn split(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Str, Str, StrList>(args, frame, |text, delimiter| {
        if delimiter.is_empty() {
            return ok(regexes::characters(text));
        }
        ok(text.split(delimiter).map(|part| Some(Cow::Borrowed(part))).collect::<Vec<_>>())
    })
}

/// The range of `length` (or all) units from a 1-based position in something of size `size`.
fn span(size: usize, position: i32, length: Option<i32>) -> (usize, usize) {
    let start = match position {
        0 => 0,
        1.. => (position as usize - 1).min(size),
        _ => size.saturating_sub(position.unsigned_abs() as usize),
    };
    let length = length.map_or(usize::MAX, |length| length.max(0) as usize);
    (start, start.saturating_add(length).min(size))
}

fn substring(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    fn cut(text: &str, position: i32, length: Option<i32>) -> &str {
        let (start, end) = span(units(text) as usize, position, length);
        &text[byte_at(text, start)..byte_at(text, end)]
    }
    match args.cols.len() {
        2 => rows2::<Str, Int, Str>(args, frame, |s, at| ok(cut(s, at, None))),
        _ => rows3::<Str, Int, Int, Str>(args, frame, |s, at, len| ok(cut(s, at, Some(len)))),
    }
}

fn subbytes(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    fn cut(bytes: &[u8], position: i32, length: Option<i32>) -> &[u8] {
        let (start, end) = span(bytes.len(), position, length);
        &bytes[start..end]
    }
    match args.cols.len() {
        2 => rows2::<Bin, Int, Bin>(args, frame, |b, at| ok(cut(b, at, None))),
        _ => rows3::<Bin, Int, Int, Bin>(args, frame, |b, at, len| ok(cut(b, at, Some(len)))),
    }
}

fn uuid(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = StringBuilder::with_capacity(args.rows, args.rows * 36);
    for row in 0..args.rows {
        let (Some(high), Some(low)) = (random(), random()) else {
            frame.fault(row, "there is no source of randomness here");
            out.append_null();
            continue;
        };
        let bits = u128::from(high) << 64 | u128::from(low);
        let id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        out.append_value(id.hyphenated().encode_lower(&mut [0; 36]));
    }
    Ok(Arc::new(out.finish()))
}
