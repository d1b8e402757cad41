//! Maps as arrays of `{"key":..,"value":..}`: Connect's way of maps whose keys may be null.

use millrace_engine::codec::builder::ColumnBuilder;

use super::scan::{Fail, Scan, Scanner};
use super::value::{Node, read_entries};

/// Reads the array whose bracket is here.
pub fn decode_list(
    value: &mut Node,
    scanner: &mut Scanner<'_>,
    keys: &mut ColumnBuilder,
    values: &mut ColumnBuilder,
) -> Scan<()> {
    let mut entries: Vec<(Vec<u8>, usize)> = Vec::new();
    scanner.enter()?;
    while scanner.next_item(b']', entries.is_empty())? {
        entries.push(find_entry(scanner)?);
    }
    // Values stand one level deeper than the array's end.
    let depth = scanner.depth() + 1;
    read_entries(entries, depth, value, scanner, keys, values)?;
    scanner.leave();
    Ok(())
}

/// The key of an entry and the place of its value; moves behind the entry.
fn find_entry(scanner: &mut Scanner<'_>) -> Scan<(Vec<u8>, usize)> {
    let bad = || Fail::type_error("an entry of a map needs a key and a value");
    if scanner.peek() != b'{' {
        return Err(bad());
    }
    scanner.enter()?;
    let (mut key, mut value, mut first) = (None, None, true);
    while scanner.next_item(b'}', first)? {
        first = false;
        let mut name = Vec::new();
        scanner.key()?.unescape(&mut name);
        match &name[..] {
            b"key" if scanner.peek() == b'"' => {
                let mut text = Vec::new();
                scanner.string()?.unescape(&mut text);
                key = Some(text);
                continue;
            }
            b"value" => value = Some(scanner.at),
            _ => {}
        }
        scanner.skip_value()?;
    }
    scanner.leave();
    key.zip(value).ok_or_else(bad)
}
