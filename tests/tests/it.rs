//! The one integration-test binary.

#[path = "it/embedded.rs"]
mod embedded;
#[path = "it/kafka.rs"]
mod kafka;
