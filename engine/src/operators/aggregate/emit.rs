//! Output rows of aggregations.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute;

use super::groups::Groups;
use super::spec::Spec;
use crate::batch::{Batch, Old};
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
