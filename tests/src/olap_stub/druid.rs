//! A router of Druid with its management proxy: 33 as measured, later versions as documented.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::tables::{Table, Tables};
use super::{Reply, Request};

pub fn answer(version: u32, request: &Request, tables: &mut Tables) -> Reply {
    let Request { method, path, body } = request;
    let path = path.trim_start_matches("/druid/");
    let parts: Vec<&str> = path.split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["indexer", "v1", "supervisor"]) => ok(&json!(tables.names())),
        ("POST", ["indexer", "v1", "supervisor"]) => post(version, body, tables),
        ("GET", ["indexer", "v1", "supervisor", name]) => match tables.get(name) {
            Some(table) => ok(&table.document),
            None => (404, String::new()),
        },
        ("GET", ["indexer", "v1", "supervisor", name, "status"]) => match tables.get(name) {
            Some(table) => ok(&status(name, table)),
            None => (404, format!("{{\"error\":\"[{name}] does not exist\"}}")),
        },
        ("GET", ["indexer", "v1", "supervisor", _, "parseErrors"]) => ok(&json!([])),
        ("POST", ["indexer", "v1", "supervisor", name, "terminate"]) => {
            tables.remove(name);
            ok(&json!({ "id": name }))
        }
        ("GET", ["indexer", "v1", "tasks"]) => ok(&json!([])),
        ("GET", ["coordinator", "v1", "datasources", _]) => (204, String::new()),
        ("DELETE", ["coordinator", "v1", "datasources", _]) => ok(&json!({})),
        _ => (404, "Not found".to_owned()),
    }
}

/// Makes it, or gives it another specification; tasks that run read on until they are replaced.
fn post(version: u32, body: &Value, tables: &mut Tables) -> Reply {
    let io = &body["spec"]["ioConfig"];
    let name = body["spec"]["dataSchema"]["dataSource"].as_str().unwrap_or_default().to_owned();
    let (Some(topic), false) = (io["topic"].as_str(), name.is_empty()) else {
        return (400, r#"{"error":"topic and dataSource are needed"}"#.to_owned());
    };
    // Before 37 a stream could have a parser of the data's schema.
    if version >= 37 && io["inputFormat"].is_null() {
        return (400, r#"{"error":"inputFormat is needed"}"#.to_owned());
    }
    let mut document = body.clone();
    document["id"] = json!(name);
    // What Druid adds of its own.
    document["suspended"] = json!(false);
    document["spec"]["ioConfig"]["idleConfig"] = Value::Null;
    let columns = columns(body);
    let restarted = match tables.get(&name) {
        Some(table) if version >= 38 && table.document == document => false,
        Some(table) => {
            table.document = document;
            table.columns = columns;
            table.renew();
            true
        }
        None => {
            tables.add(&name, Table::new(document, topic, columns));
            true
        }
    };
    let mut answer = json!({ "id": name });
    if version >= 38 {
        answer["restarted"] = json!(restarted);
    }
    ok(&answer)
}

fn columns(spec: &Value) -> BTreeSet<String> {
    let schema = &spec["spec"]["dataSchema"];
    let dimensions = schema["dimensionsSpec"]["dimensions"].as_array();
    let names = dimensions.into_iter().flatten().filter_map(|one| one["name"].as_str());
    let time = schema["timestampSpec"]["column"].as_str();
    let metrics = schema["metricsSpec"].as_array().into_iter().flatten();
    let sums = metrics.filter_map(|one| one["fieldName"].as_str());
    names.chain(time).chain(sums).map(str::to_owned).collect()
}

fn status(name: &str, table: &Table) -> Value {
    let offsets: serde_json::Map<String, Value> =
        table.next.iter().map(|(p, next)| (p.to_string(), json!(next))).collect();
    let task = format!("index_kafka_{name}_{}", table.generation);
    json!({ "id": name, "payload": {
        "state": "RUNNING",
        "recentErrors": [],
        "activeTasks": [{ "id": task, "currentOffsets": offsets }],
    }})
}

fn ok(body: &Value) -> Reply {
    (200, body.to_string())
}
