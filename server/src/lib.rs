//! The `millrace` binary: the ksqlDB REST API, the CLI, the demo. The engine is reached through
//! [`millrace_engine::api::Api`] only; `wiring` makes one.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod allocator;
mod args;
pub mod cli;
pub mod config;
pub mod conformance;
mod demo;
pub mod http;
pub mod limits;
mod load;
pub mod rows;
pub mod serve;
pub mod statements;
mod terminal;
#[cfg(test)]
mod testing;
pub mod wiring;

use std::io::IsTerminal;

use clap::Parser;

use args::{Args, Command};

/// Runs the command line of this process; the exit code. Wrong usage ends the process with code 2.
pub fn run() -> u8 {
    allocator::keep_small();
    let args = Args::parse();
    start_logging(match args.command {
        Command::Server(_) => "warn,millrace=info",
        // What stops a query is the result of its case.
        Command::Test(_) => "off",
        // Lines would run through the tables.
        _ => "error",
    });
    match &args.command {
        Command::Server(args) => serve::run(args),
        Command::Cli(args) => cli::run(args),
        Command::Load(args) => load::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Test(args) => conformance::run(args),
    }
}

/// Lines of the log go to the standard error; `MILLRACE_LOG` chooses them, e.g. `debug`.
fn start_logging(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MILLRACE_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // Else a line that nobody reads is told on the standard error, by a panic.
        .log_internal_errors(false)
        .init();
}
