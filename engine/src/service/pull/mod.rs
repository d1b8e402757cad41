//! Pull queries: what tables are now, and what streams have held so far. The SELECT is a DataFusion
//! plan over tables that read the committed entries of a store from the lanes that own them, and over
//! the records of topics; DataFusion runs it, with our own expressions in it.

mod group;
mod pushdown;
mod read;
mod row_safety;
mod rows;
mod run;
mod snapshot;
mod stream;
mod table;

use std::sync::Arc;
use std::time::Duration;

use millrace_sql::analyze::{Analyzed, PullPlan};
use millrace_sql::catalog::{Column, ColumnRole};
use millrace_sql::error::SqlError;
use millrace_sql::plan::QueryPlan;

use crate::api::{ApiError, ApiResult, Properties, PullAnswer, ResultColumn};
use crate::error::EngineError;
use crate::service::control::effective;
use crate::service::{Inner, ddl, push};

/// How long a pull query may read.
const SCAN_TIMEOUT: Duration = Duration::from_secs(60);

impl Inner {
    pub(super) fn pull(
        self: &Arc<Self>,
        sql: &str,
        properties: &Properties,
    ) -> ApiResult<PullAnswer> {
        self.booted()?;
        let properties = effective(self, properties)?;
        match ddl::analyze(sql, &self.catalog(), &properties)?.analyzed {
            Analyzed::Pull(plan) => {
                let rows = run::rows(self, &plan).map_err(ApiError::Engine)?;
                let id = format!("query_{}", self.seams.entropy.next_u64());
                Ok(PullAnswer { id, columns: result_columns(&plan), rows, over_stream: false })
            }
            Analyzed::PullStream(plan) => self.scan_stream(&plan),
            _ => {
                let error = SqlError::invalid("expected a SELECT without EMIT");
                Err(ApiError::Statement { sql: sql.to_owned(), error })
            }
        }
    }

    /// The physical plan of a pull query, as text for people.
    pub(super) fn explain_pull(self: &Arc<Self>, plan: &PullPlan) -> ApiResult<String> {
        self.booted()?;
        run::explain(self, plan).map_err(ApiError::Engine)
    }

    /// A bounded scan of a stream, from its beginning to its end as of now.
    fn scan_stream(&self, plan: &QueryPlan) -> ApiResult<PullAnswer> {
        let columns = push::result_columns(plan).map_err(ApiError::Engine)?;
        let scanned = stream::scan(self, plan).map_err(ApiError::Engine)?;
        let id = scanned.id().to_owned();
        let (mut rows, mut count) = (Vec::new(), 0);
        for batch in scanned {
            let batch = batch.map_err(ApiError::Engine)?;
            count += batch.num_rows();
            if count > self.limits.pull_rows_max {
                return Err(ApiError::Engine(too_many(self.limits.pull_rows_max)));
            }
            rows.push(batch);
        }
        Ok(PullAnswer { id, columns, rows, over_stream: true })
    }
}

fn too_many(rows_max: usize) -> EngineError {
    EngineError::User(format!(
        "the answer has more than {rows_max} rows; narrow the query or add a LIMIT"
    ))
}

/// The columns of the answer.
pub(super) fn result_columns(plan: &PullPlan) -> Vec<ResultColumn> {
    let column = |c: &Column| ResultColumn {
        name: c.name.clone(),
        ty: c.ty.clone(),
        key: c.role == ColumnRole::Key,
        headers: match &c.role {
            ColumnRole::Headers(name) => Some(name.clone()),
            _ => None,
        },
    };
    plan.columns.iter().map(column).collect()
}
