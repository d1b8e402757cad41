//! The deterministic simulator: real lanes over the simulated log, the in-memory twin of the state
//! store and a clock that moves when told. One thread, one seed, one run: whatever a seed does, it
//! does again.
//!
//! A run makes a service of a few nodes, feeds a [`Workload`], lets faults, crashes and moves of
//! lanes happen, calms down, drains, and compares what a read-committed reader sees with what an
//! independent fold over the input says.

mod compare;
mod disk;
mod drive;
mod faults;
mod inputs;
mod oracle;
mod oracle_extensions;
mod oracle_idle;
mod oracle_joins;
mod oracle_ttl;
mod purged;
mod refused;
mod run;
mod setup;
mod workloads;

pub use compare::{Expected, Row};
pub use faults::Watched;
pub use purged::run_purged;
pub use refused::run_refused;
pub use run::{Plan, Ran, run};
pub use workloads::{Workload, all, find};
