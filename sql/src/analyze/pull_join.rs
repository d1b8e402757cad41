//! Joins of a pull query: DataFusion's joins on one or several equalities.

use std::sync::Arc;

use datafusion::common::{
    Column as DfColumn, JoinConstraint, JoinType as DfJoinType, NullEquality,
};
use datafusion::logical_expr::{Expr as DfExpr, Join as DfJoin, LogicalPlan};

use super::join_on::{conjuncts, sides_at};
use super::scan::ScopeNames;
use super::scope::Scope;
use super::typing::typed;
use super::{column, internal_error, join, predicate, query, text};
use crate::ast::{Expr, Join, JoinType};
use crate::error::{Result, SqlError};
use crate::types::SqlType;

/// A join with the source `at`; all of it is resolved.
pub(super) struct Joined {
    kind: JoinType,
    pub at: usize,
    /// Expressions of the left side and of the right one that must be equal.
    equal: Vec<(Expr, Expr)>,
    /// What else must hold.
    rest: Vec<Expr>,
}

impl Joined {
    /// # Errors
    /// A condition without an equality of both sides; in an outer join, with anything else.
    pub fn of(join: &Join, scope: &Scope, at: usize) -> Result<Self> {
        if let Some(within) = &join.within {
            let message = "A join in a pull query has no WITHIN: all rows are there.";
            let hint = "compare ROWTIME of both sides in WHERE";
            return Err(SqlError::invalid(message).at(within.loc.0).hint(hint));
        }
        let (left, right, rest) = join::equality(scope, join, at)?;
        let mut joined =
            Joined { kind: join.kind, at, equal: vec![(left, right)], rest: Vec::new() };
        for expr in rest.iter().flat_map(conjuncts) {
            match sides_at(expr, scope, at) {
                Some((left, right)) if same_type(&left, &right, scope)? => {
                    joined.equal.push((left, right));
                }
                _ => joined.rest.push(expr.clone()),
            }
        }
        match joined.rest.first() {
            Some(rest) if joined.kind != JoinType::Inner => {
                let message = "An outer join in a pull query takes equalities of both sides only.";
                let hint = "put conditions on both sides into WHERE, and those on one side into a \
                            subquery";
                Err(SqlError::invalid(message).at(rest.span()).hint(hint))
            }
            _ => Ok(joined),
        }
    }

    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let equal = self.equal.iter().flat_map(|(left, right)| [left, right]);
        equal.chain(&self.rest)
    }

    /// # Errors
    /// Types that cannot be compared.
    pub fn plan(
        &self,
        mut left: LogicalPlan,
        mut right: LogicalPlan,
        scope: &Scope,
    ) -> Result<LogicalPlan> {
        let mut on = Vec::with_capacity(self.equal.len());
        for (number, (left_on, right_on)) in self.equal.iter().enumerate() {
            let name = |side: &str| format!("KSQL_JOIN_{}_{number}_{side}", self.at);
            let (left_key, right_key);
            (left, left_key) = keyed(left, left_on, scope, name("LEFT"))?;
            (right, right_key) = keyed(right, right_on, scope, name("RIGHT"))?;
            on.push((DfExpr::Column(left_key), DfExpr::Column(right_key)));
        }
        let kind = match self.kind {
            JoinType::Inner => DfJoinType::Inner,
            JoinType::Left => DfJoinType::Left,
            JoinType::Right => DfJoinType::Right,
            JoinType::Full => DfJoinType::Full,
        };
        let join = DfJoin::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            None,
            kind,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        );
        let mut plan = LogicalPlan::Join(join.map_err(internal_error)?);
        for rest in &self.rest {
            let shown = text::internal(rest, scope);
            let condition = predicate(rest, &ScopeNames(scope), "JOIN ON", &shown)?;
            plan = query::filter_plan(plan, condition)?;
        }
        Ok(plan)
    }
}

fn same_type(left: &Expr, right: &Expr, scope: &Scope) -> Result<bool> {
    let names = ScopeNames(scope);
    Ok(typed(left, &names)?.ty == typed(right, &names)?.ty)
}

/// The plan with a column that holds the value of `on`: one of its own, or `name`.
fn keyed(
    plan: LogicalPlan,
    on: &Expr,
    scope: &Scope,
    name: String,
) -> Result<(LogicalPlan, DfColumn)> {
    let value = typed(on, &ScopeNames(scope))?;
    if let DfExpr::Column(column) = value.expr {
        return Ok((plan, column));
    }
    let fields = plan.schema().fields().iter();
    let mut columns = fields
        .map(|field| {
            let ty = SqlType::from_arrow(field.data_type());
            let ty = ty.ok_or_else(|| SqlError::invalid("a column of no SQL type"))?;
            Ok((column(field.name(), ty), field.name().clone()))
        })
        .collect::<Result<Vec<_>>>()?;
    columns.push((value, name.clone()));
    Ok((query::projection(plan, columns)?, DfColumn::new_unqualified(name)))
}
