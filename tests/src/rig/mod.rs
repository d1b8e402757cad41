//! Real servers that the tests start and stop.

pub mod container;
pub mod druid;
mod jars;
pub mod kafka;
mod memory;
pub mod pinot;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod stub_registry;

pub use druid::Druid;
pub use jars::missing_tools;
pub use kafka::{Kafka, grow};
pub use memory::available_mib;
pub use pinot::Pinot;
pub use proxy::{Lossy, Proxy};
pub use registry::Registry;
