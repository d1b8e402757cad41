//! Our expressions inside a plan that DataFusion runs: each stands in its operator as a whole, so
//! that errors stay in their row (R32). A row that cannot be computed is NULL, and a condition that
//! is NULL does not hold.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use super::eval::{Evaluator, lower};

/// A whole expression of an operator.
#[derive(Debug)]
struct RowSafe {
    root: Arc<dyn PhysicalExpr>,
}

/// The expression such that an error makes the value of its row NULL and goes no further. Columns
/// and literals have no errors and stay as they are.
///
/// # Errors
/// When DataFusion cannot rewrite the expression.
pub fn row_safe(expr: Arc<dyn PhysicalExpr>) -> DfResult<Arc<dyn PhysicalExpr>> {
    let plain = expr.is::<Column>() || expr.is::<Literal>() || expr.is::<RowSafe>();
    if plain {
        return Ok(expr);
    }
    Ok(Arc::new(RowSafe { root: expr.transform_up(lower)?.data }))
}

impl PartialEq for RowSafe {
    fn eq(&self, other: &Self) -> bool {
        self.root.eq(&other.root)
    }
}

impl Eq for RowSafe {}

impl Hash for RowSafe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.root.hash(state);
    }
}

impl fmt::Display for RowSafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.root, f)
    }
}

impl PhysicalExpr for RowSafe {
    fn return_field(&self, input: &Schema) -> DfResult<FieldRef> {
        let field = self.root.return_field(input)?;
        Ok(Arc::new(Field::new(field.name(), field.data_type().clone(), true)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        let column = Evaluator::of(self.root.clone()).column(batch, &mut Vec::new());
        column.map(ColumnarValue::Array).map_err(|error| DataFusionError::Execution(error.message))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.root]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(RowSafe { root: children.pop().unwrap_or_else(|| self.root.clone()) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt_sql(f)
    }
}
