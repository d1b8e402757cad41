//! The transaction that a lane is filling.

use std::collections::HashSet;
use std::time::Duration;

use crate::ids::Tp;
use crate::processing_log::LogEntry;

/// What a lane knows of it.
#[derive(Debug, Default)]
pub(crate) struct Txn {
    /// When the first record was taken in.
    pub(crate) since: Option<Duration>,
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) partitions: HashSet<Tp>,
    pub(crate) log: Vec<LogEntry>,
    /// A header must be written even if nothing else is.
    pub(crate) header_due: bool,
    pub(crate) number: u64,
}
