//! How near in time rows of two streams must be to meet, and how long they wait.

use super::rows::LEFT;
use crate::error::{EngineError, Result};

/// Buffers are cut into so many buckets of time.
const BUCKETS: i64 = 4;
/// ksqlDB's grace when none is given is this, less the window.
const DEFAULT_GRACE_MS: i64 = 24 * 60 * 60 * 1000;

/// How near rows must be. Milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    before: i64,
    after: i64,
    grace: i64,
    /// Rows without partner are emitted at once.
    pub eager: bool,
}

impl Lengths {
    /// # Errors
    /// `User` when a length is negative.
    pub fn new(before: i64, after: i64, grace: Option<i64>) -> Result<Self> {
        if before < 0 || after < 0 || grace.is_some_and(|grace| grace < 0) {
            let what = format!("WITHIN ({before} ms, {after} ms) cannot be negative");
            return Err(EngineError::User(what));
        }
        let size = before.saturating_add(after);
        let legacy = DEFAULT_GRACE_MS.saturating_sub(size).max(0);
        Ok(Lengths { before, after, grace: grace.unwrap_or(legacy), eager: grace.is_none() })
    }

    /// How long a side keeps its rows.
    pub fn retention(&self) -> i64 {
        self.before.saturating_add(self.after).saturating_add(self.grace)
    }

    /// Length of the buckets of the stores.
    pub fn bucket(&self) -> i64 {
        (self.retention() / BUCKETS).max(1)
    }

    /// How far from a row of `side` its partners lie, back and forth.
    pub fn reach(&self, side: usize) -> (i64, i64) {
        if side == LEFT { (self.before, self.after) } else { (self.after, self.before) }
    }

    /// Last instant at which a row of `side` waits for a partner.
    pub fn close(&self, side: usize, time: i64) -> i64 {
        time.saturating_add(self.reach(side).1).saturating_add(self.grace)
    }
}
