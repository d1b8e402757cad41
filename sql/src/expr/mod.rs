//! Typed expressions: what operators, casts and literals mean, and how they are evaluated.
//!
//! The analyser builds [`Typed`] trees with the functions of [`ops`] and `functions::resolve_scalar`;
//! the engine evaluates the resulting DataFusion expressions with an [`Evaluator`].

mod ambient;
mod eval;
mod frame;
pub mod ops;
mod typed;

pub use ambient::with_ambient;
pub use eval::Evaluator;
pub use frame::RowError;
pub use ops::BinaryOp;
pub use typed::Typed;
