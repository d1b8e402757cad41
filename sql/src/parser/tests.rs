//! Cases are one line each: text in, and what it means in canonical text.

mod errors;
mod expressions;
mod limits;
mod statements;
mod variables;
