//! Settings of the embedded log.

use std::time::Duration;

use super::journal::SEGMENT_BYTES_DEFAULT;

/// How the embedded log behaves.
#[derive(Debug, Clone)]
pub struct Options {
    pub durability: Durability,
    /// A transaction that is open for longer is aborted and its writer fenced, as Kafka does
    /// (`transaction.timeout.ms`).
    pub transaction_timeout: Duration,
    /// Files of the journal are closed beyond this size.
    pub segment_bytes_max: u64,
    /// Retention, compaction and transaction time-outs are looked at this often.
    pub housekeeping_every: Duration,
}

/// When written records are made durable. Whatever is chosen, all that was committed survives the
/// end of the process, however it ends, since the operating system has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A commit is reported only after it is on the disk: it survives a loss of power. Commits that
    /// come together share one write.
    Always,
    /// The disk is asked in the background this long after a write: a loss of power takes the
    /// last moments of the whole log, never the middle of it, nor part of a transaction.
    Every(Duration),
}

/// Time between a write and its being made durable, unless configured otherwise.
pub const SYNC_EVERY_DEFAULT: Duration = Duration::from_millis(50);

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::Every(SYNC_EVERY_DEFAULT),
            transaction_timeout: Duration::from_secs(60),
            segment_bytes_max: SEGMENT_BYTES_DEFAULT,
            housekeeping_every: Duration::from_secs(15),
        }
    }
}
