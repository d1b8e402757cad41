//! Two tables joined by primary key: a change on either side changes the result.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::buffer::BooleanBuffer;
use hashbrown::HashMap;
use millrace_sql::plan::JoinKind;

use super::rows::{LEFT, RIGHT, Source, Spec, joined, report_null_key};
use crate::batch::{Batch, Old};
use crate::codec::key::KeyBuffer;
use crate::codec::row::RowBuffer;
use crate::error::Result;
use crate::operators::keep::{stamp, unstamp};
use crate::operators::{Operator, StepContext};
use crate::state::{Shape, StoreId};

/// Keeps both sides and emits the changes of the joined rows.
pub(super) struct TableTableJoin {
    spec: Spec,
    stores: [StoreId; 2],
    with_old: bool,
    keys: KeyBuffer,
    rows: RowBuffer,
}

/// Sides of a joined row before or after a change: rows of the sources.
#[derive(Default)]
struct Pairs {
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
    live: Vec<bool>,
}

impl Pairs {
    /// `own` belongs to side `port`.
    fn push(&mut self, kind: JoinKind, port: usize, own: Option<u32>, other: Option<u32>) -> bool {
        let (left, right) = if port == LEFT { (own, other) } else { (other, own) };
        let live = match kind {
            JoinKind::Inner => left.is_some() && right.is_some(),
            JoinKind::Left => left.is_some(),
            JoinKind::Right => right.is_some(),
            JoinKind::Full => left.is_some() || right.is_some(),
        };
        self.left.push(left.filter(|_| live));
        self.right.push(right.filter(|_| live));
        self.live.push(live);
        live
    }

    fn pop(&mut self) {
        self.left.pop();
        self.right.pop();
        self.live.pop();
    }
}

/// Decoded rows of a side, by number, and when they were written.
struct Found {
    numbers: Vec<Option<u32>>,
    times: Vec<i64>,
    columns: Vec<ArrayRef>,
}

impl TableTableJoin {
    pub fn new(spec: Spec, stores: [StoreId; 2], with_old: bool) -> Self {
        let (keys, rows) = (KeyBuffer::new(), RowBuffer::new());
        TableTableJoin { spec, stores, with_old, keys, rows }
    }

    /// The stored rows of a side per row of the batch.
    fn find(&self, side: usize, ctx: &StepContext<'_>) -> Result<Found> {
        let keys = self.keys.slices();
        let values = ctx.state.get_many(self.stores[side], Shape::KeyValue, &keys)?;
        let (mut numbers, mut times, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for value in &values {
            let Some(value) = value else {
                numbers.push(None);
                times.push(i64::MIN);
                continue;
            };
            let (time, row) = unstamp(value)?;
            numbers.push(Some(rows.len() as u32));
            times.push(time);
            rows.push(row);
        }
        Ok(Found { numbers, times, columns: self.spec.sides[side].decode(&rows)? })
    }

    /// Writes the changes of a side.
    fn write(&self, port: usize, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        for row in 0..batch.len() {
            let time = batch.times[row];
            let value = batch.is_live(row).then(|| stamp(time, self.rows.get(row)));
            let key = self.keys.get(row);
            ctx.state.put(self.stores[port], Shape::KeyValue, key, value.as_deref(), time)?;
        }
        Ok(())
    }

    fn emit(
        &self,
        port: usize,
        batch: &Batch,
        own: Found,
        other: Found,
        ctx: &mut StepContext<'_>,
    ) -> Result<()> {
        let kind = self.spec.kind;
        let (mut before, mut after) = (Pairs::default(), Pairs::default());
        let (mut changed, mut times) = (Vec::new(), Vec::new());
        let mut last: HashMap<&[u8], Option<u32>> = HashMap::new();
        for row in 0..batch.len() {
            // Rows of the batch stand before decoded ones in the own side's source.
            let stored = own.numbers[row].map(|number| number + batch.len() as u32);
            let new = batch.is_live(row).then_some(row as u32);
            let old = last.insert(self.keys.get(row), new).unwrap_or(stored);
            let was_live = before.push(kind, port, old, other.numbers[row]);
            let is_live = after.push(kind, port, new, other.numbers[row]);
            if !was_live && !is_live {
                before.pop();
                after.pop();
                continue;
            }
            changed.push(row as u32);
            times.push(batch.times[row].max(other.times[row]));
        }
        let own = Source::new(Some(&batch.rows), own.columns)?;
        let other = Source::new(None, other.columns)?;
        let sources = if port == LEFT { [own, other] } else { [other, own] };
        let from: Vec<Option<usize>> = changed.iter().map(|row| Some(*row as usize)).collect();
        let index = UInt32Array::from(changed);
        let key_column = batch.column(self.spec.sides[port].key);
        let keys = arrow::compute::take(key_column, &index, None)?;
        let rows = joined(&self.spec, &sources, after.left, after.right, Some(keys.clone()))?;
        let mut out = Batch::new(rows, times).caused_by(batch, from.into_iter());
        if after.live.contains(&false) {
            out.live = Some(BooleanBuffer::from(after.live));
        }
        if self.with_old {
            let rows = joined(&self.spec, &sources, before.left, before.right, Some(keys))?;
            out.old = Some(Old { rows, live: BooleanBuffer::from(before.live) });
        }
        ctx.out.push(out);
        Ok(())
    }
}

impl Operator for TableTableJoin {
    fn push(&mut self, port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let side = &self.spec.sides[port];
        let key = batch.column(side.key);
        let batch = match key.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            None => batch,
            Some(nulls) => {
                let null_rows = (0..batch.len()).filter(|row| nulls.is_null(*row));
                null_rows.for_each(|row| report_null_key(side, &batch, row, ctx));
                batch.filter(nulls.inner())?
            }
        };
        let mut keys = std::mem::take(&mut self.keys);
        side.encode_keys(&batch.rows, &mut keys)?;
        self.keys = keys;
        self.rows.clear();
        side.rows.encode(batch.rows.columns(), 0..batch.len(), &mut self.rows)?;
        let other = if port == LEFT { RIGHT } else { LEFT };
        let (own, other) = (self.find(port, ctx)?, self.find(other, ctx)?);
        self.write(port, &batch, ctx)?;
        self.emit(port, &batch, own, other, ctx)
    }

    fn reset(&mut self) {}
}
