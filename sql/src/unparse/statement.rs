//! Statements, without their `;`.

use std::fmt::{self, Display, Formatter};

use super::names::{AsWritten, is_bare};
use super::{List, Quoted, expr, write_list};
use crate::ast::{
    AssertSchema, AssertTopic, AssertValues, ColumnDef, ColumnMarker, ConnectorKind, CreateAs,
    CreateConnector, CreateSink, CreateSource, Describe, DropSink, DropSource, Expr, InsertInto,
    InsertValues, Interval, Print, Properties, Property, QueryTarget, Show, Statement,
};
use crate::catalog::SourceKind;

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Query(query) => query.fmt(f),
            Statement::CreateSource(create) => create.fmt(f),
            Statement::CreateAs(create) => create.fmt(f),
            Statement::InsertInto(insert) => insert.fmt(f),
            Statement::InsertValues(insert) => insert.fmt(f),
            Statement::DropSource(drop) => drop.fmt(f),
            Statement::AlterSource { kind, name, columns } => {
                write!(f, "ALTER {} {name} ", kind_word(*kind))?;
                write_list(f, columns, |f, column| write!(f, "ADD COLUMN {column}"))
            }
            Statement::CreateType { if_not_exists, name, ty } => {
                write!(f, "CREATE TYPE {}{name} AS {ty}", unless_exists(*if_not_exists))
            }
            Statement::DropType { if_exists, name } => {
                write!(f, "DROP TYPE {}{name}", when_exists(*if_exists))
            }
            Statement::CreateConnector(create) => create.fmt(f),
            Statement::DropConnector { if_exists, name } => {
                write!(f, "DROP CONNECTOR {}{name}", when_exists(*if_exists))
            }
            Statement::CreateSink(create) => create.fmt(f),
            Statement::DropSink(drop) => drop.fmt(f),
            Statement::Terminate(target) => write!(f, "TERMINATE {target}"),
            Statement::Pause(target) => write!(f, "PAUSE {target}"),
            Statement::Resume(target) => write!(f, "RESUME {target}"),
            Statement::ExplainStatement(statement) => write!(f, "EXPLAIN {statement}"),
            Statement::ExplainQuery(id) => write!(f, "EXPLAIN {id}"),
            other => fmt_rest(other, f),
        }
    }
}

/// Statements that change no source.
fn fmt_rest(statement: &Statement, f: &mut Formatter<'_>) -> fmt::Result {
    match statement {
        Statement::Show(show) => show.fmt(f),
        Statement::Describe(describe) => describe.fmt(f),
        Statement::Print(print) => print.fmt(f),
        Statement::Set { name, value } => write!(f, "SET {}={}", Quoted(name), Quoted(value)),
        Statement::Unset { name } => write!(f, "UNSET {}", Quoted(name)),
        Statement::AlterSystem { name, value } => {
            write!(f, "ALTER SYSTEM {}={}", Quoted(name), Quoted(value))
        }
        Statement::Define { name, value } => write!(f, "DEFINE {name}={}", Quoted(value)),
        Statement::Undefine { name } => write!(f, "UNDEFINE {name}"),
        Statement::RunScript { file } => write!(f, "RUN SCRIPT {}", Quoted(file)),
        Statement::AssertTopic(assert) => assert.fmt(f),
        Statement::AssertSchema(assert) => assert.fmt(f),
        Statement::AssertValues(assert) => assert_values(f, "VALUES", "VALUES", assert),
        Statement::AssertTombstone(assert) => assert_values(f, "NULL VALUES", "KEY", assert),
        Statement::AssertSource(source) => {
            write!(f, "ASSERT {} {}", kind_word(source.kind), source.name)?;
            columns_and_properties(f, source)
        }
        _ => Ok(()),
    }
}

impl Display for CreateSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let replace = if self.or_replace { "OR REPLACE " } else { "" };
        let source = if self.read_only { "SOURCE " } else { "" };
        let exists = unless_exists(self.if_not_exists);
        write!(f, "CREATE {replace}{source}{} {exists}{}", kind_word(self.kind), self.name)?;
        columns_and_properties(f, self)
    }
}

fn columns_and_properties(f: &mut Formatter<'_>, source: &CreateSource) -> fmt::Result {
    if !source.columns.is_empty() {
        write!(f, " ({})", List(&source.columns))?;
    }
    source.properties.fmt(f)
}

impl Display for CreateAs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let replace = if self.or_replace { "OR REPLACE " } else { "" };
        let exists = unless_exists(self.if_not_exists);
        write!(f, "CREATE {replace}{} {exists}{}", kind_word(self.kind), self.name)?;
        write!(f, "{} AS {}", self.properties, self.query)
    }
}

impl Display for ColumnDef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.ty)?;
        match &self.marker {
            ColumnMarker::None => Ok(()),
            ColumnMarker::Key => f.write_str(" KEY"),
            ColumnMarker::PrimaryKey => f.write_str(" PRIMARY KEY"),
            ColumnMarker::Headers => f.write_str(" HEADERS"),
            ColumnMarker::Header(name) => write!(f, " HEADER({})", Quoted(name)),
        }
    }
}

/// With a space before it; nothing when there are none.
impl Display for Properties {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.is_empty() {
            true => Ok(()),
            false => write!(f, " WITH ({})", List(&self.list)),
        }
    }
}

impl Display for Property {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match is_bare(&self.name.value) {
            true => write!(f, "{}={}", self.name.value, self.value),
            false => write!(f, "{}={}", Quoted(&self.name.value), self.value),
        }
    }
}

impl Display for InsertInto {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "INSERT INTO {}{} {}", self.name, self.properties, self.query)
    }
}

impl Display for InsertValues {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "INSERT INTO {}", self.name)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", List(&self.columns))?;
        }
        write_values(f, "VALUES", &self.values)
    }
}

fn write_values(f: &mut Formatter<'_>, word: &str, values: &[Expr]) -> fmt::Result {
    write!(f, " {word} (")?;
    write_list(f, values, |f, value| write!(f, "{}", expr::value(value)))?;
    f.write_str(")")
}

impl Display for DropSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = when_exists(self.if_exists);
        let topic = if self.delete_topic { " DELETE TOPIC" } else { "" };
        write!(f, "DROP {} {exists}{}{topic}", kind_word(self.kind), self.name)
    }
}

impl Display for CreateConnector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let exists = unless_exists(self.if_not_exists);
        let kind = connector_word(self.kind);
        write!(f, "CREATE {kind} CONNECTOR {exists}{}{}", self.name, self.properties)
    }
}

impl Display for CreateSink {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let replace = if self.or_replace { "OR REPLACE " } else { "" };
        let exists = unless_exists(self.if_not_exists);
        let CreateSink { name, system, source, properties, .. } = self;
        write!(f, "CREATE {replace}SINK {exists}{name} FOR {} FROM ", system.name())?;
        write!(f, "{source}{properties}")
    }
}

impl Display for DropSink {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let table = if self.delete_table { " DELETE TABLE" } else { "" };
        let topic = if self.delete_topic { " DELETE TOPIC" } else { "" };
        write!(f, "DROP SINK {}{}{table}{topic}", when_exists(self.if_exists), self.name)
    }
}

impl Display for QueryTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            QueryTarget::All => f.write_str("ALL"),
            QueryTarget::Id(id) => id.fmt(f),
            QueryTarget::Sink(name) => write!(f, "SINK {name}"),
        }
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (what, extended) = match self {
            Show::Topics { all: true, extended } => ("ALL TOPICS", *extended),
            Show::Topics { all: false, extended } => ("TOPICS", *extended),
            Show::Streams { extended } => ("STREAMS", *extended),
            Show::Tables { extended } => ("TABLES", *extended),
            Show::Queries { extended } => ("QUERIES", *extended),
            Show::Functions => ("FUNCTIONS", false),
            Show::Connectors(None) => ("CONNECTORS", false),
            Show::Connectors(Some(ConnectorKind::Source)) => ("SOURCE CONNECTORS", false),
            Show::Connectors(Some(ConnectorKind::Sink)) => ("SINK CONNECTORS", false),
            Show::ConnectorPlugins => ("CONNECTOR PLUGINS", false),
            Show::Sinks => ("SINKS", false),
            Show::Types => ("TYPES", false),
            Show::Variables => ("VARIABLES", false),
            Show::Properties => ("PROPERTIES", false),
        };
        write!(f, "SHOW {what}{}", extended_word(extended))
    }
}

impl Display for Describe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Describe::Source { name, extended } => {
                write!(f, "DESCRIBE {name}{}", extended_word(*extended))
            }
            Describe::Streams { extended } => {
                write!(f, "DESCRIBE STREAMS{}", extended_word(*extended))
            }
            Describe::Tables { extended } => {
                write!(f, "DESCRIBE TABLES{}", extended_word(*extended))
            }
            Describe::Function(name) => write!(f, "DESCRIBE FUNCTION {name}"),
            Describe::Sink { name, extended } => {
                write!(f, "DESCRIBE SINK {name}{}", extended_word(*extended))
            }
            Describe::Connector(name) => write!(f, "DESCRIBE CONNECTOR {name}"),
        }
    }
}

impl Display for Print {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "PRINT {}", AsWritten(&self.topic))?;
        if self.from_beginning {
            f.write_str(" FROM BEGINNING")?;
        }
        if let Some(interval) = self.interval {
            write!(f, " INTERVAL {interval}")?;
        }
        match self.limit {
            Some(limit) => write!(f, " LIMIT {limit}"),
            None => Ok(()),
        }
    }
}

impl Display for AssertTopic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not = if self.exists { "" } else { "NOT EXISTS " };
        write!(f, "ASSERT {not}TOPIC {}{}", AsWritten(&self.topic), self.properties)?;
        timeout(f, self.timeout.as_ref())
    }
}

impl Display for AssertSchema {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ASSERT {}SCHEMA", if self.exists { "" } else { "NOT EXISTS " })?;
        if let Some(subject) = &self.subject {
            write!(f, " SUBJECT {}", AsWritten(subject))?;
        }
        if let Some(id) = self.id {
            write!(f, " ID {id}")?;
        }
        timeout(f, self.timeout.as_ref())
    }
}

fn timeout(f: &mut Formatter<'_>, timeout: Option<&Interval>) -> fmt::Result {
    match timeout {
        Some(timeout) => write!(f, " TIMEOUT {timeout}"),
        None => Ok(()),
    }
}

fn assert_values(
    f: &mut Formatter<'_>,
    what: &str,
    before_values: &str,
    assert: &AssertValues,
) -> fmt::Result {
    write!(f, "ASSERT {what} {}", assert.name)?;
    if !assert.columns.is_empty() {
        write!(f, " ({})", List(&assert.columns))?;
    }
    write_values(f, before_values, &assert.values)
}

fn kind_word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "STREAM",
        SourceKind::Table => "TABLE",
    }
}

fn connector_word(kind: ConnectorKind) -> &'static str {
    match kind {
        ConnectorKind::Source => "SOURCE",
        ConnectorKind::Sink => "SINK",
    }
}

fn unless_exists(if_not_exists: bool) -> &'static str {
    if if_not_exists { "IF NOT EXISTS " } else { "" }
}

fn when_exists(if_exists: bool) -> &'static str {
    if if_exists { "IF EXISTS " } else { "" }
}

fn extended_word(extended: bool) -> &'static str {
    if extended { " EXTENDED" } else { "" }
}
