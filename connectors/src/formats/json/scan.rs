//! The lowest level: tokens of one JSON document, checked, without copying.

use std::fmt;

use super::digits;

/// Objects and arrays may be nested this deep; beyond it a record is refused.
pub const DEPTH_MAX: u32 = 64;

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fail {
    /// The text is not JSON, or not within the limits.
    Syntax { at: usize, what: &'static str },
    /// The text is fine and a value does not fit its column.
    Type(Box<TypeError>),
}

/// A value that does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeError {
    /// Steps from the value outwards: `.B`, `[3]`.
    pub steps: Vec<String>,
    pub what: String,
}

impl Fail {
    pub fn type_error(what: impl Into<String>) -> Self {
        Fail::Type(Box::new(TypeError { steps: Vec::new(), what: what.into() }))
    }

    /// Says that the failing value lies below `step`.
    pub fn below(mut self, step: impl FnOnce() -> String) -> Self {
        if let Fail::Type(error) = &mut self {
            error.steps.push(step());
        }
        self
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fail::Syntax { at, what } => write!(f, "invalid JSON at byte {at}: {what}"),
            Fail::Type(error) => {
                f.write_str("$")?;
                error.steps.iter().rev().try_for_each(|step| f.write_str(step))?;
                write!(f, ": {}", error.what)
            }
        }
    }
}

pub type Scan<T> = Result<T, Fail>;

/// A position in a document.
#[derive(Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    pub at: usize,
    depth: u32,
    /// The document has escapes or control characters: strings need a closer look.
    careful: bool,
}

/// A string without its quotes.
#[derive(Debug, Clone, Copy)]
pub struct RawString<'a> {
    pub body: &'a [u8],
    /// The body has escapes; they are valid.
    pub escaped: bool,
}

/// A number as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub struct RawNumber<'a> {
    pub text: &'a [u8],
    /// Neither fraction nor exponent.
    pub whole: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte that is not white space.
    ///
    /// # Errors
    /// When the text is not UTF-8.
    pub fn new(bytes: &'a [u8]) -> Scan<Self> {
        let seen = survey(bytes);
        if seen.wide
            && let Err(error) = std::str::from_utf8(bytes)
        {
            return Err(Fail::Syntax { at: error.valid_up_to(), what: "not UTF-8" });
        }
        let mut scanner = Scanner { bytes, at: 0, depth: 0, careful: seen.careful };
        scanner.skip_space();
        Ok(scanner)
    }

    /// Whether strings may have escapes, or control characters, which are errors.
    #[inline]
    pub fn is_careful(&self) -> bool {
        self.careful
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The byte here, or 0 at the end: no token begins with it.
    #[inline]
    pub fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// An error at this place.
    #[cold]
    pub fn fail<T>(&self, what: &'static str) -> Scan<T> {
        let what = if self.at >= self.bytes.len() { "the text ends too early" } else { what };
        Err(Fail::Syntax { at: self.at, what })
    }

    #[inline]
    pub fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    /// Skips `byte` if it is here.
    #[inline]
    pub fn eat(&mut self, byte: u8) -> bool {
        let here = self.peek() == byte;
        self.at += usize::from(here);
        here
    }

    /// Goes into an object or array whose first byte is here.
    pub fn enter(&mut self) -> Scan<()> {
        if self.depth == DEPTH_MAX {
            return self.fail("nested more than 64 deep");
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Leaves it behind its last byte.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Goes back to a value that began at `at`, at nesting depth `depth`.
    pub fn rewind(&mut self, at: usize, depth: u32) {
        self.at = at;
        self.depth = depth;
    }

    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Reads `true`, `false` or `null`.
    #[inline]
    pub fn literal(&mut self, word: &'static str) -> Scan<()> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.fail("not a value");
        }
        self.at += word.len();
        self.end_scalar()
    }

    /// A number or literal must be followed by something that cannot be a part of it.
    #[inline]
    fn end_scalar(&self) -> Scan<()> {
        match self.peek() {
            b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r' => Ok(()),
            0 if self.at >= self.bytes.len() => Ok(()),
            _ => self.fail("unexpected character after a value"),
        }
    }

    /// Reads the string whose opening quote is here.
    #[inline]
    pub fn string(&mut self) -> Scan<RawString<'a>> {
        if self.careful {
            return self.careful_string();
        }
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let Some(len) = memchr::memchr(b'"', rest) else { return self.fail_at_end() };
        self.at += len + 2;
        Ok(RawString { body: &rest[..len], escaped: false })
    }

    fn careful_string(&mut self) -> Scan<RawString<'a>> {
        let start = self.at + 1;
        self.at = start;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                None => return self.fail_at_end(),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.skip_escape()?;
                }
                Some(0..0x20) => return self.fail("a control character in a string"),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(RawString { body: &self.bytes[start..self.at - 1], escaped })
    }

    fn skip_escape(&mut self) -> Scan<()> {
        let kind = self.bytes.get(self.at + 1).copied().unwrap_or(0);
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 2;
                Ok(())
            }
            b'u' => match unicode_escape(&self.bytes[self.at..]) {
                Some((_, len)) => {
                    self.at += len;
                    Ok(())
                }
                None => self.fail("an invalid \\u escape, or half of a surrogate pair"),
            },
            _ => self.fail("an unknown escape"),
        }
    }

    #[cold]
    fn fail_at_end<T>(&mut self) -> Scan<T> {
        self.at = self.bytes.len();
        self.fail("")
    }

    /// Reads a whole number of at most 18 digits; moves only if that is what stands here.
    #[inline]
    pub fn small_int(&mut self) -> Option<i64> {
        let negative = self.peek() == b'-';
        let start = self.at + usize::from(negative);
        let rest = self.bytes.get(start..)?;
        let mut value = 0i64;
        let mut len = 0;
        while len < 16
            && let Some(word) = rest[len..].first_chunk()
            && let Some(digits) = digits::eight(u64::from_le_bytes(*word))
        {
            value = value * 100_000_000 + digits;
            len += 8;
        }
        while let Some(digit @ b'0'..=b'9') = rest.get(len) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            len += 1;
        }
        let fits = (1..=18).contains(&len) && (rest[0] != b'0' || len == 1);
        let ends = matches!(rest.get(len), None | Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r'));
        if !(fits && ends) {
            return None;
        }
        self.at = start + len;
        Some(if negative { -value } else { value })
    }

    /// Reads any number.
    pub fn number(&mut self) -> Scan<RawNumber<'a>> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            whole = false;
            self.at += 1;
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        self.end_scalar()?;
        Ok(RawNumber { text: &self.bytes[start..self.at], whole })
    }

    fn digits(&mut self) -> Scan<()> {
        if !self.peek().is_ascii_digit() {
            return self.fail("not a value");
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    /// Skips any value and checks that it is one.
    pub fn skip_value(&mut self) -> Scan<()> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'{' => self.skip_nested(b'}'),
            b'[' => self.skip_nested(b']'),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number().map(|_| ()),
        }
    }

    fn skip_nested(&mut self, close: u8) -> Scan<()> {
        self.enter()?;
        let mut first = true;
        while self.next_item(close, first)? {
            first = false;
            if close == b'}' {
                self.key()?;
            }
            self.skip_value()?;
        }
        self.leave();
        Ok(())
    }

    /// Moves to the next item of an object or array; false behind its end.
    pub fn next_item(&mut self, close: u8, first: bool) -> Scan<bool> {
        self.skip_space();
        if self.eat(close) {
            return Ok(false);
        }
        if !first && !self.eat(b',') {
            return self.fail("a comma or the end of the object or array is missing");
        }
        self.skip_space();
        Ok(true)
    }

    /// Reads a member's name and the colon, and moves to its value.
    pub fn key(&mut self) -> Scan<RawString<'a>> {
        if self.peek() != b'"' {
            return self.fail("a name in quotes is missing");
        }
        let key = self.string()?;
        self.skip_space();
        if !self.eat(b':') {
            return self.fail("a colon is missing");
        }
        self.skip_space();
        Ok(key)
    }

    /// What kind of value stands here, for messages.
    pub fn kind(&self) -> &'static str {
        match self.peek() {
            b'"' => "a string",
            b'{' => "an object",
            b'[' => "an array",
            b't' | b'f' => "a boolean",
            b'n' => "null",
            _ => "a number",
        }
    }
}

impl RawString<'_> {
    /// Appends the text with escapes resolved.
    pub fn unescape(&self, out: &mut Vec<u8>) {
        let mut rest = self.body;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..at]);
            let (text, len) = match rest.get(at + 1) {
                Some(b'b') => ('\u{8}', 2),
                Some(b'f') => ('\u{c}', 2),
                Some(b'n') => ('\n', 2),
                Some(b'r') => ('\r', 2),
                Some(b't') => ('\t', 2),
                Some(b'u') => unicode_escape(&rest[at..]).unwrap_or(('\u{FFFD}', 2)),
                Some(other) => (char::from(*other), 2),
                None => break,
            };
            out.extend_from_slice(text.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[at + len..];
        }
        out.extend_from_slice(rest);
    }
}

/// The character of a `\uXXXX` escape at the start (or of a surrogate pair of them), and the
/// length of it.
fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let high = hex_unit(bytes)?;
    if let Some(char) = char::from_u32(high) {
        return Some((char, 6));
    }
    let low = hex_unit(bytes.get(6..)?)?;
    let mut pair = char::decode_utf16([high as u16, low as u16]);
    Some((pair.next()?.ok()?, 12))
}

fn hex_unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// What a look over all bytes tells.
struct Survey {
    /// Bytes that are not ASCII.
    wide: bool,
    /// Backslashes or control characters.
    careful: bool,
}

/// Bytes that are looked at together: the loop over them is one the compiler makes vectors of.
const LANES: usize = 32;

/// Extremes of what was seen at each place of a chunk.
struct Seen {
    any: [u8; LANES],
    least: [u8; LANES],
    slashes: [u8; LANES],
}

impl Seen {
    #[inline]
    fn look(&mut self, chunk: &[u8; LANES]) {
        for (lane, byte) in chunk.iter().copied().enumerate() {
            self.any[lane] |= byte;
            self.least[lane] = self.least[lane].min(byte);
            self.slashes[lane] |= if byte == b'\\' { u8::MAX } else { 0 };
        }
    }
}

fn survey(bytes: &[u8]) -> Survey {
    let mut seen = Seen { any: [0; LANES], least: [u8::MAX; LANES], slashes: [0; LANES] };
    match bytes.last_chunk() {
        // The last chunk overlaps the one before it.
        Some(last) => {
            bytes.as_chunks::<LANES>().0.iter().for_each(|chunk| seen.look(chunk));
            seen.look(last);
        }
        None => {
            let mut only = [b' '; LANES];
            only[..bytes.len()].copy_from_slice(bytes);
            seen.look(&only);
        }
    }
    // One by one would cost as much as all of the above.
    let mut odd = seen.slashes;
    for (odd, least) in odd.iter_mut().zip(seen.least) {
        *odd |= if least < 0x20 { u8::MAX } else { 0 };
    }
    Survey { wide: !seen.any.is_ascii(), careful: odd != [0; LANES] }
}
