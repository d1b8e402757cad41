//! DROP STREAM and DROP TABLE.

use std::collections::BTreeSet;

use super::exists::kind_name;
use super::scope::unknown_source;
use super::{Analyzed, DropPlan, NothingToDo};
use crate::ast::DropSource;
use crate::catalog::{Catalog, SourceKind};
use crate::error::{Result, SqlError};

/// # Errors
/// An unknown source, the wrong kind, or queries that still use it.
pub(super) fn drop_source(drop: &DropSource, catalog: &Catalog) -> Result<Analyzed> {
    let name = &drop.name.value;
    let Some(source) = catalog.source(name) else {
        if drop.if_exists {
            let message = format!("Source `{name}` does not exist.");
            return Ok(Analyzed::Nothing(NothingToDo { message }));
        }
        let kind = match drop.kind {
            SourceKind::Stream => "Stream",
            SourceKind::Table => "Table",
        };
        let message = format!("{kind} {name} does not exist.");
        return Err(unknown_source(catalog, &drop.name, message));
    };
    if source.kind != drop.kind {
        let message = format!(
            "Incompatible data source type is {}, but statement was DROP {}",
            kind_name(source.kind),
            kind_name(drop.kind)
        );
        return Err(SqlError::invalid(message).at(drop.name.span()));
    }
    check_users(drop, catalog, source.query.as_deref())?;
    if drop.delete_topic {
        if source.read_only {
            let message = format!("Cannot delete topic for read-only source: {name}");
            return Err(SqlError::invalid(message).at(drop.name.span()));
        }
        check_topic(drop, catalog, &source.topic)?;
    }
    Ok(Analyzed::Drop(DropPlan {
        source: source.clone(),
        delete_topic: drop.delete_topic,
        terminates: source.query.clone(),
    }))
}

fn check_users(drop: &DropSource, catalog: &Catalog, own: Option<&str>) -> Result<()> {
    let name = &drop.name.value;
    // A query ends with the source that it made, others are to be terminated.
    let (makers, others): (Vec<_>, Vec<_>) =
        catalog.queries.values().filter(|q| Some(q.id.as_str()) != own).partition(|q| {
            let made = catalog.source(&q.writes).and_then(|source| source.query.as_ref());
            made == Some(&q.id)
        });
    let readers: Vec<&str> =
        others.iter().filter(|q| q.reads.contains(name)).map(|q| q.id.as_str()).collect();
    let writers: Vec<&str> =
        others.iter().filter(|q| q.writes == *name).map(|q| q.id.as_str()).collect();
    if !readers.is_empty() || !writers.is_empty() {
        let message = format!(
            "Cannot drop {name}.\nThe following queries read from this source: [{}].\nThe \
             following queries write into this source: [{}].\nYou need to terminate them before \
             dropping {name}.",
            readers.join(", "),
            writers.join(", ")
        );
        return Err(SqlError::invalid(message).at(drop.name.span()));
    }
    let made: BTreeSet<&str> =
        makers.iter().filter(|q| q.reads.contains(name)).map(|q| q.writes.as_str()).collect();
    if made.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Cannot drop {name}.\nThe following streams and/or tables read from this source: [{}].\n\
         You need to drop them before dropping {name}.",
        made.into_iter().collect::<Vec<_>>().join(", ")
    );
    Err(SqlError::invalid(message).at(drop.name.span()))
}

fn check_topic(drop: &DropSource, catalog: &Catalog, topic: &str) -> Result<()> {
    let same = |s: &str| s != drop.name.value;
    let others: Vec<&str> = catalog
        .sources
        .values()
        .filter(|s| s.topic == topic && same(&s.name))
        .map(|s| s.name.as_str())
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Refusing to delete topic. Found other data sources ({}) using topic {topic}",
        others.join(", ")
    );
    Err(SqlError::invalid(message).at(drop.name.span()))
}
