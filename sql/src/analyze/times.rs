//! ROWTIME, WINDOWSTART and WINDOWEND compared with text: the text is a point of time.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::tree;
use crate::ast::{Expr, ExprKind, Literal};
use crate::catalog::pseudo;
use crate::error::{Result, SqlError};

/// A copy of a predicate in which text beside a time column became milliseconds.
///
/// # Errors
/// Text that is no point of time.
pub(super) fn rewrite(expr: &Expr) -> Result<Expr> {
    tree::rewrite(expr, &mut |e| match &e.kind {
        ExprKind::Binary { op, left, right } if op.is_comparison() => {
            let (l, r) = (is_time_column(left), is_time_column(right));
            let left = if r { millis(left)? } else { None };
            let right = if l { millis(right)? } else { None };
            Ok(compared(e, left, right))
        }
        ExprKind::Between { expr, low, high, negated } if is_time_column(expr) => {
            let low = millis(low)?.unwrap_or_else(|| low.as_ref().clone());
            let high = millis(high)?.unwrap_or_else(|| high.as_ref().clone());
            let kind = ExprKind::Between {
                expr: expr.clone(),
                low: Box::new(low),
                high: Box::new(high),
                negated: *negated,
            };
            Ok(Some(Expr::new(kind, e.span())))
        }
        _ => Ok(None),
    })
}

fn compared(e: &Expr, new_left: Option<Expr>, new_right: Option<Expr>) -> Option<Expr> {
    let ExprKind::Binary { op, left, right } = &e.kind else { return None };
    if new_left.is_none() && new_right.is_none() {
        return None;
    }
    let kind = ExprKind::Binary {
        op: *op,
        left: new_left.map_or_else(|| left.clone(), Box::new),
        right: new_right.map_or_else(|| right.clone(), Box::new),
    };
    Some(Expr::new(kind, e.span()))
}

fn is_time_column(expr: &Expr) -> bool {
    const TIMES: [&str; 3] = [pseudo::ROWTIME, pseudo::WINDOWSTART, pseudo::WINDOWEND];
    matches!(&expr.kind, ExprKind::Column { name, .. } if TIMES.contains(&name.value.as_str()))
}

fn millis(expr: &Expr) -> Result<Option<Expr>> {
    let ExprKind::Literal(Literal::String(text)) = &expr.kind else { return Ok(None) };
    let Some(ms) = parse(text) else {
        let message = format!(
            "Failed to parse timestamp '{text}'. Supported timestamp formats are: \
             yyyy-MM-ddTHH:mm:ss.SSS[zone], shortened from the right"
        );
        return Err(SqlError::invalid(message).at(expr.span()));
    };
    Ok(Some(Expr::new(ExprKind::Literal(Literal::Bigint(ms)), expr.span())))
}

/// Milliseconds of a date and time that may be cut short, e.g. `2020-02`; UTC unless a zone is
/// given after the time.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_once('T').unwrap_or((text.trim(), ""));
    let (time, zone_s) = split_zone(rest)?;
    let date = parse_date(date)?;
    let moment = match time {
        // The end of the day is the start of the next.
        "24" | "24:00" | "24:00:00" | "24:00:00.000" => date.succ_opt()?.and_time(NaiveTime::MIN),
        _ => NaiveDateTime::new(date, parse_time(time)?),
    };
    moment.and_utc().timestamp_millis().checked_sub(i64::from(zone_s) * 1000)
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let year: i32 = parts.next()?.parse().ok()?;
    let month = parts.next().map_or(Some(1), |p| p.parse().ok())?;
    let day = parts.next().map_or(Some(1), |p| p.parse().ok())?;
    if parts.next().is_some() {
        return None;
    }
    NaiveDate::from_ymd_opt(year, month, day)
}

fn parse_time(text: &str) -> Option<NaiveTime> {
    if text.is_empty() {
        return Some(NaiveTime::MIN);
    }
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next().map_or(Some(0), |p| p.parse().ok())?;
    let second = parts.next().map_or(Some(0), |p| p.parse().ok())?;
    let milli: u32 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    if parts.next().is_some() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    NaiveTime::from_hms_milli_opt(hour, minute, second, milli)
}

/// The time without its zone, and the zone's offset in seconds.
fn split_zone(text: &str) -> Option<(&str, i32)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (time, zone) = text.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone[1..].chars().filter(|c| *c != ':').collect();
    let number: i32 = match digits.len() {
        2 => digits.parse::<i32>().ok()?.checked_mul(100)?,
        4 => digits.parse().ok()?,
        _ => return None,
    };
    Some((time, sign * (number / 100 * 3600 + number % 100 * 60)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(text: &str, ms: i64) {
        assert_eq!(parse(text), Some(ms), "{text}");
    }

    #[test]
    fn times_may_be_cut_short_and_carry_a_zone() {
        check("2018-01-01T00:00:00.001", 1_514_764_800_001);
        check("2018", 1_514_764_800_000);
        check("2018-01", 1_514_764_800_000);
        check("2018-01-01T01", 1_514_768_400_000);
        check("2017-12-31T24", 1_514_764_800_000);
        check("2020-02-10T08:31:44.001+0000", 1_581_323_504_001);
        check("2020-02-10T10:31:44.001+02:00", 1_581_323_504_001);
        check("2020-02-10T08:31:44Z", 1_581_323_504_000);
    }

    #[test]
    fn other_text_is_no_time() {
        for text in ["", "x", "2018-13", "2018-01-01T25", "2018-01-01-01", "2018-01-01T1:2:3:4"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
