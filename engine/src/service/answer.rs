//! [`Service`] answers the server: each call goes to the file of its noun.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millrace_sql::catalog::Catalog;
use serde_json::Value;

use crate::api::{
    Api, ApiError, ApiResult, Executed, ExplainTarget, Explained, Health, Identity, Properties,
    PullAnswer, PushQuery, QueryOffsets, QueryState, QueryStatus, SinkStatus, TopicReader,
};
use crate::error::EngineError;
use crate::ids::LaneId;
use crate::log::{Record, TopicInfo};
use crate::query::QueryDef;
use crate::schemas::SchemaRegistry;
use crate::service::command_log::wait;
use crate::service::lanes_state::Seen;
use crate::service::{Inner, Service, command_gap};
use crate::worker::LaneReport;

const LOG_TIMEOUT: Duration = Duration::from_secs(30);
const WAIT_PAUSE: Duration = Duration::from_millis(2);

impl Api for Service {
    fn catalog(&self) -> Arc<Catalog> {
        self.inner.catalog()
    }

    fn ready(&self) -> ApiResult<()> {
        self.inner.booted().map(|_| ())
    }

    fn validate(&self, catalog: &mut Catalog, sql: &str, properties: &Properties) -> ApiResult<()> {
        self.inner.validate(catalog, sql, properties)
    }

    fn execute(&self, sql: &str, properties: &Properties) -> ApiResult<Executed> {
        self.inner.execute(sql, properties)
    }

    fn insert_values(&self, sql: &str, properties: &Properties) -> ApiResult<()> {
        self.inner.insert_values(sql, properties)
    }

    fn insert_target(&self, target: &str) -> ApiResult<()> {
        self.inner.row_target(target).map(|_| ())
    }

    fn insert_row(&self, target: &str, row: &serde_json::Map<String, Value>) -> ApiResult<()> {
        self.inner.insert_row(target, row)
    }

    fn has_schema(&self, subject: Option<&str>, id: Option<i64>) -> ApiResult<Option<bool>> {
        let Some(registry) = self.inner.seams.formats.registry() else { return Ok(None) };
        let failed = |e: crate::schemas::RegistryError| {
            ApiError::Engine(EngineError::Config(format!("the schema registry: {e}")))
        };
        let latest = match subject {
            Some(subject) => Some(registry.latest(subject).map_err(failed)?),
            None => None,
        };
        let by_id = match id.map(u32::try_from) {
            Some(Ok(id)) => Some(registry.by_id(id).map_err(failed)?),
            Some(Err(_)) => Some(None),
            None => None,
        };
        Ok(Some(latest.is_none_or(|found| found.is_some()) && by_id.is_none_or(|f| f.is_some())))
    }

    fn schema_registry(&self) -> Option<Arc<dyn SchemaRegistry>> {
        self.inner.seams.formats.registry().cloned()
    }

    fn push(&self, sql: &str, properties: &Properties) -> ApiResult<Box<dyn PushQuery>> {
        self.inner.push(sql, properties)
    }

    fn pull(&self, sql: &str, properties: &Properties) -> ApiResult<PullAnswer> {
        self.inner.pull(sql, properties)
    }

    fn explain(&self, target: ExplainTarget<'_>, properties: &Properties) -> ApiResult<Explained> {
        self.inner.explain(target, properties)
    }

    fn queries(&self) -> Vec<QueryStatus> {
        self.inner.queries()
    }

    fn offsets(&self, queries: &[&str]) -> ApiResult<Vec<QueryOffsets>> {
        self.inner.booted()?;
        self.inner.offsets(queries)
    }

    fn sinks(&self, only: Option<&str>) -> ApiResult<Vec<SinkStatus>> {
        self.inner.booted()?;
        self.inner.sinks(only)
    }

    fn topics(&self) -> ApiResult<Vec<TopicInfo>> {
        self.inner.booted()?;
        let log = self.inner.seams.log.as_ref();
        let topics = wait(log, LOG_TIMEOUT, || log.list()).and_then(|topics| topics);
        let mut topics = topics.map_err(|e| ApiError::Engine(EngineError::Log(e)))?;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    fn print(&self, topic: &str, from_beginning: bool) -> ApiResult<Box<dyn TopicReader>> {
        self.inner.print(topic, from_beginning)
    }

    fn load(&self, topic: &str, records: Vec<Record>) -> ApiResult<()> {
        self.inner.load(topic, &records)
    }

    fn await_command(&self, sequence: i64, at_most: Duration) -> bool {
        let start = Instant::now();
        while self.inner.registry.command() < sequence {
            if start.elapsed() > at_most {
                return false;
            }
            std::thread::sleep(WAIT_PAUSE);
        }
        true
    }

    fn health(&self) -> Health {
        let registry = self.inner.seams.formats.registry();
        let registry_trouble = registry.and_then(|registry| registry.trouble());
        let troubles = self.inner.troubles.lock();
        let well = |parts: &[&str]| !parts.iter().any(|part| troubles.contains_key(part));
        Health {
            metastore: well(&["boot"]),
            log: well(&["log", "control", "boot"]),
            command_runner: well(&["commands", command_gap::COMMAND_LOG, command_gap::OWN_TOPICS]),
            schema_registry: registry.map(|_| registry_trouble.is_none()),
            reasons: troubles
                .values()
                .cloned()
                .chain(self.inner.lane_failures())
                .chain(registry_trouble.map(|why| format!("schema registry: {why}")))
                .collect(),
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        let limits = self.inner.limits.list().into_iter();
        let mut all: Vec<(String, String)> =
            limits.map(|(name, value)| (format!("millrace.{name}"), value)).collect();
        all.push(("millrace.lanes".to_owned(), self.inner.lanes().to_string()));
        all.push(("millrace.workers".to_owned(), self.inner.config.workers.to_string()));
        all.extend(self.inner.config.properties.clone());
        all
    }

    fn identity(&self) -> Identity {
        Identity {
            cluster_id: self
                .inner
                .seams
                .log
                .cluster_id()
                .unwrap_or_else(|| self.inner.config.cluster_id.clone()),
            service_id: self.inner.config.service_id.clone(),
            version: self.inner.config.version.clone(),
        }
    }

    fn shutdown(&self) {
        self.stop();
    }
}

impl Inner {
    /// Persistent queries first, then push queries.
    pub(super) fn queries(&self) -> Vec<QueryStatus> {
        let mut all: Vec<QueryStatus> =
            self.registry.all().iter().map(|query| self.status(query)).collect();
        for (id, push) in self.pushes.lock().iter() {
            all.push(QueryStatus {
                id: id.clone(),
                sql: push.sql.clone(),
                persistent: false,
                sink: None,
                sink_topic: None,
                state: QueryState::Running,
                errors: Vec::new(),
                records_in: 0,
                records_out: 0,
                late_records: 0,
                idle_close_ms: None,
                rejects: 0,
            });
        }
        all
    }

    /// Lanes of this node that do not run, and why.
    fn lane_failures(&self) -> Vec<String> {
        let Some(booted) = self.booted.get() else { return Vec::new() };
        let failed = booted.workers.reports().into_iter().filter(|(_, lane)| !lane.running);
        let why = |(id, lane): (LaneId, LaneReport)| Some(format!("lane {id}: {}", lane.failure?));
        failed.filter_map(why).collect()
    }

    fn status(&self, query: &QueryDef) -> QueryStatus {
        use std::sync::atomic::Ordering::Relaxed;
        let status = &query.status;
        QueryStatus {
            id: query.id.clone(),
            sql: query.sql.clone(),
            persistent: true,
            sink: query.sink.as_ref().map(|sink| sink.name.clone()),
            sink_topic: query.sink.as_ref().map(|sink| sink.topic.clone()),
            state: self.true_state(query),
            errors: status.errors(),
            records_in: status.records_in.load(Relaxed),
            records_out: status.records_out.load(Relaxed),
            late_records: status.late_records.load(Relaxed),
            idle_close_ms: query.topology.idle_close_ms,
            rejects: status.rejects.load(Relaxed),
        }
    }

    /// RUNNING only while the lanes that own its tasks tick and commit.
    fn true_state(&self, query: &QueryDef) -> QueryState {
        let said = query.status.state();
        if said != QueryState::Running {
            return said;
        }
        let Some(booted) = self.booted.get() else { return QueryState::Restoring };
        let seen = Seen {
            now: self.seams.clock.elapsed(),
            log_answers: !self.has_trouble("log"),
            expelled: self.expelled.load(Ordering::Acquire),
        };
        let reports = booted.workers.reports();
        let subs = query.facts.subs.iter();
        let lanes = subs.flat_map(|sub| (0..sub.partitions).map(|p| sub.lane(p, self.lanes())));
        seen.state_of(lanes.map(|lane| reports.get(&lane)))
    }
}
