//! The ISO texts of DATE, TIME and TIMESTAMP.

use std::borrow::Cow;
use std::fmt::{Result as FmtResult, Write};
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use super::civil::{date_of, days_in_month, days_of};
use super::{DAY_MS, TimePattern, Zone};

/// `yyyy-MM-dd`
pub(crate) fn write_date(out: &mut impl Write, days: i32) -> FmtResult {
    write_day(out, i64::from(days))
}

fn write_day(out: &mut impl Write, days: i64) -> FmtResult {
    let (year, month, day) = date_of(days);
    match year {
        0..=9999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        10_000.. => write!(out, "+{year}-{month:02}-{day:02}"),
        _ => write!(out, "-{:04}-{month:02}-{day:02}", -year),
    }
}

/// `HH:mm[:ss[.SSS]]`: as much as is not zero.
pub(crate) fn write_time(out: &mut impl Write, ms: i32) -> FmtResult {
    let (seconds, millis) = (ms / 1000, ms % 1000);
    write!(out, "{:02}:{:02}", seconds / 3600, seconds / 60 % 60)?;
    match (seconds % 60, millis) {
        (0, 0) => Ok(()),
        (second, 0) => write!(out, ":{second:02}"),
        (second, millis) => write!(out, ":{second:02}.{millis:03}"),
    }
}

/// `yyyy-MM-dd'T'HH:mm:ss.SSS`
pub(crate) fn write_timestamp(out: &mut impl Write, ms: i64) -> FmtResult {
    write_day(out, ms.div_euclid(DAY_MS))?;
    let of_day = ms.rem_euclid(DAY_MS);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "T{hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// Days since the epoch of `yyyy[-MM[-dd]]`, in Java's strict form: a year has four digits, or a
/// sign and more of them.
pub(crate) fn date(text: &str) -> Option<i32> {
    let text = complete_date(text);
    let (signed, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (true, rest),
        None => (false, text.as_ref()),
    };
    let mut parts = unsigned.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let negative = text.starts_with('-');
    let wide = match (signed, negative) {
        (true, false) => year.len() > 4,
        (true, true) => year.len() >= 4 && !year.bytes().all(|digit| digit == b'0'),
        (false, _) => year.len() == 4,
    };
    let (year, month, day) = (digits(year, 4..=10)?, digits(month, 2..=2)?, digits(day, 2..=2)?);
    let year = if negative { -year } else { year };
    let sane = parts.next().is_none() && wide && (1..=12).contains(&month);
    let fits = sane && (1..=i64::from(days_in_month(year, month as u32))).contains(&day);
    fits.then(|| i32::try_from(days_of(year, month as u32, day as u32)).ok()).flatten()
}

/// A date of which month and day may have been left out.
fn complete_date(date: &str) -> Cow<'_, str> {
    // As Java splits: empty parts at the end do not count.
    match date.trim_end_matches('-').split('-').count() {
        1 => Cow::Owned(format!("{date}-01-01")),
        2 => Cow::Owned(format!("{date}-01")),
        _ => Cow::Borrowed(date),
    }
}

/// Milliseconds of the day of `HH:mm[:ss[.fraction]]`.
pub(crate) fn time(text: &str) -> Option<i32> {
    let mut parts = text.split(':');
    let (hour, minute) = (digits(parts.next()?, 2..=2)?, digits(parts.next()?, 2..=2)?);
    let (second, millis) = match parts.next() {
        None => (0, 0),
        Some(part) => match part.split_once('.') {
            None => (digits(part, 2..=2)?, 0),
            Some((second, fraction)) => (digits(second, 2..=2)?, millis(fraction)?),
        },
    };
    let fits = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    fits.then_some((((hour * 60 + minute) * 60 + second) * 1000 + millis) as i32)
}

fn millis(fraction: &str) -> Option<i64> {
    digits(fraction, 0..=9)?;
    let first: String = fraction.chars().chain("000".chars()).take(3).collect();
    digits(&first, 3..=3)
}

fn digits(text: &str, count: RangeInclusive<usize>) -> Option<i64> {
    let fits = count.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// A whole time of day, of which a text may leave out the end.
const MIDNIGHT: &str = "00:00:00.000";

/// Milliseconds since the epoch of `yyyy[-MM[-dd]]`, or of a whole date, `T`, as much as there is
/// of `HH:mm:ss.SSS`, and a zone (UTC if there is none). What is left out is what ksqlDB takes for
/// it: the text is completed first, and then read by the pattern.
///
/// # Errors
/// What Java says of the completed text.
pub(crate) fn timestamp(text: &str) -> Result<i64, String> {
    static PATTERN: LazyLock<Result<TimePattern, String>> =
        LazyLock::new(|| TimePattern::new("yyyy-MM-dd'T'HH:mm:ss.SSS"));
    let (date, time, zone) = match text.split_once('T') {
        None => (complete_date(text), "", ""),
        Some((date, rest)) => {
            let zone_at = rest.find('+').or_else(|| rest.find('-')).unwrap_or(rest.len());
            let (time, zone) = rest.split_at(zone_at);
            (Cow::Borrowed(date), time.strip_suffix('Z').unwrap_or(time), zone)
        }
    };
    let zone = match zone {
        "" => Zone::UTC,
        id => Zone::parse(id).ok_or_else(|| format!("Failed to parse timezone '{id}'"))?,
    };
    let missing = MIDNIGHT.get(time.chars().count()..).unwrap_or_default();
    PATTERN
        .as_ref()
        .map_err(String::clone)?
        .parse(&format!("{date}T{time}{missing}"))?
        .timestamp(zone)
}
