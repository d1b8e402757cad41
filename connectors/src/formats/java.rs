//! Numbers as Java prints them.

use super::number::Digits;

/// From this on, and below the other, `Double.toString` uses an exponent.
const PLAIN_MAX: f64 = 1e7;
const PLAIN_MIN: f64 = 1e-3;
/// Below this the shortest form may have one digit where Java insists on the best two.
const SUBNORMAL_SHORT_MAX: f64 = 1e-300;

/// Appends `value` as `Double.toString` does: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    if value.is_infinite() {
        return out.extend_from_slice(b"Infinity");
    }
    if value == 0.0 {
        return out.extend_from_slice(b"0.0");
    }
    if value < SUBNORMAL_SHORT_MAX {
        let two = format!("{value:.1e}");
        if two.parse() == Ok(value) {
            return out.extend_from_slice(two.replace('e', "E").as_bytes());
        }
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value).as_bytes();
    let Some(digits) = Digits::parse(shortest) else { return out.extend_from_slice(shortest) };
    write_digits(digits, (PLAIN_MIN..PLAIN_MAX).contains(&value), out);
}

/// Appends `value` as `Float.toString` does.
pub fn write_f32(value: f32, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return write_f64(f64::from(value), out);
    }
    // The shortest digits of a float are those of the double nearest to them.
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value).parse();
    write_f64(shortest.unwrap_or(f64::from(value)), out);
}

fn write_digits(digits: Digits<'_>, plain: bool, out: &mut Vec<u8>) {
    let mut buffer = [0u8; 32];
    let mut len = 0;
    for digit in digits.significant().take(buffer.len()) {
        buffer[len] = b'0' + digit;
        len += 1;
    }
    let mut scale = digits.scale();
    while len > 1 && buffer[len - 1] == b'0' {
        len -= 1;
        scale -= 1;
    }
    let digits = &buffer[..len];
    if plain { write_plain(digits, scale, 1, out) } else { write_scientific(digits, scale, out) }
}

/// `12.5`, with at least `decimals` digits after the point.
fn write_plain(digits: &[u8], scale: i64, decimals: i64, out: &mut Vec<u8>) {
    let whole = digits.len() as i64 - scale;
    if whole <= 0 {
        out.push(b'0');
    }
    for place in 0..whole.max(0) {
        out.push(digits.get(place as usize).copied().unwrap_or(b'0'));
    }
    let after = scale.max(decimals);
    if after > 0 {
        out.push(b'.');
    }
    for place in whole..whole + after {
        let digit = usize::try_from(place).ok().and_then(|place| digits.get(place));
        out.push(digit.copied().unwrap_or(b'0'));
    }
}

/// `1.25E10`, with at least one digit after the point.
fn write_scientific(digits: &[u8], scale: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&digits[..1]);
    out.push(b'.');
    out.extend_from_slice(if digits.len() > 1 { &digits[1..] } else { b"0" });
    out.push(b'E');
    write_i64(digits.len() as i64 - 1 - scale, out);
}

/// Appends a number of JSON text as `BigDecimal.toString` prints it: the digits are kept, an
/// exponent is written only where Java does.
pub fn write_big_decimal(text: &[u8], out: &mut Vec<u8>) {
    let Some(number) = Digits::parse(text) else { return out.extend_from_slice(text) };
    let scale = number.scale();
    let digits: Vec<u8> = number.significant().map(|digit| digit + b'0').collect();
    let adjusted = digits.len() as i64 - 1 - scale;
    let zero = digits == b"0";
    if number.negative && !zero {
        out.push(b'-');
    }
    if scale >= 0 && adjusted >= -6 {
        return write_plain(&digits, scale, 0, out);
    }
    out.extend_from_slice(&digits[..1]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if adjusted < 0 { b"E" } else { b"E+" });
    write_i64(adjusted, out);
}

/// Appends an unscaled decimal in plain notation.
pub fn write_decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let mut buffer = [b'0'; 40];
    let mut start = buffer.len();
    let mut rest = unscaled.unsigned_abs();
    while rest > 0 {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = if start == buffer.len() { b"0" } else { &buffer[start..] };
    write_plain(digits, i64::from(scale), 0, out);
}

/// All numbers of two digits, one after the other.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut i = 0;
    while i < 100 {
        pairs[2 * i] = b'0' + (i / 10) as u8;
        pairs[2 * i + 1] = b'0' + (i % 10) as u8;
        i += 1;
    }
    pairs
};

/// Appends a whole number.
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = [0u8; 20];
    let mut start = buffer.len();
    let mut rest = value.unsigned_abs();
    while rest >= 10 {
        let pair = 2 * (rest % 100) as usize;
        rest /= 100;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if rest > 0 || start == buffer.len() {
        start -= 1;
        buffer[start] = b'0' + rest as u8;
    }
    out.extend_from_slice(&buffer[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn doubles_print_as_in_java() {
        let cases: [(f64, &str); 20] = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (123456.789, "123456.789"),
            (9999999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1e10, "1.0E10"),
            (1.25e-5, "1.25E-5"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (1e21, "1.0E21"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (1e-323, "9.9E-324"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (0.1 + 0.2, "0.30000000000000004"),
        ];
        for (value, want) in cases {
            assert_eq!(text(|out| write_f64(value, out)), want);
        }
    }

    #[test]
    fn big_decimals_print_as_in_java() {
        let cases = [
            ("1.50", "1.50"),
            ("-0.0", "0.0"),
            ("1e10", "1E+10"),
            ("12.5e10", "1.25E+11"),
            ("1e-3", "0.001"),
            ("0.0000001", "1E-7"),
            ("0.000001", "0.000001"),
            ("1.0e2", "1.0E+2"),
            ("1.00e2", "100"),
            ("0e5", "0E+5"),
            ("0.000", "0.000"),
            ("1e999999", "1E+999999"),
        ];
        for (number, want) in cases {
            assert_eq!(text(|out| write_big_decimal(number.as_bytes(), out)), want, "{number}");
        }
    }

    #[test]
    fn decimals_keep_their_scale() {
        let widest = 10i128.pow(38) - 1;
        let cases = [
            (12345, 2, "123.45"),
            (-5, 2, "-0.05"),
            (0, 2, "0.00"),
            (7, 0, "7"),
            (-widest, 38, &*format!("-0.{}", "9".repeat(38))),
        ];
        for (unscaled, scale, want) in cases {
            assert_eq!(text(|out| write_decimal(unscaled, scale, out)), want);
        }
    }

    #[test]
    fn whole_numbers_of_every_length() {
        for value in [0, 7, 10, 99, 100, -1, -10, 12345, i64::MAX, i64::MIN, 1_000_000] {
            assert_eq!(text(|out| write_i64(value, out)), value.to_string());
        }
    }
}
