//! Which queries TERMINATE, PAUSE and RESUME mean.

use millrace_sql::ast::QueryTarget;
use millrace_sql::catalog::Catalog;
use millrace_sql::error::SqlError;

use crate::api::{ApiError, ApiResult};
use crate::command::Command;
use crate::service::Inner;
use crate::service::ddl::{Outcome, decided, refused};
use crate::service::kept::keeps_table;
use crate::service::words::query_command;

impl Inner {
    pub(super) fn decide_terminate(
        &self,
        sql: &str,
        catalog: &Catalog,
        target: &QueryTarget,
    ) -> ApiResult<Outcome> {
        let queries = self.targets(sql, catalog, target)?;
        let queries = terminable(sql, catalog, target, queries)?;
        let id = query_command(&queries, "terminate");
        Ok(decided(Command::Terminate { queries }, id, "Query terminated.".to_owned(), None))
    }

    /// PAUSE, or else RESUME.
    pub(super) fn decide_pause(
        &self,
        sql: &str,
        catalog: &Catalog,
        target: &QueryTarget,
        pause: bool,
    ) -> ApiResult<Outcome> {
        let queries = self.targets(sql, catalog, target)?;
        let (verb, done) = if pause { ("pause", "paused") } else { ("resume", "resumed") };
        let (id, message) = match target {
            QueryTarget::Sink(name) => {
                (format!("sink/{}/{verb}", name.value), format!("Sink {} {done}.", name.value))
            }
            QueryTarget::All | QueryTarget::Id(_) => {
                (query_command(&queries, verb), format!("Query {done}."))
            }
        };
        let command = match pause {
            true => Command::Pause { queries },
            false => Command::Resume { queries },
        };
        Ok(decided(command, id, message, None))
    }

    /// Ids that TERMINATE, PAUSE or RESUME mean.
    pub(super) fn targets(
        &self,
        sql: &str,
        catalog: &Catalog,
        target: &QueryTarget,
    ) -> ApiResult<Vec<String>> {
        match target {
            QueryTarget::All => {
                Ok(catalog.queries.keys().filter(|id| !keeps_table(id)).cloned().collect())
            }
            QueryTarget::Sink(name) => match catalog.sinks.get(&name.value) {
                Some(sink) => Ok(vec![sink.query.clone()]),
                None => {
                    let error = SqlError::invalid(format!("Sink `{}` does not exist.", name.value));
                    let error = error.at(name.span()).hint("SHOW SINKS lists what there is");
                    Err(refused(sql)(error))
                }
            },
            QueryTarget::Id(id) if keeps_table(&id.value) => {
                let error = SqlError::invalid(format!(
                    "Cannot terminate query '{}' because it is linked to a source table.",
                    id.value
                ));
                Err(ApiError::Statement { sql: sql.to_owned(), error })
            }
            QueryTarget::Id(id) if catalog.queries.contains_key(&id.value) => {
                Ok(vec![id.value.clone()])
            }
            QueryTarget::Id(id) => {
                let error = SqlError::invalid(format!("Unknown queryId: {}", id.value));
                let error = error.hint("SHOW QUERIES lists the ids");
                Err(ApiError::Statement { sql: sql.to_owned(), error })
            }
        }
    }
}

/// What TERMINATE may end: a sink's query lives as long as the sink.
pub(super) fn terminable(
    sql: &str,
    catalog: &Catalog,
    target: &QueryTarget,
    mut queries: Vec<String>,
) -> ApiResult<Vec<String>> {
    if let QueryTarget::Id(id) = target
        && let Some(sink) = catalog.sink_of(&id.value)
    {
        let message =
            format!("Cannot terminate query '{}' because it feeds sink {}.", id.value, sink.name);
        let hint = format!("DROP SINK {} ends it", sink.name);
        return Err(refused(sql)(SqlError::invalid(message).hint(hint)));
    }
    queries.retain(|id| catalog.sink_of(id).is_none());
    Ok(queries)
}
