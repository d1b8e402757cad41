//! The simulator's log: the same core as the embedded log's, in memory, shared by any number of
//! nodes that a test can kill, with a plan of faults. One thread, one seed, one run.
//!
//! A [`SimCluster`] is the broker; [`SimCluster::node`] gives a [`SimLog`] to each node. After a
//! fault or [`SimLog::kill`] has ended a node, all its calls stay pending: the test asks
//! [`SimLog::crashed`], drops what belonged to the node, and may start it again as a new node. Its
//! open transactions pin the LSO until their ids are opened again or time out.

mod clock;
mod cluster;
mod cursor;
mod faults;
mod members;
mod node;
mod writer;

#[cfg(test)]
mod tests;

pub use clock::SimClock;
pub use cluster::{Refusal, SimCluster};
pub use faults::{Fault, Faults, NoFaults, Op, Point, Rates, Scripted, SeededFaults};
pub use node::SimLog;
