//! Applies commands to the catalog and to the registry of queries, in the order of the log. The same
//! on every node and at every replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_sql::analyze::{self, Analyzed, Settings};
use millrace_sql::catalog::{Catalog, QueryInfo, Source};
use millrace_sql::olap::OlapSink;
use millrace_sql::parser;
use millrace_sql::plan::QueryPlan;

use crate::command::{Command, CommandRecord, QueryFacts};
use crate::error::{EngineError, Result};
use crate::ids::Offset;
use crate::query::{QueryDef, QueryShared};
use crate::service::command_log::Replayed;
use crate::service::{Inner, schemas};
use crate::topology::Topology;
use crate::upgrade::upgraded;

/// Applies one record. A command that cannot be applied is told in `health`; it keeps its place.
pub(super) fn apply(inner: &Inner, replayed: Replayed) {
    let Replayed { offset, command } = replayed;
    let applied = command
        .map_err(EngineError::Config)
        .and_then(|record| apply_record(inner, offset, &record));
    if let Err(error) = applied {
        inner.trouble("commands", format!("command {offset} cannot be applied: {error}"));
    }
    inner.registry.applied(offset.0);
}

fn apply_record(inner: &Inner, offset: Offset, record: &CommandRecord) -> Result<()> {
    let mut catalog = inner.catalog().as_ref().clone();
    match &record.command {
        Command::CreateSource { source } | Command::AlterSource { source } => {
            catalog.sources.insert(source.name.clone(), Arc::new(source.clone()));
        }
        Command::CreateQuery { sink, facts } => {
            let query = query_of(inner, record, sink.as_ref(), facts, &catalog)?;
            add_query(&mut catalog, &query, sink.as_ref());
            inner.registry.add(Arc::new(query));
        }
        Command::CreateType { name, ty } => {
            catalog.types.insert(name.clone(), ty.clone());
        }
        Command::DropType { name } => {
            catalog.types.remove(name);
        }
        Command::Drop { source, queries, delete } => {
            remove_queries(inner, offset, &mut catalog, queries);
            catalog.sources.remove(source);
            inner.doomed.add(offset.0, delete.iter().copied());
        }
        Command::CreateSink { sink, target, facts, former } => {
            let query = query_of(inner, record, Some(target), facts, &catalog)?;
            if let Some(former) = former {
                rename_sink(&mut catalog, &sink.name, former);
            }
            add_sink(&mut catalog, &query, sink);
            inner.registry.add(Arc::new(query));
        }
        Command::AlterSink { sink, source } => {
            let query = altered_query(inner, record, sink, source)?;
            add_sink(&mut catalog, &query, sink);
            inner.registry.add(Arc::new(query));
        }
        Command::DropSink { sink, query, delete } => {
            remove_queries(inner, offset, &mut catalog, std::slice::from_ref(query));
            catalog.sinks.remove(sink);
            inner.doomed.add(offset.0, delete.iter().copied());
        }
        Command::Terminate { queries } => remove_queries(inner, offset, &mut catalog, queries),
        Command::Pause { queries } => set_paused(inner, &mut catalog, queries, true),
        Command::Resume { queries } => set_paused(inner, &mut catalog, queries, false),
    }
    *inner.catalog.write() = Arc::new(catalog);
    Ok(())
}

/// The query that a command created: its plan follows from the statement and the catalog as they
/// were, everything else is in the facts.
fn query_of(
    inner: &Inner,
    record: &CommandRecord,
    sink: Option<&Source>,
    facts: &QueryFacts,
    catalog: &Catalog,
) -> Result<QueryDef> {
    let (plan, target) = match sink.filter(|sink| sink.read_only) {
        Some(kept) => (analyze::kept_table(kept)?, Arc::new(kept.clone())),
        None => plan_of(&record.statement, catalog, &record.properties)?,
    };
    define(inner, record, plan, sink.unwrap_or(&target), facts)
}

/// The query of a sink whose table has more columns.
fn altered_query(
    inner: &Inner,
    record: &CommandRecord,
    sink: &OlapSink,
    source: &Source,
) -> Result<QueryDef> {
    let Some(old) = inner.registry.get(&sink.query) else {
        return Err(EngineError::Config(format!("query {} does not exist", sink.query)));
    };
    let (plan, target) = analyze::sink_plan(sink, &Arc::new(source.clone()))?;
    let query = define(inner, record, plan, &target, &old.facts)?;
    // What SHOW QUERIES counts goes on, and its statement is the sink's.
    query.status.add(&old.status.counts());
    Ok(QueryDef { sql: sink.sql.clone(), ..query })
}

/// A query, on the stores of the one of its id if there is one.
fn define(
    inner: &Inner,
    record: &CommandRecord,
    plan: QueryPlan,
    sink: &Source,
    facts: &QueryFacts,
) -> Result<QueryDef> {
    let sink = Arc::new(schemas::with_schemas(sink, &facts.schemas));
    if let Some(registry) = inner.seams.formats.registry() {
        facts.schemas.values().for_each(|schema| registry.remember(schema.clone()));
    }
    let replaced = inner.registry.get(&facts.query);
    let mut topology = match &replaced {
        Some(old) => upgraded(&old.topology, &plan)?,
        None => Topology::of(&plan)?,
    };
    let status = QueryShared::default();
    status.set_paused(replaced.is_some_and(|old| old.status.is_paused()));
    topology.write_to(&sink);
    Ok(QueryDef {
        id: facts.query.clone(),
        sql: record.statement.clone(),
        topology,
        plan,
        facts: facts.clone(),
        sink: Some(sink),
        names: inner.names.clone(),
        status,
    })
}

/// The plan of a CREATE ... AS or INSERT INTO statement, and the source it writes.
pub(super) fn plan_of(
    statement: &str,
    catalog: &Catalog,
    properties: &BTreeMap<String, String>,
) -> Result<(QueryPlan, Arc<Source>)> {
    let parsed = parser::parse_statement(statement)?;
    match analyze::analyze(&parsed, statement, catalog, &Settings::from(properties))? {
        Analyzed::CreateAs(create) => Ok((create.plan, Arc::new(create.source))),
        Analyzed::InsertInto(insert) => Ok((insert.plan, insert.target)),
        Analyzed::CreateSink(new) => Ok((new.plan, Arc::new(new.target))),
        _ => Err(EngineError::Config(format!("the command makes no query: {statement}"))),
    }
}

fn add_query(catalog: &mut Catalog, query: &QueryDef, sink: Option<&Source>) {
    if let Some(sink) = sink {
        catalog.sources.insert(sink.name.clone(), Arc::new(sink.clone()));
    }
    let writes = query.sink.as_ref().map(|sink| sink.name.clone()).unwrap_or_default();
    let materialized =
        query.topology.aggregate().is_some() || query.topology.materialized().is_some();
    let info = QueryInfo {
        id: query.id.clone(),
        sql: query.sql.clone(),
        reads: query.plan.reads.clone(),
        writes,
        paused: query.status.is_paused(),
        materialized,
    };
    catalog.queries.insert(query.id.clone(), Arc::new(info));
}

/// The query of a sink writes a topic that no stream or table stands for.
fn add_sink(catalog: &mut Catalog, query: &QueryDef, sink: &OlapSink) {
    add_query(catalog, query, None);
    if let Some(info) = catalog.queries.get_mut(&query.id) {
        Arc::make_mut(info).writes.clear();
    }
    catalog.sinks.insert(sink.name.clone(), Arc::new(sink.clone()));
}

/// The sink goes on with its table under another name.
pub(super) fn rename_sink(catalog: &mut Catalog, name: &str, former: &str) {
    if let Some(sink) = catalog.sinks.remove(name) {
        let sink = OlapSink { name: former.to_owned(), ..sink.as_ref().clone() };
        catalog.sinks.insert(sink.name.clone(), Arc::new(sink));
    }
}

fn remove_queries(inner: &Inner, offset: Offset, catalog: &mut Catalog, queries: &[String]) {
    for id in queries {
        if let Some(query) = inner.registry.remove(id, inner.lanes()) {
            inner.doomed.add(offset.0, query.internal_topics());
        }
        catalog.queries.remove(id);
    }
}

fn set_paused(inner: &Inner, catalog: &mut Catalog, queries: &[String], paused: bool) {
    for id in queries {
        if let Some(query) = inner.registry.get(id) {
            query.status.set_paused(paused);
        }
        if let Some(info) = catalog.queries.get_mut(id) {
            let info = Arc::make_mut(info);
            info.paused = paused;
        }
    }
}
