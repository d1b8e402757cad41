//! SHOW STREAMS, SHOW TABLES, DESCRIBE.

use std::sync::Arc;

use millrace_engine::api::{Api, QueryStatus};
use millrace_sql::catalog::{Catalog, Source, SourceKind};
use serde_json::{Value, json};

use super::entity::{self, entity, kind_name};

/// `SHOW STREAMS` and `SHOW TABLES`.
pub fn list(catalog: &Catalog, kind: SourceKind, statement: &str) -> Value {
    let of_kind = catalog.sources.values().filter(|s| s.kind == kind);
    let lines: Vec<Value> = of_kind
        .map(|s| {
            json!({
                "type": kind_name(s.kind),
                "name": s.name,
                "topic": s.topic,
                "keyFormat": s.key_format.kind.name(),
                "valueFormat": s.value_format.kind.name(),
                "isWindowed": s.window.is_some(),
            })
        })
        .collect();
    match kind {
        SourceKind::Stream => entity("streams", statement, json!({ "streams": lines })),
        SourceKind::Table => entity("tables", statement, json!({ "tables": lines })),
    }
}

/// `DESCRIBE x [EXTENDED]`.
pub fn describe(api: &dyn Api, source: &Arc<Source>, statement: &str, extended: bool) -> Value {
    let described = description(api, &api.catalog(), source, extended);
    entity("sourceDescription", statement, json!({ "sourceDescription": described }))
}

/// `SHOW STREAMS EXTENDED`, `DESCRIBE TABLES` and the like.
pub fn describe_all(api: &dyn Api, kind: SourceKind, statement: &str, extended: bool) -> Value {
    let catalog = api.catalog();
    let of_kind = catalog.sources.values().filter(|s| s.kind == kind);
    let all: Vec<Value> = of_kind.map(|s| description(api, &catalog, s, extended)).collect();
    entity("source_descriptions", statement, json!({ "sourceDescriptions": all }))
}

fn description(api: &dyn Api, catalog: &Catalog, source: &Source, extended: bool) -> Value {
    let running = api.queries();
    let of = |reads: bool| -> Vec<&QueryStatus> {
        let ids = catalog.queries.values().filter(|q| match reads {
            true => q.reads.contains(&source.name),
            false => q.writes == source.name,
        });
        ids.filter_map(|q| running.iter().find(|r| r.id == q.id)).collect()
    };
    let (readers, writers) = (of(true), of(false));
    let lines = |queries: &[&QueryStatus]| -> Vec<Value> {
        queries.iter().map(|q| entity::running_query(q)).collect()
    };
    let columns = source.key_columns().chain(source.columns.iter().filter(not_key));
    // A topic that cannot be asked for is no reason to hide the rest.
    let topics = if extended { api.topics().unwrap_or_default() } else { Vec::new() };
    let topic = topics.iter().find(|t| t.name == source.topic);
    let mut described = json!({
        "name": source.name,
        "windowType": entity::window_type(source),
        "readQueries": lines(&readers),
        "writeQueries": lines(&writers),
        "fields": columns.map(entity::field).collect::<Vec<_>>(),
        "type": kind_name(source.kind),
        "timestamp": source.timestamp.as_ref().map_or("", |t| &t.column),
        "statistics": if extended { statistics(&readers, &writers) } else { String::new() },
        "errorStats": if extended { errors(&readers, &writers) } else { String::new() },
        "extended": extended,
        "keyFormat": source.key_format.kind.name(),
        "valueFormat": source.value_format.kind.name(),
        "topic": source.topic,
        "partitions": topic.map_or(if extended { source.partitions } else { 0 }, |t| t.partitions),
        "replication": topic.map_or(0, |t| t.replicas),
        "statement": source.sql,
        "queryOffsetSummaries": [],
        "sourceConstraints": constraints(catalog, source),
        "clusterStatistics": [],
        "clusterErrorStats": [],
    });
    if let Some(row_ttl_ms) = source.row_ttl_ms {
        described["rowTtlMs"] = json!(row_ttl_ms);
    }
    described
}

fn not_key(column: &&millrace_sql::catalog::Column) -> bool {
    column.role != millrace_sql::catalog::ColumnRole::Key
}

fn statistics(readers: &[&QueryStatus], writers: &[&QueryStatus]) -> String {
    let written: u64 = writers.iter().map(|q| q.records_out).sum();
    let read: u64 = readers.iter().map(|q| q.records_in).sum();
    let late: u64 = readers.iter().chain(writers).map(|q| q.late_records).sum();
    format!("records-written: {written}  records-read: {read}  late-records: {late}")
}

fn errors(readers: &[&QueryStatus], writers: &[&QueryStatus]) -> String {
    let rejects: u64 = readers.iter().chain(writers).map(|q| q.rejects).sum();
    let last = readers.iter().chain(writers).filter_map(|q| q.errors.first()).max();
    match last {
        Some((_, message)) => format!("rejected-records: {rejects}  last-error: {message}"),
        None => format!("rejected-records: {rejects}"),
    }
}

/// Sources that are made from this one and so forbid dropping it.
fn constraints(catalog: &Catalog, source: &Source) -> Vec<String> {
    let readers = catalog.queries.values().filter(|q| q.reads.contains(&source.name));
    let made = readers.filter(|q| {
        catalog.source(&q.writes).is_some_and(|s| s.query.as_deref() == Some(q.id.as_str()))
    });
    made.map(|q| q.writes.clone()).collect()
}
