//! Subqueries in FROM: planned on their own, then read like a source.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::column;
use super::formats::internal_key_format;
use super::query::{Purpose, Selected, projection, select_in};
use super::scope::{ColumnRef, Scope};
use super::settings::Settings;
use crate::ast::{Ident, Query, Statement};
use crate::catalog::{Catalog, ColumnRole, Source, SourceKind};
use crate::error::{Result, SqlError};
use crate::plan::{self, RepartitionNode, ResultKind, ScanColumn};
use crate::types::SqlType;

/// What a subquery gives besides columns.
#[derive(Debug)]
pub(super) struct Inner {
    /// Its columns by name, keys first, then the bounds of a windowed key.
    pub plan: LogicalPlan,
    pub reads: Vec<String>,
    /// The source whose formats the result inherits.
    pub leftmost: Arc<Source>,
}

/// Refuses with ksqlDB's words what it has no grammar for.
///
/// # Errors
/// When extensions are off and the statement uses one.
pub(super) fn check_switch(statement: &Statement, settings: &Settings) -> Result<()> {
    let query = match statement {
        Statement::Query(query) => query,
        Statement::CreateAs(create) => &create.query,
        Statement::InsertInto(insert) => &insert.query,
        _ => return Ok(()),
    };
    match &query.extension.0 {
        Some(refusal) if !settings.extensions() => Err(refusal.as_ref().clone()),
        _ => Ok(()),
    }
}

/// The subquery `name` as a source that stands in no catalog: its key format and partitions are those
/// by which its rows lie. `prefix` makes the names of its steps its own.
///
/// # Errors
/// Whatever is refused of it, and clauses that belong to the outermost query.
pub(super) fn plan(
    query: &Query,
    name: &Ident,
    catalog: &Catalog,
    settings: &Settings,
    prefix: &str,
) -> Result<(Source, Inner)> {
    check_clauses(query)?;
    let purpose = Purpose::Inner { name: &name.value };
    let mut selected = select_in(query, catalog, settings, purpose, prefix)?;
    if selected.kind == ResultKind::Table && selected.window.is_some() {
        let message = "A subquery that gives a windowed table is not supported.";
        return Err(SqlError::invalid(message).at(query.loc.0));
    }
    if selected.computed_key && !selected.key.is_empty() && selected.window.is_none() {
        send(&mut selected, prefix);
    }
    let source = Source {
        name: name.value.clone(),
        kind: match selected.kind {
            ResultKind::Stream => SourceKind::Stream,
            ResultKind::Table => SourceKind::Table,
        },
        topic: selected.leftmost.topic.clone(),
        columns: selected.columns,
        partitions: selected.partitions,
        key_format: selected.key_format,
        value_format: selected.leftmost.value_format.clone(),
        window: selected.window,
        timestamp: None,
        sql: String::new(),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    };
    let Selected { plan, reads, leftmost, .. } = selected;
    Ok((source, Inner { plan, reads, leftmost }))
}

fn check_clauses(query: &Query) -> Result<()> {
    let refuse = |what: &str, hint: &str| {
        let message = format!("{what} is not supported in a subquery.");
        Err(SqlError::invalid(message).at(query.loc.0).hint(hint))
    };
    if query.emit.is_some() {
        return refuse("EMIT", "write EMIT at the end of the outermost SELECT");
    }
    if query.limit.is_some() {
        return refuse("LIMIT", "a stream has no end; LIMIT is for the outermost SELECT");
    }
    match query.union_all.is_empty() {
        true => Ok(()),
        false => refuse("UNION ALL", "make the union a stream of its own"),
    }
}

/// After PARTITION BY rows lie where their new key says.
fn send(selected: &mut Selected, prefix: &str) {
    let keys = selected.columns.iter().filter(|column| column.role == ColumnRole::Key);
    let types: Vec<SqlType> = keys.map(|column| column.ty.clone()).collect();
    selected.key_format = internal_key_format(&selected.key_format, &types);
    selected.plan = plan::node(RepartitionNode {
        input: selected.plan.clone(),
        step: format!("{prefix}PartitionBy"),
        key: selected.key.clone(),
        key_format: selected.key_format.clone(),
        partitions: selected.partitions,
        drop_null_keys: false,
        to_partition: None,
    });
}

/// The columns of a subquery under the names of the plan above it.
pub(super) fn read(
    inner: &Inner,
    scope: &Scope,
    input: usize,
    columns: Vec<ScanColumn>,
) -> Result<LogicalPlan> {
    let named = columns.into_iter().map(|of| {
        let name = scope.inputs[input].column_name(&of).to_string();
        let of = ColumnRef { input, column: of };
        (column(&name, scope.type_of(&of)), scope.internal_name(&of))
    });
    projection(inner.plan.clone(), named.collect())
}
