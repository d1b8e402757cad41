//! Keeps the latest row per key in a store: a table that is looked up or pulled from, and the only
//! way to know what a table's record replaces. A value is the event time, 8 bytes big endian, and
//! the row.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::SchemaRef;
use hashbrown::{HashMap, HashSet};
use millrace_sql::types::SqlType;

use crate::batch::{Batch, Old};
use crate::codec::buffer::{KeyBuffer, RowBuffer};
use crate::codec::key::KeyCodec;
use crate::codec::row::RowCodec;
use crate::error::{EngineError, Result};
use crate::operators::expiry::Expiry;
use crate::operators::{Operator, StepContext};
use crate::repartition::spread;
use crate::state::{Shape, StoreId};

/// Writes each row under its key and passes it on with the row it replaces.
pub struct KeepOperator {
    store: StoreId,
    key: Vec<usize>,
    key_codec: KeyCodec,
    row_codec: RowCodec,
    expiry: Option<(Expiry, SchemaRef)>,
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
            expiry: None,
        })
    }

    /// Rows expire; their schema is `schema`.
    pub fn expiring(self, expiry: Expiry, schema: SchemaRef) -> Self {
        KeepOperator { expiry: Some((expiry, schema)), ..self }
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
        let over = self.over(&batch);
        let batch = match &over {
            Some(over) => without(batch, over),
            None => batch,
        };
        let stamped: Vec<Option<Vec<u8>>> = (0..batch.len())
            .map(|i| batch.is_live(i).then(|| stamp(batch.times[i], rows.get(i))))
            .collect();
        let values: Vec<Option<&[u8]>> = stamped.iter().map(Option::as_deref).collect();
        let previous = self.previous(&keys, &values, ctx)?;
        for (i, key) in keys.iter().enumerate() {
            let time_ms = batch.times[i];
            ctx.state.put(self.store, Shape::KeyValue, key, values[i], time_ms)?;
            self.note(key, batch.is_live(i).then_some(time_ms), previous[i].as_deref(), ctx)?;
        }
        let old = decode_rows(&self.row_codec, &batch.rows, &previous)?;
        let out = Batch { old: Some(old), ..batch };
        let Some(over) = over else {
            ctx.out.push(out);
            return Ok(());
        };
        // A row that is over when it comes deletes what is there, and is late if there is nothing.
        let said: BooleanBuffer =
            (0..out.len()).map(|i| !over.value(i) || previous[i].is_some()).collect();
        *ctx.late_records += over.count_set_bits() as u64;
        ctx.out.push(out.filter(&said)?);
        Ok(())
    }

    fn expiry(&self) -> Option<&Expiry> {
        self.expiry.as_ref().map(|(expiry, _)| expiry)
    }

    fn advance(&mut self, now: i64, max: usize, ctx: &mut StepContext<'_>) -> Result<usize> {
        let Some((expiry, schema)) = &mut self.expiry else { return Ok(0) };
        let due = expiry.take(now, max, ctx.state)?;
        if due.is_empty() {
            return Ok(0);
        }
        let keys: Vec<&[u8]> = due.iter().map(|due| due.key.as_slice()).collect();
        let stored = ctx.state.get_many(self.store, Shape::KeyValue, &keys)?;
        let (mut gone, mut times, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (key, value) in keys.into_iter().zip(stored) {
            let Some(value) = value else { continue };
            let (time, _) = unstamp(&value)?;
            if !expiry.is_over(time) {
                expiry.note(time, key, ctx.state)?;
            } else if seen.insert(key) {
                let at = expiry.due(time);
                ctx.state.put(self.store, Shape::KeyValue, key, None, at)?;
                times.push(at);
                gone.push(value);
            }
        }
        if !gone.is_empty() {
            ctx.out.push(tombstones(&self.row_codec, schema, &gone, times)?);
        }
        Ok(due.len())
    }

    fn progress(&self) -> Vec<i64> {
        self.expiry.iter().map(|(expiry, _)| expiry.progress()).collect()
    }

    fn restore(&mut self, progress: &[i64]) {
        if let (Some((expiry, _)), [now]) = (&mut self.expiry, progress) {
            expiry.restore(*now);
        }
    }

    fn reset(&mut self) {
        if let Some((expiry, _)) = &mut self.expiry {
            expiry.reset();
        }
    }
}

impl KeepOperator {
    /// Live rows that are over when they come; `None`: there is none.
    fn over(&self, batch: &Batch) -> Option<BooleanBuffer> {
        let (expiry, _) = self.expiry.as_ref()?;
        let over = |i: usize| batch.is_live(i) && expiry.is_over(batch.times[i]);
        (0..batch.len()).any(over).then(|| (0..batch.len()).map(over).collect())
    }

    /// Keeps the index with a change of a row from `previous` to one of time `now`.
    fn note(
        &mut self,
        key: &[u8],
        now: Option<i64>,
        previous: Option<&[u8]>,
        ctx: &mut StepContext<'_>,
    ) -> Result<()> {
        let Some((expiry, _)) = &mut self.expiry else { return Ok(()) };
        let before = previous.map(unstamp).transpose()?.map(|(time, _)| time);
        match (before, now) {
            (Some(before), Some(now)) if now >= before => Ok(()),
            (_, Some(now)) => expiry.note(now, key, ctx.state),
            (Some(before), None) => expiry.forget(before, key, ctx.state),
            (None, None) => Ok(()),
        }
    }
}

/// The rows in `dead` do not live.
fn without(batch: Batch, dead: &BooleanBuffer) -> Batch {
    let live = match &batch.live {
        Some(live) => live & &!dead,
        None => !dead,
    };
    Batch { live: Some(live), ..batch }
}

/// Deletions of stored rows.
fn tombstones(
    codec: &RowCodec,
    schema: &SchemaRef,
    stored: &[Vec<u8>],
    times: Vec<i64>,
) -> Result<Batch> {
    let rows: Vec<&[u8]> = stored.iter().map(|row| Ok(unstamp(row)?.1)).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let columns = codec.decode(&rows)?;
    let rows = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    let live = Some(BooleanBuffer::new_unset(rows.num_rows()));
    let old = Old { rows: rows.clone(), live: BooleanBuffer::new_set(rows.num_rows()) };
    Ok(Batch { live, old: Some(old), ..Batch::new(rows, times) })
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
