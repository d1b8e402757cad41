//! CREATE STREAM / TABLE ... AS SELECT: the query and the source that it writes.

use std::sync::Arc;

use super::create::{default_format, partitions, replicas, timestamp};
use super::formats::Side;
use super::query::{Purpose, Selected, select_in};
use super::schema_spec::schema_spec;
use super::settings::Settings;
use super::with::{self, Formats, With};
use super::{Analyzed, NewQuery, TopicWish, exists, formats, replace, row_ttl, union};
use crate::ast::CreateAs;
use crate::catalog::{Catalog, ColumnRole, FormatKind, FormatSpec, SchemaSpec, Source, SourceKind};
use crate::error::{Result, SqlError};
use crate::plan::{self, QueryPlan, ResultKind, SinkNode};

/// # Errors
/// Whatever ksqlDB refuses about the query, its key, and the sink's formats.
pub(super) fn create_as(
    create: &CreateAs,
    text: &str,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Analyzed> {
    if let Some(same) = exists::check(create, catalog, settings)? {
        return Ok(same);
    }
    let verb = match create.kind {
        SourceKind::Stream => "CREATE STREAM AS SELECT",
        SourceKind::Table => "CREATE TABLE AS SELECT",
    };
    if create.query.limit.is_some() {
        let message = format!("{verb} statements don't support LIMIT clause.");
        return Err(SqlError::invalid(message).at(create.query.loc.0));
    }
    let with = With::of_source(&create.properties, with::CREATE_AS, settings)?;
    let key_format = with.format("KEY_FORMAT")?;
    let purpose = Purpose::Persistent { sink: &create.name.value, verb };
    let mut selected = union::select_all(&create.query, catalog, settings, purpose)?;
    check_kind(create, &selected)?;
    let row_ttl_ms = row_ttl::of_result(create, &with, &mut selected)?;
    let formats = formats_of(&with, key_format, &create.name.value, &selected, settings)?;
    formats::check(&selected.columns, &formats.key, &formats.value)
        .map_err(|error| error.at(create.name.span()))?;
    let topic = topic_wish(&with, &selected)?;
    let source = source(create, text, &with, &selected, formats, topic.partitions, settings)?;
    let source = Source { row_ttl_ms, ..source };
    let replaces = match create.or_replace {
        true => replace::check(catalog, &source, &create.name)?,
        false => None,
    };
    if replaces.is_some() && selected.reads.contains(&source.name) {
        let message = format!("Cannot replace `{}`: the query reads from it.", source.name);
        return Err(SqlError::invalid(message).at(create.name.span()));
    }
    let plan = persistent_plan(selected, Arc::new(source.clone()));
    let plan = QueryPlan { idle_close_ms: settings.idle_close_ms()?, ..plan };
    Ok(Analyzed::CreateAs(Box::new(NewQuery {
        replaces,
        source,
        plan,
        topic,
        if_not_exists: create.if_not_exists,
    })))
}

fn check_kind(create: &CreateAs, selected: &Selected) -> Result<()> {
    let (got, want) = match (selected.kind, create.kind) {
        (ResultKind::Table, SourceKind::Stream) => ("TABLE", "TABLE"),
        (ResultKind::Stream, SourceKind::Table) => ("STREAM", "STREAM"),
        _ => return Ok(()),
    };
    Err(SqlError::invalid(format!(
        "Invalid result type. Your SELECT query produces a {got}. Please use CREATE {want} AS \
         SELECT statement instead."
    ))
    .at(create.name.span()))
}

fn formats_of(
    with: &With<'_>,
    key_wish: Option<FormatKind>,
    sink: &str,
    selected: &Selected,
    settings: &Settings,
) -> Result<Formats> {
    let inherited = &selected.leftmost;
    let has_key = !selected.key.is_empty();
    if !has_key && key_wish.is_some_and(|kind| kind != FormatKind::None) {
        let message = "Key format specified for stream without key columns.";
        return Err(with.located("KEY_FORMAT", SqlError::invalid(message)));
    }
    let key_kind = match (key_wish, inherited.key_format.kind) {
        (Some(kind), _) => kind,
        _ if selected.unkeyed => FormatKind::None,
        (None, FormatKind::None) if has_key => {
            default_format(settings, "key")?.unwrap_or(FormatKind::Kafka)
        }
        (None, kind) => kind,
    };
    let value_wish = with.format("VALUE_FORMAT")?;
    let value_kind = value_wish.unwrap_or(inherited.value_format.kind);
    let key_delimiter = with.delimiter("KEY_DELIMITER", key_kind)?;
    let value_delimiter = with.delimiter("VALUE_DELIMITER", value_kind)?;
    let same = |kind: FormatKind, old: &FormatSpec| (kind == old.kind).then_some(old.delimiter);
    let key_delimiter = key_delimiter.or(same(key_kind, &inherited.key_format));
    let value_delimiter = value_delimiter.or(same(value_kind, &inherited.value_format));
    let values = selected.columns.iter().filter(|c| c.role == ColumnRole::Value).count();
    let key_schema =
        inherit(schema_spec(with, Side::Key, key_kind, sink)?, key_kind, &inherited.key_format);
    let value_schema = inherit(
        schema_spec(with, Side::Value, value_kind, sink)?,
        value_kind,
        &inherited.value_format,
    );
    let (kind, delimiter) = (value_kind, value_delimiter);
    Ok(Formats {
        key: with::key_format(key_kind, key_delimiter, key_schema),
        value: with::value_format(with, kind, delimiter, value_schema, values, settings)?,
    })
}

/// Of its schema, a source hands on only the name of a Protobuf message.
fn inherit(own: SchemaSpec, kind: FormatKind, source: &FormatSpec) -> SchemaSpec {
    if kind != FormatKind::Protobuf || source.kind != kind || own.full_name.is_some() {
        return own;
    }
    SchemaSpec { full_name: source.schema.full_name.clone(), ..own }
}

fn topic_wish(with: &With<'_>, selected: &Selected) -> Result<TopicWish> {
    let explicit = with.number("RETENTION_MS", -1)?;
    let windowed = selected.window.is_some();
    if explicit.is_some() && selected.kind == ResultKind::Table && !windowed {
        let message = "Invalid config variable in the WITH clause: RETENTION_MS. Non-windowed \
                       tables do not support retention.";
        return Err(with.located("RETENTION_MS", SqlError::invalid(message)));
    }
    let window_ms = selected.aggregate_window.map(|w| w.retention_ms);
    // -1 is without end.
    let retention_ms =
        explicit.map(|ms| if ms == -1 { -1 } else { ms.max(window_ms.unwrap_or(ms)) });
    let partitions = partitions(with)?.unwrap_or(selected.leftmost.partitions);
    let retention_min_ms = window_ms;
    Ok(TopicWish { partitions, replicas: replicas(with)?, retention_ms, retention_min_ms })
}

fn source(
    create: &CreateAs,
    text: &str,
    with: &With<'_>,
    selected: &Selected,
    formats: Formats,
    partitions: u32,
    settings: &Settings,
) -> Result<Source> {
    let name = create.name.value.clone();
    let prefix = settings.get("ksql.output.topic.name.prefix").unwrap_or("");
    let topic = with.text("KAFKA_TOPIC")?.filter(|t| !t.is_empty());
    Ok(Source {
        topic: topic.unwrap_or_else(|| format!("{prefix}{name}")),
        name,
        kind: create.kind,
        columns: selected.columns.clone(),
        partitions,
        key_format: formats.key,
        value_format: formats.value,
        window: selected.window,
        timestamp: timestamp(with, &selected.columns)?,
        sql: text.to_string(),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    })
}

/// The plan that writes a result to `sink`, whose columns are the result's.
pub(super) fn persistent_plan(selected: Selected, sink: Arc<Source>) -> QueryPlan {
    // An aggregation is queried at its own store.
    let stored = selected.kind == ResultKind::Table && !selected.aggregated;
    let root = SinkNode {
        input: selected.plan,
        sink,
        kind: selected.kind,
        materialize: stored.then(|| "Project".to_string()),
        computed_key: selected.computed_key,
    };
    QueryPlan {
        plan: plan::node(root),
        reads: selected.reads,
        result: selected.kind,
        key: selected.key,
        limit: None,
        idle_close_ms: None,
    }
}

/// The plan that keeps a read-only table in a store of its own, so that it can be queried. It
/// writes no topic: the table's is somebody else's.
///
/// # Errors
/// A table that could not be read by a persistent query either.
pub fn kept_table(source: &Source) -> Result<QueryPlan> {
    let mut catalog = Catalog::default();
    // Rows expire where they are kept.
    let read = Source { row_ttl_ms: None, ..source.clone() };
    catalog.sources.insert(source.name.clone(), Arc::new(read));
    let statement = crate::parser::parse_statement(&format!(
        "SELECT * FROM `{}` EMIT CHANGES;",
        source.name.replace('`', "``")
    ))?;
    let crate::ast::Statement::Query(query) = statement else {
        return Err(SqlError::invalid("a SELECT is a query"));
    };
    let verb = "CREATE SOURCE TABLE";
    let purpose = Purpose::Persistent { sink: &source.name, verb };
    let selected = select_in(&query, &catalog, &Settings::default(), purpose, "")?;
    let sink = Source { columns: selected.columns.clone(), ..source.clone() };
    Ok(persistent_plan(selected, Arc::new(sink)))
}
