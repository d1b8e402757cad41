//! Follows a plan over the bytes of one message.

use millrace_engine::codec::builder::{ColumnBuilder, Data};

use super::known::{Known, read_date, read_decimal, read_time, read_timestamp};
use super::plan::{Absent, FieldNode, Into, MessageNode, Node, Scalar};
use super::skip::{DEPTH_MAX, skip};
use crate::formats::json::DAY_MS;
use crate::formats::wire::{Input, Wire, bad};
use crate::formats::{java, maps};

/// Where a message stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Messages around it.
    depth: usize,
    /// Its bytes were put together from parts, so its own messages may be in parts, too: they are
    /// looked for before one is read, else parts within parts would be read again and again.
    joined: bool,
}

/// Reads a message as row `row` of `columns`; on error parts of the row may be left behind.
pub fn read(
    node: &MessageNode,
    bytes: &[u8],
    columns: &mut [ColumnBuilder],
    row: usize,
) -> Wire<()> {
    message(node, bytes, columns, row, Place::default())
}

fn message(
    node: &MessageNode,
    bytes: &[u8],
    columns: &mut [ColumnBuilder],
    row: usize,
    place: Place,
) -> Wire<()> {
    if let Some(why) = &node.fail {
        return bad(why.as_str());
    }
    if place.depth > DEPTH_MAX {
        return bad(format!("messages are nested more than {DEPTH_MAX} deep"));
    }
    let mut input = Input::new(bytes);
    // Fields whose parts were put together.
    let mut whole: Vec<usize> = Vec::new();
    while !input.is_empty() {
        let tag = input.varint()?;
        let (number, wire) = (tag >> 3, tag & 7);
        match node.find(number) {
            Some(at) if wire == 2 && whole.contains(&at) => drop(input.varint_bytes()?),
            Some(at) => {
                let field = &node.fields[at];
                let column = &mut columns[field.column];
                let joined = field_value(field, &mut input, wire, bytes, column, row, place);
                if joined.map_err(|e| e.below(&field.name))? {
                    whole.push(at);
                }
            }
            None => skip(&mut input, wire, number, place.depth)?,
        }
    }
    for field in &node.fields {
        finish(field, bytes, &mut columns[field.column], row, place)
            .map_err(|e| e.below(&field.name))?;
    }
    for column in &node.missing {
        columns[*column].push_null();
    }
    Ok(())
}

/// One occurrence of a field. True: of all occurrences, nothing is left to read.
fn field_value(
    field: &FieldNode,
    input: &mut Input<'_>,
    wire: u64,
    message: &[u8],
    column: &mut ColumnBuilder,
    row: usize,
    place: Place,
) -> Wire<bool> {
    match &field.node {
        Node::List(item) => {
            let Data::List(_, items) = &mut column.data else { return misfit() };
            return list_item(item, input, wire, field.number, items, place).map(|()| false);
        }
        Node::Map { .. } => {
            let Data::Map(_, keys, values) = &mut column.data else { return misfit() };
            if wire != 2 {
                return skip(input, wire, field.number.into(), place.depth).map(|()| false);
            }
            let bytes = input.varint_bytes()?;
            return entry(&field.node, bytes, keys, values, place).map(|()| false);
        }
        _ => {}
    }
    if !fits(&field.node, wire) {
        return skip(input, wire, field.number.into(), place.depth).map(|()| false);
    }
    let again = column.len() > row;
    if again {
        column.truncate(row);
    }
    if let Some(member) = field.member {
        return oneof_member(field, member, input, column, place).map(|()| false);
    }
    if let Node::Message(node) = &field.node
        && (again || place.joined)
    {
        // Parts of one message: together they are the message.
        input.varint_bytes()?;
        let whole = joined(message, field.number)?;
        return nested(node, &whole, column, Place { joined: true, ..place }).map(|()| true);
    }
    value(&field.node, input, column, place).map(|()| false)
}

/// The member of a oneof that is set; the others are NULL.
fn oneof_member(
    field: &FieldNode,
    member: usize,
    input: &mut Input<'_>,
    column: &mut ColumnBuilder,
    place: Place,
) -> Wire<()> {
    let Data::Struct(members) = &mut column.data else { return misfit() };
    for (at, builder) in members.iter_mut().enumerate() {
        if at == member {
            value(&field.node, input, builder, place)?;
        } else {
            builder.push_null();
        }
    }
    column.push_valid();
    Ok(())
}

/// Ends the row of a column that its fields did not end.
fn finish(
    field: &FieldNode,
    message: &[u8],
    column: &mut ColumnBuilder,
    row: usize,
    place: Place,
) -> Wire<()> {
    let ended = column.len() > row;
    match (&field.node, &mut column.data) {
        (Node::List(_), Data::List(ends, items)) => ends.push(items.len() as i32),
        (Node::Map { .. }, Data::Map(ends, keys, values)) => {
            let start = ends.last().map_or(0, |end| *end as usize);
            if let Some(kept) = maps::last_of_each(keys, start) {
                keys.truncate(start);
                values.truncate(start);
                reread(field, message, &kept, keys, values, place)?;
            }
            ends.push(keys.len() as i32);
        }
        _ if ended => return Ok(()),
        _ if field.absent == Absent::Null || field.member.is_some() => {
            column.push_null();
            return Ok(());
        }
        _ => return zero(&field.node, column),
    }
    column.push_valid();
    Ok(())
}

/// Reads the entries of a map once more, leaving out those with a later namesake.
fn reread(
    field: &FieldNode,
    message: &[u8],
    kept: &[bool],
    keys: &mut ColumnBuilder,
    values: &mut ColumnBuilder,
    place: Place,
) -> Wire<()> {
    let mut at = 0;
    each(message, field.number, |bytes| {
        let len = keys.len();
        entry(&field.node, bytes, keys, values, place)?;
        if !kept.get(at).copied().unwrap_or(false) {
            keys.truncate(len);
            values.truncate(len);
        }
        at += 1;
        Ok(())
    })
}

/// The bytes of all occurrences of a message field, one after the other.
fn joined(message: &[u8], number: u32) -> Wire<Vec<u8>> {
    let mut whole = Vec::new();
    each(message, number, |bytes| {
        whole.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(whole)
}

fn each<'a>(
    message: &'a [u8],
    number: u32,
    mut seen: impl FnMut(&'a [u8]) -> Wire<()>,
) -> Wire<()> {
    let mut input = Input::new(message);
    while !input.is_empty() {
        let tag = input.varint()?;
        match (tag >> 3 == u64::from(number), tag & 7) {
            (true, 2) => seen(input.varint_bytes()?)?,
            (_, wire) => skip(&mut input, wire, tag >> 3, 0)?,
        }
    }
    Ok(())
}

/// An item of a list, or many of them packed.
fn list_item(
    item: &Node,
    input: &mut Input<'_>,
    wire: u64,
    number: u32,
    items: &mut ColumnBuilder,
    place: Place,
) -> Wire<()> {
    if fits(item, wire) {
        return value(item, input, items, place);
    }
    let packs = match item {
        Node::Scalar(scalar, _) => wire_of(*scalar) != 2,
        Node::Enum(..) => true,
        _ => false,
    };
    if wire != 2 || !packs {
        return skip(input, wire, number.into(), place.depth);
    }
    let mut packed = Input::new(input.varint_bytes()?);
    while !packed.is_empty() {
        value(item, &mut packed, items, place)?;
    }
    Ok(())
}

fn entry(
    node: &Node,
    bytes: &[u8],
    keys: &mut ColumnBuilder,
    values: &mut ColumnBuilder,
    place: Place,
) -> Wire<()> {
    let Node::Map { key: (key, wrapped), value: node, value_absent } = node else {
        return misfit();
    };
    let (key_row, value_row) = (keys.len(), values.len());
    let key_wire = if *wrapped { 2 } else { wire_of(*key) };
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let tag = input.varint()?;
        match (tag >> 3, tag & 7) {
            (1, wire) if wire == key_wire => {
                keys.truncate(key_row);
                if *wrapped {
                    wrapper(*key, Into::Text, input.varint_bytes()?, keys)?;
                } else {
                    scalar(*key, Into::Text, &mut input, keys)?;
                }
            }
            (2, wire) if fits(node, wire) => {
                values.truncate(value_row);
                value(node, &mut input, values, place)?;
            }
            (number, wire) => skip(&mut input, wire, number, place.depth)?,
        }
    }
    if keys.len() == key_row {
        zero_scalar(*key, Into::Text, keys)?;
    }
    if values.len() == value_row {
        match value_absent {
            Absent::Null => values.push_null(),
            Absent::Zero => zero(node, values)?,
        }
    }
    Ok(())
}

/// Whether a value of this kind comes with that wire type.
fn fits(node: &Node, wire: u64) -> bool {
    match node {
        Node::Scalar(scalar, _) => wire_of(*scalar) == wire,
        Node::Enum(..) => wire == 0,
        _ => wire == 2,
    }
}

fn wire_of(scalar: Scalar) -> u64 {
    match scalar {
        Scalar::Int32
        | Scalar::Int64
        | Scalar::Uint32
        | Scalar::Sint32
        | Scalar::Sint64
        | Scalar::Bool => 0,
        Scalar::Fixed64 | Scalar::Double => 1,
        Scalar::String | Scalar::Bytes => 2,
        Scalar::Fixed32 | Scalar::Sfixed32 | Scalar::Float => 5,
    }
}

/// Reads a value as the next row of `builder`.
#[inline]
fn value(
    node: &Node,
    input: &mut Input<'_>,
    builder: &mut ColumnBuilder,
    place: Place,
) -> Wire<()> {
    match node {
        Node::Scalar(kind, into) => scalar(*kind, *into, input, builder),
        Node::Enum(values, _) => {
            let number = input.varint()? as i32;
            let Data::String(text) = &mut builder.data else { return misfit() };
            match values.iter().find(|(value, _)| *value == number) {
                Some((_, name)) => text.push(name.as_bytes()),
                None => text.push(format!("UNKNOWN_ENUM_VALUE_{number}").as_bytes()),
            }
            builder.push_valid();
            Ok(())
        }
        Node::Message(node) => {
            let bytes = input.varint_bytes()?;
            nested(node, bytes, builder, place)
        }
        Node::Known(kind, into) => known(*kind, *into, input.varint_bytes()?, builder),
        Node::Wrapper(kind, into) => wrapper(*kind, *into, input.varint_bytes()?, builder),
        Node::Fail(why) => bad(why.as_str()),
        Node::List(_) | Node::Map { .. } => misfit(),
    }
}

fn nested(node: &MessageNode, bytes: &[u8], builder: &mut ColumnBuilder, place: Place) -> Wire<()> {
    let row = builder.len();
    let Data::Struct(members) = &mut builder.data else { return misfit() };
    let place = Place { depth: place.depth + 1, ..place };
    message(node, bytes, members, row, place)?;
    builder.push_valid();
    Ok(())
}

fn known(kind: Known, into: Into, bytes: &[u8], builder: &mut ColumnBuilder) -> Wire<()> {
    match (kind, into, &mut builder.data) {
        (Known::Timestamp, _, Data::Int64(values)) => values.push(read_timestamp(bytes)?),
        (Known::Date, _, Data::Int32(values)) => values.push(read_date(bytes)?),
        (Known::TimeOfDay, _, Data::Int32(values)) => values.push(read_time(bytes)?),
        (Known::Date, _, Data::Int64(values)) => values.push(i64::from(read_date(bytes)?)),
        (Known::TimeOfDay, _, Data::Int64(values)) => values.push(i64::from(read_time(bytes)?)),
        (Known::Decimal, Into::Decimal { precision, scale }, Data::Decimal(values)) => {
            values.push(read_decimal(bytes, precision, scale)?);
        }
        _ => return misfit(),
    }
    builder.push_valid();
    Ok(())
}

/// The value of a wrapper message: its first field, or zero.
fn wrapper(kind: Scalar, into: Into, bytes: &[u8], builder: &mut ColumnBuilder) -> Wire<()> {
    let row = builder.len();
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let tag = input.varint()?;
        match (tag >> 3, tag & 7) {
            (1, wire) if wire == wire_of(kind) => {
                builder.truncate(row);
                scalar(kind, into, &mut input, builder)?;
            }
            (number, wire) => skip(&mut input, wire, number, 0)?,
        }
    }
    if builder.len() == row { zero_scalar(kind, into, builder) } else { Ok(()) }
}

#[inline]
fn scalar(
    kind: Scalar,
    into: Into,
    input: &mut Input<'_>,
    builder: &mut ColumnBuilder,
) -> Wire<()> {
    match (into, &mut builder.data) {
        (Into::Int64, Data::Int64(values)) => values.push(whole(kind, input)?),
        (Into::Text, Data::String(text)) => {
            write_text(kind, input, &mut text.data)?;
            text.end_row();
        }
        (Into::Int32, Data::Int32(values)) => values.push(whole(kind, input)? as i32),
        (Into::Time, Data::Int32(values)) => {
            let value = whole(kind, input)?;
            if !(0..i64::from(DAY_MS)).contains(&value) {
                return bad(format!("{value} is no TIME"));
            }
            values.push(value as i32);
        }
        (Into::Double, Data::Double(values)) => values.push(double(kind, input)?),
        (Into::Boolean, Data::Boolean(bits)) => bits.append(input.varint()? != 0),
        (Into::Bytes, Data::Bytes(bytes)) => bytes.push(input.varint_bytes()?),
        _ => return misfit(),
    }
    builder.push_valid();
    Ok(())
}

#[inline]
fn whole(kind: Scalar, input: &mut Input<'_>) -> Wire<i64> {
    Ok(match kind {
        Scalar::Int32 => i64::from(input.varint()? as i32),
        Scalar::Int64 => input.varint()? as i64,
        Scalar::Uint32 => i64::from(input.varint()? as u32),
        Scalar::Sint32 => {
            let raw = input.varint()? as u32;
            i64::from((raw >> 1) as i32 ^ -((raw & 1) as i32))
        }
        Scalar::Sint64 => input.zigzag()?,
        Scalar::Fixed32 => i64::from(u32::from_le_bytes(input.array()?)),
        Scalar::Sfixed32 => i64::from(i32::from_le_bytes(input.array()?)),
        Scalar::Fixed64 => i64::from_le_bytes(input.array()?),
        Scalar::Bool => i64::from(input.varint()? != 0),
        _ => return misfit(),
    })
}

fn double(kind: Scalar, input: &mut Input<'_>) -> Wire<f64> {
    match kind {
        Scalar::Float => Ok(f64::from(f32::from_le_bytes(input.array()?))),
        Scalar::Double => Ok(f64::from_le_bytes(input.array()?)),
        _ => misfit(),
    }
}

fn write_text(kind: Scalar, input: &mut Input<'_>, out: &mut Vec<u8>) -> Wire<()> {
    match kind {
        Scalar::String => {
            let bytes = input.varint_bytes()?;
            if std::str::from_utf8(bytes).is_err() {
                return bad("Protocol message had invalid UTF-8.");
            }
            out.extend_from_slice(bytes);
        }
        Scalar::Float => java::write_f32(f32::from_le_bytes(input.array()?), out),
        Scalar::Double => java::write_f64(f64::from_le_bytes(input.array()?), out),
        Scalar::Bool => {
            out.extend_from_slice(if input.varint()? != 0 { b"true" } else { b"false" });
        }
        kind => java::write_i64(whole(kind, input)?, out),
    }
    Ok(())
}

/// A type's zero, as the next row of `builder`.
fn zero(node: &Node, builder: &mut ColumnBuilder) -> Wire<()> {
    match node {
        Node::Scalar(kind, into) => zero_scalar(*kind, *into, builder),
        Node::Enum(_, first) => {
            let Data::String(text) = &mut builder.data else { return misfit() };
            text.push(first.as_bytes());
            builder.push_valid();
            Ok(())
        }
        _ => {
            builder.push_null();
            Ok(())
        }
    }
}

fn zero_scalar(kind: Scalar, into: Into, builder: &mut ColumnBuilder) -> Wire<()> {
    const ZEROES: [u8; 8] = [0; 8];
    scalar(kind, into, &mut Input::new(&ZEROES), builder)
}

fn misfit<T>() -> Wire<T> {
    bad("a column that does not fit its plan")
}
