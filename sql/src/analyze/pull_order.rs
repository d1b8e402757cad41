//! DISTINCT, ORDER BY and LIMIT of a pull query.

use std::sync::Arc;

use datafusion::common::Column as DfColumn;
use datafusion::logical_expr::{Aggregate, Expr as DfExpr, LogicalPlan, Sort, SortExpr};

use super::items::Item;
use super::query::{self, Clauses};
use super::scope::{Clause, Scope};
use super::{column, internal_error, pull, times};
use crate::ast::{ExprKind, Literal, OrderItem, Query};
use crate::catalog::Column;
use crate::error::{Result, SqlError};
use crate::types::SqlType;

/// What ORDER BY means.
pub(super) struct Ordering(Vec<Order>);

/// A column of the result to order by.
struct Order {
    item: usize,
    ascending: bool,
    nulls_first: bool,
}

impl Ordering {
    /// Finds items by name or number; any other expression becomes an item behind the others.
    ///
    /// # Errors
    /// Names that cannot be resolved; with DISTINCT, what is not selected.
    pub fn of(query: &Query, clauses: &mut Clauses, scope: &Scope) -> Result<Self> {
        let Some(order_by) = &query.order_by else { return Ok(Ordering(Vec::new())) };
        let visible = clauses.items.len();
        let mut order = Vec::with_capacity(order_by.items.len());
        for wanted in &order_by.items {
            let item = match item_of(wanted, &clauses.items[..visible])? {
                Some(item) => item,
                None => expression(wanted, clauses, scope)?,
            };
            if query.distinct && item >= visible {
                let message = "With SELECT DISTINCT, ORDER BY takes only what is selected.";
                return Err(SqlError::invalid(message).at(wanted.expr.span()));
            }
            let ascending = !wanted.descending;
            // As if NULL were larger than every value.
            let nulls_first = wanted.nulls_first.unwrap_or(wanted.descending);
            order.push(Order { item, ascending, nulls_first });
        }
        Ok(Ordering(order))
    }
}

/// The item of this expression, which is made if there is none.
fn expression(wanted: &OrderItem, clauses: &mut Clauses, scope: &Scope) -> Result<usize> {
    let expr = scope.qualify(&wanted.expr, Clause::OrderBy)?;
    let expr = times::rewrite(&expr)?;
    if let Some(found) = clauses.items.iter().position(|item| item.expr == expr) {
        return Ok(found);
    }
    let name = format!("KSQL_ORDER_{}", clauses.items.len());
    let span = wanted.expr.span();
    clauses.items.push(Item { expr, name, from_star: false, span });
    Ok(clauses.items.len() - 1)
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

/// Leaves out repeated rows, orders, limits, and leaves out what was only there to be ordered by.
///
/// # Errors
/// Types that cannot be compared.
pub(super) fn finish(
    query: &Query,
    mut plan: LogicalPlan,
    mut columns: Vec<Column>,
    visible: usize,
    ordering: &Ordering,
) -> Result<(LogicalPlan, Vec<Column>)> {
    if query.distinct {
        plan = distinct(plan, &columns).map_err(|e| e.at(query.loc.0))?;
    }
    plan = ordered(plan, &columns, ordering, query.limit)?;
    plan = pull::limited(plan, query.limit);
    if columns.len() > visible {
        columns.truncate(visible);
        let kept = columns.iter().map(|c| (column(&c.name, c.ty.clone()), c.name.clone()));
        plan = query::projection(plan, kept.collect())?;
    }
    Ok((plan, columns))
}

/// NULL is as good a value as any: rows that have it in the same columns are the same.
fn distinct(plan: LogicalPlan, columns: &[Column]) -> Result<LogicalPlan> {
    if let Some(map) = columns.iter().find(|column| has_map(&column.ty)) {
        let message = format!("SELECT DISTINCT cannot compare `{}` of type {}", map.name, map.ty);
        return Err(SqlError::invalid(message));
    }
    let by = columns.iter().map(|c| DfExpr::Column(DfColumn::new_unqualified(&c.name)));
    let aggregate = Aggregate::try_new(Arc::new(plan), by.collect(), Vec::new());
    Ok(LogicalPlan::Aggregate(aggregate.map_err(internal_error)?))
}

fn has_map(ty: &SqlType) -> bool {
    match ty {
        SqlType::Map(..) => true,
        SqlType::Array(item) => has_map(item),
        SqlType::Struct(fields) => fields.iter().any(|field| has_map(&field.ty)),
        _ => false,
    }
}

fn ordered(
    plan: LogicalPlan,
    columns: &[Column],
    Ordering(ordering): &Ordering,
    limit: Option<u64>,
) -> Result<LogicalPlan> {
    if ordering.is_empty() {
        return Ok(plan);
    }
    let mut by = Vec::with_capacity(ordering.len());
    for order in ordering {
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
    Ok(LogicalPlan::Sort(Sort { expr: by, input: Arc::new(plan), fetch }))
}
