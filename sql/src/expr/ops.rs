//! Builds typed expressions by ksqlDB's rules. Every function refuses operand types that ksqlDB
//! refuses, and returns an expression of exactly the type it says.

use super::typed::Typed;
use crate::error::{Result, SqlError};
use crate::types::SqlType;

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

/// Arithmetic, concatenation or comparison.
pub fn binary(op: BinaryOp, left: Typed, right: Typed) -> Result<Typed> {
    let _ = (left, right);
    Err(SqlError::not_supported(format!("{op:?}")))
}

/// `-x`
pub fn unary_minus(value: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(value))
}

pub fn not(value: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(value))
}

/// Lazy: `FALSE AND <error>` is FALSE.
pub fn and(left: Typed, right: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(format!("{left} AND {right}")))
}

/// Lazy: `TRUE OR <error>` is TRUE.
pub fn or(left: Typed, right: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(format!("{left} OR {right}")))
}

pub fn is_null(value: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(value))
}

pub fn is_not_null(value: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(value))
}

/// `value LIKE pattern [ESCAPE escape]`; negate with [`not`].
pub fn like(value: Typed, pattern: Typed, escape: Option<char>) -> Result<Typed> {
    Err(SqlError::not_supported(format!("{value} LIKE {pattern} {escape:?}")))
}

/// `value IN (list)`; negate with [`not`].
pub fn in_list(value: Typed, list: Vec<Typed>) -> Result<Typed> {
    Err(SqlError::not_supported(format!("{value} IN {}", list.len())))
}

/// `value BETWEEN low AND high`; negate with [`not`].
pub fn between(value: Typed, low: Typed, high: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(format!("{value} BETWEEN {low} AND {high}")))
}

/// `CASE WHEN c THEN x ... [ELSE y] END`; lazy per row.
pub fn case_when(whens: Vec<(Typed, Typed)>, otherwise: Option<Typed>) -> Result<Typed> {
    Err(SqlError::not_supported(format!("CASE {} {otherwise:?}", whens.len())))
}

/// `CAST(value AS ty)`
pub fn cast(value: Typed, ty: &SqlType) -> Result<Typed> {
    Err(SqlError::not_supported(format!("CAST({value} AS {ty})")))
}

/// The widening that ksqlDB does by itself (function arguments, INSERT INTO ... SELECT).
/// The identity if the types are equal.
pub fn implicit_cast(value: Typed, ty: &SqlType) -> Result<Typed> {
    cast(value, ty)
}

/// The lenient conversion of literals (INSERT VALUES, IN lists, key look-ups): text to numbers,
/// booleans and times as well, any literal to text.
pub fn lax_coerce(value: Typed, ty: &SqlType) -> Result<Typed> {
    cast(value, ty)
}

/// `base[index]` of an ARRAY (1-based, negative from the end) or MAP; NULL if there is none.
pub fn subscript(base: Typed, index: Typed) -> Result<Typed> {
    Err(SqlError::not_supported(format!("{base}[{index}]")))
}

/// `base->field` of a STRUCT.
pub fn deref(base: Typed, field: &str) -> Result<Typed> {
    Err(SqlError::not_supported(format!("{base}->{field}")))
}

/// `ARRAY[items]`
pub fn array(items: Vec<Typed>) -> Result<Typed> {
    Err(SqlError::not_supported(format!("ARRAY of {}", items.len())))
}

/// `MAP(key := value, ...)`
pub fn map(entries: Vec<(Typed, Typed)>) -> Result<Typed> {
    Err(SqlError::not_supported(format!("MAP of {}", entries.len())))
}

/// `STRUCT(name := value, ...)`
pub fn struct_(fields: Vec<(String, Typed)>) -> Result<Typed> {
    Err(SqlError::not_supported(format!("STRUCT of {}", fields.len())))
}
