//! Places in the text and identifiers.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::error::Span;

/// Where a node stands in the text. All values compare equal: a place is not part of the meaning.
#[derive(Clone, Copy, Default)]
pub struct Loc(pub Span);

impl Loc {
    /// The smallest place that covers both.
    pub fn to(self, other: Loc) -> Loc {
        Loc(self.0.to(other.0))
    }
}

impl From<Span> for Loc {
    fn from(span: Span) -> Self {
        Loc(span)
    }
}

impl From<Loc> for Span {
    fn from(loc: Loc) -> Self {
        loc.0
    }
}

impl PartialEq for Loc {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Loc {}

impl Hash for Loc {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Loc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start, self.0.end)
    }
}

/// A name as it counts: upper-cased unless it was quoted. Compares by `value` alone.
#[derive(Debug, Clone)]
pub struct Ident {
    pub value: String,
    /// Written in back-ticks or double quotes.
    pub quoted: bool,
    pub loc: Loc,
}

impl Ident {
    /// A name that stands nowhere in a text, taken as is.
    pub fn new(value: impl Into<String>) -> Self {
        Ident { value: value.into(), quoted: false, loc: Loc::default() }
    }

    /// Its byte range in the text.
    pub fn span(&self) -> Span {
        self.loc.0
    }
}

impl PartialEq for Ident {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Ident {}

impl Hash for Ident {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
