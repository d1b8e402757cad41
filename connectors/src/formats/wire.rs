//! Bytes as Avro and Protobuf lay them out, and the head that names a registered schema. Every
//! length is checked against what is left, so hostile bytes cost no more than honest ones.

/// First byte of a record with a schema id.
const MAGIC: u8 = 0;

/// Why bytes could not be read: one line, and the path of fields to the place.
#[derive(Debug)]
pub struct Bad {
    pub what: String,
    pub path: String,
}

/// Boxed, so that the good way stays cheap.
pub type Wire<T> = Result<T, Box<Bad>>;

#[cold]
pub fn bad<T>(what: impl Into<String>) -> Wire<T> {
    Err(Box::new(Bad { what: what.into(), path: String::new() }))
}

impl Bad {
    /// Puts a field before the path.
    #[cold]
    pub fn below(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.path = format!("->{field}{}", self.path);
        self
    }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " for path: {}", self.path) }
    }
}

/// The schema id at the start of a record, and what follows it.
///
/// # Errors
/// When the record does not start with one.
pub fn split_head(bytes: &[u8]) -> Result<(u32, &[u8]), String> {
    match bytes {
        [MAGIC, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        [MAGIC, ..] => Err("the record ends within the id of its schema".to_string()),
        [other, ..] => Err(format!(
            "Unknown magic byte!: the first byte is {other}, not 0; the record was not written \
             with the schema registry"
        )),
        [] => Err("the record is empty: it has no id of a schema".to_string()),
    }
}

/// Appends magic byte and id.
pub fn write_head(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Bytes being read.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub fn byte(&mut self) -> Wire<u8> {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                Ok(*byte)
            }
            None => bad("the record ends too early"),
        }
    }

    #[inline]
    pub fn take(&mut self, len: usize) -> Wire<&'a [u8]> {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => bad(format!("{len} bytes are announced, {} are left", self.rest.len())),
        }
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Wire<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => bad("the record ends too early"),
        }
    }

    /// An unsigned number in groups of seven bits, the lowest first.
    #[inline]
    pub fn varint(&mut self) -> Wire<u64> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Wire<u64> {
        let mut value = 0;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        if self.rest.len() < 10 {
            return bad("the record ends within a number");
        }
        bad("a number of more than 64 bits")
    }

    /// A signed number, zigzag.
    #[inline]
    pub fn zigzag(&mut self) -> Wire<i64> {
        let raw = self.varint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Bytes behind their length as a zigzag number.
    #[inline]
    pub fn zigzag_bytes(&mut self) -> Wire<&'a [u8]> {
        let len = self.zigzag()?;
        match usize::try_from(len) {
            Ok(len) => self.take(len),
            Err(_) => bad("a negative length"),
        }
    }

    /// Bytes behind their length.
    #[inline]
    pub fn varint_bytes(&mut self) -> Wire<&'a [u8]> {
        let len = self.varint()?;
        match usize::try_from(len) {
            Ok(len) => self.take(len),
            Err(_) => bad("a length beyond the record"),
        }
    }
}

/// Appends an unsigned number.
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number.
pub fn write_zigzag(value: i64, out: &mut Vec<u8>) {
    write_varint((value << 1 ^ value >> 63) as u64, out);
}

/// Text that may be no UTF-8: bad parts become U+FFFD, as Java reads them.
#[inline]
pub fn push_text(bytes: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(bytes) {
        Ok(_) => out.extend_from_slice(bytes),
        Err(_) => out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()),
    }
}

/// A whole number from big-endian two's complement; `None` above 128 bits.
pub fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let fill = if negative { 0xff } else { 0 };
    let mut wide = [fill; 16];
    let (extra, low) = bytes.split_at(bytes.len().saturating_sub(16));
    if extra.iter().any(|byte| *byte != fill) {
        return None;
    }
    wide[16 - low.len()..].copy_from_slice(low);
    let value = i128::from_be_bytes(wide);
    ((value < 0) == negative).then_some(value)
}

/// The shortest big-endian two's complement of a number.
pub fn write_big_endian(value: i128, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let fill = if value < 0 { 0xff } else { 0 };
    let same_sign = |next: u8| (next >= 0x80) == (value < 0);
    let mut start = 0;
    while start < 15 && bytes[start] == fill && same_sign(bytes[start + 1]) {
        start += 1;
    }
    out.extend_from_slice(&bytes[start..]);
}

/// A decimal at another scale, if that loses nothing and fits the precision.
pub fn rescale(unscaled: i128, from: u32, to: u8, precision: u8) -> Option<i128> {
    let to = u32::from(to);
    let value = if from <= to {
        unscaled.checked_mul(10i128.checked_pow(to - from)?)?
    } else if unscaled == 0 {
        0
    } else {
        let step = 10i128.checked_pow(from - to)?;
        if unscaled % step != 0 {
            return None;
        }
        unscaled / step
    };
    let limit = 10i128.checked_pow(u32::from(precision));
    limit.is_none_or(|limit| value.unsigned_abs() < limit.unsigned_abs()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, -1, 63, -64, 64, 8191, -8192, 8192, i64::MAX, i64::MIN, 1 << 40] {
            let mut out = Vec::new();
            write_zigzag(value, &mut out);
            let mut input = Input::new(&out);
            assert_eq!(input.zigzag().expect("a number"), value);
            assert!(input.is_empty(), "{value}");
        }
        for value in [0, 1, -1, 127, 128, -128, -129, 255, 1 << 64, i128::MAX, i128::MIN] {
            let mut out = Vec::new();
            write_big_endian(value, &mut out);
            assert_eq!(big_endian(&out), Some(value), "{out:?}");
            let mut padded = vec![if value < 0 { 0xff } else { 0 }; 9];
            padded.extend_from_slice(&out);
            assert_eq!(big_endian(&padded), Some(value));
        }
        assert_eq!(big_endian(&[]), Some(0));
        assert_eq!(big_endian(&[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn bad_numbers_are_errors() {
        let cases: [&[u8]; 4] = [&[], &[0x80], &[0xff; 9], &[0xff; 11]];
        for bytes in cases {
            assert!(Input::new(bytes).varint().is_err(), "{bytes:?}");
        }
        assert!(Input::new(&[200, 1, 7]).zigzag_bytes().is_err());
        assert!(Input::new(&[1]).zigzag_bytes().is_err());
    }

    #[test]
    fn decimals_change_scale_only_without_loss() {
        let cases = [
            ((1230, 2, 1, 4), Some(123)),
            ((1235, 2, 1, 4), None),
            ((5, 0, 2, 3), Some(500)),
            ((5, 0, 2, 2), None),
            ((0, 30, 2, 2), Some(0)),
            ((i128::MAX, 0, 10, 38), None),
            ((1, 99, 0, 38), None),
        ];
        for ((unscaled, from, to, precision), want) in cases {
            assert_eq!(rescale(unscaled, from, to, precision), want, "{unscaled} {from}");
        }
    }
}
