//! Real servers that the tests start and stop.

pub mod container;
pub mod kafka;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod stub_registry;

pub use kafka::{Kafka, grow};
pub use proxy::{Lossy, Proxy};
pub use registry::Registry;
