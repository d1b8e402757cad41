//! Checked reading of stored bytes.

use crate::error::{EngineError, Result};

/// What is left of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.rest.split_first().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*byte)
    }

    /// The next byte without moving.
    pub fn peek(&self) -> Result<u8> {
        self.rest.first().copied().ok_or_else(truncated)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Checks that everything was read.
    pub fn finish(&self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(corrupt(format_args!("{} bytes too many", self.rest.len())))
    }
}

pub(super) fn truncated() -> EngineError {
    corrupt(format_args!("the entry is cut off"))
}

/// The error for bytes that no version of this codec wrote.
pub(super) fn corrupt(what: std::fmt::Arguments<'_>) -> EngineError {
    EngineError::State(format!("corrupt bytes: {what}"))
}
