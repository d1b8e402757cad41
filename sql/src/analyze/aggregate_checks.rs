//! What SELECT and HAVING may name beside a GROUP BY.

use super::aggregate::is_aggregate;
use super::query::Clauses;
use super::scope::Scope;
use super::{text, tree};
use crate::ast::{Expr, ExprKind};
use crate::error::{Result, SqlError};

/// Columns outside of grouping expressions and aggregate calls.
fn stray_columns(expr: &Expr, group_by: &[Expr]) -> Vec<Expr> {
    let mut stray = Vec::new();
    tree::visit(expr, &mut |e| {
        if group_by.contains(e) || is_aggregate(e) {
            return false;
        }
        if let ExprKind::Column { source: Some(_), .. } = &e.kind {
            stray.push(e.clone());
        }
        true
    });
    stray
}

pub(super) fn check_items(clauses: &Clauses, scope: &Scope) -> Result<()> {
    let mut shown: Vec<String> = Vec::new();
    let mut span = None;
    for item in &clauses.items {
        let stray = stray_columns(&item.expr, &clauses.group_by);
        if stray.is_empty() {
            continue;
        }
        span.get_or_insert(item.span);
        if tree::any(&item.expr, &is_aggregate) {
            shown.extend(stray.iter().map(|e| text::internal(e, scope)));
        } else {
            shown.push(text::internal(&item.expr, scope));
        }
    }
    let Some(span) = span else { return Ok(()) };
    Err(SqlError::invalid(format!(
        "Non-aggregate SELECT expression(s) not part of GROUP BY: {}\nEither add the column(s) to \
         the GROUP BY or remove them from the SELECT.",
        shown.join(", ")
    ))
    .at(span))
}

pub(super) fn check_having(clauses: &Clauses, scope: &Scope) -> Result<()> {
    let Some(having) = &clauses.having else { return Ok(()) };
    let stray = stray_columns(having, &clauses.group_by);
    if stray.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = stray.iter().map(|e| text::internal(e, scope)).collect();
    Err(SqlError::invalid(format!(
        "Non-aggregate HAVING expression not part of GROUP BY: {}\n\
         Consider switching the HAVING clause to a WHERE clause before the GROUP BY.",
        shown.join(", ")
    ))
    .at(having.span()))
}
