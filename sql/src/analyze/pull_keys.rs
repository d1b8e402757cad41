//! What ksqlDB refuses about the WHERE of a pull query: it looks for keys in the syntax tree. Which
//! rows are read is decided later, by the plan ([`crate::lookup`]).

use datafusion::scalar::ScalarValue;

use super::scan::ScopeNames;
use super::scope::Scope;
use super::settings::Settings;
use super::typing::{Constants, typed};
use super::{formats, text, tree};
use crate::ast::{BinaryOp, Expr, ExprKind, Literal};
use crate::catalog::Column;
use crate::error::{Result, SqlError};
use crate::expr::{constant, ops};
use crate::lookup::DISJUNCTS_MAX;
use crate::types::SqlType;

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

/// Checks how a resolved WHERE names keys.
///
/// # Errors
/// Values that cannot be compared with the key; with table scans off, whatever needs one.
pub(super) fn check_keys(filter: &Expr, scope: &Scope, settings: &Settings) -> Result<()> {
    let reader = Reader::new(scope, settings);
    let Some(disjuncts) = disjuncts(filter) else { return check_scan(settings) };
    let mut exact = true;
    for conjuncts in &disjuncts {
        exact &= reader.conjunction(conjuncts)?;
    }
    if !scans_allowed(settings) && disjuncts.len() != 1 && !exact {
        return Err(SqlError::invalid("Query requires table scan to be enabled."));
    }
    Ok(())
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

    /// True when the conditions say each key column's value.
    fn conjunction(&self, conjuncts: &[Expr]) -> Result<bool> {
        let mut exact = vec![false; self.keys.len()];
        let (mut key_seen, mut ranged) = (false, false);
        for conjunct in conjuncts {
            let Some(comparison) = self.comparison(conjunct) else {
                self.check_key_use(conjunct)?;
                continue;
            };
            let key = self.keys.iter().position(|k| k.name == comparison.column);
            let Some(at) = key else { continue };
            if self.strict && key_seen && self.keys.len() == 1 {
                return Err(SqlError::invalid(
                    "A comparison condition on the key column cannot be combined with other \
                     comparisons such as an IN predicate",
                ));
            }
            key_seen = true;
            if !self.is_key_value(&comparison, &self.keys[at])? {
                continue;
            }
            match comparison.op {
                BinaryOp::Eq => exact[at] = true,
                op => {
                    self.check_bound_op(op)?;
                    ranged = true;
                }
            }
        }
        self.check_found(conjuncts, &exact, key_seen, ranged)?;
        Ok(!exact.is_empty() && exact.iter().all(|known| *known))
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

    /// False when the value can be no bound of the key (NULL, not representable).
    fn is_key_value(&self, found: &Comparison<'_>, key: &Column) -> Result<bool> {
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
        let Ok(value) = ops::implicit_cast(value, &key.ty) else { return Ok(false) };
        let of_key = |v: ScalarValue| v.data_type() == key.ty.to_arrow();
        Ok(constant(&value.expr).is_some_and(of_key))
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
        exact: &[bool],
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
        if exact.len() > 1 && exact.iter().any(|known| !known) {
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
