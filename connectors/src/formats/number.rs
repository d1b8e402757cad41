//! Numbers from text: exact, without allocation, as Java reads them.

/// Why a text is not the wanted number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberError {
    /// Not a number at all.
    Malformed,
    /// A number outside of the type.
    OutOfRange,
    /// A decimal with more digits after the point than the type keeps.
    NeedsRounding,
}

/// A whole number in Java's `Long.parseLong` notation: sign and digits, nothing else.
pub fn parse_i64(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Malformed);
    }
    let mut value = 0i64;
    for digit in digits {
        let digit = i64::from(digit - b'0');
        let next = value.checked_mul(10);
        let next = if negative {
            next.and_then(|v| v.checked_sub(digit))
        } else {
            next.and_then(|v| v.checked_add(digit))
        };
        value = next.ok_or(NumberError::OutOfRange)?;
    }
    Ok(value)
}

/// Like [`parse_i64`] with 32 bits.
pub fn parse_i32(text: &[u8]) -> Result<i32, NumberError> {
    i32::try_from(parse_i64(text)?).map_err(|_| NumberError::OutOfRange)
}

/// A double in Java's `Double.parseDouble` notation, but for hexadecimal.
pub fn parse_f64(text: &[u8]) -> Result<f64, NumberError> {
    let text = text.trim_ascii();
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    match unsigned {
        b"NaN" => return Ok(f64::NAN),
        b"Infinity" if text.starts_with(b"-") => return Ok(f64::NEG_INFINITY),
        b"Infinity" => return Ok(f64::INFINITY),
        [b'0'..=b'9' | b'.', ..] => {}
        _ => return Err(NumberError::Malformed),
    }
    let text = match text {
        [number @ .., b'd' | b'D' | b'f' | b'F'] => number,
        number => number,
    };
    let text = std::str::from_utf8(text).map_err(|_| NumberError::Malformed)?;
    let value: f64 = text.parse().map_err(|_| NumberError::Malformed)?;
    if value.is_infinite() { Err(NumberError::OutOfRange) } else { Ok(value) }
}

/// The digits of a decimal number: `0.digits * 10^point`, leading zeros dropped.
#[derive(Debug, Clone, Copy)]
pub struct Digits<'a> {
    pub negative: bool,
    /// Digits before and after the decimal point of the text.
    before: &'a [u8],
    after: &'a [u8],
    /// Power of ten by which the point moves to the right.
    exponent: i64,
}

impl<'a> Digits<'a> {
    /// Splits `text` in Java's `BigDecimal` notation: sign, digits, point, exponent.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (number, exponent) = match rest.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => (&rest[..at], parse_exponent(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let (before, after) = match memchr::memchr(b'.', number) {
            Some(at) => (&number[..at], &number[at + 1..]),
            None => (number, &number[number.len()..]),
        };
        let digits = before.iter().chain(after);
        if before.len() + after.len() == 0 || !digits.clone().all(u8::is_ascii_digit) {
            return None;
        }
        Some(Digits { negative, before, after, exponent })
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        self.before.iter().chain(self.after).map(|digit| digit - b'0')
    }

    /// Digits without leading zeros; at least one.
    pub fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        let zeros = self.all().take_while(|digit| *digit == 0).count();
        let total = self.before.len() + self.after.len();
        self.all().skip(zeros.min(total - 1))
    }

    /// Java's scale: digits after the point once the exponent is applied; may be negative.
    pub fn scale(&self) -> i64 {
        self.after.len() as i64 - self.exponent
    }

    /// The value times `10^scale`, cut off towards zero; the flag tells whether nothing was lost.
    pub fn unscaled(&self, scale: u8) -> Option<(i128, bool)> {
        if self.all().all(|digit| digit == 0) {
            return Some((0, true));
        }
        let keep = self.before.len() as i64 + self.exponent + i64::from(scale);
        let mut value = 0i128;
        let mut exact = true;
        let mut place = 0i64;
        for digit in self.all() {
            if place < keep {
                value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
            } else {
                exact &= digit == 0;
            }
            place += 1;
        }
        while place < keep {
            value = value.checked_mul(10)?;
            place += 1;
        }
        Some((if self.negative { -value } else { value }, exact))
    }

    /// The whole part, towards zero.
    pub fn to_i64(self) -> Result<i64, NumberError> {
        let whole = self.unscaled(0).and_then(|(value, _)| i64::try_from(value).ok());
        whole.ok_or(NumberError::OutOfRange)
    }

    /// The unscaled value of a DECIMAL(precision, scale) that holds this number exactly.
    pub fn to_decimal(self, precision: u8, scale: u8) -> Result<i128, NumberError> {
        let (value, exact) = self.unscaled(scale).ok_or(NumberError::OutOfRange)?;
        if value.unsigned_abs() >= 10u128.pow(u32::from(precision)) {
            return Err(NumberError::OutOfRange);
        }
        if exact { Ok(value) } else { Err(NumberError::NeedsRounding) }
    }
}

/// Exponents beyond this are all the same: no type holds them.
const EXPONENT_MAX: i64 = 1 << 40;

fn parse_exponent(text: &[u8]) -> Option<i64> {
    match parse_i64(text) {
        Ok(value) => Some(value.clamp(-EXPONENT_MAX, EXPONENT_MAX)),
        Err(NumberError::OutOfRange) if text.starts_with(b"-") => Some(-EXPONENT_MAX),
        Err(NumberError::OutOfRange) => Some(EXPONENT_MAX),
        Err(_) => None,
    }
}

/// A decimal from text in Java's `BigDecimal` notation.
pub fn parse_decimal(text: &[u8], precision: u8, scale: u8) -> Result<i128, NumberError> {
    Digits::parse(text).ok_or(NumberError::Malformed)?.to_decimal(precision, scale)
}

#[cfg(test)]
mod tests {
    use super::NumberError::*;
    use super::*;

    #[test]
    fn whole_numbers_as_java_parses_them() {
        let cases: [(&str, Result<i64, NumberError>); 10] = [
            ("0", Ok(0)),
            ("-12", Ok(-12)),
            ("+7", Ok(7)),
            ("007", Ok(7)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(OutOfRange)),
            ("", Err(Malformed)),
            ("-", Err(Malformed)),
            ("1.0", Err(Malformed)),
        ];
        for (text, want) in cases {
            assert_eq!(parse_i64(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn doubles_as_java_parses_them() {
        let cases: [(&str, Result<f64, NumberError>); 9] = [
            ("1.5", Ok(1.5)),
            (" -2e3 ", Ok(-2000.0)),
            ("1.", Ok(1.0)),
            (".5f", Ok(0.5)),
            ("-Infinity", Ok(f64::NEG_INFINITY)),
            ("inf", Err(Malformed)),
            ("nan", Err(Malformed)),
            ("1e999999", Err(OutOfRange)),
            ("", Err(Malformed)),
        ];
        for (text, want) in cases {
            assert_eq!(parse_f64(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn decimals_fit_exactly_or_not_at_all() {
        let cases: [(&str, u8, u8, Result<i128, NumberError>); 14] = [
            ("1.23", 5, 2, Ok(123)),
            ("-1.2", 5, 2, Ok(-120)),
            ("1.230", 5, 2, Ok(123)),
            ("1.234", 5, 2, Err(NeedsRounding)),
            ("1000", 5, 2, Err(OutOfRange)),
            ("1e2", 5, 2, Ok(10000)),
            ("1e3", 5, 2, Err(OutOfRange)),
            ("12300e-2", 5, 2, Ok(12300)),
            ("0e999999999999999999999", 5, 2, Ok(0)),
            ("1e999999999999999999999", 5, 2, Err(OutOfRange)),
            ("1e-999999999999999999999", 5, 2, Err(NeedsRounding)),
            ("00000000000000000000000000000000000000000001.5", 2, 1, Ok(15)),
            (".5", 2, 1, Ok(5)),
            (".", 2, 1, Err(Malformed)),
        ];
        for (text, precision, scale, want) in cases {
            assert_eq!(parse_decimal(text.as_bytes(), precision, scale), want, "{text}");
        }
        let widest = "9".repeat(38);
        assert_eq!(parse_decimal(widest.as_bytes(), 38, 0), Ok(10i128.pow(38) - 1));
    }
}
