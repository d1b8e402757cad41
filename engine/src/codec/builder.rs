//! Growing columns of any SQL type that can be cut back: a record that turns out bad half way
//! leaves no trace.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array,
    Float64Array, Int32Array, Int64Array, ListArray, MapArray, NullBufferBuilder, StringArray,
    StructArray, Time32MillisecondArray, TimestampMillisecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use millrace_sql::types::SqlType;

use crate::error::{EngineError, Result};

/// Rows that a new builder has room for before it grows.
const CAPACITY_INITIAL_ROWS: usize = 1024;

/// A column being built. Every row is exactly one call: `push_null`, or a push into the variant of
/// `data` followed by [`ColumnBuilder::push_valid`].
#[derive(Debug)]
pub struct ColumnBuilder {
    pub data: Data,
    ty: DataType,
    nulls: NullBufferBuilder,
}

/// Values of a [`ColumnBuilder`].
#[derive(Debug)]
pub enum Data {
    Boolean(BooleanBufferBuilder),
    /// INTEGER, DATE and TIME.
    Int32(Vec<i32>),
    /// BIGINT and TIMESTAMP.
    Int64(Vec<i64>),
    Double(Vec<f64>),
    Decimal(Vec<i128>),
    String(VarBytes),
    Bytes(VarBytes),
    /// End of each row's items in the child.
    List(Vec<i32>, Box<ColumnBuilder>),
    Map(Vec<i32>, Box<ColumnBuilder>, Box<ColumnBuilder>),
    Struct(Vec<ColumnBuilder>),
}

/// Bytes of strings one after the other, and where each ends.
#[derive(Debug, Default)]
pub struct VarBytes {
    pub data: Vec<u8>,
    /// End per row; wraps above 2 GiB, which `finish` refuses.
    pub ends: Vec<i32>,
}

impl VarBytes {
    /// Appends a row.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.end_row();
    }

    /// Ends the row whose bytes were appended to `data`.
    #[inline]
    pub fn end_row(&mut self) {
        self.ends.push(self.data.len() as i32);
    }

    fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.data.truncate(last_end(&self.ends));
    }
}

impl ColumnBuilder {
    /// An empty column of type `ty`.
    pub fn new(ty: &SqlType) -> Self {
        let data = match ty {
            SqlType::Boolean => Data::Boolean(BooleanBufferBuilder::new(CAPACITY_INITIAL_ROWS)),
            SqlType::Integer | SqlType::Date | SqlType::Time => Data::Int32(Vec::new()),
            SqlType::Bigint | SqlType::Timestamp => Data::Int64(Vec::new()),
            SqlType::Double => Data::Double(Vec::new()),
            SqlType::Decimal { .. } => Data::Decimal(Vec::new()),
            SqlType::String => Data::String(VarBytes::default()),
            SqlType::Bytes => Data::Bytes(VarBytes::default()),
            SqlType::Array(item) => Data::List(Vec::new(), Box::new(Self::new(item))),
            SqlType::Map(key, value) => {
                Data::Map(Vec::new(), Box::new(Self::new(key)), Box::new(Self::new(value)))
            }
            SqlType::Struct(fields) => {
                Data::Struct(fields.iter().map(|field| Self::new(&field.ty)).collect())
            }
        };
        let nulls = NullBufferBuilder::new(CAPACITY_INITIAL_ROWS);
        ColumnBuilder { data, ty: ty.to_arrow(), nulls }
    }

    /// Number of rows ended so far.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends a row whose value was pushed into `data`.
    #[inline]
    pub fn push_valid(&mut self) {
        self.nulls.append_non_null();
    }

    /// Appends a NULL row.
    pub fn push_null(&mut self) {
        match &mut self.data {
            Data::Boolean(bits) => bits.append(false),
            Data::Int32(values) => values.push(0),
            Data::Int64(values) => values.push(0),
            Data::Double(values) => values.push(0.0),
            Data::Decimal(values) => values.push(0),
            Data::String(bytes) | Data::Bytes(bytes) => bytes.end_row(),
            Data::List(ends, child) => ends.push(child.len() as i32),
            Data::Map(ends, keys, _) => ends.push(keys.len() as i32),
            Data::Struct(fields) => fields.iter_mut().for_each(ColumnBuilder::push_null),
        }
        self.nulls.append_null();
    }

    /// Cuts back to `len` rows, also undoing a row that was begun and not ended.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.data {
            Data::Boolean(bits) => bits.truncate(len),
            Data::Int32(values) => values.truncate(len),
            Data::Int64(values) => values.truncate(len),
            Data::Double(values) => values.truncate(len),
            Data::Decimal(values) => values.truncate(len),
            Data::String(bytes) | Data::Bytes(bytes) => bytes.truncate(len),
            Data::List(ends, child) => {
                ends.truncate(len);
                child.truncate(last_end(ends));
            }
            Data::Map(ends, keys, values) => {
                ends.truncate(len);
                keys.truncate(last_end(ends));
                values.truncate(last_end(ends));
            }
            Data::Struct(fields) => fields.iter_mut().for_each(|field| field.truncate(len)),
        }
        self.nulls.truncate(len);
    }

    /// The column; the builder is empty afterwards, with room for as many rows again.
    ///
    /// # Errors
    /// `State` when strings or items of the batch exceed what 32-bit offsets can address, or when
    /// a string is not UTF-8.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        let rows = self.len();
        let nulls = self.nulls.finish();
        Ok(match &mut self.data {
            Data::Boolean(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Data::Int32(values) => finish_int32(&self.ty, take(values), nulls),
            Data::Int64(values) => finish_int64(&self.ty, take(values), nulls),
            Data::Double(values) => Arc::new(Float64Array::new(take(values).into(), nulls)),
            Data::Decimal(values) => {
                let array = Decimal128Array::new(take(values).into(), nulls);
                Arc::new(array.with_data_type(self.ty.clone()))
            }
            Data::String(bytes) => {
                let (offsets, data) = finish_bytes(bytes)?;
                Arc::new(StringArray::try_new(offsets, data, nulls).map_err(|_| not_utf8())?)
            }
            Data::Bytes(bytes) => {
                let (offsets, data) = finish_bytes(bytes)?;
                Arc::new(BinaryArray::try_new(offsets, data, nulls)?)
            }
            Data::List(ends, child) => {
                let offsets = finish_offsets(ends, child.len())?;
                let DataType::List(item) = &self.ty else { return Err(mismatch(&self.ty)) };
                Arc::new(ListArray::try_new(item.clone(), offsets, child.finish()?, nulls)?)
            }
            Data::Map(ends, keys, values) => {
                let offsets = finish_offsets(ends, keys.len())?;
                let DataType::Map(entries, sorted) = &self.ty else {
                    return Err(mismatch(&self.ty));
                };
                let pairs = finish_entries(entries, keys, values)?;
                Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?)
            }
            Data::Struct(fields) => {
                let DataType::Struct(names) = &self.ty else { return Err(mismatch(&self.ty)) };
                finish_struct(names, fields, rows, nulls)?
            }
        })
    }
}

fn last_end(ends: &[i32]) -> usize {
    ends.last().map_or(0, |end| *end as usize)
}

fn not_utf8() -> EngineError {
    EngineError::State("corrupt bytes: a string that is not UTF-8".into())
}

fn mismatch(ty: &DataType) -> EngineError {
    EngineError::Bug(format!("a column builder does not fit its type {ty}"))
}

/// Takes the values and leaves room for as many.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next)
}

fn finish_int32(ty: &DataType, values: Vec<i32>, nulls: Option<NullBuffer>) -> ArrayRef {
    let values = ScalarBuffer::from(values);
    match ty {
        DataType::Date32 => Arc::new(Date32Array::new(values, nulls)),
        DataType::Time32(_) => Arc::new(Time32MillisecondArray::new(values, nulls)),
        _ => Arc::new(Int32Array::new(values, nulls)),
    }
}

fn finish_int64(ty: &DataType, values: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    let values = ScalarBuffer::from(values);
    match ty {
        DataType::Timestamp(..) => Arc::new(TimestampMillisecondArray::new(values, nulls)),
        _ => Arc::new(Int64Array::new(values, nulls)),
    }
}

fn finish_bytes(bytes: &mut VarBytes) -> Result<(OffsetBuffer<i32>, Buffer)> {
    let offsets = finish_offsets(&mut bytes.ends, bytes.data.len())?;
    Ok((offsets, Buffer::from(take(&mut bytes.data))))
}

/// Offsets from ends; `total` is the true length, which 32 bits may not hold.
fn finish_offsets(ends: &mut Vec<i32>, total: usize) -> Result<OffsetBuffer<i32>> {
    if i32::try_from(total).is_err() {
        let what = format!("a batch holds {total} bytes or items in one column; the limit is 2^31");
        return Err(EngineError::State(what));
    }
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.append(ends);
    Ok(OffsetBuffer::new(offsets.into()))
}

fn finish_entries(
    entries: &Arc<Field>,
    keys: &mut ColumnBuilder,
    values: &mut ColumnBuilder,
) -> Result<StructArray> {
    let DataType::Struct(names) = entries.data_type() else {
        return Err(mismatch(entries.data_type()));
    };
    Ok(StructArray::try_new(names.clone(), vec![keys.finish()?, values.finish()?], None)?)
}

fn finish_struct(
    names: &Fields,
    fields: &mut [ColumnBuilder],
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let columns = fields.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(names.clone(), columns, nulls, rows)?))
}
