//! SHOW QUERIES and EXPLAIN.

use millrace_engine::api::{Api, Explained, QueryStatus};
use serde_json::{Map, Value, json};

use super::entity::{self, entity};
use crate::http::error::HttpError;
use millrace_engine::api::{ExplainTarget, Properties};

/// `SHOW QUERIES`.
pub fn list(api: &dyn Api, statement: &str) -> Value {
    let lines: Vec<Value> = api.queries().iter().map(entity::running_query).collect();
    entity("queries", statement, json!({ "queries": lines }))
}

/// `SHOW QUERIES EXTENDED`.
pub fn list_extended(api: &dyn Api, host: &str, statement: &str) -> Value {
    let all: Vec<Value> = api
        .queries()
        .iter()
        .map(|q| match api.explain(ExplainTarget::Query(&q.id), &Properties::new()) {
            Ok(explained) => description(&explained, Some(q), host, &Properties::new()),
            Err(_) => description(&unexplained(q), Some(q), host, &Properties::new()),
        })
        .collect();
    entity("query_descriptions", statement, json!({ "queryDescriptions": all }))
}

/// A query may end while it is listed: show what is known.
fn unexplained(query: &QueryStatus) -> Explained {
    Explained {
        statement: query.sql.clone(),
        plan: String::new(),
        topology: String::new(),
        columns: Vec::new(),
        reads: Vec::new(),
        writes: query.sink.clone(),
        status: Some(query.clone()),
        sink: None,
    }
}

/// `EXPLAIN id` and `EXPLAIN statement`.
///
/// # Errors
/// When there is no such query, or the statement is wrong.
pub fn explain(
    api: &dyn Api,
    host: &str,
    statement: &str,
    target: ExplainTarget<'_>,
    properties: &Properties,
) -> Result<Value, HttpError> {
    let explained =
        api.explain(target, properties).map_err(|e| HttpError::from_api(statement, e))?;
    let mut described = description(&explained, explained.status.as_ref(), host, properties);
    if let Some(documents) = explained.sink {
        described["documents"] = documents;
    }
    Ok(entity("queryDescription", statement, json!({ "queryDescription": described })))
}

fn description(
    explained: &Explained,
    status: Option<&QueryStatus>,
    host: &str,
    properties: &Properties,
) -> Value {
    let persistent = status.is_none_or(|q| q.persistent) && explained.writes.is_some();
    let mut hosts = Map::new();
    if let Some(status) = status {
        hosts.insert(host.to_string(), json!(status.state.name()));
    }
    json!({
        "id": status.map_or("", |q| &q.id),
        "statementText": explained.statement,
        "windowType": null,
        "fields": explained.columns.iter().map(entity::result_field).collect::<Vec<_>>(),
        "sources": explained.reads,
        "sinks": explained.writes.iter().collect::<Vec<_>>(),
        "topology": explained.topology,
        "executionPlan": explained.plan,
        "overriddenProperties": properties,
        "ksqlHostQueryStatus": hosts,
        "queryType": if persistent { "PERSISTENT" } else { "PUSH" },
        "queryErrors": status.map(errors).unwrap_or_default(),
        "tasksMetadata": [],
        "consumerGroupId": "",
        "state": status.map(|q| q.state.name()),
    })
}

fn errors(query: &QueryStatus) -> Vec<Value> {
    query.errors.iter().map(|(at, message)| error(*at, message)).collect()
}

fn error(at_ms: i64, message: &str) -> Value {
    json!({ "timestamp": at_ms, "errorMessage": message, "type": "UNKNOWN" })
}
