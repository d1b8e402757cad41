//! CREATE TYPE, DROP TYPE, and names of types replaced by what they stand for.

use std::collections::BTreeMap;

use super::{Analyzed, NewType, NothingToDo, tree};
use crate::ast::{
    ColumnDef, Expr, ExprKind, Ident, Query, SelectItem, Statement, TypeExpr, TypeKind,
};
use crate::catalog::Catalog;
use crate::error::{Result, SqlError};
use crate::types::SqlType;

type Types = BTreeMap<String, SqlType>;

/// # Errors
/// A name that is taken, unless IF NOT EXISTS is said; a type that does not exist.
pub(super) fn create(
    name: &Ident,
    ty: &TypeExpr,
    if_not_exists: bool,
    catalog: &Catalog,
) -> Result<Analyzed> {
    if let Some(present) = catalog.types.get(&name.value) {
        let name_text = &name.value;
        if if_not_exists {
            let message = format!("{name_text} is already registered with type {present}");
            return Ok(Analyzed::Nothing(NothingToDo { message }));
        }
        let message = format!(
            "Cannot register custom type '{name_text}' since it is already registered with type: \
             {present}"
        );
        return Err(SqlError::invalid(message).at(name.span()));
    }
    let ty = ty.resolve(&|_| None)?;
    Ok(Analyzed::CreateType(NewType { name: name.value.clone(), ty }))
}

/// # Errors
/// A type that does not exist, unless IF EXISTS is said.
pub(super) fn drop_type(name: &Ident, if_exists: bool, catalog: &Catalog) -> Result<Analyzed> {
    if catalog.types.contains_key(&name.value) {
        return Ok(Analyzed::DropType(name.value.clone()));
    }
    if if_exists {
        let message = format!("Type '{}' does not exist", name.value);
        return Ok(Analyzed::Nothing(NothingToDo { message }));
    }
    let message = format!("Type {} does not exist.", name.value);
    Err(SqlError::invalid(message).at(name.span()))
}

/// The statement with names of types replaced; `None` when nothing changes. Names that are unknown
/// stay, and are refused where their type is asked for.
pub(super) fn expand(statement: &Statement, types: &Types) -> Result<Option<Statement>> {
    if types.is_empty() {
        return Ok(None);
    }
    let mut expanded = statement.clone();
    in_statement(&mut expanded, types)?;
    Ok((expanded != *statement).then_some(expanded))
}

fn in_statement(statement: &mut Statement, types: &Types) -> Result<()> {
    match statement {
        Statement::Query(query) => in_query(query, types),
        Statement::CreateAs(create) => in_query(&mut create.query, types),
        Statement::InsertInto(insert) => in_query(&mut insert.query, types),
        Statement::InsertValues(insert) => {
            insert.values.iter_mut().try_for_each(|value| in_expr(value, types))
        }
        Statement::CreateSource(create) => {
            in_columns(&mut create.columns, types);
            Ok(())
        }
        Statement::AlterSource { columns, .. } => {
            in_columns(columns, types);
            Ok(())
        }
        Statement::CreateType { ty, .. } => {
            in_type(ty, types);
            Ok(())
        }
        Statement::ExplainStatement(inner) => in_statement(inner, types),
        _ => Ok(()),
    }
}

fn in_columns(columns: &mut [ColumnDef], types: &Types) {
    columns.iter_mut().for_each(|column| in_type(&mut column.ty, types));
}

fn in_query(query: &mut Query, types: &Types) -> Result<()> {
    for item in &mut query.items {
        match item {
            SelectItem::Expr { expr, .. } | SelectItem::StructAll { base: expr, .. } => {
                in_expr(expr, types)?;
            }
            SelectItem::All { .. } => {}
        }
    }
    query.union_all.iter_mut().try_for_each(|query| in_query(query, types))?;
    let rights = query.from.joins.iter_mut().map(|join| &mut join.right);
    let sources = std::iter::once(&mut query.from.first).chain(rights);
    let mut subqueries = sources.filter_map(|source| source.subquery.as_deref_mut());
    subqueries.try_for_each(|query| in_query(query, types))?;
    let lists = query.group_by.iter_mut().chain(&mut query.partition_by);
    let clauses = query.filter.iter_mut().chain(&mut query.having);
    let joins = query.from.joins.iter_mut().map(|join| &mut join.on);
    lists.chain(clauses).chain(joins).try_for_each(|expr| in_expr(expr, types))
}

/// Types stand in CASTs.
fn in_expr(expr: &mut Expr, types: &Types) -> Result<()> {
    *expr = tree::rewrite(expr, &mut |e| {
        let ExprKind::Cast { expr: inner, ty } = &e.kind else { return Ok(None) };
        let (mut inner, mut ty) = (inner.clone(), ty.clone());
        in_expr(&mut inner, types)?;
        in_type(&mut ty, types);
        Ok(Some(Expr { kind: ExprKind::Cast { expr: inner, ty }, loc: e.loc }))
    })?;
    Ok(())
}

fn in_type(ty: &mut TypeExpr, types: &Types) {
    match &mut ty.kind {
        TypeKind::Scalar(_) => {}
        TypeKind::Array(item) => in_type(item, types),
        TypeKind::Map(key, value) => {
            in_type(key, types);
            in_type(value, types);
        }
        TypeKind::Struct(fields) => fields.iter_mut().for_each(|f| in_type(&mut f.ty, types)),
        TypeKind::Custom(name) => {
            if let Some(known) = types.get(&name.value) {
                ty.kind = TypeExpr::of(known).kind;
            }
        }
    }
}
