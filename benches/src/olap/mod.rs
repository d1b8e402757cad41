//! Sinks into a real Pinot or Druid: how fresh the rows are, and what they cost our process.

pub mod cost;
pub mod freshness;
pub mod node;
