//! The nodes of a simulated service and what happens to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millrace_connectors::formats::StandardFormats;
use millrace_connectors::sim::{SimCluster, SimLog};
use millrace_engine::ids::LaneId;
use millrace_engine::lane::{Lane, World};
use millrace_engine::limits::Limits;
use millrace_engine::operators::cache::CacheBudget;
use millrace_engine::registry::Registry;
use millrace_engine::seams::{Entropy, SeededEntropy};
use millrace_engine::state::memory::MemoryDisk;

use super::disk::MoodyStore;
use super::faults::Watched;
use super::setup::Service;

/// Steps that a lane may take in one turn.
const STEPS_MAX: u64 = 4;
/// Turns that a dead node stays down, and that a lane's old owner does not know of the new one.
const DOWN_MAX: u64 = 40;
const ZOMBIE_MAX: u64 = 60;
/// Of a thousand turns, so many kill a node, or move a lane cleanly.
const KILL_PER_MILLE: u64 = 4;
const HAND_OVER_PER_MILLE: u64 = 6;
/// Turns that a clean hand-over may take.
const HAND_OVER_TURNS_MAX: usize = 50;

/// A process.
struct Node {
    log: Arc<SimLog>,
    registry: Arc<Registry>,
    lanes: BTreeMap<u32, Lane>,
    /// Commands applied here.
    commands: usize,
    /// Turns until a dead node starts again.
    down: u64,
}

/// A running simulation.
pub struct Fleet {
    pub cluster: Arc<SimCluster>,
    pub service: Service,
    faults: Arc<Watched>,
    limits: Arc<Limits>,
    random: SeededEntropy,
    nodes: Vec<Node>,
    /// Owner of each lane.
    owners: Vec<usize>,
    /// Lanes whose node does not know yet that it lost them: node, lane, turns left.
    zombies: Vec<(usize, u32, u64)>,
    disks: BTreeMap<(usize, u32), MemoryDisk>,
    /// Commands in the log.
    commands: usize,
    /// What happens beside the log's faults.
    chaos: bool,
    moves_per_mille: u64,
    starts: u64,
    pub retries: u64,
}

impl Fleet {
    pub fn new(
        cluster: Arc<SimCluster>,
        service: Service,
        faults: Arc<Watched>,
        limits: Limits,
        (nodes, seed, moves_per_mille): (usize, u64, u64),
        chaos: bool,
    ) -> Self {
        let lanes = service.lanes;
        let mut fleet = Fleet {
            cluster,
            service,
            faults,
            limits: Arc::new(limits),
            random: SeededEntropy::new(seed),
            nodes: Vec::new(),
            owners: (0..lanes).map(|lane| lane as usize % nodes).collect(),
            zombies: Vec::new(),
            disks: BTreeMap::new(),
            commands: 0,
            chaos,
            moves_per_mille,
            starts: 0,
            retries: 0,
        };
        for at in 0..nodes {
            let node = fleet.start_node(at);
            fleet.nodes.push(node);
        }
        for lane in 0..lanes {
            fleet.start_lane(fleet.owners[lane as usize], lane);
        }
        fleet
    }

    /// Another query is in the command log from now on.
    pub fn command(&mut self) {
        self.commands = (self.commands + 1).min(self.service.queries.len());
    }

    /// Things go wrong again, if they may.
    pub fn storm(&mut self, chaos: bool) {
        self.faults.set(true);
        self.chaos = chaos;
    }

    /// No faults from now on, and everybody knows who owns what.
    pub fn calm(&mut self) {
        self.faults.set(false);
        self.chaos = false;
        self.cluster.land_late();
        for (node, lane, _) in std::mem::take(&mut self.zombies) {
            if self.owners[lane as usize] != node {
                self.nodes[node].lanes.remove(&lane);
            }
        }
    }

    /// One turn: time passes, things happen, every lane is stepped.
    pub fn turn(&mut self, by: Duration) {
        self.cluster.advance(by);
        self.learn();
        if self.chaos && self.faults.is_on() {
            self.strike();
        }
        for at in 0..self.nodes.len() {
            self.revive(at);
            let lanes: Vec<u32> = self.nodes[at].lanes.keys().copied().collect();
            for lane in lanes {
                let steps = 1 + self.below(STEPS_MAX);
                self.step(at, lane, steps);
            }
            let clock = self.cluster.clock();
            self.retries += u64::from(self.nodes[at].registry.retry_failed(clock.as_ref()));
        }
        self.bury();
    }

    /// Steps all lanes until none has more to do, without letting time pass.
    pub fn exhaust(&mut self) {
        self.learn();
        for _ in 0..100_000 {
            let mut busy = false;
            for node in &mut self.nodes {
                for lane in node.lanes.values_mut() {
                    busy |= lane.step();
                }
            }
            if !busy {
                return;
            }
        }
        panic!("the lanes are never done");
    }

    /// True when every lane runs, has applied all commands, and has no transaction open.
    pub fn is_idle(&self) -> bool {
        let commands = self.commands as i64 - 1;
        let idle = |lane: &Lane| lane.is_idle() && lane.applied_command() == commands;
        let lanes: usize = self.nodes.iter().map(|node| node.lanes.len()).sum();
        lanes == self.owners.len()
            && self.nodes.iter().all(|node| !node.log.crashed() && node.lanes.values().all(idle))
    }

    /// Changes with everything that is committed or lost.
    pub fn commits(&self) -> u64 {
        let lanes = self.nodes.iter().flat_map(|node| node.lanes.values());
        lanes.map(|lane| lane.stats().commits + lane.stats().recoveries).sum()
    }

    /// Why the service is not well; empty when it is.
    pub fn troubles(&self) -> Vec<String> {
        let errors = self.errors().into_iter();
        let mut troubles: Vec<String> = errors.map(|(query, e)| format!("{query}: {e}")).collect();
        for (at, node) in self.nodes.iter().enumerate() {
            for (id, lane) in &node.lanes {
                if !lane.is_idle() {
                    let (running, stats) = (lane.is_running(), lane.stats());
                    let what = format!("lane {id} is not idle (running: {running}): {stats:?}");
                    troubles.push(format!("node {at}, {what}"));
                }
            }
        }
        troubles
    }

    /// Queries that were stopped on some node, and why.
    pub fn errors(&self) -> Vec<(String, String)> {
        let queries = self.nodes.iter().flat_map(|node| node.registry.all());
        let errors = queries.flat_map(|query| {
            let all = query.status.errors().into_iter();
            all.map(|(_, error)| (query.id.clone(), error)).collect::<Vec<_>>()
        });
        errors.collect()
    }

    /// All nodes die and start again with empty disks.
    pub fn lose_disks(&mut self) {
        self.nodes.iter().for_each(|node| node.log.kill());
        self.disks.clear();
    }

    /// Counters of a query over all nodes that run: records taken in, and rows sent out.
    pub fn counted(&self, query: usize) -> (u64, u64) {
        let id = &self.service.query(query).id;
        let found = self.nodes.iter().filter_map(|node| node.registry.get(id));
        found.fold((0, 0), |(rows_in, rows_out), query| {
            let status = &query.status;
            let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            (rows_in + counter(&status.records_in), rows_out + counter(&status.records_out))
        })
    }

    /// Nodes learn of commands in their own time.
    fn learn(&mut self) {
        for at in 0..self.nodes.len() {
            let lazy = self.chaos && self.below(4) > 0;
            let node = &mut self.nodes[at];
            if node.commands < self.commands && !lazy {
                node.registry.add(self.service.query(node.commands));
                node.registry.applied(node.commands as i64);
                node.commands += 1;
            }
        }
    }

    fn strike(&mut self) {
        let at = self.below(self.nodes.len() as u64) as usize;
        let lane = self.below(self.owners.len() as u64) as u32;
        let dice = self.below(1000);
        if dice < KILL_PER_MILLE {
            self.faults.count("Node Killed");
            self.nodes[at].log.kill();
        } else if dice < KILL_PER_MILLE + self.moves_per_mille {
            self.move_lane(lane, at);
        } else if dice < KILL_PER_MILLE + self.moves_per_mille + HAND_OVER_PER_MILLE {
            self.hand_over(lane, at);
        }
    }

    /// The old owner goes on until it learns of it.
    fn move_lane(&mut self, lane: u32, to: usize) {
        let from = self.owners[lane as usize];
        if from == to || self.nodes[to].log.crashed() {
            return;
        }
        self.faults.count("Lane Moved");
        let turns = self.below(ZOMBIE_MAX);
        self.zombies.retain(|(_, moved, _)| *moved != lane);
        self.zombies.push((from, lane, turns));
        self.owners[lane as usize] = to;
        self.start_lane(to, lane);
    }

    /// The old owner closes its transaction and its disk first.
    fn hand_over(&mut self, lane: u32, to: usize) {
        let from = self.owners[lane as usize];
        if from == to || self.nodes[to].log.crashed() || self.nodes[from].log.crashed() {
            return;
        }
        let Some(mut old) = self.nodes[from].lanes.remove(&lane) else { return };
        self.faults.count("Lane HandedOver");
        for _ in 0..HAND_OVER_TURNS_MAX {
            if !old.is_running() || old.is_settled() {
                break;
            }
            old.hurry();
            old.step();
        }
        // A disk that is full keeps what it had; the rest comes from the changelogs.
        let _ = old.close();
        self.owners[lane as usize] = to;
        self.start_lane(to, lane);
    }

    fn step(&mut self, at: usize, lane: u32, steps: u64) {
        let node = &mut self.nodes[at];
        let Some(lane) = node.lanes.get_mut(&lane) else { return };
        for _ in 0..steps {
            if node.log.crashed() || !lane.step() {
                break;
            }
        }
    }

    /// A dead node loses everything but its disks, and starts again after a while.
    fn revive(&mut self, at: usize) {
        if !self.nodes[at].log.crashed() {
            return;
        }
        if !self.nodes[at].lanes.is_empty() {
            self.nodes[at].lanes.clear();
            self.zombies.retain(|(node, _, _)| *node != at);
            self.nodes[at].down = self.below(DOWN_MAX);
        }
        if self.nodes[at].down > 0 && self.chaos {
            self.nodes[at].down -= 1;
            return;
        }
        self.nodes[at] = self.start_node(at);
        let mine = (0..self.owners.len()).filter(|lane| self.owners[*lane] == at);
        let mine: Vec<usize> = mine.collect();
        mine.into_iter().for_each(|lane| self.start_lane(at, lane as u32));
    }

    fn bury(&mut self) {
        for (_, _, turns) in &mut self.zombies {
            *turns = turns.saturating_sub(1);
        }
        let gone = self.zombies.extract_if(.., |(_, _, turns)| *turns == 0);
        for (node, lane, _) in gone {
            if self.owners[lane as usize] != node {
                self.nodes[node].lanes.remove(&lane);
            }
        }
    }

    fn start_node(&mut self, at: usize) -> Node {
        self.starts += 1;
        let log = self.cluster.node(&format!("n{at}-{}", self.starts));
        let registry = Arc::new(Registry::new());
        Node { log, registry, lanes: BTreeMap::new(), commands: 0, down: 0 }
    }

    fn start_lane(&mut self, at: usize, lane: u32) {
        if self.nodes[at].log.crashed() || self.nodes[at].lanes.contains_key(&lane) {
            return;
        }
        let seed = self.random.next_u64();
        let disk = self.disks.entry((at, lane)).or_default();
        let node = &mut self.nodes[at];
        let store = MoodyStore::open(disk, &node.log, &self.faults, seed, self.chaos);
        let world = World {
            log: node.log.clone(),
            formats: Arc::new(StandardFormats),
            clock: self.cluster.clock(),
            entropy: Arc::new(SeededEntropy::new(seed)),
            caches: CacheBudget::new(self.limits.operator_cache_bytes),
            limits: self.limits.clone(),
            names: self.service.names.clone(),
            lanes: self.service.lanes,
            node: format!("n{at}"),
            url: String::new(),
            progress_topic: self.service.progress,
            ownership: Arc::default(),
            processing_log: self.service.processing_log,
            processing_log_spec: self.service.processing_log_spec(),
        };
        let made = Lane::new(LaneId(lane), world, node.registry.clone(), Box::new(store));
        node.lanes.insert(lane, made.expect("the disk can be read"));
    }

    fn below(&self, n: u64) -> u64 {
        self.random.next_u64() % n.max(1)
    }
}
