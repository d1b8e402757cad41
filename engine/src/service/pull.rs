//! Pull queries: a table's rows as of now. The committed entries of a store are read from the lanes
//! that own them, become one Arrow batch, and go through what the persistent query computes above
//! its store, then through the pull query's own filter and projection.

use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::is_not_null;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use millrace_sql::analyze::{Analyzed, PullPlan, above_store};
use millrace_sql::catalog::{ColumnRole, ProtobufNulls, Source, pseudo};
use millrace_sql::error::SqlError;
use millrace_sql::expr::Evaluator;
use millrace_sql::plan::{QueryPlan, ScanColumn, ScanNode, as_node};

use crate::api::{ApiError, ApiResult, Properties, PullAnswer, PushEvent, PushQuery, ResultColumn};
use crate::batch::Batch;
use crate::build::sink_shape;
use crate::error::{EngineError, Result};
use crate::operators::aggregate::AggregateReader;
use crate::operators::keep::read_entries;
use crate::operators::project::ProjectOperator;
use crate::query::QueryDef;
use crate::repartition::edge_types;
use crate::service::control::effective;
use crate::service::push::PushOptions;
use crate::service::{Booted, Inner, ddl, push};

/// How long a scan waits for the next rows before it looks at its time.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a scan of a stream may take.
const SCAN_TIMEOUT: Duration = Duration::from_secs(60);

impl Inner {
    pub(super) fn pull(&self, sql: &str, properties: &Properties) -> ApiResult<PullAnswer> {
        let booted = self.booted()?;
        let properties = effective(self, properties)?;
        match ddl::analyze(sql, &self.catalog(), &properties)?.analyzed {
            Analyzed::Pull(plan) => {
                let rows = self.pull_table(booted, &plan).map_err(ApiError::Engine)?;
                let column = |c: &millrace_sql::catalog::Column| ResultColumn {
                    name: c.name.clone(),
                    ty: c.ty.clone(),
                    key: c.role == ColumnRole::Key,
                    headers: match &c.role {
                        ColumnRole::Headers(name) => Some(name.clone()),
                        _ => None,
                    },
                };
                let columns = plan.columns.iter().map(column).collect();
                let id = format!("query_{}", self.seams.entropy.next_u64());
                Ok(PullAnswer { id, columns, rows: vec![rows], over_stream: false })
            }
            Analyzed::PullStream(plan) => self.scan_stream(&plan),
            _ => {
                let error = SqlError::invalid("expected a SELECT without EMIT");
                Err(ApiError::Statement { sql: sql.to_owned(), error })
            }
        }
    }

    fn pull_table(&self, booted: &Booted, plan: &PullPlan) -> Result<RecordBatch> {
        let query = self.registry.get(&plan.query).ok_or_else(|| {
            EngineError::User(format!("query {} has just been terminated", plan.query))
        })?;
        let stored = match (query.topology.aggregate(), query.topology.materialized()) {
            (Some((_, store)), None) => self.read_aggregate(booted, &query, store, plan)?,
            (_, Some(store)) => self.read_rows(booted, &query, store, plan)?,
            (None, None) => {
                return Err(EngineError::User(format!("query {} keeps no store", query.id)));
            }
        };
        let scanned = as_scan(&stored, plan)?;
        let rows = apply_plan(&plan.plan, scanned)?.rows;
        let limit = plan.limit.unwrap_or(u64::MAX).min(rows.num_rows() as u64);
        Ok(rows.slice(0, limit as usize))
    }

    fn read_aggregate(
        &self,
        booted: &Booted,
        query: &QueryDef,
        store: usize,
        plan: &PullPlan,
    ) -> Result<Batch> {
        let above = above_store(&query.plan).ok_or_else(|| {
            EngineError::Bug(format!("query {} does not end in an aggregation", query.id))
        })?;
        let types = edge_types(&std::sync::Arc::new(above.aggregate.schema.as_arrow().clone()))?;
        let group = above.aggregate.group.len();
        let key_types: Vec<_> = types[..group].iter().map(|(_, ty)| ty.clone()).collect();
        let entries = self.read(booted, query, store, &plan.lookup, &key_types)?;
        let refs: Vec<(&[u8], &[u8])> =
            entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
        let (rows, times) = AggregateReader::new(above.aggregate)?.rows(&refs)?;
        let mut batch = Batch::new(rows, times);
        for node in above.nodes {
            batch = apply_node(node, batch)?;
        }
        Ok(batch)
    }

    fn read_rows(
        &self,
        booted: &Booted,
        query: &QueryDef,
        store: usize,
        plan: &PullPlan,
    ) -> Result<Batch> {
        let sub = query.topology.subs.last();
        let sub = sub.ok_or_else(|| EngineError::Bug("a query without sub-topology".to_owned()))?;
        let (types, key) = sink_shape(&sub.output)?;
        let key_types: Vec<_> = key.iter().map(|i| types[*i].clone()).collect();
        let entries = self.read(booted, query, store, &plan.lookup, &key_types)?;
        let crate::topology::Output::Sink(sink) = &sub.output else {
            return Err(EngineError::Bug("only a sink is materialised".to_owned()));
        };
        let schema = std::sync::Arc::new(sink.input.schema().as_arrow().clone());
        let stored = read_entries(&types, schema, &entries)?;
        match has_nulls(&sink.sink) {
            true => Ok(stored),
            false => zeroed(stored, &key),
        }
    }

    /// A bounded scan of a stream, from its beginning to its end as of now.
    fn scan_stream(&self, plan: &QueryPlan) -> ApiResult<PullAnswer> {
        let options =
            PushOptions { from_earliest: true, coalesce: false, bounded: true, keyed_only: false };
        let id = format!("query_{}", self.seams.entropy.next_u64());
        let mut running = self.run_push(id, plan, options)?;
        let columns = push::result_columns(plan).map_err(ApiError::Engine)?;
        let start = Instant::now();
        let (mut rows, mut count) = (Vec::new(), 0);
        loop {
            match running.next(READ_TIMEOUT) {
                PushEvent::Rows(batch, _) => {
                    count += batch.num_rows();
                    rows.push(batch);
                }
                PushEvent::Idle => {}
                PushEvent::LimitReached | PushEvent::Ended => break,
                PushEvent::Failed(reason) => {
                    return Err(ApiError::Engine(EngineError::Config(reason)));
                }
            }
            if count > self.limits.pull_rows_max || start.elapsed() > SCAN_TIMEOUT {
                let message = "the scan of the stream is too large; add a LIMIT or a filter";
                return Err(ApiError::Engine(EngineError::User(message.to_owned())));
            }
        }
        Ok(PullAnswer { id: running.id().to_owned(), columns, rows, over_stream: true })
    }
}

/// False when values of the table's format cannot be NULL: a table shows what its records say.
fn has_nulls(sink: &Source) -> bool {
    let format = &sink.value_format;
    !format.kind.always_wrapped() || format.schema.nulls != ProtobufNulls::Zero
}

/// NULLs of scalar columns as zero, `""` or false, but for those at `key`.
fn zeroed(batch: Batch, key: &[usize]) -> Result<Batch> {
    let mut columns = batch.rows.columns().to_vec();
    for (at, column) in columns.iter_mut().enumerate() {
        let scalar = matches!(
            column.data_type(),
            DataType::Boolean
                | DataType::Int32
                | DataType::Int64
                | DataType::Float64
                | DataType::Utf8
                | DataType::Binary
        );
        if !scalar || column.null_count() == 0 || key.contains(&at) {
            continue;
        }
        let zero = match column.data_type() {
            DataType::Utf8 => ScalarValue::Utf8(Some(String::new())),
            DataType::Binary => ScalarValue::Binary(Some(Vec::new())),
            ty => ScalarValue::new_zero(ty)?,
        };
        let zero = zero.to_array_of_size(column.len())?;
        *column = zip(&is_not_null(column)?, column, &zero)?;
    }
    let rows = RecordBatch::try_new(batch.rows.schema(), columns)?;
    Ok(Batch { rows, ..batch })
}

/// Rows of the sink as the pull query's scan names them.
fn as_scan(stored: &Batch, plan: &PullPlan) -> Result<Batch> {
    let scan = scan_of(&plan.plan)?;
    let schema = stored.rows.schema();
    let find = |name: &str| -> Result<ArrayRef> {
        let found = schema.index_of(name).map(|at| stored.column(at).clone());
        found.map_err(|_| EngineError::Bug(format!("the store has no column {name}")))
    };
    let mut columns = Vec::with_capacity(scan.columns.len());
    for column in &scan.columns {
        columns.push(match column {
            ScanColumn::Declared(i) => find(&scan.source.columns[*i].name)?,
            ScanColumn::WindowStart => find(pseudo::WINDOWSTART)?,
            ScanColumn::WindowEnd => find(pseudo::WINDOWEND)?,
            ScanColumn::Rowtime => std::sync::Arc::new(Int64Array::from(stored.times.clone())),
            ScanColumn::Rowpartition | ScanColumn::Rowoffset => {
                return Err(EngineError::Bug("a table's rows have no offsets".to_owned()));
            }
        });
    }
    let schema = std::sync::Arc::new(scan.schema.as_arrow().clone());
    let options = RecordBatchOptions::new().with_row_count(Some(stored.len()));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
    Ok(Batch::new(rows, stored.times.clone()))
}

fn scan_of(plan: &LogicalPlan) -> Result<&ScanNode> {
    match plan {
        LogicalPlan::Filter(filter) => scan_of(&filter.input),
        LogicalPlan::Projection(projection) => scan_of(&projection.input),
        other => as_node::<ScanNode>(other)
            .ok_or_else(|| EngineError::Bug("a pull query does not end in a scan".to_owned())),
    }
}

fn apply_plan(plan: &LogicalPlan, batch: Batch) -> Result<Batch> {
    match plan {
        LogicalPlan::Filter(filter) => apply_node(plan, apply_plan(&filter.input, batch)?),
        LogicalPlan::Projection(projection) => {
            apply_node(plan, apply_plan(&projection.input, batch)?)
        }
        _ => Ok(batch),
    }
}

/// A filter or a projection over a snapshot; what cannot be computed is NULL.
fn apply_node(node: &LogicalPlan, batch: Batch) -> Result<Batch> {
    match node {
        LogicalPlan::Filter(filter) => {
            let predicate = Evaluator::new(&filter.predicate, filter.input.schema())?;
            let keep = predicate.predicate(&batch.rows, &mut Vec::new())?;
            batch.filter(&keep)
        }
        LogicalPlan::Projection(projection) => {
            let operator = ProjectOperator::new(projection)?;
            let rows = operator.project(&batch.rows, &batch.times, &mut Vec::new())?;
            Ok(Batch::new(rows, batch.times))
        }
        other => Err(EngineError::Bug(format!("no pull operator for {}", other.display()))),
    }
}
