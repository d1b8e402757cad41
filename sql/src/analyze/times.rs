//! ROWTIME, WINDOWSTART and WINDOWEND compared with text: the text is a point of time.

use super::tree;
use crate::ast::{Expr, ExprKind, Literal};
use crate::catalog::pseudo;
use crate::error::{Result, SqlError};
use crate::expr::parse_timestamp_text;

/// A copy of a predicate in which text beside a time column became milliseconds.
///
/// # Errors
/// Text that is no point of time.
pub(super) fn rewrite(expr: &Expr) -> Result<Expr> {
    tree::rewrite(expr, &mut |e| match &e.kind {
        ExprKind::Binary { op, left, right } if op.is_comparison() => {
            let (l, r) = (is_time_column(left), is_time_column(right));
            let left = if r { millis(left)? } else { None };
            let right = if l { millis(right)? } else { None };
            Ok(compared(e, left, right))
        }
        ExprKind::Between { expr, low, high, negated } if is_time_column(expr) => {
            let low = millis(low)?.unwrap_or_else(|| low.as_ref().clone());
            let high = millis(high)?.unwrap_or_else(|| high.as_ref().clone());
            let kind = ExprKind::Between {
                expr: expr.clone(),
                low: Box::new(low),
                high: Box::new(high),
                negated: *negated,
            };
            Ok(Some(Expr::new(kind, e.span())))
        }
        _ => Ok(None),
    })
}

fn compared(e: &Expr, new_left: Option<Expr>, new_right: Option<Expr>) -> Option<Expr> {
    let ExprKind::Binary { op, left, right } = &e.kind else { return None };
    if new_left.is_none() && new_right.is_none() {
        return None;
    }
    let kind = ExprKind::Binary {
        op: *op,
        left: new_left.map_or_else(|| left.clone(), Box::new),
        right: new_right.map_or_else(|| right.clone(), Box::new),
    };
    Some(Expr::new(kind, e.span()))
}

fn is_time_column(expr: &Expr) -> bool {
    const TIMES: [&str; 3] = [pseudo::ROWTIME, pseudo::WINDOWSTART, pseudo::WINDOWEND];
    matches!(&expr.kind, ExprKind::Column { name, .. } if TIMES.contains(&name.value.as_str()))
}

fn millis(expr: &Expr) -> Result<Option<Expr>> {
    let ExprKind::Literal(Literal::String(text)) = &expr.kind else { return Ok(None) };
    let ms = parse_timestamp_text(text)
        .map_err(|fault| SqlError::invalid(fault.to_string()).at(expr.span()))?;
    Ok(Some(Expr::new(ExprKind::Literal(Literal::Bigint(ms)), expr.span())))
}
