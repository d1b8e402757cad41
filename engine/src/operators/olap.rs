//! Rows for Pinot and Druid: each row, and each deletion of one, becomes a JSON object.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::SchemaRef;
use millrace_sql::olap::{OlapSystem, OlapTable};
use millrace_sql::plan::OlapNode;

use crate::batch::Batch;
use crate::error::Result;
use crate::operators::olap_text::{Cells, Dialect, string};
use crate::operators::{Operator, StepContext};

/// Partitions that versions can tell apart.
const PARTITIONS: i64 = 1 << 16;

/// Writes the objects. The number of rows so far is part of the task's progress, so that the
/// version of a key never goes back: a key has one task, and the task has one count (R4).
pub struct OlapOperator {
    names: Vec<String>,
    key: Vec<usize>,
    lasting: Vec<bool>,
    dialect: Dialect,
    schema: SchemaRef,
    keyed: bool,
    partition: u32,
    rows: i64,
}

impl OlapOperator {
    /// `keyed`: the input is a table's changes.
    pub fn new(node: &OlapNode, keyed: bool, partition: u32) -> Self {
        let fields = node.input.schema().fields();
        OlapOperator {
            // With its colon, ready to be written.
            names: fields.iter().map(|field| quoted(field.name())).collect(),
            key: node.key.clone(),
            lasting: (0..fields.len()).map(|at| node.lasting.contains(&at)).collect(),
            dialect: match node.system {
                OlapSystem::Pinot => Dialect::Pinot,
                OlapSystem::Druid => Dialect::Druid,
            },
            schema: Arc::new(node.schema.as_arrow().clone()),
            keyed,
            partition,
            rows: 0,
        }
    }

    /// Rises with every row of the task, and differs from that of every other task.
    fn next_version(&mut self) -> i64 {
        self.rows += 1;
        self.rows * PARTITIONS + i64::from(self.partition)
    }

    fn object(&mut self, cells: &[Cells<'_>], batch: &Batch, row: usize, out: &mut String) {
        use std::fmt::Write;
        let live = batch.is_live(row);
        out.push('{');
        for (at, cell) in cells.iter().enumerate() {
            if (live || self.lasting[at]) && !cell.is_null(row) {
                out.push_str(&self.names[at]);
                cell.write(row, out);
                out.push(',');
            }
        }
        if self.keyed {
            // Writing to a String cannot fail.
            let _ = write!(out, "\"{}\":{},", OlapTable::DELETED, !live);
        }
        let (version, time) = (self.next_version(), batch.times[row]);
        let (version_name, time_name) = (OlapTable::VERSION, OlapTable::ROWTIME);
        let _ = write!(out, "\"{version_name}\":{version},\"{time_name}\":{time}}}");
    }
}

pub(super) fn quoted(name: &str) -> String {
    let mut out = String::new();
    string(name, &mut out);
    out.push(':');
    out
}

impl Operator for OlapOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let batch = match &batch.live {
            // A stream's record without a value is no row.
            Some(live) if !self.keyed => batch.filter(&live.clone())?,
            _ => batch,
        };
        let cells = batch.rows.columns().iter().map(|c| Cells::new(c.as_ref(), self.dialect));
        let cells: Vec<Cells<'_>> = cells.collect::<Result<_>>()?;
        let mut objects = StringBuilder::new();
        let mut object = String::new();
        for row in 0..batch.len() {
            object.clear();
            self.object(&cells, &batch, row, &mut object);
            objects.append_value(&object);
        }
        let mut columns: Vec<ArrayRef> =
            self.key.iter().map(|at| batch.column(*at).clone()).collect();
        columns.push(Arc::new(objects.finish()));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        ctx.out.push(Batch { rows, live: None, old: None, ..batch });
        Ok(())
    }

    fn progress(&self) -> Vec<i64> {
        vec![self.rows]
    }

    fn restore(&mut self, progress: &[i64]) {
        self.rows = progress.first().copied().unwrap_or(0);
    }

    fn reset(&mut self) {
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests;
