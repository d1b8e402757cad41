//! What else must hold of a pair of joined rows: a pair of which it does not hold is no match.

use datafusion::logical_expr::LogicalPlan;

use super::query::{filter_plan, projection};
use super::scan::ScopeNames;
use super::scope::Scope;
use super::{column, join, predicate, text};
use crate::ast::Expr;
use crate::error::{Result, SqlError};
use crate::expr::{Typed, ops};
use crate::plan::{JoinKind, JoinShape};
use crate::types::SqlType;

/// Where the rest of a join's condition is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the join, among the rows of the side whose columns may be absent.
    Before,
    /// Above it: pairs are dropped.
    Pairs,
    /// Above it: every row of one side has at most one partner, which becomes absent.
    Absent,
}

/// The right side, or the left one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Left,
    Right,
}

/// # Errors
/// Outer joins in which a row may have lost one partner and kept another.
pub(super) fn place(
    rest: &Expr,
    scope: &Scope,
    at: usize,
    kind: JoinKind,
    shape: JoinShape,
) -> Result<(Place, Of)> {
    let optional = match kind {
        JoinKind::Inner => return Ok((Place::Pairs, Of::Right)),
        JoinKind::Left => Of::Right,
        JoinKind::Right => Of::Left,
        JoinKind::Full => return Err(refused("FULL OUTER JOIN", rest)),
    };
    if !matches!(shape, JoinShape::StreamStream { .. }) {
        return Ok((Place::Absent, optional));
    }
    let read = join::sources(rest, scope);
    let only_optional = match optional {
        Of::Right => read.iter().all(|source| *source == at),
        Of::Left => read.iter().all(|source| *source < at),
    };
    match only_optional {
        true => Ok((Place::Before, optional)),
        false => Err(refused("an outer join of streams", rest)),
    }
}

fn refused(what: &str, rest: &Expr) -> SqlError {
    let message = format!(
        "In the condition of {what} `{}` would have to be known for every pair of rows, which is \
         not supported. Only equality of one expression of each side is.",
        text::sql(rest)
    );
    SqlError::invalid(message).at(rest.span()).hint(
        "an outer join of streams takes conditions on the side that may be absent; an inner join \
         takes any",
    )
}

fn condition(rest: &Expr, scope: &Scope) -> Result<Typed> {
    predicate(rest, &ScopeNames(scope), "JOIN ON", &text::internal(rest, scope))
}

/// Rows of which the condition holds.
pub(super) fn filtered(plan: LogicalPlan, rest: &Expr, scope: &Scope) -> Result<LogicalPlan> {
    filter_plan(plan, condition(rest, scope)?)
}

/// All rows; where the condition does not hold, the columns `absent` are NULL. `step` names the join.
pub(super) fn without_partner(
    plan: LogicalPlan,
    rest: &Expr,
    scope: &Scope,
    step: &str,
    absent: std::ops::Range<usize>,
) -> Result<LogicalPlan> {
    // No column of a statement can be called so by accident.
    let matches = format!("{step}-matches");
    let fields = plan.schema().fields().clone();
    let mut columns = Vec::with_capacity(fields.len() + 1);
    for field in &fields {
        let ty = SqlType::from_arrow(field.data_type());
        let ty = ty.ok_or_else(|| SqlError::invalid("a column of no SQL type"))?;
        columns.push((column(field.name(), ty), field.name().clone()));
    }
    let mut above = columns.clone();
    // Computed once: where it fails, it does not hold.
    columns.push((condition(rest, scope)?, matches.clone()));
    let plan = projection(plan, columns)?;
    for (value, _) in &mut above[absent] {
        let when = column(&matches, SqlType::Boolean);
        *value = ops::case_when(vec![(when, value.clone())], None)?;
    }
    projection(plan, above)
}
