//! Many byte strings in one allocation.

/// Encoded keys or rows: one buffer and where each entry ends. Reuse it between batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyBuffer {
    data: Vec<u8>,
    ends: Vec<usize>,
}

/// Encoded rows have the same shape as encoded keys.
pub type RowBuffer = KeyBuffer;

impl KeyBuffer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Drops all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }

    /// Entry `i`; panics like a slice when there is none.
    pub fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.data[start..self.ends[i]]
    }

    /// All entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// All entries as slices, as the decoders take them.
    pub fn slices(&self) -> Vec<&[u8]> {
        self.iter().collect()
    }

    /// Appends an entry that exists already.
    pub fn push(&mut self, entry: &[u8]) {
        self.data.extend_from_slice(entry);
        self.end_entry();
    }

    /// Room for `rows` more entries of `bytes` in all.
    pub(super) fn reserve(&mut self, rows: usize, bytes: usize) {
        self.ends.reserve(rows);
        self.data.reserve(bytes);
    }

    /// Where the bytes of the entry being written go.
    pub(super) fn data(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    /// Ends the entry being written.
    pub(super) fn end_entry(&mut self) {
        self.ends.push(self.data.len());
    }
}
