//! Typed expressions: what operators, casts and literals mean, and how they are evaluated.
//!
//! The analyser builds [`Typed`] trees with the functions of [`ops`] and `functions::resolve_scalar`;
//! the engine evaluates the resulting DataFusion expressions with an [`Evaluator`].

mod ambient;
pub mod base64;
mod cast;
mod eval;
mod frame;
pub mod java_time;
pub(crate) mod kernel;
mod memo;
pub(crate) mod op;
pub mod ops;
mod text;
mod typed;

pub use ambient::with_ambient;
pub use cast::{double_text, parse_date_text, parse_time_text, parse_timestamp_text};
pub use eval::Evaluator;
pub use frame::RowError;
pub use ops::BinaryOp;
pub use typed::Typed;

#[cfg(test)]
mod tests;
