//! Scans that read only what the statement uses.

use std::collections::HashSet;

use datafusion::logical_expr::LogicalPlan;

use super::flat_map::Flat;
use super::scope::{ColumnRef, Scope};
use super::typing::Names;
use super::{internal_error, subquery, tree};
use crate::ast::{Expr, ExprKind};
use crate::catalog::{ColumnRole, Source};
use crate::error::Result;
use crate::expr::Typed;
use crate::plan::{self, ScanColumn, ScanNode};
use crate::types::SqlType;

/// Columns of the sources, by their plan names.
pub(super) struct ScopeNames<'a>(pub &'a Scope);

/// The column that a join adds for its key, and the source column that it stands for: where a row
/// of one side is absent, its own join column is NULL, and the key is not.
#[derive(Debug, Clone)]
pub(super) struct JoinKey {
    pub stands_for: Option<Expr>,
    pub name: String,
    pub ty: SqlType,
}

/// [`ScopeNames`] above the joins.
pub(super) struct StageNames<'a> {
    pub scope: &'a Scope,
    pub join_key: Option<&'a JoinKey>,
    pub flat: &'a [Flat],
}

impl Names for StageNames<'_> {
    fn find(&self, expr: &Expr) -> Result<Option<Typed>> {
        if let Some(flat) = self.flat.iter().find(|flat| flat.call == *expr) {
            return Ok(Some(super::column(&flat.name, flat.ty.clone())));
        }
        match self.join_key {
            Some(key) if key.stands_for.as_ref() == Some(expr) => {
                Ok(Some(super::column(&key.name, key.ty.clone())))
            }
            _ => ScopeNames(self.scope).find(expr),
        }
    }
}

impl Names for ScopeNames<'_> {
    fn find(&self, expr: &Expr) -> Result<Option<Typed>> {
        let ExprKind::Column { source, name } = &expr.kind else { return Ok(None) };
        let Some(source) = source else {
            let synthetic = self.0.synthetic.as_ref().filter(|s| s.name == name.value);
            return Ok(synthetic.map(|s| super::column(&s.name, s.ty.clone())));
        };
        let column = self.0.column_of(&source.value, &name.value);
        Ok(column.map(|c| super::column(&self.0.internal_name(&c), self.0.type_of(&c))))
    }
}

/// Columns that the statement reads somewhere.
#[derive(Debug, Default)]
pub(super) struct Used(HashSet<ColumnRef>);

impl Used {
    /// Notes the columns of a resolved expression.
    pub fn add(&mut self, expr: &Expr, scope: &Scope) {
        tree::visit(expr, &mut |e| {
            if let ExprKind::Column { source: Some(source), name } = &e.kind {
                self.0.extend(scope.column_of(&source.value, &name.value));
            }
            true
        });
    }
}

/// The scan of one source: its key, its window bounds, and the used columns in declared order.
pub(super) fn scan(
    scope: &Scope,
    input: usize,
    used: &Used,
    step: String,
    materialized: bool,
) -> Result<LogicalPlan> {
    let source = scope.inputs[input].source.clone();
    let is_used =
        |column: &ScanColumn| used.0.contains(&ColumnRef { input, column: column.clone() });
    let mut columns: Vec<ScanColumn> = Vec::new();
    columns.extend(declared(&source, true));
    if source.window.is_some() {
        columns.extend([ScanColumn::WindowStart, ScanColumn::WindowEnd]);
    }
    columns.extend(declared(&source, false).into_iter().filter(is_used));
    // A subquery has none of these: no name resolves to them.
    let pseudo = [ScanColumn::Rowtime, ScanColumn::Rowpartition, ScanColumn::Rowoffset];
    columns.extend(pseudo.into_iter().filter(is_used));
    if let Some(inner) = &scope.inputs[input].inner {
        return subquery::read(inner, scope, input, columns);
    }
    let named: Vec<_> = columns
        .iter()
        .map(|column| {
            let column = ColumnRef { input, column: column.clone() };
            (scope.internal_name(&column), scope.type_of(&column))
        })
        .collect();
    let schema = plan::schema(&named).map_err(internal_error)?;
    Ok(plan::node(ScanNode { step, source, columns, materialized, schema }))
}

/// The declared key columns, or the others.
pub(super) fn declared(source: &Source, key: bool) -> Vec<ScanColumn> {
    let is_wanted = |i: &usize| (source.columns[*i].role == ColumnRole::Key) == key;
    (0..source.columns.len()).filter(is_wanted).map(ScanColumn::Declared).collect()
}
