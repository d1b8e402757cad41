//! A controller of Pinot: 0.11 as measured, later versions as documented.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::tables::{Table, Tables};
use super::{Reply, Request};

/// Major and minor.
type Version = (u32, u32);

const LISTS: [&str; 3] = ["dimensionFieldSpecs", "metricFieldSpecs", "dateTimeFieldSpecs"];
/// What only versions from 1.0 on know, as paths in a table's configuration.
const SINCE_1_0: [&str; 4] = [
    "/realtime/upsertConfig/comparisonColumns",
    "/realtime/upsertConfig/deleteRecordColumn",
    "/realtime/ingestionConfig/segmentTimeValueCheck",
    "/realtime/ingestionConfig/continueOnError",
];

pub fn answer(version: Version, request: &Request, tables: &mut Tables) -> Reply {
    let Request { method, path, body } = request;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let old = version < (1, 0);
    match (method.as_str(), parts.as_slice()) {
        ("POST", ["tableConfigs", "validate"]) => match refusal(version, body) {
            Some(why) => failed(400, &why),
            None => ok(&json!({ "unrecognizedProperties": unknown(version, body) })),
        },
        ("POST", ["tableConfigs"]) => make(version, body, tables),
        ("DELETE", ["tableConfigs", name]) => {
            tables.remove(name);
            ok(&json!({ "status": "deleted" }))
        }
        ("GET", ["tables", name]) => match tables.get(name) {
            Some(table) => {
                let mut config = table.document["realtime"].clone();
                config["tableName"] = json!(format!("{name}_REALTIME"));
                ok(&json!({ "REALTIME": config }))
            }
            None if old => ok(&json!({})),
            None => failed(404, "no such table"),
        },
        ("GET", ["schemas", name]) => match tables.get(name) {
            Some(table) => ok(&table.document["schema"]),
            None => match tables.schemas.get(*name) {
                Some(schema) => ok(schema),
                None => failed(404, "no such schema"),
            },
        },
        ("PUT", ["schemas", name]) => alter(version, name, body, tables),
        ("POST", ["tables", name, "forceCommit"]) => match tables.get(name) {
            Some(table) => {
                table.renew();
                (200, String::new())
            }
            None => failed(404, "no such table"),
        },
        ("GET", ["tables", name, "consumingSegmentsInfo"]) => match tables.get(name) {
            Some(table) => {
                let segments = consuming(version, name, table);
                ok(&if tables.failing.is_some() { stopped(segments) } else { segments })
            }
            None => failed(404, "no such table"),
        },
        ("GET", ["tables", name, "externalview"]) => match tables.get(name) {
            Some(_) => ok(&json!({ "REALTIME": {} })),
            None => failed(404, "no such table"),
        },
        ("GET", ["debug", "tables", name]) => ok(&debug(name, tables)),
        _ => failed(404, "HTTP 404 Not Found"),
    }
}

fn make(version: Version, body: &Value, tables: &mut Tables) -> Reply {
    let name = body["tableName"].as_str().unwrap_or_default();
    if tables.get(name).is_some() || tables.schemas.contains_key(name) {
        return failed(400, &format!("TableConfigs: {name} already exists. Use PUT to update"));
    }
    if let Some(why) = refusal(version, body) {
        return failed(400, &why);
    }
    let old = version < (1, 0);
    if old && body["realtime"]["segmentsConfig"]["replicasPerPartition"].is_null() {
        return failed(500, "Field replicasPerPartition needs to be specified");
    }
    let stream = &body["realtime"]["ingestionConfig"]["streamIngestionConfig"]["streamConfigMaps"];
    let topic = stream[0]["stream.kafka.topic.name"].as_str().unwrap_or_default();
    let factory = stream[0]["stream.kafka.consumer.factory.class.name"].as_str();
    if old && factory.is_some_and(|class| class.contains("kafka30")) {
        return failed(500, "java.lang.ClassNotFoundException");
    }
    tables.add(name, Table::new(body.clone(), topic, columns(&body["schema"])));
    ok(&json!({ "status": "added", "unrecognizedProperties": unknown(version, body) }))
}

fn alter(version: Version, name: &str, body: &Value, tables: &mut Tables) -> Reply {
    let Some(table) = tables.get(name) else { return failed(404, "no such schema") };
    let (has, wanted) = (columns(&table.document["schema"]), columns(body));
    if !has.is_subset(&wanted) {
        return failed(400, "Backward incompatible schema. Only allow adding new columns");
    }
    table.document["schema"] = body.clone();
    table.columns = wanted;
    // Before 1.0 a reload leaves the segments that are being filled as they are.
    if version >= (1, 0) {
        table.renew();
    }
    ok(&json!({ "status": "updated", "unrecognizedProperties": {} }))
}

fn columns(schema: &Value) -> BTreeSet<String> {
    let fields = LISTS.iter().filter_map(|list| schema[*list].as_array()).flatten();
    fields.filter_map(|field| field["name"].as_str().map(str::to_owned)).collect()
}

fn unknown(version: Version, body: &Value) -> Value {
    let since = SINCE_1_0.iter().filter(|_| version < (1, 0));
    let found = since.filter_map(|path| Some((*path, body.pointer(path)?.clone())));
    Value::Object(found.map(|(path, value)| (path.to_owned(), value)).collect())
}

fn refusal(version: Version, body: &Value) -> Option<String> {
    let (schema, config) = (&body["schema"], &body["realtime"]);
    let old = version < (1, 0);
    let stream = &config["ingestionConfig"]["streamIngestionConfig"]["streamConfigMaps"][0];
    if stream["stream.kafka.decoder.class.name"].is_null() {
        return Some("decoder class is missing".to_owned());
    }
    if old && stream["stream.kafka.consumer.type"] != "lowlevel" {
        return Some("stream.kafka.consumer.type is missing".to_owned());
    }
    if old && (config["tenants"].is_null() || config["metadata"].is_null()) {
        return Some("tenants and metadata are missing".to_owned());
    }
    let decimal = |field: &&Value| field["dataType"] == "BIG_DECIMAL";
    let dimensions = schema["dimensionFieldSpecs"].as_array().map_or(&[][..], Vec::as_slice);
    if old && dimensions.iter().find(decimal).is_some() {
        return Some("BIG_DECIMAL is no dimension".to_owned());
    }
    let upsert = !config["upsertConfig"].is_null();
    if upsert && config["routing"]["instanceSelectorType"] != "strictReplicaGroup" {
        return Some("upsert needs strictReplicaGroup".to_owned());
    }
    (upsert && schema["primaryKeyColumns"].is_null()).then(|| "upsert needs a key".to_owned())
}

fn consuming(version: Version, name: &str, table: &Table) -> Value {
    let mut segments = serde_json::Map::new();
    for (partition, next) in &table.next {
        let segment = format!("{name}__{partition}__{}__20261121T2200Z", table.generation);
        let mut server = json!({
            "serverName": "Server_1",
            "consumerState": "CONSUMING",
            "partitionToOffsetMap": { partition.to_string(): next.to_string() },
        });
        if version >= (1, 0) {
            server["partitionOffsetInfo"] = json!({
                "currentOffsetsMap": { partition.to_string(): next.to_string() },
            });
        }
        segments.insert(segment, json!([server]));
    }
    json!({ "_segmentToConsumingInfoMap": segments })
}

/// The controller takes the segment of a consumer that has stopped out of those that are filled.
fn stopped(mut consuming: Value) -> Value {
    if let Some(segments) = consuming["_segmentToConsumingInfoMap"].as_object_mut()
        && let Some(first) = segments.keys().next().cloned()
    {
        segments.remove(&first);
    }
    consuming
}

fn debug(name: &str, tables: &Tables) -> Value {
    let Some(why) = &tables.failing else { return json!([]) };
    let thrown = json!({ "errorMessage": "Exception while in work", "stackTrace": why });
    let server = json!({ "idealState": "OFFLINE", "externalView": "OFFLINE", "errorInfo": thrown });
    let info = json!({
        "segmentName": format!("{name}__0__0__20261121T2200Z"),
        "serverState": { "Server_1": server },
    });
    json!([{ "tableName": format!("{name}_REALTIME"), "segmentDebugInfos": [info] }])
}

fn ok(body: &Value) -> Reply {
    (200, body.to_string())
}

fn failed(status: u16, why: &str) -> Reply {
    (status, json!({ "code": status, "error": why }).to_string())
}
