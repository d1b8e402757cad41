//! The engine's I/O: logs, formats, and systems around them.

pub mod embedded;
pub mod formats;
pub mod kafka;
pub mod olap;
pub mod registry;
pub mod sim;
