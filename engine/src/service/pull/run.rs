//! Runs a pull query: its logical plan over snapshots of tables and scans of streams, DataFusion's physical plan of
//! that, and its rows.
//!
//! Of DataFusion's optimizer rules only the one for LIMIT runs. The others may move conditions and
//! expressions to where an error means something else (R32), or know nothing of two-valued logic.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result as DfResult, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{
    EmptyRelation, Expr, FetchType, Join, LogicalPlan, TableProviderFilterPushDown, TableScan,
    TableScanBuilder,
};
use datafusion::physical_optimizer::limit_pushdown::LimitPushdown;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;

use futures::StreamExt;
use futures::executor::block_on;
use millrace_sql::analyze::PullPlan;
use millrace_sql::catalog::SourceKind;
use millrace_sql::expr::conjuncts;
use millrace_sql::plan::{ScanNode, as_node};

use super::group::GroupPlanner;
use super::pushdown;
use super::row_safety::RowSafety;
use super::rows::Kept;
use super::snapshot::Snapshot;
use super::stream;
use super::table::{SnapshotTable, external};
use super::too_many;
use crate::error::{EngineError, Result};
use crate::limits::PULL_BATCH_ROWS;
use crate::service::Inner;

/// The answer, batch by batch.
///
/// # Errors
/// A table that cannot be read here and now, and answers beyond the limits.
pub(super) fn rows(inner: &Arc<Inner>, plan: &PullPlan) -> Result<Vec<RecordBatch>> {
    let planned = Planned::new(inner, plan)?;
    planned.rows().map_err(|error| internal(error, inner))
}

/// The physical plan, as text for people.
///
/// # Errors
/// As for [`rows`].
pub(super) fn explain(inner: &Arc<Inner>, plan: &PullPlan) -> Result<String> {
    let planned = Planned::new(inner, plan)?;
    Ok(displayable(planned.physical.as_ref()).indent(false).to_string())
}

struct Planned {
    session: SessionState,
    physical: Arc<dyn ExecutionPlan>,
    rows_max: usize,
}

impl Planned {
    fn new(inner: &Arc<Inner>, plan: &PullPlan) -> Result<Self> {
        let planned = || -> DfResult<Self> {
            let tables = Tables { inner, plan };
            let logical = tables.over(&plan.plan, &Above::default())?;
            let session = session(inner)?;
            let groups = Arc::new(GroupPlanner);
            let planner = DefaultPhysicalPlanner::with_extension_planners(vec![groups]);
            let physical = block_on(planner.create_physical_plan(&logical, &session))?;
            Ok(Planned { session, physical, rows_max: inner.limits.pull_rows_max })
        };
        planned().map_err(|error| internal(error, inner))
    }

    fn rows(&self) -> DfResult<Vec<RecordBatch>> {
        let mut stream = self.physical.execute(0, self.session.task_ctx())?;
        let (mut rows, mut count) = (Vec::new(), 0);
        while let Some(batch) = block_on(stream.next()) {
            let batch = batch?;
            count += batch.num_rows();
            if count > self.rows_max {
                return Err(external(too_many(self.rows_max)));
            }
            rows.push(batch);
        }
        Ok(rows)
    }
}

/// One thread, bounded memory, no spilling, and no rules but those that are safe.
fn session(inner: &Inner) -> DfResult<SessionState> {
    let mut config =
        SessionConfig::new().with_target_partitions(1).with_batch_size(PULL_BATCH_ROWS);
    config.options_mut().optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    let no_disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(inner.limits.pull_memory_bytes, 1.0)
        .with_disk_manager_builder(no_disk)
        .build_arc()?;
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_analyzer_rules(vec![])
        .with_optimizer_rules(vec![])
        .with_physical_optimizer_rules(vec![Arc::new(RowSafety), Arc::new(LimitPushdown::new())])
        .build())
}

/// Puts snapshots in the place of scans.
struct Tables<'a> {
    inner: &'a Arc<Inner>,
    plan: &'a PullPlan,
}

/// What the nodes above a scan want of it.
#[derive(Default, Clone)]
struct Above {
    /// Conditions that all rows must meet which get into the answer.
    conditions: Vec<Expr>,
    /// Any rows that meet the conditions will do, and so many are enough.
    limit: Option<usize>,
}

impl Tables<'_> {
    fn over(&self, plan: &LogicalPlan, above: &Above) -> DfResult<LogicalPlan> {
        if let Some(scan) = as_node::<ScanNode>(plan) {
            return Ok(LogicalPlan::TableScan(self.table(scan, above)?));
        }
        let mut below = Above::default();
        match plan {
            LogicalPlan::Join(join) => return self.over_join(plan, join, above),
            LogicalPlan::Limit(limit) => {
                match limit.get_fetch_type()? {
                    // DataFusion's sorting does not take it.
                    FetchType::Literal(Some(0)) => return Ok(nothing(plan)),
                    FetchType::Literal(fetch) => below.limit = fetch,
                    FetchType::UnsupportedExpr => {}
                }
            }
            LogicalPlan::Projection(projection) => {
                below.limit = above.limit;
                below.conditions = pushdown::below(&above.conditions, projection)?;
            }
            LogicalPlan::Filter(filter) => {
                below = above.clone();
                below.conditions.extend(conjuncts(&filter.predicate).into_iter().cloned());
            }
            _ => {}
        }
        let child = |child: LogicalPlan| self.over(&child, &below).map(Transformed::yes);
        Ok(plan.clone().map_children(child)?.data)
    }

    fn over_join(&self, plan: &LogicalPlan, join: &Join, above: &Above) -> DfResult<LogicalPlan> {
        let child = |child: LogicalPlan| {
            let conditions = pushdown::of_side(&above.conditions, join, &child)?;
            self.over(&child, &Above { conditions, limit: None }).map(Transformed::yes)
        };
        Ok(plan.clone().map_children(child)?.data)
    }

    fn table(&self, scan: &ScanNode, above: &Above) -> DfResult<TableScan> {
        let name = &scan.source.name;
        let source = match scan.source.kind {
            SourceKind::Stream => provider_as_source(Arc::new(stream::table(self.inner, scan)?)),
            SourceKind::Table => {
                let table = self.snapshot(scan).map_err(external)?;
                provider_as_source(Arc::new(SnapshotTable::new(table)))
            }
        };
        let conditions: Vec<&Expr> = above.conditions.iter().collect();
        let supported = source.supports_filters_pushdown(&conditions)?;
        let seeks = conditions.into_iter().zip(supported);
        let seeks = seeks.filter(|(_, how)| *how != TableProviderFilterPushDown::Unsupported);
        let mut table = TableScanBuilder::new(TableReference::bare(name.as_str()), source)
            .with_filters(seeks.map(|(condition, _)| condition.clone()).collect())
            .with_fetch(above.limit)
            .build()?;
        // The plan names columns by themselves.
        table.projected_schema = scan.schema.clone();
        Ok(table)
    }

    fn snapshot(&self, scan: &ScanNode) -> Result<Snapshot> {
        let name = &scan.source.name;
        let id = self.plan.tables.get(name);
        let id = id.ok_or_else(|| EngineError::Bug(format!("no query keeps {name}")))?;
        let query = self
            .inner
            .registry
            .get(id)
            .ok_or_else(|| EngineError::User(format!("query {id} has just been terminated")))?;
        if let Some(reason) = query.status.failure() {
            return Err(stopped(name, id, &reason));
        }
        let kept = Kept::of(&query)?;
        Ok(Snapshot { inner: self.inner.clone(), query, kept, scan: scan.clone() })
    }
}

/// What a stopped query has kept would be taken for what the table is now.
fn stopped(table: &str, query: &str, reason: &str) -> EngineError {
    EngineError::User(format!(
        "the table {table} is out of date: its query {query} is not in a running state, but in state \
         ERROR.\n{reason}\nEXPLAIN {query} tells whether it runs again"
    ))
}

/// No rows of a plan.
fn nothing(plan: &LogicalPlan) -> LogicalPlan {
    let schema = plan.schema().clone();
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })
}

/// Our own error if it is one.
fn internal(error: DataFusionError, inner: &Inner) -> EngineError {
    match error.find_root() {
        DataFusionError::External(cause) => match cause.downcast_ref::<EngineError>() {
            Some(ours) => ours.clone(),
            None => EngineError::Bug(format!("a pull query: {cause}")),
        },
        DataFusionError::ResourcesExhausted(_) => EngineError::User(format!(
            "the query needs more than {} MB of memory to sort, join or group; narrow it",
            inner.limits.pull_memory_bytes >> 20
        )),
        _ => EngineError::from(error),
    }
}
