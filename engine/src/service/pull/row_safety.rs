//! Puts our expressions into DataFusion's operators such that an error stays in its row (R32).

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use millrace_sql::expr::row_safe;

/// Makes every condition and every computed column safe. All others of DataFusion's operators are
/// given columns only.
#[derive(Debug)]
pub(super) struct RowSafety;

impl PhysicalOptimizerRule for RowSafety {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(safe)?.data)
    }

    fn name(&self) -> &str {
        "row_safety"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn safe(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let predicate = row_safe(filter.predicate().clone())?;
        let filter = FilterExecBuilder::new(predicate, filter.input().clone())
            .with_batch_size(filter.batch_size())
            .build()?;
        return Ok(Transformed::yes(Arc::new(filter)));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let columns = projection.expr().iter().map(|column| {
            let expr = row_safe(column.expr.clone())?;
            Ok(ProjectionExpr { expr, alias: column.alias.clone() })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let projection = ProjectionExec::try_new(columns, projection.input().clone())?;
        return Ok(Transformed::yes(Arc::new(projection)));
    }
    Ok(Transformed::no(plan))
}
