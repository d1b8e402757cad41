//! Follows a plan over the bytes of one record.

use millrace_engine::codec::builder::{ColumnBuilder, Data};

use super::plan::{Branch, FieldNode, Node, RecordNode, Root, Scalar};
use super::schema::{AvroSchema, Type, TypeId};
use crate::formats::java;
use crate::formats::json::DAY_MS;
use crate::formats::maps;
use crate::formats::wire::{Input, Wire, bad, big_endian, push_text, rescale};

/// Values within values that are read; a recursive schema allows more.
const DEPTH_MAX: usize = 100;
/// Items that take no bytes, per record.
const EMPTY_ITEMS_MAX: usize = 1024;

/// Reads one record.
pub struct Reader<'a> {
    schema: &'a AvroSchema,
    input: Input<'a>,
    /// Items of arrays and maps that the record may still have: about one a byte.
    items_left: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub fn new(schema: &'a AvroSchema, bytes: &'a [u8]) -> Self {
        let items_left = bytes.len() + EMPTY_ITEMS_MAX;
        Reader { schema, input: Input::new(bytes), items_left, depth: 0 }
    }

    /// Reads the record as row `row`; false: it is NULL as a whole.
    pub fn root(&mut self, root: &Root, columns: &mut [ColumnBuilder], row: usize) -> Wire<bool> {
        match root {
            Root::Null => Ok(false),
            Root::Columns(node) => self.record(node, columns, row).map(|()| true),
            Root::Single(node) => self.value(node, &mut columns[0]).map(|()| true),
            Root::Union(branches) => {
                let branch = self.branch(branches.len())?;
                self.root(&branches[branch], columns, row)
            }
            Root::Fail(why) => bad(why.as_str()),
        }
    }

    fn record(&mut self, node: &RecordNode, columns: &mut [ColumnBuilder], row: usize) -> Wire<()> {
        for field in &node.fields {
            match field {
                FieldNode::Skip(id) => self.skip(*id)?,
                FieldNode::Read { column, name, node } => {
                    let column = &mut columns[*column];
                    debug_assert_eq!(column.len(), row);
                    self.value(node, column).map_err(|e| e.below(name))?;
                }
                FieldNode::Fail { name, why } => {
                    return bad(why.as_str()).map_err(|e| e.below(name));
                }
            }
        }
        for column in &node.missing {
            columns[*column].push_null();
        }
        Ok(())
    }

    /// Reads a value as the next row of `builder`; on error a part of it may be left behind.
    fn value(&mut self, node: &Node, builder: &mut ColumnBuilder) -> Wire<()> {
        let row = builder.len();
        match (node, &mut builder.data) {
            (Node::Nullable(null_first, node), _) => {
                return if (self.branch(2)? == 0) == *null_first {
                    builder.push_null();
                    Ok(())
                } else {
                    self.value(node, builder)
                };
            }
            (Node::Only(node), _) => {
                self.branch(1)?;
                return self.value(node, builder);
            }
            (Node::Null, _) => {
                builder.push_null();
                return Ok(());
            }
            (Node::Fail(why), _) => return bad(why.as_str()),
            (Node::Long, Data::Int64(values)) => values.push(self.input.zigzag()?),
            (Node::IntToLong, Data::Int64(values)) => values.push(i64::from(self.int()?)),
            (Node::String, Data::String(text)) => {
                push_text(self.input.zigzag_bytes()?, &mut text.data);
                text.end_row();
            }
            (Node::Int, Data::Int32(values)) => values.push(self.int()?),
            (Node::Time, Data::Int32(values)) => values.push(self.time()?),
            (Node::Boolean, Data::Boolean(bits)) => bits.append(self.boolean()?),
            (Node::Double, Data::Double(values)) => values.push(self.double()?),
            (Node::Float, Data::Double(values)) => values.push(f64::from(self.float()?)),
            (Node::Bytes, Data::Bytes(bytes)) => bytes.push(self.input.zigzag_bytes()?),
            (Node::Fixed(size), Data::Bytes(bytes)) => bytes.push(self.input.take(*size)?),
            (Node::Decimal { .. }, Data::Decimal(values)) => values.push(self.decimal(node)?),
            (Node::Enum(symbols), Data::String(text)) => text.push(self.symbol(symbols)?),
            (Node::Text(scalar), Data::String(text)) => {
                self.text(*scalar, &mut text.data)?;
                text.end_row();
            }
            (Node::Struct(node), Data::Struct(members)) => {
                self.enter()?;
                self.record(node, members, row)?;
                self.depth -= 1;
            }
            (Node::Branches(branches), Data::Struct(members)) => {
                if !self.branches(branches, members)? {
                    builder.push_null();
                    return Ok(());
                }
            }
            (Node::Array(item), Data::List(ends, items)) => {
                self.enter()?;
                self.blocks(|reader| reader.value(item, items))?;
                self.depth -= 1;
                ends.push(items.len() as i32);
            }
            (node @ (Node::Map(_) | Node::Entries { .. }), Data::Map(ends, keys, values)) => {
                self.enter()?;
                self.map(node, keys, values)?;
                self.depth -= 1;
                ends.push(keys.len() as i32);
            }
            _ => return bad("a column that does not fit its plan"),
        }
        builder.push_valid();
        Ok(())
    }

    fn symbol<'s>(&mut self, symbols: &'s [String]) -> Wire<&'s [u8]> {
        let at = usize::try_from(self.input.zigzag()?).ok();
        match at.and_then(|at| symbols.get(at)) {
            Some(symbol) => Ok(symbol.as_bytes()),
            None => bad("an enum value that its schema does not have"),
        }
    }

    /// The members of a union that is a STRUCT; false: it is NULL.
    fn branches(&mut self, branches: &[Branch], members: &mut [ColumnBuilder]) -> Wire<bool> {
        let branch = &branches[self.branch(branches.len())?];
        let taken = match branch {
            Branch::Null => return Ok(false),
            Branch::Member(at, node) => {
                self.enter()?;
                self.value(node, &mut members[*at])?;
                self.depth -= 1;
                Some(*at)
            }
            Branch::Skip(id) => {
                self.skip(*id)?;
                None
            }
        };
        for (at, member) in members.iter_mut().enumerate() {
            if taken != Some(at) {
                member.push_null();
            }
        }
        Ok(true)
    }

    /// Of equal keys the last entry stays.
    fn map(
        &mut self,
        node: &Node,
        keys: &mut ColumnBuilder,
        values: &mut ColumnBuilder,
    ) -> Wire<()> {
        let (input, items_left, start) = (self.input, self.items_left, keys.len());
        self.blocks(|reader| reader.entry(node, keys, values))?;
        let Some(kept) = maps::last_of_each(keys, start) else { return Ok(()) };
        keys.truncate(start);
        values.truncate(start);
        (self.input, self.items_left) = (input, items_left);
        let mut at = 0;
        self.blocks(|reader| {
            let len = keys.len();
            reader.entry(node, keys, values)?;
            if !kept.get(at).copied().unwrap_or(false) {
                keys.truncate(len);
                values.truncate(len);
            }
            at += 1;
            Ok(())
        })
    }

    fn entry(
        &mut self,
        node: &Node,
        keys: &mut ColumnBuilder,
        values: &mut ColumnBuilder,
    ) -> Wire<()> {
        match node {
            Node::Map(value) => {
                if let Data::String(text) = &mut keys.data {
                    push_text(self.input.zigzag_bytes()?, &mut text.data);
                    text.end_row();
                    keys.push_valid();
                }
                self.value(value, values)
            }
            Node::Entries { key, value, key_first } => {
                if !key_first {
                    self.value(value, values)?;
                }
                self.key(key, keys)?;
                if *key_first { self.value(value, values) } else { Ok(()) }
            }
            _ => bad("a map that does not fit its plan"),
        }
    }

    /// A map's key; it may be NULL by its schema, but not in a column.
    fn key(&mut self, node: &Node, keys: &mut ColumnBuilder) -> Wire<()> {
        match node {
            Node::Nullable(null_first, _) if (self.branch(2)? == 0) == *null_first => {
                bad("NULL as a key of a map")
            }
            Node::Nullable(_, node) => self.value(node, keys),
            node => self.value(node, keys),
        }
    }

    /// Items of an array or a map, block by block.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Wire<()>) -> Wire<()> {
        loop {
            let (count, _) = self.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    /// The number of items of a block, and its length in bytes where the writer gave it.
    fn block(&mut self) -> Wire<(usize, Option<i64>)> {
        let count = self.input.zigzag()?;
        let bytes = if count < 0 { Some(self.input.zigzag()?) } else { None };
        match usize::try_from(count.unsigned_abs()) {
            Ok(items) if items <= self.items_left => {
                self.items_left -= items;
                Ok((items, bytes))
            }
            _ => bad("more items are announced than the record can hold"),
        }
    }

    #[inline]
    fn branch(&mut self, branches: usize) -> Wire<usize> {
        match usize::try_from(self.input.zigzag()?) {
            Ok(branch) if branch < branches => Ok(branch),
            _ => bad("a branch that its union does not have"),
        }
    }

    fn int(&mut self) -> Wire<i32> {
        match i32::try_from(self.input.zigzag()?) {
            Ok(value) => Ok(value),
            Err(_) => bad("an int of more than 32 bits"),
        }
    }

    fn time(&mut self) -> Wire<i32> {
        let value = self.int()?;
        if (0..DAY_MS).contains(&value) { Ok(value) } else { bad(format!("{value} is no TIME")) }
    }

    fn boolean(&mut self) -> Wire<bool> {
        Ok(self.input.byte()? == 1)
    }

    fn float(&mut self) -> Wire<f32> {
        Ok(f32::from_le_bytes(self.input.array()?))
    }

    fn double(&mut self) -> Wire<f64> {
        Ok(f64::from_le_bytes(self.input.array()?))
    }

    fn decimal(&mut self, node: &Node) -> Wire<i128> {
        let Node::Decimal { size, from, scale, precision } = *node else {
            return bad("a column that does not fit its plan");
        };
        let bytes = match size {
            Some(size) => self.input.take(size)?,
            None => self.input.zigzag_bytes()?,
        };
        let value = big_endian(bytes).and_then(|value| rescale(value, from, scale, precision));
        match value {
            Some(value) => Ok(value),
            None => bad(format!("a decimal that does not fit DECIMAL({precision}, {scale})")),
        }
    }

    fn text(&mut self, scalar: Scalar, out: &mut Vec<u8>) -> Wire<()> {
        match scalar {
            Scalar::Boolean => {
                out.extend_from_slice(if self.boolean()? { b"true" } else { b"false" });
            }
            Scalar::Int => java::write_i64(i64::from(self.int()?), out),
            Scalar::Long => java::write_i64(self.input.zigzag()?, out),
            Scalar::Float => java::write_f32(self.float()?, out),
            Scalar::Double => java::write_f64(self.double()?, out),
        }
        Ok(())
    }

    fn enter(&mut self) -> Wire<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return bad(format!("values are nested more than {DEPTH_MAX} deep"));
        }
        Ok(())
    }

    /// Passes over a value that nobody wants, checking that it is one.
    fn skip(&mut self, id: TypeId) -> Wire<()> {
        let schema = self.schema;
        match schema.get(id) {
            Type::Null => {}
            Type::Boolean => drop(self.input.byte()?),
            Type::Int(_) | Type::Long(_) => drop(self.input.varint()?),
            Type::Float => drop(self.input.array::<4>()?),
            Type::Double => drop(self.input.array::<8>()?),
            Type::Bytes(_) | Type::String => drop(self.input.zigzag_bytes()?),
            Type::Fixed { size, .. } => drop(self.input.take(*size)?),
            Type::Enum { symbols, .. } => drop(self.branch(symbols.len())?),
            Type::Union(branches) => {
                let branch = self.branch(branches.len())?;
                self.skip(branches[branch])?;
            }
            Type::Record(record) => {
                self.enter()?;
                for field in &record.fields {
                    self.skip(field.ty).map_err(|e| e.below(&field.name))?;
                }
                self.depth -= 1;
            }
            Type::Array(item) => {
                self.enter()?;
                self.skip_blocks(|reader| reader.skip(*item))?;
                self.depth -= 1;
            }
            Type::Map(value) => {
                self.enter()?;
                self.skip_blocks(|reader| {
                    reader.input.zigzag_bytes()?;
                    reader.skip(*value)
                })?;
                self.depth -= 1;
            }
        }
        Ok(())
    }

    fn skip_blocks(&mut self, mut item: impl FnMut(&mut Self) -> Wire<()>) -> Wire<()> {
        loop {
            match self.block()? {
                (0, _) => return Ok(()),
                (_, Some(bytes)) => match usize::try_from(bytes) {
                    Ok(bytes) => drop(self.input.take(bytes)?),
                    Err(_) => return bad("a negative length"),
                },
                (count, None) => {
                    for _ in 0..count {
                        item(self)?;
                    }
                }
            }
        }
    }
}
