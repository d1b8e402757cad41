//! A changed entry of a layer, in one piece of memory: layers hold hundreds of thousands of them.

use std::borrow::Borrow;
use std::cmp::Ordering;

/// Where the key starts, behind its length, the time, and whether there is a value.
const KEY_AT: usize = 13;
/// What an entry costs beside its bytes: the allocator's part, and its place in a half-full node.
const OVERHEAD_BYTES: usize = 48;

/// A key, its changed value, and the event time of its changelog record. Ordered by the key alone.
#[derive(Debug)]
pub(super) struct Change(Box<[u8]>);

impl Change {
    /// `value`: `None` deletes.
    pub fn new(key: &[u8], value: Option<&[u8]>, time_ms: i64) -> Self {
        debug_assert!(u32::try_from(key.len()).is_ok(), "records are smaller");
        let len = KEY_AT + key.len() + value.map_or(0, <[u8]>::len);
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&(key.len() as u32).to_ne_bytes());
        bytes.extend_from_slice(&time_ms.to_ne_bytes());
        bytes.push(u8::from(value.is_some()));
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value.unwrap_or_default());
        Change(bytes.into_boxed_slice())
    }

    #[inline]
    fn key_end(&self) -> usize {
        let [a, b, c, d, ..] = *self.0 else { return KEY_AT };
        KEY_AT + u32::from_ne_bytes([a, b, c, d]) as usize
    }

    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.0[KEY_AT..self.key_end()]
    }

    pub fn value(&self) -> Option<&[u8]> {
        (self.0[KEY_AT - 1] != 0).then(|| &self.0[self.key_end()..])
    }

    pub fn time_ms(&self) -> i64 {
        self.0[4..].first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes))
    }

    /// What it takes of memory.
    pub fn bytes(&self) -> usize {
        self.0.len() + OVERHEAD_BYTES
    }
}

impl Borrow<[u8]> for Change {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Change {}

impl PartialOrd for Change {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Change {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let values: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"value")];
        for key in [b"".as_slice(), b"k", b"a longer key"] {
            for value in values {
                for time_ms in [0, -1, i64::MIN, i64::MAX] {
                    let change = Change::new(key, value, time_ms);
                    assert_eq!(change.key(), key);
                    assert_eq!((change.value(), change.time_ms()), (value, time_ms));
                }
            }
        }
    }

    #[test]
    fn order_is_that_of_the_keys() {
        let keys: [&[u8]; 5] = [b"", b"a", b"a\0", b"ab", b"b"];
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                let (a, b) = (Change::new(a, Some(b"z"), 9), Change::new(b, None, 1));
                assert_eq!(a.cmp(&b), i.cmp(&j));
                assert_eq!(a == b, i == j);
            }
        }
    }
}
