//! What may not stand in a SELECT, whatever its names mean.

use super::query::{Clauses, Purpose};
use super::scope::Scope;
use crate::ast::{ExprKind, Query, SelectItem};
use crate::catalog::{FormatKind, SourceKind, pseudo};
use crate::error::{Result, SqlError};

pub(super) fn check_sources(query: &Query, scope: &Scope, purpose: Purpose<'_>) -> Result<()> {
    let persistent = purpose.is_persistent();
    for input in &scope.inputs {
        let source = &input.source;
        if persistent && source.window.is_some() && source.kind == SourceKind::Table {
            let message = "KSQL does not support persistent queries on windowed tables.";
            return Err(SqlError::invalid(message).at(query.from.first.name.span()));
        }
    }
    let clause = match (scope.is_join(), query.group_by.is_empty()) {
        (true, _) => "JOIN",
        (_, false) => "GROUP BY",
        _ => return Ok(()),
    };
    let kafka: Vec<&str> = scope
        .inputs
        .iter()
        .filter(|i| i.source.value_format.kind == FormatKind::Kafka)
        .map(|i| i.source.name.as_str())
        .collect();
    if kafka.is_empty() {
        return Ok(());
    }
    Err(SqlError::invalid(format!(
        "Source(s) {} are using the 'KAFKA' value format. This format does not yet support \
         {clause}.",
        kafka.join(", ")
    )))
}

/// A persistent query cannot select window bounds that nothing has, even to say that they are not
/// there.
pub(super) fn check_bounds(query: &Query, scope: &Scope, purpose: Purpose<'_>) -> Result<()> {
    let windowed =
        scope.windowed_aggregate || scope.inputs.iter().any(|i| i.source.window.is_some());
    if windowed || !purpose.is_persistent() {
        return Ok(());
    }
    for item in &query.items {
        let SelectItem::Expr { expr, alias } = item else { continue };
        let ExprKind::Column { name, .. } = &expr.kind else { continue };
        let shown = alias.as_ref().unwrap_or(name);
        if [pseudo::WINDOWSTART, pseudo::WINDOWEND].contains(&shown.value.as_str()) {
            return Err(reserved(&shown.value).at(expr.span()));
        }
    }
    Ok(())
}

pub(super) fn reserved(name: &str) -> SqlError {
    SqlError::invalid(format!(
        "Reserved column name in select: `{name}`. Please remove or alias the column."
    ))
}

pub(super) fn check_ungrouped(query: &Query, clauses: &Clauses) -> Result<()> {
    if let Some(having) = &clauses.having {
        let message = "HAVING requires a GROUP BY clause.";
        return Err(SqlError::invalid(message).at(having.span()));
    }
    match &query.window {
        Some(window) => {
            let message = "WINDOW clause requires a GROUP BY clause.";
            Err(SqlError::invalid(message).at(window.loc.0))
        }
        None => Ok(()),
    }
}
