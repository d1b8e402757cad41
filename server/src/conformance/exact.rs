//! Numbers as they are written: `1.50` is not `1.5`.

use std::fmt;

/// A decimal as Java's `BigDecimal` keeps it: unscaled digits and a scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact {
    negative: bool,
    /// Without leading zeros; `0` for zero, which has no sign.
    digits: String,
    scale: i64,
}

impl Exact {
    /// `None`: the text is no decimal number.
    pub fn parse(text: &str) -> Option<Exact> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let digits = match digits.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        };
        Some(Exact { negative: negative && digits != "0", digits, scale })
    }

    /// True if a whole number written without a point is this one: no digits behind the point, and
    /// the same value.
    pub fn is_whole(&self, whole: &Exact) -> bool {
        self.scale <= 0 && self.plain() == whole.plain()
    }

    /// Digits without an exponent.
    fn plain(&self) -> String {
        let zeros = usize::try_from(-self.scale).unwrap_or(0).min(400);
        let sign = if self.negative { "-" } else { "" };
        let zeros = if self.digits == "0" { 0 } else { zeros };
        format!("{sign}{}{}", self.digits, "0".repeat(zeros))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        match usize::try_from(self.scale) {
            Ok(0) => write!(f, "{sign}{}", self.digits),
            Ok(scale) if scale <= 60 => {
                let padded = format!("{:0>width$}", self.digits, width = scale + 1);
                let (whole, fraction) = padded.split_at(padded.len() - scale);
                write!(f, "{sign}{whole}.{fraction}")
            }
            _ => write!(f, "{sign}{}E{}", self.digits, -self.scale),
        }
    }
}

/// True if a number is written without point and exponent.
pub fn is_whole_literal(text: &str) -> bool {
    !text.contains(['.', 'e', 'E'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_scale_count() {
        let same = [("1.50", "1.50"), ("-0.0", "0.0"), ("1E2", "1e+2"), ("007", "7"), ("+1", "1")];
        for (a, b) in same {
            assert_eq!(Exact::parse(a), Exact::parse(b), "{a} {b}");
        }
        for (a, b) in [("1.5", "1.50"), ("1E2", "100"), ("1", "-1"), ("1.0E10", "10000000000.0")] {
            assert_ne!(Exact::parse(a), Exact::parse(b), "{a} {b}");
        }
        for bad in ["", ".", "1e", "x", "1.2.3", "--1"] {
            assert_eq!(Exact::parse(bad), None, "{bad}");
        }
        let whole = |a: &str, b: &str| {
            Exact::parse(a).zip(Exact::parse(b)).is_some_and(|(a, b)| a.is_whole(&b))
        };
        assert!(whole("1E2", "100") && whole("100", "100") && whole("0", "0"));
        assert!(!whole("100.0", "100") && !whole("10", "100"));
    }

    #[test]
    fn shown_as_written() {
        for text in ["1.50", "-0.05", "123", "0.0"] {
            assert_eq!(Exact::parse(text).map(|e| e.to_string()).as_deref(), Some(text));
        }
    }
}
