//! What becomes of a sink when its source gets columns, and what CREATE OR REPLACE SINK may change.

use std::sync::Arc;

use super::{Analyzed, NothingToDo, olap};
use crate::ast::CreateSink;
use crate::catalog::{Catalog, FormatKind, Source};
use crate::error::{Result, SqlError};
use crate::olap::{OlapColumn, OlapSink, OlapTable};

/// A sink that goes on with more columns.
#[derive(Debug, Clone)]
pub struct SinkChange {
    /// As it is to be, with the query that it has.
    pub sink: OlapSink,
    /// What its query reads, as it is or will be.
    pub source: Source,
}

/// What a sink whose table was replaced is called from then on.
const FORMER: &str = "_OLD";

/// The sinks that must get columns before `source` takes the place of the one of its name: what is
/// written with a column that a table does not know is lost.
///
/// # Errors
/// A column that a table cannot get.
pub fn following(catalog: &Catalog, source: &Source) -> Result<Vec<SinkChange>> {
    let Some(old) = catalog.source(&source.name) else { return Ok(Vec::new()) };
    let (partitions, query) = (old.partitions, old.query.clone());
    let source = Source { partitions, query, ..source.clone() };
    let mut changes = Vec::new();
    for sink in catalog.sinks.values().filter(|sink| sink.source == source.name) {
        let present = olap::columns(&source)?;
        let columns = joined(sink, present).map_err(|why| cannot_follow(sink, &why))?;
        if columns == sink.table.columns {
            continue;
        }
        if source.value_format.kind == FormatKind::Delimited {
            let why = "records of DELIMITED do not tell whether they have the new column";
            return Err(cannot_follow(sink, why));
        }
        let table = OlapTable { columns, ..sink.table.clone() };
        let sink = OlapSink { table, ..sink.as_ref().clone() };
        changes.push(SinkChange { sink, source: source.clone() });
    }
    Ok(changes)
}

fn cannot_follow(sink: &OlapSink, why: &str) -> SqlError {
    let OlapSink { name, source, .. } = sink;
    SqlError::invalid(format!("Sink {name} cannot follow {source}: {why}.")).hint(format!(
        "DROP SINK {name} first, then CREATE SINK with another TABLE in WITH: it is filled from \
         the beginning"
    ))
}

/// Columns of a sink's table, and behind them what a source has more.
fn joined(
    sink: &OlapSink,
    present: Vec<OlapColumn>,
) -> std::result::Result<Vec<OlapColumn>, String> {
    let mut columns = sink.table.columns.clone();
    let goes_on = |known: &OlapColumn| present.iter().any(|column| column.name == known.name);
    if sink.table.rolls_up()
        && let Some(gone) = columns.iter().find(|known| !goes_on(known))
    {
        return Err(format!("sums of {} would end in the middle", gone.name));
    }
    for column in present {
        match columns.iter().find(|known| known.name == column.name) {
            None if sink.table.rolls_up() => {
                return Err(format!("sums of {} would begin in the middle", column.name));
            }
            None if column.key => return Err(format!("column {} joins the key", column.name)),
            None => columns.push(column),
            Some(known) if *known == column => {}
            Some(known) => {
                return Err(format!(
                    "column {} is {} in table {}, and would be {}",
                    column.name,
                    known.ty,
                    sink.table.name,
                    if column.key == known.key {
                        column.ty.to_string()
                    } else {
                        "a key".to_owned()
                    }
                ));
            }
        }
    }
    Ok(columns)
}

/// True if the table is the one that the sink has, wherever its system is now.
pub(super) fn same_place(old: &OlapSink, table: &OlapTable) -> bool {
    (old.table.system, &old.table.name) == (table.system, &table.name)
}

/// `CREATE OR REPLACE SINK` of the table that the sink has: only columns may be more.
///
/// # Errors
/// Everything else that would have to change.
pub(super) fn in_place(
    create: &CreateSink,
    old: &Arc<OlapSink>,
    table: OlapTable,
    topic: Option<String>,
    source: &Arc<Source>,
    text: &str,
) -> Result<Analyzed> {
    let name = &old.name;
    let refuse = |what: String| {
        let hint = "give it another TABLE in WITH: a new table is made and filled from the \
                    beginning, and the old one goes on until it is dropped";
        let message = format!("Table {} of sink {name} stays as it is, but {what}.", table.name);
        Err(SqlError::invalid(message).at(create.name.span()).hint(hint))
    };
    if old.source != source.name {
        return refuse(format!("it is fed from {}, not from {}", old.source, source.name));
    }
    if let Some(topic) = topic.filter(|topic| *topic != old.table.topic) {
        return refuse(format!("it reads topic {}, not {topic}", old.table.topic));
    }
    if let Some(what) = other_option(&old.table, &table) {
        return refuse(what);
    }
    if (old.table.keyed, old.table.windowed) != (table.keyed, table.windowed) {
        return refuse(format!("{} was of another kind", source.name));
    }
    let columns = match joined(old, table.columns.clone()) {
        Ok(columns) => columns,
        Err(what) => return refuse(what),
    };
    let table = OlapTable { columns, topic: old.table.topic.clone(), ..table };
    if table == old.table {
        let message = format!("Sink {name} shows all columns of {} already.", source.name);
        return Ok(Analyzed::Nothing(NothingToDo { message }));
    }
    let sink = OlapSink { table, sql: text.to_owned(), ..old.as_ref().clone() };
    Ok(Analyzed::AlterSink(Box::new(SinkChange { sink, source: source.as_ref().clone() })))
}

/// An option that the one has and the other has not, or not so.
fn other_option(old: &OlapTable, new: &OlapTable) -> Option<String> {
    let names = old.options.keys().chain(new.options.keys());
    let mut other = names.filter(|name| old.options.get(*name) != new.options.get(*name));
    let name = other.next()?;
    let shown = |table: &OlapTable| table.options.get(name).map_or("not set", |v| v).to_owned();
    Some(format!("{name} is {}, not {}", shown(old), shown(new)))
}

/// `CREATE OR REPLACE SINK` with another table: the name of the sink that goes on with the old one.
/// Unless a topic is given, the table gets one of its own.
///
/// # Errors
/// When there is a sink of that name, or the topic is another sink's.
pub(super) fn rebuilt(
    create: &CreateSink,
    old: &OlapSink,
    table: &mut OlapTable,
    topic_given: bool,
    catalog: &Catalog,
) -> Result<String> {
    let former = format!("{}{FORMER}", old.name);
    if catalog.sinks.contains_key(&former) {
        let message = format!("Sink {} still has a former table, as sink {former}.", old.name);
        let hint = format!("DROP SINK {former} DELETE TABLE DELETE TOPIC first");
        return Err(SqlError::invalid(message).at(create.name.span()).hint(hint));
    }
    let owner = |topic: &str| catalog.sinks.values().find(|sink| sink.table.topic == topic);
    if !topic_given {
        let base = format!("{}_OLAP", table.name.to_uppercase());
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        let mut free = std::iter::once(base.clone()).chain(numbered);
        table.topic = free.find(|topic| owner(topic).is_none()).unwrap_or(base.clone());
    }
    if let Some(owner) = owner(&table.topic) {
        let message = format!("Topic {} is that of sink {}.", table.topic, owner.name);
        return Err(SqlError::invalid(message).at(create.name.span()));
    }
    Ok(former)
}
