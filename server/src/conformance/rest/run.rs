//! One case, start to end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use millrace_engine::format::partition_for_key;
use millrace_engine::ids::Tp;
use millrace_engine::log::{
    Cleanup, LogError, PollLimits, RawBatch, ReadClass, Record, TopicInfo, TopicSpec,
};
use millrace_engine::names::Names;
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::ast::{Literal, Properties, Statement};
use millrace_sql::catalog::{self, Source};
use millrace_sql::parser;
use serde_json::{Value, json};

use super::super::case::{self, TestRecord, TopicDef};
use super::super::compare;
use super::super::records::TopicSerde;
use super::case::RestCase;
use super::node::{Node, whole};
use super::{check, proto};

/// Partitions of a topic that says nothing of them.
const PARTITIONS: u32 = 4;
/// How long an answer may take to come.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// A commit is seen in the log a moment before it is seen in the state: pull queries are asked again
/// for this long.
const SETTLE_MAX: Duration = Duration::from_secs(3);
pub(super) const PAUSE: Duration = Duration::from_millis(3);

const ROWS: &str = "application/vnd.ksql.v1+json";
const PROTOBUF: &str = "application/vnd.ksql.v1+protobuf";

/// Runs a case on a server of its own.
///
/// # Errors
/// Why it failed, for people.
pub async fn run(case: &RestCase) -> Result<(), String> {
    let node = Node::start().await?;
    let run = Run { case, node: &node };
    let mut outcome = run.run().await;
    if let Err(why) = &mut outcome {
        run.processing_log().iter().for_each(|line| why.push_str(&format!("\n{line}")));
    }
    node.stop().await;
    outcome
}

pub(super) struct Run<'a> {
    case: &'a RestCase,
    pub(super) node: &'a Node,
}

/// An answer, or an error that was expected.
enum Answer {
    Json(Value),
    Refused,
}

impl Run<'_> {
    async fn run(&self) -> Result<(), String> {
        let case = self.case;
        let first = case.case.statements.iter().position(|s| s.starts_with("SELECT "));
        let (admin, queries) =
            case.case.statements.split_at(first.unwrap_or(case.case.statements.len()));
        self.make_topics()?;
        self.register_schemas();
        let mut answers = Vec::new();
        if !admin.is_empty() {
            let request = json!({
                "ksql": admin.join("\n"),
                "streamsProperties": case.properties,
            });
            match self.ask("/ksql", "application/json", &request).await? {
                Answer::Refused => return Ok(()),
                Answer::Json(Value::Array(entities)) => {
                    answers.extend(entities.into_iter().map(|e| json!({ "admin": e })));
                }
                Answer::Json(other) => return Err(format!("no array: {other}")),
            }
        }
        if case.wait_for_push {
            let [query] = queries else { return Err("not exactly one query".to_owned()) };
            answers.extend(self.push_first(query).await?);
        } else {
            self.produce()?;
            if !queries.is_empty() && case.expected_error.is_none() {
                self.catch_up().await?;
            }
            self.ask_settled(queries, &mut answers).await?;
        }
        if let (Some(expected), true) = (&case.expected_error, queries.is_empty()) {
            return Err(format!("no error, expected {expected:?}"));
        }
        self.check_outputs().await?;
        check::responses(case, &answers)
    }

    /// Asks all queries; as long as the state may lack what is committed, again.
    async fn ask_settled(
        &self,
        queries: &[String],
        answers: &mut Vec<Value>,
    ) -> Result<(), String> {
        let (before, start) = (answers.len(), Instant::now());
        let pulls = queries.iter().all(|query| !query.contains("EMIT CHANGES"));
        loop {
            self.ask_all(queries, answers).await?;
            let settled = !pulls || check::responses(self.case, answers).is_ok();
            if settled || start.elapsed() > SETTLE_MAX {
                return Ok(());
            }
            answers.truncate(before);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// All queries one by one, then again in the other form.
    async fn ask_all(&self, queries: &[String], answers: &mut Vec<Value>) -> Result<(), String> {
        let mut refused = 0;
        for query in queries {
            match self.ask("/query", ROWS, &self.request("ksql", query)).await? {
                Answer::Refused => refused += 1,
                Answer::Json(rows) => answers.push(json!({ "query": rows })),
            }
        }
        if let Some(expected) = self.case.expected_error.as_ref().filter(|_| !queries.is_empty())
            && refused < queries.len()
        {
            return Err(format!("no error, expected {expected:?}, got {answers:?}"));
        }
        if self.case.protobuf {
            for query in queries {
                match self.ask("/query-stream", PROTOBUF, &self.request("sql", query)).await? {
                    Answer::Refused => {}
                    Answer::Json(rows) => {
                        answers.push(json!({ "queryProto": proto::readable(&rows)? }));
                    }
                }
            }
        }
        Ok(())
    }

    /// What the server said of records that it could not use, for whoever looks for a failure.
    fn processing_log(&self) -> Vec<String> {
        const LINES_MAX: usize = 3;
        let name = Names::new(&self.node.server.config.service_id).processing_log();
        let batches = self.topic(&name).and_then(|topic| self.read(Tp::new(topic.id, 0)));
        let batches = batches.unwrap_or_default();
        let lines = batches.iter().flat_map(|batch| {
            let text = |i| String::from_utf8_lossy(batch.value(i).unwrap_or_default()).into_owned();
            (0..batch.records.len()).map(text)
        });
        lines.take(LINES_MAX).collect()
    }

    fn request(&self, member: &str, query: &str) -> Value {
        let properties = if member == "sql" { "properties" } else { "streamsProperties" };
        json!({ member: query, properties: self.case.properties })
    }

    async fn ask(&self, path: &str, accept: &str, request: &Value) -> Result<Answer, String> {
        let (status, body) = self.node.post(path, accept, request).await?;
        let body = tokio::time::timeout(ANSWER_MAX, whole(body)).await;
        let body = body.map_err(|_| format!("{path} did not end: {request}"))??;
        if (200..300).contains(&status) {
            return Ok(Answer::Json(body));
        }
        match &self.case.expected_error {
            None => Err(format!("{path} answered {status}: {body}")),
            Some(expected) => {
                check::error(self.case, expected, status, &body).map(|()| Answer::Refused)
            }
        }
    }

    /// The push query runs before there are inputs.
    async fn push_first(&self, query: &str) -> Result<Option<Value>, String> {
        let (status, mut body) =
            self.node.post("/query", ROWS, &self.request("ksql", query)).await?;
        if !(200..300).contains(&status) {
            let body = whole(body).await?;
            return match &self.case.expected_error {
                None => Err(format!("/query answered {status}: {body}")),
                Some(expected) => check::error(self.case, expected, status, &body).map(|()| None),
            };
        }
        let mut text = Vec::new();
        next_chunk(&mut body, &mut text).await?;
        self.produce()?;
        while next_chunk(&mut body, &mut text).await? {}
        let rows: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
        match &self.case.expected_error {
            Some(expected) => Err(format!("no error, expected {expected:?}, got {rows}")),
            None => Ok(Some(json!({ "query": rows }))),
        }
    }

    /// Topics that the case declares, those of its CREATE statements, those of its inputs.
    fn make_topics(&self) -> Result<(), String> {
        let mut topics: Vec<(String, u32)> =
            self.case.case.topics.iter().map(|t| (t.name.clone(), t.partitions)).collect();
        for statement in &self.case.case.statements {
            if let Ok(Statement::CreateSource(create)) = parser::parse_statement(statement)
                && !create.columns.is_empty()
                && let Some(topic) = text(&create.properties, "KAFKA_TOPIC")
            {
                let partitions = text(&create.properties, "PARTITIONS");
                let partitions = partitions.and_then(|p| p.parse().ok()).unwrap_or(PARTITIONS);
                topics.push((topic, partitions));
            }
        }
        topics.extend(self.case.case.inputs.iter().map(|r| (r.topic.clone(), PARTITIONS)));
        let mut made = BTreeMap::new();
        for (name, partitions) in topics {
            if made.insert(name.clone(), ()).is_none() {
                self.make_topic(name, partitions)?;
            }
        }
        Ok(())
    }

    /// Schemas with ids of the case's choice first.
    fn register_schemas(&self) {
        let topics = &self.case.case.topics;
        let sides = |topic: &TopicDef| {
            [("key", topic.key.clone()), ("value", topic.value.clone())]
                .map(|(side, def)| def.map(|def| (format!("{}-{side}", topic.name), def)))
        };
        let (mut chosen, mut counted) = (Vec::new(), Vec::new());
        for (subject, def) in topics.iter().flat_map(sides).flatten() {
            let schema = schema_text(&def.format, &def.schema, &def.references);
            match def.id.and_then(|id| u32::try_from(id).ok()) {
                Some(id) => chosen.push((subject, id, schema)),
                None => counted.push((subject, schema)),
            }
        }
        for (subject, id, schema) in chosen {
            self.node.registry.register_as(&subject, id, schema);
        }
        for (subject, schema) in counted {
            // The registry in memory takes everything.
            let _ = self.node.registry.register(&subject, &schema);
        }
    }

    fn make_topic(&self, name: String, partitions: u32) -> Result<(), String> {
        let spec = TopicSpec {
            name,
            partitions,
            replicas: None,
            cleanup: Cleanup::Delete,
            retention_ms: Some(-1),
            config: Vec::new(),
        };
        match self.node.log.ensure(&spec) {
            Poll::Ready(Ok(_)) => Ok(()),
            Poll::Ready(Err(e)) => Err(e.to_string()),
            Poll::Pending => Err("the log in memory makes one wait".to_owned()),
        }
    }

    /// Topic by topic, in the order of the file, to the partitions of their keys.
    fn produce(&self) -> Result<(), String> {
        let catalog = self.node.server.api.catalog();
        let mut without_key: HashMap<&str, u32> = HashMap::new();
        for input in &self.case.case.inputs {
            let source = catalog.sources.values().find(|s| s.topic == input.topic);
            let source = source.ok_or_else(|| format!("no source over {}", input.topic))?;
            let record = self.serde(source).encode(input)?;
            let topic = self.topic(&input.topic)?;
            let inner = match (&record.key, input.window) {
                (Some(key), Some(w)) => {
                    let bounds = if w.session { 16 } else { 8 };
                    Some(&key[..key.len().saturating_sub(bounds)])
                }
                (key, _) => key.as_deref(),
            };
            let partition = match inner {
                Some(key) => partition_for_key(key, topic.partitions),
                None => {
                    let next = without_key.entry(&input.topic).or_default();
                    *next += 1;
                    (*next - 1) % topic.partitions
                }
            };
            ready(self.node.log.append(Tp::new(topic.id, partition), &[record]))?;
        }
        self.node.log.wake();
        Ok(())
    }

    fn serde(&self, source: &Source) -> TopicSerde {
        let registry: Arc<dyn SchemaRegistry> = self.node.registry.clone();
        TopicSerde::of(source, true).with_registry(&source.topic, &registry)
    }

    pub(super) fn topic(&self, name: &str) -> Result<TopicInfo, String> {
        ready(self.node.log.describe(name))?.ok_or_else(|| format!("no topic {name}"))
    }

    /// All committed records of a partition.
    pub(super) fn read(&self, tp: Tp) -> Result<Vec<RawBatch>, String> {
        let ends = ready(self.node.log.ends(&[tp]))?;
        let Some(ends) = ends.first() else { return Ok(Vec::new()) };
        let mut cursor = self.node.log.cursor(ReadClass::Restore);
        cursor.assign(&[(tp, ends.start)]);
        let limits = PollLimits { records_max: 10_000, bytes_max: 16 << 20 };
        let mut batches = Vec::new();
        loop {
            let before = cursor.position(tp).map(|p| p.next);
            cursor.poll(&limits, &mut batches).map_err(|e| e.to_string())?;
            if cursor.position(tp).map(|p| p.next) == before {
                return Ok(batches);
            }
        }
    }

    async fn check_outputs(&self) -> Result<(), String> {
        let mut by_topic: BTreeMap<&str, Vec<&TestRecord>> = BTreeMap::new();
        for output in &self.case.case.outputs {
            by_topic.entry(&output.topic).or_default().push(output);
        }
        if !by_topic.is_empty() {
            self.catch_up().await?;
        }
        for (name, expected) in by_topic {
            self.check_topic(name, expected).map_err(|e| format!("topic {name}: {e}"))?;
        }
        Ok(())
    }

    /// Each record fits one that is expected; the order over partitions is nobody's promise.
    fn check_topic(&self, name: &str, mut expected: Vec<&TestRecord>) -> Result<(), String> {
        let catalog = self.node.server.api.catalog();
        let source = catalog.sources.values().find(|s| s.topic == name);
        let source = source.ok_or("there is no source over it")?;
        let topic = self.topic(name)?;
        let serde = self.serde(source);
        let any_zero_time = self.case.case.inputs.is_empty();
        for partition in 0..topic.partitions {
            for batch in self.read(Tp::new(topic.id, partition))? {
                for i in 0..batch.records.len() {
                    let mut got = serde.decode(&record_at(&batch, i))?;
                    // Headers are nothing that such a case looks at.
                    got.headers.clear();
                    let same = |e: &&TestRecord| {
                        let e = TestRecord { headers: Vec::new(), ..(*e).clone() };
                        compare::difference(&got, &e, any_zero_time).is_none()
                    };
                    match expected.iter().position(same) {
                        Some(at) => drop(expected.remove(at)),
                        None => return Err(format!("not expected: {got:?}")),
                    }
                }
            }
        }
        match expected.first() {
            Some(missing) => Err(format!("no record {} {}", missing.key, missing.value)),
            None => Ok(()),
        }
    }
}

fn schema_text(
    format: &str,
    schema: &Value,
    references: &[case::SchemaReference],
) -> catalog::SchemaText {
    let kind = match format {
        "PROTOBUF" => catalog::SchemaKind::Protobuf,
        "JSON" | "JSON_SR" => catalog::SchemaKind::Json,
        _ => catalog::SchemaKind::Avro,
    };
    let text = match (kind, schema) {
        (catalog::SchemaKind::Protobuf, Value::String(text)) => text.clone(),
        (_, schema) => schema.to_string(),
    };
    let reference = |r: &case::SchemaReference| catalog::SchemaReference {
        name: r.name.clone(),
        subject: r.name.clone(),
        version: 1,
        schema: schema_text(&r.format, &r.schema, &[]),
    };
    catalog::SchemaText { kind, text, references: references.iter().map(reference).collect() }
}

fn record_at(batch: &RawBatch, i: usize) -> Record {
    let mut record = Record::new(batch.records[i].timestamp, batch.key(i), batch.value(i));
    record.headers = batch.headers(i);
    record
}

/// Takes what comes next of a body; false at its end.
async fn next_chunk(body: &mut Incoming, text: &mut Vec<u8>) -> Result<bool, String> {
    let frame = tokio::time::timeout(ANSWER_MAX, body.frame()).await;
    let shown = || String::from_utf8_lossy(text).into_owned();
    match frame.map_err(|_| format!("the push query did not end: {}", shown()))? {
        None => Ok(false),
        Some(Err(e)) => Err(e.to_string()),
        Some(Ok(frame)) => {
            text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            Ok(true)
        }
    }
}

/// The value of a property of WITH, as text.
fn text(properties: &Properties, name: &str) -> Option<String> {
    match &properties.get(name)?.value {
        Literal::String(text) => Some(text.clone()),
        Literal::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The log in memory never makes one wait.
pub(super) fn ready<T>(poll: Poll<Result<T, LogError>>) -> Result<T, String> {
    match poll {
        Poll::Ready(answer) => answer.map_err(|e| e.to_string()),
        Poll::Pending => Err("the log in memory makes one wait".to_owned()),
    }
}
