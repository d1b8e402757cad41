//! UNION ALL of streams: each SELECT is planned on its own, and all feed one result.

use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, Union};

use super::formats;
use super::query::{Purpose, Selected, select_in};
use super::settings::Settings;
use crate::ast::Query;
use crate::catalog::{Catalog, Column};
use crate::error::{Result, SqlError};
use crate::plan::ResultKind;

/// # Errors
/// Whatever is refused of one of the queries; tables, and columns that differ.
pub(super) fn select_all(
    query: &Query,
    catalog: &Catalog,
    settings: &Settings,
    purpose: Purpose<'_>,
) -> Result<Selected> {
    let (first, others) = branches(query, catalog, settings, purpose)?;
    for (branch, selected) in query.union_all.iter().zip(&others) {
        check_columns(branch, &first, selected)?;
    }
    Ok(unite(first, others))
}

/// Each SELECT on its own: the first, and those after UNION ALL.
///
/// # Errors
/// Whatever is refused of one of them; tables.
pub(super) fn branches(
    query: &Query,
    catalog: &Catalog,
    settings: &Settings,
    purpose: Purpose<'_>,
) -> Result<(Selected, Vec<Selected>)> {
    let first = select_in(query, catalog, settings, purpose, "")?;
    if query.union_all.is_empty() {
        return Ok((first, Vec::new()));
    }
    check_kind(query, &first)?;
    let mut others = Vec::with_capacity(query.union_all.len());
    for (at, branch) in query.union_all.iter().enumerate() {
        let prefix = format!("U{}_", at + 2);
        let selected = select_in(branch, catalog, settings, purpose, &prefix)?;
        check_kind(branch, &selected)?;
        others.push(selected);
    }
    Ok((first, others))
}

/// One result of several that have the same columns.
pub(super) fn unite(first: Selected, others: Vec<Selected>) -> Selected {
    if others.is_empty() {
        return first;
    }
    let mut all = first;
    let mut inputs = vec![Arc::new(all.plan.clone())];
    for selected in others {
        inputs.push(Arc::new(selected.plan));
        all.computed_key |= selected.computed_key;
        let more = selected.reads.into_iter().filter(|name| !all.reads.contains(name));
        let more: Vec<String> = more.collect();
        all.reads.extend(more);
    }
    let schema = all.plan.schema().clone();
    all.plan = LogicalPlan::Union(Union { inputs, schema });
    all
}

/// # Errors
/// UNION ALL in a pull query.
pub(super) fn refuse(query: &Query) -> Result<()> {
    if query.union_all.is_empty() {
        return Ok(());
    }
    let message = "UNION ALL is not supported in a pull query.";
    let hint = "ask one query for each SELECT, or make a stream of the union";
    Err(SqlError::invalid(message).at(query.loc.0).hint(hint))
}

fn check_kind(query: &Query, selected: &Selected) -> Result<()> {
    if selected.kind == ResultKind::Stream {
        return Ok(());
    }
    let message = "UNION ALL joins streams, and one of its SELECTs gives a table.";
    Err(SqlError::invalid(message).at(query.loc.0))
}

fn check_columns(query: &Query, first: &Selected, other: &Selected) -> Result<()> {
    if first.columns == other.columns && first.window == other.window {
        return Ok(());
    }
    let shown = |columns: &[Column]| formats::describe(&columns.iter().collect::<Vec<_>>());
    let message = format!(
        "The SELECTs of UNION ALL must have the same columns, keys and windows.\nThe first has {}\n\
         Another has {}",
        shown(&first.columns),
        shown(&other.columns)
    );
    let hint = "name columns alike with AS, and CAST where types differ";
    Err(SqlError::invalid(message).at(query.loc.0).hint(hint))
}
