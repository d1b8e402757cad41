//! Streams and tables by name. Pure data: the engine fills it by replaying the command log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::olap::OlapSink;
use crate::types::SqlType;

/// Stream or table: what a record of the topic means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SourceKind {
    /// Every record is a fact of its own.
    Stream,
    /// A record replaces the row of its key; an absent value deletes it.
    Table,
}

/// Where a column lives in the record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ColumnRole {
    Key,
    Value,
    /// All headers (`None`) or the last one of that name.
    Headers(Option<String>),
}

/// One declared column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub ty: SqlType,
    pub role: ColumnRole,
}

/// How bytes of a key or a value are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FormatKind {
    Json,
    /// JSON behind the id of a registered schema.
    JsonSr,
    Avro,
    Protobuf,
    /// Bare Protobuf messages; the columns are the schema.
    ProtobufNoSr,
    Delimited,
    Kafka,
    /// No bytes, no columns.
    None,
}

impl FormatKind {
    pub fn name(self) -> &'static str {
        match self {
            FormatKind::Json => "JSON",
            FormatKind::JsonSr => "JSON_SR",
            FormatKind::Avro => "AVRO",
            FormatKind::Protobuf => "PROTOBUF",
            FormatKind::ProtobufNoSr => "PROTOBUF_NOSR",
            FormatKind::Delimited => "DELIMITED",
            FormatKind::Kafka => "KAFKA",
            FormatKind::None => "NONE",
        }
    }

    /// True if records start with the id of a schema in the registry; columns can be inferred.
    pub fn has_registry(self) -> bool {
        matches!(self, FormatKind::JsonSr | FormatKind::Avro | FormatKind::Protobuf)
    }

    /// The language of its schemas, if it has any.
    pub fn schema_kind(self) -> Option<SchemaKind> {
        match self {
            FormatKind::JsonSr => Some(SchemaKind::Json),
            FormatKind::Avro => Some(SchemaKind::Avro),
            FormatKind::Protobuf | FormatKind::ProtobufNoSr => Some(SchemaKind::Protobuf),
            _ => None,
        }
    }

    /// True if a single column may stand alone or be wrapped.
    pub fn wraps(self) -> bool {
        matches!(self, FormatKind::Json | FormatKind::JsonSr | FormatKind::Avro)
    }

    /// True if a single column can only be wrapped.
    pub fn always_wrapped(self) -> bool {
        matches!(self, FormatKind::Protobuf | FormatKind::ProtobufNoSr)
    }
}

/// A format with its options.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FormatSpec {
    pub kind: FormatKind,
    /// DELIMITED only; `,` unless set.
    pub delimiter: char,
    /// False: a single column stands alone (`10`, not `{"A":10}`). Keys are always unwrapped.
    pub wrapped: bool,
    /// Formats with schemas only.
    #[serde(default)]
    pub schema: SchemaSpec,
}

impl FormatSpec {
    /// A format without options.
    pub fn new(kind: FormatKind, wrapped: bool) -> Self {
        FormatSpec { kind, delimiter: ',', wrapped, schema: SchemaSpec::default() }
    }

    /// True if both give the same bytes to the same values, but for the names and ids of schemas.
    pub fn writes_as(&self, other: &FormatSpec) -> bool {
        let shape = |f: &FormatSpec| (f.kind, f.delimiter, f.wrapped, f.schema.nulls);
        shape(self) == shape(other)
    }
}

/// What a statement says of the schema that describes keys or values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaSpec {
    /// Name of the record or message, with its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// KEY_SCHEMA_ID or VALUE_SCHEMA_ID: the schema to write with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    #[serde(default)]
    pub nulls: ProtobufNulls,
    /// The schema that is written with, once the registry knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Arc<RegisteredSchema>>,
}

/// How Protobuf tells NULL from a type's zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProtobufNulls {
    /// Not at all: NULL reads back as 0, "" or false.
    #[default]
    Zero,
    /// Fields are `optional`.
    Optional,
    /// Fields are messages of `google/protobuf/wrappers.proto`.
    Wrapper,
}

/// Language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SchemaKind {
    Avro,
    Json,
    Protobuf,
}

impl SchemaKind {
    /// The registry's word.
    pub fn name(self) -> &'static str {
        match self {
            SchemaKind::Avro => "AVRO",
            SchemaKind::Json => "JSON",
            SchemaKind::Protobuf => "PROTOBUF",
        }
    }
}

/// A schema's text, and the schemas that it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaText {
    pub kind: SchemaKind,
    pub text: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<SchemaReference>,
}

/// A schema that another one refers to by `name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaReference {
    /// What the import says, or the full name of the type.
    pub name: String,
    pub subject: String,
    pub version: i32,
    pub schema: SchemaText,
}

/// A schema that the registry knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegisteredSchema {
    pub id: u32,
    pub schema: SchemaText,
}

/// What the bytes after the inner key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyWindow {
    /// TUMBLING or HOPPING: 8 bytes of window start, big endian; the size is not in the bytes.
    Time { size_ms: i64, hopping: bool },
    /// 8 bytes of end, 8 bytes of start, big endian.
    Session,
}

/// Event time from a column instead of the record's timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimestampSpec {
    pub column: String,
    /// Java `DateTimeFormatter` pattern of a STRING column.
    pub pattern: Option<String>,
}

/// A registered stream or table over a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    pub kind: SourceKind,
    /// In declared order; key columns may stand anywhere but keep their relative order.
    pub columns: Vec<Column>,
    pub topic: String,
    pub partitions: u32,
    pub key_format: FormatSpec,
    pub value_format: FormatSpec,
    pub window: Option<KeyWindow>,
    pub timestamp: Option<TimestampSpec>,
    /// The statement that made it, canonical text.
    pub sql: String,
    /// The persistent query that writes it, for CREATE ... AS SELECT.
    pub query: Option<String>,
    /// CREATE SOURCE: nothing here writes to it.
    #[serde(default)]
    pub read_only: bool,
    /// ROW_TTL of a table: how long a row lives after its last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_ttl_ms: Option<i64>,
}

impl Source {
    pub fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| c.role == ColumnRole::Key)
    }

    pub fn value_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|c| c.role == ColumnRole::Value)
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// How long rows live for those who read the topic: where a query of the service writes it, that
    /// writes tombstones.
    pub fn read_ttl_ms(&self) -> Option<i64> {
        self.row_ttl_ms.filter(|_| self.query.is_none() || self.read_only)
    }
}

/// A persistent query as the catalog sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryInfo {
    pub id: String,
    /// Canonical text of the statement.
    pub sql: String,
    /// Names of the sources it reads.
    pub reads: Vec<String>,
    /// Name of the source it writes.
    pub writes: String,
    pub paused: bool,
    /// For pull queries: the query keeps a store of its result.
    pub materialized: bool,
}

/// Everything statements can refer to. Cheap to clone: a sandbox copy validates a request.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub sources: BTreeMap<String, Arc<Source>>,
    pub queries: BTreeMap<String, Arc<QueryInfo>>,
    /// Names made by CREATE TYPE, and what they stand for.
    pub types: BTreeMap<String, SqlType>,
    /// Tables of Pinot and Druid that are fed from here.
    pub sinks: BTreeMap<String, Arc<OlapSink>>,
}

impl Catalog {
    pub fn source(&self, name: &str) -> Option<&Arc<Source>> {
        self.sources.get(name)
    }

    /// The sink that a query feeds, if it feeds one.
    pub fn sink_of(&self, query: &str) -> Option<&Arc<OlapSink>> {
        self.sinks.values().find(|sink| sink.query == query)
    }
}

/// Pseudo columns that every source has, and those of windowed keys.
pub mod pseudo {
    pub const ROWTIME: &str = "ROWTIME";
    pub const ROWPARTITION: &str = "ROWPARTITION";
    pub const ROWOFFSET: &str = "ROWOFFSET";
    pub const WINDOWSTART: &str = "WINDOWSTART";
    pub const WINDOWEND: &str = "WINDOWEND";
    /// All of them; none may be declared or used as an alias.
    pub const ALL: [&str; 5] = [ROWTIME, ROWPARTITION, ROWOFFSET, WINDOWSTART, WINDOWEND];
}
