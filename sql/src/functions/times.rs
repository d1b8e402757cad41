//! Functions of TIME and TIMESTAMP, and the memo of time patterns.

use std::borrow::Cow;
use std::cell::RefCell;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use hashbrown::HashMap;

use super::registry::{Body::*, Scalar};
use super::units::UNITS;
use crate::expr::frame::{Fault, Frame};
use crate::expr::java_time::{Moment, TimePattern, Zone};
use crate::expr::kernel::{Args, Big, Int, Prim, RowResult, Str, Time, Ts, ok, rows2, rows3};
use crate::expr::now_ms;

const TIME: &str = "DATE / TIME";

const DAY_MS: i64 = 86_400_000;

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "CONVERT_TZ",
        category: TIME,
        about: "A timestamp of one zone, in another.",
        example: (
            "CAST(CONVERT_TZ(FROM_UNIXTIME(0), 'UTC', 'Asia/Tokyo') AS STRING)",
            "1970-01-01T09:00:00.000",
        ),
        overloads: &[("(TIMESTAMP, STRING, STRING) -> TIMESTAMP", Kernel(convert_tz))],
    },
    Scalar {
        name: "FORMAT_TIME",
        category: TIME,
        about: "A time of day as text, by a pattern such as 'HH:mm:ss'.",
        example: ("FORMAT_TIME('13:05:07', 'h:mm a')", "1:05 PM"),
        overloads: &[(
            "(TIME, STRING) -> STRING",
            Kernel(|args, frame| {
                rows2::<Time, Str, Str>(args, frame, |ms, pattern| {
                    format(&Moment::time(ms), pattern)
                })
            }),
        )],
    },
    Scalar {
        name: "FORMAT_TIMESTAMP",
        category: TIME,
        about: "A timestamp as text, by a pattern such as 'yyyy-MM-dd HH:mm:ss', in UTC or a zone.",
        example: (
            "FORMAT_TIMESTAMP(FROM_UNIXTIME(0), 'yyyy-MM-dd HH:mm', 'Asia/Tokyo')",
            "1970-01-01 09:00",
        ),
        overloads: &[
            ("(TIMESTAMP, STRING) -> STRING", Kernel(format_timestamp)),
            ("(TIMESTAMP, STRING, STRING) -> STRING", Kernel(format_timestamp)),
        ],
    },
    Scalar {
        name: "FROM_UNIXTIME",
        category: TIME,
        about: "The timestamp of milliseconds since 1970-01-01.",
        example: ("CAST(FROM_UNIXTIME(1) AS STRING)", "1970-01-01T00:00:00.001"),
        overloads: &[(
            "(BIGINT) -> TIMESTAMP",
            Kernel(|args, _| cast(&args.array(0)?, args.returns)),
        )],
    },
    Scalar {
        name: "PARSE_TIME",
        category: TIME,
        about: "The time of day in a text, by a pattern such as 'HH:mm:ss'.",
        example: ("FORMAT_TIME(PARSE_TIME('1:05 PM', 'h:mm a'), 'HH:mm')", "13:05"),
        overloads: &[(
            "(STRING, STRING) -> TIME",
            Kernel(|args, frame| rows2::<Str, Str, Time>(args, frame, parse_time)),
        )],
    },
    Scalar {
        name: "PARSE_TIMESTAMP",
        category: TIME,
        about: "The timestamp in a text, by a pattern, in UTC or a zone unless the text has one.",
        example: (
            "CAST(PARSE_TIMESTAMP('3 May 2021 10:20', 'd MMM yyyy HH:mm') AS STRING)",
            "2021-05-03T10:20:00.000",
        ),
        overloads: &[
            ("(STRING, STRING) -> TIMESTAMP", Kernel(parse_timestamp)),
            ("(STRING, STRING, STRING) -> TIMESTAMP", Kernel(parse_timestamp)),
        ],
    },
    Scalar {
        name: "STRINGTOTIMESTAMP",
        category: TIME,
        about: "As PARSE_TIMESTAMP, but in milliseconds since 1970-01-01. Use PARSE_TIMESTAMP.",
        example: ("STRINGTOTIMESTAMP('1970-01-02', 'yyyy-MM-dd')", "86400000"),
        overloads: &[
            ("(STRING, STRING) -> BIGINT", Kernel(string_to_timestamp)),
            ("(STRING, STRING, STRING) -> BIGINT", Kernel(string_to_timestamp)),
        ],
    },
    Scalar {
        name: "TIMEADD",
        category: TIME,
        about: "A time of day some units later, around midnight.",
        example: ("FORMAT_TIME(TIMEADD(HOURS, 3, '23:00'), 'HH:mm')", "02:00"),
        overloads: &[(
            "(UNIT, INT, TIME) -> TIME",
            Kernel(|args, frame| shift_time(args, frame, 1)),
        )],
    },
    Scalar {
        name: "TIMESTAMPADD",
        category: TIME,
        about: "A timestamp some units later.",
        example: (
            "CAST(TIMESTAMPADD(DAYS, 1, FROM_UNIXTIME(0)) AS STRING)",
            "1970-01-02T00:00:00.000",
        ),
        overloads: &[("(UNIT, INT, TIMESTAMP) -> TIMESTAMP", Kernel(|a, f| shift(a, f, 1)))],
    },
    Scalar {
        name: "TIMESTAMPSUB",
        category: TIME,
        about: "A timestamp some units earlier.",
        example: (
            "CAST(TIMESTAMPSUB(HOURS, 1, FROM_UNIXTIME(0)) AS STRING)",
            "1969-12-31T23:00:00.000",
        ),
        overloads: &[("(UNIT, INT, TIMESTAMP) -> TIMESTAMP", Kernel(|a, f| shift(a, f, -1)))],
    },
    Scalar {
        name: "TIMESTAMPTOSTRING",
        category: TIME,
        about: "Milliseconds since 1970-01-01 as text, by a pattern. Use FORMAT_TIMESTAMP.",
        example: ("TIMESTAMPTOSTRING(0, 'yyyy-MM-dd')", "1970-01-01"),
        overloads: &[
            ("(BIGINT, STRING) -> STRING", Kernel(timestamp_to_string)),
            ("(BIGINT, STRING, STRING) -> STRING", Kernel(timestamp_to_string)),
        ],
    },
    Scalar {
        name: "TIMESUB",
        category: TIME,
        about: "A time of day some units earlier, around midnight.",
        example: ("FORMAT_TIME(TIMESUB(HOURS, 3, '01:00'), 'HH:mm')", "22:00"),
        overloads: &[(
            "(UNIT, INT, TIME) -> TIME",
            Kernel(|args, frame| shift_time(args, frame, -1)),
        )],
    },
    Scalar {
        name: "UNIX_TIMESTAMP",
        category: TIME,
        about: "Milliseconds since 1970-01-01, of now or of a timestamp.",
        example: ("UNIX_TIMESTAMP(FROM_UNIXTIME(5))", "5"),
        overloads: &[
            ("() -> BIGINT", Volatile(now)),
            ("(TIMESTAMP) -> BIGINT", Kernel(|args, _| cast(&args.array(0)?, &DataType::Int64))),
        ],
    },
];

/// Compiled patterns kept per thread; all are dropped when there are more.
const PATTERNS_MAX: usize = 64;

thread_local! {
    static PATTERNS: RefCell<HashMap<(String, bool), TimePattern>> = RefCell::new(HashMap::new());
}

/// Runs `f` with a compiled `DateTimeFormatter` pattern.
pub(super) fn with_pattern<R>(
    pattern: &str,
    f: impl FnOnce(&TimePattern) -> R,
) -> Result<R, Fault> {
    compiled(pattern, false, f)
}

/// Runs `f` with a compiled `SimpleDateFormat` pattern.
pub(super) fn with_lenient<R>(
    pattern: &str,
    f: impl FnOnce(&TimePattern) -> R,
) -> Result<R, Fault> {
    compiled(pattern, true, f)
}

fn compiled<R>(
    pattern: &str,
    lenient: bool,
    f: impl FnOnce(&TimePattern) -> R,
) -> Result<R, Fault> {
    PATTERNS.with_borrow_mut(|patterns| {
        let key = (pattern.to_string(), lenient);
        if let Some(known) = patterns.get(&key) {
            return Ok(f(known));
        }
        let new = if lenient { TimePattern::lenient(pattern) } else { TimePattern::new(pattern) };
        let new = new.map_err(Fault::Owned)?;
        if patterns.len() >= PATTERNS_MAX {
            patterns.clear();
        }
        Ok(f(patterns.entry(key).or_insert(new)))
    })
}

pub(super) fn faulty<T>(result: Result<T, String>) -> Result<T, Fault> {
    result.map_err(Fault::Owned)
}

fn zone(id: &str) -> Result<Zone, Fault> {
    Zone::parse(id).ok_or_else(|| Fault::Owned(format!("Unknown time-zone ID: {id}")))
}

pub(super) fn unit_ms(name: &str) -> Result<i64, Fault> {
    let unit = UNITS.iter().find(|(known, _)| *known == name);
    unit.map(|(_, ms)| *ms).ok_or_else(|| Fault::Owned(format!("Unknown time unit: {name}")))
}

fn format(moment: &Moment, pattern: &str) -> RowResult<Cow<'static, str>> {
    let mut out = String::new();
    with_pattern(pattern, |pattern| pattern.format(moment, &mut out)).and_then(faulty)?;
    ok(out)
}

fn format_timestamp(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    match args.cols.len() {
        2 => rows2::<Ts, Str, Str>(args, frame, |ms, pattern| {
            format(&Moment::at(ms, Zone::UTC), pattern)
        }),
        _ => rows3::<Ts, Str, Str, Str>(args, frame, |ms, pattern, id| {
            format(&Moment::at(ms, zone(id)?), pattern)
        }),
    }
}

fn timestamp_to_string(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    match args.cols.len() {
        2 => rows2::<Prim<Big>, Str, Str>(args, frame, |ms, pattern| {
            format(&Moment::at(ms, Zone::UTC), pattern)
        }),
        _ => rows3::<Prim<Big>, Str, Str, Str>(args, frame, |ms, pattern, id| {
            format(&Moment::at(ms, zone(id)?), pattern)
        }),
    }
}

fn parse(text: &str, pattern: &str, default: Zone) -> RowResult<i64> {
    let parsed = with_pattern(pattern, |pattern| pattern.parse(text)).and_then(faulty)?;
    parsed.timestamp(default).map(Some).map_err(Fault::Owned)
}

fn parse_timestamp(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    match args.cols.len() {
        2 => rows2::<Str, Str, Ts>(args, frame, |text, pattern| parse(text, pattern, Zone::UTC)),
        _ => rows3::<Str, Str, Str, Ts>(args, frame, |text, pattern, id| {
            parse(text, pattern, zone(id)?)
        }),
    }
}

/// Unlike PARSE_TIMESTAMP, a NULL is an error.
fn string_to_timestamp(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    type Text = Prim<Str>;
    match args.cols.len() {
        2 => rows2::<Text, Text, Big>(args, frame, |text, pattern| parse(text, pattern, Zone::UTC)),
        _ => rows3::<Text, Text, Text, Big>(args, frame, |text, pattern, id| {
            parse(text, pattern, zone(id)?)
        }),
    }
}

fn parse_time(text: &str, pattern: &str) -> RowResult<i32> {
    let parsed = with_pattern(pattern, |pattern| pattern.parse(text)).and_then(faulty)?;
    if parsed.has_date() {
        return Err(Fault::Owned(format!("Time format contains date field: {pattern}")));
    }
    Ok(Some(parsed.time_ms().map_err(Fault::Owned)? as i32))
}

fn convert_tz(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows3::<Ts, Str, Str, Ts>(args, frame, |ms, from, to| {
        let (from, to) = (zone(from)?.offset_at(ms), zone(to)?.offset_at(ms));
        ok(ms.saturating_add(i64::from(to - from) * 1000))
    })
}

fn shift(args: &Args<'_>, frame: &mut Frame, sign: i64) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Int, Ts, Ts>(args, frame, |unit, count, ms| {
        let by = sign * i64::from(count) * unit_ms(unit)?;
        ms.checked_add(by).map(Some).ok_or("the timestamp is out of range".into())
    })
}

fn shift_time(args: &Args<'_>, frame: &mut Frame, sign: i64) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Int, Time, Time>(args, frame, |unit, count, ms| {
        let by = sign * i64::from(count) * unit_ms(unit)?;
        ok((i64::from(ms) + by).rem_euclid(DAY_MS) as i32)
    })
}

fn now(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let now = now_ms();
    if now.is_none() {
        (0..args.rows).for_each(|row| frame.fault(row, "there is no clock here"));
    }
    Ok(std::sync::Arc::new(arrow::array::Int64Array::from(vec![now; args.rows])))
}
