//! Keeps the latest row per key in a store: a table that is looked up or pulled from, and the only
//! way to know what a table's record replaces. A value is the event time, 8 bytes big endian, and
//! the row.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use hashbrown::HashMap;
use millrace_sql::types::SqlType;

use crate::batch::{Batch, Old};
use crate::codec::buffer::{KeyBuffer, RowBuffer};
use crate::codec::key::KeyCodec;
use crate::codec::row::RowCodec;
use crate::error::{EngineError, Result};
use crate::operators::{Operator, StepContext};
use crate::repartition::spread;
use crate::state::{Shape, StoreId};

/// Writes each row under its key and passes it on with the row it replaces.
pub struct KeepOperator {
    store: StoreId,
    key: Vec<usize>,
    key_codec: KeyCodec,
    row_codec: RowCodec,
}

impl KeepOperator {
    /// `types`: of all columns; `key`: positions of the key columns, in key order.
    pub fn new(store: StoreId, types: &[SqlType], key: &[usize]) -> Result<Self> {
        let key_types: Vec<SqlType> = key.iter().map(|i| types[*i].clone()).collect();
        Ok(KeepOperator {
            store,
            key: key.to_vec(),
            key_codec: KeyCodec::new(&key_types),
            row_codec: RowCodec::new(types),
        })
    }

    /// Of a query's result, which may get more columns when the query is replaced.
    pub fn of_result(store: StoreId, types: &[SqlType], key: &[usize]) -> Result<Self> {
        Ok(KeepOperator { row_codec: RowCodec::growing(types), ..Self::new(store, types, key)? })
    }

    /// Values before each row, as bytes: from the store, or from an earlier row of this batch.
    fn previous(
        &self,
        keys: &[&[u8]],
        values: &[Option<&[u8]>],
        ctx: &StepContext<'_>,
    ) -> Result<Vec<Option<Vec<u8>>>> {
        let mut stored = ctx.state.get_many(self.store, Shape::KeyValue, keys)?;
        let mut last: HashMap<&[u8], usize> = HashMap::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            if let Some(before) = last.insert(key, i) {
                stored[i] = values[before].map(<[u8]>::to_vec);
            }
        }
        Ok(stored)
    }
}

impl Operator for KeepOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let key_columns: Vec<ArrayRef> =
            self.key.iter().map(|i| batch.column(*i).clone()).collect();
        let mut keys = KeyBuffer::new();
        self.key_codec.encode(&key_columns, &mut keys)?;
        let mut rows = RowBuffer::new();
        self.row_codec.encode(batch.rows.columns(), 0..batch.len(), &mut rows)?;

        let keys: Vec<&[u8]> = (0..batch.len()).map(|i| keys.get(i)).collect();
        let stamped: Vec<Option<Vec<u8>>> = (0..batch.len())
            .map(|i| batch.is_live(i).then(|| stamp(batch.times[i], rows.get(i))))
            .collect();
        let values: Vec<Option<&[u8]>> = stamped.iter().map(Option::as_deref).collect();
        let previous = self.previous(&keys, &values, ctx)?;
        for (i, key) in keys.iter().enumerate() {
            let time_ms = batch.times[i];
            ctx.state.put(self.store, Shape::KeyValue, key, values[i], time_ms)?;
        }
        let old = decode_rows(&self.row_codec, &batch.rows, &previous)?;
        ctx.out.push(Batch { old: Some(old), ..batch });
        Ok(())
    }

    fn reset(&mut self) {}
}

/// Length of the event time in front of a stored row.
const STAMP_LEN: usize = 8;

/// A row as it is stored: event time, then the row.
pub(crate) fn stamp(time_ms: i64, row: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(STAMP_LEN + row.len());
    value.extend_from_slice(&time_ms.to_be_bytes());
    value.extend_from_slice(row);
    value
}

/// Event time and row of a stored value.
pub(crate) fn unstamp(value: &[u8]) -> Result<(i64, &[u8])> {
    let (time, row) = value
        .split_first_chunk::<STAMP_LEN>()
        .ok_or_else(|| EngineError::State("a stored row is too short".to_owned()))?;
    Ok((i64::from_be_bytes(*time), row))
}

/// Stored rows as a batch, for pull queries.
pub fn read_entries(
    types: &[SqlType],
    schema: SchemaRef,
    entries: &[(Vec<u8>, Vec<u8>)],
) -> Result<Batch> {
    let (mut times, mut rows) = (Vec::new(), Vec::new());
    for (_, value) in entries {
        let (time, row) = unstamp(value)?;
        times.push(time);
        rows.push(row);
    }
    let columns = RowCodec::new(types).decode(&rows)?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(Batch::new(RecordBatch::try_new_with_options(schema, columns, &options)?, times))
}

/// Stored rows beside a batch of the same schema; absent ones are not live.
fn decode_rows(codec: &RowCodec, like: &RecordBatch, rows: &[Option<Vec<u8>>]) -> Result<Old> {
    let live: BooleanBuffer = rows.iter().map(Option::is_some).collect();
    let present: Vec<&[u8]> =
        rows.iter().flatten().map(|row| Ok(unstamp(row)?.1)).collect::<Result<_>>()?;
    let columns = codec.decode(&present)?;
    let columns = spread(&columns, rows.iter().map(Option::is_some))?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let rows = RecordBatch::try_new_with_options(like.schema(), columns, &options)?;
    Ok(Old { rows, live })
}
