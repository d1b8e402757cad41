//! Input rows made ready: group keys encoded, arguments evaluated, changes of a table split into
//! what is taken back and what is added.

use arrow::array::{Array, ArrayRef, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute;

use super::spec::Spec;
use super::states::States;
use crate::batch::{Batch, take_rows};
use crate::codec::key::KeyBuffer;
use crate::error::{EngineError, Result};
use crate::format::RejectKind;
use crate::lineage::{Lineage, Passed};
use crate::operators::{RowReject, StepContext};
use crate::repartition::no_group;

/// Rows that belong to a group.
pub(super) struct Input {
    /// Columns of the input, to take group columns from.
    pub rows: RecordBatch,
    pub times: Vec<i64>,
    /// Stream time as of each row, where not the rows' own times move it.
    pub clock: Option<Vec<i64>>,
    /// Rows to take back.
    pub undo: Option<BooleanBuffer>,
    /// Rows to take back that the next row replaces: only what is after both is handed out.
    pub replaced: Option<BooleanBuffer>,
    pub keys: KeyBuffer,
    /// Arrays per call.
    pub args: Vec<Vec<ArrayRef>>,
    /// Which rows of the batch that was given these are; `None`: changes of a table, made of two rows.
    lineage: Option<Lineage>,
}

impl Input {
    /// What moves stream time, row by row.
    pub fn clock(&self) -> &[i64] {
        self.clock.as_ref().unwrap_or(&self.times)
    }
}

/// `None` when no row is left.
pub(super) fn prepare(
    spec: &Spec,
    batch: Batch,
    mut keys: KeyBuffer,
    ctx: &mut StepContext<'_>,
) -> Result<Option<Input>> {
    let mut lineage = (!spec.table_input).then(|| Lineage::of(batch.live.as_ref()));
    let (batch, undo) = match spec.table_input {
        true => {
            let (batch, undo) = changes(batch)?;
            (batch, Some(undo))
        }
        false => (facts(batch)?, None),
    };
    let (batch, undo) = drop_null_groups(spec, batch, undo, &mut lineage, ctx)?;
    if batch.is_empty() {
        return Ok(None);
    }
    let columns: Vec<ArrayRef> = spec.group.iter().map(|i| batch.column(*i).clone()).collect();
    spec.keys.encode(&columns, &mut keys)?;
    let told = ctx.rejects.len();
    let mut args = Vec::with_capacity(spec.args.len());
    for call in &spec.args {
        let arrays = call.iter().map(|arg| arg.evaluate(&batch.rows, &batch.times, ctx));
        args.push(arrays.collect::<Result<Vec<_>>>()?);
    }
    for reject in &mut ctx.rejects[told..] {
        reject.row_index = reject.row_index.and_then(|row| lineage.as_ref()?.origin(row));
    }
    let (undo, replaced) = undo.map(|undo| (undo.rows, undo.replaced)).unzip();
    let Batch { rows, times, clock, .. } = batch;
    Ok(Some(Input { rows, times, clock, undo, replaced, keys, args, lineage }))
}

/// Rows of a stream; those without a value count for nothing.
fn facts(batch: Batch) -> Result<Batch> {
    match &batch.live {
        Some(live) => batch.filter(live),
        None => Ok(batch),
    }
}

/// Which rows are to be taken back.
struct Undo {
    rows: BooleanBuffer,
    /// Of these, the ones that the row after them replaces.
    replaced: BooleanBuffer,
}

/// The rows of a table's changes: old values first, each followed by the new one.
fn changes(batch: Batch) -> Result<(Batch, Undo)> {
    let Some(old) = &batch.old else {
        let what = "aggregating a table needs the old values, and the input gave none";
        return Err(EngineError::Bug(what.into()));
    };
    let len = batch.len();
    let mut picked = Vec::with_capacity(2 * len);
    let mut times = Vec::with_capacity(2 * len);
    let mut undo = BooleanBufferBuilder::new(2 * len);
    let mut replaced = BooleanBufferBuilder::new(2 * len);
    for row in 0..len {
        if old.live.value(row) {
            picked.push(row as u32);
            times.push(batch.times[row]);
            undo.append(true);
            replaced.append(batch.is_live(row));
        }
        if batch.is_live(row) {
            picked.push((len + row) as u32);
            times.push(batch.times[row]);
            undo.append(false);
            replaced.append(false);
        }
    }
    let both = compute::concat_batches(&batch.rows.schema(), [&old.rows, &batch.rows])?;
    let rows = take_rows(&both, &picked.into())?;
    let undo = Undo { rows: undo.finish(), replaced: replaced.finish() };
    Ok((Batch::new(rows, times), undo))
}

/// Drops rows with a NULL in the group and reports those that would have been added.
fn drop_null_groups(
    spec: &Spec,
    batch: Batch,
    undo: Option<Undo>,
    lineage: &mut Option<Lineage>,
    ctx: &mut StepContext<'_>,
) -> Result<(Batch, Option<Undo>)> {
    let valid = spec.group.iter().fold(None, |valid: Option<NullBuffer>, i| {
        NullBuffer::union(valid.as_ref(), batch.column(*i).logical_nulls().as_ref())
    });
    let Some(valid) = valid.filter(|valid| valid.null_count() > 0) else {
        return Ok((batch, undo));
    };
    let keep = valid.inner();
    for row in (0..batch.len()).filter(|row| !keep.value(*row)) {
        if undo.as_ref().is_none_or(|undo| !undo.rows.value(row)) {
            report_null_group(spec, &batch, row, ctx);
            if let (Some(lineage), Some(reject)) = (&*lineage, ctx.rejects.last_mut()) {
                reject.row_index = lineage.origin(row);
            }
        }
    }
    let undo = undo.map(|undo| Undo {
        rows: keep.set_indices().map(|row| undo.rows.value(row)).collect(),
        replaced: keep
            .set_indices()
            .map(|row| undo.replaced.value(row) && keep.value(row + 1))
            .collect(),
    });
    *lineage = lineage.take().and_then(|lineage| lineage.then(Passed::These(keep)));
    Ok((batch.filter(keep)?, undo))
}

/// Reports what aggregates have left out; `rows`: which row of the input each of theirs was.
pub(super) fn report_left_out(
    states: &mut States,
    input: &Input,
    rows: &[u32],
    ctx: &mut StepContext<'_>,
) {
    let mut last = None;
    for left_out in states.left_out() {
        let row = rows[left_out.row] as usize;
        // A row may be in several windows.
        if last == Some((row, left_out.reason.clone())) {
            continue;
        }
        ctx.rejects.push(RowReject {
            kind: RejectKind::Processing,
            reason: left_out.reason.clone(),
            time_ms: input.times[row],
            row: Some(input.rows.slice(row, 1)),
            row_index: input.lineage.as_ref().and_then(|lineage| lineage.origin(row)),
            origin: None,
        });
        last = Some((row, left_out.reason));
    }
}

fn report_null_group(spec: &Spec, batch: &Batch, row: usize, ctx: &mut StepContext<'_>) {
    let column = spec.group.iter().find(|i| batch.column(**i).is_null(row));
    let name = column.map(|i| batch.rows.schema().field(*i).name().clone()).unwrap_or_default();
    ctx.rejects.push(RowReject {
        kind: RejectKind::Processing,
        reason: no_group(&name),
        time_ms: batch.times[row],
        row: Some(batch.rows.slice(row, 1)),
        row_index: None,
        origin: None,
    });
}
