//! Which rows of a store a condition can hold for: keys, ranges of keys, and bounds of windows.

use std::collections::HashSet;
use std::ops::Bound;

use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use crate::catalog::ColumnRole;
use crate::expr::{BinaryOp, Term, constant};
use crate::plan::{ScanColumn, ScanNode};
use crate::types::SqlType;

/// The rows to read: a superset of those that the condition holds for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lookup {
    pub keys: Keys,
    /// Milliseconds.
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
pub(crate) const DISJUNCTS_MAX: usize = 1_000;

/// What the rows of a scan can be sought by, as the plan names it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seekable {
    /// In key order.
    keys: Vec<(String, SqlType)>,
    window_start: Option<String>,
    window_end: Option<String>,
}

/// `column op value`.
struct Comparison<'a> {
    column: &'a Column,
    op: BinaryOp,
    value: &'a Expr,
}

impl Seekable {
    /// Of the rows that `scan` reads.
    pub fn of(scan: &ScanNode) -> Self {
        let mut found = Seekable { keys: Vec::new(), window_start: None, window_end: None };
        for (column, field) in scan.columns.iter().zip(scan.schema.fields()) {
            let name = field.name().clone();
            match column {
                ScanColumn::WindowStart => found.window_start = Some(name),
                ScanColumn::WindowEnd => found.window_end = Some(name),
                ScanColumn::Declared(i) => {
                    let declared = &scan.source.columns[*i];
                    if declared.role == ColumnRole::Key {
                        found.keys.push((name, declared.ty.clone()));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// True when the condition, alone or with others, may say which rows to read. It never holds
    /// for NULL then.
    pub fn can_use(&self, condition: &Expr) -> bool {
        let Some(alternatives) = disjuncts(condition) else { return false };
        alternatives.iter().all(|terms| terms.iter().any(|term| self.knows(&term.column.name)))
    }

    fn knows(&self, name: &str) -> bool {
        let bounds = [self.window_start.as_deref(), self.window_end.as_deref()];
        bounds.contains(&Some(name)) || self.keys.iter().any(|(key, _)| key == name)
    }

    /// The rows that all of `conditions` can hold for.
    pub fn lookup(&self, conditions: &[&Expr]) -> Lookup {
        let mut all = vec![Vec::new()];
        for condition in conditions {
            let Some(more) = disjuncts(condition).and_then(|more| product(&all, &more)) else {
                continue;
            };
            all = more;
        }
        let mut parts: Vec<Lookup> = all.iter().map(|terms| self.conjunction(terms)).collect();
        let mut result = match parts.len() {
            1 => parts.pop().unwrap_or_default(),
            _ => merge(&parts),
        };
        if let Keys::Exact(keys) = &mut result.keys {
            let mut seen = HashSet::new();
            keys.retain(|key| seen.insert(key.clone()));
        }
        result
    }

    fn conjunction(&self, terms: &[Comparison<'_>]) -> Lookup {
        let mut exact: Vec<Option<ScalarValue>> = vec![None; self.keys.len()];
        let mut range: Option<Bounds<ScalarValue>> = None;
        let mut lookup = Lookup::default();
        for term in terms {
            let name = Some(&term.column.name);
            if name == self.window_start.as_ref() {
                bound(&mut lookup.window_start, term);
            } else if name == self.window_end.as_ref() {
                bound(&mut lookup.window_end, term);
            } else if let Some(at) = self.keys.iter().position(|(key, _)| Some(key) == name) {
                let value = constant(term.value);
                let of_key = |v: &ScalarValue| v.data_type() == self.keys[at].1.to_arrow();
                let Some(value) = value.filter(of_key) else { continue };
                match term.op {
                    BinaryOp::Equal => exact[at] = Some(value),
                    op => narrow(range.get_or_insert_default(), op, value),
                }
            }
        }
        let exact: Option<Vec<ScalarValue>> = exact.into_iter().collect();
        lookup.keys = match (exact, range) {
            (Some(key), _) if !key.is_empty() => Keys::Exact(vec![key]),
            (_, Some(range)) if self.keys.len() == 1 => Keys::Range(range),
            _ => Keys::All,
        };
        lookup
    }
}

fn bound(bounds: &mut Bounds<i64>, term: &Comparison<'_>) {
    if let Some(ScalarValue::Int64(Some(ms))) = constant(term.value) {
        narrow(bounds, term.op, ms);
    }
}

/// Alternatives together: exact keys stay exact, anything else reads all.
fn merge(parts: &[Lookup]) -> Lookup {
    let mut exact = Some(Vec::new());
    let (mut start, mut end) = (parts.first(), parts.first());
    for part in parts {
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

/// The condition as alternatives of comparisons that hold together, which leave out what is no
/// comparison with a constant; `None` when there are too many.
fn disjuncts(expr: &Expr) -> Option<Vec<Vec<Comparison<'_>>>> {
    Some(match Term::of(expr) {
        Term::And(left, right) => return product(&disjuncts(left)?, &disjuncts(right)?),
        Term::Or(left, right) => {
            let mut all = disjuncts(left)?;
            all.extend(disjuncts(right)?);
            return (all.len() <= DISJUNCTS_MAX).then_some(all);
        }
        Term::In(column, list) => {
            let equal = |value| vec![Comparison { column, op: BinaryOp::Equal, value }];
            return (list.len() <= DISJUNCTS_MAX).then(|| list.iter().map(equal).collect());
        }
        Term::Between(column, low, high) => vec![vec![
            Comparison { column, op: BinaryOp::GreaterOrEqual, value: low },
            Comparison { column, op: BinaryOp::LessOrEqual, value: high },
        ]],
        Term::Compare(column, op, value) => vec![vec![Comparison { column, op, value }]],
        Term::Other => vec![Vec::new()],
    })
}

/// One of `left` with one of `right`, in all ways.
fn product<'a>(
    left: &[Vec<Comparison<'a>>],
    right: &[Vec<Comparison<'a>>],
) -> Option<Vec<Vec<Comparison<'a>>>> {
    if left.len().checked_mul(right.len())? > DISJUNCTS_MAX {
        return None;
    }
    let pairs = left.iter().flat_map(|l| right.iter().map(move |r| (l, r)));
    Some(pairs.map(|(l, r)| l.iter().chain(r).map(Comparison::again).collect()).collect())
}

impl Comparison<'_> {
    fn again(&self) -> Self {
        Comparison { ..*self }
    }
}

/// Cuts a range by `x op value`.
fn narrow<T>(bounds: &mut Bounds<T>, op: BinaryOp, value: T)
where
    T: Clone + PartialOrd,
{
    use Bound::{Excluded, Included};
    let (low, high) = match op {
        BinaryOp::Equal => (Some(Included(value.clone())), Some(Included(value))),
        BinaryOp::Greater => (Some(Excluded(value)), None),
        BinaryOp::GreaterOrEqual => (Some(Included(value)), None),
        BinaryOp::Less => (None, Some(Excluded(value))),
        BinaryOp::LessOrEqual => (None, Some(Included(value))),
        _ => (None, None),
    };
    if let Some(low) = low
        && tighter(&low, &bounds.low, |new, old| new > old)
    {
        bounds.low = low;
    }
    if let Some(high) = high
        && tighter(&high, &bounds.high, |new, old| new < old)
    {
        bounds.high = high;
    }
}

fn tighter<T: PartialOrd>(new: &Bound<T>, old: &Bound<T>, inside: fn(&T, &T) -> bool) -> bool {
    use Bound::{Excluded, Included};
    match (new, old) {
        (Included(n) | Excluded(n), Included(o) | Excluded(o)) => {
            inside(n, o) || (n == o && matches!(new, Excluded(_)))
        }
        _ => true,
    }
}
