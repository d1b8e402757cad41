//! Bytes of keys and rows in state stores and internal topics.
//!
//! Both encodings are ours and versioned: what is on disk or in a changelog outlives this binary.

pub mod buffer;
pub mod builder;
pub mod key;
pub mod row;
pub mod view;

mod cursor;
#[cfg(test)]
mod samples;
