//! Formats a moment by a pattern.

use std::fmt::Write;

use super::civil::{date_of, day_of_week, day_of_year};
use super::pattern::{Field, Item, TimePattern};
use super::zone::offset_text;
use super::{DAY_MS, Moment};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

impl TimePattern {
    /// Appends the text of `moment`.
    ///
    /// # Errors
    /// When the pattern asks for something that the moment does not have, such as the year of a
    /// time of day.
    pub fn format(&self, moment: &Moment, out: &mut String) -> Result<(), String> {
        let mut skipped = 0usize;
        let mut starts: Vec<usize> = Vec::new();
        for item in &self.items {
            match item {
                Item::OptionalStart => {
                    starts.push(out.len());
                    skipped += usize::from(skipped > 0);
                    continue;
                }
                Item::OptionalEnd => {
                    starts.pop();
                    skipped = skipped.saturating_sub(1);
                    continue;
                }
                _ if skipped > 0 => continue,
                _ => {}
            }
            if let Err(message) = write_item(item, moment, out) {
                // An optional section that cannot be printed is left out.
                out.truncate(*starts.last().ok_or(message)?);
                skipped = 1;
            }
        }
        Ok(())
    }
}

fn write_item(item: &Item, moment: &Moment, out: &mut String) -> Result<(), String> {
    let days = || moment.days.ok_or("Unsupported field: a date");
    let nanos = || moment.nanos.ok_or("Unsupported field: a time of day");
    let zone = || moment.zone.ok_or("Unsupported field: a zone");
    let _ = match item {
        Item::Literal(text) => out.write_str(text),
        Item::Number { field, width } => {
            let value = field_value(*field, moment)?;
            write!(out, "{value:0width$}", width = *width)
        }
        Item::Year { width, of_era } => {
            let (year, ..) = date_of(days()?);
            // The year before 1 is the first of the era before.
            let year = if *of_era && year < 1 { 1 - year } else { year };
            let wide = *width >= 4 && year >= 10i64.saturating_pow(*width as u32);
            let sign = if year < 0 {
                "-"
            } else if wide {
                "+"
            } else {
                ""
            };
            write!(out, "{sign}{:0width$}", year.abs(), width = *width)
        }
        Item::ShortYear => write!(out, "{:02}", date_of(days()?).0.rem_euclid(100)),
        Item::Fraction { width } => {
            let digits = format!("{:09}", nanos()? % 1_000_000_000);
            out.write_str(&digits[..*width])
        }
        Item::Month { full } => {
            let (_, month, _) = date_of(days()?);
            out.write_str(name_of(&MONTHS, month, *full))
        }
        Item::Weekday { full } => out.write_str(name_of(&WEEKDAYS, day_of_week(days()?), *full)),
        Item::AmPm => {
            let half = field_value(Field::Hour, moment)? / 12;
            out.write_str(if half == 0 { "AM" } else { "PM" })
        }
        Item::Era => out.write_str(if date_of(days()?).0 > 0 { "AD" } else { "BC" }),
        Item::Quarter { full } => {
            let quarter = field_value(Field::Quarter, moment)?;
            let suffix = ["st", "nd", "rd", "th"][(quarter as usize - 1) % 4];
            match full {
                true => write!(out, "{quarter}{suffix} quarter"),
                false => write!(out, "Q{quarter}"),
            }
        }
        Item::Offset { separator, minutes, zero } => match zone()?.1 {
            0 => out.write_str(zero),
            seconds => out.write_str(&offset_text(seconds, separator, *minutes)),
        },
        Item::LocalOffset { full } => match zone()?.1 {
            0 => out.write_str("GMT"),
            seconds => write!(out, "GMT{}", offset_text(seconds, ":", *full)),
        },
        Item::ZoneId => out.write_str(&zone()?.0.id()),
        Item::ZoneName => {
            let (zone, offset) = zone()?;
            let ms = days()? * DAY_MS + nanos()? / 1_000_000 - i64::from(offset) * 1000;
            out.write_str(&zone.short_name(ms))
        }
        Item::OptionalStart | Item::OptionalEnd => Ok(()),
    };
    Ok(())
}

fn name_of<'a>(names: &[&'a str], number: u32, full: bool) -> &'a str {
    let name = names[(number as usize - 1) % names.len()];
    if full { name } else { &name[..3] }
}

fn field_value(field: Field, moment: &Moment) -> Result<i64, String> {
    use Field::*;
    let date_field = matches!(field, Month | Day | DayOfYear | DayOfWeek | Quarter);
    if date_field {
        let days = moment.days.ok_or("Unsupported field: a date")?;
        let (_, month, day) = date_of(days);
        return Ok(i64::from(match field {
            Month => month,
            Day => day,
            DayOfYear => day_of_year(days),
            DayOfWeek => day_of_week(days),
            _ => (month - 1) / 3 + 1,
        }));
    }
    let nanos = moment.nanos.ok_or("Unsupported field: a time of day")?;
    let seconds = nanos / 1_000_000_000;
    let hour = seconds / 3600;
    Ok(match field {
        Hour => hour,
        ClockHour => (hour + 23) % 24 + 1,
        HalfHour => hour % 12,
        HalfClockHour => (hour + 11) % 12 + 1,
        Minute => seconds / 60 % 60,
        Second => seconds % 60,
        Nano => nanos % 1_000_000_000,
        MilliOfDay => nanos / 1_000_000,
        _ => nanos,
    })
}
