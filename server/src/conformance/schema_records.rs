//! Test values of formats with schemas: a value is read as the JSON of the source's columns, and
//! written as the source writes its own rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field, Schema};
use millrace_engine::format::{EncodedRows, Formats};
use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{RawBatch, Record, RecordRef};
use millrace_sql::catalog::{Column, ColumnRole, FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::plan::ScanColumn;
use serde_json::Value;

use super::case::TestRecord;
use super::records::{Actual, ActualRecord, TopicSerde, from_json};
use crate::rows::write_value;

/// Keys and values of a topic in any format.
pub struct AnySerde<'a> {
    formats: &'a dyn Formats,
    source: &'a Source,
    /// Of the sides without schemas.
    plain: TopicSerde,
}

/// Bytes of a key and of a value.
type Written = (Option<Vec<u8>>, Option<Vec<u8>>);

fn has_schema(format: &FormatSpec) -> bool {
    format.kind.schema_kind().is_some()
}

impl<'a> AnySerde<'a> {
    pub fn new(formats: &'a dyn Formats, source: &'a Source) -> Self {
        let mut others = source.clone();
        for format in [&mut others.key_format, &mut others.value_format] {
            if has_schema(format) {
                *format = FormatSpec::new(FormatKind::None, true);
            }
        }
        AnySerde { formats, source, plain: TopicSerde::of(&others, true) }
    }

    fn has_schemas(&self) -> bool {
        has_schema(&self.source.key_format) || has_schema(&self.source.value_format)
    }

    /// The bytes of an input.
    ///
    /// # Errors
    /// A value that its format cannot hold.
    pub fn encode(&self, record: &TestRecord) -> Result<Record, String> {
        let mut out = match has_schema(&self.source.key_format) {
            // The window belongs to the key.
            true => self.plain.encode(&TestRecord { window: None, ..record.clone() }),
            false => self.plain.encode(record),
        }?;
        if !self.has_schemas() {
            return Ok(out);
        }
        let key = self.columns(ColumnRole::Key, &self.source.key_format, &record.key)?;
        let value = self.columns(ColumnRole::Value, &self.source.value_format, &record.value)?;
        let written = self.write(record, key, value)?;
        if has_schema(&self.source.key_format) {
            out.key = written.0;
        }
        if has_schema(&self.source.value_format) {
            out.value = written.1;
        }
        Ok(out)
    }

    /// The columns of one side, read from JSON.
    fn columns(
        &self,
        role: ColumnRole,
        format: &FormatSpec,
        value: &Value,
    ) -> Result<Vec<ArrayRef>, String> {
        let wanted: Vec<Column> =
            self.source.columns.iter().filter(|c| c.role == role).cloned().collect();
        if value.is_null() || !has_schema(format) {
            return Ok(wanted.iter().map(|c| new_null_array(&c.ty.to_arrow(), 1)).collect());
        }
        let bare = wanted.len() == 1 && !format.wrapped && !format.kind.always_wrapped();
        let key_alone = role == ColumnRole::Key && wanted.len() == 1;
        let bare = bare || key_alone && !format.kind.always_wrapped();
        let columns = wanted.into_iter().map(|c| Column { role: ColumnRole::Value, ..c });
        let source = Source {
            // A table's rows have keys.
            kind: SourceKind::Stream,
            columns: columns.collect(),
            key_format: FormatSpec::new(FormatKind::None, true),
            value_format: FormatSpec::new(FormatKind::Json, !bare),
            window: None,
            timestamp: None,
            ..self.source.clone()
        };
        let rows = self.decoded(&source, None, Some(value.to_string().as_bytes()))?;
        Ok(rows.columns().to_vec())
    }

    fn decoded(
        &self,
        source: &Source,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<RecordBatch, String> {
        let all: Vec<ScanColumn> = (0..source.columns.len()).map(ScanColumn::Declared).collect();
        let decoder = self.formats.decoder(source, &all);
        let mut batch = RawBatch::new(Tp::new(TopicId(0), 0));
        let record = RecordRef { timestamp: Timestamp(0), key, value, headers: &[] };
        batch.push(Offset(0), &record);
        let decoded = decoder.and_then(|mut decoder| decoder.decode(&batch, 0..1));
        let decoded = decoded.map_err(|e| e.to_string())?;
        match decoded.rejects.first() {
            Some(reject) => Err(reject.reason.clone()),
            None => Ok(decoded.rows),
        }
    }

    /// Key and value as the source's own encoder writes them.
    fn write(
        &self,
        record: &TestRecord,
        key: Vec<ArrayRef>,
        value: Vec<ArrayRef>,
    ) -> Result<Written, String> {
        let (mut key, mut value) = (key.into_iter(), value.into_iter());
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        let mut source = self.source.clone();
        source.columns.retain(|column| !matches!(column.role, ColumnRole::Headers(_)));
        for column in &source.columns {
            let ty = column.ty.to_arrow();
            let array = if column.role == ColumnRole::Key { key.next() } else { value.next() };
            arrays.push(array.unwrap_or_else(|| new_null_array(&ty, 1)));
            fields.push(Field::new(&column.name, ty, true));
        }
        if self.source.window.is_some() {
            let window = record.window.ok_or("the key of a windowed topic has no window")?;
            for (name, at) in [("WINDOWSTART", window.start), ("WINDOWEND", window.end)] {
                arrays.push(Arc::new(Int64Array::from(vec![at])));
                fields.push(Field::new(name, arrow::datatypes::DataType::Int64, true));
            }
        }
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
        let rows = rows.map_err(|e| e.to_string())?;
        let live = BooleanBuffer::from_iter([!record.value.is_null()]);
        let mut out = EncodedRows::default();
        let encoder = self.formats.encoder(&source);
        let encoded = encoder.and_then(|mut e| e.encode(&rows, Some(&live), &mut out));
        encoded.map_err(|e| e.to_string())?;
        if let Some((_, why)) = out.errors.first() {
            return Err(why.clone());
        }
        let row = out.rows.first().ok_or("the row was not written")?;
        let bytes = |range: &Option<std::ops::Range<usize>>| {
            range.clone().map(|range| out.data[range].to_vec())
        };
        Ok((bytes(&row.key), bytes(&row.value)))
    }

    /// What a record says.
    ///
    /// # Errors
    /// Bytes that the format does not read.
    pub fn decode(&self, record: &Record) -> Result<ActualRecord, String> {
        let mut actual = self.plain.decode(record)?;
        if !self.has_schemas() {
            return Ok(actual);
        }
        let rows = self.decoded(self.source, record.key.as_deref(), record.value.as_deref())?;
        if has_schema(&self.source.key_format) {
            let present = record.key.is_some();
            actual.key = self.side(&rows, ColumnRole::Key, &self.source.key_format, present)?;
        }
        if has_schema(&self.source.value_format) {
            let present = record.value.is_some();
            actual.value =
                self.side(&rows, ColumnRole::Value, &self.source.value_format, present)?;
        }
        Ok(actual)
    }

    fn side(
        &self,
        rows: &RecordBatch,
        role: ColumnRole,
        format: &FormatSpec,
        present: bool,
    ) -> Result<Actual, String> {
        if !present {
            return Ok(Actual::Null);
        }
        let mut fields = Vec::new();
        for (column, array) in self.source.columns.iter().zip(rows.columns()) {
            if column.role == role {
                fields.push((column.name.clone(), actual(array)?));
            }
        }
        let alone = fields.len() == 1 && !format.kind.always_wrapped();
        match (alone && (role == ColumnRole::Key || !format.wrapped), fields.pop()) {
            (true, Some((_, only))) => Ok(only),
            (_, last) => {
                fields.extend(last);
                Ok(Actual::Map(fields))
            }
        }
    }
}

fn actual(array: &dyn Array) -> Result<Actual, String> {
    let mut text = Vec::new();
    write_value(&mut text, array, 0, true);
    let value: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    Ok(from_json(&value, false))
}
