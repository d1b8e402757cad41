//! The plan of a query: a DataFusion `LogicalPlan` of stock projections and filters and the nodes
//! below, which carry what streams add. Roles (key, table, window) live in these nodes and never in
//! Arrow field metadata, which projections drop. All fields are nullable.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::scalar::ScalarValue;

use crate::catalog::{KeyWindow, Source};
use crate::types::SqlType;

mod olap;
pub use olap::OlapNode;

/// A planned query, ready for the engine.
#[derive(Debug, Clone)]
pub struct QueryPlan {
    /// For a persistent query the root is a [`SinkNode`]; for a push query it is any node.
    pub plan: LogicalPlan,
    /// Names of the sources read, in order of first mention.
    pub reads: Vec<String>,
    /// Whether rows of the result replace each other by key.
    pub result: ResultKind,
    /// Positions of the key columns in the root's schema.
    pub key: Vec<usize>,
    /// `LIMIT n` of a push query.
    pub limit: Option<u64>,
    /// Stream time goes on with the clock when no record has come for so long.
    pub idle_close_ms: Option<i64>,
}

/// What the result of a plan node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultKind {
    Stream,
    Table,
}

/// A window of an aggregation. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    pub kind: WindowKind,
    /// How long after the window's end a record is still taken.
    pub grace_ms: i64,
    /// How long the store keeps a window, from its start; at least size + grace.
    pub retention_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowKind {
    Tumbling { size_ms: i64 },
    Hopping { size_ms: i64, advance_ms: i64 },
    Session { gap_ms: i64 },
}

/// Hopping windows that one row may be in: each is a row of state, and of the output. Enough for a
/// day that advances by a minute.
pub const WINDOWS_PER_ROW_MAX: i64 = 2000;

impl WindowKind {
    /// How many windows hold a row, at most. Lengths are positive.
    pub fn windows_per_row(&self) -> i64 {
        match self {
            WindowKind::Hopping { size_ms, advance_ms } => (size_ms - 1) / (*advance_ms).max(1) + 1,
            WindowKind::Tumbling { .. } | WindowKind::Session { .. } => 1,
        }
    }
}

impl Window {
    /// How the window appears in the keys of a sink topic.
    pub fn key_window(&self) -> KeyWindow {
        match self.kind {
            WindowKind::Tumbling { size_ms } => KeyWindow::Time { size_ms, hopping: false },
            WindowKind::Hopping { size_ms, .. } => KeyWindow::Time { size_ms, hopping: true },
            WindowKind::Session { .. } => KeyWindow::Session,
        }
    }
}

/// One column that a scan hands out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ScanColumn {
    /// Index into `Source::columns`.
    Declared(usize),
    Rowtime,
    Rowpartition,
    Rowoffset,
    WindowStart,
    WindowEnd,
}

/// Reads a source. Emits its key columns always, and those others that the plan needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanNode {
    /// ksqlDB's step name: `KsqlTopic`, `KafkaTopic_Left`, `KafkaTopic_Right`, ...
    pub step: String,
    pub source: Arc<Source>,
    pub columns: Vec<ScanColumn>,
    /// A table that is looked up or whose old values are needed keeps a store (`<step>-Reduce`).
    pub materialized: bool,
    /// One field per entry of `columns`, with the names that the plan above uses.
    pub schema: DFSchemaRef,
}

/// Sends rows through an internal topic so that equal keys meet in one task.
/// The schema is the input's; rows whose key is NULL are dropped when `drop_null_keys`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepartitionNode {
    pub input: LogicalPlan,
    /// `Aggregate-GroupBy`, `Join-left`, `Join-right`, ...: topic `<app id>-<step>-repartition`.
    pub step: String,
    /// Columns of the input that form the new key, in order.
    pub key: Vec<usize>,
    /// Source whose key format decides the key bytes (and so the partition) and partition count.
    pub key_format: crate::catalog::FormatSpec,
    pub partitions: u32,
    pub drop_null_keys: bool,
    /// Column (INT) that says to which partition a row goes, instead of its key.
    pub to_partition: Option<usize>,
}

/// Gives a row per item of lists, zipped: as many as the longest has, the others padded with NULL.
/// Schema: the input's columns, then one per list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlatMapNode {
    pub input: LogicalPlan,
    /// Calls of table functions, each giving the ARRAY of its rows' values.
    pub lists: Vec<Expr>,
    pub schema: DFSchemaRef,
}

/// One aggregate call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AggregateCall {
    /// Upper-case registry name, e.g. `COUNT`.
    pub function: String,
    /// Per-row arguments (columns of the input, or expressions over them). Empty for `COUNT(*)`.
    pub args: Vec<Expr>,
    pub arg_types: Vec<SqlType>,
    /// Constant parameters in order, e.g. k of TOPK, n and ignoreNulls of LATEST_BY_OFFSET.
    pub params: Vec<ScalarValue>,
    pub returns: SqlType,
    /// Name of the output column.
    pub name: String,
}

/// Groups rows, optionally by window, and keeps a running value per group.
/// Schema: group columns, then WINDOWSTART and WINDOWEND (BIGINT) if windowed, then one per call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AggregateNode {
    pub input: LogicalPlan,
    /// `Aggregate`: the store is `<step>-Aggregate-Materialize`.
    pub step: String,
    /// Columns of the input that form the group, in order.
    pub group: Vec<usize>,
    pub calls: Vec<AggregateCall>,
    pub window: Option<Window>,
    /// EMIT FINAL: one row per window, when it closes.
    pub emit_final: bool,
    /// The input is a table: old values are undone.
    pub table_input: bool,
    /// How long a group lives after its latest row.
    pub ttl_ms: Option<i64>,
    /// A value that a result cannot take in is left out and reported; otherwise it stops the query.
    pub skips_overflow: bool,
    pub schema: DFSchemaRef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

/// What is joined with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinShape {
    StreamStream {
        before_ms: i64,
        after_ms: i64,
        /// `None`: ksqlDB's legacy eager outer rows, grace max(24 h - before - after, 0).
        grace_ms: Option<i64>,
    },
    StreamTable,
    TableTable,
}

/// Joins two inputs that are co-partitioned by their join columns.
/// Schema: all left columns, all right columns, then one column with the result's key
/// (the left join column, or the right one where the left row is absent), and where keys are
/// windowed two more with the bounds of its window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JoinNode {
    pub left: LogicalPlan,
    pub right: LogicalPlan,
    pub step: String,
    pub kind: JoinKind,
    pub shape: JoinShape,
    pub left_key: usize,
    pub right_key: usize,
    /// Keys are windowed: equal keys have equal windows, too.
    pub bounds: Option<JoinBounds>,
    pub schema: DFSchemaRef,
}

/// Where the windows of two windowed streams are: columns of start and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JoinBounds {
    pub left: [usize; 2],
    pub right: [usize; 2],
    /// Sessions are equal if they end alike, too; other windows if they start alike.
    pub session: bool,
}

/// Joins a table with another whose primary key is an expression of its rows. The result has the
/// primary key of the left table. Schema: all left columns, then all right columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ForeignJoinNode {
    pub left: LogicalPlan,
    pub right: LogicalPlan,
    pub step: String,
    /// Inner or left.
    pub kind: JoinKind,
    /// The left table's primary key, in key order.
    pub left_key: Vec<usize>,
    /// The left column that names a right row.
    pub foreign_key: usize,
    pub right_key: usize,
    /// How the right table's keys are written: a left row asks where the right row lives.
    pub right_key_format: crate::catalog::FormatSpec,
    pub right_partitions: u32,
    pub left_partitions: u32,
    pub schema: DFSchemaRef,
}

/// Writes the result to the sink's topic. The input's fields are the sink's columns in order,
/// followed by WINDOWSTART and WINDOWEND when the sink's key is windowed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SinkNode {
    pub input: LogicalPlan,
    pub sink: Arc<Source>,
    pub kind: ResultKind,
    /// Keep the result in a store of this step name so that it can be queried; aggregates are
    /// queried at their own store and leave this `None`.
    pub materialize: Option<String>,
    /// The key is computed by the query, so that one of NULLs is a key, too; otherwise a key of
    /// several columns that are all NULL was absent in the source and stays so.
    pub computed_key: bool,
}

/// Wraps a node for use in a `LogicalPlan`.
pub fn node<N: UserDefinedLogicalNodeCore>(node: N) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// Downcasts an extension plan to one of the nodes of this module.
pub fn as_node<N: 'static>(plan: &LogicalPlan) -> Option<&N> {
    let LogicalPlan::Extension(ext) = plan else { return None };
    ext.node.as_any().downcast_ref::<N>()
}

/// A schema of nullable, unqualified columns.
///
/// # Errors
/// When two columns share a name.
pub fn schema(columns: &[(String, SqlType)]) -> DfResult<DFSchemaRef> {
    use arrow::datatypes::{Field, Schema};
    let fields: Vec<Field> =
        columns.iter().map(|(name, ty)| Field::new(name, ty.to_arrow(), true)).collect();
    Ok(Arc::new(DFSchema::try_from(Schema::new(fields))?))
}

/// Says that rows expire.
fn row_ttl(ttl_ms: Option<i64>, f: &mut fmt::Formatter) -> fmt::Result {
    ttl_ms.map_or(Ok(()), |ms| write!(f, " row_ttl={ms} ms"))
}

/// Nodes are compared for equality only; DataFusion asks for an order it never relies on.
macro_rules! no_order {
    ($($node:ty),*) => {$(
        impl PartialOrd for $node {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                (self == other).then_some(Ordering::Equal)
            }
        }
    )*};
}
no_order!(
    ScanNode,
    RepartitionNode,
    FlatMapNode,
    AggregateNode,
    JoinNode,
    ForeignJoinNode,
    SinkNode
);

impl UserDefinedLogicalNodeCore for ScanNode {
    fn name(&self) -> &str {
        "Scan"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.schema.fields().iter().map(|c| c.name().as_str()).collect();
        let kept = if self.materialized { " materialized" } else { "" };
        let Source { name, kind, topic, .. } = self.source.as_ref();
        write!(
            f,
            "Scan {}: {kind:?} {name} (topic {topic}){kept} [{}]",
            self.step,
            names.join(", ")
        )?;
        row_ttl(self.source.read_ttl_ms(), f)
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> DfResult<Self> {
        Ok(self.clone())
    }
}

impl UserDefinedLogicalNodeCore for RepartitionNode {
    fn name(&self) -> &str {
        "Repartition"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }
    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let key: Vec<&str> =
            self.key.iter().map(|i| self.input.schema().field(*i).name().as_str()).collect();
        write!(f, "Repartition {} by [{}]", self.step, key.join(", "))
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        Ok(RepartitionNode { input: inputs.remove(0), ..self.clone() })
    }
}

impl UserDefinedLogicalNodeCore for FlatMapNode {
    fn name(&self) -> &str {
        "FlatMap"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        self.lists.clone()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let lists: Vec<String> = self.lists.iter().map(ToString::to_string).collect();
        write!(f, "FlatMap [{}]", lists.join(", "))
    }
    fn with_exprs_and_inputs(
        &self,
        lists: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DfResult<Self> {
        Ok(FlatMapNode { input: inputs.remove(0), lists, ..self.clone() })
    }
}

impl UserDefinedLogicalNodeCore for AggregateNode {
    fn name(&self) -> &str {
        "StreamAggregate"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        self.calls.iter().flat_map(|c| c.args.clone()).collect()
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let group: Vec<&str> =
            self.group.iter().map(|i| self.input.schema().field(*i).name().as_str()).collect();
        write!(f, "StreamAggregate {}: group=[{}] calls=[", self.step, group.join(", "))?;
        for (i, call) in self.calls.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let args: Vec<String> = call.args.iter().map(|a| a.to_string()).collect();
            write!(f, "{comma}{}({}) AS {}", call.function, args.join(", "), call.name)?;
        }
        f.write_str("]")?;
        if let Some(window) = &self.window {
            write!(f, " window={:?} grace={} ms", window.kind, window.grace_ms)?;
        }
        f.write_str(if self.emit_final { " emit=final" } else { " emit=changes" })?;
        row_ttl(self.ttl_ms, f)
    }
    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DfResult<Self> {
        let mut exprs = exprs.into_iter();
        let mut calls = self.calls.clone();
        for call in &mut calls {
            for arg in &mut call.args {
                if let Some(expr) = exprs.next() {
                    *arg = expr;
                }
            }
        }
        Ok(AggregateNode { input: inputs.remove(0), calls, ..self.clone() })
    }
}

impl UserDefinedLogicalNodeCore for JoinNode {
    fn name(&self) -> &str {
        "StreamJoin"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let left = self.left.schema().field(self.left_key).name();
        let right = self.right.schema().field(self.right_key).name();
        write!(f, "StreamJoin {}: {:?} {:?} on {left} = {right}", self.step, self.kind, self.shape)
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let right = inputs.remove(1);
        Ok(JoinNode { left: inputs.remove(0), right, ..self.clone() })
    }
}

impl UserDefinedLogicalNodeCore for ForeignJoinNode {
    fn name(&self) -> &str {
        "ForeignKeyJoin"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let left = self.left.schema().field(self.foreign_key).name();
        let right = self.right.schema().field(self.right_key).name();
        write!(f, "ForeignKeyJoin {}: {:?} on {left} = {right}", self.step, self.kind)
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let right = inputs.remove(1);
        Ok(ForeignJoinNode { left: inputs.remove(0), right, ..self.clone() })
    }
}

impl UserDefinedLogicalNodeCore for SinkNode {
    fn name(&self) -> &str {
        "Sink"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }
    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Sink: {:?} {} (topic {})", self.kind, self.sink.name, self.sink.topic)?;
        row_ttl(self.sink.row_ttl_ms.filter(|_| self.materialize.is_some()), f)
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        Ok(SinkNode { input: inputs.remove(0), ..self.clone() })
    }
}
