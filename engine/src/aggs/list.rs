//! COLLECT_LIST and COLLECT_SET.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use hashbrown::HashTable;
use millrace_sql::types::SqlType;

use super::bytes::{Reader, put_bytes, put_u64};
use super::class::{Column, Encoded};
use super::distinct::hash64;
use super::kernel::Kernel;
use super::number::first;
use crate::codec::key::KeyBuffer;
use crate::error::{EngineError, Result};

/// From this size on a set finds its members by hash instead of by looking at each.
const SET_INDEX_ITEMS_MIN: usize = 16;

/// Encoded values one after the other.
#[derive(Default)]
pub(super) struct Items {
    data: Vec<u8>,
    /// End of each value in `data`.
    ends: Vec<u32>,
}

impl Items {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.data[start..self.ends[i] as usize]
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        (0..self.len()).map(|i| self.get(i))
    }

    pub fn push(&mut self, value: &[u8]) -> Result<()> {
        let end = u32::try_from(self.data.len() + value.len()).map_err(|_| {
            let what = "a collected list of one group holds more than 4 GiB";
            EngineError::Config(what.into())
        })?;
        self.data.extend_from_slice(value);
        self.ends.push(end);
        Ok(())
    }

    fn remove(&mut self, i: usize) {
        let len = self.get(i).len();
        let start = self.ends[i] as usize - len;
        self.data.drain(start..start + len);
        self.ends.remove(i);
        self.ends[i..].iter_mut().for_each(|end| *end -= len as u32);
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_u64(self.len() as u64, out);
        self.iter().for_each(|value| put_bytes(value, out));
    }

    pub fn load(from: &mut Reader<'_>) -> Result<Self> {
        let mut items = Items::default();
        for _ in 0..from.count()? {
            items.push(from.bytes()?)?;
        }
        Ok(items)
    }

    pub fn heap_bytes(&self) -> usize {
        self.data.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// Every value incl. NULL, in order; those after the first `limit` are ignored.
pub(super) struct CollectList {
    codec: Encoded,
    limit: usize,
}

impl CollectList {
    pub fn new(ty: &SqlType, limit: usize) -> Self {
        CollectList { codec: Encoded::new(ty), limit }
    }
}

impl Kernel for CollectList {
    type Cell = Items;
    type Input = Column<KeyBuffer>;
    type Out = ListOut;
    const FORMAT: u8 = 0x40;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.codec.encode(first(args)?)
    }
    fn add(&self, cell: &mut Items, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if cell.len() < self.limit { cell.push(input.values.get(row)) } else { Ok(()) }
    }
    /// Removes the last equal value.
    fn undo(&self, cell: &mut Items, input: &Self::Input, row: usize) -> Result<()> {
        let value = input.values.get(row);
        let last = cell.iter().rposition(|item| item == value);
        if let Some(i) = last {
            cell.remove(i);
        }
        Ok(())
    }
    fn merge(&self, into: &mut Items, from: Items) -> Result<()> {
        let room = self.limit.saturating_sub(into.len());
        from.iter().take(room).try_for_each(|value| into.push(value))
    }
    fn out(&self, rows: usize) -> ListOut {
        ListOut::new(rows)
    }
    fn emit(&self, cell: &Items, out: &mut ListOut) {
        cell.iter().for_each(|value| out.item(value));
        out.end_row();
    }
    fn finish(&self, out: ListOut) -> Result<ArrayRef> {
        out.finish(|items| self.codec.decode(items))
    }
    fn save(&self, cell: &Items, out: &mut Vec<u8>) {
        cell.save(out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Items> {
        Items::load(from)
    }
    fn heap_bytes(&self, cell: &Items) -> usize {
        cell.heap_bytes()
    }
}

/// Distinct values incl. NULL, in order of arrival; those after the first `limit` are ignored.
pub(super) struct CollectSet {
    codec: Encoded,
    limit: usize,
}

/// A list of distinct values.
#[derive(Default)]
pub(super) struct Set {
    items: Items,
    /// Positions in `items` by hash of the value, once there are many.
    index: Option<Box<HashTable<u32>>>,
}

impl Set {
    fn insert(&mut self, value: &[u8], limit: usize) -> Result<()> {
        if self.items.len() >= limit || self.contains(value) {
            return Ok(());
        }
        self.items.push(value)?;
        let items = &self.items;
        let rehash = |i: &u32| hash64(items.get(*i as usize));
        match &mut self.index {
            Some(index) => {
                index.insert_unique(hash64(value), items.len() as u32 - 1, rehash);
            }
            None if items.len() >= SET_INDEX_ITEMS_MIN => {
                let mut index = HashTable::with_capacity(2 * items.len());
                for (i, value) in items.iter().enumerate() {
                    index.insert_unique(hash64(value), i as u32, rehash);
                }
                self.index = Some(Box::new(index));
            }
            None => {}
        }
        Ok(())
    }

    fn contains(&self, value: &[u8]) -> bool {
        match &self.index {
            Some(index) => {
                let equal = |i: &u32| self.items.get(*i as usize) == value;
                index.find(hash64(value), equal).is_some()
            }
            None => self.items.iter().any(|item| item == value),
        }
    }
}

impl CollectSet {
    pub fn new(ty: &SqlType, limit: usize) -> Self {
        CollectSet { codec: Encoded::new(ty), limit }
    }
}

impl Kernel for CollectSet {
    type Cell = Set;
    type Input = Column<KeyBuffer>;
    type Out = ListOut;
    const FORMAT: u8 = 0x41;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.codec.encode(first(args)?)
    }
    fn add(&self, cell: &mut Set, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        cell.insert(input.values.get(row), self.limit)
    }
    fn merge(&self, into: &mut Set, from: Set) -> Result<()> {
        from.items.iter().try_for_each(|value| into.insert(value, self.limit))
    }
    fn out(&self, rows: usize) -> ListOut {
        ListOut::new(rows)
    }
    fn emit(&self, cell: &Set, out: &mut ListOut) {
        cell.items.iter().for_each(|value| out.item(value));
        out.end_row();
    }
    fn finish(&self, out: ListOut) -> Result<ArrayRef> {
        out.finish(|items| self.codec.decode(items))
    }
    fn save(&self, cell: &Set, out: &mut Vec<u8>) {
        cell.items.save(out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Set> {
        let mut set = Set::default();
        let items = Items::load(from)?;
        items.iter().try_for_each(|value| set.insert(value, usize::MAX))?;
        Ok(set)
    }
    fn heap_bytes(&self, cell: &Set) -> usize {
        let index = cell.index.as_ref().map_or(0, |index| index.allocation_size());
        cell.items.heap_bytes() + index
    }
}

/// An ARRAY column being built from encoded items.
pub(super) struct ListOut {
    items: KeyBuffer,
    lengths: Vec<usize>,
    open: usize,
}

impl ListOut {
    pub fn new(rows: usize) -> Self {
        ListOut { items: KeyBuffer::new(), lengths: Vec::with_capacity(rows), open: 0 }
    }

    pub fn item(&mut self, value: &[u8]) {
        self.items.push(value);
        self.open += 1;
    }

    pub fn end_row(&mut self) {
        self.lengths.push(self.open);
        self.open = 0;
    }

    /// `decode` makes the column of items.
    pub fn finish(self, decode: impl FnOnce(&[&[u8]]) -> Result<ArrayRef>) -> Result<ArrayRef> {
        if i32::try_from(self.items.len()).is_err() {
            let what = "the lists of one batch hold more than 2^31 items";
            return Err(EngineError::Config(what.into()));
        }
        let items = decode(&self.items.slices())?;
        let field = Arc::new(Field::new("item", items.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        Ok(Arc::new(ListArray::try_new(field, offsets, items, None)?))
    }
}
