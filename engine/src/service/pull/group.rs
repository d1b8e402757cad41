//! GROUP BY in a pull query: our own aggregates, so that types, NULLs and results are those of a
//! continuous query.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use millrace_sql::plan::AggregateNode;

use super::table::external;
use crate::limits::PULL_BATCH_ROWS;
use crate::operators::aggregate::OnceAggregate;

/// Plans aggregations.
pub(super) struct GroupPlanner;

#[async_trait]
impl ExtensionPlanner for GroupPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
        let node = node.as_any().downcast_ref::<AggregateNode>();
        let (Some(node), [input]) = (node, physical_inputs) else { return Ok(None) };
        Ok(Some(Arc::new(GroupExec::new(node.clone(), input.clone()))))
    }
}

/// Takes in all rows, then gives a row per group.
#[derive(Debug)]
struct GroupExec {
    node: AggregateNode,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl GroupExec {
    fn new(node: AggregateNode, input: Arc<dyn ExecutionPlan>) -> Self {
        let schema = Arc::new(node.schema.as_arrow().clone());
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        GroupExec { node, input, properties }
    }
}

impl DisplayAs for GroupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.node.input.schema();
        let group = self.node.group.iter().map(|i| schema.field(*i).name().as_str());
        let calls = self.node.calls.iter().map(|call| call.function.as_str());
        let (group, calls) = (group.collect::<Vec<_>>(), calls.collect::<Vec<_>>());
        write!(f, "GroupExec: by=[{}], calls=[{}]", group.join(", "), calls.join(", "))
    }
}

impl ExecutionPlan for GroupExec {
    fn name(&self) -> &str {
        "GroupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| self.input.clone());
        Ok(Arc::new(GroupExec::new(self.node.clone(), input)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("GroupExec").register(context.memory_pool());
        let groups = OnceAggregate::new(&self.node).map_err(external)?;
        let input = self.input.execute(partition, context)?;
        let rows = stream::once(grouped(groups, input, memory)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

async fn grouped(
    mut groups: OnceAggregate,
    mut input: SendableRecordBatchStream,
    memory: MemoryReservation,
) -> DfResult<impl Stream<Item = DfResult<RecordBatch>>> {
    while let Some(rows) = input.next().await {
        groups.add(&rows?).map_err(external)?;
        memory.try_resize(groups.memory_bytes())?;
    }
    let batches = (0..groups.len()).step_by(PULL_BATCH_ROWS).map(move |from| {
        let to = groups.len().min(from + PULL_BATCH_ROWS);
        // The memory counts as long as the groups are there.
        let _ = &memory;
        groups.groups(from..to).map_err(external)
    });
    Ok(stream::iter(batches))
}
