//! A stream's rows looked up in a table as it is now.

use arrow::array::Array;
use hashbrown::HashMap;

use super::rows::{LEFT, RIGHT, Source, Spec, joined, report_null_key};
use crate::batch::Batch;
use crate::codec::key::KeyBuffer;
use crate::codec::row::RowBuffer;
use crate::error::Result;
use crate::operators::keep::{stamp, unstamp};
use crate::operators::{Operator, StepContext};
use crate::state::{Shape, StoreId};

/// INNER or LEFT: only rows of the stream produce output.
pub(super) struct StreamTableJoin {
    spec: Spec,
    table: StoreId,
    keys: KeyBuffer,
    rows: RowBuffer,
}

impl StreamTableJoin {
    pub fn new(spec: Spec, table: StoreId) -> Self {
        StreamTableJoin { spec, table, keys: KeyBuffer::new(), rows: RowBuffer::new() }
    }

    /// Writes the table's changes.
    fn push_table(&mut self, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let side = &self.spec.sides[RIGHT];
        side.encode_keys(&batch.rows, &mut self.keys)?;
        self.rows.clear();
        side.rows.encode(batch.rows.columns(), 0..batch.len(), &mut self.rows)?;
        for row in 0..batch.len() {
            if batch.column(side.key).is_null(row) {
                report_null_key(side, batch, row, ctx);
                continue;
            }
            let time = batch.times[row];
            let value = batch.is_live(row).then(|| stamp(time, self.rows.get(row)));
            let key = self.keys.get(row);
            ctx.state.put(self.table, Shape::KeyValue, key, value.as_deref(), time)?;
        }
        Ok(())
    }

    fn push_stream(&mut self, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let side = &self.spec.sides[LEFT];
        let outer = self.spec.is_outer(LEFT);
        side.encode_keys(&batch.rows, &mut self.keys)?;
        let (found, decoded) = self.look_up(batch, ctx)?;
        let (mut left, mut right, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for (row, found) in found.iter().enumerate() {
            if !batch.is_live(row) {
                continue;
            }
            if found.is_some() || outer {
                left.push(Some(row as u32));
                right.push(*found);
                times.push(batch.times[row]);
            } else if batch.column(side.key).is_null(row) {
                report_null_key(side, batch, row, ctx);
            }
        }
        let from: Vec<Option<usize>> = left.iter().map(|row| row.map(|row| row as usize)).collect();
        let sources = [Source::new(Some(&batch.rows), vec![])?, decoded];
        let rows = joined(&self.spec, &sources, left, right, None)?;
        ctx.out.push(Batch::new(rows, times).caused_by(batch, from.into_iter()));
        Ok(())
    }

    /// The table's row per stream row, and those rows; each key is looked up once.
    fn look_up(
        &self,
        batch: &Batch,
        ctx: &mut StepContext<'_>,
    ) -> Result<(Vec<Option<u32>>, Source)> {
        let key_column = batch.column(self.spec.sides[LEFT].key);
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        for row in (0..batch.len()).filter(|row| key_column.is_valid(*row)) {
            places.entry(self.keys.get(row)).or_insert(0);
        }
        let mut keys: Vec<&[u8]> = places.keys().copied().collect();
        keys.sort_unstable();
        for (place, key) in keys.iter().enumerate() {
            places.insert(key, place);
        }
        let values = ctx.state.get_many(self.table, Shape::KeyValue, &keys)?;
        let mut rows = Vec::new();
        let mut numbers = Vec::with_capacity(values.len());
        for value in &values {
            numbers.push(value.as_ref().map(|_| rows.len() as u32));
            if let Some(value) = value {
                rows.push(unstamp(value)?.1);
            }
        }
        let decoded = Source::new(None, self.spec.sides[RIGHT].decode(&rows)?)?;
        let found = (0..batch.len()).map(|row| match key_column.is_valid(row) {
            true => places.get(self.keys.get(row)).and_then(|place| numbers[*place]),
            false => None,
        });
        Ok((found.collect(), decoded))
    }
}

impl Operator for StreamTableJoin {
    fn push(&mut self, port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        if port == RIGHT { self.push_table(&batch, ctx) } else { self.push_stream(&batch, ctx) }
    }

    fn reset(&mut self) {}
}
