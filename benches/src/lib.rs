//! Benchmarks: what they share.

pub mod bids;
pub mod cpu_time;
pub mod end_to_end;
pub mod olap;
