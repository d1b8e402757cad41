//! Functions of DATE.

#![expect(
    clippy::redundant_closure,
    reason = "a function alone is not general enough over the lifetimes of its rows"
)]

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use super::registry::{Body::*, Scalar};
use super::times::{faulty, unit_ms, with_lenient, with_pattern};
use crate::expr::frame::{Fault, Frame};
use crate::expr::java_time::{Moment, Zone};
use crate::expr::kernel::{Args, Date, Int, Prim, Str, ok, rows1, rows2, rows3};
use crate::expr::now_ms;

const DATE: &str = "DATE / TIME";

const DAY_MS: i64 = 86_400_000;

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "DATEADD",
        category: DATE,
        about: "A date some units later; parts of days are cut.",
        example: ("CAST(DATEADD(DAYS, 2, '2020-02-28') AS STRING)", "2020-03-01"),
        overloads: &[("(UNIT, INT, DATE) -> DATE", Kernel(|args, frame| shift(args, frame, 1)))],
    },
    Scalar {
        name: "DATESUB",
        category: DATE,
        about: "A date some units earlier; parts of days are cut.",
        example: ("CAST(DATESUB(DAYS, 2, '2020-03-01') AS STRING)", "2020-02-28"),
        overloads: &[("(UNIT, INT, DATE) -> DATE", Kernel(|args, frame| shift(args, frame, -1)))],
    },
    Scalar {
        name: "DATETOSTRING",
        category: DATE,
        about: "Days since 1970-01-01 as text, by a pattern. Use FORMAT_DATE.",
        example: ("DATETOSTRING(18750, 'yyyy-MM-dd')", "2021-05-03"),
        overloads: &[(
            "(INT, STRING) -> STRING",
            Kernel(|args, frame| {
                rows2::<Prim<Int>, Str, Str>(args, frame, |days, pattern| format(days, pattern))
            }),
        )],
    },
    Scalar {
        name: "FORMAT_DATE",
        category: DATE,
        about: "A date as text, by a pattern such as 'yyyy-MM-dd'.",
        example: ("FORMAT_DATE(FROM_DAYS(18750), 'EEE d MMM yyyy')", "Mon 3 May 2021"),
        overloads: &[(
            "(DATE, STRING) -> STRING",
            Kernel(|args, frame| {
                rows2::<Date, Str, Str>(args, frame, |days, pattern| format(days, pattern))
            }),
        )],
    },
    Scalar {
        name: "FROM_DAYS",
        category: DATE,
        about: "The date a number of days after 1970-01-01.",
        example: ("CAST(FROM_DAYS(18750) AS STRING)", "2021-05-03"),
        overloads: &[(
            "(INT) -> DATE",
            Kernel(|args, frame| rows1::<Prim<Int>, Date>(args, frame, ok)),
        )],
    },
    Scalar {
        name: "PARSE_DATE",
        category: DATE,
        about: "The date in a text, by a pattern such as 'yyyy-MM-dd'.",
        example: ("CAST(PARSE_DATE('3.5.2021', 'd.M.yyyy') AS STRING)", "2021-05-03"),
        overloads: &[(
            "(STRING, STRING) -> DATE",
            Kernel(|args, frame| {
                rows2::<Str, Str, Date>(args, frame, |text, pattern| parse(text, pattern).map(Some))
            }),
        )],
    },
    Scalar {
        name: "STRINGTODATE",
        category: DATE,
        about: "Days since 1970-01-01 of the date in a text, by a pattern. Use PARSE_DATE.",
        example: ("STRINGTODATE('2021-05-03', 'yyyy-MM-dd')", "18750"),
        overloads: &[(
            "(STRING, STRING) -> INT",
            Kernel(|args, frame| {
                rows2::<Prim<Str>, Prim<Str>, Int>(args, frame, |text, pattern| {
                    let parsed = with_pattern(pattern, |pattern| pattern.parse(text));
                    let parsed = parsed.and_then(faulty)?;
                    if !parsed.is_full_date() {
                        return Err(Fault::Owned(format!("Unable to obtain a date from {text}")));
                    }
                    Ok(i32::try_from(parsed.days().map_err(Fault::Owned)?).ok())
                })
            }),
        )],
    },
    Scalar {
        name: "UNIX_DATE",
        category: DATE,
        about: "Days since 1970-01-01, of today (UTC) or of a date.",
        example: ("UNIX_DATE(FROM_DAYS(18750))", "18750"),
        overloads: &[
            ("() -> INT", Volatile(today)),
            ("(DATE) -> INT", Kernel(|args, frame| rows1::<Date, Int>(args, frame, ok))),
        ],
    },
];

fn format(days: i32, pattern: &str) -> Result<Option<Cow<'static, str>>, Fault> {
    let mut out = String::new();
    let formatted = with_pattern(pattern, |p| p.format(&Moment::date(days), &mut out));
    formatted.and_then(faulty)?;
    ok(out)
}

fn parse(text: &str, pattern: &str) -> Result<i32, Fault> {
    let parsed = with_lenient(pattern, |pattern| pattern.parse(text)).and_then(faulty)?;
    let ms = parsed.timestamp(Zone::UTC).map_err(Fault::Owned)?;
    if ms.rem_euclid(DAY_MS) != 0 {
        return Err(Fault::Owned(format!("Date format contains time field: {pattern}")));
    }
    i32::try_from(ms.div_euclid(DAY_MS)).map_err(|_| "the date is out of range".into())
}

fn shift(args: &Args<'_>, frame: &mut Frame, sign: i64) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Int, Date, Date>(args, frame, |unit, count, days| {
        let ms = i64::from(days) * DAY_MS + sign * i64::from(count) * unit_ms(unit)?;
        // Towards 1970-01-01, as Java's TimeUnit does it.
        let days = i32::try_from(ms / DAY_MS);
        days.map(Some).map_err(|_| "the date is out of range".into())
    })
}

fn today(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let days = now_ms().map(|ms| ms.div_euclid(DAY_MS) as i32);
    if days.is_none() {
        (0..args.rows).for_each(|row| frame.fault(row, "there is no clock here"));
    }
    Ok(std::sync::Arc::new(arrow::array::Int32Array::from(vec![days; args.rows])))
}
