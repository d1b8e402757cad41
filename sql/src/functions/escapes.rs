//! Escapes of Java's string literals.

use crate::expr::frame::Fault;

/// The text that a Java literal with this content has.
///
/// # Errors
/// When a `\u` is not followed by four hexadecimal digits.
pub(super) fn unescape(text: &str) -> Result<String, Fault> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, after)) = rest.find('\\').map(|at| (at, &rest[at + 1..])) {
        units.extend(rest[..at].encode_utf16());
        let Some(escape) = after.chars().next() else {
            rest = "";
            break;
        };
        rest = &after[escape.len_utf8()..];
        match escape {
            'u' => {
                let digits = rest.trim_start_matches('u');
                let digits = digits.strip_prefix('+').unwrap_or(digits);
                let unit = digits.get(..4).and_then(|four| u16::from_str_radix(four, 16).ok());
                units.push(unit.ok_or_else(|| {
                    Fault::Owned(format!("Unable to parse unicode value: {digits}"))
                })?);
                rest = &digits[4..];
            }
            'b' => units.push(8),
            't' => units.push(9),
            'n' => units.push(10),
            'f' => units.push(12),
            'r' => units.push(13),
            '0'..='7' => {
                let most = if escape <= '3' { 3 } else { 2 };
                let octal: String = std::iter::once(escape)
                    .chain(rest.chars().take_while(|c| ('0'..='7').contains(c)))
                    .take(most)
                    .collect();
                rest = &rest[octal.len() - 1..];
                units.push(u16::from_str_radix(&octal, 8).unwrap_or_default());
            }
            other => units.extend(other.encode_utf16(&mut [0; 2]).iter()),
        }
    }
    units.extend(rest.encode_utf16());
    Ok(String::from_utf16_lossy(&units))
}
