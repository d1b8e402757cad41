//! What the tests of the whole share: the contract of the log, and real servers.

pub mod contract;
pub mod rig;
