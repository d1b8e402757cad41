//! The plan of the joins: scans, key expressions, repartitions, join nodes.

use datafusion::logical_expr::LogicalPlan;

use super::aggregate::{internal_key_format, position};
use super::join::{self, Joins, Step};
use super::keys::KeyRule;
use super::query::{Stage, projection};
use super::scan::{JoinKey, ScopeNames, Used, scan};
use super::scope::Scope;
use super::typing::typed;
use super::{column, internal_error};
use crate::ast::{Expr, ExprKind};
use crate::catalog::FormatSpec;
use crate::error::{Result, SqlError};
use crate::plan::{self, JoinKind, JoinNode, JoinShape, RepartitionNode};
use crate::types::SqlType;

/// One input of a join.
struct Side {
    plan: LogicalPlan,
    is_stream: bool,
    key_format: FormatSpec,
    partitions: u32,
    /// Name for messages.
    source: String,
    /// Column that holds the key, if a join made it.
    join_key: Option<String>,
}

pub(super) fn plan(joins: &Joins, scope: &Scope, used: &Used) -> Result<Stage> {
    let count = joins.steps.len();
    let prefix = |at: usize| "L_".repeat(count - 1 - at);
    let mut left = source_side(scope, 0, used, format!("{}KafkaTopic_Left", prefix(0)))?;
    for (at, step) in joins.steps.iter().enumerate() {
        let prefix = prefix(at);
        let right = source_side(scope, at + 1, used, format!("{prefix}KafkaTopic_Right"))?;
        let joiner = Joiner { step, scope, name: format!("{prefix}Join"), last: at + 1 == count };
        left = joiner.join(left, right)?;
    }
    let last = joins.steps.last().ok_or_else(|| SqlError::invalid("a join has two sides"))?;
    Ok(Stage {
        kind: join::result_kind(last.shape),
        rule: KeyRule::Join { viable: last.viable.clone(), synthetic: last.synthetic },
        join_key: left.join_key.map(|name| JoinKey {
            stands_for: None,
            name,
            ty: last.key_type.clone(),
        }),
        window: None,
        key_format: left.key_format,
        partitions: left.partitions,
        plan: left.plan,
    })
}

fn source_side(scope: &Scope, input: usize, used: &Used, step: String) -> Result<Side> {
    let named = &scope.inputs[input];
    Ok(Side {
        plan: scan(scope, input, used, step, !named.is_stream())?,
        is_stream: named.is_stream(),
        key_format: named.source.key_format.clone(),
        partitions: named.source.partitions,
        source: named.source.name.clone(),
        join_key: None,
    })
}

struct Joiner<'a> {
    step: &'a Step,
    scope: &'a Scope,
    name: String,
    last: bool,
}

/// Which sides are sent through an internal topic, and what then holds for both.
struct Meeting {
    left: bool,
    right: bool,
    key_format: FormatSpec,
    partitions: u32,
}

impl Joiner<'_> {
    fn join(&self, left: Side, right: Side) -> Result<Side> {
        let meeting = self.meeting(&left, &right)?;
        let (keep_left, keep_right) = match self.step.kind {
            JoinKind::Inner => (false, false),
            JoinKind::Left => (true, false),
            JoinKind::Right => (false, true),
            JoinKind::Full => (true, true),
        };
        let stream_stream = matches!(self.step.shape, JoinShape::StreamStream { .. });
        let topic = |side: &str| match stream_stream {
            true => format!("{}-{side}", self.name),
            false => self.name.clone(),
        };
        let is_stream = left.is_stream || right.is_stream;
        let source = left.source.clone();
        let (mut left_plan, left_key) = self.keyed(left, &self.step.left_on)?;
        let (mut right_plan, right_key) = self.keyed(right, &self.step.right_on)?;
        if meeting.left {
            left_plan = meeting.send(left_plan, left_key, topic("left"), !keep_left);
        }
        if meeting.right {
            right_plan = meeting.send(right_plan, right_key, topic("right"), !keep_right);
        }
        let key_name = self.key_name();
        let schema = self.schema(&left_plan, &right_plan, &key_name)?;
        let joined = plan::node(JoinNode {
            left: left_plan,
            right: right_plan,
            step: self.name.clone(),
            kind: self.step.kind,
            shape: self.step.shape,
            left_key,
            right_key,
            schema,
        });
        Ok(Side {
            plan: joined,
            is_stream,
            key_format: meeting.key_format,
            partitions: meeting.partitions,
            source,
            join_key: Some(key_name),
        })
    }

    /// The name of the column that the join adds.
    fn key_name(&self) -> String {
        match &self.scope.synthetic {
            Some(synthetic) if self.last => synthetic.name.clone(),
            // No column of a statement can be called so by accident.
            _ => format!("{}-key", self.name),
        }
    }

    fn schema(
        &self,
        left: &LogicalPlan,
        right: &LogicalPlan,
        key: &str,
    ) -> Result<datafusion::common::DFSchemaRef> {
        let mut columns: Vec<(String, SqlType)> = Vec::new();
        for field in left.schema().fields().iter().chain(right.schema().fields()) {
            let ty = SqlType::from_arrow(field.data_type());
            let ty = ty.ok_or_else(|| SqlError::invalid("a column of no SQL type"))?;
            columns.push((field.name().clone(), ty));
        }
        columns.push((key.to_string(), self.step.key_type.clone()));
        plan::schema(&columns).map_err(internal_error)
    }

    /// The side with the join's expression as a column, and that column's position.
    fn keyed(&self, side: Side, on: &Expr) -> Result<(LogicalPlan, usize)> {
        if let (Some(key), true) = (&side.join_key, self.step.left_keyed) {
            let at = position(&side.plan, key)?;
            return Ok((side.plan, at));
        }
        let value = typed(on, &ScopeNames(self.scope))?;
        if let ExprKind::Column { .. } = on.kind
            && let datafusion::logical_expr::Expr::Column(column) = &value.expr
        {
            let at = position(&side.plan, &column.name)?;
            return Ok((side.plan, at));
        }
        let fields = side.plan.schema().fields().clone();
        let mut columns = Vec::with_capacity(fields.len() + 1);
        for field in &fields {
            let ty = SqlType::from_arrow(field.data_type());
            let ty = ty.ok_or_else(|| SqlError::invalid("a column of no SQL type"))?;
            columns.push((column(field.name(), ty), field.name().clone()));
        }
        // Each side of each join has a name of its own.
        let side_name = if *on == self.step.left_on { "left" } else { "right" };
        columns.push((value, format!("{}-{side_name}-key", self.name)));
        Ok((projection(side.plan, columns)?, fields.len()))
    }

    fn meeting(&self, left: &Side, right: &Side) -> Result<Meeting> {
        let mut send_left = !self.step.left_keyed;
        let mut send_right = !self.step.right_keyed;
        if !send_left && !send_right && left.key_format != right.key_format {
            match (left.is_stream, right.is_stream) {
                (true, true) => send_right = true,
                (true, false) => send_left = true,
                _ => {
                    let what = format!(
                        "A join of tables with different key formats ({} and {})",
                        left.key_format.kind.name(),
                        right.key_format.kind.name()
                    );
                    return Err(SqlError::not_supported(what));
                }
            }
        }
        let types = [self.step.key_type.clone()];
        let (key_format, partitions) = match (send_left, send_right) {
            (true, true) => (
                internal_key_format(&left.key_format, &types),
                left.partitions.max(right.partitions),
            ),
            (true, false) => (right.key_format.clone(), right.partitions),
            (false, true) => (left.key_format.clone(), left.partitions),
            (false, false) => {
                if left.partitions != right.partitions {
                    return Err(self.partitions_differ(left, right));
                }
                (left.key_format.clone(), left.partitions)
            }
        };
        Ok(Meeting { left: send_left, right: send_right, key_format, partitions })
    }

    fn partitions_differ(&self, left: &Side, right: &Side) -> SqlError {
        let (l, r) = (&left.source, &right.source);
        SqlError::invalid(format!(
            "Can't join `{l}` with `{r}` since the number of partitions don't match. `{l}` \
             partitions = {}; `{r}` partitions = {}. Please repartition either one so that the \
             number of partitions match.",
            left.partitions, right.partitions
        ))
    }
}

impl Meeting {
    fn send(
        &self,
        input: LogicalPlan,
        key: usize,
        step: String,
        drop_null_keys: bool,
    ) -> LogicalPlan {
        plan::node(RepartitionNode {
            input,
            step,
            key: vec![key],
            key_format: self.key_format.clone(),
            partitions: self.partitions,
            drop_null_keys,
        })
    }
}
