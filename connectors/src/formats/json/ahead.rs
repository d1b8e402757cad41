//! The quick way through an object: members that stand where they stood in the object before, with
//! values that need no closer look. No name is read, no error is made, and where the quick way
//! ends the careful one goes on, from the member that the quick one did not take.

use millrace_engine::codec::builder::{ColumnBuilder, Data};

use super::digits;
use super::value::Node;

/// How a member's plain values are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// Any string or whole number: nobody reads it.
    Any,
    /// A string, kept.
    Text,
    /// A whole number of 64 bits: kept, or only checked.
    Long { kept: bool },
    /// ... of 32 bits
    Int { kept: bool },
}

impl Plain {
    /// How plain values of `node` are taken; `None`: it has none.
    pub fn of(node: &Node, kept: bool) -> Option<Plain> {
        match node {
            Node::String if kept => Some(Plain::Text),
            Node::String => Some(Plain::Any),
            Node::Bigint | Node::Timestamp => Some(Plain::Long { kept }),
            Node::Integer | Node::Date => Some(Plain::Int { kept }),
            _ => None,
        }
    }

    /// Whether the values are kept.
    #[inline]
    pub fn keeps(self) -> bool {
        matches!(self, Plain::Text | Plain::Long { kept: true } | Plain::Int { kept: true })
    }

    /// Takes the value at `at`, into `column` if it is kept: the end of it. `None` when it needs the
    /// careful way; nothing was done then. The text has no escapes and is valid UTF-8.
    #[inline(always)]
    pub fn take(
        self,
        bytes: &[u8],
        at: usize,
        column: Option<&mut ColumnBuilder>,
    ) -> Option<usize> {
        if *bytes.get(at)? == b'"' {
            return self.take_string(bytes, at, column);
        }
        let (value, end) = digits::plain(bytes, at)?;
        match self {
            Plain::Any | Plain::Long { kept: false } => {}
            Plain::Text => return None,
            Plain::Long { kept: true } => match &mut column?.data {
                Data::Int64(values) => values.push(value),
                _ => return None,
            },
            Plain::Int { kept } => {
                let value = i32::try_from(value).ok()?;
                if kept {
                    let Data::Int32(values) = &mut column?.data else { return None };
                    values.push(value);
                }
            }
        }
        Some(end)
    }

    #[inline(always)]
    fn take_string(
        self,
        bytes: &[u8],
        at: usize,
        column: Option<&mut ColumnBuilder>,
    ) -> Option<usize> {
        let body = &bytes[at + 1..];
        let text = match self {
            Plain::Any => None,
            Plain::Text => match &mut column?.data {
                Data::String(text) => Some(text),
                _ => return None,
            },
            Plain::Long { .. } | Plain::Int { .. } => return None,
        };
        let len = memchr::memchr(b'"', body)?;
        if let Some(text) = text {
            text.push(&body[..len]);
        }
        Some(at + len + 2)
    }
}
