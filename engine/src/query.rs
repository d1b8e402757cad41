//! A persistent query as the lanes run it: plan, topology, and the facts its command fixed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_sql::catalog::{ColumnRole, FormatSpec, RegisteredSchema, SchemaSpec, Source};
use millrace_sql::plan::QueryPlan;
use millrace_sql::types::SqlType;
use parking_lot::Mutex;

use crate::api::QueryState;
use crate::command::{QueryFacts, TopicFacts};
use crate::error::{EngineError, Result};
use crate::ids::{Timestamp, TopicId};
use crate::names::Names;
use crate::pipeline::Aside;
use crate::progress::TaskKey;
use crate::repartition::edge_types;
use crate::schemas::subject;
use crate::state::StoreId;
use crate::topology::{Input, Node, Output, StoreSpec, SubTopology, Topology};

/// Everything lanes need to know of a query. Immutable but for its status.
pub struct QueryDef {
    pub id: String,
    /// Canonical text of the statement.
    pub sql: String,
    pub plan: QueryPlan,
    pub topology: Topology,
    pub facts: QueryFacts,
    pub sink: Option<Arc<Source>>,
    pub names: Names,
    pub status: QueryShared,
}

impl QueryDef {
    /// Number of store `index` of the topology, for one partition.
    pub fn store_id(&self, index: usize, partition: u32) -> StoreId {
        StoreId { store: self.facts.store_base + index as u32, partition }
    }

    /// Stores of a task of this query.
    pub fn stores_of<'a>(&'a self, task: &'a TaskKey) -> impl Iterator<Item = StoreId> + 'a {
        let own = move |(index, spec): (usize, &StoreSpec)| {
            (spec.sub == task.sub as usize).then(|| self.store_id(index, task.partition))
        };
        self.topology.stores.iter().enumerate().filter_map(own)
    }

    /// The changelog of store `index`.
    pub fn changelog(&self, index: usize) -> Result<TopicFacts> {
        let name = self.names.changelog_topic(&self.id, &self.topology.stores[index].name);
        self.topic(&name)
    }

    /// The topic behind an input of a sub-topology.
    pub fn input_topic(&self, sub: usize, input: usize) -> Result<TopicFacts> {
        match &self.topology.subs[sub].inputs[input] {
            Input::Scan(scan) => self.topic(&scan.source.topic),
            Input::Repartition(at) => self.repartition_topic(*at),
        }
    }

    /// Tasks that write to a repartition topic.
    pub fn upstream_tasks(&self, at: usize) -> u32 {
        let writes = |sub: &SubTopology| {
            let aside = |node: &Node| matches!(node.aside, Some(Aside::Topic(to)) if to == at);
            matches!(sub.output, Output::Repartition(to) if to == at) || sub.nodes.iter().any(aside)
        };
        let subs = self.topology.subs.iter().zip(&self.facts.subs);
        subs.filter(|(sub, _)| writes(sub)).map(|(_, facts)| facts.partitions).max().unwrap_or(1)
    }

    /// Whether records of a repartition topic name their task and its stream time.
    pub fn tells_upstream(&self, at: usize) -> bool {
        self.upstream_tasks(at) > 1 || self.topology.idle_close_ms.is_some()
    }

    pub fn repartition_topic(&self, at: usize) -> Result<TopicFacts> {
        let step = &self.topology.repartitions[at].node.step;
        self.topic(&self.names.repartition_topic(&self.id, step))
    }

    /// How the keys of a repartition topic are written: as those of the rows that they meet.
    ///
    /// # Errors
    /// `Bug` when the plan's edge has columns of no SQL type.
    pub fn repartition_key(&self, at: usize) -> Result<(FormatSpec, Vec<(String, SqlType)>)> {
        let node = &self.topology.repartitions[at].node;
        let types = edge_types(&Arc::new(node.input.schema().as_arrow().clone()))?;
        let columns = node.key.iter().map(|i| types[*i].clone()).collect();
        let topic = self.names.repartition_topic(&self.id, &node.step);
        Ok(match self.facts.schemas.get(&subject(&topic, true)) {
            Some(met) => (as_met(&node.key_format, met), met_names(&self.topology, at, columns)),
            None => (node.key_format.clone(), columns),
        })
    }

    /// True if the store is one of this query's.
    pub fn has_store(&self, store: StoreId) -> bool {
        let base = self.facts.store_base;
        (base..base + self.topology.stores.len() as u32).contains(&store.store)
    }

    /// Name of a topic that the command recorded.
    pub fn topic_name(&self, topic: TopicId) -> Option<&str> {
        let mut topics = self.facts.topics.iter();
        topics.find(|(_, facts)| facts.id == topic).map(|(name, _)| name.as_str())
    }

    /// True if the topic is the query's own: a changelog or a repartition topic.
    pub fn is_internal(&self, topic: &str) -> bool {
        topic.strip_prefix(&self.names.application(&self.id)).is_some_and(|r| r.starts_with('-'))
    }

    /// Changelogs and repartition topics.
    pub fn internal_topics(&self) -> Vec<TopicId> {
        let topics = self.facts.topics.iter().filter(|(name, _)| self.is_internal(name));
        topics.map(|(_, facts)| facts.id).collect()
    }

    /// Name of the topic if the query writes to it.
    pub fn written_topic(&self, topic: TopicId) -> Option<&str> {
        let name = self.topic_name(topic)?;
        let is_sink = self.sink.as_ref().is_some_and(|sink| sink.topic == name);
        (is_sink || self.is_internal(name)).then_some(name)
    }

    /// A topic that the command recorded.
    pub fn topic(&self, name: &str) -> Result<TopicFacts> {
        self.facts.topics.get(name).copied().ok_or_else(|| {
            EngineError::Bug(format!("the command of query {} has no topic {name}", self.id))
        })
    }
}

/// The format of keys that are written with a schema of others.
pub fn as_met(format: &FormatSpec, schema: &Arc<RegisteredSchema>) -> FormatSpec {
    let registered = Some(schema.clone());
    FormatSpec { schema: SchemaSpec { registered, ..format.schema.clone() }, ..format.clone() }
}

/// Key columns of a repartition topic under the names that the schema of the keys they meet has.
pub fn met_names(
    topology: &Topology,
    at: usize,
    mut columns: Vec<(String, SqlType)>,
) -> Vec<(String, SqlType)> {
    let reads = |sub: &&SubTopology| {
        sub.inputs.iter().any(|input| matches!(input, Input::Repartition(from) if *from == at))
    };
    let inputs = topology.subs.iter().find(reads).into_iter().flat_map(|sub| &sub.inputs);
    let mut scans = inputs.filter_map(|input| match input {
        Input::Scan(scan) if scan.source.key_format.kind.has_registry() => Some(&scan.source),
        _ => None,
    });
    let Some(source) = scans.next() else { return columns };
    let keys = source.columns.iter().filter(|column| column.role == ColumnRole::Key);
    let names: Vec<&String> = keys.map(|column| &column.name).collect();
    if names.len() == columns.len() {
        columns.iter_mut().zip(names).for_each(|((name, _), met)| name.clone_from(met));
    }
    columns
}

/// What a task did in a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub records_in: u64,
    pub records_out: u64,
    pub late_records: u64,
    /// Records that ended in the processing log.
    pub rejects: u64,
}

/// Status of a query and counters of what it committed, shared between its lanes and whoever asks.
#[derive(Default)]
pub struct QueryShared {
    pub records_in: AtomicU64,
    pub records_out: AtomicU64,
    pub late_records: AtomicU64,
    pub rejects: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    paused: bool,
    /// Why the query stopped, while it is stopped.
    failure: Option<String>,
    /// Newest first.
    errors: Vec<(i64, String)>,
    /// Tasks that still restore.
    restoring: usize,
}

impl QueryShared {
    pub fn state(&self) -> QueryState {
        let inner = self.inner.lock();
        match () {
            () if inner.failure.is_some() => QueryState::Error,
            () if inner.paused => QueryState::Paused,
            () if inner.restoring > 0 => QueryState::Restoring,
            () => QueryState::Running,
        }
    }

    pub fn errors(&self) -> Vec<(i64, String)> {
        self.inner.lock().errors.clone()
    }

    pub fn failure(&self) -> Option<String> {
        self.inner.lock().failure.clone()
    }

    pub fn is_paused(&self) -> bool {
        self.inner.lock().paused
    }

    pub fn set_paused(&self, paused: bool) {
        self.inner.lock().paused = paused;
    }

    pub fn restoring(&self, delta: isize) {
        let mut inner = self.inner.lock();
        inner.restoring = inner.restoring.saturating_add_signed(delta);
    }

    /// The query stops with `reason` until [`QueryShared::recovered`].
    pub fn fail(&self, now: Timestamp, reason: String, errors_max: usize) {
        let mut inner = self.inner.lock();
        inner.errors.insert(0, (now.0, reason.clone()));
        inner.errors.truncate(errors_max);
        inner.failure = Some(reason);
    }

    pub fn recovered(&self) {
        self.inner.lock().failure = None;
    }

    /// What was committed so far.
    pub fn counts(&self) -> Counts {
        Counts {
            records_in: self.records_in.load(Ordering::Relaxed),
            records_out: self.records_out.load(Ordering::Relaxed),
            late_records: self.late_records.load(Ordering::Relaxed),
            rejects: self.rejects.load(Ordering::Relaxed),
        }
    }

    /// Counts what was committed.
    pub fn add(&self, counts: &Counts) {
        self.records_in.fetch_add(counts.records_in, Ordering::Relaxed);
        self.records_out.fetch_add(counts.records_out, Ordering::Relaxed);
        self.late_records.fetch_add(counts.late_records, Ordering::Relaxed);
        self.rejects.fetch_add(counts.rejects, Ordering::Relaxed);
    }
}
