//! Faults put in on purpose, so that tests can prove that they would see them. Chosen by the
//! environment variable `MILLRACE_MUTANT`; a build without debug assertions has none.

use std::sync::OnceLock;
use std::time::Duration;

/// A way to break exactly-once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Positions are written outside of the transaction, as records are taken in.
    PositionsOutside,
    /// State is written to disk before the transaction has committed.
    StateBeforeCommit,
    /// Recovery reads progress only to where the log ended before the writer was opened.
    ProgressBeforeInit,
    /// A poll that gives nothing is taken as the end of a restore.
    EndOfPartition,
    /// Changelogs of windows are purged up to where they are applied, live windows and all.
    PurgeLive,
    /// What a broker forgot to decide is dropped, also that of transactions that were committed.
    DropForgotten,
}

/// The mutant that this process runs, if any.
pub fn active() -> Option<Mutant> {
    static ACTIVE: OnceLock<Option<Mutant>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return None;
    }
    *ACTIVE.get_or_init(|| match std::env::var("MILLRACE_MUTANT").as_deref() {
        Ok("positions-outside") => Some(Mutant::PositionsOutside),
        Ok("state-before-commit") => Some(Mutant::StateBeforeCommit),
        Ok("progress-before-init") => Some(Mutant::ProgressBeforeInit),
        Ok("end-of-partition") => Some(Mutant::EndOfPartition),
        Ok("purge-live") => Some(Mutant::PurgeLive),
        Ok("drop-forgotten") => Some(Mutant::DropForgotten),
        _ => None,
    })
}

/// How long a mutant waits where its fault can be seen, so that kills land there; milliseconds of
/// the environment variable `MILLRACE_MUTANT_PAUSE`, else none.
pub fn pause() -> Duration {
    static PAUSE: OnceLock<Duration> = OnceLock::new();
    *PAUSE.get_or_init(|| {
        let given = std::env::var("MILLRACE_MUTANT_PAUSE").ok();
        Duration::from_millis(given.and_then(|ms| ms.parse().ok()).unwrap_or_default())
    })
}
