//! Limits of the registry's client.

use std::time::Duration;

/// Schemas that are kept by id; then the cache starts anew.
pub const SCHEMAS_MAX: usize = 10_000;
/// Ids that are asked for at a time.
pub const PENDING_MAX: usize = 64;
/// How long the registry may take to answer one call.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries of a call that fails in a way that may pass.
pub const CALL_TRIES_MAX: u32 = 3;
/// Pause before the second try; the next ones wait longer by as much.
pub const CALL_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a statement waits for all calls that it needs.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// An id that the registry does not have is asked for again after this.
pub const MISSING_AGE: Duration = Duration::from_secs(30);
/// Pause before the next try when the registry does not answer.
pub const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The registry is asked how it is at most that often.
pub const PROBE_PAUSE: Duration = Duration::from_secs(5);
/// Bytes of a schema's text, or of the words of a refusal.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Schemas that one schema may refer to, directly or not.
pub const REFERENCES_MAX: usize = 200;
/// References within references.
pub const REFERENCE_DEPTH_MAX: usize = 32;
