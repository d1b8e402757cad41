//! The registry of functions: one table that resolves calls and describes itself.

use datafusion::scalar::ScalarValue;

use crate::error::{Result, SqlError};
use crate::expr::Typed;
use crate::types::SqlType;

/// What kind of function a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    Scalar,
    Aggregate,
    Table,
}

impl FunctionKind {
    /// As SHOW FUNCTIONS and DESCRIBE FUNCTION print it.
    pub fn name(self) -> &'static str {
        match self {
            FunctionKind::Scalar => "SCALAR",
            FunctionKind::Aggregate => "AGGREGATE",
            FunctionKind::Table => "TABLE",
        }
    }
}

/// What SHOW FUNCTIONS and DESCRIBE FUNCTION tell.
#[derive(Debug, Clone, Copy)]
pub struct FunctionDoc {
    /// Upper case.
    pub name: &'static str,
    pub kind: FunctionKind,
    /// As ksqlDB groups them, e.g. `STRING`, `MATHEMATICAL`, `DATE / TIME`.
    pub category: &'static str,
    /// One per overload, e.g. `(STRING, INT) -> STRING`.
    pub signatures: &'static [&'static str],
    pub description: &'static str,
    /// An expression over literals that can be evaluated.
    pub example: &'static str,
}

/// How an aggregate call is executed.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateSignature {
    /// Evaluated per row. Empty for `COUNT(*)`.
    pub row_args: Vec<Typed>,
    /// Constant parameters: k of TOPK; n (INTEGER) and ignoreNulls (BOOLEAN) of LATEST_BY_OFFSET.
    pub params: Vec<ScalarValue>,
    pub returns: SqlType,
    /// It can take a value back, so it may run on a table.
    pub table_ok: bool,
}

/// The call of a scalar function, with implicit casts and guards around the arguments.
///
/// # Errors
/// When there is no such function or no overload fits.
pub fn resolve_scalar(name: &str, args: Vec<Typed>) -> Result<Typed> {
    let _ = args;
    Err(unknown(name))
}

/// The call of an aggregate function. `COUNT(*)` has no arguments.
///
/// # Errors
/// When there is no such aggregate or no overload fits; arguments are never cast implicitly.
pub fn resolve_aggregate(name: &str, args: &[Typed]) -> Result<AggregateSignature> {
    let _ = args;
    Err(unknown(name))
}

fn unknown(name: &str) -> SqlError {
    SqlError::invalid(format!("Can't find any functions with the name '{name}'"))
}

/// The kind of the function with this name (any case); `None` if there is none.
pub fn kind(name: &str) -> Option<FunctionKind> {
    all().find(|doc| doc.name.eq_ignore_ascii_case(name)).map(|doc| doc.kind)
}

/// All functions, by name.
pub fn all() -> impl Iterator<Item = &'static FunctionDoc> {
    DOCS.iter()
}

static DOCS: [FunctionDoc; 0] = [];
