//! A materialised table as DataFusion sees it: a provider that turns conditions on keys and window
//! bounds into seeks, and the operator that reads.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::stream;
use millrace_sql::lookup::{Bounds, Keys, Lookup, Seekable};
use std::ops::Bound;

use super::snapshot::{Snapshot, SnapshotRows};
use crate::error::EngineError;

/// The committed rows of a table.
pub(super) struct SnapshotTable {
    snapshot: Arc<Snapshot>,
    seekable: Seekable,
    schema: SchemaRef,
}

impl SnapshotTable {
    pub fn new(snapshot: Snapshot) -> Self {
        let seekable = Seekable::of(&snapshot.scan);
        let schema = Arc::new(snapshot.scan.schema.as_arrow().clone());
        SnapshotTable { snapshot: Arc::new(snapshot), seekable, schema }
    }
}

impl fmt::Debug for SnapshotTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotTable {}", self.snapshot.scan.source.name)
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A seek gives no row too few, but it may give more than the condition holds for.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let seeks = |filter: &&Expr| match self.seekable.can_use(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(seeks).collect())
    }

    /// `limit`: the reader may stop after so many rows.
    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        if projection.is_some() {
            let message = "a snapshot gives all columns of its scan";
            return Err(DataFusionError::Internal(message.to_owned()));
        }
        let filters: Vec<&Expr> = filters.iter().collect();
        let lookup = self.seekable.lookup(&filters);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(self.schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Ok(Arc::new(SnapshotExec { snapshot: self.snapshot.clone(), lookup, limit, properties }))
    }
}

/// Reads the rows of a snapshot, batch by batch.
struct SnapshotExec {
    snapshot: Arc<Snapshot>,
    lookup: Lookup,
    /// The reader may stop after so many rows: only what it takes is read.
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for SnapshotExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotExec").field("lookup", &self.lookup).finish_non_exhaustive()
    }
}

impl DisplayAs for SnapshotExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotExec: {}", self.snapshot.scan.source.name)?;
        match &self.lookup.keys {
            Keys::All => f.write_str(", all keys")?,
            Keys::Exact(keys) => write!(f, ", {} keys sought", keys.len())?,
            Keys::Range(bounds) => write!(f, ", keys {}", shown(bounds))?,
        }
        let windows =
            [("WINDOWSTART", &self.lookup.window_start), ("WINDOWEND", &self.lookup.window_end)];
        for (name, bounds) in windows {
            if *bounds != Bounds::default() {
                write!(f, ", {name} {}", shown(bounds))?;
            }
        }
        match self.limit {
            Some(_) => f.write_str(", page by page"),
            None => Ok(()),
        }
    }
}

fn shown<T: fmt::Display>(bounds: &Bounds<T>) -> String {
    let low = match &bounds.low {
        Bound::Included(value) => format!("[{value}"),
        Bound::Excluded(value) => format!("({value}"),
        Bound::Unbounded => "(".to_owned(),
    };
    let high = match &bounds.high {
        Bound::Included(value) => format!("{value}]"),
        Bound::Excluded(value) => format!("{value})"),
        Bound::Unbounded => ")".to_owned(),
    };
    format!("in {low}, {high}")
}

impl ExecutionPlan for SnapshotExec {
    fn name(&self) -> &str {
        "SnapshotExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let rows = SnapshotRows::new(self.snapshot.clone(), &self.lookup, self.limit);
        let rows = rows.map_err(external)?.map(|rows| rows.map_err(external));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::iter(rows))))
    }
}

/// An error of ours on its way through DataFusion.
pub(super) fn external(error: EngineError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
