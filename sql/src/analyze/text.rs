//! Expressions as messages show them.

use super::scope::Scope;
use super::tree;
use crate::ast::{Expr, ExprKind, Ident};
use crate::unparse;

/// SQL text.
pub(super) fn sql(expr: &Expr) -> String {
    unparse::shown(expr).to_string()
}

/// Like [`sql`], with columns named as in the plan: bare, or `<SOURCE>_<COLUMN>` in a join.
pub(super) fn internal(expr: &Expr, scope: &Scope) -> String {
    let renamed = tree::rewrite(expr, &mut |e| {
        let ExprKind::Column { source: Some(source), name } = &e.kind else { return Ok(None) };
        let Some(column) = scope.column_of(&source.value, &name.value) else { return Ok(None) };
        let name = Ident::new(scope.internal_name(&column));
        Ok(Some(Expr::new(ExprKind::Column { source: None, name }, e.span())))
    });
    renamed.map_or_else(|_| sql(expr), |renamed| sql(&renamed))
}
