//! Bounds of what Pinot and Druid are waited for.

use std::time::Duration;

/// One call. Making a table over a large topic takes Pinot some seconds.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A call that only asks how a table is.
pub const STATE_TIMEOUT: Duration = Duration::from_secs(5);
/// Until a new table reads its topic, or the tasks of a deleted one have ended.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);
pub const READY_PAUSE: Duration = Duration::from_millis(250);
/// Longest answer that is read.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How much of an answer an error repeats.
pub const SHOWN_CHARS_MAX: usize = 400;
