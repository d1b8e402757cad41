//! CREATE SOURCE TABLE: a read-only table that a query of the service keeps, so that it can be asked.

use millrace_sql::analyze;
use millrace_sql::catalog::{QueryInfo, Source, SourceKind};
use millrace_sql::error::SqlError;

use crate::api::{ApiError, ApiResult, Properties};
use crate::command::Command;
use crate::ids::Offset;
use crate::service::ddl::{Outcome, decided, refused};
use crate::service::schemas::Schemas;
use crate::service::{Booted, Inner};
use crate::topology::Topology;

/// First part of the ids of queries that keep read-only tables.
const PREFIX: &str = "CST_";

/// True for the id of a query that keeps a table: it lives as long as the table.
pub(super) fn keeps_table(query: &str) -> bool {
    query.starts_with(PREFIX)
}

/// True for read-only tables, unless the server is told to leave them alone.
pub(super) fn is_kept(source: &Source, properties: &Properties) -> bool {
    let switch = properties.get("ksql.source.table.materialization.enabled");
    let on = switch.is_none_or(|value| value.eq_ignore_ascii_case("true"));
    on && source.read_only && source.kind == SourceKind::Table && source.window.is_none()
}

/// The query as the sandbox of a request sees it.
pub(super) fn sandbox_query(source: &Source, sql: String) -> Result<QueryInfo, SqlError> {
    Ok(QueryInfo {
        id: format!("{PREFIX}{}", source.name),
        sql,
        reads: analyze::kept_table(source)?.reads,
        writes: source.name.clone(),
        paused: false,
        materialized: true,
    })
}

impl Inner {
    /// A read-only table is kept by a query of its own, so that it can be asked.
    pub(super) fn decide_kept(
        &self,
        booted: &Booted,
        sql: &str,
        source: Source,
        properties: &Properties,
        end: Offset,
    ) -> ApiResult<Outcome> {
        let plan = analyze::kept_table(&source).map_err(refused(sql))?;
        let topology = Topology::of(&plan).map_err(ApiError::Engine)?;
        let query = format!("{PREFIX}{}_{}", source.name, end.0);
        let sink = Source { query: Some(query.clone()), ..source };
        let wish = self.wish(&query, &topology, &sink, properties);
        let facts = self.facts(booted, &wish, Schemas::new(), end)?;
        let id = format!("table/{}/create", sink.name);
        let message = format!("Created query with ID {query}");
        let command = Command::CreateQuery { sink: Some(sink), facts };
        Ok(decided(command, id, message, Some(query)))
    }
}
