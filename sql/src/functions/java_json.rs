//! JSON text as ksqlDB's functions write it: numbers with a point or exponent are exact decimals.

use serde_json::Value;

use crate::expr::double_text;

/// How an exact decimal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Without an exponent.
    Plain,
    /// As Java's `BigDecimal.toString`: an exponent where digits would be missing or many zeros.
    Shortest,
    /// Exact decimals have no exponent here, so what has one is a double, as Java writes it.
    Double,
}

/// Longest number that is written without an exponent.
const PLAIN_DIGITS_MAX: usize = 400;

/// The text of `value`.
pub(super) fn java_text(value: &Value, numbers: Numbers) -> String {
    let mut out = String::new();
    write(value, numbers, &mut out);
    out
}

fn write(value: &Value, numbers: Numbers, out: &mut String) {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            out.push_str(&number_text(&text, numbers).unwrap_or(text));
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(item, numbers, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (at, (name, member)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(member, numbers, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// `None`: as it is.
fn number_text(text: &str, numbers: Numbers) -> Option<String> {
    if !text.contains(['.', 'e', 'E']) {
        return None;
    }
    if numbers == Numbers::Double {
        let double = text.contains(['e', 'E']).then(|| text.parse().ok()).flatten();
        return double.map(double_text);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let (digits, sign) = if digits.is_empty() { ("0", "") } else { (digits, sign) };
    let scale = fraction.len() as i64 - exponent;
    let point = digits.len() as i64 - scale;
    if numbers == Numbers::Shortest && (scale < 0 || point - 1 < -6) {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        return Some(format!("{sign}{first}{dot}{rest}E{:+}", point - 1));
    }
    if scale.unsigned_abs() as usize > PLAIN_DIGITS_MAX {
        return None;
    }
    Some(match scale {
        ..=0 => format!("{sign}{digits}{}", "0".repeat((-scale) as usize)),
        _ if point <= 0 => format!("{sign}0.{}{digits}", "0".repeat((-point) as usize)),
        _ => format!("{sign}{}.{}", &digits[..point as usize], &digits[point as usize..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_java() {
        for (text, shortest, plain) in [
            ("1", "1", "1"),
            ("1.50", "1.50", "1.50"),
            ("1e5", "1E+5", "100000"),
            ("-1.25E3", "-1.25E+3", "-1250"),
            ("12.5e1", "125", "125"),
            ("0.000001", "0.000001", "0.000001"),
            ("1e-7", "1E-7", "0.0000001"),
            ("12e-9", "1.2E-8", "0.000000012"),
            ("0.0", "0.0", "0.0"),
            ("[1e2,{\"a\":-0.5}]", "[1E+2,{\"a\":-0.5}]", "[100,{\"a\":-0.5}]"),
        ] {
            let value: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(java_text(&value, Numbers::Shortest), shortest);
            assert_eq!(java_text(&value, Numbers::Plain), plain);
        }
    }
}
