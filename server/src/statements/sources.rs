//! SHOW STREAMS, SHOW TABLES, DESCRIBE.

use std::sync::Arc;

use millrace_engine::api::{Api, PartitionOffsets, QueryOffsets, QueryStatus};
use millrace_sql::catalog::{Catalog, QueryInfo, Source, SourceKind};
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
    let catalog = api.catalog();
    let offsets = offsets(api, &catalog, std::slice::from_ref(source), extended);
    let described = description(api, &catalog, source, &offsets, extended);
    entity("sourceDescription", statement, json!({ "sourceDescription": described }))
}

/// `SHOW STREAMS EXTENDED`, `DESCRIBE TABLES` and the like.
pub fn describe_all(api: &dyn Api, kind: SourceKind, statement: &str, extended: bool) -> Value {
    let catalog = api.catalog();
    let of_kind = catalog.sources.values().filter(|s| s.kind == kind);
    let of_kind: Vec<Arc<Source>> = of_kind.cloned().collect();
    let offsets = offsets(api, &catalog, &of_kind, extended);
    let described = |s: &Arc<Source>| description(api, &catalog, s, &offsets, extended);
    let all: Vec<Value> = of_kind.iter().map(described).collect();
    entity("source_descriptions", statement, json!({ "sourceDescriptions": all }))
}

/// Where the queries that write `sources` stand. That they cannot tell is no reason to hide the rest.
fn offsets(
    api: &dyn Api,
    catalog: &Catalog,
    sources: &[Arc<Source>],
    extended: bool,
) -> Vec<QueryOffsets> {
    if !extended {
        return Vec::new();
    }
    let writes = |q: &&Arc<QueryInfo>| sources.iter().any(|source| source.name == q.writes);
    let ids: Vec<&str> = catalog.queries.values().filter(writes).map(|q| q.id.as_str()).collect();
    api.offsets(&ids).unwrap_or_default()
}

fn description(
    api: &dyn Api,
    catalog: &Catalog,
    source: &Source,
    offsets: &[QueryOffsets],
    extended: bool,
) -> Value {
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
        "queryOffsetSummaries": summaries(&writers, offsets),
        "sourceConstraints": constraints(catalog, source),
        "clusterStatistics": [],
        "clusterErrorStats": [],
    });
    if let Some(row_ttl_ms) = source.row_ttl_ms {
        described["rowTtlMs"] = json!(row_ttl_ms);
    }
    if let Some(idle_close_ms) = writers.iter().find_map(|query| query.idle_close_ms) {
        described["idleCloseMs"] = json!(idle_close_ms);
    }
    described
}

fn summaries(writers: &[&QueryStatus], offsets: &[QueryOffsets]) -> Vec<Value> {
    let of = offsets.iter().filter(|of| writers.iter().any(|writer| writer.id == of.query));
    let partition = |at: &PartitionOffsets| {
        json!({
            "partition": at.partition,
            "logStartOffset": at.start,
            "logEndOffset": at.end,
            "consumerOffset": at.position,
        })
    };
    let summary = |of: &QueryOffsets| {
        let topics = of.topics.iter().map(|(topic, partitions)| {
            let offsets: Vec<Value> = partitions.iter().map(partition).collect();
            json!({ "kafkaTopic": topic, "offsets": offsets })
        });
        json!({ "groupId": of.group, "topicSummaries": topics.collect::<Vec<_>>() })
    };
    of.map(summary).collect()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use millrace_engine::api::QueryState;

    use super::*;

    #[test]
    fn offsets_of_the_queries_that_write_a_source() {
        let writer = QueryStatus {
            id: "CSAS_X_1".to_owned(),
            sql: String::new(),
            persistent: true,
            sink: Some("X".to_owned()),
            sink_topic: Some("x".to_owned()),
            state: QueryState::Running,
            errors: Vec::new(),
            records_in: 0,
            records_out: 0,
            late_records: 0,
            idle_close_ms: None,
            rejects: 0,
        };
        let at = PartitionOffsets { partition: 3, start: 1, end: 9, position: 7 };
        let of = |query: &str| QueryOffsets {
            query: query.to_owned(),
            group: format!("group_{query}"),
            topics: BTreeMap::from([("t".to_owned(), vec![at])]),
        };
        let got = summaries(&[&writer], &[of("CSAS_X_1"), of("CSAS_Y_2")]);
        let want = json!([{
            "groupId": "group_CSAS_X_1",
            "topicSummaries": [{
                "kafkaTopic": "t",
                "offsets": [{
                    "partition": 3,
                    "logStartOffset": 1,
                    "logEndOffset": 9,
                    "consumerOffset": 7,
                }],
            }],
        }]);
        assert_eq!(Value::Array(got), want);
    }
}
