//! Runs plans exactly once; owns state and time.

pub mod api;
pub mod batch;
pub mod codec;
pub mod command;
pub mod error;
pub mod format;
pub mod ids;
pub mod limits;
pub mod log;
pub mod names;
pub mod operators;
pub mod outbox;
pub mod pipeline;
pub mod progress;
pub mod query;
pub mod repartition;
pub mod seams;
pub mod state;
pub mod topology;
