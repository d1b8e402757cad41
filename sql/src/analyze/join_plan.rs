//! The plan of the joins: scans, key expressions, repartitions, join nodes.

use datafusion::logical_expr::LogicalPlan;

use super::aggregate::position;
use super::formats::internal_key_format;
use super::join::{self, Joins, Rest, Step};
use super::join_rest::{self, Of, Place};
use super::keys::KeyRule;
use super::query::{Stage, projection};
use super::scan::{JoinKey, ScopeNames, Used, scan};
use super::scope::{ColumnRef, Scope};
use super::typing::typed;
use super::{column, internal_error};
use crate::ast::{Expr, ExprKind};
use crate::catalog::{FormatSpec, KeyWindow, pseudo};
use crate::error::{Result, SqlError};
use crate::plan::{
    self, ForeignJoinNode, JoinBounds, JoinKind, JoinNode, JoinShape, RepartitionNode, ScanColumn,
};
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
    /// Columns that hold the bounds of a windowed key.
    bounds: [String; 2],
}

pub(super) fn plan(joins: &Joins, scope: &Scope, used: &Used) -> Result<Stage> {
    let count = joins.steps.len();
    let prefix = |at: usize| format!("{}{}", scope.prefix, "L_".repeat(count - 1 - at));
    let mut left = source_side(scope, 0, used, format!("{}KafkaTopic_Left", prefix(0)))?;
    for (at, step) in joins.steps.iter().enumerate() {
        let prefix = prefix(at);
        let right = source_side(scope, at + 1, used, format!("{prefix}KafkaTopic_Right"))?;
        let joiner = Joiner { step, scope, name: format!("{prefix}Join"), last: at + 1 == count };
        left = joiner.join(left, right)?;
    }
    let last = joins.steps.last().ok_or_else(|| SqlError::invalid("a join has two sides"))?;
    let viable = last.viable.clone();
    let rule = match last.foreign {
        true => KeyRule::Foreign { keys: viable, table: scope.inputs[0].alias.clone() },
        false => KeyRule::Join { viable, synthetic: last.synthetic },
    };
    Ok(Stage {
        kind: join::result_kind(last.shape),
        rule,
        join_key: left.join_key.map(|name| JoinKey {
            stands_for: None,
            name,
            ty: last.key_type.clone(),
        }),
        window: last.window,
        key_format: left.key_format,
        partitions: left.partitions,
        plan: left.plan,
        flat: Vec::new(),
    })
}

fn source_side(scope: &Scope, input: usize, used: &Used, step: String) -> Result<Side> {
    let named = &scope.inputs[input];
    let bounds = [ScanColumn::WindowStart, ScanColumn::WindowEnd]
        .map(|column| scope.internal_name(&ColumnRef { input, column }));
    Ok(Side {
        bounds,
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
        if self.step.foreign {
            return self.foreign(left, right);
        }
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
        let (left, right) = self.looked_at_before(left, right)?;
        let (left_bounds, right_bounds) = (left.bounds.clone(), right.bounds.clone());
        let (mut left_plan, left_key) = self.keyed(left, &self.step.left_on)?;
        let (mut right_plan, right_key) = self.keyed(right, &self.step.right_on)?;
        if meeting.left {
            left_plan = meeting.send(left_plan, left_key, topic("left"), !keep_left);
        }
        if meeting.right {
            right_plan = meeting.send(right_plan, right_key, topic("right"), !keep_right);
        }
        let key_name = self.key_name();
        let mut added = vec![(key_name.clone(), self.step.key_type.clone())];
        let bounds_names = self.bounds_names();
        if self.step.window.is_some() {
            added.extend(bounds_names.clone().map(|name| (name, SqlType::Bigint)));
        }
        let bounds = self.bounds(&left_plan, &left_bounds, &right_plan, &right_bounds)?;
        let schema = self.schema(&left_plan, &right_plan, added)?;
        let joined = plan::node(JoinNode {
            left: left_plan,
            right: right_plan,
            step: self.name.clone(),
            kind: self.step.kind,
            shape: self.step.shape,
            left_key,
            right_key,
            bounds,
            schema,
        });
        Ok(Side {
            bounds: bounds_names,
            plan: self.looked_at_above(joined)?,
            is_stream,
            key_format: meeting.key_format,
            partitions: meeting.partitions,
            source,
            join_key: Some(key_name),
        })
    }

    /// The sides without the rows that match nothing in any case.
    fn looked_at_before(&self, mut left: Side, mut right: Side) -> Result<(Side, Side)> {
        let Some(Rest { condition, place: Place::Before, of }) = &self.step.rest else {
            return Ok((left, right));
        };
        let side = match of {
            Of::Left => &mut left,
            Of::Right => &mut right,
        };
        side.plan = join_rest::filtered(side.plan.clone(), condition, self.scope)?;
        Ok((left, right))
    }

    /// The join without what is no match by the rest of its condition.
    fn looked_at_above(&self, joined: LogicalPlan) -> Result<LogicalPlan> {
        let Some(Rest { condition, place, of }) = &self.step.rest else { return Ok(joined) };
        match place {
            Place::Before => Ok(joined),
            Place::Pairs => join_rest::filtered(joined, condition, self.scope),
            Place::Absent => {
                let node_inputs = joined.inputs();
                let count =
                    |at: usize| node_inputs.get(at).map_or(0, |p| p.schema().fields().len());
                let (left, right) = (count(0), count(1));
                let absent = match of {
                    Of::Left => 0..left,
                    Of::Right => left..left + right,
                };
                join_rest::without_partner(
                    joined.clone(),
                    condition,
                    self.scope,
                    &self.name,
                    absent,
                )
            }
        }
    }

    /// The left table's rows, each with the row of the right table that it names.
    fn foreign(&self, left: Side, right: Side) -> Result<Side> {
        let key_names = self.step.viable.iter().map(|key| self.column_name(key));
        let key_names = key_names.collect::<Result<Vec<String>>>()?;
        let (left_format, left_partitions) = (left.key_format.clone(), left.partitions);
        let (right_format, right_partitions) = (right.key_format.clone(), right.partitions);
        let (source, bounds) = (left.source.clone(), left.bounds.clone());
        let (left, foreign_key) = self.keyed(left, &self.step.left_on)?;
        let (right, right_key) = self.keyed(right, &self.step.right_on)?;
        let left_key = key_names.iter().map(|name| position(&left, name));
        let joined = ForeignJoinNode {
            left_key: left_key.collect::<Result<_>>()?,
            schema: self.schema(&left, &right, Vec::new())?,
            left,
            right,
            step: self.name.clone(),
            kind: self.step.kind,
            foreign_key,
            right_key,
            right_key_format: right_format,
            right_partitions,
            left_partitions,
        };
        Ok(Side {
            plan: self.looked_at_above(plan::node(joined))?,
            is_stream: false,
            key_format: left_format,
            partitions: left_partitions,
            source,
            join_key: None,
            bounds,
        })
    }

    /// The name of a source's column in the plan.
    fn column_name(&self, expr: &Expr) -> Result<String> {
        match typed(expr, &ScopeNames(self.scope))?.expr {
            datafusion::logical_expr::Expr::Column(column) => Ok(column.name),
            _ => Err(SqlError::invalid("a key is not a column").at(expr.span())),
        }
    }

    /// Names of the columns with the window of the result's key.
    fn bounds_names(&self) -> [String; 2] {
        [pseudo::WINDOWSTART, pseudo::WINDOWEND].map(|name| match self.last {
            true => name.to_string(),
            false => format!("{}-{name}", self.name),
        })
    }

    fn bounds(
        &self,
        left: &LogicalPlan,
        left_names: &[String; 2],
        right: &LogicalPlan,
        right_names: &[String; 2],
    ) -> Result<Option<JoinBounds>> {
        let Some(window) = self.step.window else { return Ok(None) };
        let both = |plan: &LogicalPlan, [start, end]: &[String; 2]| -> Result<[usize; 2]> {
            Ok([position(plan, start)?, position(plan, end)?])
        };
        let (left, right) = (both(left, left_names)?, both(right, right_names)?);
        Ok(Some(JoinBounds { left, right, session: window == KeyWindow::Session }))
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
        added: Vec<(String, SqlType)>,
    ) -> Result<datafusion::common::DFSchemaRef> {
        let mut columns: Vec<(String, SqlType)> = Vec::new();
        for field in left.schema().fields().iter().chain(right.schema().fields()) {
            let ty = SqlType::from_arrow(field.data_type());
            let ty = ty.ok_or_else(|| SqlError::invalid("a column of no SQL type"))?;
            columns.push((field.name().clone(), ty));
        }
        columns.extend(added);
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
        let same = left.key_format.writes_as(&right.key_format);
        if !send_left && !send_right && !same {
            if self.step.window.is_some() {
                return Err(join::windowed_repartition());
            }
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
        // Keys with schemas: who wrote the topic may have written another schema's id, and with it
        // other bytes. A stream is sent again to be sure; a table cannot be.
        if same && left.key_format.kind.has_registry() {
            send_left |= left.is_stream;
            send_right |= right.is_stream;
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
            to_partition: None,
        })
    }
}
