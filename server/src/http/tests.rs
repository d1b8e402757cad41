//! The endpoints over a real socket, in front of a fake engine.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use millrace_engine::api::PushEvent;
use serde_json::{Value, json};

use super::*;
use crate::testing::{FakeApi, Running, rows};

/// A running server.
struct Rig {
    api: Arc<FakeApi>,
    running: Running,
    http: HttpClient<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

/// An answer: status, content type, body.
struct Answer {
    status: u16,
    media_type: String,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
}

impl Rig {
    async fn new() -> Rig {
        Self::with(&[], false).await
    }

    async fn with(settings: &[(&str, &str)], http2: bool) -> Rig {
        let api = FakeApi::new();
        let running = Running::start(api.clone(), settings).await;
        let http = HttpClient::builder(TokioExecutor::new()).http2_only(http2).build_http();
        Rig { api, running, http }
    }

    async fn request(&self, method: &str, path: &str, accept: &str, body: String) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.running.base));
        let request = request.header("accept", accept).body(Full::new(Bytes::from(body))).unwrap();
        let response = self.http.request(request).await.unwrap();
        let status = response.status().as_u16();
        let media_type = response.headers().get("content-type");
        let media_type = media_type.map_or("", |m| m.to_str().unwrap()).to_string();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, media_type, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "*/*", String::new()).await
    }

    async fn ksql(&self, sql: &str) -> Answer {
        self.request("POST", "/ksql", "*/*", json!({ "ksql": sql }).to_string()).await
    }

    async fn query(&self, path: &str, accept: &str, sql: &str) -> Answer {
        let member = if path == "/query" { "ksql" } else { "sql" };
        self.request("POST", path, accept, json!({ member: sql }).to_string()).await
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_gets_over_both_protocols() {
    for http2 in [false, true] {
        let rig = Rig::with(&[("sasl.password", "hunter2")], http2).await;
        let info = rig.get("/info").await;
        assert!(!info.text.contains("hunter2"));
        let info = info.json();
        assert_eq!(info["KsqlServerInfo"]["ksqlServiceId"], "default_");
        assert_eq!(info["KsqlServerInfo"]["serverStatus"], "RUNNING");
        assert_eq!(info["millrace"]["settings"]["millrace.limits.body.bytes"], 1 << 20);
        assert_eq!(rig.get("/").await.status, 307);
        let health = rig.get("/healthcheck").await;
        assert_eq!(health.status, 200);
        assert_eq!(health.json()["isHealthy"], false);
        assert_eq!(health.json()["details"]["kafka"]["isHealthy"], false);
        assert_eq!(rig.get("/chc/live").await.json(), json!({}));
        assert_eq!(rig.get("/chc/ready").await.json(), json!({}));
        let metadata = rig.get("/v1/metadata").await.json();
        assert_eq!(metadata["clusterId"]["scope"]["clusters"]["kafka-cluster"], "embedded");
        assert_eq!(rig.get("/v1/metadata/id").await.json(), metadata["clusterId"]);
        assert_eq!(rig.get("/is_valid_property/auto.offset.reset").await.json(), json!(true));
        let refused = rig.get("/is_valid_property/auto.ofset.reset").await;
        assert_eq!((refused.status, &refused.json()["error_code"]), (400, &json!(40000)));
        let unknown = rig.get("/nowhere").await;
        assert_eq!((unknown.status, unknown.text.as_str()), (404, "Not Found"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_in_order_and_leave_a_status() {
    let rig = Rig::new().await;
    let sql = "CREATE STREAM A (X INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');\n\
               INSERT INTO A (X) VALUES (1); DESCRIBE A; DROP STREAM A;";
    let answer = rig.ksql(sql).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let entities = answer.json();
    let kinds: Vec<&str> =
        entities.as_array().unwrap().iter().filter_map(|e| e["@type"].as_str()).collect();
    assert_eq!(kinds, ["currentStatus", "sourceDescription", "currentStatus"]);
    assert_eq!(entities[0]["commandId"], "stream/A/create");
    assert_eq!(rig.api.ran.lock().len(), 3);
    assert_eq!(rig.get("/status/stream/A/create").await.json()["status"], "SUCCESS");
    assert_eq!(rig.get("/status").await.json()["commandStatuses"]["stream/A/drop"], "SUCCESS");
    let unknown = rig.get("/status/stream/B/create").await;
    assert_eq!((unknown.status, &unknown.json()["error_code"]), (404, &json!(40400)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_service_knows_waits_for_the_log() {
    let rig = Rig::new().await;
    rig.api.starting.store(true, Ordering::Release);
    for (sql, status) in [
        ("SHOW STREAMS;", 503),
        ("DESCRIBE C1;", 503),
        ("SHOW QUERIES;", 503),
        ("SET 'auto.offset.reset'='earliest'; LIST TABLES;", 503),
        ("SHOW FUNCTIONS; SHOW PROPERTIES; DEFINE a='b';", 200),
    ] {
        let answer = rig.ksql(sql).await;
        assert_eq!(answer.status, status, "{sql}: {}", answer.text);
        assert_eq!(answer.json()["error_code"] == 50302, status == 503, "{sql}");
    }
    let info = rig.get("/info").await.json();
    assert_eq!(info["KsqlServerInfo"]["serverStatus"], "INITIALIZING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_as_a_whole() {
    let rig = Rig::new().await;
    let create = "CREATE STREAM A (X INT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');";
    for (bad, code) in [
        ("SELECT * FROM S EMIT CHANGES;", 40002),
        ("PRINT s;", 40002),
        ("DROP STREAM NOBODY;", 40001),
        ("DESCRIBE NOBODY;", 40001),
        ("SET 'auto.ofset.reset'='x';", 40001),
        ("CREATE SINK CONNECTOR c WITH ('a'='b');", 40001),
        ("FOO;", 40001),
    ] {
        let answer = rig.ksql(&format!("{create}{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
        let error = answer.json();
        assert_eq!(error["@type"], "statement_error", "{bad}");
        assert_eq!(error["error_code"], code, "{bad}");
        assert_eq!(error["entities"], json!([]), "{bad}");
    }
    assert!(rig.api.ran.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_the_middle_reports_what_ran() {
    let rig = Rig::new().await;
    let create = |name| format!("CREATE STREAM {name} (X INT) WITH (KAFKA_TOPIC='a');");
    let error = rig.ksql(&(create("A") + &create("FAILS_LATE"))).await.json();
    assert_eq!(error["message"], "it fails late");
    assert_eq!(error["entities"][0]["commandId"], "stream/A/create");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_inserts_are_masked_in_errors() {
    let rig = Rig::new().await;
    let error = rig.ksql("INSERT INTO S (K, C) VALUES ('secret', 1);").await.json();
    let masked = "INSERT INTO `S` (`K`, `C`) VALUES ('[value]', '[value]');";
    assert_eq!(error["statementText"], masked);
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_and_variables_of_a_request() {
    let rig = Rig::new().await;
    let body = json!({
        "ksql": "SET 'ksql.streams.auto.offset.reset'='earliest';\
                 DEFINE first = 'x'; INSERT INTO S (K) VALUES ('${first}${suffix}');\
                 UNSET 'auto.offset.reset'; INSERT INTO S (K) VALUES ('b'); SHOW VARIABLES;",
        "streamsProperties": { "cache.max.bytes.buffering": 0, "ksql.suppress.enabled": true },
        "sessionVariables": { "suffix": "y" },
    });
    let answer = rig.request("POST", "/ksql", "*/*", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()[0]["variables"].as_array().map(Vec::len), Some(2));
    let ran = rig.api.ran.lock();
    assert!(ran[0].0.contains("'xy'"), "{}", ran[0].0);
    assert_eq!(ran[0].1["auto.offset.reset"], "earliest");
    assert_eq!(ran[0].1["cache.max.bytes.buffering"], "0");
    assert!(!ran[1].1.contains_key("auto.offset.reset"));
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection() {
    let rig = Rig::new().await;
    let cases = [
        ("SHOW STREAMS;", "streams"),
        ("LIST TABLES;", "tables"),
        ("SHOW STREAMS EXTENDED;", "source_descriptions"),
        ("SHOW TOPICS;", "kafka_topics"),
        ("SHOW ALL TOPICS EXTENDED;", "kafka_topics_extended"),
        ("SHOW QUERIES;", "queries"),
        ("SHOW QUERIES EXTENDED;", "query_descriptions"),
        ("SHOW FUNCTIONS;", "function_names"),
        ("SHOW PROPERTIES;", "properties"),
        ("SHOW TYPES;", "type_list"),
        ("SHOW VARIABLES;", "variables"),
        ("DESCRIBE T EXTENDED;", "sourceDescription"),
        ("EXPLAIN SELECT * FROM S EMIT CHANGES;", "queryDescription"),
        ("TERMINATE CTAS_T_1;", "currentStatus"),
    ];
    let sql: String = cases.iter().map(|(sql, _)| *sql).collect();
    let entities = rig.ksql(&sql).await.json();
    for (i, (sql, kind)) in cases.iter().enumerate() {
        assert_eq!(entities[i]["@type"], *kind, "{sql}");
        assert_eq!(entities[i]["statementText"], *sql);
        assert_eq!(entities[i]["warnings"], json!([]));
    }
    let topics: Vec<&str> = entities[3]["topics"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|t| t["name"].as_str())
        .collect();
    assert_eq!(topics, ["s", "t"]);
    assert_eq!(entities[5]["queries"][0]["statusCount"], json!({"RUNNING": 1}));
    assert_eq!(entities[12]["queryDescription"]["executionPlan"], "Project");
    assert_eq!(entities[12]["queryDescription"]["statementText"], "SELECT * FROM S EMIT CHANGES;");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_of_other_nodes_are_awaited() {
    let rig = Rig::with(&[("ksql.server.command.response.timeout.ms", "10")], false).await;
    let body = json!({ "ksql": "SHOW STREAMS;", "commandSequenceNumber": 7 }).to_string();
    let answer = rig.request("POST", "/ksql", "*/*", body).await;
    assert_eq!((answer.status, &answer.json()["error_code"]), (503, &json!(50301)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_queries_in_three_forms() {
    let rig = Rig::new().await;
    let sql = "SELECT * FROM T;";
    let schema = "`K` STRING KEY, `C` BIGINT";
    let old = rig.query("/query", "*/*", sql).await;
    let rows = old.json();
    assert_eq!(rows[0]["header"], json!({ "queryId": "query_1", "schema": schema }));
    assert_eq!(rows[1], json!({ "row": { "columns": ["a", 1] } }));
    assert_eq!(rows.as_array().map(Vec::len), Some(3));
    let lines = rig.query("/query-stream", "*/*", sql).await;
    assert_eq!(lines.media_type, "application/vnd.ksqlapi.delimited.v1");
    let lines: Vec<&str> = lines.text.lines().collect();
    assert_eq!(lines[1..], ["[\"a\",1]", "[\"b\",2]"]);
    let array = rig.query("/query-stream", "application/json", sql).await;
    assert_eq!(array.json()[0]["columnTypes"], json!(["STRING", "BIGINT"]));
    let stream = rig.query("/query-stream", "application/vnd.ksql.v1+json", "SELECT * FROM S;");
    let stream = stream.await.json();
    assert_eq!(stream[0]["header"]["schema"], "`K` STRING, `C` BIGINT");
    assert_eq!(stream[3], json!({ "finalMessage": "Query Completed" }));
    let limited = rig.query("/query", "*/*", "SELECT * FROM S LIMIT 2;").await.json();
    assert_eq!(limited[3], json!({ "finalMessage": "Limit Reached" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_cannot_start() {
    let rig = Rig::with(&[("ksql.max.push.queries", "0")], false).await;
    for (sql, accept, status, code) in [
        ("SELECT * FROM T; SELECT * FROM T;", "*/*", 400, 40001),
        ("", "*/*", 400, 40001),
        ("SHOW STREAMS;", "*/*", 400, 40001),
        ("SELECT busy FROM T;", "*/*", 429, 42900),
        ("SELECT * FROM S EMIT CHANGES;", "*/*", 400, 40003),
        ("PRINT s;", "application/json", 406, 40600),
        ("SELECT * FROM T;", "text/html", 406, 40600),
    ] {
        let answer = rig.query("/query-stream", accept, sql).await;
        let got = (answer.status, answer.json()["error_code"].clone());
        assert_eq!(got, (status, json!(code)), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn push_queries_stream_until_the_limit() {
    let rig = Rig::new().await;
    let events = [
        PushEvent::Rows(rows(&[("a", 1), ("b", 2)]), vec![true, false]),
        PushEvent::Idle,
        PushEvent::LimitReached,
    ];
    for http2 in [false, true] {
        let rig = Rig::with(&[], http2).await;
        rig.api.events.lock().extend(events.clone());
        let rows = rig.query("/query", "*/*", "SELECT * FROM S EMIT CHANGES LIMIT 2;").await.json();
        assert_eq!(rows[0]["header"]["schema"], "`K` STRING, `C` BIGINT");
        assert_eq!(rows[2], json!({ "row": { "columns": ["b", 2], "tombstone": true } }));
        assert_eq!(rows[3], json!({ "finalMessage": "Limit Reached" }));
        until("places are free", || rig.running.server.pushes.is_empty()).await;
    }
    rig.api.events.lock().extend(events);
    let lines = rig.query("/query-stream", "*/*", "SELECT * FROM S EMIT CHANGES;").await;
    assert_eq!(lines.text.lines().count(), 2, "{}", lines.text);
    rig.api.events.lock().push_back(PushEvent::Failed("topic gone".to_string()));
    let failed = rig.query("/query", "*/*", "SELECT * FROM S EMIT CHANGES;").await.json();
    assert_eq!(failed[1]["errorMessage"]["message"], "topic gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn push_queries_end_by_close_terminate_disconnect_and_shutdown() {
    let mut rig = Rig::new().await;
    let start = || async {
        let request =
            Request::builder().method("POST").uri(format!("{}/query-stream", rig.running.base));
        let body = json!({ "sql": "SELECT * FROM S EMIT CHANGES;" }).to_string();
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let mut body = rig.http.request(request).await.unwrap().into_body();
        let header = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        (header["queryId"].as_str().unwrap().to_string(), body)
    };
    let (id, body) = start().await;
    let close = json!({ "queryId": id }).to_string();
    assert_eq!(rig.request("POST", "/close-query", "*/*", close.clone()).await.status, 200);
    body.collect().await.unwrap();
    let again = rig.request("POST", "/close-query", "*/*", close).await;
    assert_eq!((again.status, &again.json()["error_code"]), (400, &json!(40000)));

    let (id, body) = start().await;
    let entities = rig.ksql(&format!("TERMINATE {id};")).await.json();
    assert_eq!(entities[0]["wasTerminated"], true);
    body.collect().await.unwrap();

    let (_, body) = start().await;
    drop(body);
    until("the query of a client that left ends", || rig.running.server.pushes.is_empty()).await;

    let (_, body) = start().await;
    let _ = rig.running.stop.take().unwrap().send(());
    body.collect().await.unwrap();
    rig.running.serving.await.unwrap();
    assert_eq!(rig.api.ended.load(std::sync::atomic::Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_printed() {
    let rig = Rig::new().await;
    let printed = rig.query("/query", "*/*", "PRINT s FROM BEGINNING LIMIT 2;").await;
    assert!(printed.media_type.starts_with("text/plain"));
    let expected = "Key format: KAFKA_STRING\nValue format: JSON or KAFKA_STRING\n\
        rowtime: 2013/01/01 12:02:00.000 Z, key: a, value: {\"C\":1}, partition: 0\n\
        rowtime: 2013/01/01 12:02:00.000 Z, key: a, value: <null>, partition: 0\n";
    assert_eq!(printed.text, expected);
    let missing = rig.query("/query-stream", "*/*", "PRINT nowhere;").await;
    assert_eq!((missing.status, &missing.json()["error_code"]), (400, &json!(40001)));
    let never = rig.query("/query", "*/*", "PRINT s INTERVAL 0;").await;
    assert!(never.json()["message"].as_str().is_some_and(|m| m.contains("INTERVAL must be")));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_loaded() {
    let rig = Rig::new().await;
    let lines = "{\"id\":\"x\",\"t\":5}\n{\"id\":2,\"t\":6}\n".to_string();
    let path = "/millrace/topics/s/records?key=id&timestamp=t";
    assert_eq!(rig.request("POST", path, "*/*", lines.clone()).await.json()["records"], 2);
    let loaded = rig.api.loaded.lock().clone();
    assert_eq!(loaded[1].1.key.as_deref(), Some(&b"2"[..]));
    assert_eq!(loaded[1].1.timestamp.0, 6);
    let missing = rig.request("POST", "/millrace/topics/x/records", "*/*", lines).await;
    assert_eq!((missing.status, &missing.json()["error_code"]), (404, &json!(40400)));
    let bad = rig.request("POST", "/millrace/topics/s/records", "*/*", "{}\noops".into()).await;
    assert!(bad.json()["message"].as_str().unwrap().starts_with("line 2: "), "{}", bad.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_inserted_and_acknowledged() {
    let old = Rig::new().await;
    let lines = "{\"target\":\"s\"}\n{\"K\":\"a\",\"C\":1}\n";
    let answer = old.request("POST", "/inserts-stream", "*/*", lines.to_string()).await;
    assert_eq!((answer.status, answer.json()["error_code"].as_u64()), (400, Some(40004)));

    let rig = Rig::with(&[], true).await;
    let lines = format!("{lines}\n{{\"C\":2}}\n{{\"K\":\"b\"}}\n");
    let answer = rig.request("POST", "/inserts-stream", "*/*", lines.clone()).await;
    let acks: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary: Vec<_> = acks.iter().map(|a| (a["status"].clone(), a["seq"].clone())).collect();
    assert_eq!(summary, [(json!("ok"), json!(0)), (json!("error"), json!(1))]);
    assert_eq!(acks[1]["message"], "Key field must be specified: K");
    assert_eq!(rig.api.loaded.lock().len(), 1);
    let answer = rig.request("POST", "/inserts-stream", "application/json", lines).await;
    assert_eq!(answer.json()[0], json!({ "status": "ok", "seq": 0 }));
    let lines = "{\"target\":\"nobody\"}\n".to_string();
    let answer = rig.request("POST", "/inserts-stream", "*/*", lines).await;
    assert_eq!((answer.status, answer.json()["error_code"].as_u64()), (400, Some(40001)));
}

#[tokio::test(flavor = "multi_thread")]
async fn assertions_hold_or_fail() {
    let rig = Rig::new().await;
    let cases = [
        ("ASSERT TOPIC s WITH (PARTITIONS=2, REPLICAS=1);", Ok("assert_topic")),
        ("ASSERT NOT EXISTS TOPIC zzz;", Ok("assert_topic")),
        ("ASSERT TOPIC zzz TIMEOUT 1 MILLISECONDS;", Err("Topic zzz does not exist")),
        ("ASSERT NOT EXISTS TOPIC s TIMEOUT 0 SECONDS;", Err("Topic s exists")),
        (
            "ASSERT TOPIC s WITH (PARTITIONS=3) TIMEOUT 0 SECONDS;",
            Err("Mismatched configuration for topic s: For config partitions, expected 3 got 2"),
        ),
        ("ASSERT SCHEMA SUBJECT 's-value';", Ok("assert_schema")),
        (
            "ASSERT SCHEMA SUBJECT 'x-value' TIMEOUT 0 SECONDS;",
            Err("Schema with subject name x-value does not exist"),
        ),
    ];
    for (sql, expected) in cases {
        let answer = rig.ksql(sql).await;
        match expected {
            Ok(kind) => assert_eq!(answer.json()[0]["@type"], kind, "{sql}"),
            Err(message) => {
                assert_eq!(answer.status, 417, "{sql}");
                let body = answer.json();
                assert_eq!(
                    (&body["error_code"], &body["message"]),
                    (&json!(41700), &json!(message))
                );
            }
        }
    }
}

/// Text frames of a WebSocket until it closes, and the code that it closes with.
async fn frames(rig: &Rig, request: &str) -> (Vec<Value>, u16) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = rig.running.base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    let request: String = request.bytes().map(|b| format!("%{b:02X}")).collect();
    let head = format!(
        "GET /ws/query?request={request} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let mut texts = Vec::new();
    loop {
        let kind = socket.read_u8().await.unwrap() & 0x0f;
        let len = match socket.read_u8().await.unwrap() {
            126 => usize::from(socket.read_u16().await.unwrap()),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        socket.read_exact(&mut payload).await.unwrap();
        match kind {
            1 => texts.push(serde_json::from_slice(&payload).unwrap()),
            8 => return (texts, u16::from_be_bytes([payload[0], payload[1]])),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_over_a_web_socket() {
    let rig = Rig::new().await;
    let (got, code) = frames(&rig, "{\"ksql\":\"SELECT * FROM T;\"}").await;
    assert_eq!(code, 1000);
    assert_eq!(got[0][0]["name"], "K");
    assert_eq!(got[1], json!({ "row": { "columns": ["a", 1] } }));
    assert_eq!(got.last(), Some(&json!({ "error": "done" })));
    let events = [PushEvent::Rows(rows(&[("a", 1)]), vec![true]), PushEvent::LimitReached];
    rig.api.events.lock().extend(events);
    let (got, code) = frames(&rig, "{\"ksql\":\"SELECT * FROM S EMIT CHANGES;\"}").await;
    assert_eq!((got.len(), code), (3, 1000));
    let (got, code) = frames(&rig, "{\"ksql\":\"SHOW TOPICS;\"}").await;
    assert!(got[0]["error"].as_str().is_some_and(|e| e.contains("Only SELECT and PRINT")));
    assert_eq!(code, 1003);
}
