//! Operators: synchronous, no I/O, no clock. Batches and a state view in, batches out.

pub mod aggregate;
mod args;
pub mod cache;
pub mod expiry;
pub mod filter;
pub mod flat_map;
pub mod foreign;
pub mod input;
pub mod joins;
pub mod keep;
pub mod olap;
pub mod olap_delta;
mod olap_text;
pub mod project;
mod slots;
#[cfg(test)]
pub(crate) mod testing;

use arrow::array::RecordBatch;
use millrace_sql::expr::RowError;

use crate::batch::Batch;
use crate::error::Result;
use crate::format::RejectKind;
use crate::lineage::Passed;
use crate::operators::expiry::Expiry;
use crate::state::StateView;

/// One step of a task's pipeline. A batch is an optimisation: any split of the input into batches
/// must give the same rows in the same order (with coalescing off).
pub trait Operator: Send {
    /// Takes a batch on input `port` (0, or 0 = left and 1 = right for joins).
    fn push(&mut self, port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()>;

    /// Which rows of the last batch were handed on. Whoever changes what a row is says others.
    fn passed(&self) -> Passed<'_> {
        Passed::Others
    }

    /// Called before each commit: hand out what was held back, write state.
    fn flush(&mut self, ctx: &mut StepContext<'_>) -> Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// What must survive a crash besides stores: stream time, emitted-up-to mark (R4).
    fn progress(&self) -> Vec<i64> {
        Vec::new()
    }

    /// Restores what [`Operator::progress`] gave.
    fn restore(&mut self, progress: &[i64]) {
        let _ = progress;
    }

    /// Forgets everything held in memory: the transaction was aborted; committed state is in the
    /// stores and in the progress given to `restore` next.
    fn reset(&mut self);

    /// When rows expire here by the task's stream time, which others' rows move too; `None`: they do
    /// not.
    fn expiry(&self) -> Option<&Expiry> {
        None
    }

    /// The task's stream time is `now`: does what is due, about `max` rows of it at most. Gives how
    /// many it looked at; `max` or more when there may be more.
    fn advance(&mut self, now: i64, max: usize, ctx: &mut StepContext<'_>) -> Result<usize> {
        let _ = (now, max, ctx);
        Ok(0)
    }

    /// Stream time at which something closes here that no row has closed yet; `i64::MAX`: nothing does.
    /// It may be too early.
    fn next_close(&self, state: &dyn StateView) -> Result<i64> {
        let _ = state;
        Ok(i64::MAX)
    }

    /// Stream time has come to `now` without a row: hands out what is closed by it.
    fn close(&mut self, now: i64, ctx: &mut StepContext<'_>) -> Result<()> {
        let _ = (now, ctx);
        Ok(())
    }

    /// How far rows that it hands out may be behind stream time, in milliseconds, because they waited
    /// for others.
    fn hold_ms(&self) -> i64 {
        0
    }

    /// Rows that the next flush will write to stores or hand out, roughly, for limits.
    fn owed_rows(&self) -> usize {
        0
    }
}

/// What an operator may touch during a step.
pub struct StepContext<'a> {
    pub state: &'a mut dyn StateView,
    /// Where output goes.
    pub out: &'a mut Vec<Batch>,
    /// Where the second output goes, of operators that have one.
    pub aside: &'a mut Vec<Batch>,
    /// Rows that were dropped or nulled, with why.
    pub rejects: &'a mut Vec<RowReject>,
    /// False: every change is emitted (commit interval or cache 0); true: changes of a key may be
    /// merged until `flush`.
    pub coalesce: bool,
    /// Rows that were dropped because their window had closed.
    pub late_records: &'a mut u64,
}

/// A row that an operator could not use, or used with a column nulled.
#[derive(Debug, Clone)]
pub struct RowReject {
    pub kind: RejectKind,
    pub reason: String,
    /// The row's event time.
    pub time_ms: i64,
    /// The row as one-row batch, for the log.
    pub row: Option<RecordBatch>,
    /// Its index in the batch that the operator was given, where it is known.
    pub row_index: Option<usize>,
    /// Its index in the batch of the task's input, where it is known.
    pub origin: Option<usize>,
}

/// Tells the rows of a batch that could not be evaluated.
pub fn row_rejects(
    errors: Vec<RowError>,
    rows: &RecordBatch,
    times: &[i64],
    rejects: &mut Vec<RowReject>,
) {
    rejects.extend(errors.into_iter().map(|error| RowReject {
        kind: RejectKind::Processing,
        reason: error.message,
        time_ms: times.get(error.row).copied().unwrap_or(-1),
        row: (error.row < rows.num_rows()).then(|| rows.slice(error.row, 1)),
        row_index: Some(error.row),
        origin: None,
    }));
}
