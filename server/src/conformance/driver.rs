//! One query of a case, alone: a lane of its own over a log of its own in memory, stepped by hand.
//! All topics have one partition and the clock stands at the epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millrace_connectors::sim::{NoFaults, SimCluster, SimLog};
use millrace_engine::command::{QueryFacts, SubFacts, TopicFacts};
use millrace_engine::error::EngineError;
use millrace_engine::format::Formats;
use millrace_engine::ids::{LaneId, Offset, Timestamp, Tp};
use millrace_engine::lane::{Lane, World};
use millrace_engine::limits::Limits;
use millrace_engine::log::{Cleanup, EnsureError, Log, PollLimits, ReadClass, Record, TopicSpec};
use millrace_engine::names::Names;
use millrace_engine::operators::cache::CacheBudget;
use millrace_engine::operators::foreign::{responses, subscriptions};
use millrace_engine::query::{QueryDef, QueryShared};
use millrace_engine::registry::Registry;
use millrace_engine::seams::{Clock, SeededEntropy, SystemClock};
use millrace_engine::state::memory::{MemoryDisk, MemoryStore};
use millrace_engine::topology::{Input, Op, Topology};
use millrace_engine::upgrade::upgraded;
use millrace_sql::catalog::Source;
use millrace_sql::plan::QueryPlan;

/// Service id of ksqlDB's own harness; part of the names of internal topics.
pub const SERVICE: &str = "some.ksql.service.id";
/// Steps that one record may cause.
const STEPS_MAX: usize = 100_000;
/// Steps in a row without work after which a lane that is not idle hangs.
const QUIET_STEPS_MAX: usize = 50;
const READ_LIMITS: PollLimits = PollLimits { records_max: 10_000, bytes_max: 16 << 20 };
const SEED: u64 = 1;

/// A query that a statement made.
#[derive(Debug, Clone)]
pub struct Planned {
    pub id: String,
    pub sql: String,
    pub plan: QueryPlan,
    pub topology: Topology,
    /// `None`: the query only keeps a table for pull queries.
    pub sink: Option<Arc<Source>>,
}

impl Planned {
    /// Topics that the query reads, each once.
    pub fn source_topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = Vec::new();
        for input in self.topology.subs.iter().flat_map(|sub| &sub.inputs) {
            if let Input::Scan(scan) = input
                && !topics.contains(&scan.source.topic)
            {
                topics.push(scan.source.topic.clone());
            }
        }
        topics
    }
}

/// The clock of a case: no time passes, but functions see the time of day.
#[derive(Debug, Default)]
pub struct FrozenClock(SystemClock);

impl Clock for FrozenClock {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// A running query.
pub struct Driver {
    log: Arc<SimLog>,
    lane: Lane,
    query: Arc<QueryDef>,
    registry: Arc<Registry>,
}

impl Driver {
    /// # Errors
    /// A query that cannot be started.
    pub fn start(planned: &Planned, formats: Arc<dyn Formats>) -> Result<Self, String> {
        let cluster = SimCluster::new(SEED, Arc::new(NoFaults));
        let log = cluster.node("test");
        let names = Names::new(SERVICE);
        let made = Made { log: &log, names: &names };
        let facts = made.facts(planned).map_err(|e| e.to_string())?;
        let progress = made.topic(names.progress_topic()).map_err(|e| e.to_string())?;
        let processing_log_spec = one_partition(names.processing_log());
        let processing = made.topic(names.processing_log()).map_err(|e| e.to_string())?;
        let query = Arc::new(definition(planned, planned.topology.clone(), facts));
        let registry = Arc::new(Registry::new());
        registry.add(query.clone());
        registry.applied(0);
        let limits = limits();
        let world = World {
            log: log.clone(),
            caches: CacheBudget::new(limits.operator_cache_bytes),
            formats,
            clock: Arc::new(FrozenClock::default()),
            entropy: Arc::new(SeededEntropy::new(SEED)),
            limits: Arc::new(limits),
            names,
            lanes: 1,
            node: "test".to_owned(),
            url: String::new(),
            progress_topic: progress.id,
            ownership: Arc::default(),
            processing_log: Tp::new(processing.id, 0),
            processing_log_spec,
        };
        let disk = Box::new(MemoryStore::open(&MemoryDisk::default()));
        let lane =
            Lane::new(LaneId(0), world, registry.clone(), disk).map_err(|e| e.to_string())?;
        let mut driver = Driver { log, lane, query, registry };
        driver.settle()?;
        Ok(driver)
    }

    /// Goes on with another plan and the state, if it is another.
    ///
    /// # Errors
    /// A plan that cannot take the state over.
    pub fn replace(&mut self, planned: &Planned) -> Result<(), String> {
        if planned.sql == self.query.sql {
            return Ok(());
        }
        let topology = upgraded(&self.query.topology, &planned.plan).map_err(|e| e.to_string())?;
        let planned = Planned { topology, ..planned.clone() };
        let made = Made { log: &self.log, names: &Names::new(SERVICE) };
        let facts = made.facts(&planned).map_err(|e| e.to_string())?;
        self.query = Arc::new(definition(&planned, planned.topology.clone(), facts));
        self.registry.add(self.query.clone());
        self.registry.applied(self.registry.command() + 1);
        self.settle()
    }

    /// Appends a record to a source topic, and lets all that follows from it be committed.
    ///
    /// # Errors
    /// Whatever stops the query.
    pub fn pipe(&mut self, topic: &str, record: &Record) -> Result<(), String> {
        let facts = self.query.topic(topic).map_err(|e| e.to_string())?;
        let tp = Tp::new(facts.id, 0);
        let appended = ready(self.log.append(tp, std::slice::from_ref(record)));
        appended?.map_err(|e| e.to_string())?;
        self.settle()
    }

    /// All records of a topic of the query.
    ///
    /// # Errors
    /// A log that does not answer.
    pub fn read(&self, topic: &str) -> Result<Vec<Record>, String> {
        let facts = self.query.topic(topic).map_err(|e| e.to_string())?;
        let tp = Tp::new(facts.id, 0);
        let mut cursor = self.log.cursor(ReadClass::Restore);
        cursor.assign(&[(tp, Offset(0))]);
        let mut records = Vec::new();
        loop {
            let (before, mut batches) = (cursor.position(tp), Vec::new());
            cursor.poll(&READ_LIMITS, &mut batches).map_err(|e| e.to_string())?;
            for batch in &batches {
                for (i, raw) in batch.records.iter().enumerate() {
                    records.push(Record {
                        timestamp: raw.timestamp,
                        key: batch.key(i).map(<[u8]>::to_vec),
                        value: batch.value(i).map(<[u8]>::to_vec),
                        headers: batch.headers(i),
                    });
                }
            }
            if batches.is_empty() && cursor.position(tp) == before {
                return Ok(records);
            }
        }
    }

    /// Topics of the query that hold records, without those over which the sides of a foreign-key
    /// join ask and answer: no row takes another key there.
    ///
    /// # Errors
    /// A log that does not answer.
    pub fn written_topics(&self) -> Result<Vec<String>, String> {
        let mut written = Vec::new();
        let mut asked = Vec::new();
        for node in self.query.topology.subs.iter().flat_map(|sub| &sub.nodes) {
            let Op::ForeignLeft { node, .. } = &node.op else { continue };
            for between in [subscriptions(node), responses(node)] {
                let step = between.map_err(|e| e.to_string())?.step;
                asked.push(self.query.names.repartition_topic(&self.query.id, &step));
            }
        }
        for name in self.query.facts.topics.keys() {
            if !asked.contains(name) && !self.read(name)?.is_empty() {
                written.push(name.clone());
            }
        }
        Ok(written)
    }

    /// Steps the lane until everything that was there is taken in and committed.
    fn settle(&mut self) -> Result<(), String> {
        let mut quiet = 0;
        for _ in 0..STEPS_MAX {
            let busy = self.lane.step();
            if let Some(failure) = self.query.status.failure() {
                return Err(failure);
            }
            if let Some(failure) = &self.lane.stats().failure {
                return Err(failure.to_string());
            }
            quiet = if busy { 0 } else { quiet + 1 };
            if !busy && self.lane.is_idle() {
                return Ok(());
            }
            if quiet > QUIET_STEPS_MAX {
                return Err("the query waits for ever".to_owned());
            }
        }
        Err(format!("the query did not come to rest within {STEPS_MAX} steps"))
    }
}

fn definition(planned: &Planned, topology: Topology, facts: QueryFacts) -> QueryDef {
    QueryDef {
        id: planned.id.clone(),
        sql: planned.sql.clone(),
        plan: planned.plan.clone(),
        topology,
        facts,
        sink: planned.sink.clone(),
        names: Names::new(SERVICE),
        status: QueryShared::default(),
    }
}

/// Every record is a transaction of its own, so everything is handed out at once.
fn limits() -> Limits {
    Limits { commit_interval: Duration::ZERO, ..Limits::default() }
}

/// Makes the topics of a query.
struct Made<'a> {
    log: &'a SimLog,
    names: &'a Names,
}

fn one_partition(name: String) -> TopicSpec {
    TopicSpec {
        name,
        partitions: 1,
        replicas: None,
        cleanup: Cleanup::Delete,
        retention_ms: Some(-1),
        config: Vec::new(),
    }
}

impl Made<'_> {
    fn topic(&self, name: String) -> Result<TopicFacts, EngineError> {
        let spec = one_partition(name);
        let info = ready(self.log.ensure(&spec)).map_err(EngineError::Bug)?;
        let info = info.map_err(|error| match error {
            EnsureError::Log(error) => EngineError::Log(error),
            other => EngineError::User(other.to_string()),
        })?;
        Ok(TopicFacts { id: info.id, partitions: 1 })
    }

    fn facts(&self, planned: &Planned) -> Result<QueryFacts, EngineError> {
        let (topology, query) = (&planned.topology, &planned.id);
        let mut names = planned.source_topics();
        names.extend(planned.sink.iter().map(|sink| sink.topic.clone()));
        let repartitions = topology.repartitions.iter();
        names.extend(repartitions.map(|r| self.names.repartition_topic(query, &r.node.step)));
        let stores = topology.stores.iter();
        names.extend(stores.map(|store| self.names.changelog_topic(query, &store.name)));
        let mut topics = BTreeMap::new();
        for name in names {
            topics.insert(name.clone(), self.topic(name)?);
        }
        let sub = |inputs: usize| SubFacts {
            partitions: 1,
            base: LaneId(0),
            starts: vec![vec![Offset(0)]; inputs],
        };
        Ok(QueryFacts {
            query: query.clone(),
            subs: topology.subs.iter().map(|s| sub(s.inputs.len())).collect(),
            topics,
            store_base: 0,
            coalesce: false,
            schemas: BTreeMap::new(),
        })
    }
}

/// The answer of a log to which nothing happens.
fn ready<T>(poll: Poll<T>) -> Result<T, String> {
    match poll {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err("the log in memory did not answer".to_owned()),
    }
}
