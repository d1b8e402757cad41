//! The ISO texts of DATE, TIME and TIMESTAMP.

use std::fmt::{Result as FmtResult, Write};

use super::civil::{date_of, days_in_month, days_of};
use super::{DAY_MS, Zone};

/// Years with more digits are refused: nobody means them, and they overflow.
const YEAR_MAX: i64 = 999_999;

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

/// Days since the epoch of `yyyy[-MM[-dd]]`.
pub(crate) fn date(text: &str) -> Option<i32> {
    i32::try_from(day(text)?).ok()
}

fn day(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = unsigned.split('-');
    let year = digits(parts.next()?, 6)?;
    let month = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| digits(part, 2))?;
    let year = sign * year;
    let sane = parts.next().is_none() && year.abs() <= YEAR_MAX && (1..=12).contains(&month);
    let fits = sane && (1..=i64::from(days_in_month(year, month as u32))).contains(&day);
    fits.then(|| days_of(year, month as u32, day as u32))
}

/// Milliseconds of the day of `HH[:mm[:ss[.fraction]]]`.
pub(crate) fn time(text: &str) -> Option<i32> {
    let mut parts = text.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = parts.next().map_or(Some(0), |part| digits(part, 2))?;
    let (second, millis) = match parts.next() {
        None => (0, 0),
        Some(part) => match part.split_once('.') {
            None => (digits(part, 2)?, 0),
            Some((second, fraction)) => (digits(second, 2)?, millis(fraction)?),
        },
    };
    let fits = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    fits.then_some((((hour * 60 + minute) * 60 + second) * 1000 + millis) as i32)
}

fn millis(fraction: &str) -> Option<i64> {
    digits(fraction, 9)?;
    let first: String = fraction.chars().chain("00".chars()).take(3).collect();
    digits(&first, 3)
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let fits = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// Milliseconds since the epoch of a date, and as much of a time and a zone as there is.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    let Some(split) = text.find(['T', 't', ' ']) else {
        let (date, zone) = match text.strip_suffix(['Z', 'z']) {
            Some(date) => (date, Zone::UTC),
            None => (text, Zone::UTC),
        };
        return Some(zone.to_utc_ms(day(date)? * DAY_MS));
    };
    let (date, rest) = (&text[..split], &text[split + 1..]);
    let zone_at = rest.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.');
    let (time_text, zone_text) = rest.split_at(zone_at.unwrap_or(rest.len()));
    let zone = match zone_text {
        "" => Zone::UTC,
        text => Zone::parse(text.trim())?,
    };
    let of_day = if time_text.is_empty() { 0 } else { i64::from(time(time_text)?) };
    Some(zone.to_utc_ms(day(date)? * DAY_MS + of_day))
}
