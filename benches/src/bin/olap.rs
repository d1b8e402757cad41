//! The bench of sinks: starts a Kafka and a Pinot or Druid, and measures how fresh the rows are, or what the
//! sink costs our process.
//!
//! `cargo build --workspace --bins && cargo run --workspace --bin olap -- freshness --system pinot`

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use millrace_benches::olap::cost::{self, Cost};
use millrace_benches::olap::freshness::{self, From, percentile};
use millrace_tests::olap::target::Target;
use millrace_tests::rig::{Druid, Kafka, Pinot};

/// Measures sinks.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// From produce and from commit to visible
    Freshness {
        #[arg(long)]
        system: System,
        #[arg(long, default_value = "100")]
        probes: usize,
        /// Commit intervals in milliseconds
        #[arg(long, value_delimiter = ',', default_value = "1000,100")]
        commit_ms: Vec<u32>,
    },
    /// CPU with and without the sink
    Cost {
        #[arg(long)]
        system: System,
        #[arg(long, default_value = "3000000")]
        events: u64,
        /// How often each is run
        #[arg(long, default_value = "3")]
        turns: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    Pinot,
    Druid,
}

impl System {
    fn start(self) -> Result<Target, String> {
        match self {
            System::Pinot => Pinot::start().map(Target::Pinot),
            System::Druid => Druid::start().map(Target::Druid),
        }
    }
}

fn main() -> ExitCode {
    let done = match Args::parse().what {
        What::Freshness { system, probes, commit_ms } => fresh(system, probes, &commit_ms),
        What::Cost { system, events, turns } => costs(system, events, turns),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn fresh(system: System, probes: usize, commit_ms: &[u32]) -> Result<(), String> {
    let kafka = Kafka::start(1)?;
    let target = system.start()?;
    let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
    println!("{system:?}, {probes} probes, milliseconds      p50     p99     max");
    for from in [From::Stream, From::Table] {
        for commit in commit_ms {
            let times =
                freshness::measure(&kafka.bootstrap, dir.path(), &target, from, *commit, probes)?;
            for (what, times) in [("commit", &times.from_commit), ("produce", &times.from_produce)]
            {
                println!(
                    "{:<7} every {commit:>4} ms, {what:<7} to visible {:>7.0} {:>7.0} {:>7.0}",
                    format!("{from:?}"),
                    percentile(times, 50),
                    percentile(times, 99),
                    percentile(times, 100)
                );
            }
        }
    }
    Ok(())
}

fn costs(system: System, events: u64, turns: usize) -> Result<(), String> {
    let kafka = Kafka::start(1)?;
    let target = system.start()?;
    let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        for (costs, target, name) in
            [(&mut without, None, "plain"), (&mut with, Some(&target), "sink")]
        {
            let run = format!("cost_{name}_{turn}");
            let cost = cost::measure(&kafka.bootstrap, dir.path(), &run, events, target)?;
            println!(
                "{name:<6} {events} events, {} rows of {:.0} bytes: {:.2} CPU s, {:.2} per million rows",
                cost.emitted,
                cost.row_bytes,
                cost.cpu_s,
                per_million(&cost)
            );
            costs.push(per_million(&cost));
        }
    }
    let (without, with) = (percentile(&without, 50), percentile(&with, 50));
    println!(
        "{system:?}: {without:.2} CPU s per million rows without a sink, {with:.2} with it: {:+.0}%",
        (with / without - 1.0) * 100.0
    );
    Ok(())
}

fn per_million(cost: &Cost) -> f64 {
    cost.cpu_s * 1e6 / cost.emitted as f64
}
