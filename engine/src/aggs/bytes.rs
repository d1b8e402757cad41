//! Small pieces of saved state: varints, lengths, and checked reading of them.

use crate::error::{EngineError, Result};

/// Appends `value` in 7-bit groups, lowest first.
pub fn put_u64(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` so that small magnitudes are short.
pub fn put_i64(value: i64, out: &mut Vec<u8>) {
    put_u64(((value << 1) ^ (value >> 63)) as u64, out);
}

/// Appends a length and the bytes.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_u64(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Reads saved state from front to back.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next byte.
    ///
    /// # Errors
    /// `State` when the bytes end too early; so for all readers here.
    pub fn u8(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// What [`put_u64`] wrote.
    pub fn u64(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(corrupt("a number of more than 64 bits"))
    }

    /// What [`put_i64`] wrote.
    pub fn i64(&mut self) -> Result<i64> {
        let value = self.u64()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// What [`put_bytes`] wrote.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = usize::try_from(self.u64()?).map_err(|_| cut_off())?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A count of items that take at least one byte each, so the input's size bounds it.
    pub fn count(&mut self) -> Result<usize> {
        let count = usize::try_from(self.u64()?).map_err(|_| cut_off())?;
        if count > self.rest.len() {
            return Err(cut_off());
        }
        Ok(count)
    }

    /// Checks that all was read.
    pub fn finish(&self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(corrupt(&format!("{} bytes too many", self.rest.len())))
    }
}

fn cut_off() -> EngineError {
    corrupt("it is cut off")
}

/// The error for state that no version of this program wrote.
pub fn corrupt(what: &str) -> EngineError {
    EngineError::State(format!("saved aggregate state is corrupt: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_come_back() {
        let numbers = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN, 1_384_000_000_000];
        for number in numbers {
            let mut out = Vec::new();
            put_i64(number, &mut out);
            put_bytes(b"abc", &mut out);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.i64().unwrap(), number);
            assert_eq!(reader.bytes().unwrap(), b"abc");
            reader.finish().unwrap();
        }
    }

    #[test]
    fn cut_off_state_is_an_error() {
        let mut out = Vec::new();
        put_bytes(b"abc", &mut out);
        for len in 0..out.len() {
            assert!(Reader::new(&out[..len]).bytes().is_err(), "{len}");
        }
        assert!(Reader::new(&[0xFF; 20]).u64().is_err());
        assert!(Reader::new(&[9, 1]).count().is_err());
    }
}
