//! What ksqlDB's pull queries do not have, behind `millrace.extensions`: joins of tables, GROUP BY
//! with any aggregate, HAVING, and ORDER BY.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::{
    Column as DfColumn, JoinConstraint, JoinType as DfJoinType, NullEquality,
};
use datafusion::logical_expr::{Expr as DfExpr, Join as DfJoin, LogicalPlan, Sort, SortExpr};

use super::aggregate::{self, Calls};
use super::checks::check_ungrouped;
use super::items::Item;
use super::keys::KeyRule;
use super::pull::{self, PullPlan};
use super::query::{self, Clauses, Purpose, Selected, Stage};
use super::scan::ScopeNames;
use super::scope::{Clause, Scope};
use super::settings::Settings;
use super::typing::typed;
use super::{column, internal_error, join, predicate, pull_keys, text, times};
use crate::ast::{Expr, ExprKind, Join, JoinType, Literal, OrderItem, Query, SelectItem};
use crate::error::{Result, SqlError};
use crate::plan::ResultKind;
use crate::types::SqlType;

/// # Errors
/// ORDER BY where rows come to no end.
pub(super) fn refuse_order(query: &Query) -> Result<()> {
    let Some(order_by) = &query.order_by else { return Ok(()) };
    let message = "ORDER BY needs rows that come to an end: only pull queries over tables have it.";
    Err(SqlError::invalid(message).at(order_by.loc.0))
}

/// True when ksqlDB would refuse the query for one of its clauses.
pub(super) fn is_extended(query: &Query) -> bool {
    let mut items = query.items.iter().filter_map(|item| match item {
        SelectItem::Expr { expr, .. } => Some(expr),
        _ => None,
    });
    !query.from.joins.is_empty()
        || !query.group_by.is_empty()
        || query.having.is_some()
        || query.order_by.is_some()
        || items.any(aggregate::has_calls)
}

/// Plans a query over tables. `tables`: who keeps each of them.
///
/// # Errors
/// Whatever the language refuses about a SELECT.
pub(super) fn plan(
    query: &Query,
    scope: &Scope,
    settings: &Settings,
    tables: BTreeMap<String, String>,
) -> Result<PullPlan> {
    let mut clauses = query::resolve(query, scope, settings)?;
    let visible = clauses.items.len();
    let order = order(query, &mut clauses, scope)?;
    let calls = Calls::collect(&clauses, scope)?;
    let grouped = calls.is_needed(&clauses);
    match grouped {
        true => calls.check(&clauses, scope, Purpose::Pull)?,
        false => check_ungrouped(query, &clauses)?,
    }
    let stage = stage(query, &clauses, scope, settings)?;
    let selected = match grouped {
        true => aggregate::plan(stage, &clauses, &calls, scope, Purpose::Pull, settings)?,
        false => {
            let names = ScopeNames(scope);
            query::output(&stage, &clauses, scope, &names, Purpose::Pull)?
        }
    };
    finish(selected, visible, order, query.limit, tables)
}

/// The rows before SELECT.
fn stage(query: &Query, clauses: &Clauses, scope: &Scope, settings: &Settings) -> Result<Stage> {
    let mut plan = pull::stored_scan(scope, 0)?;
    for (at, join) in query.from.joins.iter().enumerate() {
        plan = joined(plan, scope, join, at + 1)?;
    }
    match &clauses.filter {
        Some(filter) => {
            aggregate::refuse_calls(filter, Clause::Where)?;
            pull_keys::check_likes(filter, scope)?;
            if scope.is_join() {
                pull_keys::check_scan(settings)?;
            } else {
                pull_keys::check_keys(filter, scope, settings)?;
            }
            plan = query::filter_plan(plan, pull::condition(filter, scope)?)?;
        }
        None => pull_keys::check_scan(settings)?,
    }
    let first = &scope.inputs[0];
    let keys = first.source.key_columns().map(|c| super::qualified(&first.alias, &c.name));
    let keys = if scope.is_join() { Vec::new() } else { keys.collect() };
    Ok(Stage {
        plan,
        // The rows of a table as of now are facts: nothing will be taken back.
        kind: ResultKind::Stream,
        rule: KeyRule::Columns(keys),
        join_key: None,
        window: None,
        key_format: first.source.key_format.clone(),
        partitions: 1,
        flat: Vec::new(),
    })
}

/// `left` with the source `at`, where one expression of each equals the other's.
fn joined(left: LogicalPlan, scope: &Scope, join: &Join, at: usize) -> Result<LogicalPlan> {
    let (left_on, right_on, rest) = join::equality(scope, join, at)?;
    let (left, left_key) = keyed(left, &left_on, scope, format!("KSQL_JOIN_{at}_LEFT"))?;
    let right = pull::stored_scan(scope, at)?;
    let (right, right_key) = keyed(right, &right_on, scope, format!("KSQL_JOIN_{at}_RIGHT"))?;
    let join_type = join.kind;
    let kind = match join_type {
        JoinType::Inner => DfJoinType::Inner,
        JoinType::Left => DfJoinType::Left,
        JoinType::Right => DfJoinType::Right,
        JoinType::Full => DfJoinType::Full,
    };
    let on = vec![(DfExpr::Column(left_key), DfExpr::Column(right_key))];
    let join = DfJoin::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        None,
        kind,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    );
    let plan = LogicalPlan::Join(join.map_err(internal_error)?);
    let Some(rest) = rest else { return Ok(plan) };
    if join_type != JoinType::Inner {
        let message = "An outer join in a pull query takes one equality and no other condition.";
        let hint =
            "put conditions on both sides into WHERE, or join what a query keeps of one side";
        return Err(SqlError::invalid(message).at(rest.span()).hint(hint));
    }
    let shown = text::internal(&rest, scope);
    query::filter_plan(plan, predicate(&rest, &ScopeNames(scope), "JOIN ON", &shown)?)
}

/// The plan with a column that holds the value of `on`: one of its own, or `name`.
fn keyed(
    plan: LogicalPlan,
    on: &Expr,
    scope: &Scope,
    name: String,
) -> Result<(LogicalPlan, DfColumn)> {
    let value = typed(on, &ScopeNames(scope))?;
    if let DfExpr::Column(column) = value.expr {
        return Ok((plan, column));
    }
    let fields = plan.schema().fields().iter();
    let mut columns = fields
        .map(|field| {
            let ty = SqlType::from_arrow(field.data_type());
            let ty = ty.ok_or_else(|| SqlError::invalid("a column of no SQL type"))?;
            Ok((column(field.name(), ty), field.name().clone()))
        })
        .collect::<Result<Vec<_>>>()?;
    columns.push((value, name.clone()));
    Ok((query::projection(plan, columns)?, DfColumn::new_unqualified(name)))
}

/// A column of the result to order by.
struct Order {
    item: usize,
    ascending: bool,
    nulls_first: bool,
}

/// What ORDER BY means: an item by its name or number, or any expression, which becomes an item
/// behind the others.
fn order(query: &Query, clauses: &mut Clauses, scope: &Scope) -> Result<Vec<Order>> {
    let Some(order_by) = &query.order_by else { return Ok(Vec::new()) };
    let visible = clauses.items.len();
    let mut order = Vec::with_capacity(order_by.items.len());
    for wanted in &order_by.items {
        let item = match item_of(wanted, &clauses.items[..visible])? {
            Some(item) => item,
            None => {
                let expr = scope.qualify(&wanted.expr, Clause::OrderBy)?;
                let expr = times::rewrite(&expr)?;
                let found = clauses.items.iter().position(|item| item.expr == expr);
                found.unwrap_or_else(|| {
                    let name = format!("KSQL_ORDER_{}", clauses.items.len());
                    let span = wanted.expr.span();
                    clauses.items.push(Item { expr, name, from_star: false, span });
                    clauses.items.len() - 1
                })
            }
        };
        let ascending = !wanted.descending;
        // As if NULL were larger than every value.
        let nulls_first = wanted.nulls_first.unwrap_or(wanted.descending);
        order.push(Order { item, ascending, nulls_first });
    }
    Ok(order)
}

fn item_of(wanted: &OrderItem, items: &[Item]) -> Result<Option<usize>> {
    match &wanted.expr.kind {
        ExprKind::Literal(Literal::Integer(number)) => {
            let at = usize::try_from(*number).ok().and_then(|n| n.checked_sub(1));
            let at = at.filter(|at| *at < items.len()).ok_or_else(|| {
                let count = items.len();
                let message =
                    format!("ORDER BY position {number} is not among the {count} columns");
                SqlError::invalid(message).at(wanted.expr.span())
            })?;
            Ok(Some(at))
        }
        ExprKind::Column { source: None, name } => {
            Ok(items.iter().position(|item| item.name == name.value))
        }
        _ => Ok(None),
    }
}

/// Orders, limits, and leaves out what was only there to be ordered by.
fn finish(
    selected: Selected,
    visible: usize,
    order: Vec<Order>,
    limit: Option<u64>,
    tables: BTreeMap<String, String>,
) -> Result<PullPlan> {
    let Selected { mut plan, mut columns, .. } = selected;
    if !order.is_empty() {
        let mut by = Vec::with_capacity(order.len());
        for order in order {
            let found = &columns[order.item];
            if matches!(found.ty, SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_)) {
                let ty = &found.ty;
                let message = format!("ORDER BY cannot order values of type {ty}");
                return Err(SqlError::invalid(message));
            }
            let expr = DfExpr::Column(DfColumn::new_unqualified(&found.name));
            by.push(SortExpr { expr, asc: order.ascending, nulls_first: order.nulls_first });
        }
        let fetch = limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        plan = LogicalPlan::Sort(Sort { expr: by, input: Arc::new(plan), fetch });
    }
    plan = pull::limited(plan, limit);
    if columns.len() > visible {
        columns.truncate(visible);
        let kept = columns.iter().map(|c| (column(&c.name, c.ty.clone()), c.name.clone()));
        plan = query::projection(plan, kept.collect())?;
    }
    Ok(PullPlan { tables, plan, columns })
}
