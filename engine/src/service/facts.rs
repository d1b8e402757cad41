//! Decides the facts of a new query, once: topics, start offsets, store numbers, lanes (R1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_sql::catalog::{Source, SourceKind};

use crate::command::{QueryFacts, STORES_PER_COMMAND, SubFacts, TopicFacts};
use crate::error::{EngineError, Result};
use crate::ids::{LaneId, Offset, Tp};
use crate::log::{Cleanup, EnsureError, Log, TopicInfo, TopicSpec};
use crate::names::Names;
use crate::query::QueryDef;
use crate::service::command_log::wait;
use crate::service::words::source_word;
use crate::state::Shape;
use crate::topology::{Input, Output, Topology};

/// How long a call to the log may take while a statement waits.
const LOG_TIMEOUT: Duration = Duration::from_secs(30);

/// What a new query wants.
pub struct Wish<'a> {
    pub query: &'a str,
    pub topology: &'a Topology,
    pub sink: &'a Source,
    pub sink_replicas: Option<u32>,
    pub sink_retention_ms: Option<i64>,
    pub sink_retention_min_ms: Option<i64>,
    /// CREATE ... AS makes the sink's topic; INSERT INTO finds it.
    pub make_sink: bool,
    /// `auto.offset.reset` of streams.
    pub from_earliest: bool,
    pub coalesce: bool,
    /// Replicas of internal topics.
    pub replicas: Option<u32>,
}

/// Makes topics and facts.
pub struct FactFinder<'a> {
    pub log: &'a dyn Log,
    pub names: &'a Names,
    pub lanes: u32,
    pub running: &'a [Arc<QueryDef>],
}

impl FactFinder<'_> {
    /// Makes the topics that are missing and decides everything else. `command`: the offset that
    /// the command will have.
    pub fn find(&self, wish: &Wish<'_>, command: Offset) -> Result<QueryFacts> {
        if wish.topology.stores.len() > STORES_PER_COMMAND as usize {
            return Err(EngineError::User(format!(
                "the query needs {} stores, more than the {STORES_PER_COMMAND} a query may have",
                wish.topology.stores.len()
            )));
        }
        let mut topics = BTreeMap::new();
        let source_retention_ms = self.find_sources(wish, &mut topics)?;
        self.make_sink(wish, source_retention_ms, &mut topics)?;
        self.make_repartitions(wish, &mut topics)?;
        let mut load = self.lane_load();
        let mut subs = Vec::with_capacity(wish.topology.subs.len());
        for at in 0..wish.topology.subs.len() {
            subs.push(self.sub_facts(wish, at, &topics, &mut load)?);
        }
        align_starts(wish.topology, &mut subs);
        self.make_changelogs(wish, &subs, &mut topics)?;
        let store_base = u32::try_from(command.0 * i64::from(STORES_PER_COMMAND))
            .map_err(|_| EngineError::Config("the command topic is full".to_owned()))?;
        let query = wish.query.to_owned();
        let (coalesce, schemas) = (wish.coalesce, BTreeMap::new());
        Ok(QueryFacts { query, subs, topics, store_base, coalesce, schemas })
    }

    /// Also answers how long the left-most source keeps its records, -1 for ever.
    fn find_sources(
        &self,
        wish: &Wish<'_>,
        topics: &mut BTreeMap<String, TopicFacts>,
    ) -> Result<Option<i64>> {
        let mut retention_ms = None;
        for input in wish.topology.subs.iter().flat_map(|sub| &sub.inputs) {
            let Input::Scan(scan) = input else { continue };
            let source = &scan.source;
            let info = describe(self.log, &source.topic)?;
            if info.partitions != source.partitions {
                return Err(EngineError::User(format!(
                    "topic {} of {} has {} partitions now, not the {} it was created with\n\
                     hint: DROP {} {1} and create it again",
                    source.topic,
                    source.name,
                    info.partitions,
                    source.partitions,
                    source_word(source.kind)
                )));
            }
            if info.cleanup == Cleanup::Delete {
                retention_ms.get_or_insert(info.retention_ms);
            }
            topics.insert(source.topic.clone(), facts(&info));
        }
        Ok(retention_ms)
    }

    /// A sink keeps its records as long as its source does, unless the statement says otherwise:
    /// records carry event time, and a broker's default would delete a replay of old events.
    fn make_sink(
        &self,
        wish: &Wish<'_>,
        source_retention_ms: Option<i64>,
        topics: &mut BTreeMap<String, TopicFacts>,
    ) -> Result<()> {
        let sink = wish.sink;
        let retention_ms = wish.sink_retention_ms.or(match source_retention_ms {
            Some(-1) => Some(-1),
            source => source.max(wish.sink_retention_min_ms),
        });
        let info = match wish.make_sink {
            true => match self.present_sink(sink)? {
                Some(info) => info,
                None => ensure(self.log, &sink_spec(sink, wish.sink_replicas, retention_ms))?,
            },
            false => describe(self.log, &sink.topic)?,
        };
        topics.insert(sink.topic.clone(), facts(&info));
        Ok(())
    }

    /// A topic that is there and differs in nothing but how it is cleaned is its owner's choice.
    fn present_sink(&self, sink: &Source) -> Result<Option<TopicInfo>> {
        let found = wait(self.log, LOG_TIMEOUT, || self.log.describe(&sink.topic))??;
        let wanted = sink_spec(sink, None, None).cleanup;
        let other = |info: &TopicInfo| info.partitions == sink.partitions && info.cleanup != wanted;
        let found = found.filter(other);
        if let Some(info) = &found {
            let (topic, cleanup) = (&sink.topic, info.cleanup);
            tracing::warn!(topic, "the topic is cleaned as {cleanup:?}, {wanted:?} would suit it");
        }
        Ok(found)
    }

    fn make_repartitions(
        &self,
        wish: &Wish<'_>,
        topics: &mut BTreeMap<String, TopicFacts>,
    ) -> Result<()> {
        for repartition in &wish.topology.repartitions {
            let node = &repartition.node;
            let name = self.names.repartition_topic(wish.query, &node.step);
            let cleanup = Cleanup::Delete;
            let info = ensure(self.log, &internal(name.clone(), node.partitions, cleanup, wish))?;
            topics.insert(name, facts(&info));
        }
        Ok(())
    }

    fn make_changelogs(
        &self,
        wish: &Wish<'_>,
        subs: &[SubFacts],
        topics: &mut BTreeMap<String, TopicFacts>,
    ) -> Result<()> {
        for store in &wish.topology.stores {
            let name = self.names.changelog_topic(wish.query, &store.name);
            let partitions = subs[store.sub].partitions;
            // R14: of windows, what is older than the first live one is purged.
            let purged = store.windowed && store.shape == Shape::WindowFirst;
            let cleanup = if purged { Cleanup::CompactDelete } else { Cleanup::Compact };
            let mut spec = internal(name.clone(), partitions, cleanup, wish);
            // R15: longer than a disk may be away.
            let life_ms = crate::lane::TOMBSTONE_LIFE.as_millis();
            spec.config.push(("delete.retention.ms".to_owned(), life_ms.to_string()));
            let info = ensure(self.log, &spec)?;
            topics.insert(name, facts(&info));
        }
        Ok(())
    }

    fn sub_facts(
        &self,
        wish: &Wish<'_>,
        at: usize,
        topics: &BTreeMap<String, TopicFacts>,
        load: &mut [usize],
    ) -> Result<SubFacts> {
        let sub = &wish.topology.subs[at];
        let mut starts = Vec::with_capacity(sub.inputs.len());
        let mut partitions = 0;
        for input in &sub.inputs {
            let (topic, from_earliest) = match input {
                Input::Scan(scan) => {
                    let table = scan.source.kind == SourceKind::Table;
                    (topics.get(&scan.source.topic), table || wish.from_earliest)
                }
                Input::Repartition(i) => {
                    let step = &wish.topology.repartitions[*i].node.step;
                    (topics.get(&self.names.repartition_topic(wish.query, step)), true)
                }
            };
            let topic =
                topic.ok_or_else(|| EngineError::Bug("an input has no topic".to_owned()))?;
            partitions = partitions.max(topic.partitions);
            starts.push(self.start_offsets(*topic, from_earliest)?);
        }
        debug_assert!(!matches!(sub.output, Output::Reader), "a persistent query has a sink");
        let base = least_loaded(load);
        for partition in 0..partitions {
            load[((base.0 + partition) % self.lanes) as usize] += 1;
        }
        Ok(SubFacts { partitions, base, starts })
    }

    fn start_offsets(&self, topic: TopicFacts, from_earliest: bool) -> Result<Vec<Offset>> {
        let tps: Vec<Tp> = (0..topic.partitions).map(|p| Tp::new(topic.id, p)).collect();
        let ends = wait(self.log, LOG_TIMEOUT, || self.log.ends(&tps))??;
        Ok(ends.iter().map(|ends| if from_earliest { ends.start } else { ends.hw }).collect())
    }

    /// Tasks per lane.
    fn lane_load(&self) -> Vec<usize> {
        let mut load = vec![0; self.lanes as usize];
        for sub in self.running.iter().flat_map(|query| &query.facts.subs) {
            for partition in 0..sub.partitions {
                load[sub.lane(partition, self.lanes).0 as usize] += 1;
            }
        }
        load
    }
}

/// Inputs over one topic start alike: the sides of a self-join see the same records.
fn align_starts(topology: &Topology, subs: &mut [SubFacts]) {
    let mut first: BTreeMap<(&str, SourceKind), Vec<Offset>> = BTreeMap::new();
    for (sub, facts) in topology.subs.iter().zip(subs) {
        for (input, starts) in sub.inputs.iter().zip(&mut facts.starts) {
            let Input::Scan(scan) = input else { continue };
            let of = (scan.source.topic.as_str(), scan.source.kind);
            *starts = first.entry(of).or_insert_with(|| starts.clone()).clone();
        }
    }
}

fn least_loaded(load: &[usize]) -> LaneId {
    let at = (0..load.len()).min_by_key(|at| load[*at]).unwrap_or_default();
    LaneId(at as u32)
}

/// How a sink's topic is made.
pub fn sink_spec(sink: &Source, replicas: Option<u32>, retention_ms: Option<i64>) -> TopicSpec {
    let cleanup = match (sink.kind, &sink.window) {
        (SourceKind::Stream, _) => Cleanup::Delete,
        (SourceKind::Table, None) => Cleanup::Compact,
        (SourceKind::Table, Some(_)) => Cleanup::CompactDelete,
    };
    let (name, partitions) = (sink.topic.clone(), sink.partitions);
    TopicSpec { name, partitions, replicas, cleanup, retention_ms, config: Vec::new() }
}

fn internal(name: String, partitions: u32, cleanup: Cleanup, wish: &Wish<'_>) -> TopicSpec {
    // R14: event time is not wall time, so internal topics never expire by it.
    let (replicas, retention_ms) = (wish.replicas, Some(-1));
    // Nor by size, whatever the broker's default is.
    let config = match cleanup {
        Cleanup::Compact => Vec::new(),
        Cleanup::Delete | Cleanup::CompactDelete => {
            vec![("retention.bytes".to_owned(), "-1".to_owned())]
        }
    };
    TopicSpec { name, partitions, replicas, cleanup, retention_ms, config }
}

/// The topic of that name.
///
/// # Errors
/// When there is none.
pub fn describe(log: &dyn Log, name: &str) -> Result<TopicInfo> {
    let found = wait(log, LOG_TIMEOUT, || log.describe(name))??;
    found.ok_or_else(|| {
        EngineError::User(format!(
            "Kafka topic does not exist: {name}; create it, or give PARTITIONS in the WITH clause"
        ))
    })
}

/// Makes the topic unless it is there.
pub fn ensure(log: &dyn Log, spec: &TopicSpec) -> Result<TopicInfo> {
    match wait(log, LOG_TIMEOUT, || log.ensure(spec))? {
        Ok(info) => Ok(info),
        Err(EnsureError::Log(error)) => Err(EngineError::Log(error)),
        Err(error @ EnsureError::Differs { .. }) => Err(EngineError::User(format!(
            "{error}\nhint: use another KAFKA_TOPIC, or settings that agree with the topic"
        ))),
        Err(error @ EnsureError::Refused { .. }) => Err(EngineError::User(format!(
            "{error}\nhint: give PARTITIONS and REPLICAS that the cluster can hold: not more \
             replicas than it has brokers; REPLICAS=-1 leaves it to the brokers"
        ))),
    }
}

pub fn facts(info: &TopicInfo) -> TopicFacts {
    TopicFacts { id: info.id, partitions: info.partitions }
}
