//! Changes for Druid: by how much the numbers of a key change, for sums that are always right.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef};
use millrace_sql::olap::OlapTable;
use millrace_sql::plan::OlapNode;

use crate::batch::Batch;
use crate::error::{EngineError, Result};
use crate::operators::olap::quoted;
use crate::operators::olap_text::{Cells, Dialect};
use crate::operators::{Operator, StepContext};

/// Writes the objects. What a row replaces comes from the store of the table that is read.
pub struct OlapDeltaOperator {
    key: Vec<usize>,
    /// Columns of numbers, with their names and those of the counts of their values.
    numbers: Vec<(usize, String, String)>,
    names: Vec<String>,
    schema: SchemaRef,
}

impl OlapDeltaOperator {
    /// All columns but those of the key are whole numbers.
    pub fn new(node: &OlapNode) -> Self {
        let fields = node.input.schema().fields();
        let number = |at: usize| {
            let name = fields[at].name();
            (at, quoted(name), quoted(&OlapTable::set_column(name)))
        };
        let numbers = (0..fields.len()).filter(|at| !node.key.contains(at));
        OlapDeltaOperator {
            key: node.key.clone(),
            numbers: numbers.map(number).collect(),
            names: fields.iter().map(|field| quoted(field.name())).collect(),
            schema: Arc::new(node.schema.as_arrow().clone()),
        }
    }

    fn object(
        &self,
        keys: &[Cells<'_>],
        batch: &Batch,
        row: usize,
        out: &mut String,
    ) -> Result<()> {
        let old = batch.old.as_ref().ok_or_else(|| {
            EngineError::Bug("nobody knows what the rows of a roll-up replace".to_owned())
        })?;
        let (live, was_live) = (batch.is_live(row), old.live.value(row));
        out.push('{');
        for (at, cell) in self.key.iter().zip(keys) {
            if !cell.is_null(row) {
                out.push_str(&self.names[*at]);
                cell.write(row, out);
                out.push(',');
            }
        }
        for (at, name, set_name) in &self.numbers {
            let new = if live { number(batch.column(*at), row)? } else { None };
            let before = if was_live { number(old.rows.column(*at), row)? } else { None };
            // Druid's sums wrap around as these do.
            let change = new.unwrap_or(0).wrapping_sub(before.unwrap_or(0));
            let set = i64::from(new.is_some()) - i64::from(before.is_some());
            // Writing to a String cannot fail.
            let _ = write!(out, "{name}{change},{set_name}{set},");
        }
        let (rows, time) = (i64::from(live) - i64::from(was_live), batch.times[row]);
        let (rows_name, time_name) = (OlapTable::ROWS, OlapTable::ROWTIME);
        let _ = write!(out, "\"{rows_name}\":{rows},\"{time_name}\":{time}}}");
        Ok(())
    }
}

fn number(column: &ArrayRef, row: usize) -> Result<Option<i64>> {
    if column.is_null(row) {
        return Ok(None);
    }
    match column.data_type() {
        DataType::Int32 => Ok(Some(column.as_primitive::<Int32Type>().value(row).into())),
        DataType::Int64 => Ok(Some(column.as_primitive::<Int64Type>().value(row))),
        other => Err(EngineError::Bug(format!("a roll-up of {other}"))),
    }
}

impl Operator for OlapDeltaOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let columns: Vec<ArrayRef> = self.key.iter().map(|at| batch.column(*at).clone()).collect();
        let keys = columns.iter().map(|column| Cells::new(column.as_ref(), Dialect::Druid));
        let keys: Vec<Cells<'_>> = keys.collect::<Result<_>>()?;
        let mut objects = StringBuilder::new();
        let mut object = String::new();
        for row in 0..batch.len() {
            object.clear();
            self.object(&keys, &batch, row, &mut object)?;
            objects.append_value(&object);
        }
        drop(keys);
        let mut columns = columns;
        columns.push(Arc::new(objects.finish()));
        let rows = RecordBatch::try_new(self.schema.clone(), columns)?;
        ctx.out.push(Batch { rows, live: None, old: None, ..batch });
        Ok(())
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::buffer::BooleanBuffer;
    use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
    use millrace_sql::olap::OlapSystem;
    use millrace_sql::plan;
    use millrace_sql::types::SqlType;

    use super::*;
    use crate::batch::Old;
    use crate::operators::testing::MemState;

    /// A number of each kind; `None`: there is no row.
    type Numbers = Option<(Option<i32>, Option<i64>)>;

    fn rows(values: &[Numbers]) -> RecordBatch {
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["a"; values.len()]));
        let ints = values.iter().map(|row| row.and_then(|row| row.0));
        let longs = values.iter().map(|row| row.and_then(|row| row.1));
        let ints: ArrayRef = Arc::new(ints.collect::<Int32Array>());
        let longs: ArrayRef = Arc::new(longs.collect::<Int64Array>());
        RecordBatch::try_from_iter([("k", keys), ("i", ints), ("l", longs)]).unwrap()
    }

    fn changes(old: &[Numbers], new: &[Numbers]) -> Vec<String> {
        let named = [("k", SqlType::String), ("i", SqlType::Integer), ("l", SqlType::Bigint)]
            .map(|(name, ty)| (name.to_owned(), ty));
        let schema = plan::schema(&named).unwrap();
        let input = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
        let written = [named[0].clone(), ("_row".to_owned(), SqlType::String)];
        let schema = plan::schema(&written).unwrap();
        let (system, changes) = (OlapSystem::Druid, true);
        let node = OlapNode { input, system, key: vec![0], lasting: vec![0], changes, schema };
        let live = |rows: &[Numbers]| rows.iter().map(Option::is_some).collect::<BooleanBuffer>();
        let mut batch = Batch::new(rows(new), vec![7; new.len()]);
        batch.live = Some(live(new));
        batch.old = Some(Old { rows: rows(old), live: live(old) });
        let (mut state, mut late) = (MemState::default(), 0);
        let (mut out, mut aside, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
        let mut ctx = StepContext {
            state: &mut state,
            out: &mut out,
            aside: &mut aside,
            rejects: &mut rejects,
            coalesce: false,
            late_records: &mut late,
        };
        OlapDeltaOperator::new(&node).push(0, batch, &mut ctx).unwrap();
        let rows = out[0].column(1).as_string::<i32>();
        rows.iter().map(|row| row.unwrap().to_owned()).collect()
    }

    #[test]
    fn changes_of_rows() {
        let check = |old: Numbers, new: Numbers, expected: &str| {
            let expected = format!("{{\"k\":\"a\",{expected},\"_rowtime\":7}}");
            assert_eq!(changes(&[old], &[new]), [expected], "{old:?} {new:?}");
        };
        let some = |i, l| Some((Some(i), Some(l)));
        check(None, some(3, 4), r#""i":3,"i_set":1,"l":4,"l_set":1,"_rows":1"#);
        check(some(3, 4), some(5, 1), r#""i":2,"i_set":0,"l":-3,"l_set":0,"_rows":0"#);
        check(some(3, 4), None, r#""i":-3,"i_set":-1,"l":-4,"l_set":-1,"_rows":-1"#);
        check(None, None, r#""i":0,"i_set":0,"l":0,"l_set":0,"_rows":0"#);
        check(some(3, 4), Some((None, Some(4))), r#""i":-3,"i_set":-1,"l":0,"l_set":0,"_rows":0"#);
        // What Druid adds up wraps around, so that the sum is right again.
        check(
            some(0, i64::MIN),
            some(0, 1),
            &format!(r#""i":0,"i_set":0,"l":{},"l_set":0,"_rows":0"#, 1i64.wrapping_sub(i64::MIN)),
        );
    }
}
