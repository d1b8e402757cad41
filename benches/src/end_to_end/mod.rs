//! The whole way: a real Kafka, a real server, a query until it has caught up, its output checked.

pub mod fill;
pub mod oracle;
pub mod process;
pub mod query;
pub mod run;
pub mod topic;
