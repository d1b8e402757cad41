//! From a resolved syntax tree to a typed expression. What columns mean is the caller's to say
//! ([`Names`]); what operators and functions mean is known by `expr` and `functions`.

use super::{lambdas, text};
use crate::ast::{BinaryOp, CaseBranch, Expr, ExprKind, Literal, UnaryOp};
use crate::error::{Result, SqlError};
use crate::expr::{Typed, ops};
use crate::functions::{self, FunctionKind};
use crate::types::SqlType;

/// Says what a node of a tree stands for; asked at every node, from the top.
pub(crate) trait Names {
    /// The value of the whole node, if it is a column or another known thing.
    fn find(&self, expr: &Expr) -> Result<Option<Typed>>;
}

/// A context without columns: INSERT VALUES, bounds of a pull query.
pub(crate) struct Constants;

impl Names for Constants {
    fn find(&self, expr: &Expr) -> Result<Option<Typed>> {
        match &expr.kind {
            ExprKind::Column { .. } => {
                let message = format!("Unsupported column reference {}", text::sql(expr));
                Err(SqlError::invalid(message).at(expr.span()))
            }
            _ => Ok(None),
        }
    }
}

/// # Errors
/// Whatever the operators and functions refuse, with the place of the innermost culprit.
pub(crate) fn typed(expr: &Expr, names: &dyn Names) -> Result<Typed> {
    if let Some(found) = names.find(expr)? {
        return Ok(found);
    }
    let value = build(expr, names).map_err(|e| e.at(expr.span()))?;
    Ok(match value.as_literal() {
        Some(_) if may_be_computed(expr) => value.written_as(text::sql(expr)),
        _ => value,
    })
}

/// Literals stand for themselves. Long expressions are shown by their value.
fn may_be_computed(expr: &Expr) -> bool {
    const SHOWN_BYTES_MAX: usize = 500;
    let (span, literal) = (expr.span(), |e: &Expr| matches!(e.kind, ExprKind::Literal(_)));
    let plain = match &expr.kind {
        ExprKind::Unary { op: UnaryOp::Minus | UnaryOp::Plus, expr } => literal(expr),
        ExprKind::Unit(_) => true,
        _ => literal(expr),
    };
    !plain && span.end.saturating_sub(span.start) <= SHOWN_BYTES_MAX
}

fn build(expr: &Expr, names: &dyn Names) -> Result<Typed> {
    let of = |e: &Expr| typed(e, names);
    match &expr.kind {
        ExprKind::Literal(value) => literal(value),
        ExprKind::Column { .. } => {
            Err(SqlError::invalid(format!("Unknown column {}", text::sql(expr))))
        }
        ExprKind::Unary { op, expr } => match op {
            UnaryOp::Plus => {
                let value = of(expr)?;
                // Only to refuse what is no number.
                ops::unary_minus(value.clone())?;
                Ok(value)
            }
            UnaryOp::Minus => ops::unary_minus(of(expr)?),
            UnaryOp::Not => ops::not(of(expr)?),
        },
        ExprKind::Binary { op, left, right } => binary(*op, of(left)?, of(right)?),
        ExprKind::Between { expr, low, high, negated } => {
            negate(ops::between(of(expr)?, of(low)?, of(high)?)?, *negated)
        }
        ExprKind::InList { expr, list, negated } => {
            let found = ops::in_list(of(expr)?, all(list, names)?);
            negate(found.map_err(|e| prefixed("Invalid Predicate", e))?, *negated)
        }
        ExprKind::Like { expr, pattern, escape, negated } => {
            let escape = escape.as_deref().map(one_char).transpose()?;
            negate(ops::like(of(expr)?, of(pattern)?, escape)?, *negated)
        }
        ExprKind::IsNull { expr, negated: false } => ops::is_null(of(expr)?),
        ExprKind::IsNull { expr, negated: true } => ops::is_not_null(of(expr)?),
        ExprKind::Case { operand, branches, otherwise } => {
            case(operand.as_deref(), branches, otherwise.as_deref(), names)
        }
        ExprKind::Cast { expr, ty } => ops::cast(of(expr)?, &ty.resolve(&no_custom_types)?),
        ExprKind::Call { name, args } => call(&name.value, args, names),
        ExprKind::CallStar { name } => call(&name.value, &[], names),
        ExprKind::Unit(unit) => Ok(Typed::time_unit(unit.word())),
        ExprKind::Subscript { base, index } => ops::subscript(of(base)?, of(index)?),
        ExprKind::Field { base, name } => ops::deref(of(base)?, &name.value),
        ExprKind::Array(items) => ops::array(all(items, names)?),
        ExprKind::Map(entries) => {
            let entries = entries.iter().map(|(k, v)| Ok((of(k)?, of(v)?)));
            ops::map(entries.collect::<Result<_>>()?)
        }
        ExprKind::Struct(fields) => {
            let fields = fields.iter().map(|(n, v)| Ok((n.value.clone(), of(v)?)));
            ops::struct_(fields.collect::<Result<_>>()?)
        }
        ExprKind::Lambda { .. } => {
            Err(SqlError::invalid("A lambda stands only among the arguments of a function"))
        }
    }
}

/// The error with ksqlDB's words for where it arose.
pub(super) fn prefixed(what: &str, mut error: SqlError) -> SqlError {
    error.message = format!("{what}: {}", error.message);
    error
}

fn all(list: &[Expr], names: &dyn Names) -> Result<Vec<Typed>> {
    list.iter().map(|e| typed(e, names)).collect()
}

/// Types made by CREATE TYPE; there are none yet.
pub(super) fn no_custom_types(_: &str) -> Option<SqlType> {
    None
}

pub(super) fn literal(value: &Literal) -> Result<Typed> {
    Ok(match value {
        Literal::Null => Typed::null(),
        Literal::Boolean(b) => Typed::boolean(*b),
        Literal::Integer(i) => Typed::integer(*i),
        Literal::Bigint(i) => Typed::bigint(*i),
        Literal::Decimal(digits) => Typed::decimal(digits)?,
        Literal::Double(d) => Typed::double(*d),
        Literal::String(s) => Typed::string(s.clone()),
    })
}

fn binary(op: BinaryOp, left: Typed, right: Typed) -> Result<Typed> {
    let op = match op {
        BinaryOp::And => return ops::and(left, right),
        BinaryOp::Or => return ops::or(left, right),
        BinaryOp::Add => ops::BinaryOp::Add,
        BinaryOp::Subtract => ops::BinaryOp::Subtract,
        BinaryOp::Multiply => ops::BinaryOp::Multiply,
        BinaryOp::Divide => ops::BinaryOp::Divide,
        BinaryOp::Modulo => ops::BinaryOp::Modulo,
        BinaryOp::Concat => ops::BinaryOp::Concat,
        BinaryOp::Eq => ops::BinaryOp::Equal,
        BinaryOp::NotEq => ops::BinaryOp::NotEqual,
        BinaryOp::Lt => ops::BinaryOp::Less,
        BinaryOp::LtEq => ops::BinaryOp::LessOrEqual,
        BinaryOp::Gt => ops::BinaryOp::Greater,
        BinaryOp::GtEq => ops::BinaryOp::GreaterOrEqual,
        BinaryOp::IsDistinctFrom => ops::BinaryOp::IsDistinctFrom,
        BinaryOp::IsNotDistinctFrom => ops::BinaryOp::IsNotDistinctFrom,
    };
    ops::binary(op, left, right)
}

fn negate(value: Typed, negated: bool) -> Result<Typed> {
    if negated { ops::not(value) } else { Ok(value) }
}

fn one_char(text: &str) -> Result<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(SqlError::invalid(
            "Escape character must be a single character: ".to_string() + text,
        )),
    }
}

fn case(
    operand: Option<&Expr>,
    branches: &[CaseBranch],
    otherwise: Option<&Expr>,
    names: &dyn Names,
) -> Result<Typed> {
    if let Some(operand) = operand {
        let hint = "write CASE WHEN x = value THEN ... END";
        return Err(SqlError::not_supported("CASE with an operand").at(operand.span()).hint(hint));
    }
    let whens = branches
        .iter()
        .map(|b| Ok((typed(&b.condition, names)?, typed(&b.result, names)?)))
        .collect::<Result<_>>()?;
    ops::case_when(whens, otherwise.map(|e| typed(e, names)).transpose()?)
}

fn call(name: &str, args: &[Expr], names: &dyn Names) -> Result<Typed> {
    match functions::kind(name) {
        Some(FunctionKind::Aggregate) => {
            Err(SqlError::invalid(format!("{name} is an aggregate function and not allowed here.")))
        }
        Some(FunctionKind::Table) => {
            let message = format!("Can't find any functions with the name '{name}'");
            Err(SqlError::invalid(message)
                .hint("it is a table function, which stands only in the SELECT list of a stream"))
        }
        // Marks a copy of a key column; the value is the argument's.
        _ if name.eq_ignore_ascii_case("AS_VALUE") && args.len() == 1 => typed(&args[0], names),
        _ => call_scalar(name, args, names),
    }
}

fn call_scalar(name: &str, args: &[Expr], names: &dyn Names) -> Result<Typed> {
    let lambdas: Vec<Option<lambdas::AstLambda<'_>>> =
        args.iter().map(|arg| lambdas::AstLambda::of(arg, names)).collect();
    let args = args.iter().zip(&lambdas).map(|(arg, lambda)| {
        Ok(match lambda {
            Some(lambda) => functions::Arg::Lambda(lambda),
            None => functions::Arg::Value(typed(arg, names)?),
        })
    });
    functions::resolve_call(name, args.collect::<Result<_>>()?)
}
