//! From a sub-topology to the operators of one task.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use millrace_sql::plan::ResultKind;
use millrace_sql::types::SqlType;

use crate::error::{EngineError, Result};
use crate::operators::Operator;
use crate::operators::aggregate::{AggregateOptions, aggregate};
use crate::operators::cache::CacheBudget;
use crate::operators::expiry::Expiry;
use crate::operators::filter::FilterOperator;
use crate::operators::flat_map::FlatMapOperator;
use crate::operators::foreign::{AnswerOperator, LeftOperator};
use crate::operators::input::InputOperator;
use crate::operators::joins::join;
use crate::operators::keep::KeepOperator;
use crate::operators::olap::OlapOperator;
use crate::operators::olap_delta::OlapDeltaOperator;
use crate::operators::project::ProjectOperator;
use crate::pipeline::{Pipeline, Step};
use crate::progress::TaskKey;
use crate::query::QueryDef;
use crate::repartition::edge_types;
use crate::state::StoreId;
use crate::topology::{Input, Node, Op, Output, SubTopology, Topology};

/// The pipeline of a persistent query's task.
pub fn pipeline(query: &QueryDef, key: &TaskKey, caches: &Arc<CacheBudget>) -> Result<Pipeline> {
    let store = |index: usize| query.store_id(index, key.partition);
    build(&query.topology, key.sub as usize, &store, caches)
}

/// The pipeline of a sub-topology whose stores are numbered by `store`.
pub fn build(
    topology: &Topology,
    sub: usize,
    store: &dyn Fn(usize) -> StoreId,
    caches: &Arc<CacheBudget>,
) -> Result<Pipeline> {
    let sub = &topology.subs[sub];
    let mut entries = vec![0; sub.inputs.len()];
    let mut steps = Vec::with_capacity(sub.nodes.len());
    for (at, node) in sub.nodes.iter().enumerate() {
        if let Op::Input { input, .. } = node.op {
            entries[input] = at;
        }
        let operator = operator(sub, node, store, caches)?;
        steps.push(Step { operator, next: node.next, aside: node.aside });
    }
    Ok(Pipeline::new(steps, entries))
}

fn operator(
    sub: &SubTopology,
    node: &Node,
    store: &dyn Fn(usize) -> StoreId,
    caches: &Arc<CacheBudget>,
) -> Result<Box<dyn Operator>> {
    let table = node.kind == ResultKind::Table;
    Ok(match &node.op {
        Op::Input { store: None, .. } => Box::new(InputOperator),
        Op::Input { input, store: Some(kept), expires } => {
            let (types, key) = scan_shape(&sub.inputs[*input])?;
            let keep = KeepOperator::new(store(*kept), &types, &key)?;
            match (expires, &sub.inputs[*input]) {
                (Some(expires), Input::Scan(scan)) => {
                    let expiry = Expiry::new(store(expires.index), expires.ttl_ms);
                    Box::new(keep.expiring(expiry, scan.schema.inner().clone()))
                }
                _ => Box::new(keep),
            }
        }
        Op::Filter(LogicalPlan::Filter(filter)) => Box::new(FilterOperator::new(filter, table)?),
        Op::Project(LogicalPlan::Projection(projection)) => {
            Box::new(ProjectOperator::new(projection)?)
        }
        Op::FlatMap(flat) => Box::new(FlatMapOperator::new(flat)?),
        Op::Aggregate { node: aggregation, stores } => {
            let options = AggregateOptions {
                stores: stores.iter().map(|at| store(*at)).collect(),
                with_old: node.needs_old,
                cache: caches.share(),
            };
            aggregate(aggregation, options)?
        }
        Op::Join { node: joined, stores } => {
            let stores: Vec<StoreId> = stores.iter().map(|at| store(*at)).collect();
            join(joined, &stores, node.needs_old, caches.share())?
        }
        Op::ForeignLeft { node, rows, results } => {
            Box::new(LeftOperator::new(node, store(*rows), results.map(store))?)
        }
        Op::ForeignRight { node, stores } => {
            Box::new(AnswerOperator::new(node, stores.map(store))?)
        }
        Op::Olap(rows) if rows.changes => Box::new(OlapDeltaOperator::new(rows)),
        Op::Olap(rows) => {
            let keyed = olap_keyed(sub);
            Box::new(OlapOperator::new(rows, keyed, store(0).partition))
        }
        Op::Materialize { store: kept, expires } => {
            let (types, key) = sink_shape(&sub.output)?;
            let keep = KeepOperator::of_result(store(*kept), &types, &key)?;
            match (expires, &sub.output) {
                (Some(expires), Output::Sink(sink)) => {
                    let expiry = Expiry::new(store(expires.index), expires.ttl_ms);
                    Box::new(keep.expiring(expiry, sink.input.schema().inner().clone()))
                }
                _ => Box::new(keep),
            }
        }
        other => return Err(EngineError::Bug(format!("no operator for {other:?}"))),
    })
}

/// True if rows for Pinot or Druid replace each other: what is read is a table.
fn olap_keyed(sub: &SubTopology) -> bool {
    sub.nodes
        .iter()
        .any(|node| matches!(node.op, Op::Input { .. }) && node.kind == ResultKind::Table)
}

/// Types of a scan's columns, and which of them are the key.
pub fn scan_shape(input: &Input) -> Result<(Vec<SqlType>, Vec<usize>)> {
    use millrace_sql::catalog::ColumnRole;
    use millrace_sql::plan::ScanColumn;
    let Input::Scan(scan) = input else {
        return Err(EngineError::Bug("a repartition topic is not kept in a store".to_owned()));
    };
    let schema = std::sync::Arc::new(scan.schema.as_arrow().clone());
    let types = edge_types(&schema)?.into_iter().map(|(_, ty)| ty).collect();
    let is_key = |column: &ScanColumn| match column {
        ScanColumn::Declared(i) => scan.source.columns[*i].role == ColumnRole::Key,
        _ => false,
    };
    let columns = scan.columns.iter().enumerate();
    let key = columns.filter(|(_, column)| is_key(column)).map(|(at, _)| at).collect();
    Ok((types, key))
}

/// Types of the sink's rows, and which of them are the key.
pub fn sink_shape(output: &Output) -> Result<(Vec<SqlType>, Vec<usize>)> {
    use millrace_sql::catalog::ColumnRole;
    let Output::Sink(node) = output else {
        return Err(EngineError::Bug("only a sink is materialised".to_owned()));
    };
    let schema = std::sync::Arc::new(node.input.schema().as_arrow().clone());
    let types = edge_types(&schema)?.into_iter().map(|(_, ty)| ty).collect();
    let columns = node.sink.columns.iter().enumerate();
    let key = columns.filter(|(_, c)| c.role == ColumnRole::Key).map(|(at, _)| at).collect();
    Ok((types, key))
}

#[cfg(test)]
mod tests;
