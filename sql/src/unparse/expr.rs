//! Expressions: with the fewest parentheses, or with those that ksqlDB writes in its messages.

use std::fmt::{self, Display, Formatter};

use super::{Quoted, write_list};
use crate::ast::{BinaryOp, CaseBranch, Expr, ExprKind, Ident, Literal, UnaryOp};

/// How tightly an expression binds; parentheses go around one that binds looser than its place
/// asks for.
mod level {
    pub const ANY: u8 = 1;
    pub const AND: u8 = 2;
    pub const NOT: u8 = 3;
    pub const PREDICATE: u8 = 4;
    /// What stands inside of a predicate, and CONCAT itself.
    pub const VALUE: u8 = 5;
    pub const SUM: u8 = 6;
    pub const PRODUCT: u8 = 7;
    pub const SIGN: u8 = 8;
    pub const OPERAND: u8 = 9;
}

/// Canonical text with the fewest parentheses.
impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Printed { expr: self, min: level::ANY, style: Style::Short }.fmt(f)
    }
}

/// Every operator in parentheses, e.g. `((A + 1) > 2)`.
pub fn parenthesized(expr: &Expr) -> impl Display + '_ {
    Printed { expr, min: level::ANY, style: Style::Full }
}

/// How ksqlDB shows expressions in messages: [`parenthesized`], and no name in quotes.
pub fn shown(expr: &Expr) -> impl Display + '_ {
    Printed { expr, min: level::ANY, style: Style::Shown }
}

/// What an expression is printed for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// With the fewest parentheses.
    Short,
    /// With all parentheses.
    Full,
    /// With all parentheses and bare names; does not read back.
    Shown,
}

/// A name of an expression.
struct Name<'a>(&'a Ident, Style);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.1 {
            Style::Shown => f.write_str(&self.0.value),
            _ => self.0.fmt(f),
        }
    }
}

/// What a value list or a GROUP BY takes: operators below a predicate only without parentheses.
pub(super) fn value(expr: &Expr) -> impl Display + '_ {
    Printed { expr, min: level::VALUE, style: Style::Short }
}

/// What may stand before `->*`.
pub(super) fn operand(expr: &Expr) -> impl Display + '_ {
    Operand { expr, style: Style::Short }
}

#[derive(Clone, Copy)]
struct Printed<'a> {
    expr: &'a Expr,
    min: u8,
    style: Style,
}

impl Display for Printed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let level = level_of(self.expr);
        let is_sign = level == level::SIGN;
        if level < self.min || (self.style != Style::Short && level < level::OPERAND && !is_sign) {
            f.write_str("(")?;
            self.bare(f)?;
            return f.write_str(")");
        }
        self.bare(f)
    }
}

fn level_of(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary { op, .. } => binary_level(*op),
        ExprKind::Unary { op: UnaryOp::Not, .. } => level::NOT,
        ExprKind::Unary { .. } => level::SIGN,
        ExprKind::Between { .. }
        | ExprKind::InList { .. }
        | ExprKind::Like { .. }
        | ExprKind::IsNull { .. } => level::PREDICATE,
        _ => level::OPERAND,
    }
}

fn binary_level(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => level::ANY,
        BinaryOp::And => level::AND,
        BinaryOp::Concat => level::VALUE,
        BinaryOp::Add | BinaryOp::Subtract => level::SUM,
        BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => level::PRODUCT,
        _ => level::PREDICATE,
    }
}

impl<'a> Printed<'a> {
    fn at(&self, expr: &'a Expr, min: u8) -> Printed<'a> {
        Printed { expr, min, style: self.style }
    }

    /// An expression that stands alone between brackets or words.
    fn any(&self, expr: &'a Expr) -> Printed<'a> {
        self.at(expr, level::ANY)
    }

    fn name(&self, name: &'a Ident) -> Name<'a> {
        Name(name, self.style)
    }

    /// A side of a predicate.
    fn side(&self, expr: &'a Expr) -> Printed<'a> {
        self.at(expr, level::VALUE)
    }

    /// Without parentheses around it.
    fn bare(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.expr.kind {
            ExprKind::Literal(literal) => literal.fmt(f),
            ExprKind::Column { source: None, name } => self.name(name).fmt(f),
            ExprKind::Column { source: Some(source), name } => {
                write!(f, "{}.{}", self.name(source), self.name(name))
            }
            ExprKind::Unary { op, expr } => self.unary(f, *op, expr),
            ExprKind::Binary { op, left, right } => self.binary(f, *op, left, right),
            ExprKind::Between { expr, low, high, negated } => {
                let (low, high) = (self.side(low), self.side(high));
                write!(f, "{} {}BETWEEN {low} AND {high}", self.side(expr), not(*negated))
            }
            ExprKind::InList { expr, list, negated } => {
                write!(f, "{} {}IN (", self.side(expr), not(*negated))?;
                self.list(f, list)?;
                f.write_str(")")
            }
            ExprKind::Like { expr, pattern, escape, negated } => {
                let (value, pattern) = (self.side(expr), self.side(pattern));
                write!(f, "{value} {}LIKE {pattern}", not(*negated))?;
                match escape {
                    Some(escape) => write!(f, " ESCAPE {}", Quoted(escape)),
                    None => Ok(()),
                }
            }
            ExprKind::IsNull { expr, negated } => {
                write!(f, "{} IS {}NULL", self.side(expr), not(*negated))
            }
            ExprKind::Case { operand, branches, otherwise } => {
                self.case(f, operand.as_deref(), branches, otherwise.as_deref())
            }
            ExprKind::Cast { expr, ty } => write!(f, "CAST({} AS {ty})", self.any(expr)),
            ExprKind::Unit(unit) => f.write_str(unit.word()),
            ExprKind::Subscript { base, index } => {
                let base = Operand { expr: base, style: self.style };
                write!(f, "{base}[{}]", self.side(index))
            }
            ExprKind::Field { base, name } => {
                let base = Operand { expr: base, style: self.style };
                write!(f, "{base}->{}", self.name(name))
            }
            _ => self.enclosing(f),
        }
    }

    /// Calls, constructors and lambdas.
    fn enclosing(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.expr.kind {
            ExprKind::Call { name, args } => {
                write!(f, "{name}(")?;
                self.list(f, args)?;
                f.write_str(")")
            }
            ExprKind::CallStar { name } => write!(f, "{name}(*)"),
            ExprKind::Array(items) => {
                f.write_str("ARRAY[")?;
                self.list(f, items)?;
                f.write_str("]")
            }
            ExprKind::Map(entries) => {
                f.write_str("MAP(")?;
                write_list(f, entries, |f, (key, value)| {
                    write!(f, "{}:={}", self.any(key), self.any(value))
                })?;
                f.write_str(")")
            }
            ExprKind::Struct(fields) => {
                f.write_str("STRUCT(")?;
                write_list(f, fields, |f, (name, value)| {
                    write!(f, "{}:={}", self.name(name), self.any(value))
                })?;
                f.write_str(")")
            }
            ExprKind::Lambda { params, body } => self.lambda(f, params, body),
            _ => Ok(()),
        }
    }

    fn unary(&self, f: &mut Formatter<'_>, op: UnaryOp, expr: &Expr) -> fmt::Result {
        let sign = match op {
            UnaryOp::Not => return write!(f, "NOT {}", self.at(expr, level::NOT)),
            UnaryOp::Minus => "-",
            UnaryOp::Plus => "+",
        };
        let text = self.at(expr, level::SIGN).to_string();
        match text.bytes().next() {
            // `-1` would read back as a number, `--` as a comment.
            Some(b'0'..=b'9' | b'.') if op == UnaryOp::Minus => write!(f, "-({text})"),
            Some(b'-' | b'+') => write!(f, "{sign} {text}"),
            _ => write!(f, "{sign}{text}"),
        }
    }

    fn binary(&self, f: &mut Formatter<'_>, op: BinaryOp, l: &Expr, r: &Expr) -> fmt::Result {
        let level = binary_level(op);
        // All but predicates lean to the left.
        let left = if level == level::PREDICATE { level::VALUE } else { level };
        let (l, r) = (self.at(l, left), self.at(r, level + 1));
        write!(f, "{l} {} {r}", op.symbol())
    }

    fn case(
        &self,
        f: &mut Formatter<'_>,
        operand: Option<&Expr>,
        branches: &[CaseBranch],
        otherwise: Option<&Expr>,
    ) -> fmt::Result {
        let (open, close) = if self.style != Style::Short { ("(", ")") } else { ("", "") };
        write!(f, "{open}CASE")?;
        if let Some(operand) = operand {
            write!(f, " {}", self.side(operand))?;
        }
        for CaseBranch { condition, result } in branches {
            write!(f, " WHEN {} THEN {}", self.any(condition), self.any(result))?;
        }
        if let Some(otherwise) = otherwise {
            write!(f, " ELSE {}", self.any(otherwise))?;
        }
        write!(f, " END{close}")
    }

    fn lambda(&self, f: &mut Formatter<'_>, params: &[Ident], body: &Expr) -> fmt::Result {
        match params {
            [one] => write!(f, "{one}")?,
            _ => write!(f, "({})", super::List(params))?,
        }
        write!(f, " => {}", self.any(body))
    }

    fn list(&self, f: &mut Formatter<'_>, items: &[Expr]) -> fmt::Result {
        write_list(f, items, |f, item| write!(f, "{}", self.any(item)))
    }
}

/// What stands before `->` and `[`.
struct Operand<'a> {
    expr: &'a Expr,
    style: Style,
}

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let printed = Printed { expr: self.expr, min: level::ANY, style: self.style };
        if self.expr.is_operand() {
            return printed.bare(f);
        }
        f.write_str("(")?;
        printed.bare(f)?;
        f.write_str(")")
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("null"),
            Literal::Boolean(value) => write!(f, "{value}"),
            Literal::Integer(value) => write!(f, "{value}"),
            Literal::Bigint(value) => write!(f, "{value}"),
            Literal::Decimal(text) if text.contains('.') => f.write_str(text),
            Literal::Decimal(text) => write!(f, "DECIMAL '{text}'"),
            Literal::Double(value) => write!(f, "{value:E}"),
            Literal::String(text) => Quoted(text).fmt(f),
        }
    }
}
