//! The time units that functions such as TIMESTAMPADD take.

use datafusion::scalar::ScalarValue;

use crate::expr::Typed;

/// The time units, as singular and plural, in milliseconds.
pub(super) const UNITS: [(&str, i64); 10] = [
    ("MILLISECOND", 1),
    ("MILLISECONDS", 1),
    ("SECOND", 1_000),
    ("SECONDS", 1_000),
    ("MINUTE", 60_000),
    ("MINUTES", 60_000),
    ("HOUR", 3_600_000),
    ("HOURS", 3_600_000),
    ("DAY", 86_400_000),
    ("DAYS", 86_400_000),
];

pub(super) fn is_unit(arg: &Typed) -> bool {
    match arg.as_literal() {
        Some(ScalarValue::Utf8(Some(text))) => UNITS.iter().any(|(name, _)| name == text),
        _ => false,
    }
}
