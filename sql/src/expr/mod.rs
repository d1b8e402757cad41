//! Typed expressions: what operators, casts and literals mean, and how they are evaluated.
//!
//! The analyser builds [`Typed`] trees with [`ops`] and `functions::resolve_scalar`;
//! the engine evaluates the resulting DataFusion expressions with an [`Evaluator`].

mod ambient;
pub mod base64;
mod cast;
mod eval;
pub(crate) mod frame;
mod java_map;
mod java_regex;
pub mod java_time;
pub(crate) mod kernel;
pub(crate) mod lambda;
mod memo;
pub(crate) mod op;
pub mod ops;
mod safe;
mod terms;
mod text;
mod typed;

pub use ambient::with_ambient;
pub(crate) use ambient::{now_ms, random};
pub(crate) use cast::{can_implicitly_cast, column as convert_column, decimal_text, implicit_cast};
pub use cast::{double_text, parse_date_text, parse_time_text, parse_timestamp_text};
pub use eval::Evaluator;
pub use frame::RowError;
pub(crate) use java_map::hash_order;
pub(crate) use java_regex::{JavaRegex, Spans};
pub(crate) use memo::with_java_regex;
pub use ops::BinaryOp;
pub(crate) use ops::common_numeric;
pub use safe::row_safe;
pub(crate) use terms::constant;
pub use terms::{Term, conjuncts};
pub use typed::Typed;
pub(crate) use typed::type_name;

#[cfg(test)]
mod tests;
