//! Java's date and time patterns, translated in one place.
//!
//! A [`TimePattern`] is a `DateTimeFormatter` pattern (or, leniently, one of `SimpleDateFormat`),
//! compiled once; it formats a [`Moment`] and parses text into [`Parsed`] fields. English names.

pub(crate) mod civil;
mod format;
pub(crate) mod iso;
mod parse;
mod pattern;
mod zone;

pub use parse::Parsed;
pub use pattern::TimePattern;
pub use zone::Zone;

pub(crate) const DAY_MS: i64 = 86_400_000;

/// What there is to format: a date, a time of day, or both, and the zone they are in.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Days since 1970-01-01, local.
    pub(crate) days: Option<i64>,
    /// Nanoseconds of the day, local.
    pub(crate) nanos: Option<i64>,
    /// Zone, and its offset from UTC at this moment in seconds.
    pub(crate) zone: Option<(Zone, i32)>,
}

impl Moment {
    /// Milliseconds since the epoch, seen from `zone`.
    pub fn at(ms: i64, zone: Zone) -> Self {
        let offset = zone.offset_at(ms);
        let local = ms.saturating_add(i64::from(offset) * 1000);
        Moment {
            days: Some(local.div_euclid(DAY_MS)),
            nanos: Some(local.rem_euclid(DAY_MS) * 1_000_000),
            zone: Some((zone, offset)),
        }
    }

    /// Days since the epoch, without a time of day.
    pub fn date(days: i32) -> Self {
        Moment { days: Some(i64::from(days)), nanos: None, zone: None }
    }

    /// Milliseconds of the day, without a date.
    pub fn time(ms: i32) -> Self {
        Moment { days: None, nanos: Some(i64::from(ms) * 1_000_000), zone: None }
    }
}

#[cfg(test)]
mod tests;
