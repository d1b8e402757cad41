//! CREATE SINK and DROP SINK: the table, and the plan that feeds it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::create::replicas;
use super::scan::declared;
use super::with::With;
use super::{Analyzed, NothingToDo, TopicWish, internal_error, olap_change};
use crate::ast::{CreateSink, DropSink};
use crate::catalog::{
    Catalog, Column, ColumnRole, FormatKind, FormatSpec, KeyWindow, Source, SourceKind,
};
use crate::error::{Result, SqlError};
use crate::olap::{OlapColumn, OlapSink, OlapSystem, OlapTable};
use crate::plan::{self, OlapNode, QueryPlan, ResultKind, ScanColumn, ScanNode, SinkNode};
use crate::types::SqlType;

/// `CREATE SINK`.
#[derive(Debug, Clone)]
pub struct NewSink {
    /// Its `query` is the engine's to set.
    pub sink: OlapSink,
    pub plan: QueryPlan,
    /// The topic that feeds the table, as what is written.
    pub target: Source,
    pub topic: TopicWish,
    /// OR REPLACE with another table: the name under which the sink that there is goes on.
    pub former: Option<String>,
}

/// `DROP SINK`.
#[derive(Debug, Clone)]
pub struct DropSinkPlan {
    pub sink: Arc<OlapSink>,
    pub delete_table: bool,
    pub delete_topic: bool,
}

/// Column of the topic's records that holds the row.
const ROW: &str = "_row";

const COMMON: &[&str] =
    &["TABLE", "TABLE_REPLICAS", "KAFKA_TOPIC", "KAFKA_BROKERS", "REPLICAS", "RETENTION_MS"];
const PINOT: &[&str] = &["CONTROLLER", "TABLE_RETENTION_DAYS", "FLUSH_ROWS"];
const DRUID: &[&str] =
    &["ROUTER", "SEGMENT_GRANULARITY", "TASKS", "TASK_DURATION_MINUTES", OlapTable::ROLLUP];
const GRANULARITIES: &[&str] = &["HOUR", "DAY", "MONTH", "YEAR", "ALL"];

/// # Errors
/// An unknown source, a name that is taken or that the system does not take, a wrong property.
pub(super) fn create_sink(create: &CreateSink, text: &str, catalog: &Catalog) -> Result<Analyzed> {
    let name = &create.name.value;
    let there = catalog.sinks.get(name);
    if create.or_replace && create.if_not_exists {
        let message = "OR REPLACE and IF NOT EXISTS exclude each other.";
        return Err(SqlError::invalid(message).at(create.name.span()));
    }
    if there.is_some() && !create.or_replace {
        let message = format!("A sink with the name `{name}` already exists.");
        return match create.if_not_exists {
            true => Ok(Analyzed::Nothing(NothingToDo { message })),
            false => Err(SqlError::invalid(message)
                .at(create.name.span())
                .hint("DROP SINK first, or write CREATE OR REPLACE SINK")),
        };
    }
    let Some(source) = catalog.source(&create.source.value) else {
        let message = format!("{} does not exist.", create.source.value);
        return Err(SqlError::invalid(message).at(create.source.span()));
    };
    let own = if create.system == OlapSystem::Pinot { PINOT } else { DRUID };
    let with = With::new(&create.properties, &[COMMON, own].concat())?;
    let mut table = table(create, &with, source)?;
    let former = match there {
        Some(old) if olap_change::same_place(old, &table) => {
            let topic = with.text("KAFKA_TOPIC")?;
            return olap_change::in_place(create, old, table, topic, source, text);
        }
        Some(old) => {
            let given = with.text("KAFKA_TOPIC")?.is_some();
            Some(olap_change::rebuilt(create, old, &mut table, given, catalog)?)
        }
        None => None,
    };
    let topic = TopicWish {
        partitions: source.partitions,
        replicas: replicas(&with)?,
        retention_ms: Some(with.number("RETENTION_MS", -1)?.unwrap_or(-1)),
        retention_min_ms: None,
    };
    let (name, sql, query) = (name.clone(), text.to_owned(), String::new());
    let sink = OlapSink { name, sql, source: source.name.clone(), query, table };
    let (plan, target) = sink_plan(&sink, source)?;
    Ok(Analyzed::CreateSink(Box::new(NewSink { sink, plan, target, topic, former })))
}

/// The plan that feeds a sink from a source as it is or will be, and the topic that is written.
///
/// # Errors
/// When the source has columns that a sink cannot have.
pub fn sink_plan(sink: &OlapSink, source: &Arc<Source>) -> Result<(QueryPlan, Source)> {
    let target = target(&sink.table, source, &sink.sql);
    let plan = feed(&sink.table, source, &target)?;
    Ok((plan, target))
}

/// # Errors
/// An unknown sink; a topic that a table would still read.
pub(super) fn drop_sink(drop: &DropSink, catalog: &Catalog) -> Result<Analyzed> {
    let Some(sink) = catalog.sinks.get(&drop.name.value) else {
        let message = format!("Sink `{}` does not exist.", drop.name.value);
        return match drop.if_exists {
            true => Ok(Analyzed::Nothing(NothingToDo { message })),
            false => Err(SqlError::invalid(message)
                .at(drop.name.span())
                .hint("SHOW SINKS lists what there is")),
        };
    };
    if drop.delete_topic && !drop.delete_table {
        let message = format!(
            "DELETE TOPIC needs DELETE TABLE: table {} reads topic {}.",
            sink.table.name, sink.table.topic
        );
        return Err(SqlError::invalid(message).at(drop.name.span()));
    }
    Ok(Analyzed::DropSink(DropSinkPlan {
        sink: sink.clone(),
        delete_table: drop.delete_table,
        delete_topic: drop.delete_topic,
    }))
}

fn table(create: &CreateSink, with: &With<'_>, source: &Source) -> Result<OlapTable> {
    let system = create.system;
    let name = match with.text("TABLE")? {
        Some(name) => name,
        None => create.name.value.to_lowercase(),
    };
    check_table_name(&name).map_err(|e| match with.text("TABLE") {
        Ok(Some(_)) => with.located("TABLE", e),
        _ => e.at(create.name.span()).hint("TABLE = '...' in WITH gives it another name"),
    })?;
    let topic = match with.text("KAFKA_TOPIC")?.filter(|topic| !topic.is_empty()) {
        Some(topic) => topic,
        None => format!("{}_OLAP", create.name.value),
    };
    if topic == source.topic {
        let message = format!("The topic {topic} is the one that {} reads.", source.name);
        return Err(with.located("KAFKA_TOPIC", SqlError::invalid(message)));
    }
    let table = OlapTable {
        system,
        name,
        url: url(with, system.url_property())?,
        topic,
        keyed: source.kind == SourceKind::Table,
        windowed: source.window.is_some(),
        columns: columns(source).map_err(|e| e.at(create.source.span()))?,
        options: options(with)?,
    };
    if table.keyed && !table.windowed && table.options.contains_key("TABLE_RETENTION_DAYS") {
        let message = "TABLE_RETENTION_DAYS would delete rows of a table that were not updated \
                       for so long; only streams and windowed tables may expire.";
        return Err(with.located("TABLE_RETENTION_DAYS", SqlError::invalid(message)));
    }
    if table.rolls_up() {
        check_rollup(&table).map_err(|e| with.located(OlapTable::ROLLUP, e))?;
    }
    Ok(table)
}

/// Sums of changes are exact for whole numbers; for others, what is left of them would be near to what
/// it should be. Keys are what Druid groups by.
fn check_rollup(table: &OlapTable) -> Result<()> {
    let refuse = |why: String| {
        Err(SqlError::invalid(format!(
            "ROLLUP adds up how whole numbers of a table change, {why}."
        )))
    };
    if !table.keyed {
        return refuse("but a stream's rows are no changes".to_owned());
    }
    if table.windowed {
        let why = "and would have to keep all windows for that: make the windows' final rows a \
                   sink instead, with EMIT FINAL and without ROLLUP";
        return refuse(why.to_owned());
    }
    let mut names: HashSet<String> = table.columns.iter().map(|c| c.name.clone()).collect();
    let mut own = vec![OlapTable::ROWS.to_owned()];
    for column in &table.columns {
        match (&column.ty, column.key) {
            (SqlType::Double | SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_), true) => {
                let why =
                    format!("by keys that have one form, but {} is {}", column.name, column.ty);
                return refuse(why);
            }
            (_, true) => {}
            (SqlType::Integer | SqlType::Bigint, false) => {
                own.push(OlapTable::set_column(&column.name));
            }
            (_, false) => return refuse(format!("but column {} is {}", column.name, column.ty)),
        }
    }
    match own.into_iter().find(|name| !names.insert(name.clone())) {
        Some(name) => refuse(format!("for which it needs a column {name} of its own")),
        None => Ok(()),
    }
}

fn check_table_name(name: &str) -> Result<()> {
    let taken = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(taken) && !name.contains("__") {
        return Ok(());
    }
    Err(SqlError::invalid(format!(
        "'{name}' cannot be the name of a table: letters, digits, - and _ are, without two _ in a \
         row."
    )))
}

/// Empty when it is not given.
fn url(with: &With<'_>, property: &str) -> Result<String> {
    let Some(url) = with.text(property)? else { return Ok(String::new()) };
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let wrong = |why: &str| {
        let error = SqlError::invalid(format!("Invalid value for property {property}: {why}"));
        Err(with.located(property, error))
    };
    match host {
        None | Some("") => wrong("expected http://host:port or https://host:port"),
        Some(host) if host.contains('@') => {
            wrong("users and passwords belong in the configuration of the server")
        }
        Some(host) if host.contains(['?', '#']) => wrong("it has a query or a fragment"),
        Some(_) => Ok(url.trim_end_matches('/').to_owned()),
    }
}

fn options(with: &With<'_>) -> Result<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    let numbers =
        ["TABLE_REPLICAS", "TABLE_RETENTION_DAYS", "FLUSH_ROWS", "TASKS", "TASK_DURATION_MINUTES"];
    for name in numbers {
        if let Some(number) = with.number(name, 1)? {
            options.insert(name.to_owned(), number.to_string());
        }
    }
    if let Some(granularity) = with.text("SEGMENT_GRANULARITY")? {
        let granularity = granularity.to_uppercase();
        if !GRANULARITIES.contains(&granularity.as_str()) {
            let message = format!(
                "Invalid value {granularity} for property SEGMENT_GRANULARITY: one of {}",
                GRANULARITIES.join(", ")
            );
            return Err(with.located("SEGMENT_GRANULARITY", SqlError::invalid(message)));
        }
        options.insert("SEGMENT_GRANULARITY".to_owned(), granularity);
    }
    if with.switch(OlapTable::ROLLUP)? == Some(true) {
        options.insert(OlapTable::ROLLUP.to_owned(), "true".to_owned());
    }
    if let Some(brokers) = with.text("KAFKA_BROKERS")? {
        options.insert("KAFKA_BROKERS".to_owned(), brokers);
    }
    Ok(options)
}

/// Columns as the scan hands them out.
fn scanned(source: &Source) -> Vec<ScanColumn> {
    let mut columns = declared(source, true);
    if source.window.is_some() {
        columns.extend([ScanColumn::WindowStart, ScanColumn::WindowEnd]);
    }
    columns.extend(declared(source, false));
    columns
}

/// # Errors
/// A name that a system does not take, or two that differ only in case.
pub(super) fn columns(source: &Source) -> Result<Vec<OlapColumn>> {
    let refuse = |message: String| {
        let hint = "select it under another name: CREATE STREAM or TABLE ... AS SELECT x AS y";
        Err(SqlError::invalid(message).hint(hint))
    };
    let table = source.kind == SourceKind::Table;
    let session = source.window == Some(KeyWindow::Session);
    let (mut columns, mut seen) = (Vec::new(), HashSet::new());
    for column in scanned(source) {
        let (given, ty, key) = match column {
            ScanColumn::WindowStart => ("windowstart", SqlType::Bigint, table),
            ScanColumn::WindowEnd => ("windowend", SqlType::Bigint, table && session),
            ScanColumn::Declared(i) => {
                let Column { name, ty, role } = &source.columns[i];
                let key = *role == ColumnRole::Key && table;
                (name.as_str(), ty.clone(), key)
            }
            _ => continue,
        };
        let name = given.to_lowercase();
        let reserved = OlapTable::OWN.contains(&name.as_str()) || name.starts_with("__");
        if reserved || name.starts_with('$') {
            return refuse(format!("Column `{given}` has a name that is reserved in a sink."));
        }
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '"' | '\\');
        if name.is_empty() || name.contains(bad) {
            return refuse(format!(
                "Column `{given}` has a name that Pinot and Druid do not take."
            ));
        }
        if !seen.insert(name.clone()) {
            return refuse(format!("Two columns have the name `{name}` in lower case."));
        }
        columns.push(OlapColumn { name, ty, key });
    }
    Ok(columns)
}

/// What is written: the key, so that its rows stay in order, and the row.
fn target(table: &OlapTable, source: &Source, text: &str) -> Source {
    let keys = source.key_columns().map(|column| Column {
        name: column.name.to_lowercase(),
        ty: column.ty.clone(),
        role: ColumnRole::Key,
    });
    let mut columns: Vec<Column> = keys.collect();
    let key_format = if columns.is_empty() { FormatKind::None } else { FormatKind::Json };
    columns.push(Column { name: ROW.to_owned(), ty: SqlType::String, role: ColumnRole::Value });
    Source {
        name: table.name.clone(),
        kind: SourceKind::Stream,
        columns,
        topic: table.topic.clone(),
        partitions: source.partitions,
        key_format: FormatSpec::new(key_format, false),
        value_format: FormatSpec::new(FormatKind::Kafka, false),
        window: None,
        timestamp: None,
        sql: text.to_owned(),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    }
}

/// Scan, rows as the system reads them, topic.
fn feed(table: &OlapTable, source: &Arc<Source>, target: &Source) -> Result<QueryPlan> {
    let columns = scanned(source);
    // A table may have columns that its source has not, or not yet.
    let present = self::columns(source)?;
    let named: Vec<_> = present.into_iter().map(|c| (c.name, c.ty)).collect();
    let keys = source.key_columns().count();
    let lasting = keys + if source.window.is_some() { 2 } else { 0 };
    let written: Vec<_> = target.columns.iter().map(|c| (c.name.clone(), c.ty.clone())).collect();
    let scan = ScanNode {
        step: "KsqlTopic".to_owned(),
        source: source.clone(),
        columns,
        materialized: false,
        schema: plan::schema(&named).map_err(internal_error)?,
    };
    let rows = OlapNode {
        input: plan::node(scan),
        system: table.system,
        key: (0..keys).collect(),
        lasting: (0..lasting).collect(),
        changes: table.rolls_up(),
        schema: plan::schema(&written).map_err(internal_error)?,
    };
    let root = SinkNode {
        input: plan::node(rows),
        sink: Arc::new(target.clone()),
        kind: ResultKind::Stream,
        materialize: None,
        computed_key: false,
    };
    Ok(QueryPlan {
        plan: plan::node(root),
        reads: vec![source.name.clone()],
        result: ResultKind::Stream,
        key: (0..keys).collect(),
        limit: None,
        idle_close_ms: None,
    })
}
