//! Evaluates an expression over a batch, with errors that stay in their row.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, create_physical_expr};

use super::frame::{self, Frame, RowError};
use super::kernel::true_rows;
use super::op::{OpExpr, as_op};
use crate::error::{Result, SqlError};

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Evaluator {
    root: Arc<dyn PhysicalExpr>,
}

impl Evaluator {
    /// Compiles `expr` against the columns of `schema`.
    ///
    /// # Errors
    /// When the expression names a column that the schema does not have.
    pub fn new(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        Ok(Evaluator { root: compile(expr, schema)? })
    }

    /// Of an expression that is compiled already.
    pub(super) fn of(root: Arc<dyn PhysicalExpr>) -> Self {
        Evaluator { root }
    }

    /// The value per row. Rows that could not be computed are NULL and told in `errors`, once.
    ///
    /// # Errors
    /// When the batch does not have the columns of the schema.
    pub fn column(&self, batch: &RecordBatch, errors: &mut Vec<RowError>) -> Result<ArrayRef> {
        let rows = batch.num_rows();
        let evaluate = || self.root.evaluate(batch).and_then(|value| value.into_array(rows));
        let (array, frame) = frame::within(Frame::default(), evaluate);
        let array = frame.null_faulty(array.map_err(internal)?).map_err(|e| internal(e.into()))?;
        errors.extend(frame.into_errors());
        Ok(array)
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
        true_rows(&column).map_err(|error| internal(error.into()))
    }
}

/// The physical form of `expr` over the columns of `schema`.
pub(super) fn compile(expr: &Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
    let props = ExecutionProps::new();
    let context = PhysicalPlanningContext::default();
    let root = create_physical_expr(expr, schema, &props, &context);
    let root = root.and_then(|root| root.transform_up(lower)).map_err(internal)?;
    Ok(root.data)
}

/// Puts our own physical form in the place of a call of one of our operations.
pub(super) fn lower(expr: Arc<dyn PhysicalExpr>) -> DfResult<Transformed<Arc<dyn PhysicalExpr>>> {
    let ours = expr
        .downcast_ref::<ScalarFunctionExpr>()
        .and_then(|call| Some(OpExpr { op: as_op(call.fun())?.clone(), args: call.args().into() }));
    Ok(match ours {
        Some(ours) => Transformed::yes(Arc::new(ours)),
        None => Transformed::no(expr),
    })
}

fn internal(error: DataFusionError) -> SqlError {
    SqlError::invalid(error.strip_backtrace())
}
