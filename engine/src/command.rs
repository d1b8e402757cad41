//! Records of the command topic: the statement, and every fact that must not drift (R1). Replaying
//! them gives every node the same catalog and the same tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_sql::catalog::{RegisteredSchema, Source};
use millrace_sql::olap::OlapSink;
use millrace_sql::types::SqlType;
use serde::{Deserialize, Serialize};

use crate::ids::{LaneId, Offset, TopicId};

/// Version of [`CommandRecord`] that this code writes.
pub const COMMAND_FORMAT: u32 = 1;

/// Stores that one command may number; a command's numbers start at its offset times this.
pub const STORES_PER_COMMAND: u32 = 64;

/// One record of the command topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    pub format: u32,
    /// Settles an unknown outcome of the append by reading (R35).
    pub uuid: String,
    /// Canonical text.
    pub statement: String,
    /// Session properties in force.
    pub properties: BTreeMap<String, String>,
    pub command: Command,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    CreateSource {
        source: Source,
    },
    /// CREATE ... AS SELECT registers `sink` too; INSERT INTO finds it registered.
    CreateQuery {
        sink: Option<Source>,
        facts: QueryFacts,
    },
    /// ALTER: the source with its new columns.
    AlterSource {
        source: Source,
    },
    CreateType {
        name: String,
        ty: SqlType,
    },
    DropType {
        name: String,
    },
    Drop {
        source: String,
        queries: Vec<String>,
        /// DELETE TOPIC: goes when all lanes have passed the command.
        #[serde(default)]
        delete: Vec<TopicId>,
    },
    /// The table exists; `target` is the topic that feeds it, as what is written.
    CreateSink {
        sink: Box<OlapSink>,
        target: Box<Source>,
        facts: QueryFacts,
        /// OR REPLACE with another table: the name under which the sink that is there goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        former: Option<String>,
    },
    /// The table has more columns; the sink's query goes on and fills them. `source` is what it
    /// reads from then on, which may come into the catalog later.
    AlterSink {
        sink: Box<OlapSink>,
        source: Box<Source>,
    },
    DropSink {
        sink: String,
        query: String,
        /// DELETE TOPIC, as for `Drop`.
        delete: Vec<TopicId>,
    },
    Terminate {
        queries: Vec<String>,
    },
    Pause {
        queries: Vec<String>,
    },
    Resume {
        queries: Vec<String>,
    },
}

impl Command {
    /// True if topics of queries go with it.
    pub fn ends_queries(&self) -> bool {
        use Command::{Drop, DropSink, Terminate};
        matches!(self, Drop { .. } | DropSink { .. } | Terminate { .. })
    }
}

/// Facts of a query that are decided once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryFacts {
    pub query: String,
    /// Per sub-topology.
    pub subs: Vec<SubFacts>,
    /// Every topic the query touches, by name.
    pub topics: BTreeMap<String, TopicFacts>,
    /// Number of the query's first store.
    pub store_base: u32,
    /// False: every change is emitted (cache 0).
    pub coalesce: bool,
    /// Schemas that the query writes with, by subject of the registry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schemas: BTreeMap<String, Arc<RegisteredSchema>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubFacts {
    /// Tasks of this sub-topology.
    pub partitions: u32,
    /// Lane of partition 0; partition p goes to the lane p further, round robin.
    pub base: LaneId,
    /// Start offsets per input and partition; partitions beyond start at 0.
    pub starts: Vec<Vec<Offset>>,
}

impl SubFacts {
    /// The lane of a task, by arithmetic.
    pub fn lane(&self, partition: u32, lanes: u32) -> LaneId {
        LaneId((self.base.0 + partition) % lanes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicFacts {
    pub id: TopicId,
    pub partitions: u32,
}
