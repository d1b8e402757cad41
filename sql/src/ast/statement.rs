//! Statements: every one of the language, also those that the analyser refuses.

use super::expr::{Expr, Literal};
use super::names::{Ident, Loc};
use super::query::{Interval, Query};
use super::types::TypeExpr;
use crate::catalog::SourceKind;
use crate::olap::OlapSystem;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    Query(Box<Query>),
    CreateSource(Box<CreateSource>),
    CreateAs(Box<CreateAs>),
    InsertInto(Box<InsertInto>),
    InsertValues(Box<InsertValues>),
    DropSource(DropSource),
    /// `ALTER STREAM|TABLE x ADD COLUMN ..`; the columns carry no marker.
    AlterSource {
        kind: SourceKind,
        name: Ident,
        columns: Vec<ColumnDef>,
    },
    CreateType {
        if_not_exists: bool,
        name: Ident,
        ty: TypeExpr,
    },
    DropType {
        if_exists: bool,
        name: Ident,
    },
    CreateConnector(Box<CreateConnector>),
    DropConnector {
        if_exists: bool,
        name: Ident,
    },
    CreateSink(Box<CreateSink>),
    DropSink(DropSink),
    Terminate(QueryTarget),
    Pause(QueryTarget),
    Resume(QueryTarget),
    ExplainStatement(Box<Statement>),
    ExplainQuery(Ident),
    Show(Show),
    Describe(Describe),
    Print(Print),
    /// `SET 'name'='value'`.
    Set {
        name: String,
        value: String,
    },
    Unset {
        name: String,
    },
    AlterSystem {
        name: String,
        value: String,
    },
    Define {
        name: Ident,
        value: String,
    },
    Undefine {
        name: Ident,
    },
    RunScript {
        file: String,
    },
    AssertTopic(Box<AssertTopic>),
    AssertSchema(Box<AssertSchema>),
    /// `ASSERT VALUES x (..) VALUES (..)`: test runner only.
    AssertValues(Box<AssertValues>),
    /// `ASSERT NULL VALUES x (..) KEY (..)`: test runner only.
    AssertTombstone(Box<AssertValues>),
    /// `ASSERT STREAM|TABLE x (..) WITH (..)`: test runner only.
    AssertSource(Box<CreateSource>),
}

/// `CREATE STREAM|TABLE` over a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSource {
    pub kind: SourceKind,
    pub or_replace: bool,
    /// `CREATE SOURCE ..`: nothing may write to it.
    pub read_only: bool,
    pub if_not_exists: bool,
    pub name: Ident,
    /// Empty: no list was given.
    pub columns: Vec<ColumnDef>,
    pub properties: Properties,
}

/// `CREATE STREAM|TABLE .. AS SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateAs {
    pub kind: SourceKind,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: Ident,
    pub properties: Properties,
    pub query: Query,
}

/// `INSERT INTO .. SELECT`.
#[derive(Debug, Clone, PartialEq)]
pub struct InsertInto {
    pub name: Ident,
    pub properties: Properties,
    pub query: Query,
}

/// `INSERT INTO .. VALUES`.
#[derive(Debug, Clone, PartialEq)]
pub struct InsertValues {
    pub name: Ident,
    /// Empty: no list was given.
    pub columns: Vec<Ident>,
    /// Never empty.
    pub values: Vec<Expr>,
}

/// One declared column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    pub name: Ident,
    pub ty: TypeExpr,
    pub marker: ColumnMarker,
    pub loc: Loc,
}

/// Where a declared column lives in the record; `None` is the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnMarker {
    None,
    Key,
    PrimaryKey,
    Headers,
    /// `HEADER('name')`.
    Header(String),
}

/// What WITH holds, in the order written. No name occurs twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    pub list: Vec<Property>,
    pub loc: Loc,
}

/// One `name = value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Upper-cased unless written in quotes; compare case-insensitively ([`Properties::get`]).
    pub name: Ident,
    pub value: Literal,
    pub value_loc: Loc,
}

impl Properties {
    /// The property of that name in any case.
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.list.iter().find(|p| p.name.value.eq_ignore_ascii_case(name))
    }

    /// True when nothing was given.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// `DROP STREAM|TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct DropSource {
    pub kind: SourceKind,
    pub if_exists: bool,
    pub name: Ident,
    pub delete_topic: bool,
}

/// `CREATE SOURCE|SINK CONNECTOR`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateConnector {
    pub kind: ConnectorKind,
    pub if_not_exists: bool,
    pub name: Ident,
    /// Names written in quotes keep their case.
    pub properties: Properties,
}

/// `CREATE SINK .. FOR PINOT|DRUID FROM ..`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSink {
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub name: Ident,
    pub system: OlapSystem,
    /// The stream or table whose rows the sink shows.
    pub source: Ident,
    pub properties: Properties,
}

/// `DROP SINK`.
#[derive(Debug, Clone, PartialEq)]
pub struct DropSink {
    pub if_exists: bool,
    pub name: Ident,
    pub delete_table: bool,
    pub delete_topic: bool,
}

/// Which way a connector carries records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorKind {
    Source,
    Sink,
}

/// Which queries TERMINATE, PAUSE and RESUME mean.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryTarget {
    All,
    Id(Ident),
    /// PAUSE and RESUME only: the query that feeds a sink.
    Sink(Ident),
}

/// `SHOW` or `LIST`, which mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    Topics {
        all: bool,
        extended: bool,
    },
    Streams {
        extended: bool,
    },
    Tables {
        extended: bool,
    },
    Queries {
        extended: bool,
    },
    Functions,
    /// `None`: both kinds.
    Connectors(Option<ConnectorKind>),
    ConnectorPlugins,
    Sinks,
    Types,
    Variables,
    Properties,
}

/// What DESCRIBE describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Describe {
    Source { name: Ident, extended: bool },
    Streams { extended: bool },
    Tables { extended: bool },
    Function(Ident),
    Connector(Ident),
    Sink { name: Ident, extended: bool },
}

/// `PRINT topic`.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    /// Case kept, quoted or not.
    pub topic: Ident,
    pub from_beginning: bool,
    /// Show every n-th record.
    pub interval: Option<u64>,
    pub limit: Option<u64>,
}

/// `ASSERT [NOT EXISTS] TOPIC`.
#[derive(Debug, Clone, PartialEq)]
pub struct AssertTopic {
    /// `NOT EXISTS` was not written.
    pub exists: bool,
    /// Case kept, quoted or not.
    pub topic: Ident,
    pub properties: Properties,
    pub timeout: Option<Interval>,
}

/// `ASSERT [NOT EXISTS] SCHEMA`.
#[derive(Debug, Clone, PartialEq)]
pub struct AssertSchema {
    /// `NOT EXISTS` was not written.
    pub exists: bool,
    /// Case kept, quoted or not.
    pub subject: Option<Ident>,
    pub id: Option<i64>,
    pub timeout: Option<Interval>,
}

/// The record that ASSERT VALUES and ASSERT NULL VALUES expect.
#[derive(Debug, Clone, PartialEq)]
pub struct AssertValues {
    pub name: Ident,
    /// Empty: no list was given.
    pub columns: Vec<Ident>,
    /// Never empty.
    pub values: Vec<Expr>,
}
