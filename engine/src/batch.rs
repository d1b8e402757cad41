//! What flows between operators.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute;

use crate::error::{EngineError, Result};

/// Rows on an edge of the pipeline. For a stream every row is a fact; for a table every row is a
/// change of one key: `rows` holds the new value, `old` the one before it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Columns of the edge's schema. Key columns are set in every row; the other columns of a row
    /// that is not live mean nothing.
    pub rows: RecordBatch,
    /// Event time per row, milliseconds.
    pub times: Vec<i64>,
    /// False: the row is a tombstone. `None`: all are live.
    pub live: Option<BooleanBuffer>,
    /// Headers of the records that the rows come from; `None`: none has any.
    pub headers: Option<RowHeaders>,
    /// Stream time as of each row, where not the rows' own times move it: over a repartition.
    pub clock: Option<Vec<i64>>,
    /// The values that the rows replace, where the operator before knows them. Same length.
    pub old: Option<Old>,
}

/// Headers per row, encoded as in the log; a row may have none.
pub type RowHeaders = Vec<Option<Arc<[u8]>>>;

/// Previous values, row by row beside [`Batch::rows`].
#[derive(Debug, Clone)]
pub struct Old {
    pub rows: RecordBatch,
    /// False: there was no row before.
    pub live: BooleanBuffer,
}

impl Batch {
    /// Live rows without a history.
    pub fn new(rows: RecordBatch, times: Vec<i64>) -> Self {
        assert_eq!(rows.num_rows(), times.len(), "one time per row");
        Batch { rows, times, live: None, headers: None, clock: None, old: None }
    }

    /// Rows that others brought about: row `i` gets headers and stream time of `rows[i]` of `from`.
    pub fn caused_by(
        self,
        from: &Batch,
        rows: impl Iterator<Item = Option<usize>> + Clone,
    ) -> Self {
        let headers = from.headers.as_ref().map(|all| {
            rows.clone().map(|row| row.and_then(|row| all[row].clone())).collect::<RowHeaders>()
        });
        // A row without a cause does not move time.
        let clock = from
            .clock
            .as_ref()
            .map(|all| rows.map(|row| row.map_or(i64::MIN, |row| all[row])).collect::<Vec<i64>>());
        debug_assert!(headers.as_ref().is_none_or(|all| all.len() == self.len()));
        Batch { headers, clock, ..self }
    }

    /// Stream time as of each row is at least this.
    pub fn clock(&self) -> &[i64] {
        self.clock.as_ref().unwrap_or(&self.times)
    }

    /// Encoded headers of a row.
    pub fn headers_of(&self, row: usize) -> Option<&[u8]> {
        self.headers.as_ref()?.get(row)?.as_deref()
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub fn is_live(&self, row: usize) -> bool {
        self.live.as_ref().is_none_or(|live| live.value(row))
    }

    pub fn column(&self, i: usize) -> &ArrayRef {
        self.rows.column(i)
    }

    /// The rows at `indices`, in that order.
    pub fn take(&self, indices: &[u32]) -> Result<Batch> {
        let index = UInt32Array::from(indices.to_vec());
        let pick = |bits: &BooleanBuffer| {
            indices.iter().map(|i| bits.value(*i as usize)).collect::<BooleanBuffer>()
        };
        let old = match &self.old {
            Some(old) => Some(Old { rows: take_rows(&old.rows, &index)?, live: pick(&old.live) }),
            None => None,
        };
        Ok(Batch {
            rows: take_rows(&self.rows, &index)?,
            times: indices.iter().map(|i| self.times[*i as usize]).collect(),
            live: self.live.as_ref().map(pick),
            headers: self
                .headers
                .as_ref()
                .map(|all| indices.iter().map(|i| all[*i as usize].clone()).collect()),
            clock: self
                .clock
                .as_ref()
                .map(|all| indices.iter().map(|i| all[*i as usize]).collect()),
            old,
        })
    }

    /// The rows where `keep` is set. Cheap when all are kept.
    pub fn filter(&self, keep: &BooleanBuffer) -> Result<Batch> {
        if keep.count_set_bits() == self.len() {
            return Ok(self.clone());
        }
        let kept: Vec<u32> = keep.set_indices().map(|i| i as u32).collect();
        let plain = self.headers.is_none() && self.clock.is_none();
        if self.old.is_none() && self.live.is_none() && plain {
            let mask = BooleanArray::new(keep.clone(), None);
            let rows = compute::filter_record_batch(&self.rows, &mask)?;
            let times = kept.iter().map(|i| self.times[*i as usize]).collect();
            return Ok(Batch::new(rows, times));
        }
        self.take(&kept)
    }

    /// Rows `from..from + len` without copying columns.
    pub fn slice(&self, from: usize, len: usize) -> Batch {
        Batch {
            rows: self.rows.slice(from, len),
            times: self.times[from..from + len].to_vec(),
            live: self.live.as_ref().map(|live| live.slice(from, len)),
            headers: self.headers.as_ref().map(|all| all[from..from + len].to_vec()),
            clock: self.clock.as_ref().map(|all| all[from..from + len].to_vec()),
            old: self.old.as_ref().map(|old| Old {
                rows: old.rows.slice(from, len),
                live: old.live.slice(from, len),
            }),
        }
    }
}

/// The rows at `index`, in that order.
pub(crate) fn take_rows(rows: &RecordBatch, index: &UInt32Array) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = rows
        .columns()
        .iter()
        .map(|column| compute::take(column, index, None))
        .collect::<std::result::Result<_, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(index.len()));
    RecordBatch::try_new_with_options(rows.schema(), columns, &options).map_err(EngineError::from)
}
