//! One run: set up, feed under faults, calm down, drain, read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_connectors::sim::{SimCluster, SimLog};
use millrace_engine::ids::Tp;
use millrace_engine::limits::Limits;
use millrace_engine::log::Log;
use millrace_engine::seams::{Entropy, SeededEntropy};

use super::compare::{self, Row};
use super::drive::Fleet;
use super::faults::{OUTSIDE, Watched};
use super::inputs::{self, Input};
use super::setup::{self, Service, ready};
use super::workloads::Workload;

/// Time that passes in one turn.
pub(super) const TURN: Duration = Duration::from_millis(25);
/// Of a thousand turns, so many move a lane; and where lanes are fought for.
const MOVES_PER_MILLE: u64 = 6;
const CONTESTED_MOVES_PER_MILLE: u64 = 30;
/// Records of a run.
const RECORDS: usize = 150;
/// Turns with faults after the last input.
const AFTER_TURNS: u64 = 60;
/// Idle turns in a row after which a run is over, and turns within which it must be.
const IDLE_TURNS: u32 = 24;
const DRAIN_TURNS_MAX: u32 = 8000;
/// Turns without input, and what passes in one, of workloads that wait for the clock.
const IDLING_TURNS: u32 = 60;
const IDLING_TURN: Duration = Duration::from_secs(2);

/// How a workload is run.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub records: usize,
    pub lanes: u32,
    pub nodes: usize,
    /// Changes of a key may be merged until the commit.
    pub coalesce: bool,
    pub limits: Limits,
    /// Nodes die, lanes move, disks fail.
    pub chaos: bool,
    /// Of a thousand turns, so many move a lane whose old owner does not know of it yet.
    pub moves_per_mille: u64,
    /// Feed so many records, let all lanes commit, feed the next: commits are pinned to offsets.
    pub pinned: Option<usize>,
    /// Only input that falls into partition 0.
    pub one_partition: bool,
    pub faults: Arc<Watched>,
}

/// What a run left.
pub struct Ran {
    pub inputs: Vec<Input>,
    /// All topics by name, per partition, as a read-committed reader sees them.
    pub topics: BTreeMap<String, Vec<Vec<Row>>>,
    /// Records that the first query took in and rows that it sent out, as its nodes counted them.
    pub counted: (u64, u64),
    /// What is not as it should be; `None`: all is well.
    pub failure: Option<String>,
}

impl Plan {
    /// Sizes and limits drawn from the seed: small buffers, small batches, frequent spills.
    pub fn drawn(seed: u64, faults: Arc<Watched>) -> Self {
        let random = SeededEntropy::new(seed ^ 0x5eed);
        let one_of = |of: &[u64]| of[(random.next_u64() % of.len() as u64) as usize];
        let limits = Limits {
            commit_interval: Duration::from_millis(one_of(&[50, 100, 300])),
            poll_records_max: one_of(&[1, 3, 17, 1000]) as usize,
            transaction_records_max: one_of(&[5, 40, 100_000]) as usize,
            input_buffer_records_max: one_of(&[8, 1000]) as usize,
            // Joins are compared with the order of event time: never go on without an input.
            input_wait_max: Duration::from_secs(1_000_000),
            committed_memory_bytes_max: one_of(&[200, 3000, 1 << 20]) as usize,
            upkeep_interval: Duration::from_millis([50, 300, 10_000][seed as usize % 3]),
            committed_memory_age_max: Duration::from_millis(one_of(&[100, 700, 100_000])),
            retry_backoff: Duration::from_millis(50),
            retry_backoff_max: Duration::from_millis(400),
            ..Limits::default()
        };
        let (lanes, nodes) = (one_of(&[1, 2, 3]) as u32, one_of(&[1, 2]) as usize);
        let coalesce = one_of(&[0, 1]) == 1;
        Plan {
            seed,
            records: RECORDS,
            lanes,
            nodes,
            coalesce,
            limits,
            chaos: true,
            moves_per_mille: MOVES_PER_MILLE,
            pinned: None,
            one_partition: false,
            faults,
        }
    }
}

impl Plan {
    /// As [`Plan::drawn`], with two nodes that take lanes from each other all the time.
    pub fn contested(seed: u64, faults: Arc<Watched>) -> Self {
        let moves_per_mille = CONTESTED_MOVES_PER_MILLE;
        Plan { nodes: 2, moves_per_mille, ..Plan::drawn(seed, faults) }
    }
}

/// Runs `workload` as planned and holds the result against its oracle.
pub fn run(workload: &Workload, plan: &Plan) -> Ran {
    let cluster = SimCluster::new(plan.seed, plan.faults.clone());
    let outside = cluster.node(OUTSIDE);
    if let Some(bytes_max) = workload.record_bytes_max {
        setup::make_narrow(outside.as_ref(), "OUT", bytes_max);
    }
    let service = Service::new(outside.as_ref(), plan.lanes, plan.coalesce, &workload.statements());
    let mut inputs = inputs::make(plan.seed, workload.shape, plan.records);
    inputs.retain(|input| !plan.one_partition || input.partition() == 0);
    let from = (plan.nodes, plan.seed, plan.moves_per_mille);
    let (faults, limits) = (plan.faults.clone(), plan.limits.clone());
    let mut fleet = Fleet::new(cluster, service, faults, limits, from, plan.chaos);
    plan.faults.set(true);
    let fed = match plan.pinned {
        Some(chunk) => feed_pinned(&mut fleet, &outside, &inputs, chunk),
        None => feed(&mut fleet, &outside, &inputs, plan.seed, workload.preload),
    };
    let failure = fed.or_else(|| drain(&mut fleet));
    let failure = failure.or_else(|| match workload.idles() {
        true => idle(&mut fleet, plan.chaos),
        false => None,
    });
    let topics = read_all(&outside);
    let failure = failure.or_else(|| {
        let want = workload.expected(&inputs, plan.coalesce);
        want.differs(topics.get("OUT").map_or(&[], Vec::as_slice))
    });
    let failure = failure.or_else(|| check_refused(workload, &inputs, &topics));
    let counted = fleet.counted(0);
    Ran { inputs, topics, counted, failure }
}

/// Each row that the sink's topic did not take is one entry of the processing log.
fn check_refused(
    workload: &Workload,
    inputs: &[Input],
    topics: &BTreeMap<String, Vec<Vec<Row>>>,
) -> Option<String> {
    workload.record_bytes_max?;
    let want = inputs.iter().filter(|input| input.value >= Some(50)).count();
    let refused = |row: &&Row| {
        let value = row.value.as_deref().unwrap_or_default();
        String::from_utf8_lossy(value).contains("is larger than the topic takes")
    };
    let log = topics.iter().find(|(name, _)| name.ends_with("processing_log"));
    let got = log.map_or(0, |(_, rows)| rows.iter().flatten().filter(refused).count());
    (got != want).then(|| format!("{got} of {want} refused rows are in the processing log"))
}

/// Feeds a few records a turn, while things go wrong.
pub(super) fn feed(
    fleet: &mut Fleet,
    outside: &Arc<SimLog>,
    inputs: &[Input],
    seed: u64,
    preload: bool,
) -> Option<String> {
    let random = SeededEntropy::new(seed ^ 0xfeed);
    let mut rest = inputs;
    if preload {
        append(outside, rest);
        rest = &[];
    }
    let mut after = 0;
    while after < AFTER_TURNS {
        if random.next_u64().is_multiple_of(3) {
            fleet.command();
        }
        let (now, later) = rest.split_at(rest.len().min((random.next_u64() % 4) as usize));
        append(outside, now);
        rest = later;
        after += u64::from(rest.is_empty());
        fleet.turn(TURN);
    }
    None
}

/// Feeds chunk by chunk; all that follows from a chunk is committed before the next one comes.
fn feed_pinned(
    fleet: &mut Fleet,
    outside: &Arc<SimLog>,
    inputs: &[Input],
    chunk: usize,
) -> Option<String> {
    for _ in 0..fleet.service.queries.len() {
        fleet.command();
        fleet.exhaust();
    }
    for chunk in inputs.chunks(chunk) {
        append(outside, chunk);
        for _ in 0..4 {
            fleet.exhaust();
            fleet.cluster.advance(Duration::from_secs(10));
        }
    }
    None
}

fn append(outside: &SimLog, inputs: &[Input]) {
    for input in inputs {
        let topic = setup::topic(outside, input.topic);
        let tp = Tp::new(topic.id, input.partition());
        ready(outside.append(tp, &[input.record()])).expect("the outside can write");
    }
}

/// Lets the clock go on without input, first while things go wrong.
fn idle(fleet: &mut Fleet, chaos: bool) -> Option<String> {
    fleet.storm(chaos);
    (0..IDLING_TURNS).for_each(|_| fleet.turn(IDLING_TURN));
    // Whoever died last begins to wait when it has recovered.
    let failure = drain(fleet);
    (0..IDLING_TURNS).for_each(|_| fleet.turn(IDLING_TURN));
    failure.or_else(|| drain(fleet))
}

/// Lets everything come to rest; why it did not.
pub(super) fn drain(fleet: &mut Fleet) -> Option<String> {
    fleet.calm();
    for _ in 0..fleet.service.queries.len() {
        fleet.command();
    }
    let troubles = rest(fleet).err().into_iter().chain(fleet.troubles());
    let troubles: Vec<String> = troubles.collect();
    (!troubles.is_empty()).then(|| troubles.join("\n"))
}

/// Waits until nothing is done any more; why it did not come to that.
pub(super) fn rest(fleet: &mut Fleet) -> Result<(), String> {
    let (mut idle, mut commits) = (0, u64::MAX);
    for _ in 0..DRAIN_TURNS_MAX {
        fleet.turn(TURN);
        let now = fleet.commits();
        idle = if fleet.is_idle() && now == commits { idle + 1 } else { 0 };
        commits = now;
        if idle == IDLE_TURNS {
            return Ok(());
        }
    }
    Err(format!("it never came to rest\n{}", fleet.troubles().join("\n")))
}

pub(super) fn read_all(outside: &Arc<SimLog>) -> BTreeMap<String, Vec<Vec<Row>>> {
    let topics = ready(outside.list()).expect("the outside can look");
    topics
        .into_iter()
        .map(|topic| (topic.name.clone(), compare::read(outside.as_ref(), &topic)))
        .collect()
}
