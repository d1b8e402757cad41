//! Java's regular expressions.
//!
//! Their syntax is put into that of Rust's, and they run in linear time. What needs backtracking
//! (look-around, back-references, atomic groups, possessive quantifiers) runs on a machine that
//! backtracks, for a limited number of steps; so does `$` over the few texts where Rust's is another.

use std::cell::OnceCell;

use regex::{Regex, RegexBuilder};

use super::frame::Fault;

mod class;
mod machine;
mod program;
mod syntax;
mod translate;

use machine::Steps;
use program::Program;
use syntax::is_line_end;
use translate::{Needs, translate};

/// The largest compiled regex.
pub(super) const REGEX_SIZE_MAX_BYTES: usize = 1 << 20;

/// A compiled pattern.
pub(crate) struct JavaRegex {
    pattern: Box<str>,
    needs: Needs,
    /// `None`: the pattern needs backtracking.
    linear: Option<Regex>,
    /// Made when first needed.
    backtracking: OnceCell<Program>,
}

/// Where the groups of a match are in the text; the first is the whole match.
pub(crate) type Spans = Vec<Option<(usize, usize)>>;

impl JavaRegex {
    /// # Errors
    /// A pattern that is none, or that has what is not supported.
    pub fn new(pattern: &str) -> Result<Self, Fault> {
        let translation = translate(pattern)?;
        let needs = translation.needs;
        let mut regex = JavaRegex {
            pattern: pattern.into(),
            needs,
            linear: None,
            backtracking: OnceCell::new(),
        };
        match needs.backtracking {
            true => drop(regex.program()?),
            false => {
                let built =
                    RegexBuilder::new(&translation.source).size_limit(REGEX_SIZE_MAX_BYTES).build();
                let built = built.map_err(|error| format!("invalid pattern: {error}"))?;
                regex.linear = Some(built);
            }
        }
        Ok(regex)
    }

    fn program(&self) -> Result<&Program, Fault> {
        if let Some(program) = self.backtracking.get() {
            return Ok(program);
        }
        let program = Program::new(&syntax::parse(&self.pattern)?)?;
        Ok(self.backtracking.get_or_init(|| program))
    }

    /// Groups, with the whole match.
    ///
    /// # Errors
    /// The pattern is none.
    pub fn groups(&self) -> Result<usize, Fault> {
        match &self.linear {
            Some(linear) => Ok(linear.captures_len()),
            None => self.program().map(|program| program.groups),
        }
    }

    /// True if the pattern matches nothing, too.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn matches_nothing(&self) -> Result<bool, Fault> {
        self.find("", &mut Spans::new())
    }

    /// The first match; false when there is none.
    ///
    /// # Errors
    /// The pattern needs too many steps on this text.
    pub fn find(&self, text: &str, spans: &mut Spans) -> Result<bool, Fault> {
        self.find_from(text, 0, spans, &mut Steps::of_a_row())
    }

    fn find_from(
        &self,
        text: &str,
        from: usize,
        spans: &mut Spans,
        steps: &mut Steps,
    ) -> Result<bool, Fault> {
        spans.clear();
        let linear = self.linear.as_ref().filter(|_| !self.lines_differ(text));
        let Some(linear) = linear else {
            return machine::find(self.program()?, text, from, spans, steps);
        };
        let mut found = linear.capture_locations();
        if linear.captures_read_at(&mut found, text, from).is_none() {
            return Ok(false);
        }
        spans.extend((0..found.len()).map(|group| found.get(group)));
        Ok(true)
    }

    /// Whether the pattern asks for ends that the linear engine has elsewhere in this text.
    fn lines_differ(&self, text: &str) -> bool {
        let Needs { text_end, lines, .. } = self.needs;
        (text_end || lines) && text.ends_with(is_line_end)
            || lines && (text.is_empty() || text.contains(|c| is_line_end(c) && c != '\n'))
    }

    /// Calls `each` with the place of each match, as Java finds one after another: a match of nothing
    /// may follow right behind any other.
    ///
    /// # Errors
    /// What `each` says; the pattern needs too many steps on this text.
    pub fn each_match(
        &self,
        text: &str,
        mut each: impl FnMut((usize, usize), &Spans) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (mut from, mut spans, mut steps) = (0, Spans::new(), Steps::of_a_row());
        while from <= text.len() && self.find_from(text, from, &mut spans, &mut steps)? {
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
