//! `POST /millrace/topics/{topic}/records`: lines of JSON become records. An endpoint of ours; the
//! `load` command uses it, since the state directory of a running server is locked.
//!
//! Query parameters: `key` (field whose value becomes the key), `key_format` (`kafka`: text of the
//! value, the default; `json`: its JSON), `timestamp` (field with epoch milliseconds; else now),
//! `raw=true` (lines as they are, not checked), `first_line` (number of the first, for errors).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use millrace_engine::api::ApiError;
use millrace_engine::error::EngineError;
use millrace_engine::ids::Timestamp;
use millrace_engine::log::{LogError, Record};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::{HttpError, code};
use super::request;
use super::state::Server;
use crate::limits;

/// How lines become records.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LoadOptions {
    pub key: Option<String>,
    pub key_format: KeyFormat,
    pub timestamp: Option<String>,
    pub raw: bool,
    pub first_line: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// Text of the value; strings without quotes.
    #[default]
    Kafka,
    /// The value's JSON.
    Json,
}

/// The handler.
pub async fn load(
    State(server): State<Arc<Server>>,
    Path(topic): Path<String>,
    Query(options): Query<LoadOptions>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let body = request::body(request, limits::LOAD_BODY_BYTES_MAX).await?;
    server
        .call(move |server| {
            let records = records(&body, &options)?;
            let count = records.len();
            server.api.load(&topic, records).map_err(|e| failure(&topic, e))?;
            Ok(Json(json!({ "topic": topic, "records": count })))
        })
        .await
}

fn failure(topic: &str, error: ApiError) -> HttpError {
    match error {
        ApiError::Engine(EngineError::Log(LogError::Gone(_))) => {
            let message = format!(
                "Topic '{topic}' does not exist. Make it first, e.g. by CREATE STREAM ... WITH \
                 (KAFKA_TOPIC='{topic}', PARTITIONS=1, ...);"
            );
            HttpError::new(code::NOT_FOUND, message)
        }
        ApiError::Statement { error, .. } => HttpError::bad_request(error.to_string()),
        error => HttpError { statement: None, ..HttpError::from_api("", error) },
    }
}

/// Records of the lines of `body`; empty lines are skipped.
///
/// # Errors
/// The first line that cannot be used, by its number.
pub fn records(body: &[u8], options: &LoadOptions) -> Result<Vec<Record>, HttpError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(now.as_millis() as i64);
    let first = options.first_line.unwrap_or(1);
    let mut records = Vec::new();
    for (i, line) in body.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let record = record(line, options, now).map_err(|e| {
            HttpError::bad_request(format!("line {}: {e}", first.saturating_add(i as u64)))
        })?;
        records.push(record);
    }
    Ok(records)
}

fn record(line: &[u8], options: &LoadOptions, now: Timestamp) -> Result<Record, String> {
    if options.raw {
        return Ok(Record::new(now, None, Some(line)));
    }
    let members: Map<String, Value> = serde_json::from_slice(line).map_err(|e| {
        // The error counts lines, too, but it has seen only this one.
        let text = e.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        format!("not a JSON object: {what}, column {}", e.column())
    })?;
    let key = match &options.key {
        Some(field) => key_of(member(&members, field)?, options.key_format),
        None => None,
    };
    let timestamp = match &options.timestamp {
        Some(field) => {
            let value = member(&members, field)?;
            let ms = value.as_i64();
            Timestamp(ms.ok_or_else(|| format!("'{field}' is no time in milliseconds: {value}"))?)
        }
        None => now,
    };
    Ok(Record::new(timestamp, key.as_deref(), Some(line)))
}

fn member<'a>(members: &'a Map<String, Value>, field: &str) -> Result<&'a Value, String> {
    let found = members.get(field);
    let found =
        found.or_else(|| members.iter().find(|(n, _)| n.eq_ignore_ascii_case(field)).map(|m| m.1));
    found.ok_or_else(|| format!("no field '{field}'"))
}

fn key_of(value: &Value, format: KeyFormat) -> Option<Vec<u8>> {
    match (value, format) {
        (Value::Null, _) => None,
        (Value::String(text), KeyFormat::Kafka) => Some(text.as_bytes().to_vec()),
        (value, _) => Some(value.to_string().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &LoadOptions, line: &str, expected: Result<(Option<&str>, i64), &str>) {
        let got = record(line.as_bytes(), options, Timestamp(7));
        let got = got.map(|r| (r.key.map(|k| String::from_utf8(k).unwrap()), r.timestamp.0));
        let expected = expected.map(|(k, t)| (k.map(str::to_string), t));
        match (got, expected) {
            (Err(got), Err(part)) => assert!(got.contains(part), "{got}"),
            (got, expected) => assert_eq!(got, expected.map_err(str::to_string)),
        }
    }

    #[test]
    fn keys_and_times() {
        let plain = LoadOptions::default();
        let key = LoadOptions { key: Some("k".into()), ..plain.clone() };
        let json = LoadOptions { key_format: KeyFormat::Json, ..key.clone() };
        let time = LoadOptions { timestamp: Some("t".into()), ..plain.clone() };
        let raw = LoadOptions { raw: true, ..plain.clone() };
        check(&plain, "{\"a\":1}", Ok((None, 7)));
        check(&plain, "[1]", Err("not a JSON object"));
        check(&key, "{\"k\":\"x\"}", Ok((Some("x"), 7)));
        check(&key, "{\"K\":1.50}", Ok((Some("1.50"), 7)));
        check(&key, "{\"k\":null}", Ok((None, 7)));
        check(&key, "{\"a\":1}", Err("no field 'k'"));
        check(&json, "{\"k\":\"x\"}", Ok((Some("\"x\""), 7)));
        check(&time, "{\"t\":1357035300000}", Ok((None, 1_357_035_300_000)));
        check(&time, "{\"t\":\"now\"}", Err("no time in milliseconds"));
        check(&raw, "not json", Ok((None, 7)));
    }

    #[test]
    fn the_bad_line_is_named() {
        let options = LoadOptions { first_line: Some(101), ..LoadOptions::default() };
        let error = records(b"{}\r\n\n{}\noops\n", &options).unwrap_err();
        assert!(error.message.starts_with("line 104: not a JSON object"), "{}", error.message);
        assert_eq!(records(b"{}\r\n\n{}\n", &options).unwrap().len(), 2);
    }
}
