//! Sinks: tables of Pinot and Druid. What happens outside comes before the command and can be done
//! twice; replay does none of it (R35).

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_sql::analyze::{DropSinkPlan, NewSink};
use millrace_sql::catalog::Source;
use millrace_sql::olap::OlapSink;

use crate::api::{ApiError, ApiResult, Properties, QueryState, SinkStatus};
use crate::command::Command;
use crate::error::EngineError;
use crate::ids::{Offset, TopicId, Tp};
use crate::log::{Cleanup, PollLimits, ReadClass, TopicInfo};
use crate::olap::OlapTargets;
use crate::service::command_log::wait;
use crate::service::ddl::{Outcome, decided};
use crate::service::schemas::Schemas;
use crate::service::{Booted, Inner, facts};
use crate::topology::Topology;

const LOG_TIMEOUT: Duration = Duration::from_secs(30);
/// So many offsets are looked through for records.
const COUNTED_MAX: u64 = 1_000;
const COUNT_TIME_MAX: Duration = Duration::from_secs(2);
const COUNT_PAUSE: Duration = Duration::from_millis(5);

impl Inner {
    pub(super) fn olap(&self) -> ApiResult<&Arc<dyn OlapTargets>> {
        self.seams.olap.as_ref().ok_or_else(|| {
            user(
                "a sink needs Kafka: Pinot and Druid read topics, and cannot read the embedded \
                 log; start the server with --bootstrap-servers"
                    .to_owned(),
            )
        })
    }

    /// Topic first, for the table asks for it; then the table; the command comes last.
    pub(super) fn decide_sink(
        &self,
        booted: &Booted,
        new: NewSink,
        properties: &Properties,
        end: Offset,
    ) -> ApiResult<Outcome> {
        let targets = self.olap()?;
        let NewSink { sink, plan, target, topic } = new;
        let there = self.free_topic(&target)?;
        targets.check(&sink.table).map_err(user)?;
        let topology = Topology::of(&plan).map_err(ApiError::Engine)?;
        let query = format!("SINK_{}_{}", sink.name, end.0);
        let target = Source { query: Some(query.clone()), ..target };
        let mut wish = self.wish(&query, &topology, &target, properties);
        wish.make_sink = true;
        wish.sink_replicas = topic.replicas;
        wish.sink_retention_ms = topic.retention_ms;
        // The table holds all that its source does.
        wish.from_earliest = true;
        let facts = self.facts(booted, &wish, Schemas::new(), end)?;
        if let Err(why) = targets.create(&sink.table) {
            let made = facts.topics.get(&target.topic).filter(|_| there.is_none());
            let left = made.and_then(|made| self.take_back(&target.topic, made.id));
            return Err(user(format!("{why}{}", left.unwrap_or_default())));
        }
        let id = format!("sink/{}/create", sink.name);
        let message =
            format!("Sink {} created: table {}, fed by query {query}", sink.name, sink.table.name);
        let sink = Box::new(OlapSink { query: query.clone(), ..sink });
        let target = Box::new(target);
        Ok(decided(Command::CreateSink { sink, target, facts }, id, message, Some(query)))
    }

    /// The topic if it is there: it must be as if it had just been made, for a table that reads it
    /// would show what another sink has written.
    fn free_topic(&self, target: &Source) -> ApiResult<Option<TopicInfo>> {
        let log = self.seams.log.as_ref();
        let failed = |e| ApiError::Engine(EngineError::Log(e));
        let found = wait(log, LOG_TIMEOUT, || log.describe(&target.topic)).and_then(|found| found);
        let Some(info) = found.map_err(failed)? else { return Ok(None) };
        let tps: Vec<Tp> = (0..info.partitions).map(|p| Tp::new(info.id, p)).collect();
        let ends = wait(log, LOG_TIMEOUT, || log.ends(&tps)).and_then(|ends| ends);
        let used = ends.map_err(failed)?.iter().any(|ends| ends.hw.0 > 0);
        let wrong = if used {
            "has records already, maybe of a sink that was dropped"
        } else if info.partitions != target.partitions {
            "has another number of partitions than the source's"
        } else if info.cleanup != Cleanup::Delete {
            "is compacted, which would lose rows"
        } else {
            return Ok(Some(info));
        };
        Err(user(format!(
            "topic {} exists and {wrong}; delete it, or give the sink another one with \
             KAFKA_TOPIC in WITH",
            target.topic
        )))
    }

    /// Deletes a topic that was made for a table that cannot be made; says so if that fails.
    fn take_back(&self, name: &str, topic: TopicId) -> Option<String> {
        let log = self.seams.log.as_ref();
        match wait(log, LOG_TIMEOUT, || log.delete(topic)).and_then(|done| done) {
            Ok(()) => None,
            Err(error) => Some(format!("; topic {name}, made for it, is left over ({error})")),
        }
    }

    pub(super) fn decide_drop_sink(&self, drop: DropSinkPlan) -> ApiResult<Outcome> {
        let DropSinkPlan { sink, delete_table, delete_topic } = drop;
        let (name, table) = (&sink.name, &sink.table);
        if delete_table {
            let kept = |why| {
                user(format!("{why}; DROP SINK {name} without DELETE TABLE leaves the table"))
            };
            self.olap()?.delete(table).map_err(kept)?;
        }
        let mut delete = Vec::new();
        if delete_topic {
            let topic = facts::describe(self.seams.log.as_ref(), &table.topic);
            // A topic that is gone already is as wanted.
            delete.extend(topic.ok().map(|info| info.id));
        }
        let what = match (delete_table, delete_topic) {
            (false, _) => format!("table {} and topic {} are left", table.name, table.topic),
            (true, false) => format!("topic {} is left", table.topic),
            (true, true) => "with table and topic".to_owned(),
        };
        let (id, message) = (format!("sink/{name}/drop"), format!("Sink {name} dropped: {what}."));
        let (sink, query) = (name.clone(), sink.query.clone());
        Ok(decided(Command::DropSink { sink, query, delete }, id, message, None))
    }

    pub(super) fn sinks(&self, only: Option<&str>) -> ApiResult<Vec<SinkStatus>> {
        let catalog = self.catalog();
        let wanted = catalog.sinks.values().filter(|s| only.is_none_or(|name| name == s.name));
        wanted.map(|sink| self.sink_status(sink)).collect()
    }

    fn sink_status(&self, sink: &Arc<OlapSink>) -> ApiResult<SinkStatus> {
        let targets = self.olap()?;
        let query = self.queries().into_iter().find(|query| query.id == sink.query);
        let told = targets.state(&sink.table);
        let own = query.as_ref().map(|query| query.state);
        let own_error = query.as_ref().and_then(|query| query.errors.first());
        let own_error = own_error.map(|(_, why)| format!("query {}: {why}", sink.query));
        let (state, last_error) = match own {
            Some(QueryState::Running) | None => (told.state, told.last_error),
            Some(state) => (state.name().to_owned(), own_error.or(told.last_error)),
        };
        Ok(SinkStatus {
            sink: sink.clone(),
            state,
            lag: self.sink_lag(sink, &told.next),
            last_error,
            rows: query.map_or(0, |query| query.records_out),
            current_rows: targets.current_rows(&sink.table),
            documents: targets.documents(&sink.table).unwrap_or_default(),
        })
    }

    /// Records of the topic that the table has not read; `None`: not known.
    fn sink_lag(
        &self,
        sink: &OlapSink,
        next: &std::collections::BTreeMap<u32, i64>,
    ) -> Option<u64> {
        let facts = self.registry.get(&sink.query)?.topic(&sink.table.topic).ok()?;
        let log = self.seams.log.as_ref();
        let tps: Vec<Tp> = (0..facts.partitions).map(|p| Tp::new(facts.id, p)).collect();
        let ends = wait(log, LOG_TIMEOUT, || log.ends(&tps)).and_then(|ends| ends).ok()?;
        let mut behind = Vec::new();
        for (tp, ends) in tps.into_iter().zip(ends) {
            let next = *next.get(&tp.partition.0)?;
            if next < ends.lso.0 {
                behind.push((tp, Offset(next), ends.lso));
            }
        }
        let offsets = behind.iter().map(|(_, next, end)| (end.0 - next.0) as u64).sum();
        match offsets {
            0..=COUNTED_MAX => self.count_records(&behind).or(Some(offsets)),
            _ => Some(offsets),
        }
    }

    /// Records in ranges of offsets: markers of transactions and what was aborted take offsets, too,
    /// and at rest nobody will ever read past them. `None`: it takes too long.
    fn count_records(&self, ranges: &[(Tp, Offset, Offset)]) -> Option<u64> {
        if ranges.is_empty() {
            return Some(0);
        }
        let log = self.seams.log.as_ref();
        let mut cursor = log.cursor(ReadClass::Restore);
        cursor.assign(&ranges.iter().map(|(tp, next, _)| (*tp, *next)).collect::<Vec<_>>());
        let limits = PollLimits { records_max: 1_000, bytes_max: 4 << 20 };
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < COUNT_TIME_MAX {
            let mut batches = Vec::new();
            cursor.poll(&limits, &mut batches).ok()?;
            count += batches.iter().map(|batch| batch.records.len() as u64).sum::<u64>();
            let read = |(tp, _, end): &(Tp, Offset, Offset)| {
                cursor.position(*tp).is_some_and(|position| position.next >= *end)
            };
            if ranges.iter().all(read) {
                return Some(count);
            }
            log.park(COUNT_PAUSE);
        }
        None
    }
}

fn user(message: String) -> ApiError {
    ApiError::Engine(EngineError::User(message))
}
