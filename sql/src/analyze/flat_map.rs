//! Table functions in the SELECT list: a node that gives a row per item of what they return, before
//! the projection, where the calls are columns.

use super::names::Generator;
use super::query::{Clauses, Stage};
use super::scope::Scope;
use super::typing::{prefixed, typed};
use super::{internal_error, text, tree};
use crate::ast::{Expr, ExprKind};
use crate::error::{Result, SqlError};
use crate::expr::Typed;
use crate::functions::{self, FunctionKind};
use crate::plan::{self, FlatMapNode, ResultKind};
use crate::types::SqlType;

/// A call of a table function, and the column that holds its value.
#[derive(Debug, Clone)]
pub(super) struct Flat {
    pub call: Expr,
    pub name: String,
    pub ty: SqlType,
}

pub(super) fn is_table_function(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call { name, .. } | ExprKind::CallStar { name } => {
            functions::kind(&name.value) == Some(FunctionKind::Table)
        }
        _ => false,
    }
}

/// # Errors
/// When a table function stands where rows are grouped.
pub(super) fn refuse(clauses: &Clauses) -> Result<()> {
    let items = clauses.items.iter().map(|item| &item.expr);
    match items.into_iter().find(|expr| tree::any(expr, &is_table_function)) {
        None => Ok(()),
        Some(expr) => {
            let message = "Table functions cannot be used with aggregations.";
            Err(SqlError::invalid(message).at(expr.span()))
        }
    }
}

/// The stage above the table functions of the SELECT list, if there are any.
///
/// # Errors
/// Table functions over tables, in each other, in CASE and in lambdas.
pub(super) fn plan(mut stage: Stage, clauses: &Clauses, scope: &Scope) -> Result<Stage> {
    let mut calls: Vec<Expr> = Vec::new();
    for item in &clauses.items {
        collect(&item.expr, scope, &mut calls)?;
    }
    let Some(first) = calls.first() else { return Ok(stage) };
    if stage.kind == ResultKind::Table {
        let message = "Table source is not supported with table functions";
        return Err(SqlError::invalid(message).at(first.span()));
    }
    let fields = stage.plan.schema().fields();
    let mut generator = Generator::new(fields.iter().map(|f| f.name().as_str()));
    let mut columns: Vec<(String, SqlType)> = Vec::new();
    for field in fields {
        let ty = SqlType::from_arrow(field.data_type());
        let ty = ty.ok_or_else(|| SqlError::invalid("a column of the plan has no SQL type"))?;
        columns.push((field.name().clone(), ty));
    }
    let (mut lists, mut flat) = (Vec::new(), Vec::new());
    for call in calls {
        let list = list_of(&call, &stage, scope)?;
        let Some(SqlType::Array(ty)) = list.ty else {
            return Err(SqlError::invalid("a table function gives no rows").at(call.span()));
        };
        let name = generator.unique(&format!("KSQL_SYNTH_{}", flat.len()));
        columns.push((name.clone(), (*ty).clone()));
        lists.push(list.expr);
        flat.push(Flat { call, name, ty: *ty });
    }
    let schema = plan::schema(&columns).map_err(internal_error)?;
    stage.plan = plan::node(FlatMapNode { input: stage.plan, lists, schema });
    stage.flat = flat;
    Ok(stage)
}

/// The outermost calls of table functions, each once.
fn collect(expr: &Expr, scope: &Scope, calls: &mut Vec<Expr>) -> Result<()> {
    let mut problem: Option<String> = None;
    tree::visit(expr, &mut |e| {
        if matches!(e.kind, ExprKind::Case { .. }) && tree::any(e, &is_table_function) {
            let shown = text::internal(e, scope);
            problem = Some(format!("Table functions cannot be used in CASE: {shown}"));
        }
        if matches!(e.kind, ExprKind::Lambda { .. }) && tree::any(e, &is_table_function) {
            problem = Some("Table functions cannot be used in lambdas".to_string());
        }
        if is_table_function(e) {
            if !calls.contains(e) {
                calls.push(e.clone());
            }
            problem = problem.take().or_else(|| nested(e));
        }
        problem.is_none() && !is_table_function(e)
    });
    match problem {
        Some(message) => Err(SqlError::invalid(message).at(expr.span())),
        None => Ok(()),
    }
}

fn nested(call: &Expr) -> Option<String> {
    let ExprKind::Call { name: outer, args } = &call.kind else { return None };
    let mut inner = None;
    for arg in args {
        tree::visit(arg, &mut |e| {
            if let (true, ExprKind::Call { name, .. }) = (is_table_function(e), &e.kind) {
                inner.get_or_insert(name.value.clone());
            }
            inner.is_none()
        });
    }
    Some(format!("Table functions cannot be nested: {}({}())", outer.value, inner?))
}

fn list_of(call: &Expr, stage: &Stage, scope: &Scope) -> Result<Typed> {
    let (name, args) = match &call.kind {
        ExprKind::Call { name, args } => (name, args.as_slice()),
        ExprKind::CallStar { name } => (name, &[][..]),
        _ => return Err(SqlError::invalid("not a call").at(call.span())),
    };
    let names = stage.names(scope);
    let args = args.iter().map(|arg| typed(arg, &names)).collect::<Result<Vec<_>>>();
    let list = args.and_then(|args| functions::resolve_table(&name.value, args));
    list.map_err(|e| prefixed("Invalid Select", e).at(call.span()))
}
