//! Schema registries: a client of Confluent's REST protocol, and one in memory.

mod cache;
mod client;
mod http;
pub mod limits;
mod memory;

pub use self::client::RegistryClient;
pub use self::http::{Credentials, RegistryConfig};
pub use self::memory::MemoryRegistry;
