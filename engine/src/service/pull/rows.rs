//! From the entries of a store to rows as a scan names them: through what the persistent query
//! computes above its store.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::is_not_null;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::DataType;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use millrace_sql::analyze::{Above, above_store};
use millrace_sql::catalog::{ProtobufNulls, Source, pseudo};
use millrace_sql::expr::Evaluator;
use millrace_sql::plan::{ScanColumn, ScanNode};
use millrace_sql::types::SqlType;

use crate::batch::Batch;
use crate::build::sink_shape;
use crate::error::{EngineError, Result};
use crate::operators::aggregate::AggregateReader;
use crate::operators::keep::read_entries;
use crate::operators::project::ProjectOperator;
use crate::query::QueryDef;
use crate::repartition::edge_types;
use crate::topology::Output;
use crate::worker::Entry;

/// What a query keeps of its result.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Number of the store in the query's topology.
    pub store: usize,
    /// The store holds running values of an aggregation, not rows.
    aggregated: bool,
    /// Of all columns of the rows, and which of them are the key; of an aggregation: of the group.
    types: Vec<SqlType>,
    key: Vec<usize>,
}

impl Kept {
    /// # Errors
    /// A query that keeps no store.
    pub fn of(query: &QueryDef) -> Result<Self> {
        match (query.topology.aggregate(), query.topology.materialized()) {
            (Some((_, store)), None) => {
                let above = above(query)?;
                let schema = Arc::new(above.aggregate.schema.as_arrow().clone());
                let group = above.aggregate.group.len();
                let types = edge_types(&schema)?;
                let types = types[..group].iter().map(|(_, ty)| ty.clone()).collect();
                Ok(Kept { store, aggregated: true, types, key: (0..group).collect() })
            }
            (_, Some(store)) => {
                let sub = query.topology.subs.last();
                let sub = sub.ok_or_else(|| bug("a query without sub-topology"))?;
                let (types, key) = sink_shape(&sub.output)?;
                Ok(Kept { store, aggregated: false, types, key })
            }
            (None, None) => Err(EngineError::User(format!("query {} keeps no store", query.id))),
        }
    }

    /// Types of the store's keys, without windows.
    pub fn key_types(&self) -> Vec<SqlType> {
        self.key.iter().map(|i| self.types[*i].clone()).collect()
    }

    /// The entries as rows of `scan`.
    ///
    /// # Errors
    /// `State` when the entries are corrupt.
    pub fn rows(
        &self,
        query: &QueryDef,
        entries: &[Entry],
        scan: &ScanNode,
    ) -> Result<RecordBatch> {
        let stored = match self.aggregated {
            true => aggregated(query, entries)?,
            false => self.kept(query, entries)?,
        };
        as_scan(&stored, scan)
    }

    fn kept(&self, query: &QueryDef, entries: &[Entry]) -> Result<Batch> {
        let Some(Output::Sink(sink)) = query.topology.subs.last().map(|sub| &sub.output) else {
            return Err(bug("only a sink is materialised"));
        };
        let schema = Arc::new(sink.input.schema().as_arrow().clone());
        let stored = read_entries(&self.types, schema, entries)?;
        match has_nulls(&sink.sink) {
            true => Ok(stored),
            false => zeroed(stored, &self.key),
        }
    }
}

fn above(query: &QueryDef) -> Result<Above<'_>> {
    above_store(&query.plan)
        .ok_or_else(|| bug(&format!("query {} does not end in an aggregation", query.id)))
}

fn bug(what: &str) -> EngineError {
    EngineError::Bug(what.to_owned())
}

fn aggregated(query: &QueryDef, entries: &[Entry]) -> Result<Batch> {
    let above = above(query)?;
    let refs: Vec<(&[u8], &[u8])> =
        entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
    let (rows, times) = AggregateReader::new(above.aggregate)?.rows(&refs)?;
    let mut batch = Batch::new(rows, times);
    for node in above.nodes {
        batch = apply_node(node, batch)?;
    }
    Ok(batch)
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

/// Stored rows as the scan names them.
fn as_scan(stored: &Batch, scan: &ScanNode) -> Result<RecordBatch> {
    let schema = stored.rows.schema();
    let find = |name: &str| -> Result<ArrayRef> {
        let found = schema.index_of(name).map(|at| stored.column(at).clone());
        found.map_err(|_| bug(&format!("the store has no column {name}")))
    };
    let mut columns = Vec::with_capacity(scan.columns.len());
    for column in &scan.columns {
        columns.push(match column {
            ScanColumn::Declared(i) => find(&scan.source.columns[*i].name)?,
            ScanColumn::WindowStart => find(pseudo::WINDOWSTART)?,
            ScanColumn::WindowEnd => find(pseudo::WINDOWEND)?,
            ScanColumn::Rowtime => Arc::new(Int64Array::from(stored.times.clone())),
            ScanColumn::Rowpartition | ScanColumn::Rowoffset => {
                return Err(bug("a table's rows have no offsets"));
            }
        });
    }
    let schema = Arc::new(scan.schema.as_arrow().clone());
    let options = RecordBatchOptions::new().with_row_count(Some(stored.len()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// A filter or a projection of the persistent query; what cannot be computed is NULL.
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
        other => Err(bug(&format!("no pull operator for {}", other.display()))),
    }
}
