//! Java's regular expressions: their syntax put into that of Rust's, and what matches.
//!
//! All run in linear time. What needs backtracking (look-around, back-references, atomic groups and
//! possessive quantifiers) is refused.

use regex::{Regex, RegexBuilder};

use super::frame::Fault;

mod class;
mod translate;

use translate::translate;

/// The largest compiled regex.
pub(super) const REGEX_SIZE_MAX_BYTES: usize = 1 << 20;

/// A compiled pattern.
pub(crate) struct JavaRegex(Regex);

/// Where the groups of a match are in the text; the first is the whole match.
pub(crate) type Spans = Vec<Option<(usize, usize)>>;

impl JavaRegex {
    /// # Errors
    /// A pattern that is none, or that has what is not supported.
    pub fn new(pattern: &str) -> Result<Self, Fault> {
        let source = translate(pattern)?;
        let regex = RegexBuilder::new(&source).size_limit(REGEX_SIZE_MAX_BYTES).build();
        regex.map(JavaRegex).map_err(|error| Fault::Owned(format!("invalid pattern: {error}")))
    }

    /// Groups, with the whole match.
    pub fn groups(&self) -> usize {
        self.0.captures_len()
    }

    /// True if the pattern matches nothing, too.
    pub fn matches_nothing(&self) -> bool {
        self.0.is_match("")
    }

    /// The first match at `from` or later; false when there is none.
    pub fn find(&self, text: &str, from: usize, spans: &mut Spans) -> bool {
        spans.clear();
        let mut found = self.0.capture_locations();
        if self.0.captures_read_at(&mut found, text, from).is_none() {
            return false;
        }
        spans.extend((0..found.len()).map(|group| found.get(group)));
        true
    }

    /// Calls `each` with the place of each match, as Java finds one after another: a match of nothing
    /// may follow right behind any other.
    ///
    /// # Errors
    /// What `each` says.
    pub fn each_match(
        &self,
        text: &str,
        mut each: impl FnMut((usize, usize), &Spans) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (mut from, mut spans) = (0, Spans::new());
        while from <= text.len() && self.find(text, from, &mut spans) {
            let Some(Some((start, end))) = spans.first().copied() else { break };
            each((start, end), &spans)?;
            from = match end > start {
                true => end,
                false => end + text[end..].chars().next().map_or(1, char::len_utf8),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
