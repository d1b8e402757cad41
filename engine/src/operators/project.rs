//! SELECT: computes the columns of the result.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute;
use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use millrace_sql::catalog::{ColumnRole, SourceKind};
use millrace_sql::expr::Evaluator;
use millrace_sql::plan::{ScanColumn, ScanNode, as_node};

use crate::batch::{Batch, Old};
use crate::error::Result;
use crate::lineage::Passed;
use crate::operators::{Operator, RowReject, StepContext, row_rejects};

/// Evaluates one expression per output column; a value that cannot be computed is NULL and told.
pub struct ProjectOperator {
    columns: Vec<Evaluator>,
    schema: SchemaRef,
    /// Columns that a stream's row without a value does not have: those that need more than its key.
    of_value: Vec<bool>,
}

impl ProjectOperator {
    pub fn new(projection: &Projection) -> Result<Self> {
        let input = projection.input.schema();
        let columns: Result<Vec<Evaluator>> =
            projection.expr.iter().map(|expr| Ok(Evaluator::new(expr, input)?)).collect();
        let schema = Arc::new(projection.schema.as_arrow().clone());
        let of_value = match stream_keys(&projection.input) {
            Some(keys) => projection.expr.iter().map(|expr| !needs_only(expr, &keys)).collect(),
            None => vec![false; projection.expr.len()],
        };
        Ok(ProjectOperator { columns: columns?, schema, of_value })
    }

    /// The projected rows.
    pub fn project(
        &self,
        rows: &RecordBatch,
        times: &[i64],
        rejects: &mut Vec<RowReject>,
    ) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for evaluator in &self.columns {
            let mut errors = Vec::new();
            columns.push(evaluator.column(rows, &mut errors)?);
            row_rejects(errors, rows, times, rejects);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

impl ProjectOperator {
    /// NULL where a row that is not live would need its value.
    fn without_values(&self, rows: RecordBatch, live: &BooleanBuffer) -> Result<RecordBatch> {
        if !self.of_value.contains(&true) {
            return Ok(rows);
        }
        let dead = BooleanArray::new(!live, None);
        let columns = rows.columns().iter().zip(&self.of_value).map(|(column, of_value)| {
            if *of_value { compute::nullif(column, &dead) } else { Ok(column.clone()) }
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(rows.schema(), columns, &options)?)
    }
}

/// Names of the key columns if the rows come straight from a stream.
fn stream_keys(plan: &LogicalPlan) -> Option<Vec<&str>> {
    if let LogicalPlan::Filter(filter) = plan {
        return stream_keys(&filter.input);
    }
    let scan = as_node::<ScanNode>(plan)?;
    if scan.source.kind == SourceKind::Table {
        return None;
    }
    let is_key = |column: &ScanColumn| match column {
        ScanColumn::Declared(i) => scan.source.columns[*i].role == ColumnRole::Key,
        ScanColumn::WindowStart | ScanColumn::WindowEnd => true,
        _ => false,
    };
    let columns = scan.columns.iter().zip(scan.schema.fields());
    Some(columns.filter(|(c, _)| is_key(c)).map(|(_, field)| field.name().as_str()).collect())
}

fn needs_only(expr: &Expr, keys: &[&str]) -> bool {
    expr.column_refs().iter().all(|column| keys.contains(&column.name.as_str()))
}

impl Operator for ProjectOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let rows = match &batch.live {
            None => self.project(&batch.rows, &batch.times, ctx.rejects)?,
            // What cannot be computed of a tombstone's absent columns is nobody's error.
            Some(live) => {
                let mut rejects = Vec::new();
                let rows = self.project(&batch.rows, &batch.times, &mut rejects)?;
                let at = |r: &RowReject| r.row_index.is_none_or(|row| live.value(row));
                ctx.rejects.extend(rejects.into_iter().filter(at));
                self.without_values(rows, live)?
            }
        };
        let old = match batch.old {
            Some(old) => {
                let rows = self.project(&old.rows, &batch.times, &mut Vec::new())?;
                Some(Old { rows, live: old.live })
            }
            None => None,
        };
        ctx.out.push(Batch { rows, old, ..batch });
        Ok(())
    }

    fn passed(&self) -> Passed<'_> {
        Passed::All
    }

    fn reset(&mut self) {}
}
