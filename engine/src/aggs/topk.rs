//! TOPK and TOPKDISTINCT.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Fields;
use millrace_sql::types::SqlType;

use super::bytes::{Reader, put_bytes, put_u64};
use super::class::Encoded;
use super::kernel::Kernel;
use super::list::ListOut;
use super::number::first;
use crate::codec::key::{KeyBuffer, KeyCodec};
use crate::error::Result;

/// The k largest values, descending. Values are compared by their encoded bytes; of equal ones the
/// one that came first stands first.
pub(super) struct TopK {
    sort: Encoded,
    pub k: usize,
    pub distinct: bool,
    wide: Option<Wide>,
}

/// The form that hands out other columns beside the sorted one.
struct Wide {
    codec: KeyCodec,
    fields: Fields,
}

impl TopK {
    pub fn new(ty: &SqlType, k: usize, distinct: bool) -> Self {
        TopK { sort: Encoded::new(ty), k, distinct, wide: None }
    }

    /// `types`: of all arguments, the sorted one first; `fields`: of the resulting structs.
    pub fn wide(types: &[SqlType], k: usize, fields: Fields) -> Self {
        let wide = Some(Wide { codec: KeyCodec::new(types), fields });
        TopK { sort: Encoded::new(&types[0]), k, distinct: false, wide }
    }

    fn insert(&self, cell: &mut Vec<Entry>, sort: &[u8], all: &[u8]) {
        let at = cell.partition_point(|entry| entry.sort() >= sort);
        if at >= self.k || (self.distinct && at > 0 && cell[at - 1].sort() == sort) {
            return;
        }
        cell.truncate(self.k - 1);
        cell.insert(at, Entry { bytes: all.into(), sort_len: sort.len() as u32 });
    }
}

/// One kept row.
pub(super) struct Entry {
    /// All arguments, the sorted one first.
    bytes: Box<[u8]>,
    sort_len: u32,
}

impl Entry {
    fn sort(&self) -> &[u8] {
        &self.bytes[..self.sort_len as usize]
    }
}

/// A batch's arguments.
pub(super) struct Input {
    nulls: Option<NullBuffer>,
    sort: KeyBuffer,
    /// The sorted value and the others.
    all: Option<KeyBuffer>,
}

impl Input {
    /// The sorted value and all arguments of a row, unless it is NULL.
    pub fn value(&self, row: usize) -> Option<(&[u8], &[u8])> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let sort = self.sort.get(row);
        Some((sort, self.all.as_ref().map_or(sort, |all| all.get(row))))
    }
}

impl Kernel for TopK {
    /// Descending.
    type Cell = Vec<Entry>;
    type Input = Input;
    type Out = ListOut;
    const FORMAT: u8 = 0x50;

    fn bind(&self, args: &[ArrayRef]) -> Result<Input> {
        let sort = self.sort.encode(first(args)?)?;
        let all = match &self.wide {
            Some(wide) => {
                let mut all = KeyBuffer::new();
                wide.codec.encode(args, &mut all)?;
                Some(all)
            }
            None => None,
        };
        Ok(Input { nulls: sort.nulls, sort: sort.values, all })
    }
    fn add(&self, cell: &mut Vec<Entry>, input: &Input, row: usize, _: i64) -> Result<()> {
        if let Some((sort, all)) = input.value(row) {
            self.insert(cell, sort, all);
        }
        Ok(())
    }
    fn merge(&self, into: &mut Vec<Entry>, from: Vec<Entry>) -> Result<()> {
        from.iter().for_each(|entry| self.insert(into, entry.sort(), &entry.bytes));
        Ok(())
    }
    fn out(&self, rows: usize) -> ListOut {
        ListOut::new(rows)
    }
    fn emit(&self, cell: &Vec<Entry>, out: &mut ListOut) {
        cell.iter().for_each(|entry| out.item(&entry.bytes));
        out.end_row();
    }
    fn finish(&self, out: ListOut) -> Result<ArrayRef> {
        out.finish(|items| match &self.wide {
            None => self.sort.decode(items),
            Some(wide) => {
                let columns = wide.codec.decode(items)?;
                let len = items.len();
                let fields = wide.fields.clone();
                let rows = StructArray::try_new_with_length(fields, columns, None, len)?;
                Ok(Arc::new(rows) as ArrayRef)
            }
        })
    }
    fn save(&self, cell: &Vec<Entry>, out: &mut Vec<u8>) {
        put_u64(cell.len() as u64, out);
        for entry in cell {
            put_u64(u64::from(entry.sort_len), out);
            put_bytes(&entry.bytes, out);
        }
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Vec<Entry>> {
        let count = from.count()?;
        let mut cell = Vec::with_capacity(count);
        for _ in 0..count {
            let sort_len = from.u64()?;
            let bytes: Box<[u8]> = from.bytes()?.into();
            if sort_len > bytes.len() as u64 {
                return Err(super::bytes::corrupt("a sorted value longer than its entry"));
            }
            cell.push(Entry { bytes, sort_len: sort_len as u32 });
        }
        Ok(cell)
    }
    fn heap_bytes(&self, cell: &Vec<Entry>) -> usize {
        let values: usize = cell.iter().map(|entry| entry.bytes.len()).sum();
        cell.capacity() * size_of::<Entry>() + values
    }
}
