//! Compiled regexes, kept per thread: patterns are nearly always constants of the statement.

use std::cell::RefCell;
use std::thread::LocalKey;

use hashbrown::{Equivalent, HashMap};
use regex::{Regex, RegexBuilder};

use super::frame::Fault;
use super::java_regex::{JavaRegex, REGEX_SIZE_MAX_BYTES};

/// Patterns of each kind that are kept per thread; all are dropped when there are more.
const REGEXES_MAX: usize = 64;

type Memo<T> = RefCell<HashMap<(Box<str>, u32), T>>;

thread_local! {
    static REGEXES: Memo<Regex> = RefCell::new(HashMap::new());
    static JAVA_REGEXES: Memo<JavaRegex> = RefCell::new(HashMap::new());
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
    let compile = || {
        let regex = RegexBuilder::new(&source()).size_limit(REGEX_SIZE_MAX_BYTES).build();
        regex.map_err(|error| Fault::Owned(format!("invalid pattern: {error}")))
    };
    with_kept(&REGEXES, key, compile, f)
}

/// Runs `f` with a pattern of Java's.
pub(crate) fn with_java_regex<R>(
    pattern: &str,
    f: impl FnOnce(&JavaRegex) -> Result<R, Fault>,
) -> Result<R, Fault> {
    with_kept(&JAVA_REGEXES, (pattern, 0), || JavaRegex::new(pattern), f)?
}

fn with_kept<T, R>(
    memo: &'static LocalKey<Memo<T>>,
    key: (&str, u32),
    compile: impl FnOnce() -> Result<T, Fault>,
    f: impl FnOnce(&T) -> R,
) -> Result<R, Fault> {
    memo.with_borrow_mut(|kept| {
        if let Some(regex) = kept.get(&KeyRef(key.0, key.1)) {
            return Ok(f(regex));
        }
        let regex = compile()?;
        if kept.len() >= REGEXES_MAX {
            kept.clear();
        }
        let result = f(&regex);
        kept.insert((key.0.into(), key.1), regex);
        Ok(result)
    })
}
