//! What the tests of the whole share: the contract of the log, real servers, the simulator, damaged input.

pub mod contract;
pub mod fuzz;
pub mod kill9;
pub mod local;
pub mod olap;
pub mod olap_stub;
pub mod rig;
pub mod simulator;
pub mod skipped;
