//! What the two sides of a foreign-key join send each other.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use millrace_sql::catalog::{FormatKind, FormatSpec};
use millrace_sql::plan::{self, ForeignJoinNode, RepartitionNode};
use millrace_sql::types::SqlType;

use crate::error::{EngineError, Result};
use crate::repartition::edge_types;

/// What a left row asks of the right side. Numbers are part of what is written to topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// Forget that I asked.
    Forget = 0,
    /// Tell me of the right row if there is one, and of its changes.
    TellIfFound = 1,
    /// Tell me at once, whether there is one or not, and of its changes.
    Tell = 2,
}

impl Ask {
    pub fn of(number: i32) -> Result<Ask> {
        let all = [Ask::Forget, Ask::TellIfFound, Ask::Tell];
        let known = all.into_iter().find(|ask| *ask as i32 == number);
        known.ok_or_else(|| EngineError::State(format!("a join asks {number}, which is unknown")))
    }
}

/// Where the columns of both messages stand, by the number of key columns of the left table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub keys: usize,
}

impl Layout {
    pub fn of(node: &ForeignJoinNode) -> Self {
        Layout { keys: node.left_key.len() }
    }

    /// Foreign key of a subscription.
    pub const FOREIGN: usize = 0;

    /// Columns of a subscription that its answer repeats: key, number, partition.
    pub fn address(self) -> std::ops::Range<usize> {
        1..self.keys + 3
    }

    /// What a subscription asks.
    pub fn ask(self) -> usize {
        self.keys + 3
    }

    /// Number of the left row, in an answer.
    pub fn number(self) -> usize {
        self.keys
    }

    /// Partition that asked, in an answer.
    pub fn partition(self) -> usize {
        self.keys + 1
    }

    /// Whether there is a right row, in an answer.
    pub fn found(self) -> usize {
        self.keys + 2
    }

    /// First column of the right row, in an answer.
    pub fn right(self) -> usize {
        self.keys + 3
    }
}

/// Types of a plan's columns.
pub(super) fn types(plan: &LogicalPlan) -> Result<Vec<SqlType>> {
    let types = edge_types(&Arc::new(plan.schema().as_arrow().clone()))?;
    Ok(types.into_iter().map(|(_, ty)| ty).collect())
}

/// Columns that both messages have: the left table's key, number, partition.
fn address(node: &ForeignJoinNode) -> Result<Vec<(String, SqlType)>> {
    let left = types(&node.left)?;
    let keys = node.left_key.iter().enumerate();
    let mut columns: Vec<_> =
        keys.map(|(at, column)| (format!("asker-key-{at}"), left[*column].clone())).collect();
    columns.push(("asker-number".to_owned(), SqlType::Bigint));
    columns.push(("asker-partition".to_owned(), SqlType::Integer));
    Ok(columns)
}

/// The topic by which left rows ask: it is partitioned as the right table.
///
/// # Errors
/// `Bug` for a column of no SQL type.
pub fn subscriptions(node: &ForeignJoinNode) -> Result<RepartitionNode> {
    let mut columns =
        vec![("foreign-key".to_owned(), types(&node.left)?[node.foreign_key].clone())];
    columns.extend(address(node)?);
    columns.push(("ask".to_owned(), SqlType::Integer));
    Ok(RepartitionNode {
        input: of_columns(&columns)?,
        step: format!("{}-FK-JOIN-SUBSCRIPTION-REGISTRATION-topic", node.step),
        key: vec![Layout::FOREIGN],
        key_format: node.right_key_format.clone(),
        partitions: node.right_partitions,
        drop_null_keys: false,
        to_partition: None,
    })
}

/// The topic by which the right side answers: to the partition that asked.
///
/// # Errors
/// `Bug` for a column of no SQL type.
pub fn responses(node: &ForeignJoinNode) -> Result<RepartitionNode> {
    let mut columns = address(node)?;
    columns.push(("found".to_owned(), SqlType::Boolean));
    let right = edge_types(&Arc::new(node.right.schema().as_arrow().clone()))?;
    let right = right.into_iter().enumerate();
    columns.extend(right.map(|(at, (_, ty))| (format!("answer-{at}"), ty)));
    Ok(RepartitionNode {
        input: of_columns(&columns)?,
        step: format!("{}-FK-JOIN-SUBSCRIPTION-RESPONSE-topic", node.step),
        key: Vec::new(),
        key_format: FormatSpec::new(FormatKind::None, false),
        partitions: node.left_partitions,
        drop_null_keys: false,
        to_partition: Some(Layout::of(node).partition()),
    })
}

/// The schema of a message as batches have it.
pub(super) fn schema(node: &RepartitionNode) -> SchemaRef {
    Arc::new(node.input.schema().as_arrow().clone())
}

fn of_columns(columns: &[(String, SqlType)]) -> Result<LogicalPlan> {
    let schema: DFSchemaRef = plan::schema(columns)
        .map_err(|e| EngineError::Bug(format!("columns of a join's messages: {e}")))?;
    Ok(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema }))
}
