//! Fields that nobody wants.

use crate::formats::wire::{Input, Wire, bad};

/// Messages and groups within each other, as in Java's library.
pub const DEPTH_MAX: usize = 100;

/// Passes over a field that nobody wants.
pub fn skip(input: &mut Input<'_>, wire: u64, number: u64, depth: usize) -> Wire<()> {
    if number == 0 {
        return bad("a field with the number 0");
    }
    match wire {
        0 => drop(input.varint()?),
        1 => drop(input.array::<8>()?),
        2 => drop(input.varint_bytes()?),
        3 => skip_group(input, number, depth + 1)?,
        5 => drop(input.array::<4>()?),
        _ => return bad(format!("the wire type {wire} of the field {number}")),
    }
    Ok(())
}

fn skip_group(input: &mut Input<'_>, number: u64, depth: usize) -> Wire<()> {
    if depth > DEPTH_MAX {
        return bad(format!("groups are nested more than {DEPTH_MAX} deep"));
    }
    loop {
        let tag = input.varint()?;
        match (tag & 7, tag >> 3) {
            (4, end) if end == number => return Ok(()),
            (wire, inner) => skip(input, wire, inner, depth)?,
        }
    }
}
