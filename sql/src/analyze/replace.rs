//! CREATE OR REPLACE: what an existing source may become.

use std::sync::Arc;

use super::formats;
use crate::ast::Ident;
use crate::catalog::{Catalog, Column, ColumnRole, Source, SourceKind, TimestampSpec};
use crate::error::{Result, SqlError};

/// Checks that `new` may take the place of the source of its name, if there is one: what reads or
/// writes it goes on. Answers the source that is replaced.
///
/// # Errors
/// In ksqlDB's words, everything that is not upgradeable.
pub(super) fn check(catalog: &Catalog, new: &Source, name: &Ident) -> Result<Option<Arc<Source>>> {
    let Some(old) = catalog.source(&new.name) else { return Ok(None) };
    let issues = issues(old, new);
    if issues.is_empty() {
        return Ok(Some(old.clone()));
    }
    let message = format!("Cannot upgrade data source: {}", issues.join("\n\tAND "));
    Err(SqlError::invalid(message).at(name.span()))
}

fn issues(old: &Source, new: &Source) -> Vec<String> {
    let mut issues = Vec::new();
    let mut compare = |what: &str, old_value: String, new_value: String| {
        if old_value != new_value {
            issues.push(refusal(&old.name, what, &old_value, &new_value));
        }
    };
    compare("type", kind(old), kind(new));
    compare("topic", topic(old), topic(new));
    compare("timestampColumn", timestamp(old), timestamp(new));
    // What runs has an index of when rows expire, or has none.
    if old.query.is_some() && old.row_ttl_ms.is_some() != new.row_ttl_ms.is_some() {
        issues.push(refusal(&old.name, "ROW_TTL", &row_ttl(old), &row_ttl(new)));
    }
    if let Some(why) = schema_issue(old, new) {
        let refused = refusal(&old.name, "schema", &schema(old), &schema(new));
        issues.push(format!("{refused}. ({why})"));
    }
    issues
}

fn refusal(name: &str, what: &str, old: &str, new: &str) -> String {
    format!("DataSource '`{name}`' has {what} = {old} which is not upgradeable to {new}")
}

fn kind(source: &Source) -> String {
    let kind = match source.kind {
        SourceKind::Stream => "KSTREAM",
        SourceKind::Table => "KTABLE",
    };
    kind.to_string()
}

fn topic(source: &Source) -> String {
    let (key, value) = (&source.key_format, &source.value_format);
    let window = source.window.map_or(String::new(), |window| format!(", window={window:?}"));
    format!(
        "KsqlTopic{{kafkaTopicName='{}', keyFormat={key:?}{window}, valueFormat={value:?}}}",
        source.topic
    )
}

fn timestamp(source: &Source) -> String {
    match &source.timestamp {
        None => "Optional.empty".to_string(),
        Some(TimestampSpec { column, pattern: None }) => format!("Optional[`{column}`]"),
        Some(TimestampSpec { column, pattern: Some(p) }) => format!("Optional[`{column}` {p}]"),
    }
}

fn row_ttl(source: &Source) -> String {
    source.row_ttl_ms.map_or("none".to_string(), |ms| format!("{ms} ms"))
}

fn schema(source: &Source) -> String {
    let keys = source.key_columns();
    let values = source.columns.iter().filter(|c| c.role != ColumnRole::Key);
    formats::describe(&keys.chain(values).collect::<Vec<_>>())
}

/// Key columns must be the same; other columns must stay where they are, and more may follow.
fn schema_issue(old: &Source, new: &Source) -> Option<String> {
    let of = |source: &Source, key: bool| -> Vec<Column> {
        let is_wanted = |c: &&Column| (c.role == ColumnRole::Key) == key;
        source.columns.iter().filter(is_wanted).cloned().collect()
    };
    let lost = |old: Vec<Column>, new: Vec<Column>| -> Vec<Column> {
        let kept = |at: usize, column: &Column| new.get(at) == Some(column);
        let lost = old.iter().enumerate().filter(|(at, column)| !kept(*at, column));
        lost.map(|(_, column)| column.clone()).collect()
    };
    let text = |columns: &[Column]| formats::describe(&columns.iter().collect::<Vec<_>>());
    let (old_keys, new_keys) = (of(old, true), of(new, true));
    if old_keys != new_keys {
        let mut lost_keys = lost(old_keys.clone(), new_keys.clone());
        if lost_keys.is_empty() {
            lost_keys = lost(new_keys, old_keys);
        }
        return Some(format!(
            "Key columns must be identical. The following key columns are changed, missing or \
             reordered: [{}]",
            text(&lost_keys)
        ));
    }
    let lost = lost(of(old, false), of(new, false));
    let message =
        || format!("The following columns are changed, missing or reordered: [{}]", text(&lost));
    (!lost.is_empty()).then(message)
}
