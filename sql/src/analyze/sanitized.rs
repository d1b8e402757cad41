//! A statement with its SELECT spelled out, as ksqlDB shows it beside errors: every column says its
//! source, every item and every source has a name.

use super::names::Generator;
use super::scan::ScopeNames;
use super::scope::{Clause, Scope};
use super::{Settings, items};
use crate::ast::{AliasedSource, Emit, Expr, Ident, Query, SelectItem, Statement};
use crate::catalog::Catalog;
use crate::error::Result;

/// `statement`, spelled out. What selects nothing is as it was.
///
/// # Errors
/// Names that cannot be resolved.
pub fn sanitized(
    statement: &Statement,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Statement> {
    let mut statement = statement.clone();
    let query = match &mut statement {
        Statement::CreateAs(create) => &mut create.query,
        Statement::InsertInto(insert) => &mut insert.query,
        _ => return Ok(statement),
    };
    let scope = Scope::new(&query.from, catalog, settings, "")?;
    let list = |list: &[Expr], clause| -> Result<Vec<Expr>> {
        list.iter().map(|expr| scope.qualify(expr, clause)).collect()
    };
    let one = |expr: &Option<Expr>, clause| -> Result<Option<Expr>> {
        expr.as_ref().map(|expr| scope.qualify(expr, clause)).transpose()
    };
    let mut spelled = Query {
        items: spelled_items(query, &scope)?,
        filter: one(&query.filter, Clause::Where)?,
        group_by: list(&query.group_by, Clause::GroupBy)?,
        partition_by: list(&query.partition_by, Clause::PartitionBy)?,
        having: one(&query.having, Clause::Having)?,
        emit: query.emit.or(Some(Emit::Changes)),
        ..query.clone()
    };
    name(&mut spelled.from.first);
    for join in &mut spelled.from.joins {
        name(&mut join.right);
        join.on = scope.qualify(&join.on, Clause::JoinOn)?;
    }
    *query = spelled;
    Ok(statement)
}

fn spelled_items(query: &Query, scope: &Scope) -> Result<Vec<SelectItem>> {
    let columns = scope.inputs.iter().flat_map(|input| input.source.columns.iter());
    let mut generator = Generator::new(columns.map(|column| column.name.as_str()));
    let mut spelled = Vec::with_capacity(query.items.len());
    for item in &query.items {
        if let SelectItem::All { .. } = item {
            spelled.push(item.clone());
            continue;
        }
        let alone = Query { items: vec![item.clone()], ..query.clone() };
        let items = items::expand(&alone, scope, &ScopeNames(scope), &[], &mut generator)?;
        spelled.extend(
            items.into_iter().map(|item| SelectItem::Expr {
                expr: item.expr,
                alias: Some(Ident::new(&item.name)),
            }),
        );
    }
    Ok(spelled)
}

fn name(source: &mut AliasedSource) {
    if source.alias.is_none() && source.subquery.is_none() {
        source.alias = Some(source.name.clone());
    }
}
