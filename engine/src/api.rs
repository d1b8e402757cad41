//! What a server asks of the engine. [`Api`] is implemented by the engine's service; the REST layer
//! and the CLI know nothing else of it. All calls may block for a bounded time: call them off the
//! async threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use millrace_sql::catalog::Catalog;
use millrace_sql::error::SqlError;
use millrace_sql::olap::OlapSink;
use millrace_sql::types::SqlType;
use serde_json::Value;

use crate::error::EngineError;
use crate::log::{RawBatch, TopicInfo};
use crate::schemas::SchemaRegistry;

/// Session properties of a request: the server's settings overlaid with the request's.
pub type Properties = BTreeMap<String, String>;

/// The engine as a server sees it.
pub trait Api: Send + Sync {
    /// The catalog as of the last applied command.
    fn catalog(&self) -> Arc<Catalog>;

    /// Whether the catalog is the service's: not before the log has answered.
    ///
    /// # Errors
    /// `Starting`, with what is waited for.
    fn ready(&self) -> ApiResult<()>;

    /// Validates a distributed statement (CREATE, DROP, INSERT INTO ... SELECT, TERMINATE, PAUSE,
    /// RESUME) against `catalog`, which is updated as if it had run: the sandbox of a request.
    fn validate(&self, catalog: &mut Catalog, sql: &str, properties: &Properties) -> ApiResult<()>;

    /// Runs a distributed statement: external effects, the command record, and this node's own
    /// applying of it.
    fn execute(&self, sql: &str, properties: &Properties) -> ApiResult<Executed>;

    /// `INSERT INTO x VALUES (...)`, written before it returns.
    fn insert_values(&self, sql: &str, properties: &Properties) -> ApiResult<()>;

    /// Checks that rows can be inserted into a source.
    fn insert_target(&self, target: &str) -> ApiResult<()>;

    /// Writes one row, given as members of a JSON object, before it returns.
    fn insert_row(&self, target: &str, row: &serde_json::Map<String, Value>) -> ApiResult<()>;

    /// Whether the registry has a schema of this subject, of this id, or of both; `None`: there is
    /// no registry.
    fn has_schema(&self, subject: Option<&str>, id: Option<i64>) -> ApiResult<Option<bool>>;

    /// The registry of schemas, when there is one.
    fn schema_registry(&self) -> Option<Arc<dyn SchemaRegistry>>;

    /// Starts a push query: `SELECT ... EMIT CHANGES`.
    fn push(&self, sql: &str, properties: &Properties) -> ApiResult<Box<dyn PushQuery>>;

    /// Answers a pull query over a materialised table, or a bounded scan of a stream.
    fn pull(&self, sql: &str, properties: &Properties) -> ApiResult<PullAnswer>;

    /// Text of `EXPLAIN`: of a running query's id, or of a statement.
    fn explain(&self, target: ExplainTarget<'_>, properties: &Properties) -> ApiResult<Explained>;

    /// Persistent and push queries with their true state.
    fn queries(&self) -> Vec<QueryStatus>;

    /// Where some persistent queries stand in what they read: partitions of lanes of this node; of
    /// queries that do not run, those of which they have ever committed a position.
    ///
    /// # Errors
    /// The log or a lane does not answer in time.
    fn offsets(&self, queries: &[&str]) -> ApiResult<Vec<QueryOffsets>> {
        let _ = queries;
        Ok(Vec::new())
    }

    /// Sinks with their true state: all, or the one of that name.
    fn sinks(&self, only: Option<&str>) -> ApiResult<Vec<SinkStatus>> {
        let _ = only;
        Ok(Vec::new())
    }

    /// All topics of the log.
    fn topics(&self) -> ApiResult<Vec<TopicInfo>>;

    /// Reads raw records of a topic for PRINT; a batch at a time, empty when none is there yet.
    fn print(&self, topic: &str, from_beginning: bool) -> ApiResult<Box<dyn TopicReader>>;

    /// Appends raw records to a topic (`millrace load`, the demo). Makes no topic.
    fn load(&self, topic: &str, records: Vec<crate::log::Record>) -> ApiResult<()>;

    /// Waits until commands up to `sequence` are applied here.
    fn await_command(&self, sequence: i64, at_most: Duration) -> bool;

    /// Health of the parts.
    fn health(&self) -> Health;

    /// Effective settings and limits, secrets left out: (name, value).
    fn settings(&self) -> Vec<(String, String)>;

    /// Identity of the log's cluster and of the service.
    fn identity(&self) -> Identity;

    /// Ends transactions, flushes state and leaves; returns when all is quiet.
    fn shutdown(&self);
}

pub type ApiResult<T> = Result<T, ApiError>;

/// A refused or failed request.
#[derive(Debug, Clone)]
pub enum ApiError {
    /// The statement is wrong: code 40001, with span and hint.
    Statement { sql: String, error: SqlError },
    /// The statement is right but cannot be run now or here.
    Engine(EngineError),
    /// A limit is reached, e.g. push queries: 429 or 40003.
    TooMany(String),
    /// Not ready yet: 503.
    Starting(String),
}

/// Result of a distributed statement.
#[derive(Debug, Clone)]
pub struct Executed {
    /// `stream/NAME/create`, ksqlDB's command id.
    pub command_id: String,
    /// Offset of the command record; -1 when nothing was written (IF NOT EXISTS).
    pub sequence: i64,
    /// What the user reads, e.g. `Stream created` or `Created query with ID CTAS_T_5`.
    pub message: String,
    pub query_id: Option<String>,
    /// Set instead of a status when nothing was done, e.g. the source exists already.
    pub warning: Option<String>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    pub ty: SqlType,
    pub key: bool,
    /// Set when the column holds a record's headers: all of them, or those of one name.
    pub headers: Option<Option<String>>,
}

/// A running push query. Dropping it ends it.
pub trait PushQuery: Send {
    fn id(&self) -> &str;
    fn columns(&self) -> &[ResultColumn];
    /// Waits up to `at_most` for something to report.
    fn next(&mut self, at_most: Duration) -> PushEvent;
    /// A handle that ends the query from another thread.
    fn stopper(&self) -> Arc<dyn Fn() + Send + Sync>;
}

#[derive(Debug, Clone)]
pub enum PushEvent {
    /// Rows in order; bit false in the second part: a tombstone row.
    Rows(RecordBatch, Vec<bool>),
    /// Nothing yet.
    Idle,
    /// LIMIT reached.
    LimitReached,
    /// Ended from outside (TERMINATE, /close-query, shutdown).
    Ended,
    Failed(String),
}

/// Answer of a pull query.
#[derive(Debug, Clone)]
pub struct PullAnswer {
    pub id: String,
    pub columns: Vec<ResultColumn>,
    pub rows: Vec<RecordBatch>,
    /// True for a scan of a stream: its answer ends with a message.
    pub over_stream: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum ExplainTarget<'a> {
    Query(&'a str),
    Statement(&'a str),
}

/// What EXPLAIN knows.
#[derive(Debug, Clone)]
pub struct Explained {
    pub statement: String,
    /// The DataFusion logical plan.
    pub plan: String,
    /// Sub-topologies, tasks and lanes.
    pub topology: String,
    pub columns: Vec<ResultColumn>,
    pub reads: Vec<String>,
    pub writes: Option<String>,
    /// Of a running query.
    pub status: Option<QueryStatus>,
    /// Of CREATE SINK: the documents that would make the table.
    pub sink: Option<Value>,
}

/// A sink, and how its table is doing.
#[derive(Debug, Clone)]
pub struct SinkStatus {
    pub sink: Arc<OlapSink>,
    /// Of its query where that does not run, else of the table.
    pub state: String,
    /// Records that the table has not read; `None`: not known.
    pub lag: Option<u64>,
    /// For how long, in milliseconds, the table has not been up to date with its topic; `None`: not
    /// known.
    pub freshness_ms: Option<u64>,
    pub last_error: Option<String>,
    pub partitions: Vec<SinkPartition>,
    /// Rows written by this node since it started.
    pub rows: u64,
    /// The target's own SQL for the rows as they are now.
    pub current_rows: String,
    /// What makes the table; null unless one sink was asked for.
    pub documents: Value,
}

/// How far a table has read a partition of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkPartition {
    pub partition: u32,
    /// The offset after the last record read, if the table ever said.
    pub next: Option<i64>,
    /// The offset after what is committed.
    pub end: i64,
}

/// A query as it truly is.
#[derive(Debug, Clone)]
pub struct QueryStatus {
    pub id: String,
    pub sql: String,
    pub persistent: bool,
    pub sink: Option<String>,
    pub sink_topic: Option<String>,
    pub state: QueryState,
    /// Last errors, newest first, with wall-clock milliseconds.
    pub errors: Vec<(i64, String)>,
    pub records_in: u64,
    pub records_out: u64,
    pub late_records: u64,
    /// The clock goes on with stream time when no record has come for so long.
    pub idle_close_ms: Option<i64>,
    pub rejects: u64,
}

/// Where a query stands in the topics that it reads, its internal ones among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryOffsets {
    pub query: String,
    /// The consumer group that is told, for people.
    pub group: String,
    /// By topic, partitions in order.
    pub topics: BTreeMap<String, Vec<PartitionOffsets>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    pub partition: u32,
    pub start: i64,
    pub end: i64,
    /// Everything before is read and committed.
    pub position: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryState {
    Running,
    Restoring,
    Paused,
    Error,
    /// Lanes do not tick.
    Unresponsive,
}

impl QueryState {
    pub fn name(self) -> &'static str {
        match self {
            QueryState::Running => "RUNNING",
            QueryState::Restoring => "RESTORING",
            QueryState::Paused => "PAUSED",
            QueryState::Error => "ERROR",
            QueryState::Unresponsive => "UNRESPONSIVE",
        }
    }
}

pub trait TopicReader: Send {
    fn next(&mut self, at_most: Duration) -> ApiResult<Vec<RawBatch>>;
}

#[derive(Debug, Clone)]
pub struct Health {
    pub metastore: bool,
    pub log: bool,
    pub command_runner: bool,
    /// `None`: there is no schema registry.
    pub schema_registry: Option<bool>,
    /// Why something is not healthy.
    pub reasons: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Identity {
    pub cluster_id: String,
    pub service_id: String,
    pub version: String,
}
