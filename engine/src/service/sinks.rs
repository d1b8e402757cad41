//! Sinks: tables of Pinot and Druid. What happens outside comes before the command and can be done
//! twice; replay does none of it (R35).

use std::sync::Arc;
use std::time::Duration;

use millrace_sql::analyze::{DropSinkPlan, NewSink};
use millrace_sql::catalog::Source;
use millrace_sql::olap::OlapSink;

use crate::api::{ApiError, ApiResult, Properties};
use crate::command::Command;
use crate::error::EngineError;
use crate::ids::{Offset, TopicId, Tp};
use crate::log::{Cleanup, TopicInfo};
use crate::olap::OlapTargets;
use crate::service::command_log::wait;
use crate::service::ddl::{Outcome, decided};
use crate::service::schemas::Schemas;
use crate::service::{Booted, Inner, facts};
use crate::topology::Topology;

const LOG_TIMEOUT: Duration = Duration::from_secs(30);

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
        let NewSink { sink, plan, target, topic, former } = new;
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
        let mut message =
            format!("Sink {} created: table {}, fed by query {query}", sink.name, sink.table.name);
        if let Some(former) = &former {
            message.push_str(&format!(
                ". It is filled from the beginning. The table before goes on as sink {former}; when \
                 nobody reads it any more, DROP SINK {former} DELETE TABLE DELETE TOPIC"
            ));
        }
        let sink = Box::new(OlapSink { query: query.clone(), ..sink });
        let target = Box::new(target);
        let command = Command::CreateSink { sink, target, facts, former };
        Ok(decided(command, id, message, Some(query)))
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
}

fn user(message: String) -> ApiError {
    ApiError::Engine(EngineError::User(message))
}
