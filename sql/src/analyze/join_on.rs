//! ON of a JOIN: the equality by which rows meet, and what else must hold of a pair of them.

use super::join::{is_only_key, sources};
use super::scope::{Clause, Scope};
use crate::ast::{BinaryOp, Expr, ExprKind, Join};
use crate::error::{Result, SqlError};

/// A condition taken apart.
#[derive(Debug)]
pub(super) struct On {
    /// As it is written.
    pub equality: Expr,
    /// Resolved; every source in it stands left of the join or is its right side.
    pub rest: Option<Expr>,
}

impl On {
    /// ksqlDB takes one equality and nothing else. With extensions a condition may be several, joined
    /// by AND: rows meet by the first that compares an expression of the right side with one of a
    /// source before it, by the first on a primary key if the right side is a table.
    ///
    /// # Errors
    /// Names that cannot be resolved, and sources that are joined later.
    pub fn of(join: &Join, scope: &Scope, left: usize) -> Result<On> {
        let mut conjuncts = conjuncts(&join.on);
        let whole = || On { equality: join.on.clone(), rest: None };
        if !scope.extensions || conjuncts.len() == 1 {
            return Ok(whole());
        }
        let mut chosen = None;
        for (at, expr) in conjuncts.iter().enumerate() {
            let rank = rank(expr, scope, left)?;
            if rank > chosen.map_or(0, |(best, _)| best) {
                chosen = Some((rank, at));
            }
        }
        let Some((_, chosen)) = chosen else { return Ok(whole()) };
        let equality = conjuncts.remove(chosen).clone();
        let mut rest: Option<Expr> = None;
        for expr in conjuncts {
            let expr = scope.qualify(expr, Clause::JoinOn)?;
            if let Some(later) = sources(&expr, scope).into_iter().find(|source| *source > left) {
                let later = &scope.inputs[later].alias;
                let message = format!("The join condition uses `{later}`, which is joined later.");
                return Err(SqlError::invalid(message).at(expr.span()));
            }
            rest = Some(match rest {
                Some(before) => and(before, expr),
                None => expr,
            });
        }
        Ok(On { equality, rest })
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    let span = left.span().to(right.span());
    let (left, right) = (Box::new(left), Box::new(right));
    Expr::new(ExprKind::Binary { op: BinaryOp::And, left, right }, span)
}

/// The conditions that are joined by AND.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let mut conjuncts = Vec::new();
    take_apart(expr, &mut conjuncts);
    conjuncts
}

/// The sides of a resolved equality, if one is of sources before `at` and the other of that one.
pub(super) fn sides_at(expr: &Expr, scope: &Scope, at: usize) -> Option<(Expr, Expr)> {
    let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &expr.kind else { return None };
    let before = |e: &Expr| matches!(sources(e, scope).as_slice(), [of] if *of < at);
    let of_right = |e: &Expr| sources(e, scope) == [at];
    match (left.as_ref(), right.as_ref()) {
        (a, b) if before(a) && of_right(b) => Some((a.clone(), b.clone())),
        (a, b) if before(b) && of_right(a) => Some((b.clone(), a.clone())),
        _ => None,
    }
}

/// Depth is bounded by the parser.
fn take_apart<'a>(expr: &'a Expr, conjuncts: &mut Vec<&'a Expr>) {
    match &expr.kind {
        ExprKind::Binary { op: BinaryOp::And, left, right } => {
            take_apart(left, conjuncts);
            take_apart(right, conjuncts);
        }
        _ => conjuncts.push(expr),
    }
}

/// How well rows can meet by a condition: 0 not at all, 1 by an equality, 2 by one on the key of the
/// table to the right, 3 by one on the keys of both tables.
fn rank(expr: &Expr, scope: &Scope, at: usize) -> Result<u32> {
    let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &expr.kind else { return Ok(0) };
    let left = scope.qualify(left, Clause::JoinOn)?;
    let right = scope.qualify(right, Clause::JoinOn)?;
    let (of_left, of_right) = (sources(&left, scope), sources(&right, scope));
    let ([x], [y]) = (of_left.as_slice(), of_right.as_slice()) else { return Ok(0) };
    let (before, other, source) = match (*x, *y) {
        (x, y) if x < at && y == at => (&left, &right, x),
        (x, y) if y < at && x == at => (&right, &left, y),
        _ => return Ok(0),
    };
    let input = &scope.inputs[at];
    if input.is_stream() || !is_only_key(other, input) {
        return Ok(1);
    }
    Ok(2 + u32::from(is_only_key(before, &scope.inputs[source])))
}
