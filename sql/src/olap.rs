//! Tables of Apache Pinot and Apache Druid that a stream or a table feeds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::SqlType;

/// A system that keeps such tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OlapSystem {
    Pinot,
    Druid,
}

impl OlapSystem {
    pub const ALL: [OlapSystem; 2] = [OlapSystem::Pinot, OlapSystem::Druid];

    /// As it stands in statements.
    pub fn name(self) -> &'static str {
        match self {
            OlapSystem::Pinot => "PINOT",
            OlapSystem::Druid => "DRUID",
        }
    }

    /// The property of WITH that says where it is.
    pub fn url_property(self) -> &'static str {
        match self {
            OlapSystem::Pinot => "CONTROLLER",
            OlapSystem::Druid => "ROUTER",
        }
    }
}

/// A sink: a table that a query feeds through a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlapSink {
    pub name: String,
    /// The statement that made it, canonical text.
    pub sql: String,
    /// The stream or table whose rows it shows.
    pub source: String,
    /// The query that feeds it.
    pub query: String,
    pub table: OlapTable,
}

/// A table, as much of it as its system has to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlapTable {
    pub system: OlapSystem,
    pub name: String,
    /// Without a trailing slash; empty: what the configuration says.
    pub url: String,
    pub topic: String,
    /// Rows of the same key columns replace each other; otherwise every row is a fact of its own.
    pub keyed: bool,
    /// Rows never live longer than their window, so that the table may forget old ones.
    pub windowed: bool,
    /// In the order of the table, without those that every table has ([`OlapTable::OWN`]).
    pub columns: Vec<OlapColumn>,
    /// What else WITH said: upper-case names, checked values.
    pub options: BTreeMap<String, String>,
}

impl OlapTable {
    /// True when the row says that its key is deleted. Tables with keys only.
    pub const DELETED: &str = "_deleted";
    /// Rises from row to row of a key; no two rows of a topic have the same.
    pub const VERSION: &str = "_version";
    /// Event time, milliseconds since the epoch.
    pub const ROWTIME: &str = "_rowtime";
    /// Columns that every table has, or could have.
    pub const OWN: [&str; 3] = [Self::DELETED, Self::VERSION, Self::ROWTIME];

    /// Switches roll-up on.
    pub const ROLLUP: &str = "ROLLUP";
    /// Of a table that rolls up: how many rows of a key there are, as a sum of changes.
    pub const ROWS: &str = "_rows";

    /// Of a table that rolls up: how often a column has a value, as a sum of changes.
    pub fn set_column(name: &str) -> String {
        format!("{name}_set")
    }

    /// True if rows are changes of numbers, which the system adds up.
    pub fn rolls_up(&self) -> bool {
        self.options.contains_key(Self::ROLLUP)
    }

    /// The columns whose values tell rows apart.
    pub fn key(&self) -> impl Iterator<Item = &OlapColumn> {
        self.columns.iter().filter(|column| column.key)
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlapColumn {
    /// In lower case.
    pub name: String,
    pub ty: SqlType,
    pub key: bool,
}
