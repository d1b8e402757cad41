//! JOIN: which side is keyed by what, and where rows must be sent first.

use super::join_on::On;
use super::join_rest::{self, Of, Place};
use super::join_words::{is_session, no_window, several_keys, window_name, windowed};
use super::query::Stage;
use super::scan::{ScopeNames, Used};
use super::scope::{Clause, Input, Scope, Synthetic};
use super::typing::typed;
use super::{formats, names, text, tree, windows};
use crate::ast::{BinaryOp, Expr, ExprKind, Ident, Join, JoinType, Relation};
use crate::catalog::KeyWindow;
use crate::error::{Result, SqlError};
use crate::plan::{JoinKind, JoinShape, ResultKind};
use crate::types::SqlType;

/// The joins of a FROM, from left to right.
#[derive(Debug, Default)]
pub(super) struct Joins {
    pub steps: Vec<Step>,
}

/// One join: everything so far with one more source.
#[derive(Debug)]
pub(super) struct Step {
    pub kind: JoinKind,
    pub shape: JoinShape,
    pub left_on: Expr,
    pub right_on: Expr,
    pub key_type: SqlType,
    /// The left expression is the key that the left side has already.
    pub left_keyed: bool,
    pub right_keyed: bool,
    /// Columns that hold the result's key, the preferred one first.
    pub viable: Vec<Expr>,
    pub synthetic: bool,
    /// The left expression names a row of the right table.
    pub foreign: bool,
    /// What else must hold of a pair.
    pub rest: Option<Rest>,
    /// The keys of both sides are windowed like the left one's.
    pub window: Option<KeyWindow>,
}

/// The rest of a condition, and where it is looked at.
#[derive(Debug)]
pub(super) struct Rest {
    pub condition: Expr,
    pub place: Place,
    /// The side whose rows may be absent.
    pub of: Of,
}

/// Resolves the ON clauses, and gives the scope its synthetic key if the last join has one.
///
/// # Errors
/// Joins that ksqlDB refuses, or that this version does not do.
pub(super) fn resolve(scope: &mut Scope, relation: &Relation) -> Result<Joins> {
    let mut joins = Joins::default();
    let mut conditions = Vec::with_capacity(relation.joins.len());
    for (at, join) in relation.joins.iter().enumerate() {
        let on = On::of(join, scope, at + 1)?;
        Resolver { scope, join, on: &on, left: at + 1, joins: &joins }.sides()?;
        conditions.push(on);
    }
    for (at, (join, on)) in relation.joins.iter().zip(&conditions).enumerate() {
        let step = Resolver { scope, join, on, left: at + 1, joins: &joins }.step()?;
        joins.steps.push(step);
    }
    if let Some(last) = joins.steps.last_mut()
        && last.synthetic
    {
        let columns = scope.inputs.iter().flat_map(|i| i.source.columns.iter());
        let mut generator = names::Generator::new(columns.map(|c| c.name.as_str()));
        let name = generator.unique("ROWKEY");
        let kind = ExprKind::Column { source: None, name: Ident::new(&name) };
        last.viable = vec![Expr::new(kind, crate::error::Span::default())];
        scope.synthetic = Some(Synthetic { name, ty: last.key_type.clone() });
    }
    Ok(joins)
}

impl Joins {
    /// The resolved expressions of all ON clauses.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.steps.iter().flat_map(|s| {
            let rest = s.rest.as_ref().map(|rest| &rest.condition);
            [&s.left_on, &s.right_on].into_iter().chain(rest)
        })
    }

    /// The plan of all joins.
    pub fn plan(&self, scope: &Scope, used: &Used) -> Result<Stage> {
        super::join_plan::plan(self, scope, used)
    }
}

/// The two sides of the ON clause of `join`, whose source is `at`; they are of one type. Last, what else
/// must hold.
///
/// # Errors
/// What ksqlDB refuses about the expressions, and WITHIN.
pub(super) fn equality(
    scope: &Scope,
    join: &Join,
    at: usize,
) -> Result<(Expr, Expr, Option<Expr>)> {
    let on = On::of(join, scope, at)?;
    let resolver = Resolver { scope, join, on: &on, left: at, joins: &Joins::default() };
    resolver.no_within("Table-Table")?;
    let (left_on, right_on) = resolver.sides()?;
    resolver.key_type(&left_on, &right_on)?;
    Ok((left_on, right_on, on.rest))
}

/// Why rows cannot meet by an expression that is no equality.
fn no_equality(on: &Expr) -> String {
    let is_equality = |e: &Expr| matches!(e.kind, ExprKind::Binary { op: BinaryOp::Eq, .. });
    match &on.kind {
        ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, left, right }
            if is_equality(left) && is_equality(right) =>
        {
            format!(
                "Invalid join condition: joins on multiple conditions are not yet supported. Got {}.",
                text::sql(on)
            )
        }
        ExprKind::Binary { op, .. } if op.is_comparison() => {
            "Only equality join criteria is supported.".to_string()
        }
        _ => format!("Unsupported join expression: {}", text::sql(on)),
    }
}

struct Resolver<'a> {
    scope: &'a Scope,
    join: &'a Join,
    on: &'a On,
    /// The sources before this index are the left side.
    left: usize,
    joins: &'a Joins,
}

impl Resolver<'_> {
    fn right(&self) -> &Input {
        &self.scope.inputs[self.left]
    }

    /// The source that the left side of the ON clause names.
    fn left_input(&self, left_on: &Expr) -> &Input {
        let index = sources(left_on, self.scope).first().copied().unwrap_or(0);
        &self.scope.inputs[index]
    }

    fn left_is_stream(&self) -> bool {
        // A stream joined with anything is a stream.
        self.scope.inputs[..self.left].iter().any(Input::is_stream)
    }

    fn step(&self) -> Result<Step> {
        let (left_on, right_on) = self.sides()?;
        let key_type = self.key_type(&left_on, &right_on)?;
        self.check_windows(&left_on)?;
        let shape = self.shape()?;
        let left_keyed = self.left_is_key(&left_on);
        let right_keyed = is_only_key(&right_on, self.right());
        let window = self.scope.inputs[0].source.window;
        if window.is_some() && !(left_keyed && right_keyed) {
            return Err(windowed_repartition().at(self.on.equality.span()));
        }
        self.check_keys(shape, left_keyed, right_keyed, &left_on, &right_on)?;
        let foreign = shape == JoinShape::TableTable && !left_keyed;
        let rest = self.on.rest.clone().map(|condition| {
            let kind = kind(self.join.kind);
            let (place, of) = join_rest::place(&condition, self.scope, self.left, kind, shape)?;
            Ok(Rest { condition, place, of })
        });
        let (viable, synthetic) = match foreign {
            true => (self.left_keys(), false),
            false => self.viable(&left_on, &right_on, left_keyed),
        };
        Ok(Step {
            kind: kind(self.join.kind),
            shape,
            left_on,
            right_on,
            key_type,
            left_keyed,
            right_keyed,
            viable,
            synthetic,
            foreign,
            rest: rest.transpose()?,
            window,
        })
    }

    /// The two sides of the equality, the left one belonging to what stands left of JOIN.
    fn sides(&self) -> Result<(Expr, Expr)> {
        let ExprKind::Binary { op: BinaryOp::Eq, left, right } = &self.on.equality.kind else {
            let hint = "write an equality of one expression of each side";
            return Err(SqlError::invalid(no_equality(&self.on.equality))
                .at(self.on.equality.span())
                .hint(hint));
        };
        let a = self.scope.qualify(left, Clause::JoinOn)?;
        let b = self.scope.qualify(right, Clause::JoinOn)?;
        let on = Expr::new(
            ExprKind::Binary {
                op: BinaryOp::Eq,
                left: Box::new(a.clone()),
                right: Box::new(b.clone()),
            },
            self.on.equality.span(),
        );
        let (x, y) = (self.one_source(&a, &on)?, self.one_source(&b, &on)?);
        if x < self.left && y == self.left {
            return Ok((a, b));
        }
        if y < self.left && x == self.left {
            return Ok((b, a));
        }
        let name = |i: usize| &self.scope.inputs[i].alias;
        let message = match x == y {
            true => format!(
                "Each side of the join must reference exactly one source and not the same source. \
                 Left side references `{}` and right references `{}`",
                name(x),
                name(y)
            ),
            false => format!(
                "A join criteria is expected to reference the source (`{}`) in the FROM clause, \
                 instead the right source references `{}` and the left source references `{}`",
                name(self.left),
                name(y),
                name(x)
            ),
        };
        Err(SqlError::invalid(message).at(self.on.equality.span()))
    }

    fn one_source(&self, side: &Expr, on: &Expr) -> Result<usize> {
        match sources(side, self.scope).as_slice() {
            [one] => Ok(*one),
            _ => Err(SqlError::invalid(format!(
                "Invalid comparison expression '{}' in join '{}'. Each side of the join \
                 comparision must contain references from exactly one source.",
                text::sql(side),
                text::sql(on)
            ))
            .at(side.span())),
        }
    }

    fn key_type(&self, left_on: &Expr, right_on: &Expr) -> Result<SqlType> {
        let names = ScopeNames(self.scope);
        let left = typed(left_on, &names)?.ty;
        let right = typed(right_on, &names)?.ty;
        match (left, right) {
            (Some(left), Some(right)) if left == right => {
                formats::check_no_map(&text::internal(left_on, self.scope), &left)?;
                Ok(left)
            }
            (left, right) => {
                let name = |ty: Option<SqlType>| ty.map_or("null".to_string(), |t| t.to_string());
                let message = format!(
                    "Invalid join condition: types don't match. Got {}{{{}}} = {}{{{}}}.",
                    text::sql(left_on),
                    name(left),
                    text::sql(right_on),
                    name(right)
                );
                Err(SqlError::invalid(message)
                    .at(self.on.equality.span())
                    .hint("CAST one of the sides"))
            }
        }
    }

    fn check_windows(&self, left_on: &Expr) -> Result<()> {
        let (left, right) = (&self.scope.inputs[0], self.right());
        let (l, r) = (left.source.window, right.source.window);
        let message = match (l, r) {
            (None, None) => return Ok(()),
            (Some(a), Some(b)) if is_session(a) != is_session(b) => format!(
                "Incompatible windowed sources.\nLeft source: {}\nRight source: {}\nSession \
                 windowed sources can only be joined to other session windowed sources, and may \
                 still not result in expected behaviour as session bounds must be an exact match \
                 for the join to work\nHopping and tumbling windowed sources can only be joined to \
                 other hopping and tumbling windowed sources",
                window_name(a),
                window_name(b)
            ),
            (Some(_), Some(_)) if left.is_stream() && self.right().is_stream() => return Ok(()),
            (Some(_), Some(_)) if !left.is_stream() && !self.left_is_key(left_on) => {
                "Foreign-key table-table joins are not supported on windowed tables.".to_string()
            }
            (Some(_), Some(_)) => {
                let what = "A join of windowed tables";
                return Err(SqlError::not_supported(what).at(self.join.loc.0));
            }
            _ => format!(
                "Can not join windowed source to non-windowed source.\n`{}` is {}\n`{}` is {}",
                left.source.name,
                windowed(l),
                right.source.name,
                windowed(r)
            ),
        };
        Err(SqlError::invalid(message).at(self.join.loc.0))
    }

    fn shape(&self) -> Result<JoinShape> {
        match (self.left_is_stream(), self.right().is_stream()) {
            (true, true) => self.stream_stream(),
            (true, false) => self.no_within("Stream-Table").and_then(|()| self.stream_table()),
            (false, false) => self.no_within("Table-Table").map(|()| JoinShape::TableTable),
            (false, true) => Err(self.got(
                "Invalid join order: table-stream joins are not supported; only stream-table \
                 joins.",
            )),
        }
    }

    fn stream_stream(&self) -> Result<JoinShape> {
        let Some(within) = &self.join.within else {
            let message = "Stream-Stream joins must have a WITHIN clause specified. None was \
                           provided. To learn about how to specify a WITHIN clause with a \
                           stream-stream join, please visit: https://docs.confluent.io/current/ksql/docs/\
                           syntax-reference.html#create-stream-as-select";
            let hint = "write e.g. JOIN s WITHIN 1 HOUR ON ...";
            return Err(SqlError::invalid(message).at(self.join.loc.0).hint(hint));
        };
        Ok(JoinShape::StreamStream {
            before_ms: windows::millis(&within.before)?,
            after_ms: windows::millis(&within.after)?,
            grace_ms: within.grace.as_ref().map(windows::millis).transpose()?,
        })
    }

    fn stream_table(&self) -> Result<JoinShape> {
        match self.join.kind {
            JoinType::Inner | JoinType::Left => Ok(JoinShape::StreamTable),
            JoinType::Right => {
                let message = "Invalid join type encountered: RIGHT [OUTER] JOIN";
                let error = SqlError::invalid(message).at(self.join.loc.0);
                Err(error.hint("a stream is joined with a table by INNER or LEFT JOIN"))
            }
            JoinType::Full => {
                Err(self
                    .got("Invalid join type: full-outer join not supported for stream-table join."))
            }
        }
    }

    fn no_within(&self, shape: &str) -> Result<()> {
        let Some(within) = &self.join.within else { return Ok(()) };
        let message = no_window(shape);
        Err(SqlError::invalid(message).at(within.loc.0))
    }

    fn got(&self, message: &str) -> SqlError {
        let kind = match self.join.kind {
            JoinType::Inner => "[INNER]",
            JoinType::Left => "LEFT [OUTER]",
            JoinType::Right => "RIGHT [OUTER]",
            JoinType::Full => "[FULL] OUTER",
        };
        let left = &self.scope.inputs[self.left - 1].source.name;
        let right = &self.right().source.name;
        SqlError::invalid(format!("{message} Got {left} {kind} JOIN {right}.")).at(self.join.loc.0)
    }

    fn left_is_key(&self, left_on: &Expr) -> bool {
        match self.joins.steps.last() {
            None => is_only_key(left_on, self.left_input(left_on)),
            // A key of several columns is nobody's join column.
            Some(step) if step.foreign => matches!(step.viable.as_slice(), [key] if key == left_on),
            Some(step) => step.viable.contains(left_on),
        }
    }

    fn check_keys(
        &self,
        shape: JoinShape,
        left_keyed: bool,
        right_keyed: bool,
        left_on: &Expr,
        right_on: &Expr,
    ) -> Result<()> {
        let as_written = match &self.on.equality.kind {
            ExprKind::Binary { left, .. } => {
                self.scope.qualify(left, Clause::JoinOn).is_ok_and(|l| l == *left_on)
            }
            _ => true,
        };
        let (a, b) = if as_written { (left_on, right_on) } else { (right_on, left_on) };
        let condition = format!("{} = {}", text::sql(a), text::sql(b));
        let refuse = |what: &str| {
            let message = format!("Invalid join condition: {what}. Got {condition}.");
            let error = SqlError::invalid(message).at(self.on.equality.span());
            Err(match several_keys(self.right()) {
                Some(hint) => error.hint(hint),
                None => error,
            })
        };
        match shape {
            JoinShape::StreamTable if !right_keyed => {
                refuse("stream-table joins require to join on the table's primary key")
            }
            JoinShape::TableTable if !right_keyed => refuse(
                "table-table joins require to join on the primary key of the right input table",
            ),
            JoinShape::TableTable if !left_keyed => match self.join.kind {
                JoinType::Full => Err(self.got(
                    "Invalid join type: full-outer join not supported for foreign-key \
                     table-table join.",
                )),
                _ if self.left > 1 => {
                    refuse("foreign-key table-table joins are not supported as part of n-way joins")
                }
                JoinType::Right => {
                    let message = "RIGHT OUTER JOIN on a foreign key is not supported";
                    Err(SqlError::invalid(message).at(self.join.loc.0))
                }
                JoinType::Inner | JoinType::Left => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The primary key of the left-most table.
    fn left_keys(&self) -> Vec<Expr> {
        let left = &self.scope.inputs[0];
        left.source.key_columns().map(|c| super::qualified(&left.alias, &c.name)).collect()
    }

    /// Columns that hold the result's key; true if none does.
    fn viable(&self, left_on: &Expr, right_on: &Expr, left_keyed: bool) -> (Vec<Expr>, bool) {
        if self.join.kind == JoinType::Full {
            return (Vec::new(), true);
        }
        let is_column = |e: &&Expr| matches!(e.kind, ExprKind::Column { .. });
        let mut viable: Vec<Expr> = match self.joins.steps.last() {
            Some(before) if left_keyed => before.viable.clone(),
            _ => Some(left_on).filter(is_column).cloned().into_iter().collect(),
        };
        viable.extend(Some(right_on).filter(is_column).cloned());
        let synthetic = viable.is_empty();
        (viable, synthetic)
    }
}

/// A windowed key can only be sent elsewhere as it is.
pub(super) fn windowed_repartition() -> SqlError {
    SqlError::invalid(
        "Implicit repartitioning of windowed sources is not supported. See \
         https://github.com/confluentinc/ksql/issues/4385.",
    )
}

/// Indices of the sources that an expression reads, each once.
pub(super) fn sources(expr: &Expr, scope: &Scope) -> Vec<usize> {
    let mut found = Vec::new();
    tree::visit(expr, &mut |e| {
        if let ExprKind::Column { source: Some(source), name } = &e.kind
            && let Some(column) = scope.column_of(&source.value, &name.value)
            && !found.contains(&column.input)
        {
            found.push(column.input);
        }
        true
    });
    found
}

pub(super) fn is_only_key(expr: &Expr, input: &Input) -> bool {
    let mut keys = input.source.key_columns();
    let (Some(key), None) = (keys.next(), keys.next()) else { return false };
    *expr == super::qualified(&input.alias, &key.name)
}

fn kind(join: JoinType) -> JoinKind {
    match join {
        JoinType::Inner => JoinKind::Inner,
        JoinType::Left => JoinKind::Left,
        JoinType::Right => JoinKind::Right,
        JoinType::Full => JoinKind::Full,
    }
}

/// What a join of these sides gives.
pub(super) fn result_kind(shape: JoinShape) -> ResultKind {
    match shape {
        JoinShape::TableTable => ResultKind::Table,
        JoinShape::StreamStream { .. } | JoinShape::StreamTable => ResultKind::Stream,
    }
}
