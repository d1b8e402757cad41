//! STRING columns take any value: scalars as their text, objects as compact JSON, arrays as
//! `[a, b]` with their items as strings again.

use std::collections::HashMap;

use super::scan::{RawNumber, RawString, Scan, Scanner};
use crate::formats::java;

/// Appends the text of the value here, which is not null.
pub fn write_text(scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Scan<()> {
    match scanner.peek() {
        b'"' => write_unescaped(scanner.string()?, out),
        b'{' => write_json(scanner, out)?,
        b'[' => write_list(scanner, out)?,
        b't' => write_word(scanner, "true", out)?,
        b'f' => write_word(scanner, "false", out)?,
        b'n' => write_word(scanner, "null", out)?,
        _ => write_number(scanner.number()?, out),
    }
    Ok(())
}

fn write_unescaped(text: RawString<'_>, out: &mut Vec<u8>) {
    if text.escaped { text.unescape(out) } else { out.extend_from_slice(text.body) }
}

fn write_word(scanner: &mut Scanner<'_>, word: &'static str, out: &mut Vec<u8>) -> Scan<()> {
    scanner.literal(word)?;
    out.extend_from_slice(word.as_bytes());
    Ok(())
}

fn write_number(number: RawNumber<'_>, out: &mut Vec<u8>) {
    match number {
        RawNumber { text: b"-0", .. } => out.push(b'0'),
        RawNumber { text, whole: true } => out.extend_from_slice(text),
        RawNumber { text, whole: false } => java::write_big_decimal(text, out),
    }
}

fn write_list(scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Scan<()> {
    scanner.enter()?;
    out.push(b'[');
    let mut first = true;
    while scanner.next_item(b']', first)? {
        if !first {
            out.extend_from_slice(b", ");
        }
        first = false;
        write_text(scanner, out)?;
    }
    scanner.leave();
    out.push(b']');
    Ok(())
}

/// Appends the value as compact JSON. Of equal names the last value stays, at the first's place.
fn write_json(scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Scan<()> {
    match scanner.peek() {
        b'"' => {
            let mut text = Vec::new();
            write_unescaped(scanner.string()?, &mut text);
            super::encode::write_string(&text, out);
        }
        b'{' => {
            let members = read_members(scanner)?;
            for (i, (name, value)) in members.iter().enumerate() {
                out.push(if i == 0 { b'{' } else { b',' });
                super::encode::write_string(name, out);
                out.push(b':');
                out.extend_from_slice(value);
            }
            out.extend_from_slice(if members.is_empty() { b"{}" } else { b"}" });
        }
        b'[' => {
            scanner.enter()?;
            out.push(b'[');
            let mut first = true;
            while scanner.next_item(b']', first)? {
                if !first {
                    out.push(b',');
                }
                first = false;
                write_json(scanner, out)?;
            }
            scanner.leave();
            out.push(b']');
        }
        _ => write_text(scanner, out)?,
    }
    Ok(())
}

type Members = Vec<(Vec<u8>, Vec<u8>)>;

fn read_members(scanner: &mut Scanner<'_>) -> Scan<Members> {
    let mut members: Members = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    scanner.enter()?;
    let mut first = true;
    while scanner.next_item(b'}', first)? {
        first = false;
        let mut name = Vec::new();
        write_unescaped(scanner.key()?, &mut name);
        let mut value = Vec::new();
        write_json(scanner, &mut value)?;
        match places.get(&name) {
            Some(place) => members[*place].1 = value,
            None => {
                places.insert(name.clone(), members.len());
                members.push((name, value));
            }
        }
    }
    scanner.leave();
    Ok(members)
}
