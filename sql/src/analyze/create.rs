//! CREATE STREAM and CREATE TABLE over a topic.

use super::formats::{self, Side};
use super::schema_spec::schema_spec;
use super::settings::Settings;
use super::typing::no_custom_types;
use super::with::{self, With};
use super::{Analyzed, NewSource, TopicWish, exists, replace, row_ttl};
use crate::ast::{ColumnDef, ColumnMarker, CreateSource};
use crate::catalog::{
    Catalog, Column, ColumnRole, FormatKind, Source, SourceKind, TimestampSpec, pseudo,
};
use crate::error::{Result, SqlError};
use crate::expr::java_time::TimePattern;
use crate::types::{SqlType, StructField};

/// Without it there is neither CREATE SOURCE TABLE nor CREATE SOURCE STREAM.
const KEPT_SOURCES: &str = "ksql.source.table.materialization.enabled";

/// # Errors
/// Whatever ksqlDB refuses about columns, keys, formats and properties.
pub(super) fn create_source(
    create: &CreateSource,
    text: &str,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Analyzed> {
    if let Some(same) = exists::check(create, catalog, settings)? {
        return Ok(same);
    }
    if create.read_only && !settings.is_on(KEPT_SOURCES, true) {
        let message = "Cannot execute command because source table materialization is disabled.";
        let hint = format!("set {KEPT_SOURCES}=true in the configuration of the server");
        return Err(SqlError::invalid(message).at(create.name.span()).hint(hint));
    }
    let with = With::of_source(&create.properties, with::CREATE, settings)?;
    let formats = formats_of(create, &with, settings)?;
    let columns = columns(create, &formats)?;
    check_headers_enabled(create, settings)?;
    formats::check(&columns, &formats.key, &formats.value)
        .map_err(|error| error.at(create.name.span()))?;
    let topic = with.text("KAFKA_TOPIC")?.filter(|t| !t.is_empty()).ok_or_else(|| {
        let message = "Missing required property \"KAFKA_TOPIC\" which has no default value.";
        SqlError::invalid(message).at(create.properties.loc.0)
    })?;
    let wish = topic_wish(&with)?;
    let mut source = Source {
        name: create.name.value.clone(),
        kind: create.kind,
        timestamp: timestamp(&with, &columns)?,
        columns,
        topic,
        partitions: wish.as_ref().map_or(0, |w| w.partitions),
        key_format: formats.key,
        value_format: formats.value,
        window: with.key_window()?,
        sql: text.to_string(),
        query: None,
        read_only: create.read_only,
        row_ttl_ms: row_ttl::of_source(create, &with)?,
    };
    if source.window.is_some() && source.key_columns().next().is_none() {
        let message = "Windowed sources require a key column.";
        return Err(SqlError::invalid(message).at(create.name.span()));
    }
    if create.or_replace {
        // What a query writes is still its own.
        let replaced = replace::check(catalog, &source, &create.name)?;
        source.query = replaced.and_then(|old| old.query.clone());
    }
    Ok(Analyzed::CreateSource(Box::new(NewSource {
        source,
        create_topic: wish,
        if_not_exists: create.if_not_exists,
        or_replace: create.or_replace,
    })))
}

fn formats_of(
    create: &CreateSource,
    with: &With<'_>,
    settings: &Settings,
) -> Result<with::Formats> {
    let values = create.columns.iter().filter(|c| c.marker == ColumnMarker::None).count();
    let (key_kind, value_kind) = kinds(create, with, settings)?;
    let key_delimiter = with.delimiter("KEY_DELIMITER", key_kind)?;
    let delimiter = with.delimiter("VALUE_DELIMITER", value_kind)?;
    let key_schema = schema_spec(with, Side::Key, key_kind, &create.name.value)?;
    let schema = schema_spec(with, Side::Value, value_kind, &create.name.value)?;
    Ok(with::Formats {
        key: with::key_format(key_kind, key_delimiter, key_schema),
        value: with::value_format(with, value_kind, delimiter, schema, values, settings)?,
    })
}

/// Formats of key and value.
///
/// # Errors
/// When there is none for the value, and what [`With::format`] refuses.
pub(super) fn kinds(
    create: &CreateSource,
    with: &With<'_>,
    settings: &Settings,
) -> Result<(FormatKind, FormatKind)> {
    let key = match with.format("KEY_FORMAT")? {
        Some(kind) => kind,
        None => default_format(settings, "key")?.unwrap_or(FormatKind::Kafka),
    };
    let value = match with.format("VALUE_FORMAT")? {
        Some(kind) => kind,
        None => default_format(settings, "value")?.ok_or_else(|| {
            SqlError::invalid(
                "Statement is missing the 'VALUE_FORMAT' property from the WITH clause. Either \
                 provide one or set a default via the 'ksql.persistence.default.format.value' \
                 config.",
            )
            .at(create.properties.loc.0)
        })?,
    };
    Ok((key, value))
}

/// The format that a setting names for `key` or `value`.
pub(super) fn default_format(settings: &Settings, side: &str) -> Result<Option<FormatKind>> {
    let name = format!("ksql.persistence.default.format.{side}");
    settings.get(&name).map(with::format_kind).transpose()
}

fn columns(create: &CreateSource, formats: &with::Formats) -> Result<Vec<Column>> {
    let none = formats.value.kind == FormatKind::None;
    if create.columns.is_empty() && !none {
        let message = "The statement does not define any columns.";
        return Err(SqlError::invalid(message).at(create.name.span()));
    }
    let mut columns: Vec<Column> = Vec::with_capacity(create.columns.len());
    for def in &create.columns {
        let column = column(def, create.kind)?;
        if columns.iter().any(|c| c.name == column.name) {
            let message = format!("Duplicate column names: {}", column.name);
            return Err(SqlError::invalid(message).at(def.loc.0));
        }
        columns.push(column);
    }
    check_header_columns(&columns).map_err(|e| e.at(create.name.span()))?;
    let has_key = columns.iter().any(|c| c.role == ColumnRole::Key);
    if create.kind == SourceKind::Table && !has_key {
        let message = "Tables require a PRIMARY KEY. Please define the PRIMARY KEY.";
        return Err(SqlError::invalid(message).at(create.name.span()));
    }
    Ok(columns)
}

fn column(def: &ColumnDef, kind: SourceKind) -> Result<Column> {
    let name = def.name.value.clone();
    if pseudo::ALL.contains(&name.as_str()) {
        let message = format!(
            "'{name}' is a reserved column name. You cannot use it as a name for a column."
        );
        return Err(SqlError::invalid(message).at(def.name.span()));
    }
    let wrong = |got: &str, want: &str, whose: &str| {
        let message =
            format!("Column `{name}` is a '{got}' column: please use '{want}' for {whose}.");
        Err(SqlError::invalid(message).at(def.loc.0))
    };
    let role = match (&def.marker, kind) {
        (ColumnMarker::None, _) => ColumnRole::Value,
        (ColumnMarker::Key, SourceKind::Stream) => ColumnRole::Key,
        (ColumnMarker::PrimaryKey, SourceKind::Table) => ColumnRole::Key,
        (ColumnMarker::Key, SourceKind::Table) => return wrong("KEY", "PRIMARY KEY", "tables"),
        (ColumnMarker::PrimaryKey, SourceKind::Stream) => {
            return wrong("PRIMARY KEY", "KEY", "streams");
        }
        (ColumnMarker::Headers, _) => ColumnRole::Headers(None),
        (ColumnMarker::Header(key), _) => ColumnRole::Headers(Some(key.clone())),
    };
    let ty: SqlType = def.ty.resolve(&no_custom_types)?;
    check_header_type(&role, &ty).map_err(|e| e.at(def.loc.0))?;
    Ok(Column { name, ty, role })
}

/// A column of all headers is a list of them; a column of one is its bytes.
fn check_header_type(role: &ColumnRole, ty: &SqlType) -> Result<()> {
    let ColumnRole::Headers(key) = role else { return Ok(()) };
    let field = |name: &str, ty| StructField { name: name.to_string(), ty };
    let all = vec![field("KEY", SqlType::String), field("VALUE", SqlType::Bytes)];
    let (what, expected) = match key {
        None => ("HEADERS".to_string(), SqlType::Array(Box::new(SqlType::Struct(all)))),
        Some(key) => (format!("HEADER('{key}')"), SqlType::Bytes),
    };
    if *ty == expected {
        return Ok(());
    }
    Err(SqlError::invalid(format!("Invalid type for {what} column: expected {expected}, got {ty}")))
}

/// Columns of headers may be switched off for the whole server.
fn check_headers_enabled(create: &CreateSource, settings: &Settings) -> Result<()> {
    const SWITCH: &str = "ksql.headers.columns.enabled";
    let is_headers =
        |def: &&ColumnDef| matches!(def.marker, ColumnMarker::Headers | ColumnMarker::Header(_));
    let Some(def) = create.columns.iter().find(is_headers) else { return Ok(()) };
    if settings.is_on(SWITCH, true) {
        return Ok(());
    }
    let kind = match create.kind {
        SourceKind::Stream => "Stream",
        SourceKind::Table => "Table",
    };
    let message = format!("Cannot create {kind} because schema with headers columns is disabled.");
    let hint = format!("set {SWITCH}=true in the configuration of the server, or leave it out");
    Err(SqlError::invalid(message).at(def.loc.0).hint(hint))
}

/// All headers, or those of one name, make one column at most.
fn check_header_columns(columns: &[Column]) -> Result<()> {
    for (at, column) in columns.iter().enumerate() {
        let ColumnRole::Headers(key) = &column.role else { continue };
        if columns[..at].iter().any(|other| other.role == column.role) {
            let what = key.as_ref().map_or("HEADERS".to_string(), |key| format!("HEADER('{key}')"));
            let message = format!("Schema already contains a {what} column.");
            return Err(SqlError::invalid(message));
        }
    }
    Ok(())
}

fn topic_wish(with: &With<'_>) -> Result<Option<TopicWish>> {
    let partitions = partitions(with)?;
    let replicas = replicas(with)?;
    let retention_ms = with.number("RETENTION_MS", -1)?;
    match partitions {
        Some(partitions) => {
            Ok(Some(TopicWish { partitions, replicas, retention_ms, retention_min_ms: None }))
        }
        None => Ok(None),
    }
}

/// PARTITIONS, at least 1.
pub(super) fn partitions(with: &With<'_>) -> Result<Option<u32>> {
    small(with, "PARTITIONS", 1)
}

/// REPLICAS, at least 1; -1 is the broker's default.
pub(super) fn replicas(with: &With<'_>) -> Result<Option<u32>> {
    match with.number("REPLICAS", -1)? {
        None | Some(-1) => Ok(None),
        Some(_) => small(with, "REPLICAS", 1),
    }
}

fn small(with: &With<'_>, name: &str, min: i64) -> Result<Option<u32>> {
    const MAX: i64 = 100_000;
    match with.number(name, min)? {
        None => Ok(None),
        Some(n) if n <= MAX => Ok(Some(n as u32)),
        Some(n) => {
            let message = format!("Invalid value {n} for property {name}: at most {MAX}");
            Err(with.located(name, SqlError::invalid(message)))
        }
    }
}

/// TIMESTAMP and TIMESTAMP_FORMAT.
///
/// # Errors
/// When the column is unknown, has an unfit type, or a format is missing or too much.
pub(super) fn timestamp(with: &With<'_>, columns: &[Column]) -> Result<Option<TimestampSpec>> {
    let pattern = with.text("TIMESTAMP_FORMAT")?;
    let Some(name) = with.text("TIMESTAMP")? else {
        return match pattern {
            None => Ok(None),
            Some(_) => {
                let message = "'TIMESTAMP_FORMAT' is given without 'TIMESTAMP'.";
                Err(with.located("TIMESTAMP_FORMAT", SqlError::invalid(message)))
            }
        };
    };
    if let Some(pattern) = &pattern {
        TimePattern::new(pattern).map_err(|reason| {
            let message = format!(
                "Failed to prepare statement: Invalid datetime format for config:TIMESTAMP_FORMAT, \
                 reason:{reason}"
            );
            with.located("TIMESTAMP_FORMAT", SqlError::invalid(message))
        })?;
    }
    let name = unquote(&name);
    let Some(column) = columns.iter().find(|c| c.name == name) else {
        let message = format!(
            "The TIMESTAMP column set in the WITH clause does not exist in the schema: '{name}'"
        );
        return Err(with.located("TIMESTAMP", SqlError::invalid(message)));
    };
    let fits = match (&column.ty, &pattern) {
        (SqlType::Bigint | SqlType::Timestamp, None) => true,
        (SqlType::String, Some(_)) => true,
        (SqlType::String, None) => {
            let message = "A String timestamp field has been specified without also specifying the \
                           timestamp_format";
            return Err(with.located("TIMESTAMP", SqlError::invalid(message)));
        }
        (_, Some(_)) => {
            let message = "'TIMESTAMP_FORMAT' set in the WITH clause can only be used when the \
                           timestamp column is of type STRING.";
            return Err(with.located("TIMESTAMP_FORMAT", SqlError::invalid(message)));
        }
        _ => false,
    };
    if !fits {
        let message = format!(
            "Timestamp column, `{name}`, should be LONG(INT64), TIMESTAMP, or a String with a \
             timestamp_format specified."
        );
        return Err(with.located("TIMESTAMP", SqlError::invalid(message)));
    }
    Ok(Some(TimestampSpec { column: name, pattern }))
}

/// A name inside a string: upper-cased unless it carries quotes of its own.
fn unquote(text: &str) -> String {
    let text = text.trim();
    for quote in ['`', '"'] {
        let inner = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner.replace(&format!("{quote}{quote}"), &quote.to_string());
        }
    }
    text.to_uppercase()
}
