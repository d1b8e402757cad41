//! Output rows of session aggregations: tombstones of merged sessions between rows.

use arrow::array::{ArrayRef, UInt32Array, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute;

use super::emit::{self, Columns, OldValues};
use super::sessions::{Session, Sessions};
use super::spec::Spec;
use crate::batch::Batch;
use crate::error::Result;

/// Values of calls, made piece by piece.
#[derive(Default)]
pub(super) struct Values {
    pieces: Vec<Vec<ArrayRef>>,
    rows: u32,
}

impl Values {
    /// Adds a piece of `rows` rows; gives the number of its first row.
    pub fn push(&mut self, values: Vec<ArrayRef>, rows: usize) -> u32 {
        let first = self.rows;
        self.pieces.push(values);
        self.rows += rows as u32;
        first
    }

    /// The rows at `index`, NULL where there is none. `spec` tells the types.
    fn take(&self, spec: &Spec, index: &[Option<u32>]) -> Result<Vec<ArrayRef>> {
        let calls = spec.calls.len();
        let fields = &spec.schema.fields()[spec.schema.fields().len() - calls..];
        if self.rows == 0 {
            let nulls = fields.iter().map(|field| new_null_array(field.data_type(), index.len()));
            return Ok(nulls.collect());
        }
        let index = UInt32Array::from(index.to_vec());
        let columns = (0..calls).map(|call| {
            let pieces: Vec<_> = self.pieces.iter().map(|piece| piece[call].as_ref()).collect();
            Ok(compute::take(&compute::concat(&pieces)?, &index, None)?)
        });
        columns.collect()
    }

    pub fn clear(&mut self) {
        self.pieces.clear();
        self.rows = 0;
    }
}

/// One output row.
pub(super) struct OutRow {
    pub key: u32,
    pub start: i64,
    pub end: i64,
    /// Row of the new values; `None`: a tombstone.
    pub value: Option<u32>,
    /// Row of the old values; `None`: there was none.
    pub old: Option<u32>,
}

impl OutRow {
    pub fn tombstone(key: u32, session: &Session) -> Self {
        let Session { start, end, old, .. } = *session;
        OutRow { key, start, end, value: None, old }
    }

    pub fn row(key: u32, session: &Session, value: u32) -> Self {
        let Session { start, end, old, .. } = *session;
        OutRow { key, start, end, value: Some(value), old }
    }
}

/// Rows in order, the time of each being the end of its session; old values if given.
pub(super) fn batch(
    spec: &Spec,
    sessions: &Sessions,
    rows: &[OutRow],
    values: &Values,
    old: Option<&Values>,
) -> Result<Batch> {
    let keys: Vec<&[u8]> = rows.iter().map(|row| sessions.table.key(row.key)).collect();
    let new: Vec<Option<u32>> = rows.iter().map(|row| row.value).collect();
    let old = match old {
        None => None,
        Some(old) => {
            let index: Vec<Option<u32>> = rows.iter().map(|row| row.old).collect();
            let live: BooleanBuffer = rows.iter().map(|row| row.old.is_some()).collect();
            Some(OldValues { values: old.take(spec, &index)?, live })
        }
    };
    let starts = rows.iter().map(|row| row.start).collect();
    let ends: Vec<i64> = rows.iter().map(|row| row.end).collect();
    let columns = Columns {
        group: spec.group_columns(&keys)?,
        windows: Some((starts, ends.clone())),
        values: values.take(spec, &new)?,
    };
    let mut batch = emit::batch(spec, columns, ends, old)?;
    if new.iter().any(Option::is_none) {
        batch.live = Some(new.iter().map(Option::is_some).collect());
    }
    Ok(batch)
}
