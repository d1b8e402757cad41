//! MIN, MAX, TOPK and TOPKDISTINCT of tables, whose values may be taken back: all values of a group are
//! kept, each different one once with a count.

use arrow::array::ArrayRef;

use super::bytes::{Reader, corrupt, put_bytes, put_u64};
use super::class::{Class, Column, Encoded};
use super::kernel::Kernel;
use super::list::ListOut;
use super::number::first;
use super::topk::{Input, TopK};
use crate::codec::key::KeyBuffer;
use crate::error::{EngineError, Result};

/// Different values that one group may hold: its state is written whole with every commit that changes
/// it.
pub(super) const VALUES_MAX: usize = 100_000;

/// Values in descending order; of equal ones the one that came first stands first.
#[derive(Default)]
pub(super) struct Multiset {
    entries: Vec<Counted>,
    /// Bytes of all values.
    bytes: usize,
}

/// A value and how often it is there, never 0 times.
struct Counted {
    /// The compared value, then what else belongs to it.
    bytes: Box<[u8]>,
    sort_len: u32,
    count: u64,
}

impl Counted {
    fn sort(&self) -> &[u8] {
        &self.bytes[..self.sort_len as usize]
    }
}

impl Multiset {
    fn add(&mut self, sort: &[u8], all: &[u8], count: u64) -> Result<()> {
        let end = match self.find(sort, all) {
            Ok(at) => {
                self.entries[at].count += count;
                return Ok(());
            }
            Err(end) => end,
        };
        if self.entries.len() >= VALUES_MAX {
            return Err(EngineError::Config(format!(
                "a group of a table holds more than {VALUES_MAX} different values, which MIN, MAX, \
                 TOPK and TOPKDISTINCT must keep; group by more columns"
            )));
        }
        self.bytes += all.len();
        self.entries.insert(end, Counted { bytes: all.into(), sort_len: sort.len() as u32, count });
        Ok(())
    }

    fn remove(&mut self, sort: &[u8], all: &[u8]) {
        let Ok(at) = self.find(sort, all) else { return };
        self.entries[at].count -= 1;
        if self.entries[at].count == 0 {
            self.bytes -= all.len();
            self.entries.remove(at);
        }
    }

    /// Where the value is, or the end of those that compare as equal.
    fn find(&self, sort: &[u8], all: &[u8]) -> Result<usize, usize> {
        let start = self.entries.partition_point(|entry| entry.sort() > sort);
        let equal = self.entries[start..].iter().take_while(|entry| entry.sort() == sort);
        let mut len = 0;
        for entry in equal {
            if *entry.bytes == *all {
                return Ok(start + len);
            }
            len += 1;
        }
        Err(start + len)
    }

    fn merge(&mut self, from: Multiset) -> Result<()> {
        from.entries.iter().try_for_each(|e| self.add(e.sort(), &e.bytes, e.count))
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_u64(self.entries.len() as u64, out);
        for entry in &self.entries {
            put_u64(entry.count, out);
            put_u64(u64::from(entry.sort_len), out);
            put_bytes(&entry.bytes, out);
        }
    }

    fn load(from: &mut Reader<'_>) -> Result<Self> {
        let mut set = Multiset::default();
        for _ in 0..from.count()? {
            let (count, sort_len) = (from.u64()?, from.u64()?);
            let bytes: Box<[u8]> = from.bytes()?.into();
            if sort_len > bytes.len() as u64 || count == 0 {
                return Err(corrupt("a value that is not there, or longer than its entry"));
            }
            set.bytes += bytes.len();
            set.entries.push(Counted { bytes, sort_len: sort_len as u32, count });
        }
        Ok(set)
    }

    fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Counted>() + self.bytes
    }
}

/// MIN and MAX; NULL when there is no value.
pub(super) struct ExtremeOfTable {
    codec: Encoded,
    max: bool,
}

impl ExtremeOfTable {
    pub fn new(codec: Encoded, max: bool) -> Self {
        ExtremeOfTable { codec, max }
    }
}

impl Kernel for ExtremeOfTable {
    type Cell = Multiset;
    type Input = Column<KeyBuffer>;
    type Out = KeyBuffer;
    const FORMAT: u8 = 0x80;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.codec.encode(first(args)?)
    }
    fn add(&self, cell: &mut Multiset, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if input.is_null(row) {
            return Ok(());
        }
        let value = input.values.get(row);
        cell.add(value, value, 1)
    }
    fn undo(&self, cell: &mut Multiset, input: &Self::Input, row: usize) -> Result<()> {
        if !input.is_null(row) {
            let value = input.values.get(row);
            cell.remove(value, value);
        }
        Ok(())
    }
    fn merge(&self, into: &mut Multiset, from: Multiset) -> Result<()> {
        into.merge(from)
    }
    fn out(&self, _: usize) -> KeyBuffer {
        KeyBuffer::new()
    }
    fn emit(&self, cell: &Multiset, out: &mut KeyBuffer) {
        let entries = &cell.entries;
        let entry = if self.max { entries.first() } else { entries.last() };
        out.push(entry.map_or(Encoded::null(), |entry| &entry.bytes));
    }
    fn finish(&self, out: KeyBuffer) -> Result<ArrayRef> {
        Class::finish(&self.codec, out)
    }
    fn save(&self, cell: &Multiset, out: &mut Vec<u8>) {
        cell.save(out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Multiset> {
        Multiset::load(from)
    }
    fn heap_bytes(&self, cell: &Multiset) -> usize {
        cell.heap_bytes()
    }
}

/// TOPK and TOPKDISTINCT.
pub(super) struct TopKOfTable(pub TopK);

impl Kernel for TopKOfTable {
    type Cell = Multiset;
    type Input = Input;
    type Out = ListOut;
    const FORMAT: u8 = 0x81;

    fn bind(&self, args: &[ArrayRef]) -> Result<Input> {
        self.0.bind(args)
    }
    fn add(&self, cell: &mut Multiset, input: &Input, row: usize, _: i64) -> Result<()> {
        match input.value(row) {
            Some((sort, all)) => cell.add(sort, all, 1),
            None => Ok(()),
        }
    }
    fn undo(&self, cell: &mut Multiset, input: &Input, row: usize) -> Result<()> {
        if let Some((sort, all)) = input.value(row) {
            cell.remove(sort, all);
        }
        Ok(())
    }
    fn merge(&self, into: &mut Multiset, from: Multiset) -> Result<()> {
        into.merge(from)
    }
    fn out(&self, rows: usize) -> ListOut {
        self.0.out(rows)
    }
    fn emit(&self, cell: &Multiset, out: &mut ListOut) {
        let times = |entry: &Counted| if self.0.distinct { 1 } else { entry.count };
        let mut left = self.0.k as u64;
        for entry in &cell.entries {
            let now = times(entry).min(left);
            (0..now).for_each(|_| out.item(&entry.bytes));
            left -= now;
            if left == 0 {
                break;
            }
        }
        out.end_row();
    }
    fn finish(&self, out: ListOut) -> Result<ArrayRef> {
        self.0.finish(out)
    }
    fn save(&self, cell: &Multiset, out: &mut Vec<u8>) {
        cell.save(out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Multiset> {
        Multiset::load(from)
    }
    fn heap_bytes(&self, cell: &Multiset) -> usize {
        cell.heap_bytes()
    }
}
