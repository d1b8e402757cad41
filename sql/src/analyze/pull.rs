//! Pull queries: a SELECT without EMIT, answered from what a table is now.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::{Limit, LogicalPlan, lit};

use super::items::{self, Item};
use super::names::Generator;
use super::pull_keys;
use super::query::{self, Purpose, Selected, select_in};
use super::scan::{ScopeNames, declared};
use super::scope::{Clause, Input, Scope};
use super::settings::Settings;
use super::typing::typed;
use super::{
    Analyzed, aggregate, internal_error, predicate, pull_select, text, times, tree, union,
};
use crate::ast::{Expr, ExprKind, Literal, Query, SelectItem};
use crate::catalog::{Catalog, Column, ColumnRole, Source, pseudo};
use crate::error::{Result, SqlError};
use crate::expr::Typed;
use crate::plan::{self, AggregateNode, QueryPlan, ScanColumn, ScanNode, SinkNode, as_node};

/// A checked pull query over materialised tables.
#[derive(Debug, Clone)]
pub struct PullPlan {
    /// By the name of each table that is read: the query that keeps it.
    pub tables: BTreeMap<String, String>,
    /// The SELECT over [`ScanNode`]s with step `Pull`, whose columns are: the keys, WINDOWSTART and
    /// WINDOWEND if windowed, the values, ROWTIME.
    pub plan: LogicalPlan,
    pub columns: Vec<Column>,
}

/// # Errors
/// Clauses that a pull query does not have, and tables that keep no store.
pub(super) fn pull(query: &Query, catalog: &Catalog, settings: &Settings) -> Result<Analyzed> {
    settings.require(
        "ksql.pull.queries.enable",
        "Pull queries are disabled. See https://cnfl.io/queries for more info.\n\
         Add EMIT CHANGES if you intended to issue a push query.\n\
         Please set ksql.pull.queries.enable=true to enable this feature.\n",
    )?;
    union::refuse(query)?;
    if settings.extensions() && pull_select::is_extended(query) {
        let (plan, _) = pull_select::plan(query, catalog, settings)?;
        return Ok(Analyzed::Pull(Box::new(plan)));
    }
    let scope = Scope::new(&query.from, catalog, settings, "");
    let of_stream = scope.as_ref().is_ok_and(|scope| scope.inputs.iter().any(Input::is_stream));
    check_clauses(query, false)?;
    check_star(query)?;
    let scope = scope?;
    check_columns(query, &scope)?;
    if of_stream {
        let selected = select_in(query, catalog, settings, Purpose::PullStream, "")?;
        return Ok(Analyzed::PullStream(Box::new(selected.into_plan())));
    }
    let tables = tables(query, &scope, catalog)?;
    let plan = plan_table(query, &scope, settings, tables)?;
    Ok(Analyzed::Pull(Box::new(plan)))
}

/// By the name of each table: the query that keeps it.
pub(super) fn tables(
    query: &Query,
    scope: &Scope,
    catalog: &Catalog,
) -> Result<BTreeMap<String, String>> {
    let mut tables = BTreeMap::new();
    for (input, named) in scope.inputs.iter().zip(query.sources()) {
        if input.inner.is_some() {
            // Those below a subquery have been looked at.
            let below = input.reads().iter().filter_map(|name| catalog.source(name));
            let kept = below.filter_map(|source| {
                Some((source.name.clone(), materializing_query(source, catalog)?))
            });
            tables.extend(kept);
            continue;
        }
        if input.is_stream() {
            continue;
        }
        let name = &input.source.name;
        let id = materializing_query(&input.source, catalog).ok_or_else(|| {
            SqlError::invalid(format!(
                "The `{name}` table isn't queryable. To derive a queryable table, you can do \
                 'CREATE TABLE QUERYABLE_{name} AS SELECT * FROM {name}'. See \
                 https://cnfl.io/queries for more info."
            ))
            .at(named.name.span())
        })?;
        tables.insert(name.clone(), id);
    }
    Ok(tables)
}

/// `extended`: joins, groups and orders are there.
pub(super) fn check_clauses(query: &Query, extended: bool) -> Result<()> {
    let present = [
        ("JOIN", !query.from.joins.is_empty() && !extended),
        ("WINDOW", query.window.is_some()),
        ("GROUP BY", !query.group_by.is_empty() && !extended),
        ("PARTITION BY", !query.partition_by.is_empty()),
        ("HAVING", query.having.is_some() && !extended),
    ];
    let Some((clause, _)) = present.iter().find(|(_, present)| *present) else { return Ok(()) };
    Err(SqlError::invalid(format!(
        "Pull queries don't support {clause} clauses. See https://cnfl.io/queries for more \
         info.\nAdd EMIT CHANGES if you intended to issue a push query."
    ))
    .at(query.loc.0))
}

fn check_star(query: &Query) -> Result<()> {
    let star = query.items.iter().find_map(|item| match item {
        SelectItem::All { loc, .. } => Some(loc.0),
        _ => None,
    });
    match star {
        Some(span) if query.items.len() > 1 => Err(SqlError::invalid(
            "Pull queries only support wildcards in the projects if they are the only expression",
        )
        .at(span)),
        _ => Ok(()),
    }
}

/// ROWPARTITION and ROWOFFSET are not kept with a table's rows.
fn check_columns(query: &Query, scope: &Scope) -> Result<()> {
    let items = query.items.iter().filter_map(|item| match item {
        SelectItem::Expr { expr, .. } => Some(expr),
        _ => None,
    });
    check_clause(items, "SELECT", scope)?;
    check_clause(query.filter.iter(), "WHERE", scope)
}

fn check_clause<'a>(
    exprs: impl Iterator<Item = &'a Expr>,
    clause: &str,
    scope: &Scope,
) -> Result<()> {
    let mut found: Vec<String> = Vec::new();
    for expr in exprs {
        tree::visit(expr, &mut |e| {
            if let ExprKind::Column { name, .. } = &e.kind {
                let name = &name.value;
                let refused = [pseudo::ROWPARTITION, pseudo::ROWOFFSET].contains(&name.as_str());
                let declared = scope.inputs.iter().any(|i| i.source.column(name).is_some());
                if refused && !declared && !found.iter().any(|f| f.contains(name)) {
                    found.push(format!("`{name}`"));
                }
            }
            true
        });
    }
    if found.is_empty() {
        return Ok(());
    }
    let list = found.join(", ");
    Err(SqlError::invalid(format!(
        "Pull queries don't support the following columns in {clause} clauses: {list}"
    )))
}

fn materializing_query(source: &Source, catalog: &Catalog) -> Option<String> {
    let query = catalog.queries.get(source.query.as_ref()?)?;
    query.materialized.then(|| query.id.clone())
}

fn plan_table(
    query: &Query,
    scope: &Scope,
    settings: &Settings,
    tables: BTreeMap<String, String>,
) -> Result<PullPlan> {
    let names = ScopeNames(scope);
    let input = &scope.inputs[0];
    let declared = input.source.columns.iter().map(|c| c.name.as_str());
    let mut generator = Generator::new(declared);
    let items = items::expand(query, scope, &names, &[], &mut generator)?;
    for item in &items {
        aggregate::refuse_calls(&item.expr, Clause::Select)?;
    }
    let filter = query.filter.as_ref().map(|e| scope.qualify(e, Clause::Where)).transpose()?;
    let filter = filter.as_ref().map(times::rewrite).transpose()?;
    let mut plan = stored_scan(scope, 0)?;
    if let Some(filter) = &filter {
        aggregate::refuse_calls(filter, Clause::Where)?;
        pull_keys::check_likes(filter, scope)?;
        let condition = condition(filter, scope)?;
        pull_keys::check_keys(filter, scope, settings)?;
        plan = query::filter_plan(plan, condition)?;
    } else {
        pull_keys::check_scan(settings)?;
    }
    let (projected, columns) = project(&items, input, &names)?;
    let plan = limited(query::projection(plan, projected)?, query.limit);
    Ok(PullPlan { tables, plan, columns })
}

pub(super) fn limited(input: LogicalPlan, limit: Option<u64>) -> LogicalPlan {
    let Some(limit) = limit else { return input };
    let fetch = lit(i64::try_from(limit).unwrap_or(i64::MAX));
    LogicalPlan::Limit(Limit { skip: None, fetch: Some(Box::new(fetch)), input: Arc::new(input) })
}

/// The WHERE clause as a condition. ksqlDB looks into BETWEEN later than into other comparisons.
pub(super) fn condition(filter: &Expr, scope: &Scope) -> Result<Typed> {
    let names = ScopeNames(scope);
    let shown = text::internal(filter, scope);
    predicate(filter, &names, "WHERE", &shown).map_err(|mut error| {
        let without = tree::rewrite(filter, &mut |e| {
            let between = matches!(e.kind, ExprKind::Between { .. });
            Ok(between.then(|| Expr::new(ExprKind::Literal(Literal::Boolean(true)), e.span())))
        });
        match without.map(|without| predicate(&without, &names, "WHERE", &shown)) {
            Ok(Ok(_)) => {
                let inner = typed(filter, &names).err().map_or(error.message, |e| e.message);
                error.message = format!("Invalid expression: {inner}");
            }
            _ => error.message = format!("{}\nStatement: {shown}", error.message),
        }
        error
    })
}

type Projected = (Vec<(Typed, String)>, Vec<Column>);

fn project(items: &[Item], input: &Input, names: &ScopeNames<'_>) -> Result<Projected> {
    query::check_duplicates(items, names)?;
    let mut projected = Vec::new();
    let mut columns = Vec::new();
    for item in items {
        let value = query::value_of(item, names)?;
        let role = role(item, &input.source);
        columns.push(Column { name: item.name.clone(), ty: query::type_of(&value, item)?, role });
        projected.push((value, item.name.clone()));
    }
    Ok((projected, columns))
}

/// What a column of the result counts as goes by its name. Headers are headers in `*` only.
fn role(item: &Item, source: &Source) -> ColumnRole {
    if [pseudo::WINDOWSTART, pseudo::WINDOWEND].contains(&item.name.as_str()) {
        return ColumnRole::Key;
    }
    match source.column(&item.name).map(|c| &c.role) {
        Some(ColumnRole::Key) => ColumnRole::Key,
        Some(role @ ColumnRole::Headers(_)) if item.from_star => role.clone(),
        _ => ColumnRole::Value,
    }
}

/// The rows of a store, as a plan can name them.
pub(super) fn stored_scan(scope: &Scope, at: usize) -> Result<LogicalPlan> {
    let input = &scope.inputs[at];
    let source = input.source.clone();
    let bounds =
        source.window.iter().flat_map(|_| [ScanColumn::WindowStart, ScanColumn::WindowEnd]);
    let mut columns = declared(&source, true);
    columns.extend(bounds);
    columns.extend(declared(&source, false));
    columns.push(ScanColumn::Rowtime);
    let named: Vec<_> = columns
        .iter()
        .map(|c| {
            let column = super::scope::ColumnRef { input: at, column: c.clone() };
            (scope.internal_name(&column), scope.type_of(&column))
        })
        .collect();
    let schema = plan::schema(&named).map_err(internal_error)?;
    let step = "Pull".to_string();
    Ok(plan::node(ScanNode { step, source, columns, materialized: true, schema }))
}

/// What a persistent query computes above its aggregation: a pull query applies it to the rows of
/// the aggregation's store.
#[derive(Debug)]
pub struct Above<'a> {
    pub aggregate: &'a AggregateNode,
    /// Filters and projections, the one nearest to the store first.
    pub nodes: Vec<&'a LogicalPlan>,
}

/// `None` when the query does not end in an aggregation: then its result is stored itself.
pub fn above_store(query: &QueryPlan) -> Option<Above<'_>> {
    let mut at = match as_node::<SinkNode>(&query.plan) {
        Some(sink) => &sink.input,
        None => &query.plan,
    };
    let mut nodes = Vec::new();
    loop {
        if let Some(aggregate) = as_node::<AggregateNode>(at) {
            nodes.reverse();
            return Some(Above { aggregate, nodes });
        }
        nodes.push(at);
        at = match at {
            LogicalPlan::Filter(filter) => filter.input.as_ref(),
            LogicalPlan::Projection(projection) => projection.input.as_ref(),
            _ => return None,
        };
    }
}

impl Selected {
    /// The plan of a query that writes nothing.
    pub fn into_plan(self) -> QueryPlan {
        QueryPlan {
            plan: self.plan,
            reads: self.reads,
            result: self.kind,
            key: self.key,
            limit: self.limit,
            idle_close_ms: None,
        }
    }
}
