//! SHOW SINKS and DESCRIBE SINK.

use millrace_engine::api::{Api, SinkPartition, SinkStatus};
use millrace_sql::catalog::Catalog;
use millrace_sql::olap::OlapColumn;
use serde_json::{Value, json};

use super::entity::{entity, schema};
use crate::http::error::HttpError;

/// `SHOW SINKS`.
///
/// # Errors
/// When the server is not ready.
pub fn list(api: &dyn Api, text: &str) -> Result<Value, HttpError> {
    let sinks = api.sinks(None).map_err(|e| HttpError::from_api(text, e))?;
    let lines: Vec<Value> = sinks.iter().map(line).collect();
    Ok(entity("sinks", text, json!({ "sinks": lines })))
}

/// `DESCRIBE SINK`.
///
/// # Errors
/// When there is none of that name, or the server is not ready.
pub fn describe(api: &dyn Api, name: &str, extended: bool, text: &str) -> Result<Value, HttpError> {
    let sinks = api.sinks(Some(name)).map_err(|e| HttpError::from_api(text, e))?;
    let status = sinks.first().ok_or_else(|| unknown(name, text))?;
    let mut described = line(status);
    described["statement"] = json!(status.sink.sql);
    described["fields"] = status.sink.table.columns.iter().map(field).collect();
    described["currentRowsQuery"] = json!(status.current_rows);
    if extended {
        let partition = |p: &SinkPartition| json!({ "partition": p.partition, "nextOffset": p.next, "endOffset": p.end });
        described["partitions"] = status.partitions.iter().map(partition).collect();
        described["documents"] = status.documents.clone();
    }
    Ok(entity("sink_description", text, json!({ "sinkDescription": described })))
}

/// # Errors
/// When there is no sink of that name.
pub fn known(catalog: &Catalog, name: &str, text: &str) -> Result<(), HttpError> {
    if catalog.sinks.contains_key(name) { Ok(()) } else { Err(unknown(name, text)) }
}

fn unknown(name: &str, text: &str) -> HttpError {
    let message = format!("Sink '{name}' does not exist.\nhint: SHOW SINKS lists what there is.");
    HttpError::refused(text, message)
}

fn line(status: &SinkStatus) -> Value {
    let sink = &status.sink;
    json!({
        "name": sink.name,
        "system": sink.table.system.name(),
        "table": sink.table.name,
        "source": sink.source,
        "topic": sink.table.topic,
        "queryId": sink.query,
        "state": status.state,
        "lag": status.lag,
        "freshnessSeconds": status.freshness_ms.map(|ms| ms as f64 / 1000.0),
        "rowsEmitted": status.rows,
        "lastError": status.last_error,
    })
}

fn field(column: &OlapColumn) -> Value {
    let mut out = json!({ "name": column.name, "schema": schema(&column.ty) });
    if column.key {
        out["type"] = json!("KEY");
    }
    out
}
