//! Patterns, compiled to a list of items.

use std::fmt::Write;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct TimePattern {
    pub(super) items: Vec<Item>,
    /// `SimpleDateFormat` reads numbers of any width and ignores what follows.
    pub(super) lenient: bool,
}

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Literal(String),
    /// A number; `width` 0 means as wide as it is.
    Number {
        field: Field,
        width: usize,
    },
    /// `yyyy`: at least this wide. A year of an era (`y`, not `u`) is 1 at least.
    Year {
        width: usize,
        of_era: bool,
    },
    /// `yy`: the year in 2000..=2099.
    ShortYear,
    /// Digits of the fraction of the second.
    Fraction {
        width: usize,
    },
    Month {
        full: bool,
    },
    Weekday {
        full: bool,
    },
    AmPm,
    Era,
    /// `Q3` or `3rd quarter`
    Quarter {
        full: bool,
    },
    /// `separator` between the parts; `zero` is the text of no offset, if it has one.
    Offset {
        separator: &'static str,
        minutes: bool,
        zero: &'static str,
    },
    /// `GMT+02:00`
    LocalOffset {
        full: bool,
    },
    ZoneId,
    ZoneName,
    OptionalStart,
    OptionalEnd,
}

/// A numeric field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Month,
    Day,
    DayOfYear,
    DayOfWeek,
    Quarter,
    Hour,
    /// 1..=24
    ClockHour,
    /// 0..=11
    HalfHour,
    /// 1..=12
    HalfClockHour,
    Minute,
    Second,
    Nano,
    MilliOfDay,
    NanoOfDay,
}

/// Patterns longer than this are refused.
const PATTERN_BYTES_MAX: usize = 1024;

impl TimePattern {
    /// A `DateTimeFormatter` pattern, e.g. `yyyy-MM-dd'T'HH:mm:ss.SSSX`.
    ///
    /// # Errors
    /// When Java would refuse it, or for the few letters that are not supported (localised weeks,
    /// padding).
    pub fn new(pattern: &str) -> Result<Self, String> {
        Self::compile(pattern, false)
    }

    /// A `SimpleDateFormat` pattern, which parses leniently.
    ///
    /// # Errors
    /// As [`TimePattern::new`].
    pub fn lenient(pattern: &str) -> Result<Self, String> {
        Self::compile(pattern, true)
    }

    fn compile(pattern: &str, lenient: bool) -> Result<Self, String> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("a time pattern has at most {PATTERN_BYTES_MAX} bytes"));
        }
        let mut items = Vec::new();
        let mut rest = pattern;
        let mut depth = 0usize;
        while let Some(c) = rest.chars().next() {
            let run = rest.len() - rest.trim_start_matches(c).len();
            match c {
                '\'' => {
                    rest = quoted(rest, &mut items).ok_or_else(|| unclosed(pattern))?;
                    continue;
                }
                '[' | ']' if !lenient => {
                    let open = c == '[';
                    depth = match open {
                        true => depth + 1,
                        false => depth.checked_sub(1).ok_or_else(|| unclosed(pattern))?,
                    };
                    items.push(if open { Item::OptionalStart } else { Item::OptionalEnd });
                    rest = &rest[1..];
                    continue;
                }
                '{' | '}' | '#' if !lenient => {
                    return Err(format!("Pattern includes reserved character: '{c}'"));
                }
                c if c.is_ascii_alphabetic() => items.push(letter(c, run / c.len_utf8(), lenient)?),
                _ => literal(&mut items, &rest[..run]),
            }
            rest = &rest[run..];
        }
        items.extend(std::iter::repeat_n(Item::OptionalEnd, depth));
        Ok(TimePattern { items, lenient })
    }
}

fn unclosed(pattern: &str) -> String {
    format!("Pattern ends with an incomplete string literal or has a lone ']': {pattern}")
}

fn literal(items: &mut Vec<Item>, text: &str) {
    match items.last_mut() {
        Some(Item::Literal(known)) => known.push_str(text),
        _ => items.push(Item::Literal(text.to_string())),
    }
}

/// Reads a quoted literal (`''` is a quote) and returns what follows it.
fn quoted<'a>(rest: &'a str, items: &mut Vec<Item>) -> Option<&'a str> {
    let inner = &rest[1..];
    if let Some(after) = inner.strip_prefix('\'') {
        literal(items, "'");
        return Some(after);
    }
    let mut text = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => text.push('\''),
            '\'' => {
                literal(items, &text);
                return Some(&inner[at + 1..]);
            }
            c => text.push(c),
        }
    }
    None
}

fn letter(c: char, count: usize, lenient: bool) -> Result<Item, String> {
    use Field::*;
    let number = |field: Field, most: usize| match count {
        1 => Ok(Item::Number { field, width: 0 }),
        n if n <= most || lenient => Ok(Item::Number { field, width: n }),
        _ => Err(too_many(c)),
    };
    match (c, count) {
        ('u', _) if lenient => number(DayOfWeek, 2),
        ('u' | 'y', 2) => Ok(Item::ShortYear),
        ('u' | 'y', n) if n <= 19 => {
            let width = if lenient { n.min(4) } else { n };
            Ok(Item::Year { width, of_era: c == 'y' })
        }
        ('M' | 'L', 1 | 2) => number(Month, 2),
        ('M' | 'L', 3) => Ok(Item::Month { full: false }),
        ('M' | 'L', 4) => Ok(Item::Month { full: true }),
        ('d', _) => number(Day, 2),
        ('D', _) => number(DayOfYear, 3),
        ('E', 1..=3) => Ok(Item::Weekday { full: false }),
        ('E', 4) => Ok(Item::Weekday { full: true }),
        ('a', 1) => Ok(Item::AmPm),
        ('G', 1..=3) => Ok(Item::Era),
        ('Q' | 'q', 1 | 2) => number(Quarter, 2),
        ('Q' | 'q', 3 | 4) => Ok(Item::Quarter { full: count == 4 }),
        ('H', _) => number(Hour, 2),
        ('k', _) => number(ClockHour, 2),
        ('K', _) => number(HalfHour, 2),
        ('h', _) => number(HalfClockHour, 2),
        ('m', _) => number(Minute, 2),
        ('s', _) => number(Second, 2),
        ('S', 1..=9) => Ok(Item::Fraction { width: if lenient { 3 } else { count } }),
        ('n', _) => number(Nano, 19),
        ('A', _) => number(MilliOfDay, 19),
        ('N', _) => number(NanoOfDay, 19),
        _ => zone_letter(c, count),
    }
}

fn zone_letter(c: char, count: usize) -> Result<Item, String> {
    let zero_of = |with_z: bool, plain: &'static str| if with_z { "Z" } else { plain };
    let with_z = c == 'X';
    match (c, count) {
        ('X' | 'x', 1) => {
            Ok(Item::Offset { separator: "", minutes: false, zero: zero_of(with_z, "+00") })
        }
        ('X' | 'x', 2 | 4) => {
            Ok(Item::Offset { separator: "", minutes: true, zero: zero_of(with_z, "+0000") })
        }
        ('X' | 'x', 3 | 5) => {
            Ok(Item::Offset { separator: ":", minutes: true, zero: zero_of(with_z, "+00:00") })
        }
        ('Z', 1..=3) => Ok(Item::Offset { separator: "", minutes: true, zero: "+0000" }),
        ('Z', 5) => Ok(Item::Offset { separator: ":", minutes: true, zero: "Z" }),
        ('O', 1) => Ok(Item::LocalOffset { full: false }),
        ('O' | 'Z', 4) => Ok(Item::LocalOffset { full: true }),
        ('V', 2) => Ok(Item::ZoneId),
        ('z', 1..=4) => Ok(Item::ZoneName),
        ('B' | 'Y' | 'w' | 'W' | 'e' | 'c' | 'F' | 'g' | 'p' | 'v', _) => {
            Err(format!("pattern letter '{c}' is not supported yet"))
        }
        _ if "GuyDMLdQqEahKkHmsSAnNVzOXxZ".contains(c) => Err(too_many(c)),
        _ => Err(format!("Unknown pattern letter: {c}")),
    }
}

fn too_many(c: char) -> String {
    let mut message = "Too many pattern letters: ".to_string();
    let _ = message.write_char(c);
    message
}
