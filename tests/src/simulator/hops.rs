//! How long a record takes through queries that read what queries write.

use std::time::Duration;

use millrace_connectors::sim::SimCluster;
use millrace_engine::seams::{Clock, Entropy, SeededEntropy};

use super::drive::Fleet;
use super::faults::OUTSIDE;
use super::inputs;
use super::run::{Plan, append, drain, read_all};
use super::setup::Service;
use super::workloads::{SOURCES, shape};

/// A turn is shorter than the waits that are looked at.
const TURN: Duration = Duration::from_millis(5);
/// Turns between two records, at most.
const PAUSE_TURNS_MAX: u64 = 300;
const WAIT_TURNS_MAX: u32 = 10_000;

/// Feeds records one by one, each at some moment of the commit interval, and waits for its row in the
/// topic OUT of `queries`. The longest wait, or why there was no end to it.
pub fn longest_wait(queries: &[&str], plan: &Plan) -> Result<Duration, String> {
    let cluster = SimCluster::new(plan.seed, plan.faults.clone());
    let (outside, clock) = (cluster.node(OUTSIDE), cluster.clock());
    let statements: Vec<&str> = SOURCES.iter().chain(queries).copied().collect();
    let service = Service::new(outside.as_ref(), plan.lanes, plan.coalesce, &statements);
    let inputs = inputs::make(plan.seed, shape(&["s"], false), plan.records);
    let (faults, limits) = (plan.faults.clone(), plan.limits.clone());
    let mut fleet = Fleet::new(cluster, service, faults, limits, (1, plan.seed, 0), false);
    drain(&mut fleet).map_or(Ok(()), Err)?;
    let random = SeededEntropy::new(plan.seed);
    let rows = || read_all(&outside).get("OUT").map_or(0, |rows| rows.iter().map(Vec::len).sum());
    let mut longest = Duration::ZERO;
    for (at, input) in inputs.iter().enumerate() {
        (0..random.next_u64() % PAUSE_TURNS_MAX).for_each(|_| fleet.turn(TURN));
        append(&outside, std::slice::from_ref(input));
        let from = clock.elapsed();
        let mut turns = 0;
        while rows() <= at {
            if turns == WAIT_TURNS_MAX {
                return Err(format!("no row {at}\n{}", fleet.troubles().join("\n")));
            }
            turns += 1;
            fleet.turn(TURN);
        }
        longest = longest.max(clock.elapsed().saturating_sub(from));
    }
    Ok(longest)
}
