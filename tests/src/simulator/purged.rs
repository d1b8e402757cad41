//! Runs over many windows: their changelogs must stay small, and what is left of them must do to
//! restore from nothing.

use super::drive::Fleet;
use super::faults::OUTSIDE;
use super::inputs;
use super::run::{Plan, drain, feed, read_all};
use super::setup::Service;
use super::workloads::Workload;
use millrace_connectors::sim::SimCluster;

/// Runs `workload`; in the middle all disks are lost. What is not as it should be, else how many
/// records the changelogs of windows have, and how many were written to them.
pub fn run_purged(workload: &Workload, plan: &Plan) -> Result<(usize, usize), String> {
    let cluster = SimCluster::new(plan.seed, plan.faults.clone());
    let outside = cluster.node(OUTSIDE);
    let service = Service::new(outside.as_ref(), plan.lanes, plan.coalesce, &workload.statements());
    let inputs = inputs::make(plan.seed, workload.shape, plan.records);
    let from = (plan.nodes, plan.seed, plan.moves_per_mille);
    let (faults, limits) = (plan.faults.clone(), plan.limits.clone());
    let mut fleet = Fleet::new(cluster, service, faults, limits, from, plan.chaos);
    let (first, second) = inputs.split_at(inputs.len() / 2);
    for half in [first, second] {
        feed(&mut fleet, &outside, half, plan.seed, false);
        drain(&mut fleet).map_or(Ok(()), Err)?;
        fleet.lose_disks();
    }
    // With nothing but the changelogs, and with nothing to do.
    drain(&mut fleet).map_or(Ok(()), Err)?;
    let topics = read_all(&outside);
    let want = workload.expected(&inputs, plan.coalesce);
    want.differs(topics.get("OUT").map_or(&[], Vec::as_slice)).map_or(Ok(()), Err)?;
    let changelogs = topics.iter().filter(|(name, _)| name.ends_with("-changelog"));
    let (mut kept, mut written) = (0, 0);
    for rows in changelogs.flat_map(|(_, partitions)| partitions) {
        kept += rows.len();
        written += rows.last().map_or(0, |row| row.offset as usize + 1);
    }
    Ok((kept, written))
}
