//! Runs plans exactly once; owns state and time.

pub mod api;
pub mod batch;
pub mod build;
pub mod codec;
pub mod command;
pub mod error;
pub mod format;
pub mod ids;
pub mod lane;
mod lane_recovery;
pub mod limits;
pub mod log;
pub mod names;
pub mod operators;
pub mod outbox;
pub mod output;
pub mod pipeline;
pub mod processing_log;
pub mod progress;
pub mod query;
pub mod reader;
pub mod registry;
pub mod repartition;
pub mod seams;
pub mod state;
pub mod task;
pub mod topology;
