//! Names: bare where they read back the same, else in back-ticks.

use std::fmt;

use crate::ast::{Ident, IntervalUnit};
use crate::lexer::Keyword;

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A quoted `DAY` is surely a column; a bare one may be a unit of time.
        let unit = self.quoted && IntervalUnit::from_word(&self.value).is_some();
        if is_bare(&self.value) && !unit {
            return f.write_str(&self.value);
        }
        write_quoted(f, &self.value)
    }
}

/// True if the name, written without quotes, reads back the same.
pub(super) fn is_bare(name: &str) -> bool {
    !name.bytes().any(|b| b.is_ascii_lowercase()) && is_bare_as_written(name)
}

/// [`is_bare`] where case is kept.
fn is_bare_as_written(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let goes_on = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'@');
    starts && goes_on && !Keyword::from_word(name).is_some_and(has_own_meaning)
}

/// Reserved words, and those free ones that open something of their own in some place.
fn has_own_meaning(word: Keyword) -> bool {
    use Keyword::*;
    word.is_reserved()
        || matches!(
            word,
            Array
                | Map
                | Struct
                | Emit
                | Partition
                | Escape
                | Tables
                | Function
                | Column
                | If
                | Interval
                | Grace
                | Timeout
                | Session
                | Explain
                | Source
                | Sink
                | Type
        )
}

pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    write!(f, "`{}`", name.replace('`', "``"))
}

/// A name whose case is kept even without quotes: topics and subjects.
pub(super) struct AsWritten<'a>(pub &'a Ident);

impl fmt::Display for AsWritten<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match is_bare_as_written(&self.0.value) {
            true => f.write_str(&self.0.value),
            false => write_quoted(f, &self.0.value),
        }
    }
}
