//! What a test leaves out, told past the capture of its output: a test that passes shows nothing else.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Says on standard error what is not tested in this run and why, and counts it.
pub fn skipped(what: &str) {
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    // The macros that print are captured, a handle is not.
    let _ = writeln!(std::io::stderr(), "skipped ({count} in this run): {what}");
}
