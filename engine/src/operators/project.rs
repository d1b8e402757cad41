//! SELECT: computes the columns of the result.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::Projection;
use millrace_sql::expr::Evaluator;

use crate::batch::{Batch, Old};
use crate::error::Result;
use crate::operators::{Operator, RowReject, StepContext, row_rejects};

/// Evaluates one expression per output column; a value that cannot be computed is NULL and told.
pub struct ProjectOperator {
    columns: Vec<Evaluator>,
    schema: SchemaRef,
}

impl ProjectOperator {
    pub fn new(projection: &Projection) -> Result<Self> {
        let input = projection.input.schema();
        let columns: Result<Vec<Evaluator>> =
            projection.expr.iter().map(|expr| Ok(Evaluator::new(expr, input)?)).collect();
        let schema = Arc::new(projection.schema.as_arrow().clone());
        Ok(ProjectOperator { columns: columns?, schema })
    }

    /// The projected rows.
    pub fn project(
        &self,
        rows: &RecordBatch,
        times: &[i64],
        rejects: &mut Vec<RowReject>,
    ) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for evaluator in &self.columns {
            let mut errors = Vec::new();
            columns.push(evaluator.column(rows, &mut errors)?);
            row_rejects(errors, rows, times, rejects);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl Operator for ProjectOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let rows = match &batch.live {
            None => self.project(&batch.rows, &batch.times, ctx.rejects)?,
            // What cannot be computed of a tombstone's absent columns is nobody's error.
            Some(live) => {
                let mut rejects = Vec::new();
                let rows = self.project(&batch.rows, &batch.times, &mut rejects)?;
                let at = |r: &RowReject| r.row_index.is_none_or(|row| live.value(row));
                ctx.rejects.extend(rejects.into_iter().filter(at));
                rows
            }
        };
        let old = match batch.old {
            Some(old) => {
                let rows = self.project(&old.rows, &batch.times, &mut Vec::new())?;
                Some(Old { rows, live: old.live })
            }
            None => None,
        };
        ctx.out.push(Batch { rows, times: batch.times, live: batch.live, old });
        Ok(())
    }

    fn reset(&mut self) {}
}
