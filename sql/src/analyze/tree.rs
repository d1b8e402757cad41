//! Walking and rewriting of syntax trees.

use crate::ast::{CaseBranch, Expr, ExprKind};
use crate::error::Result;

/// A copy of `expr` in which `replace` had the first word at every node, from the top: `Some`
/// stands for the node and everything below it.
pub(super) fn rewrite(
    expr: &Expr,
    replace: &mut dyn FnMut(&Expr) -> Result<Option<Expr>>,
) -> Result<Expr> {
    if let Some(replaced) = replace(expr)? {
        return Ok(replaced);
    }
    let kind = rewrite_parts(&expr.kind, replace)?;
    Ok(Expr { kind, loc: expr.loc })
}

type Replace<'a> = &'a mut dyn FnMut(&Expr) -> Result<Option<Expr>>;

fn boxed(expr: &Expr, replace: Replace<'_>) -> Result<Box<Expr>> {
    Ok(Box::new(rewrite(expr, replace)?))
}

fn all(list: &[Expr], replace: Replace<'_>) -> Result<Vec<Expr>> {
    list.iter().map(|e| rewrite(e, replace)).collect()
}

fn rewrite_parts(kind: &ExprKind, f: Replace<'_>) -> Result<ExprKind> {
    use ExprKind::*;
    Ok(match kind {
        Literal(_) | Column { .. } | CallStar { .. } | Unit(_) => kind.clone(),
        Unary { op, expr } => Unary { op: *op, expr: boxed(expr, f)? },
        Binary { op, left, right } => {
            Binary { op: *op, left: boxed(left, f)?, right: boxed(right, f)? }
        }
        Between { expr, low, high, negated } => Between {
            expr: boxed(expr, f)?,
            low: boxed(low, f)?,
            high: boxed(high, f)?,
            negated: *negated,
        },
        InList { expr, list, negated } => {
            InList { expr: boxed(expr, f)?, list: all(list, f)?, negated: *negated }
        }
        Like { expr, pattern, escape, negated } => Like {
            expr: boxed(expr, f)?,
            pattern: boxed(pattern, f)?,
            escape: escape.clone(),
            negated: *negated,
        },
        IsNull { expr, negated } => IsNull { expr: boxed(expr, f)?, negated: *negated },
        Cast { expr, ty } => Cast { expr: boxed(expr, f)?, ty: ty.clone() },
        Call { name, args } => Call { name: name.clone(), args: all(args, f)? },
        Subscript { base, index } => Subscript { base: boxed(base, f)?, index: boxed(index, f)? },
        Field { base, name } => Field { base: boxed(base, f)?, name: name.clone() },
        Array(items) => Array(all(items, f)?),
        Lambda { params, body } => Lambda { params: params.clone(), body: boxed(body, f)? },
        Case { .. } | Map(_) | Struct(_) => rewrite_groups(kind, f)?,
    })
}

fn rewrite_groups(kind: &ExprKind, f: Replace<'_>) -> Result<ExprKind> {
    Ok(match kind {
        ExprKind::Case { operand, branches, otherwise } => {
            let operand = operand.as_ref().map(|e| boxed(e, f)).transpose()?;
            let branches = branches
                .iter()
                .map(|b| {
                    let condition = rewrite(&b.condition, f)?;
                    Ok(CaseBranch { condition, result: rewrite(&b.result, f)? })
                })
                .collect::<Result<_>>()?;
            let otherwise = otherwise.as_ref().map(|e| boxed(e, f)).transpose()?;
            ExprKind::Case { operand, branches, otherwise }
        }
        ExprKind::Map(entries) => ExprKind::Map(
            entries
                .iter()
                .map(|(k, v)| Ok((rewrite(k, f)?, rewrite(v, f)?)))
                .collect::<Result<_>>()?,
        ),
        ExprKind::Struct(fields) => ExprKind::Struct(
            fields
                .iter()
                .map(|(name, v)| Ok((name.clone(), rewrite(v, f)?)))
                .collect::<Result<_>>()?,
        ),
        other => other.clone(),
    })
}

/// Calls `visit` at every node, from the top; `false` skips what is below.
pub(super) fn visit(expr: &Expr, visit: &mut dyn FnMut(&Expr) -> bool) {
    // Rewriting without a replacement never fails, and the copy costs nothing that matters here.
    let _ = rewrite(expr, &mut |e| Ok((!visit(e)).then(|| e.clone())));
}

/// True if `test` holds at some node.
pub(super) fn any(expr: &Expr, test: &dyn Fn(&Expr) -> bool) -> bool {
    let mut found = false;
    visit(expr, &mut |e| {
        found |= test(e);
        !found
    });
    found
}
