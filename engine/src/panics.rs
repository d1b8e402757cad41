//! A panic is a bug. It must not end a thread with all the lanes that it steps.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{EngineError, Result};

/// What `work` says; a panic of it is a failure. What it was changing may be half changed then: the
/// caller must throw that away.
///
/// # Errors
/// `Panic`, and what `work` fails of.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = text(panic.as_ref());
        Err(EngineError::Panic(format!("a panic: {what}; please report it with the server's log")))
    })
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_panic_is_a_failure() {
        type Work = fn() -> Result<i32>;
        let cases: [(Work, Result<i32, &str>); 5] = [
            (|| Ok(1), Ok(1)),
            (|| Err(EngineError::Bug("x".to_owned())), Err("bug: x")),
            (|| panic!("plain"), Err("bug: a panic: plain;")),
            (|| panic!("number {}", 7), Err("bug: a panic: number 7;")),
            (|| std::panic::panic_any(7), Err("bug: a panic: no message;")),
        ];
        for (work, want) in cases {
            match (caught(work), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want),
                (Err(error), Err(want)) => {
                    assert!(error.to_string().starts_with(want), "{error}");
                    assert_eq!(error.kind(), Kind::Bug);
                }
                (got, want) => panic!("{got:?}, not {want:?}"),
            }
        }
    }
}
