//! An engine for tests: knows one stream and one table, remembers what it was told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use millrace_engine::api::*;
use millrace_engine::error::EngineError;
use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{Cleanup, LogError, RawBatch, Record, RecordRef, TopicInfo};
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::ast::Statement;
use millrace_sql::catalog::*;
use millrace_sql::error::SqlError;
use millrace_sql::types::SqlType;
use parking_lot::Mutex;
use serde_json::Value;

use crate::config::ConfigBuilder;
use crate::http::state::Server;
use crate::statements::{Session, split};

/// A server in front of a fake, on a port of its own.
pub struct Running {
    pub server: Arc<Server>,
    /// `http://127.0.0.1:port`.
    pub base: String,
    pub stop: Option<tokio::sync::oneshot::Sender<()>>,
    pub serving: tokio::task::JoinHandle<()>,
}

impl Running {
    pub async fn start(api: Arc<FakeApi>, settings: &[(&str, &str)]) -> Running {
        let mut config = ConfigBuilder::default();
        settings.iter().for_each(|(name, value)| config.flag(name, Some(value)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = Server::new(api, config.build().unwrap(), host.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = Arc::clone(&server);
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            crate::http::serve(listener, served, stopped).await;
        });
        Running { server, base: format!("http://{host}"), stop: Some(stop), serving }
    }
}

/// The fake. Fields tell tests what happened.
pub struct FakeApi {
    catalog: Mutex<Catalog>,
    sequence: AtomicI64,
    /// (statement, properties) of every call that changes something.
    pub ran: Mutex<Vec<(String, Properties)>>,
    pub loaded: Mutex<Vec<(String, Record)>>,
    /// What the next push query reports; then it idles.
    pub events: Mutex<VecDeque<PushEvent>>,
    /// Push queries that were dropped.
    pub ended: Arc<AtomicI64>,
    pub stopped: AtomicBool,
    /// The log has not answered.
    pub starting: AtomicBool,
}

impl FakeApi {
    pub fn new() -> Arc<FakeApi> {
        let mut catalog = Catalog::default();
        for (name, kind) in [("S", SourceKind::Stream), ("T", SourceKind::Table)] {
            catalog.sources.insert(name.to_string(), Arc::new(source(name, kind)));
        }
        Arc::new(FakeApi {
            catalog: Mutex::new(catalog),
            sequence: AtomicI64::new(0),
            ran: Mutex::default(),
            loaded: Mutex::default(),
            events: Mutex::default(),
            ended: Arc::default(),
            stopped: AtomicBool::new(false),
            starting: AtomicBool::new(false),
        })
    }

    fn apply(catalog: &mut Catalog, sql: &str) -> ApiResult<String> {
        let parts = split(sql, &Session::default()).map_err(|e| wrong(sql, &e.message))?;
        let Some(part) = parts.into_iter().next() else { return Err(wrong(sql, "nothing")) };
        match part.statement {
            Statement::CreateSource(create) => {
                let name = create.name.value;
                if catalog.source(&name).is_some() {
                    return Err(wrong(sql, &format!("Cannot add stream '{name}': it exists")));
                }
                catalog.sources.insert(name.clone(), Arc::new(source(&name, create.kind)));
                Ok(format!("stream/{name}/create"))
            }
            Statement::DropSource(drop) => match catalog.sources.remove(&drop.name.value) {
                Some(_) => Ok(format!("stream/{}/drop", drop.name.value)),
                None => Err(wrong(sql, &format!("Source {} does not exist.", drop.name.value))),
            },
            _ => Ok("other/X/execute".to_string()),
        }
    }
}

fn wrong(sql: &str, message: &str) -> ApiError {
    ApiError::Statement { sql: sql.to_string(), error: SqlError::invalid(message) }
}

/// `K STRING KEY, C BIGINT`.
pub fn source(name: &str, kind: SourceKind) -> Source {
    let column = |name: &str, ty, role| Column { name: name.to_string(), ty, role };
    let format = |kind| FormatSpec::new(kind, true);
    Source {
        name: name.to_string(),
        kind,
        columns: vec![
            column("K", SqlType::String, ColumnRole::Key),
            column("C", SqlType::Bigint, ColumnRole::Value),
        ],
        topic: name.to_lowercase(),
        partitions: 1,
        key_format: format(FormatKind::Kafka),
        value_format: format(FormatKind::Json),
        window: None,
        timestamp: None,
        sql: format!("CREATE {name} ..."),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    }
}

/// Rows (k, c).
pub fn rows(rows: &[(&str, i64)]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
    let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)));
    RecordBatch::try_from_iter([("K", keys), ("C", counts)]).expect("same lengths")
}

fn columns() -> Vec<ResultColumn> {
    let column =
        |name: &str, ty, key| ResultColumn { name: name.to_string(), ty, key, headers: None };
    vec![column("K", SqlType::String, true), column("C", SqlType::Bigint, false)]
}

impl Api for FakeApi {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::new(self.catalog.lock().clone())
    }

    fn ready(&self) -> ApiResult<()> {
        match self.starting.load(Ordering::Acquire) {
            true => Err(ApiError::Starting("the log has not answered".to_string())),
            false => Ok(()),
        }
    }

    fn validate(&self, catalog: &mut Catalog, sql: &str, _: &Properties) -> ApiResult<()> {
        Self::apply(catalog, sql).map(|_| ())
    }

    fn execute(&self, sql: &str, properties: &Properties) -> ApiResult<Executed> {
        if sql.contains("FAILS_LATE") {
            return Err(ApiError::Engine(EngineError::User("it fails late".to_string())));
        }
        let command_id = Self::apply(&mut self.catalog.lock(), sql)?;
        self.ran.lock().push((sql.to_string(), properties.clone()));
        Ok(Executed {
            command_id,
            sequence: self.sequence.fetch_add(1, Ordering::SeqCst),
            message: "Done".to_string(),
            query_id: None,
            warning: sql.contains("IF NOT EXISTS").then(|| "It exists already".to_string()),
        })
    }

    fn insert_values(&self, sql: &str, properties: &Properties) -> ApiResult<()> {
        if sql.contains("secret") {
            return Err(wrong(sql, "does not fit"));
        }
        self.ran.lock().push((sql.to_string(), properties.clone()));
        Ok(())
    }

    fn schema_registry(&self) -> Option<Arc<dyn SchemaRegistry>> {
        None
    }

    fn insert_target(&self, target: &str) -> ApiResult<()> {
        match self.catalog.lock().source(target) {
            Some(_) => Ok(()),
            None => Err(wrong("", "Cannot insert values into an unknown stream/table")),
        }
    }

    fn insert_row(&self, target: &str, row: &serde_json::Map<String, Value>) -> ApiResult<()> {
        if !row.contains_key("K") {
            return Err(wrong("", "Key field must be specified: K"));
        }
        let value = Value::Object(row.clone()).to_string();
        let record = Record::new(Timestamp(0), None, Some(value.as_bytes()));
        self.loaded.lock().push((target.to_string(), record));
        Ok(())
    }

    fn has_schema(&self, subject: Option<&str>, _: Option<i64>) -> ApiResult<Option<bool>> {
        Ok(subject.map(|subject| subject == "s-value"))
    }

    fn push(&self, _: &str, _: &Properties) -> ApiResult<Box<dyn PushQuery>> {
        Ok(Box::new(FakePush {
            id: format!("transient_S_{}", uuid::Uuid::new_v4().simple()),
            columns: columns(),
            events: std::mem::take(&mut self.events.lock()),
            stop: Arc::default(),
            ended: Arc::clone(&self.ended),
        }))
    }

    fn pull(&self, sql: &str, _: &Properties) -> ApiResult<PullAnswer> {
        if sql.contains("busy") {
            return Err(ApiError::TooMany("too many pull queries".to_string()));
        }
        Ok(PullAnswer {
            id: "query_1".to_string(),
            columns: columns(),
            rows: vec![rows(&[("a", 1), ("b", 2)])],
            over_stream: sql.contains("FROM S"),
        })
    }

    fn explain(&self, target: ExplainTarget<'_>, _: &Properties) -> ApiResult<Explained> {
        let statement = match target {
            ExplainTarget::Query(id) => {
                return Err(wrong(id, &format!("Query with id:{id} does not exist")));
            }
            ExplainTarget::Statement(sql) => sql.to_string(),
        };
        Ok(Explained {
            statement,
            plan: "Project".to_string(),
            topology: "lane 0".to_string(),
            columns: columns(),
            reads: vec!["S".to_string()],
            writes: None,
            status: None,
            sink: None,
        })
    }

    fn queries(&self) -> Vec<QueryStatus> {
        vec![QueryStatus {
            id: "CTAS_T_1".to_string(),
            sql: "CREATE TABLE T AS ...".to_string(),
            persistent: true,
            sink: Some("T".to_string()),
            sink_topic: Some("t".to_string()),
            state: QueryState::Running,
            errors: Vec::new(),
            records_in: 1,
            records_out: 1,
            late_records: 0,
            idle_close_ms: None,
            rejects: 0,
        }]
    }

    fn topics(&self) -> ApiResult<Vec<TopicInfo>> {
        let topic = |id, name: &str| TopicInfo {
            id: TopicId(id),
            name: name.to_string(),
            partitions: 2,
            replicas: 1,
            cleanup: Cleanup::Delete,
            retention_ms: -1,
        };
        Ok(vec![topic(1, "t"), topic(2, "s"), topic(3, "_confluent-ksql-x_command_topic")])
    }

    fn print(&self, topic: &str, _: bool) -> ApiResult<Box<dyn TopicReader>> {
        if topic != "s" {
            return Err(ApiError::Engine(LogError::Gone(topic.to_string()).into()));
        }
        Ok(Box::new(FakeReader(false)))
    }

    fn load(&self, topic: &str, records: Vec<Record>) -> ApiResult<()> {
        if topic != "s" {
            return Err(ApiError::Engine(LogError::Gone(topic.to_string()).into()));
        }
        self.loaded.lock().extend(records.into_iter().map(|r| (topic.to_string(), r)));
        Ok(())
    }

    fn await_command(&self, sequence: i64, _: Duration) -> bool {
        sequence < self.sequence.load(Ordering::SeqCst)
    }

    fn health(&self) -> Health {
        let reasons = vec!["the log is down".to_string()];
        Health { metastore: true, log: false, command_runner: true, schema_registry: None, reasons }
    }

    fn settings(&self) -> Vec<(String, String)> {
        vec![("millrace.lanes".to_string(), "2".to_string())]
    }

    fn identity(&self) -> Identity {
        Identity {
            cluster_id: "embedded".to_string(),
            service_id: "default_".to_string(),
            version: "0.1.0".to_string(),
        }
    }

    fn shutdown(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

struct FakePush {
    id: String,
    columns: Vec<ResultColumn>,
    events: VecDeque<PushEvent>,
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicI64>,
}

impl PushQuery for FakePush {
    fn id(&self) -> &str {
        &self.id
    }

    fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    fn next(&mut self, at_most: Duration) -> PushEvent {
        if self.stop.load(Ordering::SeqCst) {
            return PushEvent::Ended;
        }
        self.events.pop_front().unwrap_or_else(|| {
            std::thread::sleep(at_most.min(Duration::from_millis(10)));
            PushEvent::Idle
        })
    }

    fn stopper(&self) -> Arc<dyn Fn() + Send + Sync> {
        let stop = Arc::clone(&self.stop);
        Arc::new(move || stop.store(true, Ordering::SeqCst))
    }
}

impl Drop for FakePush {
    fn drop(&mut self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

struct FakeReader(bool);

impl TopicReader for FakeReader {
    fn next(&mut self, _: Duration) -> ApiResult<Vec<RawBatch>> {
        if std::mem::replace(&mut self.0, true) {
            return Ok(Vec::new());
        }
        let mut batch = RawBatch::new(Tp::new(TopicId(2), 0));
        let (timestamp, headers) = (Timestamp(1_357_041_720_000), &[][..]);
        for (i, value) in [Some(&b"{\"C\":1}"[..]), None].into_iter().enumerate() {
            let record = RecordRef { timestamp, key: Some(b"a"), value, headers };
            batch.push(Offset(i as i64), &record);
        }
        Ok(vec![batch])
    }
}
