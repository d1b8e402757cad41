//! The bench of the main job: starts a Kafka, fills topics with bids, runs each query on a fresh
//! server until it has caught up, checks its output, and prints what it cost our process.
//!
//! `cargo build --workspace --bins && cargo run --workspace --bin end_to_end`

use std::process::ExitCode;

use clap::Parser;
use millrace_benches::end_to_end::fill::fill;
use millrace_benches::end_to_end::oracle::Oracle;
use millrace_benches::end_to_end::query::{QUERIES, Query};
use millrace_benches::end_to_end::run::{Bench, Cost};
use millrace_benches::end_to_end::topic;
use millrace_tests::rig::Kafka;

/// Measures queries on a real Kafka.
#[derive(Parser)]
struct Args {
    /// Numbers of events; the slope is taken from the first to the last.
    #[arg(long, value_delimiter = ',', default_value = "1000000,3000000")]
    events: Vec<u64>,
    /// Names of queries.
    #[arg(long, value_delimiter = ',', default_value = "q0,q1,q2,count10k,count1m")]
    queries: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let queries = chosen(&args.queries)?;
    let kafka = Kafka::start(1)?;
    let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
    println!(
        "{:<9} {:>9} {:>8} {:>9} {:>10} {:>8} {:>9} {:>8} {:>7} {:>9}",
        "query",
        "events",
        "CPU s",
        "CPU s/M",
        "events/CPU",
        "wall s",
        "peak MiB",
        "commits",
        "bad",
        "output"
    );
    let mut auctions: Vec<u64> = queries.iter().map(|query| query.auctions).collect();
    auctions.sort_unstable();
    auctions.dedup();
    for auctions in auctions {
        let same = queries.iter().filter(|query| query.auctions == auctions);
        measure(args, &kafka, dir.path(), &same.copied().collect::<Vec<_>>())?;
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Query>, String> {
    let find = |name: &String| {
        let found = QUERIES.iter().find(|query| query.name == *name).copied();
        found.ok_or_else(|| {
            let all: Vec<&str> = QUERIES.iter().map(|query| query.name).collect();
            format!("there is no query {name}; there are {}", all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// All sizes of queries over the same bids.
fn measure(
    args: &Args,
    kafka: &Kafka,
    dir: &std::path::Path,
    queries: &[Query],
) -> Result<(), String> {
    let mut costs: Vec<Vec<(u64, Cost)>> = vec![Vec::new(); queries.len()];
    for events in &args.events {
        let auctions = queries.first().map_or(1, |query| query.auctions);
        let bids = format!("bids-{auctions}-{events}");
        topic::create(&kafka.bootstrap, &bids)?;
        let mut oracles: Vec<Oracle> = queries.iter().map(|q| Oracle::new(q.kind)).collect();
        fill(&kafka.bootstrap, &bids, *events, auctions, &mut oracles)?;
        for ((query, oracle), costs) in queries.iter().zip(&oracles).zip(&mut costs) {
            let run = format!("{}-{events}", query.name);
            let cost =
                Bench { bootstrap: &kafka.bootstrap, run, dir }.measure(query, &bids, oracle)?;
            print_cost(query, *events, &cost);
            costs.push((*events, cost));
        }
    }
    for (query, costs) in queries.iter().zip(&costs) {
        print_slope(query, costs);
    }
    Ok(())
}

fn print_cost(query: &Query, events: u64, cost: &Cost) {
    let per_million = cost.cpu_s * 1e6 / events as f64;
    println!(
        "{:<9} {events:>9} {:>8.2} {per_million:>9.2} {:>10.0} {:>8.1} {:>9.0} {:>8} {:>7} {:>9}",
        query.name,
        cost.cpu_s,
        events as f64 / cost.cpu_s,
        cost.wall_s,
        cost.peak_rss_mib,
        cost.commits,
        cost.malformed,
        cost.output_records
    );
}

fn print_slope(query: &Query, costs: &[(u64, Cost)]) {
    let [(few, small), .., (many, large)] = costs else { return };
    if many <= few {
        return;
    }
    let per_event_s = (large.cpu_s - small.cpu_s) / (many - few) as f64;
    println!(
        "{:<9} slope {:.2} CPU s per million events: {:.0} events per CPU second",
        query.name,
        per_event_s * 1e6,
        1.0 / per_event_s
    );
}
