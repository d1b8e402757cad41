//! Output rows of aggregations.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute;

use super::groups::Groups;
use super::spec::Spec;
use crate::batch::{Batch, Old, take_rows};
use crate::error::Result;

/// Rows of one output batch at most, when many groups are handed out at once.
pub(super) const EMIT_ROWS_MAX: usize = 8192;

/// Columns of output rows before they become a batch.
pub(super) struct Columns {
    pub group: Vec<ArrayRef>,
    /// Window bounds per row, if windowed.
    pub windows: Option<(Vec<i64>, Vec<i64>)>,
    pub values: Vec<ArrayRef>,
}

/// Values before a change.
pub(super) struct OldValues {
    pub values: Vec<ArrayRef>,
    pub live: BooleanBuffer,
}

/// A batch of rows, with the old values beside if given.
pub(super) fn batch(
    spec: &Spec,
    columns: Columns,
    times: Vec<i64>,
    old: Option<OldValues>,
) -> Result<Batch> {
    let mut keys = columns.group;
    if let Some((starts, ends)) = columns.windows {
        keys.push(Arc::new(Int64Array::from(starts)));
        keys.push(Arc::new(Int64Array::from(ends)));
    }
    let rows = |values: Vec<ArrayRef>| {
        let all = keys.iter().cloned().chain(values).collect();
        RecordBatch::try_new(spec.schema.clone(), all)
    };
    let old = match old {
        Some(old) => Some(Old { rows: rows(old.values)?, live: old.live }),
        None => None,
    };
    let mut batch = Batch::new(rows(columns.values)?, times);
    batch.old = old;
    Ok(batch)
}

/// A batch of the present values of `slots` (at most [`EMIT_ROWS_MAX`]), whose windows are
/// `size_ms` long if windowed.
pub(super) fn slots_batch(
    spec: &Spec,
    groups: &Groups,
    slots: &[u32],
    size_ms: Option<i64>,
    old: Option<OldValues>,
) -> Result<Batch> {
    let keys: Vec<&[u8]> = slots.iter().map(|slot| groups.table.group_key(*slot)).collect();
    let windows = size_ms.map(|size_ms| {
        let starts: Vec<i64> = slots.iter().map(|slot| groups.table.window(*slot)).collect();
        let ends = window_ends(&starts, size_ms);
        (starts, ends)
    });
    let group = spec.group_columns(&keys)?;
    let columns = Columns { group, windows, values: groups.states.values(slots)? };
    let times = slots.iter().map(|slot| groups.states.time(*slot)).collect();
    batch(spec, columns, times, old)
}

pub(super) fn window_ends(starts: &[i64], size_ms: i64) -> Vec<i64> {
    starts.iter().map(|start| start.saturating_add(size_ms)).collect()
}

/// The entries of `columns` at `rows`.
pub(super) fn take(columns: &[ArrayRef], rows: &[u32]) -> Result<Vec<ArrayRef>> {
    let index = UInt32Array::from(rows.to_vec());
    let taken = columns.iter().map(|column| compute::take(column, &index, None));
    Ok(taken.collect::<std::result::Result<_, _>>()?)
}

/// Rows without those that the next row replaces in the same slot; what such a pair changes is the
/// value before both. As in ksqlDB a change within a group is one change of its value.
pub(super) fn without_replaced(
    batch: Batch,
    replaced: &BooleanBuffer,
    slots: &[u32],
) -> Result<Batch> {
    let inner = |row: usize| {
        replaced.len() == slots.len() && replaced.value(row) && slots[row] == slots[row + 1]
    };
    if !(0..batch.len()).any(inner) {
        return Ok(batch);
    }
    let keep: Vec<u32> =
        (0..batch.len()).filter(|row| !inner(*row)).map(|row| row as u32).collect();
    let Some(old) = &batch.old else { return batch.take(&keep) };
    let first = |row: &u32| {
        let row = *row as usize;
        if row > 0 && inner(row - 1) { row - 1 } else { row }
    };
    let before: Vec<usize> = keep.iter().map(first).collect();
    let index = UInt32Array::from_iter_values(before.iter().map(|row| *row as u32));
    let live = before.iter().map(|row| old.live.value(*row)).collect();
    let old = Old { rows: take_rows(&old.rows, &index)?, live };
    let mut batch = batch.take(&keep)?;
    batch.old = Some(old);
    Ok(batch)
}
