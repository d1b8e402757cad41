//! Classes of characters, and the escapes that may stand in them.

use super::translate::{Translator, invalid, unsupported};
use crate::expr::frame::Fault;

// No plain space: it would count for nothing after (?x).
const HORIZONTAL: &str = r"\x20\t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";
const WHITE: &str =
    r"\t-\r\x1C-\x20\x{1680}\x{2000}-\x{2006}\x{2008}-\x{200A}\x{2028}\x{2029}\x{205F}\x{3000}";

/// After `[`, to its `]`.
pub(super) fn class(t: &mut Translator) -> Result<(), Fault> {
    t.out.push('[');
    let mut depth = 1;
    if t.accept("^") {
        t.out.push('^');
    }
    let mut first = true;
    while let Some(c) = t.next() {
        match c {
            '\\' => escape(t)?,
            '[' => {
                depth += 1;
                t.out.push('[');
                if t.accept("^") {
                    t.out.push('^');
                }
                first = true;
                continue;
            }
            ']' if first => t.out.push_str(r"\]"),
            ']' => {
                depth -= 1;
                t.out.push(']');
                if depth == 0 {
                    return Ok(());
                }
            }
            // Rust has classes by name and more operators.
            ':' | '~' => t.out.extend(['\\', c]),
            '-' if first => t.out.push_str(r"\-"),
            '-' if t.accept("-") => t.out.push_str(r"-\-"),
            c => t.out.push(c),
        }
        first = false;
    }
    Err(invalid("a class of characters has no ]"))
}

/// After a backslash, in a class or outside.
pub(super) fn escape(t: &mut Translator) -> Result<(), Fault> {
    let Some(c) = t.next() else { return Err(invalid("it ends with a lone backslash")) };
    match c {
        'Q' => quoted(t),
        'd' => t.out.push_str("[0-9]"),
        'D' => t.out.push_str("[^0-9]"),
        'w' => t.out.push_str("[a-zA-Z_0-9]"),
        'W' => t.out.push_str("[^a-zA-Z_0-9]"),
        's' => t.out.push_str(r"[\x20\t\n\x0B\f\r]"),
        'S' => t.out.push_str(r"[^\x20\t\n\x0B\f\r]"),
        'h' => t.out.push_str(&format!("[{HORIZONTAL}]")),
        'H' => t.out.push_str(&format!("[^{HORIZONTAL}]")),
        'v' => t.out.push_str(&format!("[{VERTICAL}]")),
        'V' => t.out.push_str(&format!("[^{VERTICAL}]")),
        'p' => property(t, false)?,
        'P' => property(t, true)?,
        't' | 'n' | 'r' | 'f' | 'a' | 'x' | 'u' => t.out.extend(['\\', c]),
        'e' => t.out.push_str(r"\x1B"),
        'c' => {
            let Some(c) = t.next().filter(char::is_ascii) else {
                return Err(invalid(r"\c needs a letter"));
            };
            t.out.push_str(&format!(r"\x{{{:X}}}", u32::from(c) ^ 64));
        }
        '0' => octal(t)?,
        c if c.is_ascii_alphanumeric() => {
            return Err(invalid(&format!(r"\{c} means nothing here")));
        }
        c if c.is_ascii_punctuation() && c != '<' && c != '>' => t.out.extend(['\\', c]),
        // White space counts for nothing after (?x).
        c if c.is_whitespace() => t.out.push_str(&format!(r"\x{{{:X}}}", u32::from(c))),
        c => t.out.push(c),
    }
    Ok(())
}

/// After `\Q`, to `\E` or the end.
fn quoted(t: &mut Translator) {
    while !t.accept("\\E") {
        let Some(c) = t.next() else { return };
        match c {
            c if c.is_whitespace() => t.out.push_str(&format!(r"\x{{{:X}}}", u32::from(c))),
            c => t.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
}

/// `\0n`, `\0nn`, `\0mnn`.
fn octal(t: &mut Translator) -> Result<(), Fault> {
    let (mut value, mut digits) = (0, 0);
    while digits < 3
        && let Some(digit) = t.peek().and_then(|c| c.to_digit(8))
        && value * 8 + digit <= 0o377
    {
        value = value * 8 + digit;
        digits += 1;
        t.next();
    }
    if digits == 0 {
        return Err(invalid(r"\0 needs octal digits"));
    }
    t.out.push_str(&format!(r"\x{{{value:X}}}"));
    Ok(())
}

/// After `\p` or `\P`.
fn property(t: &mut Translator, negated: bool) -> Result<(), Fault> {
    let name: String = match t.next() {
        Some('{') => {
            let mut name = String::new();
            loop {
                match t.next() {
                    Some('}') => break name,
                    Some(c) => name.push(c),
                    None => return Err(invalid(r"\p{ has no }")),
                }
            }
        }
        Some(c) => c.to_string(),
        None => return Err(invalid(r"\p needs a name")),
    };
    let not = if negated { "^" } else { "" };
    let p = if negated { 'P' } else { 'p' };
    let set = |set: &str| format!("[{not}{set}]");
    let found = match name.as_str() {
        "Lower" | "Upper" | "ASCII" | "Alpha" | "Digit" | "Alnum" | "Punct" | "Graph" | "Print"
        | "Blank" | "Cntrl" | "XDigit" | "Space" => {
            format!("[[:{not}{}:]]", name.to_ascii_lowercase())
        }
        "javaLowerCase" => set(r"\p{Lowercase}"),
        "javaUpperCase" => set(r"\p{Uppercase}"),
        "javaAlphabetic" => set(r"\p{Alphabetic}"),
        "javaLetter" => set(r"\p{L}"),
        "javaDigit" => set(r"\p{Nd}"),
        "javaLetterOrDigit" => set(r"\p{L}\p{Nd}"),
        "javaTitleCase" => set(r"\p{Lt}"),
        "javaWhitespace" => set(WHITE),
        "javaSpaceChar" => set(r"\p{Z}"),
        "javaISOControl" => set(r"\x00-\x1F\x7F-\x{9F}"),
        "L1" => set(r"\x00-\x{FF}"),
        "all" => set(r"\x00-\x{10FFFF}"),
        "IsAssigned" => set(r"\P{Cn}"),
        "IsDigit" => set(r"\p{Nd}"),
        "IsLetter" => set(r"\p{L}"),
        "IsPunctuation" => set(r"\p{P}"),
        "IsControl" => set(r"\p{Cc}"),
        "IsTitlecase" => set(r"\p{Lt}"),
        name if name.starts_with("java") => return Err(unsupported(&format!(r"\p{{{name}}}"))),
        name if ["In", "blk=", "block="].iter().any(|block| name.starts_with(block)) => {
            return Err(unsupported(&format!(r"a block of Unicode, \{p}{{{name}}},")));
        }
        name => format!(r"\{p}{{{}}}", name.strip_prefix("Is").unwrap_or(name)),
    };
    t.out.push_str(&found);
    Ok(())
}
