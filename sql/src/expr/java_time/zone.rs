//! Time zones: fixed offsets and the regions of the tz database.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    Region(Tz),
}

/// The abbreviations of regions: standard time, summer time, both.
const ABBREVIATIONS: [(&[&str], Tz); 24] = [
    (&["PST", "PDT", "PT"], Tz::America__Los_Angeles),
    (&["MST", "MDT", "MT"], Tz::America__Denver),
    (&["CST", "CDT", "CT"], Tz::America__Chicago),
    (&["EST", "EDT", "ET"], Tz::America__New_York),
    (&["AKST", "AKDT"], Tz::America__Anchorage),
    (&["HST"], Tz::Pacific__Honolulu),
    (&["AST", "ADT"], Tz::America__Halifax),
    (&["NST", "NDT"], Tz::America__St_Johns),
    (&["BRT", "BRST"], Tz::America__Sao_Paulo),
    (&["BST"], Tz::Europe__London),
    (&["WET", "WEST"], Tz::Europe__Lisbon),
    (&["CET", "CEST"], Tz::Europe__Paris),
    (&["EET", "EEST"], Tz::Europe__Athens),
    (&["MSK", "MSD"], Tz::Europe__Moscow),
    (&["SAST"], Tz::Africa__Johannesburg),
    (&["IST"], Tz::Asia__Kolkata),
    (&["SGT"], Tz::Asia__Singapore),
    (&["HKT"], Tz::Asia__Hong_Kong),
    (&["JST", "JDT"], Tz::Asia__Tokyo),
    (&["KST", "KDT"], Tz::Asia__Seoul),
    (&["AWST"], Tz::Australia__Perth),
    (&["ACST", "ACDT"], Tz::Australia__Adelaide),
    (&["AEST", "AEDT"], Tz::Australia__Sydney),
    (&["NZST", "NZDT"], Tz::Pacific__Auckland),
];

/// Java's largest offset, in seconds.
const OFFSET_MAX_SECONDS: i32 = 18 * 3600;

impl Zone {
    pub const UTC: Zone = Zone::Fixed(0);

    /// A zone by its Java id: `UTC`, `Z`, `+02:00`, `GMT+2`, `Europe/Paris`. `None`: no such zone.
    pub fn parse(id: &str) -> Option<Zone> {
        if ["Z", "z", "UTC", "GMT", "UT"].contains(&id) {
            return Some(Zone::UTC);
        }
        let bare = ["UTC", "GMT", "UT"].iter().find_map(|prefix| id.strip_prefix(prefix));
        let bare = bare.unwrap_or(id);
        if bare.starts_with(['+', '-']) {
            return parse_offset(bare).map(Zone::Fixed);
        }
        id.parse().ok().map(Zone::Region)
    }

    /// A zone by its name in a text: an id, or an abbreviation, in whatever part of the year it
    /// stands for the region that Java prefers.
    pub(crate) fn parse_name(name: &str) -> Option<Zone> {
        let upper = name.to_ascii_uppercase();
        let known = ABBREVIATIONS.iter().find(|(names, _)| names.contains(&upper.as_str()));
        match known {
            Some((_, region)) => Some(Zone::Region(*region)),
            None => Zone::parse(name),
        }
    }

    /// The id, as Java prints it.
    pub(crate) fn id(self) -> String {
        match self {
            Zone::Region(tz) => tz.name().to_string(),
            Zone::Fixed(0) => "Z".to_string(),
            Zone::Fixed(seconds) => offset_text(seconds, ":", true),
        }
    }

    /// Seconds east of UTC at a time (milliseconds since the epoch).
    pub(crate) fn offset_at(self, ms: i64) -> i32 {
        match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Region(tz) => DateTime::from_timestamp_millis(ms).map_or(0, |time| {
                tz.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()
            }),
        }
    }

    /// Milliseconds since the epoch of local milliseconds. Of two candidates the earlier, as Java;
    /// a local time that a gap skips moves on by the length of the gap.
    pub(crate) fn to_utc_ms(self, local_ms: i64) -> i64 {
        let offset = match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Region(tz) => DateTime::from_timestamp_millis(local_ms)
                .map_or(0, |local| local_offset(tz, local.naive_utc())),
        };
        local_ms.saturating_sub(i64::from(offset) * 1000)
    }

    /// The abbreviation at a time: `UTC`, `CEST`.
    pub(crate) fn short_name(self, ms: i64) -> String {
        match self {
            Zone::Fixed(0) => "UTC".to_string(),
            Zone::Fixed(_) => self.id(),
            Zone::Region(tz) => DateTime::from_timestamp_millis(ms)
                .map_or_else(|| self.id(), |time| time.with_timezone(&tz).format("%Z").to_string()),
        }
    }
}

fn local_offset(tz: Tz, local: NaiveDateTime) -> i32 {
    match tz.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
            offset.fix().local_minus_utc()
        }
        LocalResult::None => {
            let before = local - TimeDelta::days(1);
            tz.offset_from_utc_datetime(&before).fix().local_minus_utc()
        }
    }
}

/// `+2`, `+02`, `+0200` or `+02:00`, the two last with optional seconds; in seconds.
pub(super) fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = match rest.contains(':') {
        true if rest.split(':').all(|part| part.len() == 2) => rest.replace(':', ""),
        true => return None,
        false if rest.len() == 1 => format!("0{rest}"),
        false => rest.to_string(),
    };
    let fits = [2, 4, 6].contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(())?;
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |two| two.parse::<i32>().ok());
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    let total = (hours * 60 + minutes) * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= OFFSET_MAX_SECONDS).then_some(sign * total)
}

/// `+02:00` with the given separator; minutes may be left out when they are zero.
pub(super) fn offset_text(seconds: i32, separator: &str, minutes: bool) -> String {
    let (sign, size) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let (hour, minute, second) = (size / 3600, size / 60 % 60, size % 60);
    match (minutes || minute != 0, second) {
        (false, _) => format!("{sign}{hour:02}"),
        (true, 0) => format!("{sign}{hour:02}{separator}{minute:02}"),
        (true, _) => format!("{sign}{hour:02}{separator}{minute:02}{separator}{second:02}"),
    }
}
