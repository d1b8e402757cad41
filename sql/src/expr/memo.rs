//! Compiled regexes, kept per thread: patterns are nearly always constants of the statement.

use std::cell::RefCell;

use hashbrown::{Equivalent, HashMap};
use regex::{Regex, RegexBuilder};

use super::frame::Fault;

/// Patterns kept per thread; all are dropped when there are more.
const REGEXES_MAX: usize = 64;

/// The largest compiled regex.
const REGEX_SIZE_MAX_BYTES: usize = 1 << 20;

thread_local! {
    static REGEXES: RefCell<HashMap<(Box<str>, u32), Regex>> = RefCell::new(HashMap::new());
}

/// A key that need not be owned.
#[derive(Hash)]
struct KeyRef<'a>(&'a str, u32);

impl Equivalent<(Box<str>, u32)> for KeyRef<'_> {
    fn equivalent(&self, key: &(Box<str>, u32)) -> bool {
        (self.0, self.1) == (&*key.0, key.1)
    }
}

/// Runs `f` with the regex whose text `source` gives. `key` identifies it: the pattern and what
/// else the text depends on.
pub(crate) fn with_regex<R>(
    key: (&str, u32),
    source: impl FnOnce() -> String,
    f: impl FnOnce(&Regex) -> R,
) -> Result<R, Fault> {
    REGEXES.with_borrow_mut(|regexes| {
        if let Some(regex) = regexes.get(&KeyRef(key.0, key.1)) {
            return Ok(f(regex));
        }
        let regex = compile(&source())?;
        if regexes.len() >= REGEXES_MAX {
            regexes.clear();
        }
        let result = f(&regex);
        regexes.insert((key.0.into(), key.1), regex);
        Ok(result)
    })
}

fn compile(source: &str) -> Result<Regex, Fault> {
    let regex = RegexBuilder::new(source).size_limit(REGEX_SIZE_MAX_BYTES).build();
    regex.map_err(|error| Fault::Owned(format!("invalid pattern: {error}")))
}
