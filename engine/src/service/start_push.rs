//! Starts and ends push queries.

use std::sync::Arc;

use millrace_sql::analyze::Analyzed;
use millrace_sql::error::SqlError;
use millrace_sql::plan::QueryPlan;

use crate::api::{ApiError, ApiResult, Properties, PushEvent, PushQuery, ResultColumn};
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
        let checked = ddl::analyze(sql, &self.catalog(), &properties)?;
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
        };
        let running = self.run_push(&plan, options)?;
        let (id, stop) = (running.id().to_owned(), running.stopper());
        self.pushes.lock().insert(id, Push { sql: checked.text, stop });
        Ok(Box::new(Registered { running, inner: self.clone() }))
    }

    pub(super) fn run_push(
        &self,
        plan: &QueryPlan,
        options: PushOptions,
    ) -> ApiResult<RunningPush> {
        let world = PushWorld {
            log: self.seams.log.clone(),
            formats: self.seams.formats.clone(),
            limits: self.limits.clone(),
            caches: self.caches.clone(),
        };
        let source = plan.reads.first().map_or("QUERY", String::as_str);
        let id = format!("transient_{source}_{}", self.seams.entropy.next_u64());
        push::start(&world, id, plan, options).map_err(ApiError::Engine)
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
