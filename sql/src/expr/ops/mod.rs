//! Builds typed expressions by ksqlDB's rules. Every function refuses operand types that ksqlDB
//! refuses, and returns an expression of exactly the type it says.

mod arithmetic;
mod compare;
mod equality;
mod like;
mod logic;
mod nested;

pub(crate) use arithmetic::common_numeric;
pub use compare::{between, in_list};
pub(crate) use equality::equality;
pub use like::like;
pub use logic::{and, case_when, is_not_null, is_null, not, or};
pub(crate) use nested::map_from;
pub use nested::{array, deref, map, struct_, subscript};

pub use super::cast::{cast, implicit_cast, lax_coerce};
use super::typed::Typed;
use crate::error::Result;

/// Binary operators other than AND and OR. The analyser maps the syntax tree's operators to these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    /// `||`
    Concat,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    IsDistinctFrom,
    IsNotDistinctFrom,
}

impl BinaryOp {
    /// The operator's SQL text.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Concat => "||",
            BinaryOp::Equal => "=",
            BinaryOp::NotEqual => "<>",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
            BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
            BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
        }
    }
}

/// Arithmetic, concatenation or comparison.
///
/// # Errors
/// When the operand types do not go with the operator.
pub fn binary(op: BinaryOp, left: Typed, right: Typed) -> Result<Typed> {
    use BinaryOp::*;
    match op {
        Add | Subtract | Multiply | Divide | Modulo => arithmetic::binary(op, left, right),
        Concat => crate::functions::resolve_scalar("CONCAT", vec![left, right]),
        _ => compare::binary(op, left, right),
    }
}

/// `-x`
///
/// # Errors
/// When `x` is no number.
pub fn unary_minus(value: Typed) -> Result<Typed> {
    arithmetic::negate(value)
}
