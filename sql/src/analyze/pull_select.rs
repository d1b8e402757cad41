//! What ksqlDB's pull queries do not have, behind `millrace.extensions`: subqueries, joins, GROUP BY
//! with any aggregate, HAVING, DISTINCT, and ORDER BY; over tables as of now, and over streams from
//! their beginning to their end as of now.

use datafusion::logical_expr::LogicalPlan;

use super::aggregate::{self, Calls};
use super::checks::check_ungrouped;
use super::keys::KeyRule;
use super::pull::{self, PullPlan};
use super::pull_join::Joined;
use super::pull_order::{Ordering, finish};
use super::query::{self, Clauses, Purpose, Selected, Stage};
use super::scan::{ScopeNames, Used, scan};
use super::scope::{Clause, Scope};
use super::settings::Settings;
use super::subquery::Inner;
use super::{pull_keys, tree};
use crate::ast::{Expr, ExprKind, Ident, Query, SelectItem};
use crate::catalog::{Catalog, Column, ColumnRole, Source, SourceKind, pseudo};
use crate::error::{Result, SqlError};
use crate::plan::ResultKind;

/// # Errors
/// Clauses that need rows that come to an end.
pub(super) fn refuse(query: &Query) -> Result<()> {
    if let Some(order_by) = &query.order_by {
        let message = "ORDER BY needs rows that come to an end: only pull queries have it.";
        return Err(SqlError::invalid(message).at(order_by.loc.0).hint("leave EMIT out"));
    }
    if query.distinct {
        let message = "SELECT DISTINCT needs rows that come to an end: only pull queries have it.";
        let hint = "GROUP BY the columns, or leave EMIT out";
        return Err(SqlError::invalid(message).at(query.loc.0).hint(hint));
    }
    Ok(())
}

/// True when ksqlDB would refuse the query for one of its clauses.
pub(super) fn is_extended(query: &Query) -> bool {
    let mut items = query.items.iter().filter_map(|item| match item {
        SelectItem::Expr { expr, .. } => Some(expr),
        _ => None,
    });
    query.distinct
        || query.sources().any(|source| source.subquery.is_some())
        || !query.from.joins.is_empty()
        || !query.group_by.is_empty()
        || query.having.is_some()
        || query.order_by.is_some()
        || items.any(aggregate::has_calls)
}

/// Plans a query over what is there now.
///
/// # Errors
/// Whatever the language refuses about a SELECT, and tables that nobody keeps.
pub(super) fn plan(
    query: &Query,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<(PullPlan, Scope)> {
    pull::check_clauses(query, true)?;
    let scope = Scope::of_pull(&query.from, catalog, settings)?;
    let tables = pull::tables(query, &scope, catalog)?;
    let mut clauses = query::resolve(query, &scope, settings)?;
    let visible = clauses.items.len();
    let ordering = Ordering::of(query, &mut clauses, &scope)?;
    let calls = Calls::collect(&clauses, &scope)?;
    let grouped = calls.is_needed(&clauses);
    match grouped {
        true => calls.check(&clauses, &scope, Purpose::Pull)?,
        false => check_ungrouped(query, &clauses)?,
    }
    let stage = stage(query, &clauses, &scope, settings)?;
    let selected = match grouped {
        true => aggregate::plan(stage, &clauses, &calls, &scope, Purpose::Pull, settings)?,
        false => {
            let names = ScopeNames(&scope);
            query::output(&stage, &clauses, &scope, &names, Purpose::Pull)?
        }
    };
    let Selected { plan, columns, .. } = selected;
    let (plan, columns) = finish(query, plan, columns, visible, &ordering)?;
    Ok((PullPlan { tables, plan, columns }, scope))
}

/// The subquery `name` of a pull query, as a source that stands in no catalog.
///
/// # Errors
/// As for [`plan`], and EMIT.
pub(super) fn subquery(
    query: &Query,
    name: &Ident,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<(Source, Inner)> {
    let refused = [("EMIT", query.emit.is_some()), ("UNION ALL", !query.union_all.is_empty())];
    if let Some((clause, _)) = refused.into_iter().find(|(_, present)| *present) {
        let message = format!("{clause} is not supported in a subquery of a pull query.");
        return Err(SqlError::invalid(message).at(query.loc.0));
    }
    let (PullPlan { plan, columns, .. }, scope) = plan(query, catalog, settings)?;
    let leftmost = scope.inputs[0].leftmost().clone();
    let plain = |column: Column| match column.role {
        ColumnRole::Headers(_) => Column { role: ColumnRole::Value, ..column },
        _ => column,
    };
    let source = Source {
        name: name.value.clone(),
        kind: SourceKind::Table,
        columns: columns.into_iter().map(plain).collect(),
        window: None,
        timestamp: None,
        sql: String::new(),
        query: None,
        read_only: false,
        ..leftmost.as_ref().clone()
    };
    Ok((source, Inner { plan, reads: scope.reads(), leftmost }))
}

/// The rows before SELECT.
fn stage(query: &Query, clauses: &Clauses, scope: &Scope, settings: &Settings) -> Result<Stage> {
    let joins = query.from.joins.iter().zip(1..);
    let joins = joins.map(|(join, at)| Joined::of(join, scope, at)).collect::<Result<Vec<_>>>()?;
    let mut used = Used::default();
    let expressions = clauses.expressions().chain(joins.iter().flat_map(Joined::expressions));
    for expr in expressions {
        check_position(expr, scope)?;
        used.add(expr, scope);
    }
    let mut plan = rows_of(scope, 0, &used)?;
    for join in &joins {
        plan = join.plan(plan, rows_of(scope, join.at, &used)?, scope)?;
    }
    let stored = |at: usize| is_stored(scope, at);
    if let Some(filter) = &clauses.filter {
        aggregate::refuse_calls(filter, Clause::Where)?;
        pull_keys::check_likes(filter, scope)?;
    }
    match &clauses.filter {
        Some(filter) if !scope.is_join() && stored(0) => {
            pull_keys::check_keys(filter, scope, settings)?;
        }
        _ if (0..scope.inputs.len()).any(stored) => pull_keys::check_scan(settings)?,
        _ => {}
    }
    if let Some(filter) = &clauses.filter {
        plan = query::filter_plan(plan, pull::condition(filter, scope)?)?;
    }
    let first = &scope.inputs[0];
    let keys = first.source.key_columns().map(|c| super::qualified(&first.alias, &c.name));
    let keys = if scope.is_join() { Vec::new() } else { keys.collect() };
    Ok(Stage {
        plan,
        // Rows as of now are facts: nothing will be taken back.
        kind: ResultKind::Stream,
        rule: KeyRule::Columns(keys),
        join_key: None,
        window: None,
        key_format: first.source.key_format.clone(),
        partitions: 1,
        flat: Vec::new(),
    })
}

/// True for a table that a query keeps.
fn is_stored(scope: &Scope, at: usize) -> bool {
    let input = &scope.inputs[at];
    input.inner.is_none() && !input.is_stream()
}

fn rows_of(scope: &Scope, at: usize, used: &Used) -> Result<LogicalPlan> {
    match is_stored(scope, at) {
        true => pull::stored_scan(scope, at),
        false => scan(scope, at, used, "Pull".to_string(), false),
    }
}

/// Where a row stands in its topic is not kept with a table's rows.
fn check_position(expr: &Expr, scope: &Scope) -> Result<()> {
    let positions = [pseudo::ROWPARTITION, pseudo::ROWOFFSET];
    let of_table = |e: &Expr| {
        let ExprKind::Column { source: Some(source), name } = &e.kind else { return false };
        let at = scope.inputs.iter().position(|input| input.alias == source.value);
        at.is_some_and(|at| {
            let declared = scope.inputs[at].source.column(&name.value).is_some();
            is_stored(scope, at) && positions.contains(&name.value.as_str()) && !declared
        })
    };
    if !tree::any(expr, &of_table) {
        return Ok(());
    }
    let message = "Pull queries over tables don't support the columns ROWPARTITION and ROWOFFSET";
    Err(SqlError::invalid(message).at(expr.span()))
}
