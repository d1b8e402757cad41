//! Expressions. Parentheses are not kept: the shape of the tree says what binds tighter.

use super::names::{Ident, Loc};
use super::query::IntervalUnit;
use super::types::TypeExpr;
use crate::error::Span;

/// An expression with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub loc: Loc,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Literal(Literal),
    /// `name` or `source.name`; inside a lambda it may be one of its arguments.
    Column {
        source: Option<Ident>,
        name: Ident,
    },
    Unary {
        op: UnaryOp,
        expr: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Between {
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    InList {
        expr: Box<Expr>,
        /// Never empty.
        list: Vec<Expr>,
        negated: bool,
    },
    Like {
        expr: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<String>,
        negated: bool,
    },
    IsNull {
        expr: Box<Expr>,
        negated: bool,
    },
    /// `operand` is the simple form `CASE x WHEN ..`, which ksqlDB parses and then refuses.
    Case {
        operand: Option<Box<Expr>>,
        /// Never empty.
        branches: Vec<CaseBranch>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        expr: Box<Expr>,
        ty: TypeExpr,
    },
    /// Lambdas come last among the arguments.
    Call {
        name: Ident,
        args: Vec<Expr>,
    },
    /// `COUNT(*)`.
    CallStar {
        name: Ident,
    },
    /// A reserved unit word as an argument (`DAYS`); see [`Expr::as_unit`] for `DAY`.
    Unit(IntervalUnit),
    Subscript {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    /// `base->name`.
    Field {
        base: Box<Expr>,
        name: Ident,
    },
    Array(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Struct(Vec<(Ident, Expr)>),
    Lambda {
        /// Never empty.
        params: Vec<Ident>,
        body: Box<Expr>,
    },
}

/// One `WHEN condition THEN result`.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseBranch {
    pub condition: Expr,
    pub result: Expr,
}

/// A constant as written. A minus directly before a number belongs to the number.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// Fits 32 bits.
    Integer(i32),
    /// Needs 64 bits.
    Bigint(i64),
    /// The digits as written; they decide precision and scale. `-`, digits and at most one point.
    Decimal(String),
    /// Written with an exponent; always finite.
    Double(f64),
    String(String),
}

/// An operator before one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    Plus,
    Minus,
    Not,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Concat,
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    IsDistinctFrom,
    IsNotDistinctFrom,
    And,
    Or,
}

impl Expr {
    /// A node at a place.
    pub fn new(kind: ExprKind, loc: impl Into<Loc>) -> Self {
        Expr { kind, loc: loc.into() }
    }

    /// Its byte range in the text.
    pub fn span(&self) -> Span {
        self.loc.0
    }

    /// True if it needs no parentheses before `->` and `[`: columns, calls, constructors and such.
    pub fn is_operand(&self) -> bool {
        use ExprKind::*;
        matches!(
            self.kind,
            Column { .. }
                | Call { .. }
                | CallStar { .. }
                | Subscript { .. }
                | Field { .. }
                | Array(_)
                | Map(_)
                | Struct(_)
                | Case { .. }
                | Cast { .. }
        )
    }

    /// The unit of time that this argument names. `DAY`, `HOUR`, `MINUTE` and `SECOND` are not
    /// reserved, so they parse as columns; the function's signature tells which one is meant.
    pub fn as_unit(&self) -> Option<IntervalUnit> {
        match &self.kind {
            ExprKind::Unit(unit) => Some(*unit),
            ExprKind::Column { source: None, name } if !name.quoted => {
                IntervalUnit::from_word(&name.value)
            }
            _ => None,
        }
    }
}

impl BinaryOp {
    /// The operator as SQL text.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Concat => "||",
            BinaryOp::Eq => "=",
            BinaryOp::NotEq => "<>",
            BinaryOp::Lt => "<",
            BinaryOp::LtEq => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::GtEq => ">=",
            BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
            BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            BinaryOp::And => "AND",
            BinaryOp::Or => "OR",
        }
    }

    /// True for `=` to `>=` and the two DISTINCT forms.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
    }

    /// True for `+ - * / %`.
    pub fn is_arithmetic(self) -> bool {
        use BinaryOp::*;
        matches!(self, Add | Subtract | Multiply | Divide | Modulo)
    }
}
