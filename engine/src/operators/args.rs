//! Arguments of functions: columns of the input, or expressions over them.

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use millrace_sql::expr::Evaluator;

use super::{StepContext, row_rejects};
use crate::error::Result;

/// One argument.
pub(super) enum Arg {
    Column(usize),
    Computed(Evaluator),
}

impl Arg {
    /// # Errors
    /// `User` when the expression does not fit the schema.
    pub fn new(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        if let Expr::Column(column) = expr
            && let Some(i) = schema.maybe_index_of_column(column)
        {
            return Ok(Arg::Column(i));
        }
        Ok(Arg::Computed(Evaluator::new(expr, schema)?))
    }

    /// The values per row; rows that cannot be computed are NULL and reported.
    pub fn evaluate(
        &self,
        rows: &RecordBatch,
        times: &[i64],
        ctx: &mut StepContext<'_>,
    ) -> Result<ArrayRef> {
        let evaluator = match self {
            Arg::Column(i) => return Ok(rows.column(*i).clone()),
            Arg::Computed(evaluator) => evaluator,
        };
        let mut errors = Vec::new();
        let values = evaluator.column(rows, &mut errors)?;
        row_rejects(errors, rows, times, ctx.rejects);
        Ok(values)
    }
}
