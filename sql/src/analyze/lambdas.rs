//! Lambdas of the syntax tree, as functions ask for their types.

use std::cell::RefCell;

use datafusion::logical_expr::Expr as DfExpr;

use super::column;
use super::typing::{Names, typed};
use crate::ast::{Expr, ExprKind, Ident};
use crate::error::Result;
use crate::expr::Typed;
use crate::functions::{LambdaSource, TypedLambda};
use crate::types::SqlType;

/// A lambda where it stands.
pub(super) struct AstLambda<'a> {
    params: &'a [Ident],
    body: &'a Expr,
    names: &'a dyn Names,
}

impl<'a> AstLambda<'a> {
    /// `None` when the argument is a value.
    pub fn of(arg: &'a Expr, names: &'a dyn Names) -> Option<Self> {
        match &arg.kind {
            ExprKind::Lambda { params, body } => Some(AstLambda { params, body, names }),
            _ => None,
        }
    }
}

impl LambdaSource for AstLambda<'_> {
    fn arity(&self) -> usize {
        self.params.len()
    }

    fn typed(&self, types: &[SqlType]) -> Result<TypedLambda> {
        let params = self.params.iter().zip(types);
        let params: Vec<(String, SqlType)> =
            params.map(|(name, ty)| (name.value.clone(), ty.clone())).collect();
        let inner = Inner { outer: self.names, params, captures: RefCell::new(Vec::new()) };
        let body = typed(self.body, &inner)?;
        let captures = inner.captures.into_inner();
        Ok(TypedLambda { params: inner.params, captures, body })
    }
}

/// What names mean in the body of a lambda: its parameters, then what they mean around it.
struct Inner<'a> {
    outer: &'a dyn Names,
    params: Vec<(String, SqlType)>,
    /// Columns from around that the body has named.
    captures: RefCell<Vec<(datafusion::common::Column, SqlType)>>,
}

impl Names for Inner<'_> {
    fn find(&self, expr: &Expr) -> Result<Option<Typed>> {
        if let ExprKind::Column { source: None, name } = &expr.kind
            && let Some((name, ty)) = self.params.iter().find(|(known, _)| *known == name.value)
        {
            return Ok(Some(column(name, ty.clone())));
        }
        let found = self.outer.find(expr)?;
        if let Some(Typed { expr: DfExpr::Column(column), ty: Some(ty), .. }) = &found {
            let capture = (column.clone(), ty.clone());
            let mut captures = self.captures.borrow_mut();
            if !captures.contains(&capture) {
                captures.push(capture);
            }
        }
        Ok(found)
    }
}
