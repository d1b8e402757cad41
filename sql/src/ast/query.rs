//! SELECT and its clauses.

use super::expr::Expr;
use super::names::{Ident, Loc};
use crate::error::SqlError;

/// A SELECT, alone or inside CREATE .. AS and INSERT INTO.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// `SELECT DISTINCT`.
    pub distinct: bool,
    /// Never empty.
    pub items: Vec<SelectItem>,
    pub from: Relation,
    pub window: Option<WindowClause>,
    pub filter: Option<Expr>,
    /// Empty: no GROUP BY.
    pub group_by: Vec<Expr>,
    /// Empty: no PARTITION BY.
    pub partition_by: Vec<Expr>,
    pub having: Option<Expr>,
    /// Further SELECTs after UNION ALL; they have no EMIT, no LIMIT and none of these.
    pub union_all: Vec<Query>,
    pub emit: Option<Emit>,
    pub order_by: Option<OrderBy>,
    pub limit: Option<u64>,
    pub extension: Extension,
    pub loc: Loc,
}

impl Query {
    /// What FROM names, from left to right.
    pub fn sources(&self) -> impl Iterator<Item = &AliasedSource> {
        std::iter::once(&self.from.first).chain(self.from.joins.iter().map(|join| &join.right))
    }
}

/// What ksqlDB says of a query that its grammar does not have. All values compare equal: it is no part
/// of the meaning.
#[derive(Debug, Clone, Default)]
pub struct Extension(pub Option<Box<SqlError>>);

impl PartialEq for Extension {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One entry of the SELECT list.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectItem {
    Expr {
        expr: Expr,
        alias: Option<Ident>,
    },
    /// `*` or `source.*`.
    All {
        source: Option<Ident>,
        loc: Loc,
    },
    /// `base->*`.
    StructAll {
        base: Expr,
        loc: Loc,
    },
}

/// What FROM names: one source, then joins from left to right.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    pub first: AliasedSource,
    pub joins: Vec<Join>,
}

/// A stream or table in FROM, with its alias.
#[derive(Debug, Clone, PartialEq)]
pub struct AliasedSource {
    pub name: Ident,
    pub alias: Option<Ident>,
    /// The query that `name` stands for; `alias` is absent then.
    pub subquery: Option<Box<Query>>,
}

impl AliasedSource {
    /// The name that columns are qualified with.
    pub fn exposed(&self) -> &Ident {
        self.alias.as_ref().unwrap_or(&self.name)
    }
}

/// One joined source; `loc` starts at its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub kind: JoinType,
    pub right: AliasedSource,
    pub within: Option<Within>,
    pub on: Expr,
    pub loc: Loc,
}

/// Which rows without a partner are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinType {
    Inner,
    Left,
    Right,
    Full,
}

/// `WITHIN size` sets both sides; `WITHIN (before, after)` each.
#[derive(Debug, Clone, PartialEq)]
pub struct Within {
    pub before: Interval,
    pub after: Interval,
    pub grace: Option<Interval>,
    pub loc: Loc,
}

/// The WINDOW clause.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowClause {
    /// ksqlDB takes a name and makes nothing of it.
    pub name: Option<Ident>,
    pub spec: WindowSpec,
    pub retention: Option<Interval>,
    pub grace: Option<Interval>,
    pub loc: Loc,
}

/// The kind of window with its lengths.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowSpec {
    Tumbling { size: Interval },
    Hopping { size: Interval, advance: Interval },
    Session { gap: Interval },
}

/// A span of time, e.g. `10 SECONDS`.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Never negative.
    pub value: i64,
    pub unit: IntervalUnit,
    pub loc: Loc,
}

impl Interval {
    /// Length in milliseconds; `None` when it does not fit.
    pub fn millis(&self) -> Option<i64> {
        self.value.checked_mul(self.unit.millis())
    }
}

/// A unit of time of fixed length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IntervalUnit {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl IntervalUnit {
    /// From the singular or plural word in upper case.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "MILLISECOND" | "MILLISECONDS" => IntervalUnit::Milliseconds,
            "SECOND" | "SECONDS" => IntervalUnit::Seconds,
            "MINUTE" | "MINUTES" => IntervalUnit::Minutes,
            "HOUR" | "HOURS" => IntervalUnit::Hours,
            "DAY" | "DAYS" => IntervalUnit::Days,
            _ => return None,
        })
    }

    /// The plural word, as SQL text.
    pub fn word(self) -> &'static str {
        match self {
            IntervalUnit::Milliseconds => "MILLISECONDS",
            IntervalUnit::Seconds => "SECONDS",
            IntervalUnit::Minutes => "MINUTES",
            IntervalUnit::Hours => "HOURS",
            IntervalUnit::Days => "DAYS",
        }
    }

    /// Length of one unit in milliseconds.
    pub fn millis(self) -> i64 {
        match self {
            IntervalUnit::Milliseconds => 1,
            IntervalUnit::Seconds => 1_000,
            IntervalUnit::Minutes => 60_000,
            IntervalUnit::Hours => 3_600_000,
            IntervalUnit::Days => 86_400_000,
        }
    }
}

/// ORDER BY, which ksqlDB does not have.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderBy {
    /// Never empty.
    pub items: Vec<OrderItem>,
    pub loc: Loc,
}

/// What to order by.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
    /// `NULLS FIRST` or `NULLS LAST`, if said.
    pub nulls_first: Option<bool>,
}

/// How results are handed out. Without the clause a SELECT is a pull query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    Changes,
    Final,
}
