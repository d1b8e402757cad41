//! Benchmarks: what they share.

pub mod bids;
