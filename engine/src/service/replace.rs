//! CREATE OR REPLACE of a query that runs already.

use millrace_sql::analyze::NewQuery;
use millrace_sql::catalog::{Catalog, Source};

use super::ddl::{Outcome, decided};
use super::schemas::Schemas;
use super::words::source_word;
use crate::api::{ApiError, ApiResult};
use crate::command::Command;
use crate::error::EngineError;
use crate::query::QueryDef;
use crate::upgrade::upgraded;

/// The running query goes on with another plan: same id, topics, stores and positions.
pub(super) fn replace(old: &QueryDef, new: NewQuery, schemas: Schemas) -> ApiResult<Outcome> {
    upgraded(&old.topology, &new.plan).map_err(ApiError::Engine)?;
    let id = old.id.clone();
    let mut sink = Source { query: Some(id.clone()), ..new.source };
    sink.partitions = old.sink.as_ref().map_or(sink.partitions, |sink| sink.partitions);
    let command = format!("{}/{}/create", source_word(sink.kind).to_lowercase(), sink.name);
    let message = format!("Created query with ID {id}");
    let mut facts = old.facts.clone();
    // Keys that are in internal topics already stay where they are.
    facts.schemas.extend(schemas);
    let create = Command::CreateQuery { sink: Some(sink), facts };
    Ok(decided(create, command, message, Some(id)))
}

/// The query that OR REPLACE replaces; `None`: there is none yet.
pub(super) fn writer_of(catalog: &Catalog, new: &NewQuery) -> ApiResult<Option<String>> {
    let Some(replaced) = &new.replaces else { return Ok(None) };
    let writers = catalog.queries.values().filter(|query| query.writes == replaced.name);
    let mut ids: Vec<String> = writers.map(|query| query.id.clone()).collect();
    if ids.len() > 1 {
        let message = format!(
            "REPLACE for sink {} is not supported because there are multiple queries writing into \
             it: [{}]",
            replaced.name,
            ids.join(", ")
        );
        return Err(ApiError::Engine(EngineError::User(message)));
    }
    Ok(ids.pop())
}
