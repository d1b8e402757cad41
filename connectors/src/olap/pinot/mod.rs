//! Apache Pinot: schema and REALTIME table in one document, and the client of a controller.

mod alter;
mod client;
mod document;
mod field;
mod health;

pub use client::PinotClient;
pub use document::{Dialect, current_rows, documents};
