//! Sinks that get columns: the table first, then the query that feeds it, then whoever writes what it
//! reads. Each step can be done twice, and a statement that fails is said again.

use std::sync::Arc;
use std::time::Duration;

use millrace_sql::analyze::{self, Analyzed, SinkChange};
use millrace_sql::catalog::{Catalog, Source};

use crate::api::{ApiError, ApiResult};
use crate::command::Command;
use crate::error::EngineError;
use crate::ids::Offset;
use crate::service::ddl::{Outcome, decided, refused};
use crate::service::replace::writer_of;
use crate::service::{Inner, cleanup};
use crate::upgrade::upgraded;

/// How long a statement waits for lanes, maybe of other nodes, to take a sink's new plan.
const LANES_WAIT_MAX: Duration = Duration::from_secs(30);

impl Inner {
    /// The sinks that must change before a statement that replaces or alters their source.
    pub(super) fn following(
        &self,
        sql: &str,
        catalog: &Catalog,
        analyzed: &Analyzed,
    ) -> ApiResult<Vec<SinkChange>> {
        let Some(source) = changed(analyzed) else { return Ok(Vec::new()) };
        analyze::following(catalog, source).map_err(refused(sql))
    }

    /// The next of them; `None` when the statement itself may go ahead.
    pub(super) fn next_to_follow(
        &self,
        sql: &str,
        catalog: &Catalog,
        analyzed: &Analyzed,
    ) -> ApiResult<Option<SinkChange>> {
        let Some(change) = self.following(sql, catalog, analyzed)?.into_iter().next() else {
            return Ok(None);
        };
        // What will be refused must not change a table.
        if let Analyzed::CreateAs(new) = analyzed
            && let Some(old) = writer_of(catalog, new)?.and_then(|id| self.registry.get(&id))
        {
            upgraded(&old.topology, &new.plan).map_err(ApiError::Engine)?;
        }
        Ok(Some(change))
    }

    /// Alters the table, and says how its query is to go on.
    pub(super) fn follow(&self, catalog: &Catalog, change: SinkChange) -> ApiResult<Command> {
        let name = change.sink.name.clone();
        self.alter_table(catalog, &change).map_err(|why| {
            user(format!(
                "Sink {name} shows {}, and cannot get its new columns: {why}. Nothing was changed \
                 but maybe that table: say it again when that is mended, or DROP SINK {name} first",
                change.source.name
            ))
        })?;
        Ok(altered(change))
    }

    /// Waits until all lanes of the service work by a command.
    pub(super) fn await_everywhere(&self, command: Offset) -> ApiResult<()> {
        self.await_applied(Offset(command.0 + 1))?;
        if cleanup::await_passed(self, command.0, LANES_WAIT_MAX) {
            return Ok(());
        }
        Err(user(format!(
            "The sinks of it know the new columns, but not all lanes have taken that in within {} \
             s, so the source was not changed; say it again when /healthcheck is well",
            LANES_WAIT_MAX.as_secs()
        )))
    }

    /// CREATE OR REPLACE SINK of the table that it has.
    pub(super) fn decide_alter_sink(
        &self,
        catalog: &Catalog,
        change: SinkChange,
    ) -> ApiResult<Outcome> {
        self.alter_table(catalog, &change).map_err(user)?;
        let (name, query) = (change.sink.name.clone(), change.sink.query.clone());
        let id = format!("sink/{name}/alter");
        let message = format!(
            "Sink {name} altered: table {} has all columns of {}. Rows from now on fill them",
            change.sink.table.name, change.source.name
        );
        Ok(decided(altered(change), id, message, Some(query)))
    }

    fn alter_table(&self, catalog: &Catalog, change: &SinkChange) -> Result<(), String> {
        let Some(targets) = &self.seams.olap else {
            return Err("this server has no way to Pinot and Druid".to_owned());
        };
        // What the query cannot become must not change a table.
        let source = Arc::new(change.source.clone());
        let (plan, _) = analyze::sink_plan(&change.sink, &source).map_err(|e| e.message)?;
        if let Some(query) = self.registry.get(&change.sink.query) {
            upgraded(&query.topology, &plan).map_err(|e| e.to_string())?;
        }
        let new = &change.sink.table;
        let old = catalog.sinks.get(&change.sink.name).map_or(new, |sink| &sink.table);
        targets.alter(old, new)
    }
}

fn altered(change: SinkChange) -> Command {
    let SinkChange { sink, source } = change;
    Command::AlterSink { sink: Box::new(sink), source: Box::new(source) }
}

/// The source that a statement changes, as it will be.
fn changed(analyzed: &Analyzed) -> Option<&Source> {
    match analyzed {
        Analyzed::CreateAs(new) if new.replaces.is_some() => Some(&new.source),
        Analyzed::CreateSource(new) if new.or_replace => Some(&new.source),
        Analyzed::AlterSource(source) => Some(source),
        _ => None,
    }
}

fn user(message: String) -> ApiError {
    ApiError::Engine(EngineError::User(message))
}
