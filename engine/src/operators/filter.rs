//! WHERE and HAVING.

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use datafusion::logical_expr::Filter;
use millrace_sql::expr::Evaluator;

use crate::batch::{Batch, Old};
use crate::error::Result;
use crate::lineage::Passed;
use crate::operators::{Operator, RowReject, StepContext, row_rejects};

/// Keeps the rows whose predicate is TRUE. On a table, a row that stops passing is deleted.
pub struct FilterOperator {
    predicate: Evaluator,
    table: bool,
    /// Of the last batch.
    passed: BooleanBuffer,
}

impl FilterOperator {
    pub fn new(filter: &Filter, table: bool) -> Result<Self> {
        let predicate = Evaluator::new(&filter.predicate, filter.input.schema())?;
        Ok(FilterOperator { predicate, table, passed: BooleanBuffer::new_unset(0) })
    }

    fn passes(
        &self,
        rows: &RecordBatch,
        times: &[i64],
        rejects: &mut Vec<RowReject>,
    ) -> Result<BooleanBuffer> {
        let mut errors = Vec::new();
        let passes = self.predicate.predicate(rows, &mut errors)?;
        row_rejects(errors, rows, times, rejects);
        Ok(passes)
    }

    fn push_table(&mut self, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let passes = self.passes(&batch.rows, &batch.times, ctx.rejects)?;
        let live = match &batch.live {
            Some(live) => &passes & live,
            None => passes,
        };
        let (old, keep) = match batch.old {
            // Errors of the old row were told when it was new.
            Some(old) => {
                let passed = self.passes(&old.rows, &batch.times, &mut Vec::new())?;
                let was_live = &passed & &old.live;
                let keep = &live | &was_live;
                (Some(Old { rows: old.rows, live: was_live }), keep)
            }
            // Not knowing what was there, a row that does not pass deletes.
            None => (None, BooleanBuffer::new_set(batch.times.len())),
        };
        let batch = Batch { live: Some(live), old, ..batch };
        ctx.out.push(batch.filter(&keep)?);
        self.passed = keep;
        Ok(())
    }
}

impl Operator for FilterOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        if self.table {
            return self.push_table(batch, ctx);
        }
        let mut keep = self.passes(&batch.rows, &batch.times, ctx.rejects)?;
        // A stream's record without a value is no fact.
        if let Some(live) = &batch.live {
            keep = &keep & live;
        }
        ctx.out.push(batch.filter(&keep)?);
        self.passed = keep;
        Ok(())
    }

    fn passed(&self) -> Passed<'_> {
        Passed::These(&self.passed)
    }

    fn reset(&mut self) {}
}
