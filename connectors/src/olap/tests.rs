//! The documents as data, and what is made of answers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;

use millrace_sql::olap::OlapColumn;
use millrace_sql::types::{SqlType, StructField};
use serde_json::json;

use super::pinot::Dialect;
use super::same::difference;
use super::*;

fn column(name: &str, ty: SqlType, key: bool) -> OlapColumn {
    OlapColumn { name: name.to_owned(), ty, key }
}

fn decimal() -> SqlType {
    SqlType::Decimal { precision: 20, scale: 4 }
}

fn table(system: OlapSystem, keyed: bool, columns: Vec<OlapColumn>) -> OlapTable {
    OlapTable {
        system,
        name: "t".to_owned(),
        url: String::new(),
        topic: "T_OLAP".to_owned(),
        keyed,
        windowed: false,
        columns,
        options: BTreeMap::new(),
    }
}

fn two(system: OlapSystem, keyed: bool) -> OlapTable {
    let columns = vec![column("k", SqlType::String, keyed), column("n", SqlType::Bigint, false)];
    table(system, keyed, columns)
}

/// Druid gives `ALL` back in another form than the others.
#[test]
fn granularities() {
    for (option, expected) in
        [(None, json!("DAY")), (Some("YEAR"), json!("YEAR")), (Some("ALL"), json!({"type": "all"}))]
    {
        let mut table = two(OlapSystem::Druid, true);
        table.options.extend(option.map(|o| ("SEGMENT_GRANULARITY".to_owned(), o.to_owned())));
        let spec = druid::spec(&table, "b:1");
        let has = &spec["spec"]["dataSchema"]["granularitySpec"]["segmentGranularity"];
        assert_eq!(*has, expected);
    }
}

#[test]
fn types_of_columns() {
    let array = |ty: SqlType| SqlType::Array(Box::new(ty));
    let object = SqlType::Struct(vec![StructField { name: "A".into(), ty: SqlType::Integer }]);
    let map = SqlType::Map(Box::new(SqlType::String), Box::new(SqlType::Integer));
    let cases = [
        (SqlType::Boolean, "BOOLEAN", "BOOLEAN", "long"),
        (SqlType::Integer, "INT", "INT", "long"),
        (SqlType::Bigint, "LONG", "LONG", "long"),
        (SqlType::Double, "DOUBLE", "DOUBLE", "double"),
        (decimal(), "BIG_DECIMAL", "STRING", "string"),
        (SqlType::String, "STRING", "STRING", "string"),
        (SqlType::Bytes, "BYTES", "STRING", "string"),
        (SqlType::Date, "STRING", "STRING", "string"),
        (SqlType::Time, "INT", "INT", "long"),
        (SqlType::Timestamp, "TIMESTAMP", "TIMESTAMP", "long"),
        (array(SqlType::Integer), "JSON", "STRING", "auto"),
        (array(object.clone()), "JSON", "STRING", "json"),
        (map, "JSON", "STRING", "json"),
        (object, "JSON", "STRING", "json"),
    ];
    for (ty, pinot, pinot_key, druid) in cases {
        for (key, expected) in [(false, pinot), (true, pinot_key)] {
            let table = table(OlapSystem::Pinot, true, vec![column("c", ty.clone(), key)]);
            let schema = pinot::documents(&table, "b", Dialect::Current)["schema"].clone();
            let list = if expected == "BIG_DECIMAL" { "metric" } else { "dimension" };
            let field = &schema[format!("{list}FieldSpecs")][0];
            assert_eq!(field["dataType"], expected, "{ty} {key}");
            let cut = matches!(expected, "STRING" | "JSON" | "BYTES");
            assert_eq!(field["maxLength"] == i32::MAX, cut, "{ty}");
        }
        let table = table(OlapSystem::Druid, false, vec![column("c", ty.clone(), false)]);
        let spec = druid::spec(&table, "b");
        let dimension = &spec["spec"]["dataSchema"]["dimensionsSpec"]["dimensions"][0];
        assert_eq!(dimension, &json!({ "type": druid, "name": "c" }), "{ty}");
    }
}

#[test]
fn a_table_of_pinot() {
    let of = |keyed, dialect| pinot::documents(&two(OlapSystem::Pinot, keyed), "k:1", dialect);
    let current = of(true, Dialect::Current);
    let expected = json!({
        "tableName": "t",
        "schema": {
            "schemaName": "t",
            "primaryKeyColumns": ["k"],
            "dimensionFieldSpecs": [
                { "name": "k", "dataType": "STRING", "maxLength": 2147483647 },
                { "name": "n", "dataType": "LONG" },
                { "name": "_deleted", "dataType": "BOOLEAN" },
                { "name": "_version", "dataType": "LONG" },
            ],
            "metricFieldSpecs": [],
            "dateTimeFieldSpecs": [{
                "name": "_rowtime", "dataType": "LONG",
                "format": "1:MILLISECONDS:EPOCH", "granularity": "1:MILLISECONDS",
            }],
        },
        "realtime": {
            "tableName": "t",
            "tableType": "REALTIME",
            "segmentsConfig": { "timeColumnName": "_rowtime", "replication": "1" },
            "tenants": {},
            "tableIndexConfig": { "loadMode": "MMAP", "nullHandlingEnabled": true },
            "metadata": {},
            "ingestionConfig": {
                "segmentTimeValueCheck": false,
                "streamIngestionConfig": { "streamConfigMaps": [{
                    "streamType": "kafka",
                    "stream.kafka.topic.name": "T_OLAP",
                    "stream.kafka.broker.list": "k:1",
                    "stream.kafka.consumer.type": "lowlevel",
                    "stream.kafka.consumer.factory.class.name":
                        "org.apache.pinot.plugin.stream.kafka20.KafkaConsumerFactory",
                    "stream.kafka.decoder.class.name":
                        "org.apache.pinot.plugin.inputformat.json.JSONMessageDecoder",
                    "stream.kafka.consumer.prop.auto.offset.reset": "smallest",
                    "stream.kafka.isolation.level": "read_committed",
                    "realtime.segment.flush.threshold.rows": "500000",
                    "realtime.segment.flush.threshold.time": "6h",
                }] },
            },
            "routing": { "instanceSelectorType": "strictReplicaGroup" },
            "upsertConfig": {
                "mode": "FULL", "comparisonColumns": ["_version"],
                "deleteRecordColumn": "_deleted", "hashFunction": "NONE",
            },
        },
    });
    assert_eq!(current, expected);
    let old = of(true, Dialect::Old)["realtime"].clone();
    assert_eq!(
        old["upsertConfig"],
        json!({ "mode": "FULL", "comparisonColumn": "_version", "hashFunction": "NONE" })
    );
    assert_eq!(old["segmentsConfig"]["replicasPerPartition"], "1");
    let stream = of(false, Dialect::Current);
    for absent in ["upsertConfig", "routing"] {
        assert!(stream["realtime"][absent].is_null(), "{absent}");
    }
    assert!(stream["schema"]["primaryKeyColumns"].is_null());
}

#[test]
fn current_rows_leave_out_what_is_deleted() {
    let (pinot, druid) = (OlapSystem::Pinot, OlapSystem::Druid);
    let cases = [
        (pinot, true, "SELECT \"k\", \"n\" FROM \"t\" WHERE \"_deleted\" = false LIMIT 1000000000"),
        (pinot, false, "SELECT \"k\", \"n\" FROM \"t\" LIMIT 1000000000"),
        (
            druid,
            true,
            "SELECT \"k\", \"n\" FROM \"t\" WHERE \"_deleted\" = 0 AND \"_version\" IN (SELECT \
             MAX(\"_version\") FROM \"t\" GROUP BY \"k\")",
        ),
        (druid, false, "SELECT \"k\", \"n\" FROM \"t\""),
    ];
    let clients = OlapClients::new(OlapConfig::default()).unwrap();
    for (system, keyed, expected) in cases {
        assert_eq!(clients.current_rows(&two(system, keyed)), expected);
    }
}

#[test]
fn a_datasource_that_rolls_up() {
    let mut table = two(OlapSystem::Druid, true);
    table.options.insert(OlapTable::ROLLUP.to_owned(), "true".to_owned());
    let schema = druid::spec(&table, "b")["spec"]["dataSchema"].clone();
    let sum = |name: &str| json!({ "type": "longSum", "name": name, "fieldName": name });
    assert_eq!(schema["metricsSpec"], json!([sum("n"), sum("n_set"), sum("_rows")]));
    assert_eq!(schema["dimensionsSpec"]["dimensions"], json!([{ "type": "string", "name": "k" }]));
    let granularity = &schema["granularitySpec"];
    assert_eq!(
        (&granularity["rollup"], &granularity["queryGranularity"]),
        (&json!(true), &json!("DAY"))
    );
    assert_eq!(
        druid::current_rows(&table),
        "SELECT \"k\", CASE WHEN SUM(\"n_set\") > 0 THEN SUM(\"n\") END AS \"n\" FROM \"t\" GROUP BY \
         \"k\" HAVING SUM(\"_rows\") > 0"
    );
    table.options.insert("SEGMENT_GRANULARITY".to_owned(), "ALL".to_owned());
    let spec = druid::spec(&table, "b");
    let granularity = &spec["spec"]["dataSchema"]["granularitySpec"]["segmentGranularity"];
    assert_eq!(granularity, &json!({ "type": "all" }));
}

#[test]
fn differences_are_named() {
    let check = |wanted: Value, has: Value, expected: Option<&str>| {
        assert_eq!(difference(&wanted, &has).as_deref(), expected, "{wanted} {has}");
    };
    check(json!({"a": 1}), json!({"a": "1", "more": 2}), None);
    check(json!({"a": [1, {"b": true}]}), json!({"a": [1, {"b": true, "c": 0}]}), None);
    check(json!({"a": {}}), json!({}), None);
    check(json!({"a": {"b": 1}}), json!({"a": {}}), Some("$.a.b is null, wanted is 1"));
    check(json!([1]), json!([1, 2]), Some("$ is [1,2], wanted is [1]"));
}

/// A server that gives one answer to everything, for some calls.
fn server(status: u16, body: &'static str, calls: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(calls) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 65_536]);
            let length = body.len();
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n");
            let _ = write!(stream, "{head}Connection: close\r\n\r\n{body}");
        }
    });
    url
}

#[test]
fn servers_that_do_not_take_the_table() {
    let check = |system: OlapSystem, status: u16, body: &'static str, part: &str| {
        let clients = OlapClients::new(OlapConfig::default()).unwrap();
        let table = OlapTable { url: server(status, body, 4), ..two(system, true) };
        let why = clients.check(&table).unwrap_err();
        assert!(why.contains(part), "{status}: {why}");
        let state = clients.state(&table);
        assert_ne!(state.state, "RUNNING", "{state:?}");
    };
    for system in OlapSystem::ALL {
        check(system, 401, "", "refuses the credentials (401); set millrace.");
        check(system, 503, "", "is not there: status 503");
        check(system, 307, "", "is not there: status 307");
        check(system, 404, "nothing", "is no ");
        check(system, 500, r#"{"error":"it burns"}"#, "it burns");
    }
    let unknown = r#"{"unrecognizedProperties":{"/x":1}}"#;
    check(OlapSystem::Pinot, 200, unknown, "does not know {\"/x\":1}");
    check(OlapSystem::Druid, 200, r#"{"type":"other"}"#, "of another shape already ($.type");
}

#[test]
fn authorities_are_certificates() {
    let check = |pem: &str| {
        let pinot = Access { ca_pem: Some(pem.to_owned()), ..Access::default() };
        let made = OlapClients::new(OlapConfig { pinot, ..OlapConfig::default() });
        let why = made.err().unwrap_or_default();
        assert!(why.starts_with("millrace.pinot.tls.ca.file: it has no certificates"), "{why}");
    };
    check("");
    check("no PEM");
    check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
}

#[test]
fn credentials_go_to_one_place() {
    let access = Access {
        url: Some("http://a".into()),
        authorization: Some("Bearer t".into()),
        ca_pem: None,
    };
    assert_eq!(access.authorization("http://a"), Some("Bearer t"));
    assert_eq!(access.authorization("http://b"), None);
    assert!(!format!("{access:?}").contains("Bearer"));
    assert_eq!(basic("u:p"), "Basic dTpw");
    let table = two(OlapSystem::Druid, true);
    assert_eq!(access.url(&table), Ok("http://a"));
    assert!(Access::default().url(&table).unwrap_err().contains("ROUTER"));
}
