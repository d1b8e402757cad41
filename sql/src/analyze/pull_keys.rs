//! Which rows of a store the WHERE of a pull query can mean.

use std::ops::Bound;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr as DfExpr;
use datafusion::scalar::ScalarValue;

use super::scan::ScopeNames;
use super::scope::Scope;
use super::settings::Settings;
use super::typing::{Constants, typed};
use super::{formats, text, tree};
use crate::ast::{BinaryOp, Expr, ExprKind, Literal};
use crate::catalog::{Column, pseudo};
use crate::error::{Result, SqlError};
use crate::expr::{Evaluator, ops};
use crate::types::SqlType;

/// The rows to read: a superset of those that WHERE holds for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lookup {
    pub keys: Keys,
    /// Milliseconds; inclusive unless excluded.
    pub window_start: Bounds<i64>,
    pub window_end: Bounds<i64>,
}

/// Keys of the rows to read.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Keys {
    #[default]
    All,
    /// Each with one value per key column, in key order, of exactly the column's Arrow type.
    Exact(Vec<Vec<ScalarValue>>),
    /// A range of a single-column key.
    Range(Bounds<ScalarValue>),
}

/// A range; both ends may be open.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds<T> {
    pub low: Bound<T>,
    pub high: Bound<T>,
}

impl<T> Default for Bounds<T> {
    fn default() -> Self {
        Bounds { low: Bound::Unbounded, high: Bound::Unbounded }
    }
}

/// More alternatives than this are not told apart: the whole table is read.
const DISJUNCTS_MAX: usize = 1_000;

/// # Errors
/// With table scans off: a WHERE that does not say which keys are meant.
pub(super) fn check_scan(settings: &Settings) -> Result<()> {
    if scans_allowed(settings) {
        return Ok(());
    }
    Err(SqlError::invalid("Missing WHERE clause. Query requires table scan to be enabled.")
        .hint("set 'ksql.query.pull.table.scan.enabled'='true'"))
}

fn scans_allowed(settings: &Settings) -> bool {
    settings.is_on("ksql.query.pull.table.scan.enabled", true)
}

/// # Errors
/// A column that is no text and is matched with LIKE, or a pattern that is no constant text.
pub(super) fn check_likes(filter: &Expr, scope: &Scope) -> Result<()> {
    let mut refused = Ok(());
    tree::visit(filter, &mut |e| {
        let ExprKind::Like { expr, pattern, .. } = &e.kind else { return true };
        if !matches!(expr.kind, ExprKind::Column { .. }) {
            return true;
        }
        let message = match typed(expr, &ScopeNames(scope)).map(|value| value.ty) {
            Ok(Some(SqlType::String)) => match pattern.kind {
                ExprKind::Literal(Literal::String(_) | Literal::Null) => return true,
                _ => "Like condition on non-string pattern".to_string(),
            },
            Ok(Some(ty)) => format!(
                "The column type for Like condition must be VARCHAR. The column type is {}",
                ty.base_name()
            ),
            _ => return true,
        };
        refused = Err(SqlError::invalid(message).at(e.span()));
        true
    });
    refused
}

/// The rows that a resolved WHERE can hold for.
///
/// # Errors
/// Values that cannot be compared with the key; with table scans off, whatever needs one.
pub(super) fn lookup(filter: &Expr, scope: &Scope, settings: &Settings) -> Result<Lookup> {
    let reader = Reader::new(scope, settings);
    let Some(disjuncts) = disjuncts(filter) else {
        check_scan(settings)?;
        return Ok(Lookup::default());
    };
    let mut parts = Vec::with_capacity(disjuncts.len());
    for conjuncts in &disjuncts {
        parts.push(reader.conjunction(conjuncts)?);
    }
    let single = parts.len() == 1;
    let mut result = match parts.pop() {
        Some(part) if single => part,
        Some(last) => {
            parts.push(last);
            merge(parts)
        }
        None => Lookup::default(),
    };
    if !scans_allowed(settings) && !single && !matches!(result.keys, Keys::Exact(_)) {
        return Err(SqlError::invalid("Query requires table scan to be enabled."));
    }
    if let Keys::Exact(keys) = &mut result.keys {
        let mut seen = std::collections::HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
    }
    Ok(result)
}

/// Alternatives together: exact keys stay exact, anything else reads all.
fn merge(parts: Vec<Lookup>) -> Lookup {
    let mut exact = Some(Vec::new());
    let (mut start, mut end) = (parts.first(), parts.first());
    for part in &parts {
        match (&part.keys, &mut exact) {
            (Keys::Exact(keys), Some(all)) => all.extend(keys.iter().cloned()),
            _ => exact = None,
        }
        start = start.filter(|first| first.window_start == part.window_start);
        end = end.filter(|first| first.window_end == part.window_end);
    }
    Lookup {
        keys: exact.map_or(Keys::All, Keys::Exact),
        window_start: start.map(|p| p.window_start.clone()).unwrap_or_default(),
        window_end: end.map(|p| p.window_end.clone()).unwrap_or_default(),
    }
}

/// The condition as alternatives of conditions that hold together; `None` when there are too many.
fn disjuncts(expr: &Expr) -> Option<Vec<Vec<Expr>>> {
    match &expr.kind {
        ExprKind::Binary { op: BinaryOp::Or, left, right } => {
            let mut all = disjuncts(left)?;
            all.extend(disjuncts(right)?);
            (all.len() <= DISJUNCTS_MAX).then_some(all)
        }
        ExprKind::Binary { op: BinaryOp::And, left, right } => {
            let (left, right) = (disjuncts(left)?, disjuncts(right)?);
            if left.len().checked_mul(right.len())? > DISJUNCTS_MAX {
                return None;
            }
            let pairs = left.iter().flat_map(|l| right.iter().map(move |r| [l.clone(), r.clone()]));
            Some(pairs.map(|pair| pair.concat()).collect())
        }
        ExprKind::InList { expr: value, list, negated: false } => {
            let equal = |item: &Expr| {
                let kind = ExprKind::Binary {
                    op: BinaryOp::Eq,
                    left: value.clone(),
                    right: Box::new(item.clone()),
                };
                vec![Expr::new(kind, expr.span())]
            };
            (list.len() <= DISJUNCTS_MAX).then(|| list.iter().map(equal).collect())
        }
        ExprKind::Between { expr: value, low, high, negated: false } => {
            let bound = |op, limit: &Expr| {
                let right = Box::new(limit.clone());
                Expr::new(ExprKind::Binary { op, left: value.clone(), right }, expr.span())
            };
            Some(vec![vec![bound(BinaryOp::GtEq, low), bound(BinaryOp::LtEq, high)]])
        }
        _ => Some(vec![vec![expr.clone()]]),
    }
}

struct Reader<'a> {
    scope: &'a Scope,
    keys: Vec<Column>,
    /// Table scans are off: every doubt is an error.
    strict: bool,
    /// Even so, a range of a single-column key without windows may be read.
    ranges: bool,
}

/// `column op constant`.
struct Comparison<'a> {
    column: &'a str,
    op: BinaryOp,
    value: &'a Expr,
}

impl<'a> Reader<'a> {
    fn new(scope: &'a Scope, settings: &Settings) -> Self {
        let source = &scope.inputs[0].source;
        let keys: Vec<Column> = source.key_columns().cloned().collect();
        let ranges = settings.is_on("ksql.query.pull.range.scan.enabled", true)
            && keys.len() == 1
            && source.window.is_none();
        Reader { scope, keys, strict: !scans_allowed(settings), ranges }
    }

    fn conjunction(&self, conjuncts: &[Expr]) -> Result<Lookup> {
        let mut exact: Vec<Option<ScalarValue>> = vec![None; self.keys.len()];
        let mut range = Bounds::default();
        let mut lookup = Lookup::default();
        let (mut key_seen, mut ranged) = (false, false);
        for conjunct in conjuncts {
            let Some(comparison) = self.comparison(conjunct) else {
                self.check_key_use(conjunct)?;
                continue;
            };
            match comparison.column {
                pseudo::WINDOWSTART => self.bound(&mut lookup.window_start, &comparison),
                pseudo::WINDOWEND => self.bound(&mut lookup.window_end, &comparison),
                name => {
                    let Some(at) = self.keys.iter().position(|k| k.name == name) else { continue };
                    if self.strict && key_seen && self.keys.len() == 1 {
                        return Err(SqlError::invalid(
                            "A comparison condition on the key column cannot be combined with \
                             other comparisons such as an IN predicate",
                        ));
                    }
                    key_seen = true;
                    let Some(value) = self.key_value(&comparison, &self.keys[at])? else {
                        continue;
                    };
                    match comparison.op {
                        BinaryOp::Eq => exact[at] = Some(value),
                        op => {
                            self.check_bound_op(op)?;
                            ranged = true;
                            narrow(&mut range, op, value);
                        }
                    }
                }
            }
        }
        self.check_found(conjuncts, &exact, key_seen, ranged)?;
        lookup.keys = match exact.into_iter().collect::<Option<Vec<_>>>() {
            Some(key) if !key.is_empty() => Keys::Exact(vec![key]),
            _ if ranged && self.keys.len() == 1 => Keys::Range(range),
            _ => Keys::All,
        };
        Ok(lookup)
    }

    fn comparison<'e>(&self, expr: &'e Expr) -> Option<Comparison<'e>> {
        let ExprKind::Binary { op, left, right } = &expr.kind else { return None };
        let flipped = match op {
            BinaryOp::Eq | BinaryOp::NotEq => *op,
            BinaryOp::Lt => BinaryOp::Gt,
            BinaryOp::LtEq => BinaryOp::GtEq,
            BinaryOp::Gt => BinaryOp::Lt,
            BinaryOp::GtEq => BinaryOp::LtEq,
            _ => return None,
        };
        let column = |e: &'e Expr| match &e.kind {
            ExprKind::Column { name, .. } => Some(name.value.as_str()),
            _ => None,
        };
        match (column(left), column(right)) {
            (Some(column), None) if is_constant(right) => {
                Some(Comparison { column, op: *op, value: right })
            }
            (None, Some(column)) if is_constant(left) => {
                Some(Comparison { column, op: flipped, value: left })
            }
            _ => None,
        }
    }

    /// The value to compare a key with; `None` when it can be no bound (NULL, not representable).
    fn key_value(&self, found: &Comparison<'_>, key: &Column) -> Result<Option<ScalarValue>> {
        let text_literal = matches!(&found.value.kind, ExprKind::Literal(Literal::String(_)));
        let plain = matches!(
            key.ty,
            SqlType::Integer | SqlType::Bigint | SqlType::Double | SqlType::Boolean
        );
        if text_literal && plain {
            return Err(SqlError::invalid(format!(
                "{} can not be converted to the type of the key column: {} {} KEY",
                text::sql(found.value),
                key.name,
                key.ty
            ))
            .at(found.value.span()));
        }
        let value = typed(found.value, &Constants)?;
        // A constant of a wider type (1.5 for an INTEGER) equals no key, or must not be cut.
        let Ok(value) = ops::implicit_cast(value, &key.ty) else { return Ok(None) };
        let value = constant(&value.expr)?;
        Ok(value.filter(|v| !v.is_null() && v.data_type() == key.ty.to_arrow()))
    }

    fn bound(&self, bounds: &mut Bounds<i64>, found: &Comparison<'_>) {
        let value = typed(found.value, &Constants).and_then(|v| constant(&v.expr));
        let value = match value {
            Ok(Some(ScalarValue::Int64(Some(value)))) => value,
            Ok(Some(ScalarValue::Int32(Some(value)))) => i64::from(value),
            _ => return,
        };
        narrow(bounds, found.op, value);
    }

    fn check_bound_op(&self, op: BinaryOp) -> Result<()> {
        if !self.strict || op != BinaryOp::NotEq {
            return Ok(());
        }
        let keys: Vec<&Column> = self.keys.iter().collect();
        Err(SqlError::invalid(format!(
            "Bound on key columns '[{}]' must currently be '='. ",
            formats::describe(&keys)
        )))
    }

    /// With table scans off a key may only be compared with a constant.
    fn check_key_use(&self, conjunct: &Expr) -> Result<()> {
        if !self.strict {
            return Ok(());
        }
        let is_key = |e: &Expr| match &e.kind {
            ExprKind::Column { name, .. } => self.keys.iter().any(|k| k.name == name.value),
            _ => false,
        };
        if !tree::any(conjunct, &is_key) {
            return Ok(());
        }
        let message = match &conjunct.kind {
            ExprKind::Binary { left, right, .. } if is_key(left) || is_key(right) => {
                "A comparison must be between a key column and a resolvable expression."
            }
            _ => "A comparison must directly reference a key column.",
        };
        Err(SqlError::invalid(message).at(conjunct.span()))
    }

    fn check_found(
        &self,
        conjuncts: &[Expr],
        exact: &[Option<ScalarValue>],
        key_seen: bool,
        ranged: bool,
    ) -> Result<()> {
        if !self.strict {
            return Ok(());
        }
        if !key_seen {
            let shown: Vec<String> =
                conjuncts.iter().map(|c| text::internal(c, self.scope)).collect();
            let shown = shown.join(" AND ");
            let message = format!("WHERE clause missing key column for disjunct: {shown}");
            return Err(SqlError::invalid(message));
        }
        if exact.len() > 1 && exact.iter().any(Option::is_none) {
            let message = match ranged && conjuncts.len() >= exact.len() {
                true => "Query requires table scan to be enabled.",
                false => "Multi-column sources must specify every key in the WHERE clause.",
            };
            return Err(SqlError::invalid(message));
        }
        if ranged && !self.ranges {
            return Err(SqlError::invalid("Query requires table scan to be enabled."));
        }
        Ok(())
    }
}

fn is_constant(expr: &Expr) -> bool {
    !tree::any(expr, &|e| matches!(e.kind, ExprKind::Column { .. }))
}

/// The value of a constant expression; `None` when it can only be known when the query runs.
fn constant(expr: &DfExpr) -> Result<Option<ScalarValue>> {
    if let DfExpr::Literal(value, _) = expr {
        return Ok(Some(value.clone()));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let schema = std::sync::Arc::new(Schema::empty());
    let batch = RecordBatch::try_new_with_options(schema, vec![], &options);
    let Ok(batch) = batch else { return Ok(None) };
    let mut errors = Vec::new();
    let value = Evaluator::new(expr, &DFSchema::empty())?.column(&batch, &mut errors);
    let Ok(value) = value else { return Ok(None) };
    if !errors.is_empty() {
        return Ok(None);
    }
    Ok(ScalarValue::try_from_array(&value, 0).ok())
}

/// Cuts a range by `x op value`.
fn narrow<T>(bounds: &mut Bounds<T>, op: BinaryOp, value: T)
where
    T: Clone + PartialOrd,
{
    let tighter_low = |new: Bound<T>, old: &Bound<T>| match (&new, old) {
        (Bound::Included(n) | Bound::Excluded(n), Bound::Included(o) | Bound::Excluded(o)) => {
            n > o || (n == o && matches!(new, Bound::Excluded(_)))
        }
        _ => true,
    };
    let tighter_high = |new: Bound<T>, old: &Bound<T>| match (&new, old) {
        (Bound::Included(n) | Bound::Excluded(n), Bound::Included(o) | Bound::Excluded(o)) => {
            n < o || (n == o && matches!(new, Bound::Excluded(_)))
        }
        _ => true,
    };
    let (low, high) = match op {
        BinaryOp::Eq => (Some(Bound::Included(value.clone())), Some(Bound::Included(value))),
        BinaryOp::Gt => (Some(Bound::Excluded(value)), None),
        BinaryOp::GtEq => (Some(Bound::Included(value)), None),
        BinaryOp::Lt => (None, Some(Bound::Excluded(value))),
        BinaryOp::LtEq => (None, Some(Bound::Included(value))),
        _ => (None, None),
    };
    if let Some(low) = low
        && tighter_low(low.clone(), &bounds.low)
    {
        bounds.low = low;
    }
    if let Some(high) = high
        && tighter_high(high.clone(), &bounds.high)
    {
        bounds.high = high;
    }
}
