//! The registry of functions: tables, one per family, that resolve calls and describe themselves.

mod aggregates;
mod page;
mod pattern;
mod registry;
mod resolve;
mod signature;
mod tables;
mod units;

mod array_sets;
mod arrays;
mod bytes;
mod compare;
mod dates;
mod escapes;
mod fixtures;
mod java_json;
mod json;
mod json_build;
mod lambdas;
mod lists;
mod maps;
mod masks;
mod math;
mod md5;
mod nulls;
mod regexes;
mod rounding;
mod strings;
mod times;
mod urls;

pub use aggregates::{AggregateSignature, resolve_aggregate};
pub use page::page;
pub use registry::{FunctionDoc, add_test_functions, all, kind};
pub use resolve::{Arg, LambdaSource, TypedLambda, resolve_call, resolve_scalar};
pub use tables::resolve_table;

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

/// An expression without columns, as examples have them.
///
/// # Errors
/// Whatever the operators and functions in it refuse.
pub fn constant(expr: &crate::ast::Expr) -> crate::error::Result<crate::expr::Typed> {
    crate::analyze::typing::typed(expr, &crate::analyze::typing::Constants)
}

#[cfg(test)]
mod tests;
