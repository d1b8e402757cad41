//! Real servers that the tests start and stop.

pub mod kafka;
pub mod process;

pub use kafka::Kafka;
