//! Whole records of a source: key, value, window, headers, pseudo columns and event time.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatchOptions;
use arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute;
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef};
use millrace_engine::error::{EngineError, Result};
use millrace_engine::format::{Decoded, Reject, RejectKind, RowDecoder};
use millrace_engine::log::RawBatch;
use millrace_sql::catalog::{ColumnRole, FormatSpec, KeyWindow, Source, SourceKind, pseudo};
use millrace_sql::plan::ScanColumn;

use super::columns::{Columns, Field};
use super::event_time::EventTime;
use super::headers::HeaderColumn;
use super::schemas::{Readiness, Schemas};
use super::{refused, window};

/// Decodes records of one source to the columns that a plan reads.
pub struct SourceDecoder {
    schema: SchemaRef,
    outputs: Vec<Output>,
    keys: Columns,
    values: Columns,
    headers: Vec<HeaderColumn>,
    window: Option<KeyWindow>,
    /// Rows are told apart by their keys.
    table: bool,
    event_time: EventTime,
    /// Where the column of event time is decoded.
    time_place: Option<Place>,
}

/// Where a declared column comes from; indices among columns of that kind.
#[derive(Debug, Clone, Copy)]
enum Place {
    Key(usize),
    Value(usize),
    Header(usize),
}

/// A column handed out.
#[derive(Debug, Clone, Copy)]
enum Output {
    Declared(Place),
    Rowtime,
    Partition,
    Offset,
    WindowStart,
    WindowEnd,
}

/// Rows of the batch being decoded, beside the columns.
#[derive(Default)]
struct Rows {
    origin: Vec<u32>,
    times: Vec<i64>,
    live: Vec<bool>,
    starts: Vec<Option<i64>>,
    ends: Vec<Option<i64>>,
    rejects: Vec<Reject>,
}

impl SourceDecoder {
    /// # Errors
    /// `User` when a format cannot hold the source's columns.
    pub fn new(source: &Source, columns: &[ScanColumn], schemas: &Schemas) -> Result<Self> {
        let refuse = |what| refused(&source.name, what);
        let event_time = EventTime::new(source).map_err(refuse)?;
        let is_wanted =
            |i| columns.contains(&ScanColumn::Declared(i)) || event_time.declared() == Some(i);
        let (mut keys, mut values, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::new();
        for (i, column) in source.columns.iter().enumerate() {
            let field = |wanted| Field { name: column.name.clone(), ty: column.ty.clone(), wanted };
            places.push(match &column.role {
                ColumnRole::Key => {
                    keys.push(field(true));
                    Place::Key(keys.len() - 1)
                }
                ColumnRole::Value => {
                    values.push(field(is_wanted(i)));
                    Place::Value(values.len() - 1)
                }
                ColumnRole::Headers(name) => {
                    let header = HeaderColumn::new(name.clone(), &column.ty);
                    headers.push(header.map_err(refuse)?);
                    Place::Header(headers.len() - 1)
                }
            });
        }
        let key_format = as_key(&source.key_format);
        let keys = Columns::new(&key_format, keys, schemas.clone()).map_err(refuse)?;
        let values = Columns::new(&source.value_format, values, schemas.clone());
        let values = values.map_err(refuse)?;
        let (schema, outputs) = outputs(source, columns, &places)?;
        let time_place = event_time.declared().and_then(|i| places.get(i).copied());
        let window = source.window;
        if !outputs.iter().any(|o| matches!(o, Output::Declared(Place::Header(_)))) {
            headers.clear();
        }
        let decoder = SourceDecoder {
            schema,
            outputs,
            keys,
            values,
            headers,
            window,
            table: source.kind == SourceKind::Table,
            event_time,
            time_place,
        };
        Ok(decoder)
    }

    /// Decodes key and value of record `i` as the next row.
    fn push(
        &mut self,
        raw: &RawBatch,
        i: usize,
        rows: &mut Rows,
    ) -> Result<(), (RejectKind, String)> {
        let row = rows.origin.len();
        let (mut key, mut start, mut end) = (raw.key(i), None, None);
        if key.is_none() && self.table {
            let reason = "a record without a key says nothing about a table's row".to_owned();
            return Err((RejectKind::DeserializeKey, reason));
        }
        if let (Some(window), Some(bytes)) = (self.window, key) {
            let split = window::split(window, bytes);
            let split = split.map_err(|reason| (RejectKind::DeserializeKey, reason))?;
            (key, start, end) = (Some(split.inner), Some(split.start_ms), Some(split.end_ms));
        }
        match key {
            Some(bytes) => {
                self.keys.push(bytes).map_err(|reason| (RejectKind::DeserializeKey, reason))?;
            }
            None => self.keys.push_null(),
        }
        let live = match raw.value(i) {
            Some(bytes) => self.values.push(bytes).map_err(|reason| {
                self.keys.truncate(row);
                (RejectKind::DeserializeValue, reason)
            })?,
            None => {
                self.values.push_null();
                false
            }
        };
        if !self.headers.is_empty() {
            let headers = raw.headers(i);
            self.headers.iter_mut().for_each(|column| column.push(&headers));
        }
        rows.origin.push(i as u32);
        rows.times.push(raw.records[i].timestamp.0);
        rows.live.push(live);
        if self.window.is_some() {
            rows.starts.push(start);
            rows.ends.push(end);
        }
        Ok(())
    }

    /// The asked columns, and what rows have no usable time.
    fn finish(&mut self, raw: &RawBatch, rows: &mut Rows) -> Result<(RecordBatch, Vec<usize>)> {
        let keys = self.keys.finish()?;
        let values = self.values.finish()?;
        let headers = self.headers.iter_mut().map(HeaderColumn::finish);
        let headers = headers.collect::<Result<Vec<_>>>()?;
        let decoded = |place: Place| match place {
            Place::Key(i) => keys.get(i).cloned().flatten(),
            Place::Value(i) => values.get(i).cloned().flatten(),
            Place::Header(i) => headers.get(i).cloned(),
        };
        let mut timeless = Vec::new();
        let time_column = self.time_place.and_then(decoded);
        let (live, origin, rejects) = (&rows.live, &rows.origin, &mut rows.rejects);
        let reject = |row: usize, reason| {
            timeless.push(row);
            let what = RejectKind::Processing;
            rejects.push(Reject { record: origin[row], what, reason });
        };
        self.event_time.extract(time_column.as_ref(), |row| live[row], &mut rows.times, reject)?;
        let missing = || EngineError::Bug("a column of the scan was not decoded".into());
        let column = |output: &Output| -> Result<ArrayRef> {
            Ok(match output {
                Output::Declared(place) => decoded(*place).ok_or_else(missing)?,
                Output::Rowtime => Arc::new(Int64Array::from(rows.times.clone())),
                Output::Partition => {
                    let partition = raw.tp.partition.0 as i32;
                    Arc::new(Int32Array::from_value(partition, rows.origin.len()))
                }
                Output::Offset => {
                    let offsets = rows.origin.iter().map(|i| raw.records[*i as usize].offset.0);
                    Arc::new(Int64Array::from_iter_values(offsets))
                }
                Output::WindowStart => Arc::new(Int64Array::from(rows.starts.clone())),
                Output::WindowEnd => Arc::new(Int64Array::from(rows.ends.clone())),
            })
        };
        let columns = self.outputs.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.origin.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        Ok((batch, timeless))
    }
}

impl RowDecoder for SourceDecoder {
    fn decode(&mut self, raw: &RawBatch, range: Range<usize>) -> Result<Decoded> {
        self.keys.truncate(0);
        self.values.truncate(0);
        let mut rows = Rows::default();
        rows.origin.reserve(range.len());
        rows.times.reserve(range.len());
        rows.live.reserve(range.len());
        for i in range.start..range.end.min(raw.records.len()) {
            if let Err((what, reason)) = self.push(raw, i, &mut rows) {
                rows.rejects.push(Reject { record: i as u32, what, reason });
            }
        }
        let (batch, timeless) = self.finish(raw, &mut rows)?;
        let live = if rows.live.contains(&false) {
            Some(BooleanBuffer::from(rows.live.as_slice()))
        } else {
            None
        };
        let Rows { origin, times, rejects, .. } = rows;
        let decoded = Decoded { rows: batch, times, live, origin, rejects };
        if timeless.is_empty() { Ok(decoded) } else { without(decoded, &timeless) }
    }

    fn ready(&mut self, raw: &RawBatch, range: Range<usize>) -> usize {
        let (keys, values) = (self.keys.has_ids(), self.values.has_ids());
        if !keys && !values {
            return range.end;
        }
        let window = self.window;
        let inner = |bytes| match window {
            Some(window) => window::split(window, bytes).map_or(bytes, |split| split.inner),
            None => bytes,
        };
        let mut here = |i: &usize| {
            let key = raw.key(*i).filter(|_| keys).map(inner);
            let value = raw.value(*i).filter(|_| values);
            key.is_none_or(|bytes| self.keys.ready(bytes) == Readiness::Ready)
                && value.is_none_or(|bytes| self.values.ready(bytes) == Readiness::Ready)
        };
        range.clone().find(|i| !here(i)).unwrap_or(range.end)
    }
}

/// The format of keys: a single column stands alone where the format can do that.
pub fn as_key(format: &FormatSpec) -> FormatSpec {
    FormatSpec { wrapped: format.kind.always_wrapped(), ..format.clone() }
}

/// Drops rows; they are in the rejects already.
fn without(mut decoded: Decoded, dropped: &[usize]) -> Result<Decoded> {
    let mut keep = vec![true; decoded.origin.len()];
    dropped.iter().for_each(|row| keep[*row] = false);
    let kept = |i: &usize| keep[*i];
    let indices: Vec<usize> = (0..keep.len()).filter(kept).collect();
    decoded.times = indices.iter().map(|i| decoded.times[*i]).collect();
    decoded.origin = indices.iter().map(|i| decoded.origin[*i]).collect();
    decoded.live = decoded.live.map(|live| indices.iter().map(|i| live.value(*i)).collect());
    decoded.rows = compute::filter_record_batch(&decoded.rows, &BooleanArray::from(keep))?;
    decoded.rejects.sort_by_key(|reject| reject.record);
    Ok(decoded)
}

/// Schema and origin of the columns handed out.
fn outputs(
    source: &Source,
    columns: &[ScanColumn],
    places: &[Place],
) -> Result<(SchemaRef, Vec<Output>)> {
    let mut fields = Vec::new();
    let mut outputs = Vec::new();
    for column in columns {
        let (output, name, ty) = match column {
            ScanColumn::Declared(i) => {
                let unknown = || EngineError::Bug(format!("{} has no column {i}", source.name));
                let column = source.columns.get(*i).ok_or_else(unknown)?;
                (Output::Declared(places[*i]), column.name.as_str(), column.ty.to_arrow())
            }
            ScanColumn::Rowtime => (Output::Rowtime, pseudo::ROWTIME, DataType::Int64),
            ScanColumn::Rowpartition => (Output::Partition, pseudo::ROWPARTITION, DataType::Int32),
            ScanColumn::Rowoffset => (Output::Offset, pseudo::ROWOFFSET, DataType::Int64),
            ScanColumn::WindowStart | ScanColumn::WindowEnd if source.window.is_none() => {
                let what = format!("{} has no windowed key", source.name);
                return Err(EngineError::Bug(what));
            }
            ScanColumn::WindowStart => (Output::WindowStart, pseudo::WINDOWSTART, DataType::Int64),
            ScanColumn::WindowEnd => (Output::WindowEnd, pseudo::WINDOWEND, DataType::Int64),
        };
        outputs.push(output);
        fields.push(ArrowField::new(name, ty, true));
    }
    Ok((Arc::new(Schema::new(fields)), outputs))
}
