//! Helpers of the operators' tests: an in-memory store and a step context.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch};

use super::{Operator, RowReject, StepContext};
use crate::batch::Batch;
use crate::error::Result;
use crate::state::{Shape, StateView, StoreId};

type Store = BTreeMap<Vec<u8>, Vec<u8>>;

/// A `StateView` in memory that applies every write at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemState {
    pub stores: BTreeMap<(StoreId, Shape), Store>,
    pub reads: std::cell::Cell<usize>,
}

impl StateView for MemState {
    fn get(&self, store: StoreId, shape: Shape, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.stores.get(&(store, shape)).and_then(|store| store.get(key)).cloned())
    }

    fn get_many(
        &self,
        store: StoreId,
        shape: Shape,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(store, shape, key)).collect()
    }

    fn scan(
        &self,
        store: StoreId,
        shape: Shape,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        let Some(store) = self.stores.get(&(store, shape)) else { return Ok(()) };
        for (key, value) in store.range(from.to_vec()..) {
            if (!to.is_empty() && key.as_slice() >= to) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        store: StoreId,
        shape: Shape,
        key: &[u8],
        value: Option<&[u8]>,
        _: i64,
    ) -> Result<()> {
        let store = self.stores.entry((store, shape)).or_default();
        match value {
            Some(value) => store.insert(key.to_vec(), value.to_vec()),
            None => store.remove(key),
        };
        Ok(())
    }

    fn expire(&mut self, store: StoreId, to: &[u8]) -> Result<()> {
        let store = self.stores.entry((store, Shape::WindowFirst)).or_default();
        *store = store.split_off(to);
        Ok(())
    }
}

/// What an operator gave besides state.
#[derive(Debug, Clone, Default)]
pub struct Output {
    pub batches: Vec<Batch>,
    pub aside: Vec<Batch>,
    pub rejects: Vec<RowReject>,
    pub late_records: u64,
}

/// Runs one call of an operator.
pub fn step(
    state: &mut MemState,
    output: &mut Output,
    coalesce: bool,
    call: impl FnOnce(&mut StepContext<'_>) -> Result<()>,
) -> Result<()> {
    call(&mut StepContext {
        state,
        out: &mut output.batches,
        aside: &mut output.aside,
        rejects: &mut output.rejects,
        coalesce,
        late_records: &mut output.late_records,
    })
}

/// Pushes a batch.
pub fn push(
    operator: &mut dyn Operator,
    port: usize,
    batch: Batch,
    state: &mut MemState,
    output: &mut Output,
    coalesce: bool,
) -> Result<()> {
    step(state, output, coalesce, |ctx| operator.push(port, batch, ctx))
}

/// Flushes, as before a commit.
pub fn flush(
    operator: &mut dyn Operator,
    state: &mut MemState,
    output: &mut Output,
    coalesce: bool,
) -> Result<()> {
    step(state, output, coalesce, |ctx| operator.flush(ctx))
}

/// Rows as text: columns, `@` time; `-` in front of a tombstone (its first `keys` columns only), old
/// values after `<`.
pub fn texts(output: &Output, keys: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for batch in &output.batches {
        let row_text = |rows: &RecordBatch, row: usize, columns: usize| -> String {
            let columns = rows.columns()[..columns].iter();
            let values: Vec<String> = columns
                .map(|c| match c.is_null(row) {
                    true => "NULL".into(),
                    false => arrow::util::display::array_value_to_string(c, row).unwrap(),
                })
                .collect();
            values.join(" ")
        };
        for row in 0..batch.len() {
            let live = batch.is_live(row);
            let all = batch.rows.num_columns();
            let columns = if live { all } else { keys.min(all) };
            let text = row_text(&batch.rows, row, columns);
            let old = match &batch.old {
                Some(old) if old.live.value(row) => format!(" < {}", row_text(&old.rows, row, all)),
                Some(_) => " < none".into(),
                None => String::new(),
            };
            let sign = if live { "" } else { "-" };
            texts.push(format!("{sign}{text} @{}{old}", batch.times[row]));
        }
    }
    texts
}
