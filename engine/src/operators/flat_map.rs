//! Table functions: a row per item of what they return.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use millrace_sql::expr::Evaluator;
use millrace_sql::plan::FlatMapNode;

use crate::batch::{Batch, take_rows};
use crate::error::{EngineError, Result};
use crate::lineage::Lineage;
use crate::operators::{Operator, StepContext, row_rejects};

/// Rows that one batch hands on: long lists become several batches.
const FLAT_ROWS_MAX: usize = 1 << 16;

/// Evaluates one list per table function and zips their items: a row of the input becomes as many
/// as its longest list has items, the shorter ones padded with NULL.
pub struct FlatMapOperator {
    lists: Vec<Evaluator>,
    schema: SchemaRef,
}

impl FlatMapOperator {
    pub fn new(node: &FlatMapNode) -> Result<Self> {
        let input = node.input.schema();
        let lists: Result<Vec<Evaluator>> =
            node.lists.iter().map(|list| Ok(Evaluator::new(list, input)?)).collect();
        let schema = Arc::new(node.schema.as_arrow().clone());
        Ok(FlatMapOperator { lists: lists?, schema })
    }

    /// The rows of `rows` of the input, with the items of `lists`.
    fn flat(&self, batch: &Batch, lists: &[ArrayRef], rows: Range<usize>) -> Result<Batch> {
        let mut source: Vec<u32> = Vec::new();
        let mut items: Vec<Vec<Option<u32>>> = vec![Vec::new(); lists.len()];
        for row in rows {
            let ranges: Vec<Range<u32>> = lists.iter().map(|list| range(list, row)).collect();
            let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
            source.resize(source.len() + longest, row as u32);
            for (range, items) in ranges.into_iter().zip(&mut items) {
                let padding = longest - range.len();
                items.extend(range.map(Some).chain(std::iter::repeat_n(None, padding)));
            }
        }
        let index = UInt32Array::from(source);
        let mut columns = take_rows(&batch.rows, &index)?.columns().to_vec();
        for (list, items) in lists.iter().zip(items) {
            let values = list.as_list::<i32>().values();
            columns.push(take(values, &UInt32Array::from(items), None)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(index.len()));
        let schema = self.schema.clone();
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let times = index.values().iter().map(|row| batch.times[*row as usize]).collect();
        Ok(Batch::new(rows, times))
    }
}

/// The items of a row, as positions in the list's values; none for NULL.
fn range(list: &ArrayRef, row: usize) -> Range<u32> {
    let list = list.as_list::<i32>();
    match list.is_null(row) {
        true => 0..0,
        false => list.value_offsets()[row] as u32..list.value_offsets()[row + 1] as u32,
    }
}

impl Operator for FlatMapOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        // A stream's record without a value is no fact.
        let given = Lineage::of(batch.live.as_ref());
        let batch = match &batch.live {
            Some(live) => batch.filter(&BooleanBuffer::clone(live))?,
            None => batch,
        };
        let mut lists = Vec::with_capacity(self.lists.len());
        for list in &self.lists {
            let mut errors = Vec::new();
            let column = list.column(&batch.rows, &mut errors)?;
            if column.as_list_opt::<i32>().is_none() {
                return Err(EngineError::Bug("a table function gave no ARRAY".into()));
            }
            let told = ctx.rejects.len();
            row_rejects(errors, &batch.rows, &batch.times, ctx.rejects);
            for reject in &mut ctx.rejects[told..] {
                reject.row_index = reject.row_index.and_then(|row| given.origin(row));
            }
            lists.push(column);
        }
        let longest = |row| lists.iter().map(|list| range(list, row).len()).max().unwrap_or(0);
        let (mut from, mut count) = (0, 0);
        for row in 0..batch.len() {
            count += longest(row);
            if count >= FLAT_ROWS_MAX {
                ctx.out.push(self.flat(&batch, &lists, from..row + 1)?);
                (from, count) = (row + 1, 0);
            }
        }
        if count > 0 {
            ctx.out.push(self.flat(&batch, &lists, from..batch.len())?);
        }
        Ok(())
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int32Builder, ListBuilder};
    use datafusion::logical_expr::{EmptyRelation, LogicalPlan, ident};
    use millrace_sql::plan::schema;
    use millrace_sql::types::SqlType;

    use super::*;
    use crate::operators::testing::{MemState, Output, push, texts};

    fn lists(rows: &[Option<&[i32]>]) -> ArrayRef {
        let mut builder = ListBuilder::new(Int32Builder::new());
        for row in rows {
            builder.append_option(row.map(|items| items.iter().map(|item| Some(*item))));
        }
        Arc::new(builder.finish())
    }

    /// Columns A INT, L and M ARRAY<INT>; what the lists L and M give, in batches of `size`.
    fn run(rows: &RecordBatch, size: usize) -> Vec<String> {
        let list = SqlType::Array(Box::new(SqlType::Integer));
        let mut columns = vec![("A".to_string(), SqlType::Integer)];
        columns.extend([("L".to_string(), list.clone()), ("M".to_string(), list)]);
        let input = EmptyRelation { produce_one_row: false, schema: schema(&columns).unwrap() };
        columns.extend([("X".to_string(), SqlType::Integer), ("Y".to_string(), SqlType::Integer)]);
        let node = FlatMapNode {
            input: LogicalPlan::EmptyRelation(input),
            lists: vec![ident("L"), ident("M")],
            schema: schema(&columns).unwrap(),
        };
        let mut operator = FlatMapOperator::new(&node).unwrap();
        let (mut state, mut output) = (MemState::default(), Output::default());
        let batch = Batch::new(rows.clone(), (0..rows.num_rows() as i64).collect());
        for from in (0..rows.num_rows()).step_by(size) {
            let part = batch.slice(from, size.min(rows.num_rows() - from));
            push(&mut operator, 0, part, &mut state, &mut output, false).unwrap();
        }
        for batch in &mut output.batches {
            batch.rows = batch.rows.project(&[0, 3, 4]).unwrap();
        }
        texts(&output, 0)
    }

    #[test]
    fn lists_are_zipped() {
        let a: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
        let l = lists(&[Some(&[10, 11]), None, Some(&[]), Some(&[12])]);
        let m = lists(&[Some(&[20]), None, Some(&[21, 22]), Some(&[23])]);
        let columns = [("A", a, true), ("L", l, true), ("M", m, true)];
        let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let want = ["1 10 20 @0", "1 11 NULL @0", "3 NULL 21 @2", "3 NULL 22 @2", "4 12 23 @3"];
        for size in [1, 2, 4] {
            assert_eq!(run(&rows, size), want);
        }
    }
}
