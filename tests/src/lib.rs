//! What the tests of the whole share: the contract of the log, real servers, the simulator.

pub mod contract;
pub mod kill9;
pub mod local;
pub mod rig;
pub mod simulator;
