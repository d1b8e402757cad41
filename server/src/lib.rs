//! The `millrace` binary: the ksqlDB REST API, the CLI, the demo. The engine is reached through
//! [`millrace_engine::api::Api`] only; `wiring` makes one.

pub mod cli;
pub mod config;
pub mod http;
pub mod limits;
pub mod rows;
mod statements;
