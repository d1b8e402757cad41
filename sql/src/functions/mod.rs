//! The registry of functions: tables, one per family, that resolve calls and describe themselves.

mod aggregates;
mod registry;
mod signature;

mod array_sets;
mod arrays;
mod bytes;
mod compare;
mod dates;
mod json;
mod json_build;
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
pub use registry::{FunctionDoc, all, kind, resolve_scalar};

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

#[cfg(test)]
mod tests;
