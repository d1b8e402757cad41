//! Rows to the keys and values of a sink's records.

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use millrace_engine::codec::view::ColumnView;
use millrace_engine::error::{EngineError, Result};
use millrace_engine::format::{EncodedRow, EncodedRows, KeyEncoder, RowEncoder};
use millrace_sql::catalog::{
    ColumnRole, FormatKind, FormatSpec, KeyWindow, SchemaSpec, SchemaText, Source,
};
use millrace_sql::types::SqlType;

use super::avro::{AvroEncoder, Shape};
use super::json::encode::{Layout, write_object, write_value};
use super::protobuf::ProtobufEncoder;
use super::source::as_key;
use super::wire::write_head;
use super::{delimited, describe, json, kafka, refused, window};

/// Encodes rows of a sink.
#[derive(Debug)]
pub struct SinkEncoder {
    name: String,
    key: Writer,
    value: Writer,
    /// Indices of key and value columns among the sink's columns.
    key_columns: Vec<usize>,
    value_columns: Vec<usize>,
    columns: usize,
    window: Option<KeyWindow>,
}

/// Encodes keys alone.
#[derive(Debug)]
pub struct BareKeyEncoder {
    key: Writer,
}

/// Writes a key or a value in one format.
#[derive(Debug)]
enum Writer {
    JsonObject(Layout),
    /// The only column without an object around it.
    JsonSingle(Layout),
    JsonSr(u32, Layout, bool),
    /// Schema id, and whether the only column stands alone.
    Avro(u32, AvroEncoder, bool),
    /// Without an id: bare messages.
    Protobuf(Option<u32>, ProtobufEncoder),
    Delimited(char),
    Kafka,
    None,
}

impl Writer {
    fn new(format: &FormatSpec, columns: &[(&str, &SqlType)]) -> Result<Self, String> {
        match format.kind {
            FormatKind::Json => {
                columns.iter().try_for_each(|(_, ty)| json::check_type(ty))?;
                match columns {
                    [(_, ty)] if !format.wrapped => Ok(Writer::JsonSingle(Layout::of(ty))),
                    _ => Ok(Writer::JsonObject(Layout::of_object(columns.iter().copied()))),
                }
            }
            FormatKind::JsonSr => {
                columns.iter().try_for_each(|(_, ty)| json::check_type(ty))?;
                let (id, _) = registered(format, columns)?;
                Ok(match columns {
                    [(_, ty)] if !format.wrapped => {
                        Writer::JsonSr(id, Layout::of(ty).with_entries(), true)
                    }
                    _ => {
                        let layout = Layout::of_object(columns.iter().copied());
                        Writer::JsonSr(id, layout.with_entries(), false)
                    }
                })
            }
            FormatKind::Avro => {
                let (id, schema) = registered(format, columns)?;
                let single = columns.len() == 1 && !format.wrapped;
                let encoder = AvroEncoder::new(&schema, &Shape::of_columns(columns), single)?;
                Ok(Writer::Avro(id, encoder, single))
            }
            FormatKind::Protobuf | FormatKind::ProtobufNoSr => {
                let (id, schema) = registered(format, columns)?;
                let SchemaSpec { full_name, nulls, .. } = &format.schema;
                let shape = Shape::of_columns(columns);
                let encoder = ProtobufEncoder::new(&schema, full_name.as_deref(), &shape, *nulls)?;
                let id = (format.kind == FormatKind::Protobuf).then_some(id);
                Ok(Writer::Protobuf(id, encoder))
            }
            FormatKind::Delimited => {
                columns.iter().try_for_each(|(_, ty)| delimited::check_type(ty))?;
                Ok(Writer::Delimited(format.delimiter))
            }
            FormatKind::Kafka => {
                kafka::check_types(columns.iter().map(|(_, ty)| *ty))?;
                Ok(Writer::Kafka)
            }
            FormatKind::None if columns.is_empty() => Ok(Writer::None),
            FormatKind::None => Err("the NONE format has no columns".into()),
        }
    }

    /// A writer of keys: a single column stands alone.
    fn of_key(format: &FormatSpec, columns: &[(&str, &SqlType)]) -> Result<Self, String> {
        Self::new(&as_key(format), columns)
    }

    /// Appends the bytes of row `row`; false: it has none.
    ///
    /// # Errors
    /// When a value does not fit the schema that is written with.
    fn write(
        &self,
        columns: &[ColumnView<'_>],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, String> {
        match (self, columns) {
            (
                Writer::JsonSingle(_) | Writer::JsonSr(_, _, true) | Writer::Avro(_, _, true),
                [column],
            ) if column.is_null(row) => return Ok(false),
            (Writer::JsonObject(layout), columns) => write_object(layout, columns, row, out),
            (Writer::JsonSingle(layout), [column]) => write_value(layout, column, row, out),
            (Writer::JsonSr(id, layout, true), [column]) => {
                write_head(*id, out);
                write_value(layout, column, row, out);
            }
            (Writer::JsonSr(id, layout, _), columns) => {
                write_head(*id, out);
                write_object(layout, columns, row, out);
            }
            (Writer::Protobuf(id, encoder), columns) => {
                if let Some(id) = id {
                    write_head(*id, out);
                    out.extend_from_slice(encoder.path());
                }
                encoder.write(columns, row, out)?;
            }
            (Writer::Avro(id, encoder, true), [column]) => {
                write_head(*id, out);
                encoder.write_single(column, row, out)?;
            }
            (Writer::Avro(id, encoder, _), columns) => {
                write_head(*id, out);
                encoder.write(columns, row, out)?;
            }
            (Writer::Delimited(delimiter), columns) => {
                delimited::write_line(columns, *delimiter, row, out);
            }
            (Writer::Kafka, [column]) => return Ok(kafka::write_value(column, row, out)),
            (Writer::JsonSingle(_) | Writer::Kafka | Writer::None, _) => return Ok(false),
        }
        Ok(true)
    }

    /// As [`Writer::write`]; a key whose only column is NULL is absent.
    fn write_key(
        &self,
        columns: &[ColumnView<'_>],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, String> {
        match columns {
            [] => Ok(false),
            [column] if column.is_null(row) => Ok(false),
            _ => self.write(columns, row, out),
        }
    }
}

/// The schema that is written with. Internal topics have one that nobody else reads; it has no id.
fn registered(
    format: &FormatSpec,
    columns: &[(&str, &SqlType)],
) -> Result<(u32, SchemaText), String> {
    if let Some(registered) = &format.schema.registered {
        return Ok((registered.id, registered.schema.clone()));
    }
    let own = |(name, ty): &(&str, &SqlType)| (name.to_string(), (*ty).clone());
    let columns: Vec<_> = columns.iter().map(own).collect();
    Ok((0, describe(format, &columns)?))
}

impl SinkEncoder {
    /// # Errors
    /// `User` when a format cannot hold the sink's columns.
    pub fn new(sink: &Source) -> Result<Self> {
        let refuse = |what| refused(&sink.name, what);
        let of_role = |role: ColumnRole| -> Vec<usize> {
            let columns = sink.columns.iter().enumerate();
            columns.filter(|(_, column)| column.role == role).map(|(i, _)| i).collect()
        };
        let (key_columns, value_columns) = (of_role(ColumnRole::Key), of_role(ColumnRole::Value));
        let columns = sink.columns.len();
        if key_columns.len() + value_columns.len() != columns {
            return Err(refuse("header columns cannot be written".into()));
        }
        let named = |indices: &[usize]| -> Vec<(&str, &SqlType)> {
            let columns = indices.iter().map(|i| &sink.columns[*i]);
            columns.map(|column| (column.name.as_str(), &column.ty)).collect()
        };
        let key = Writer::of_key(&sink.key_format, &named(&key_columns)).map_err(refuse)?;
        let value = Writer::new(&sink.value_format, &named(&value_columns)).map_err(refuse)?;
        let (name, window) = (sink.name.clone(), sink.window);
        Ok(SinkEncoder { name, key, value, key_columns, value_columns, columns, window })
    }

    /// Appends the key of row `row`, with its window.
    fn write_key(
        &self,
        keys: &[ColumnView<'_>],
        bounds: &[ColumnView<'_>],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, String> {
        let start = out.len();
        if !self.key.write_key(keys, row, out)? {
            return Ok(None);
        }
        let inner_len = out.len() - start;
        if let Some(window) = self.window {
            let [ColumnView::Int64(starts), ColumnView::Int64(ends)] = bounds else {
                return Err("the bounds of its window are no numbers".into());
            };
            match (starts.get(row), ends.get(row)) {
                (Some(start_ms), Some(end_ms)) => window::write(window, start_ms, end_ms, out),
                _ => return Err("a bound of its window is NULL".into()),
            }
        }
        Ok(Some(inner_len))
    }
}

impl RowEncoder for SinkEncoder {
    fn encode(
        &mut self,
        rows: &RecordBatch,
        live: Option<&BooleanBuffer>,
        out: &mut EncodedRows,
    ) -> Result<()> {
        let want = self.columns + if self.window.is_some() { 2 } else { 0 };
        if rows.num_columns() != want {
            let (name, got) = (&self.name, rows.num_columns());
            return Err(EngineError::Bug(format!("{got} columns for sink {name}, not {want}")));
        }
        let views = rows.columns().iter().map(|column| ColumnView::new(column.as_ref()));
        let views = views.collect::<Result<Vec<_>>>()?;
        let pick =
            |indices: &[usize]| -> Vec<_> { indices.iter().map(|i| views[*i].clone()).collect() };
        let (keys, values) = (pick(&self.key_columns), pick(&self.value_columns));
        let bounds = &views[self.columns..];
        out.rows.reserve(rows.num_rows());
        for row in 0..rows.num_rows() {
            let start = out.data.len();
            let inner_key_len = match self.write_key(&keys, bounds, row, &mut out.data) {
                Ok(len) => len,
                Err(why) => {
                    out.data.truncate(start);
                    out.errors.push((row, format!("the key cannot be written: {why}")));
                    continue;
                }
            };
            let middle = out.data.len();
            let is_live = live.is_none_or(|live| live.value(row));
            let has_value = match is_live.then(|| self.value.write(&values, row, &mut out.data)) {
                None => false,
                Some(Ok(has_value)) => has_value,
                Some(Err(why)) => {
                    out.data.truncate(start);
                    out.errors.push((row, format!("the value cannot be written: {why}")));
                    continue;
                }
            };
            let end = out.data.len();
            out.rows.push(EncodedRow {
                row: row as u32,
                key: inner_key_len.map(|_| start..middle),
                inner_key_len: inner_key_len.unwrap_or(0),
                value: has_value.then_some(middle..end),
            });
        }
        Ok(())
    }
}

impl BareKeyEncoder {
    /// # Errors
    /// `User` when the format cannot hold the columns.
    pub fn new(format: &FormatSpec, columns: &[(String, SqlType)]) -> Result<Self> {
        let columns: Vec<_> = columns.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let key = Writer::of_key(format, &columns).map_err(|what| refused("key", what))?;
        Ok(BareKeyEncoder { key })
    }
}

impl KeyEncoder for BareKeyEncoder {
    fn encode_keys(&mut self, key: &RecordBatch, out: &mut EncodedRows) -> Result<()> {
        let views = key.columns().iter().map(|column| ColumnView::new(column.as_ref()));
        let views = views.collect::<Result<Vec<_>>>()?;
        for row in 0..key.num_rows() {
            let start = out.data.len();
            let present = match self.key.write_key(&views, row, &mut out.data) {
                Ok(present) => present,
                Err(why) => {
                    out.data.truncate(start);
                    out.errors.push((row, format!("the key cannot be written: {why}")));
                    continue;
                }
            };
            let end = out.data.len();
            out.rows.push(EncodedRow {
                row: row as u32,
                key: present.then_some(start..end),
                inner_key_len: end - start,
                value: None,
            });
        }
        Ok(())
    }
}
