//! Distributed statements: external effects first (they are idempotent), then the command record,
//! then this node's own applying of it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millrace_sql::analyze::{
    self, Analyzed, DropPlan, InsertQuery, NewQuery, NewSource, NewType, Settings,
};
use millrace_sql::ast::Statement;
use millrace_sql::catalog::{Catalog, Source, SourceKind};
use millrace_sql::error::{Span, SqlError};
use millrace_sql::parser;

use crate::api::{ApiError, ApiResult, Executed, Properties};
use crate::command::{COMMAND_FORMAT, Command, CommandRecord, QueryFacts};
use crate::error::EngineError;
use crate::ids::{Offset, TopicId};
use crate::service::cleanup;
use crate::service::command_log::{Appended, wait};
use crate::service::control::effective;
use crate::service::facts::{self, FactFinder, Wish};
use crate::service::kept::is_kept;
use crate::service::replace::{self, writer_of};
use crate::service::schemas::{SchemaDesk, Schemas};
use crate::service::words::{capitalised, source_word};
use crate::service::{Booted, Inner, own_topics};
use crate::topology::Topology;

/// Tries against other nodes that append at the same time.
const APPEND_TRIES_MAX: usize = 20;
/// Pause while waiting for this node's own replay.
const REPLAY_PAUSE: Duration = Duration::from_millis(2);
const LOG_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a statement waits for topics to be deleted; the rest happens without it.
const DELETE_WAIT_MAX: Duration = Duration::from_secs(10);

/// What a statement comes to, before it is appended.
pub(super) struct Decision {
    command: Command,
    /// `stream/NAME/create`
    id: String,
    message: String,
    query: Option<String>,
}

pub(super) enum Outcome {
    Do(Box<Decision>),
    /// IF [NOT] EXISTS: nothing to do, with the message.
    Nothing(String),
}

/// One statement, checked, with its canonical text.
pub(super) struct Checked {
    pub text: String,
    pub analyzed: Analyzed,
}

/// Parses and checks one statement.
pub(super) fn analyze(sql: &str, catalog: &Catalog, properties: &Properties) -> ApiResult<Checked> {
    analyze_with(sql, catalog, properties, |statement, _| Ok(statement))
}

/// Parses, completes and checks one statement.
fn analyze_with(
    sql: &str,
    catalog: &Catalog,
    properties: &Properties,
    complete: impl FnOnce(Statement, &Settings) -> Result<Statement, SqlError>,
) -> ApiResult<Checked> {
    let refuse = |error: SqlError| ApiError::Statement { sql: sql.to_owned(), error };
    let statement = parser::parse_statement(sql).map_err(refuse)?;
    let statement = complete(statement, &Settings::from(properties)).map_err(refuse)?;
    let text = millrace_sql::unparse::to_sql(&statement);
    let settings = Settings::from(properties);
    let analyzed = analyze::analyze(&statement, &text, catalog, &settings).map_err(refuse)?;
    Ok(Checked { text, analyzed })
}

impl Inner {
    pub(super) fn execute(&self, sql: &str, properties: &Properties) -> ApiResult<Executed> {
        let booted = self.booted()?;
        let properties = effective(self, properties)?;
        let _one_at_a_time = self.ddl.lock();
        // Each sink that follows its source takes a turn, too.
        for _ in 0..APPEND_TRIES_MAX + self.catalog().sinks.len() {
            let end = booted.commands.end(LOG_TIMEOUT).map_err(ApiError::Engine)?;
            self.await_applied(end)?;
            let catalog = self.catalog();
            let Checked { text, analyzed } = self.analyze_ddl(sql, &catalog, &properties)?;
            if let Some(change) = self.next_to_follow(sql, &catalog, &analyzed)? {
                let record = self.record(text, &properties, self.follow(&catalog, change)?);
                if let Some(offset) = self.append(booted, end, "sink/follow", &record)? {
                    self.await_everywhere(offset)?;
                }
                continue;
            }
            let decision = match self.decide(booted, sql, &catalog, analyzed, &properties, end)? {
                Outcome::Do(decision) => *decision,
                Outcome::Nothing(message) => return Ok(nothing(message)),
            };
            let record = self.record(text, &properties, decision.command.clone());
            match self.append(booted, end, &decision.id, &record)? {
                Some(offset) => return self.finish(decision, offset),
                None => continue,
            }
        }
        let busy = "other nodes kept changing the catalog at the same time; try again";
        Err(ApiError::Engine(EngineError::Config(busy.to_owned())))
    }

    fn record(
        &self,
        statement: String,
        properties: &Properties,
        command: Command,
    ) -> CommandRecord {
        let (uuid, properties) = (self.uuid(), properties.clone());
        CommandRecord { format: COMMAND_FORMAT, uuid, statement, properties, command }
    }

    /// As [`analyze`], after the registry has given the columns that the statement leaves out.
    pub(super) fn analyze_ddl(
        &self,
        sql: &str,
        catalog: &Catalog,
        properties: &Properties,
    ) -> ApiResult<Checked> {
        let desk = self.schema_desk();
        let checked = analyze_with(sql, catalog, properties, |s, settings| desk.infer(s, settings));
        let checked = checked?;
        own_topics::check(&self.names, &checked.analyzed)?;
        if let Analyzed::CreateAs(new) = &checked.analyzed {
            desk.check_chosen(&new.source).map_err(refused(sql))?;
        }
        Ok(checked)
    }

    fn schema_desk(&self) -> SchemaDesk<'_> {
        SchemaDesk { formats: self.seams.formats.as_ref() }
    }

    /// `None`: somebody else was faster.
    fn append(
        &self,
        booted: &Booted,
        end: Offset,
        key: &str,
        record: &CommandRecord,
    ) -> ApiResult<Option<Offset>> {
        let now = self.seams.clock.now();
        let appended = booted.commands.append(end, key, record, now, LOG_TIMEOUT);
        match appended.map_err(ApiError::Engine)? {
            Appended::At(offset) => Ok(Some(offset)),
            Appended::Moved => Ok(None),
            Appended::Unknown => self.look_for(booted, end, &record.uuid),
        }
    }

    /// The outcome is unknown: reading settles it, for the next append of this id fences the ghost.
    fn look_for(&self, booted: &Booted, from: Offset, uuid: &str) -> ApiResult<Option<Offset>> {
        let log = self.seams.log.as_ref();
        let end = booted.commands.end(LOG_TIMEOUT).map_err(ApiError::Engine)?;
        let mut reader = super::command_log::CommandReader::from(log, booted.command_tp, from);
        let start = Instant::now();
        while reader.position() < end && start.elapsed() < LOG_TIMEOUT {
            for replayed in reader.poll().map_err(ApiError::Engine)? {
                if replayed.command.is_ok_and(|record| record.uuid == uuid) {
                    return Ok(Some(replayed.offset));
                }
            }
            log.park(REPLAY_PAUSE);
        }
        Ok(None)
    }

    fn finish(&self, decision: Decision, offset: Offset) -> ApiResult<Executed> {
        self.await_applied(Offset(offset.0 + 1))?;
        if decision.command.ends_queries() {
            cleanup::await_deleted(self, offset.0, DELETE_WAIT_MAX);
        }
        Ok(Executed {
            command_id: decision.id,
            sequence: offset.0,
            message: decision.message,
            query_id: decision.query,
            warning: None,
        })
    }

    /// Waits until commands below `end` are applied here.
    pub(super) fn await_applied(&self, end: Offset) -> ApiResult<()> {
        let start = Instant::now();
        // Control records take offsets too, so the last command may stand below `end - 1`.
        while self.command_position.load(Ordering::Acquire) < end.0 {
            if start.elapsed() > self.limits.command_timeout {
                return Err(ApiError::Engine(EngineError::Config(format!(
                    "the command was not applied within {} s; it stays in the log",
                    self.limits.command_timeout.as_secs()
                ))));
            }
            std::thread::sleep(REPLAY_PAUSE);
        }
        Ok(())
    }

    fn decide(
        &self,
        booted: &Booted,
        sql: &str,
        catalog: &Catalog,
        analyzed: Analyzed,
        properties: &Properties,
        end: Offset,
    ) -> ApiResult<Outcome> {
        match analyzed {
            Analyzed::Nothing(nothing) => Ok(Outcome::Nothing(nothing.message)),
            Analyzed::CreateSource(new) => self.decide_source(booted, sql, *new, properties, end),
            Analyzed::CreateAs(new) => {
                let schemas = self.schema_desk().register(&new.source, false);
                let schemas = schemas.map_err(refused(sql))?;
                self.decide_create_as(booted, catalog, *new, schemas, properties, end)
            }
            Analyzed::InsertInto(new) => {
                let schemas = self.schema_desk().register(&new.target, false);
                let schemas = schemas.map_err(refused(sql))?;
                self.decide_insert(booted, catalog, *new, schemas, properties, end)
            }
            Analyzed::Drop(drop) => self.decide_drop(catalog, drop),
            Analyzed::CreateSink(new) => self.decide_sink(booted, *new, properties, end),
            Analyzed::AlterSink(change) => self.decide_alter_sink(catalog, *change),
            Analyzed::DropSink(drop) => self.decide_drop_sink(drop),
            Analyzed::AlterSource(source) => Ok(decide_alter(*source)),
            Analyzed::CreateType(new) => Ok(decide_type(new)),
            Analyzed::DropType(name) => {
                let message = format!("Dropped type '{name}'");
                let id = format!("type/{name}/drop");
                Ok(decided(Command::DropType { name }, id, message, None))
            }
            Analyzed::Terminate(target) => self.decide_terminate(sql, catalog, &target),
            Analyzed::Pause(target) => self.decide_pause(sql, catalog, &target, true),
            Analyzed::Resume(target) => self.decide_pause(sql, catalog, &target, false),
            _ => Err(not_distributed(sql)),
        }
    }

    /// The topic's partitions, made or found; the source with all its facts.
    fn decide_source(
        &self,
        booted: &Booted,
        sql: &str,
        new: NewSource,
        properties: &Properties,
        end: Offset,
    ) -> ApiResult<Outcome> {
        let source = self.with_topic(&new, true)?;
        self.schema_desk().register(&source, true).map_err(refused(sql))?;
        if is_kept(&source, properties) {
            return self.decide_kept(booted, sql, source, properties, end);
        }
        let kind = source_word(source.kind);
        let id = format!("{}/{}/create", kind.to_lowercase(), source.name);
        let message = format!("{} created", capitalised(kind));
        Ok(decided(Command::CreateSource { source }, id, message, None))
    }

    /// `make`: make the topic if the statement may and it is missing.
    pub(super) fn with_topic(&self, new: &NewSource, make: bool) -> ApiResult<Source> {
        let mut source = new.source.clone();
        let log = self.seams.log.as_ref();
        let found = wait(log, LOG_TIMEOUT, || log.describe(&source.topic)).and_then(|found| found);
        let found = found.map_err(|e| ApiError::Engine(EngineError::Log(e)))?;
        source.partitions = match (&found, &new.create_topic) {
            (Some(topic), Some(wish)) if topic.partitions != wish.partitions => {
                let message = format!(
                    "A Kafka topic with the name '{}' already exists, with different \
                     partition/replica configuration than required. KSQL expects {} partitions \
                     (topic has {})",
                    source.topic, wish.partitions, topic.partitions
                );
                let hint = format!(
                    "leave PARTITIONS out, or say {}; or use another KAFKA_TOPIC",
                    topic.partitions
                );
                let error = SqlError::invalid(message).hint(hint);
                let error = match place_of(&source.sql, "PARTITIONS") {
                    Some(place) => error.at(place),
                    None => error,
                };
                return Err(ApiError::Statement { sql: source.sql, error });
            }
            (Some(topic), _) => topic.partitions,
            (None, Some(wish)) => {
                source.partitions = wish.partitions;
                if make {
                    let spec = facts::sink_spec(&source, wish.replicas, wish.retention_ms);
                    facts::ensure(log, &spec).map_err(ApiError::Engine)?;
                }
                wish.partitions
            }
            (None, None) => return Err(no_topic(source)),
        };
        Ok(source)
    }

    fn decide_create_as(
        &self,
        booted: &Booted,
        catalog: &Catalog,
        new: NewQuery,
        schemas: Schemas,
        properties: &Properties,
        end: Offset,
    ) -> ApiResult<Outcome> {
        if let Some(old) = writer_of(catalog, &new)?.and_then(|id| self.registry.get(&id)) {
            return replace::replace(&old, new, schemas);
        }
        let topology = Topology::of(&new.plan).map_err(ApiError::Engine)?;
        let stream = new.source.kind == SourceKind::Stream;
        let query =
            format!("{}_{}_{}", if stream { "CSAS" } else { "CTAS" }, new.source.name, end.0);
        let mut sink = Source { query: Some(query.clone()), ..new.source };
        sink.partitions = new.topic.partitions;
        let mut wish = self.wish(&query, &topology, &sink, properties);
        wish.make_sink = true;
        wish.sink_replicas = new.topic.replicas;
        wish.sink_retention_ms = new.topic.retention_ms;
        wish.sink_retention_min_ms = new.topic.retention_min_ms;
        let facts = self.facts(booted, &wish, schemas, end)?;
        let id = format!("{}/{}/create", source_word(sink.kind).to_lowercase(), sink.name);
        let message = format!("Created query with ID {query}");
        let command = Command::CreateQuery { sink: Some(sink), facts };
        Ok(decided(command, id, message, Some(query)))
    }

    fn decide_insert(
        &self,
        booted: &Booted,
        catalog: &Catalog,
        new: InsertQuery,
        schemas: Schemas,
        properties: &Properties,
        end: Offset,
    ) -> ApiResult<Outcome> {
        let topology = Topology::of(&new.plan).map_err(ApiError::Engine)?;
        let query = new.query_id.unwrap_or_else(|| format!("INSERTQUERY_{}", end.0));
        if catalog.queries.contains_key(&query) {
            let message = format!("Query ID '{query}' already exists.");
            return Err(ApiError::Engine(EngineError::User(message)));
        }
        let wish = self.wish(&query, &topology, &new.target, properties);
        let facts = self.facts(booted, &wish, schemas, end)?;
        let id = format!("stream/{}/create", new.target.name);
        let message = format!("Created query with ID {query}");
        Ok(decided(Command::CreateQuery { sink: None, facts }, id, message, Some(query)))
    }

    pub(super) fn wish<'a>(
        &self,
        query: &'a str,
        topology: &'a Topology,
        sink: &'a Source,
        properties: &Properties,
    ) -> Wish<'a> {
        let is = |name: &str, value: &str| {
            properties.get(name).is_some_and(|v| v.trim().eq_ignore_ascii_case(value))
        };
        let cache = properties
            .get("cache.max.bytes.buffering")
            .or_else(|| properties.get("statestore.cache.max.bytes"));
        Wish {
            query,
            topology,
            sink,
            sink_replicas: None,
            sink_retention_ms: None,
            sink_retention_min_ms: None,
            make_sink: false,
            from_earliest: is("auto.offset.reset", "earliest"),
            coalesce: cache.is_none_or(|bytes| bytes.trim() != "0"),
            replicas: self.config.internal_replicas,
        }
    }

    pub(super) fn facts(
        &self,
        booted: &Booted,
        wish: &Wish<'_>,
        schemas: Schemas,
        end: Offset,
    ) -> ApiResult<QueryFacts> {
        let met = self.meeting(wish.query, wish.topology);
        let mut met = met.map_err(|e| ApiError::Engine(e.into()))?;
        met.extend(schemas);
        let running = self.registry.all();
        let finder = FactFinder {
            log: booted.world.log.as_ref(),
            names: &self.names,
            lanes: self.lanes(),
            running: &running,
        };
        let facts = finder.find(wish, end).map_err(ApiError::Engine)?;
        Ok(QueryFacts { schemas: met, ..facts })
    }

    fn decide_drop(&self, catalog: &Catalog, drop: DropPlan) -> ApiResult<Outcome> {
        let name = drop.source.name.clone();
        if !catalog.sources.contains_key(&name) {
            return Err(ApiError::Engine(EngineError::User(format!(
                "Source {name} does not exist."
            ))));
        }
        let queries: Vec<String> = drop.terminates.into_iter().collect();
        let mut delete: Vec<TopicId> = Vec::new();
        if drop.delete_topic {
            let topic = facts::describe(self.seams.log.as_ref(), &drop.source.topic);
            // A topic that is gone already is as wanted.
            delete.extend(topic.ok().map(|info| info.id));
        }
        let kind = source_word(drop.source.kind).to_lowercase();
        let id = format!("{kind}/{name}/drop");
        let message = format!("Source `{name}` (topic: {}) was dropped.", drop.source.topic);
        Ok(decided(Command::Drop { source: name, queries, delete }, id, message, None))
    }

    /// A random UUID from the node's entropy.
    pub(super) fn uuid(&self) -> String {
        let entropy = &self.seams.entropy;
        let bits = u128::from(entropy.next_u64()) << 64 | u128::from(entropy.next_u64());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }
}

pub(super) fn refused(sql: &str) -> impl Fn(SqlError) -> ApiError + '_ {
    move |error| ApiError::Statement { sql: sql.to_owned(), error }
}

pub(super) fn decided(
    command: Command,
    id: String,
    message: String,
    query: Option<String>,
) -> Outcome {
    Outcome::Do(Box::new(Decision { command, id, message, query }))
}

fn decide_alter(source: Source) -> Outcome {
    let kind = source_word(source.kind);
    let id = format!("{}/{}/alter", kind.to_lowercase(), source.name);
    let message = format!("{} {} altered.", capitalised(kind), source.name);
    decided(Command::AlterSource { source }, id, message, None)
}

fn decide_type(new: NewType) -> Outcome {
    let NewType { name, ty } = new;
    let id = format!("type/{name}/create");
    let message = format!("Registered custom type with name '{name}' and SQL type {ty}");
    decided(Command::CreateType { name, ty }, id, message, None)
}

fn nothing(message: String) -> Executed {
    Executed {
        command_id: String::new(),
        sequence: -1,
        message: message.clone(),
        query_id: None,
        warning: Some(message),
    }
}

fn not_distributed(sql: &str) -> ApiError {
    let error = SqlError::invalid("this statement is not run on all nodes");
    ApiError::Statement { sql: sql.to_owned(), error }
}

/// A source over a topic that there is not, and that the statement does not have made.
fn no_topic(source: Source) -> ApiError {
    let error = SqlError::invalid(format!(
        "Topic '{}' does not exist. If you want to create a new topic for the stream/table please \
         re-run the statement providing the required 'PARTITIONS' configuration in the WITH clause \
         (and optionally 'REPLICAS').",
        source.topic
    ));
    let error = match place_of(&source.sql, "KAFKA_TOPIC") {
        Some(place) => error.at(place),
        None => error,
    };
    ApiError::Statement { sql: source.sql, error }
}

/// Where a property stands in the WITH clause of a statement that ends with one.
fn place_of(sql: &str, property: &str) -> Option<Span> {
    let start = sql.to_ascii_uppercase().rfind(property)?;
    Some(Span::new(start, start + property.len()))
}
