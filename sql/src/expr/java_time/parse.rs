//! Parses text by a pattern.

use super::civil::{day_of_week, days_in_month, days_of};
use super::format::{MONTHS, WEEKDAYS};
use super::pattern::{Field, Item, TimePattern};
use super::zone::parse_offset;
use super::{DAY_MS, Zone};

/// Years with more digits are refused: nobody means them, and they overflow.
const YEAR_MAX: i64 = 999_999;

/// The fields that a text had.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parsed {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    /// 1 for Monday; it must be that of the date.
    weekday: Option<u32>,
    hour: Option<i64>,
    half_hour: Option<i64>,
    afternoon: Option<bool>,
    minute: Option<i64>,
    second: Option<i64>,
    nano: Option<i64>,
    nano_of_day: Option<i64>,
    zone: Option<Zone>,
}

impl Parsed {
    /// Some field of a date was in the text.
    pub fn has_date(&self) -> bool {
        self.year.is_some()
            || self.month.is_some()
            || self.day.is_some()
            || self.day_of_year.is_some()
    }

    /// Year and day were in the text.
    pub fn is_full_date(&self) -> bool {
        let day = self.day_of_year.is_some() || (self.month.is_some() && self.day.is_some());
        self.year.is_some() && day
    }

    /// The zone in the text.
    pub fn zone(&self) -> Option<Zone> {
        self.zone
    }

    /// Days since the epoch; fields that are missing are those of 1970-01-01.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn days(&self) -> Result<i64, String> {
        let year = self.year.unwrap_or(1970);
        if let Some(day) = self.day_of_year {
            let days_of_year = (days_of(year + 1, 1, 1) - days_of(year, 1, 1)) as u32;
            let in_range = (1..=days_of_year).contains(&day);
            let days = days_of(year, 1, 1) + i64::from(day) - 1;
            return in_range.then_some(days).ok_or_else(|| range("DayOfYear", i64::from(day)));
        }
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if !(1..=12).contains(&month) {
            return Err(range("MonthOfYear", i64::from(month)));
        }
        if !(1..=31).contains(&day) {
            return Err(range("DayOfMonth", i64::from(day)));
        }
        let days = days_of(year, month, day.min(days_in_month(year, month)));
        match self.weekday {
            Some(weekday) if self.is_full_date() && weekday != day_of_week(days) => {
                Err(format!("Conflict found: DayOfWeek {weekday} is not that of the date"))
            }
            _ => Ok(days),
        }
    }

    /// Milliseconds of the day; fields that are missing are 0.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn time_ms(&self) -> Result<i64, String> {
        if let Some(nanos) = self.nano_of_day {
            let ms = nanos / 1_000_000;
            return (0..DAY_MS)
                .contains(&ms)
                .then_some(ms)
                .ok_or_else(|| range("NanoOfDay", nanos));
        }
        let half = |hour: i64| hour % 12 + if self.afternoon == Some(true) { 12 } else { 0 };
        let hour = self.hour.or(self.half_hour.map(half)).unwrap_or(0);
        let (minute, second) = (self.minute.unwrap_or(0), self.second.unwrap_or(0));
        if self.ends_the_day() {
            return Ok(0);
        }
        for (name, value, end) in
            [("HourOfDay", hour, 24), ("MinuteOfHour", minute, 60), ("SecondOfMinute", second, 60)]
        {
            if !(0..end).contains(&value) {
                return Err(range(name, value));
            }
        }
        Ok(((hour * 60 + minute) * 60 + second) * 1000 + self.nano.unwrap_or(0) / 1_000_000)
    }

    /// `24:00` is the start of the next day.
    fn ends_the_day(&self) -> bool {
        let rest = [self.minute, self.second, self.nano];
        self.hour == Some(24) && rest.iter().all(|part| part.unwrap_or(0) == 0)
    }

    /// Milliseconds since the epoch; `zone` is that of texts without one.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn timestamp(&self, zone: Zone) -> Result<i64, String> {
        let days = self.days()? + i64::from(self.ends_the_day());
        let local = days.saturating_mul(DAY_MS).saturating_add(self.time_ms()?);
        Ok(self.zone.unwrap_or(zone).to_utc_ms(local))
    }
}

fn range(field: &str, value: i64) -> String {
    format!("Invalid value for {field}: {value}")
}

/// Where the parser stands, to come back when an optional section does not match.
#[derive(Clone, Copy)]
struct State<'a> {
    rest: &'a str,
    parsed: Parsed,
}

impl TimePattern {
    /// The fields of `text`; letters match in any case.
    ///
    /// # Errors
    /// When the text does not match the pattern.
    pub fn parse(&self, text: &str) -> Result<Parsed, String> {
        let mut state = State { rest: text, parsed: Parsed::default() };
        let mut saved: Vec<State<'_>> = Vec::new();
        let mut skipped = 0usize;
        for (at, item) in self.items.iter().enumerate() {
            match item {
                Item::OptionalStart if skipped > 0 => skipped += 1,
                Item::OptionalEnd if skipped > 0 => skipped -= 1,
                _ if skipped > 0 => {}
                Item::OptionalStart => saved.push(state),
                Item::OptionalEnd => {
                    saved.pop();
                }
                item => {
                    if self.item(item, at, &mut state).is_none() {
                        state = saved.pop().ok_or_else(|| {
                            let at = text.len() - state.rest.len();
                            format!("Text '{text}' could not be parsed at index {at}")
                        })?;
                        skipped = 1;
                    }
                }
            }
        }
        if !state.rest.is_empty() && !self.lenient {
            let at = text.len() - state.rest.len();
            let message = "could not be parsed, unparsed text found at index";
            return Err(format!("Text '{text}' {message} {at}"));
        }
        Ok(state.parsed)
    }

    fn item(&self, item: &Item, at: usize, state: &mut State<'_>) -> Option<()> {
        let parsed = &mut state.parsed;
        match item {
            Item::Literal(text) => {
                let head = state.rest.get(..text.len())?;
                head.eq_ignore_ascii_case(text).then_some(())?;
                state.rest = &state.rest[text.len()..];
            }
            Item::Number { field, width } => {
                let wide =
                    if *width == 0 || self.lenient { self.room(at, state.rest) } else { *width };
                let least = if self.lenient { 1 } else { (*width).max(1) };
                let value = number(&mut state.rest, least, wide)?;
                set(parsed, *field, value)?;
            }
            Item::Year { width, of_era } => {
                let room = |rest: &str| self.room(at, rest);
                let year = match self.lenient {
                    true => signed(&mut state.rest, 1, room)?.0,
                    false => strict_year(&mut state.rest, *width, room)?,
                };
                (self.lenient || !of_era || year >= 1).then_some(())?;
                parsed.year = Some(year);
            }
            Item::ShortYear => parsed.year = Some(2000 + number(&mut state.rest, 2, 2)?),
            Item::Fraction { width } => {
                let before = state.rest.len();
                let least = if self.lenient { 1 } else { *width };
                let value = number(&mut state.rest, least, *width)?;
                let digits = if self.lenient { *width } else { before - state.rest.len() };
                parsed.nano = Some(value * 10i64.pow(9 - digits.min(9) as u32));
            }
            Item::Month { full } => {
                parsed.month = Some(name(&mut state.rest, &MONTHS, *full || self.lenient)?);
            }
            Item::Weekday { full } => {
                let weekday = name(&mut state.rest, &WEEKDAYS, *full || self.lenient)?;
                parsed.weekday = Some(weekday).filter(|_| !self.lenient);
            }
            Item::AmPm => {
                let head = state.rest.get(..2)?;
                let afternoon = head.eq_ignore_ascii_case("PM");
                (afternoon || head.eq_ignore_ascii_case("AM")).then_some(())?;
                parsed.afternoon = Some(afternoon);
                state.rest = &state.rest[2..];
            }
            Item::Era => {
                let head = state.rest.get(..2)?;
                ["AD", "BC"].iter().any(|era| era.eq_ignore_ascii_case(head)).then_some(())?;
                state.rest = &state.rest[2..];
            }
            Item::Quarter { .. } => return None,
            Item::Offset { zero, .. } => parsed.zone = Some(offset(&mut state.rest, zero)?),
            Item::LocalOffset { .. } | Item::ZoneId | Item::ZoneName => {
                parsed.zone = Some(zone(&mut state.rest)?);
            }
            Item::OptionalStart | Item::OptionalEnd => {}
        }
        Some(())
    }

    /// Digits that a number without a width may take: those that the numbers of fixed width right
    /// after it leave.
    fn room(&self, at: usize, rest: &str) -> usize {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let following = self.items[at + 1..].iter().map_while(|item| match item {
            Item::Number { width, .. } | Item::Fraction { width } if *width > 0 => Some(*width),
            Item::ShortYear => Some(2),
            _ => None,
        });
        digits.saturating_sub(following.sum()).clamp(1, 18)
    }
}

fn number(rest: &mut &str, least: usize, most: usize) -> Option<i64> {
    let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if digits < least {
        return None;
    }
    let value = rest[..digits].parse().ok()?;
    *rest = &rest[digits..];
    Some(value)
}

/// A number that may have a sign, and how many digits it has; `room` is for how many at most.
fn signed(rest: &mut &str, least: usize, room: impl Fn(&str) -> usize) -> Option<(i64, usize)> {
    let negative = rest.starts_with('-');
    *rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let before = rest.len();
    let most = room(rest);
    let value = number(rest, least, most).filter(|value| *value <= YEAR_MAX)?;
    Some((if negative { -value } else { value }, before - rest.len()))
}

/// Years of four letters and more have a plus exactly when they are wider than that; others none.
fn strict_year(rest: &mut &str, width: usize, room: impl Fn(&str) -> usize) -> Option<i64> {
    let sign = rest.chars().next().filter(|c| ['+', '-'].contains(c));
    let (year, digits) = signed(rest, width, room)?;
    let wider = digits > width;
    let fits = match sign {
        Some('-') => year != 0,
        Some(_) => width >= 4 && wider,
        None => width < 4 || !wider,
    };
    fits.then_some(year)
}

fn set(parsed: &mut Parsed, field: Field, value: i64) -> Option<()> {
    use Field::*;
    let range = match field {
        ClockHour => 1..=24,
        HalfHour => 0..=11,
        HalfClockHour => 1..=12,
        _ => 0..=i64::MAX,
    };
    range.contains(&value).then_some(())?;
    match field {
        Month => parsed.month = Some(u32::try_from(value).ok()?),
        Day => parsed.day = Some(u32::try_from(value).ok()?),
        DayOfYear => parsed.day_of_year = Some(u32::try_from(value).ok()?),
        DayOfWeek | Quarter => {}
        Hour => parsed.hour = Some(value),
        ClockHour => parsed.hour = Some(value % 24),
        HalfHour | HalfClockHour => parsed.half_hour = Some(value),
        Minute => parsed.minute = Some(value),
        Second => parsed.second = Some(value),
        Nano => parsed.nano = Some(value),
        MilliOfDay => parsed.nano_of_day = value.checked_mul(1_000_000),
        NanoOfDay => parsed.nano_of_day = Some(value),
    }
    Some(())
}

/// The number of the longest name (or its first three letters) that the text starts with.
fn name(rest: &mut &str, names: &[&str], full: bool) -> Option<u32> {
    let starts = |name: &str| rest.get(..name.len()).is_some_and(|r| r.eq_ignore_ascii_case(name));
    let found = |len: fn(&str) -> usize| names.iter().position(|name| starts(&name[..len(name)]));
    let long = if full { found(str::len) } else { None };
    let (at, len) = match long {
        Some(at) => (at, names[at].len()),
        None => (found(|_| 3)?, 3),
    };
    *rest = &rest[len..];
    Some(at as u32 + 1)
}

fn offset(rest: &mut &str, zero: &str) -> Option<Zone> {
    if zero == "Z" && rest.starts_with(['Z', 'z']) {
        *rest = &rest[1..];
        return Some(Zone::UTC);
    }
    let sign = rest.starts_with(['+', '-']).then_some(1)?;
    let len = rest[1..].bytes().take_while(|b| b.is_ascii_digit() || *b == b':').count();
    let seconds = parse_offset(&rest[..sign + len])?;
    *rest = &rest[sign + len..];
    Some(Zone::Fixed(seconds))
}

fn zone(rest: &mut &str) -> Option<Zone> {
    let of_id = |c: char| c.is_ascii_alphanumeric() || "/_+-:".contains(c);
    let len = rest.find(|c: char| !of_id(c)).unwrap_or(rest.len());
    let zone = Zone::parse_name(&rest[..len])?;
    *rest = &rest[len..];
    Some(zone)
}
