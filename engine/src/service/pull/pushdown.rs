//! Which conditions of a query say something of the rows below a join or a projection.
//!
//! Only what a table can seek by is of use below a join, and that never holds for NULL. So a row
//! that a side leaves out for it is missed by nobody: had it been there, or were a row of the other
//! side filled up with NULLs for the lack of it, the condition above the join would drop the row.

use std::collections::HashMap;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result as DfResult};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection};

/// Those of `conditions`, which all hold above the join, that speak of the columns of `side` alone;
/// what is said of a join key is said of the key of the other side, too.
pub(super) fn of_side(conditions: &[Expr], join: &Join, side: &LogicalPlan) -> DfResult<Vec<Expr>> {
    let mut found = Vec::new();
    for condition in conditions {
        if speaks_of(condition, side) {
            found.push(condition.clone());
            continue;
        }
        for (left, right) in &join.on {
            let (Expr::Column(left), Expr::Column(right)) = (left, right) else { continue };
            for (from, to) in [(left, right), (right, left)] {
                let moved = renamed(condition, from, to)?;
                if speaks_of(&moved, side) {
                    found.push(moved);
                }
            }
        }
    }
    Ok(found)
}

/// What `conditions`, which hold above the projection, say of the columns below that it passes on.
pub(super) fn below(conditions: &[Expr], projection: &Projection) -> DfResult<Vec<Expr>> {
    let mut passed = HashMap::new();
    for (expr, (_, field)) in projection.expr.iter().zip(projection.schema.iter()) {
        if let Expr::Column(column) = expr.clone().unalias() {
            passed.insert(Column::new_unqualified(field.name()), column);
        }
    }
    let known = |condition: &&Expr| {
        condition.column_refs().into_iter().all(|column| passed.contains_key(column))
    };
    let below = conditions.iter().filter(known).map(|condition| {
        let moved = condition.clone().transform(|expr| {
            let column = expr.try_as_col().and_then(|column| passed.get(column));
            Ok(match column {
                Some(column) => Transformed::yes(Expr::Column(column.clone())),
                None => Transformed::no(expr),
            })
        });
        Ok(moved?.data)
    });
    below.collect()
}

fn speaks_of(condition: &Expr, side: &LogicalPlan) -> bool {
    condition.column_refs().iter().all(|column| side.schema().has_column(column))
}

fn renamed(condition: &Expr, from: &Column, to: &Column) -> DfResult<Expr> {
    let renamed = condition.clone().transform(|expr| {
        Ok(match &expr {
            Expr::Column(column) if column == from => Transformed::yes(Expr::Column(to.clone())),
            _ => Transformed::no(expr),
        })
    });
    Ok(renamed?.data)
}
