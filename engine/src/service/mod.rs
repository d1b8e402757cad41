//! The engine as one node runs it.

pub mod command_log;
pub mod facts;
