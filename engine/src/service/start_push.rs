//! Starts and ends push queries.

use std::sync::Arc;

use millrace_sql::analyze::{Analyzed, Settings, scalable_source};
use millrace_sql::ast::Statement;
use millrace_sql::catalog::{Catalog, SourceKind};
use millrace_sql::error::SqlError;
use millrace_sql::parser;
use millrace_sql::plan::QueryPlan;

use crate::api::{ApiError, ApiResult, Properties, PushEvent, PushQuery, ResultColumn};
use crate::error::Result;
use crate::service::control::effective;
use crate::service::push::{self, PushOptions, PushWorld, RunningPush};
use crate::service::{Inner, Push, ddl};

impl Inner {
    pub(super) fn push(
        self: &Arc<Self>,
        sql: &str,
        properties: &Properties,
    ) -> ApiResult<Box<dyn PushQuery>> {
        self.booted()?;
        let properties = effective(self, properties)?;
        let catalog = self.catalog();
        let fresh = fresh(sql, &catalog, &properties);
        let checked = ddl::analyze(sql, fresh.as_ref().unwrap_or(&catalog), &properties)?;
        let Analyzed::Push(plan) = checked.analyzed else {
            let error = SqlError::invalid("expected SELECT ... EMIT CHANGES");
            return Err(ApiError::Statement { sql: sql.to_owned(), error });
        };
        let is = |name: &str, value: &str| {
            properties.get(name).is_some_and(|v| v.trim().eq_ignore_ascii_case(value))
        };
        let options = PushOptions {
            from_earliest: is("auto.offset.reset", "earliest"),
            coalesce: !is("cache.max.bytes.buffering", "0"),
            bounded: false,
            keyed_only: fresh.is_some(),
        };
        let source = plan.reads.first().map_or("QUERY", String::as_str);
        let id = match fresh {
            Some(_) => format!("SCALABLE_PUSH_QUERY_{}", self.uuid()),
            None => format!("transient_{source}_{}", self.seams.entropy.next_u64()),
        };
        let running = self.run_push(id, &plan, options).map_err(ApiError::Engine)?;
        let (id, stop) = (running.id().to_owned(), running.stopper());
        self.pushes.lock().insert(id, Push { sql: checked.text, stop });
        Ok(Box::new(Registered { running, inner: self.clone() }))
    }

    pub(super) fn run_push(
        &self,
        id: String,
        plan: &QueryPlan,
        options: PushOptions,
    ) -> Result<RunningPush> {
        let world = PushWorld {
            log: self.seams.log.clone(),
            formats: self.seams.formats.clone(),
            limits: self.limits.clone(),
            caches: self.caches.clone(),
        };
        push::start(&world, id, plan, options)
    }

    /// Ends a push query. False: there is none of that id.
    pub(super) fn end_push(&self, id: &str) -> bool {
        match self.pushes.lock().remove(id) {
            Some(push) => {
                (push.stop)();
                true
            }
            None => false,
        }
    }
}

/// A query of the second kind (`ksql.query.push.v2.enabled`) follows what its source's query
/// writes from now on: rows of a table are facts to it, not changes of a state. The catalog as such
/// a query sees it; `None` for a query of the first kind.
fn fresh(sql: &str, catalog: &Catalog, properties: &Properties) -> Option<Catalog> {
    let Ok(Statement::Query(query)) = parser::parse_statement(sql) else { return None };
    let name = scalable_source(&query, catalog, &Settings::from(properties))?;
    let mut source = catalog.source(name)?.as_ref().clone();
    source.kind = SourceKind::Stream;
    let mut catalog = catalog.clone();
    catalog.sources.insert(source.name.clone(), Arc::new(source));
    Some(catalog)
}

/// A push query that is listed while it runs.
struct Registered {
    running: RunningPush,
    inner: Arc<Inner>,
}

impl PushQuery for Registered {
    fn id(&self) -> &str {
        self.running.id()
    }

    fn columns(&self) -> &[ResultColumn] {
        self.running.columns()
    }

    fn next(&mut self, at_most: std::time::Duration) -> PushEvent {
        self.running.next(at_most)
    }

    fn stopper(&self) -> Arc<dyn Fn() + Send + Sync> {
        self.running.stopper()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.inner.end_push(self.running.id());
    }
}
