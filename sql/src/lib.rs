//! From SQL text to a checked plan. Pure functions: no I/O, no clock, no threads.

pub mod analyze;
pub mod ast;
pub mod catalog;
pub mod error;
pub mod expr;
pub mod functions;
pub mod lexer;
pub mod lookup;
pub mod olap;
pub mod parser;
pub mod plan;
pub mod suggest;
pub mod types;
pub mod unparse;
