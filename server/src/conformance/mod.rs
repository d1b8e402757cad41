//! `millrace test`: runs test cases in ksqlDB's forms through the engine, without a server.

pub mod case;
pub mod compare;
pub mod exact;
pub mod records;
