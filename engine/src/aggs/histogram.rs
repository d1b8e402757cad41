//! HISTOGRAM: how often each text occurs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, MapArray, StringArray, StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use millrace_sql::types::SqlType;

use super::bytes::{Reader, corrupt, put_bytes, put_i64, put_u64};
use super::kernel::Kernel;
use super::number::first;
use crate::error::{EngineError, Result};

/// Texts that are counted per group; later ones are ignored, as in ksqlDB.
const HISTOGRAM_TEXTS_MAX: usize = 1000;

/// Texts to counts. NULL counts as the text `null`, which is what formats make of it as a key.
pub(super) struct Histogram;

type Counts = BTreeMap<Box<str>, i64>;

fn add(cell: &mut Counts, text: &str, count: i64) {
    if let Some(known) = cell.get_mut(text) {
        *known += count;
    } else if cell.len() < HISTOGRAM_TEXTS_MAX {
        cell.insert(text.into(), count);
    }
}

fn text(input: &StringArray, row: usize) -> &str {
    if input.is_null(row) { "null" } else { input.value(row) }
}

/// Maps being built.
pub(super) struct Maps {
    keys: StringBuilder,
    values: Vec<i64>,
    lengths: Vec<usize>,
}

impl Kernel for Histogram {
    type Cell = Counts;
    type Input = StringArray;
    type Out = Maps;
    const FORMAT: u8 = 0x71;

    fn bind(&self, args: &[ArrayRef]) -> Result<StringArray> {
        let texts = first(args)?.as_string_opt::<i32>().cloned();
        texts.ok_or_else(|| EngineError::Bug("HISTOGRAM was given no STRING".into()))
    }
    fn add(&self, cell: &mut Counts, input: &StringArray, row: usize, _: i64) -> Result<()> {
        add(cell, text(input, row), 1);
        Ok(())
    }
    fn undo(&self, cell: &mut Counts, input: &StringArray, row: usize) -> Result<()> {
        let text = text(input, row);
        if let Some(count) = cell.get_mut(text) {
            *count -= 1;
            if *count < 1 {
                cell.remove(text);
            }
        }
        Ok(())
    }
    fn merge(&self, into: &mut Counts, from: Counts) -> Result<()> {
        from.iter().for_each(|(text, count)| add(into, text, *count));
        Ok(())
    }
    fn out(&self, rows: usize) -> Maps {
        let lengths = Vec::with_capacity(rows);
        Maps { keys: StringBuilder::new(), values: Vec::new(), lengths }
    }
    fn emit(&self, cell: &Counts, out: &mut Maps) {
        for (text, count) in cell {
            out.keys.append_value(text);
            out.values.push(*count);
        }
        out.lengths.push(cell.len());
    }
    fn finish(&self, mut out: Maps) -> Result<ArrayRef> {
        let ty = SqlType::Map(Box::new(SqlType::String), Box::new(SqlType::Bigint));
        let DataType::Map(entry, _) = ty.to_arrow() else {
            return Err(EngineError::Bug("a MAP has another type".into()));
        };
        let DataType::Struct(fields) = entry.data_type() else {
            return Err(EngineError::Bug("a MAP has no entries".into()));
        };
        let columns: Vec<ArrayRef> =
            vec![Arc::new(out.keys.finish()), Arc::new(Int64Array::from(out.values))];
        let entries = StructArray::try_new(fields.clone(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(out.lengths);
        Ok(Arc::new(MapArray::try_new(entry, offsets, entries, None, false)?))
    }
    fn save(&self, cell: &Counts, out: &mut Vec<u8>) {
        put_u64(cell.len() as u64, out);
        for (text, count) in cell {
            put_bytes(text.as_bytes(), out);
            put_i64(*count, out);
        }
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Counts> {
        let count = from.count()?;
        let entry = |_| {
            let text = std::str::from_utf8(from.bytes()?);
            let text = text.map_err(|_| corrupt("a text is not UTF-8"))?;
            Ok((text.into(), from.i64()?))
        };
        (0..count).map(entry).collect()
    }
    fn heap_bytes(&self, cell: &Counts) -> usize {
        // Keys, their lengths, counts, and about as much for the tree.
        cell.len() * 48 + cell.keys().map(|text| text.len()).sum::<usize>()
    }
}
