//! GROUP BY over rows that are all there: no store, and nothing is taken back.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use millrace_sql::plan::AggregateNode;

use super::emit::{self, Columns};
use super::spec::Spec;
use super::states::{RowsOf, States};
use crate::codec::buffer::KeyBuffer;
use crate::error::Result;
use crate::operators::args::Arg;
use crate::operators::slots::SlotTable;

/// The groups of rows that are added batch by batch, for queries.
pub struct OnceAggregate {
    spec: Spec,
    table: SlotTable,
    states: States,
    keys: KeyBuffer,
    /// Rows so far: who came first.
    rows: i64,
}

impl OnceAggregate {
    /// Without columns to group by there is one group, even of no rows.
    ///
    /// # Errors
    /// As for [`super::aggregate`].
    pub fn new(node: &AggregateNode) -> Result<Self> {
        let spec = Spec::new(node)?;
        let mut states = States::new(spec.aggs()?);
        if spec.group.is_empty() {
            states.grow(1);
        }
        Ok(OnceAggregate {
            spec,
            table: SlotTable::new(false),
            states,
            keys: KeyBuffer::new(),
            rows: 0,
        })
    }

    /// Groups so far.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// True when there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, roughly.
    pub fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.states.memory_bytes()
    }

    /// Adds rows of the node's input. As in a continuous query a row with a NULL to group by belongs
    /// to no group.
    ///
    /// # Errors
    /// As for `StreamAgg::update`.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let valid = self.spec.group.iter().fold(None, |valid: Option<NullBuffer>, i| {
            NullBuffer::union(valid.as_ref(), rows.column(*i).logical_nulls().as_ref())
        });
        let rows = match valid.filter(|valid| valid.null_count() > 0) {
            Some(valid) => filter_record_batch(rows, &BooleanArray::new(valid.into_inner(), None))?,
            None => rows.clone(),
        };
        let slots = self.slots(&rows)?;
        let mut args = Vec::with_capacity(self.spec.args.len());
        for call in &self.spec.args {
            args.push(call.iter().map(|arg| values(arg, &rows)).collect::<Result<Vec<_>>>()?);
        }
        let of = RowsOf { undo: None, first_seq: self.rows, skips_overflow: false };
        self.states.update(&slots, &args, of)?;
        self.rows += rows.num_rows() as i64;
        Ok(())
    }

    fn slots(&mut self, rows: &RecordBatch) -> Result<Vec<u32>> {
        if self.spec.group.is_empty() {
            return Ok(vec![0; rows.num_rows()]);
        }
        let group = self.spec.group.iter().map(|i| rows.column(*i).clone());
        self.spec.keys.encode(&group.collect::<Vec<ArrayRef>>(), &mut self.keys)?;
        let mut slots = Vec::with_capacity(rows.num_rows());
        for key in self.keys.iter() {
            let hash = self.table.hash(key);
            slots.push(self.table.find_or_insert(hash, 0, key)?.0);
        }
        self.states.grow(self.table.len());
        Ok(slots)
    }

    /// Some of the groups, as rows of the node's schema.
    ///
    /// # Errors
    /// As for `StreamAgg::value`.
    pub fn groups(&self, range: Range<usize>) -> Result<RecordBatch> {
        let slots: Vec<u32> = range.map(|slot| slot as u32).collect();
        let group = match self.spec.group.is_empty() {
            true => Vec::new(),
            false => {
                let keys: Vec<&[u8]> = slots.iter().map(|slot| self.table.key(*slot)).collect();
                self.spec.group_columns(&keys)?
            }
        };
        let columns = Columns { group, windows: None, values: self.states.values(&slots)? };
        Ok(emit::batch(&self.spec, columns, vec![0; slots.len()], None)?.rows)
    }
}

/// The values of an argument; what cannot be computed is NULL.
fn values(arg: &Arg, rows: &RecordBatch) -> Result<ArrayRef> {
    match arg {
        Arg::Column(i) => Ok(rows.column(*i).clone()),
        Arg::Computed(evaluator) => Ok(evaluator.column(rows, &mut Vec::new())?),
    }
}
