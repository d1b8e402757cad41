//! Apache Druid: the specification of a supervisor, and the client of a router.

mod alter;
mod client;
mod spec;

pub use client::DruidClient;
pub use spec::{current_rows, spec};
