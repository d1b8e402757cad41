//! What a condition says, for those who want to know which rows it can hold for. Our conditions
//! are functions to DataFusion, because they are two-valued (R31).

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use std::sync::Arc;

use super::eval::Evaluator;
use super::op::{OpKind, as_op};
use super::ops::BinaryOp;

/// A condition, taken apart at its root.
#[derive(Debug)]
pub enum Term<'a> {
    And(&'a Expr, &'a Expr),
    Or(&'a Expr, &'a Expr),
    /// A column compared with a constant, column first.
    Compare(&'a Column, BinaryOp, &'a Expr),
    /// A column between two constants, both included.
    Between(&'a Column, &'a Expr, &'a Expr),
    /// A column that equals one of some constants.
    In(&'a Column, &'a [Expr]),
    Other,
}

impl<'a> Term<'a> {
    /// Takes a condition apart.
    pub fn of(expr: &'a Expr) -> Self {
        Term::of_call(expr).unwrap_or(Term::Other)
    }

    fn of_call(expr: &'a Expr) -> Option<Self> {
        let Expr::ScalarFunction(call) = expr else { return None };
        let op = as_op(&call.func)?;
        Some(match (&op.kind, call.args.as_slice()) {
            (OpKind::And, [left, right]) => Term::And(left, right),
            (OpKind::Or, [left, right]) => Term::Or(left, right),
            (OpKind::Kernel(_), args) => match (op.name.as_str(), args) {
                ("BETWEEN", [Expr::Column(column), low, high])
                    if is_constant(low) && is_constant(high) =>
                {
                    Term::Between(column, low, high)
                }
                ("IN", [Expr::Column(column), list @ ..]) if list.iter().all(is_constant) => {
                    Term::In(column, list)
                }
                (name, [left, right]) => compare(comparison(name)?, left, right)?,
                _ => return None,
            },
            _ => return None,
        })
    }
}

fn compare<'a>(op: BinaryOp, left: &'a Expr, right: &'a Expr) -> Option<Term<'a>> {
    match (left, right) {
        (Expr::Column(column), value) if is_constant(value) => {
            Some(Term::Compare(column, op, value))
        }
        (value, Expr::Column(column)) if is_constant(value) => {
            Some(Term::Compare(column, flipped(op), value))
        }
        _ => None,
    }
}

fn comparison(name: &str) -> Option<BinaryOp> {
    use BinaryOp::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    [Equal, Less, LessOrEqual, Greater, GreaterOrEqual].into_iter().find(|op| op.symbol() == name)
}

/// The operator when the sides change places.
fn flipped(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessOrEqual => BinaryOp::GreaterOrEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterOrEqual => BinaryOp::LessOrEqual,
        other => other,
    }
}

fn is_constant(expr: &Expr) -> bool {
    !expr.any_column_refs()
}

/// The conditions that must all hold for `expr` to hold.
pub fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let (mut found, mut open) = (Vec::new(), vec![expr]);
    while let Some(next) = open.pop() {
        match Term::of(next) {
            Term::And(left, right) => open.extend([right, left]),
            _ => found.push(next),
        }
    }
    found
}

/// The value of a constant expression; `None` when it cannot be computed, or is NULL.
pub(crate) fn constant(expr: &Expr) -> Option<ScalarValue> {
    let value = match expr {
        Expr::Literal(value, _) => value.clone(),
        _ => {
            let options = RecordBatchOptions::new().with_row_count(Some(1));
            let schema = Arc::new(Schema::empty());
            let batch = RecordBatch::try_new_with_options(schema, vec![], &options).ok()?;
            let mut errors = Vec::new();
            let evaluator = Evaluator::new(expr, &DFSchema::empty()).ok()?;
            let value = evaluator.column(&batch, &mut errors).ok()?;
            ScalarValue::try_from_array(&value, 0).ok().filter(|_| errors.is_empty())?
        }
    };
    (!value.is_null()).then_some(value)
}
