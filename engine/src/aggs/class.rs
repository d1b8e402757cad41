//! Classes of values: what MIN, MAX and the offset functions need of a type.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array,
    make_array,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use millrace_sql::types::SqlType;

use super::bytes::{Reader, put_bytes, put_i64};
use crate::codec::key::{KeyBuffer, KeyCodec};
use crate::error::{EngineError, Result};

/// Values that are held in one way.
pub(super) trait Class: Send {
    type Item: Send;
    type Input;
    type Out;
    /// Distinguishes saved forms.
    const CODE: u8;

    fn bind(&self, array: &ArrayRef) -> Result<Self::Input>;
    fn is_null(input: &Self::Input, row: usize) -> bool;
    /// The value of a row that is not NULL.
    fn item(input: &Self::Input, row: usize) -> Self::Item;
    /// How a row's value compares with `item`, by Java's `compareTo`.
    fn order(input: &Self::Input, row: usize, item: &Self::Item) -> Ordering;
    fn compare(a: &Self::Item, b: &Self::Item) -> Ordering;
    fn out(&self, rows: usize) -> Self::Out;
    fn push(out: &mut Self::Out, item: Option<&Self::Item>);
    fn finish(&self, out: Self::Out) -> Result<ArrayRef>;
    fn save(item: &Self::Item, out: &mut Vec<u8>);
    fn load(from: &mut Reader<'_>) -> Result<Self::Item>;
    fn heap_bytes(item: &Self::Item) -> usize {
        let _ = item;
        0
    }
}

/// A column of one native type.
pub(super) struct Column<T> {
    pub values: T,
    pub nulls: Option<NullBuffer>,
}

impl<T> Column<T> {
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

/// Optional values that become a column.
pub(super) struct Optional<T> {
    values: Vec<T>,
    valid: Vec<bool>,
}

impl<T: Copy + Default> Optional<T> {
    fn with_capacity(rows: usize) -> Self {
        Optional { values: Vec::with_capacity(rows), valid: Vec::with_capacity(rows) }
    }

    #[inline]
    fn push(&mut self, value: Option<&T>) {
        self.values.push(value.copied().unwrap_or_default());
        self.valid.push(value.is_some());
    }

    fn nulls(&self) -> Option<NullBuffer> {
        let nulls = NullBuffer::from(self.valid.as_slice());
        (nulls.null_count() > 0).then_some(nulls)
    }
}

/// BOOLEAN, INTEGER, BIGINT, DATE, TIME and TIMESTAMP as 64-bit numbers.
pub(super) struct Ints(pub SqlType);

impl Class for Ints {
    type Item = i64;
    type Input = Column<ScalarBuffer<i64>>;
    type Out = Optional<i64>;
    const CODE: u8 = 0;

    fn bind(&self, array: &ArrayRef) -> Result<Self::Input> {
        ints(array)
    }
    #[inline]
    fn is_null(input: &Self::Input, row: usize) -> bool {
        input.is_null(row)
    }
    #[inline]
    fn item(input: &Self::Input, row: usize) -> i64 {
        input.values[row]
    }
    #[inline]
    fn order(input: &Self::Input, row: usize, item: &i64) -> Ordering {
        input.values[row].cmp(item)
    }
    fn compare(a: &i64, b: &i64) -> Ordering {
        a.cmp(b)
    }
    fn out(&self, rows: usize) -> Self::Out {
        Optional::with_capacity(rows)
    }
    #[inline]
    fn push(out: &mut Self::Out, item: Option<&i64>) {
        out.push(item);
    }
    fn finish(&self, out: Self::Out) -> Result<ArrayRef> {
        let nulls = out.nulls();
        from_ints(&self.0, out.values, nulls)
    }
    fn save(item: &i64, out: &mut Vec<u8>) {
        put_i64(*item, out);
    }
    fn load(from: &mut Reader<'_>) -> Result<i64> {
        from.i64()
    }
}

/// DOUBLE.
pub(super) struct Doubles;

impl Class for Doubles {
    type Item = f64;
    type Input = Column<ScalarBuffer<f64>>;
    type Out = Optional<f64>;
    const CODE: u8 = 1;

    fn bind(&self, array: &ArrayRef) -> Result<Self::Input> {
        doubles(array)
    }
    #[inline]
    fn is_null(input: &Self::Input, row: usize) -> bool {
        input.is_null(row)
    }
    #[inline]
    fn item(input: &Self::Input, row: usize) -> f64 {
        input.values[row]
    }
    #[inline]
    fn order(input: &Self::Input, row: usize, item: &f64) -> Ordering {
        Self::compare(&input.values[row], item)
    }
    /// `Double.compareTo`: NaN is above all, -0.0 below 0.0.
    #[inline]
    fn compare(a: &f64, b: &f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (false, false) => a.total_cmp(b),
            (a, b) => a.cmp(&b),
        }
    }
    fn out(&self, rows: usize) -> Self::Out {
        Optional::with_capacity(rows)
    }
    #[inline]
    fn push(out: &mut Self::Out, item: Option<&f64>) {
        out.push(item);
    }
    fn finish(&self, out: Self::Out) -> Result<ArrayRef> {
        let nulls = out.nulls();
        Ok(Arc::new(Float64Array::new(out.values.into(), nulls)))
    }
    fn save(item: &f64, out: &mut Vec<u8>) {
        out.extend_from_slice(&item.to_le_bytes());
    }
    fn load(from: &mut Reader<'_>) -> Result<f64> {
        Ok(f64::from_le_bytes(from.array()?))
    }
}

/// DECIMAL of one precision and scale, unscaled.
pub(super) struct Decimals {
    pub precision: u8,
    pub scale: u8,
}

impl Class for Decimals {
    type Item = i128;
    type Input = Column<ScalarBuffer<i128>>;
    type Out = Optional<i128>;
    const CODE: u8 = 2;

    fn bind(&self, array: &ArrayRef) -> Result<Self::Input> {
        decimals(array)
    }
    #[inline]
    fn is_null(input: &Self::Input, row: usize) -> bool {
        input.is_null(row)
    }
    #[inline]
    fn item(input: &Self::Input, row: usize) -> i128 {
        input.values[row]
    }
    #[inline]
    fn order(input: &Self::Input, row: usize, item: &i128) -> Ordering {
        input.values[row].cmp(item)
    }
    fn compare(a: &i128, b: &i128) -> Ordering {
        a.cmp(b)
    }
    fn out(&self, rows: usize) -> Self::Out {
        Optional::with_capacity(rows)
    }
    #[inline]
    fn push(out: &mut Self::Out, item: Option<&i128>) {
        out.push(item);
    }
    fn finish(&self, out: Self::Out) -> Result<ArrayRef> {
        let nulls = out.nulls();
        from_decimals(self.precision, self.scale, out.values, nulls)
    }
    fn save(item: &i128, out: &mut Vec<u8>) {
        out.extend_from_slice(&item.to_le_bytes());
    }
    fn load(from: &mut Reader<'_>) -> Result<i128> {
        Ok(i128::from_le_bytes(from.array()?))
    }
}

/// Everything else, as the key codec's bytes: their order is the values' order, and equal values
/// have equal bytes. Strings compare by code point.
pub(super) struct Encoded(pub KeyCodec);

impl Encoded {
    pub fn new(ty: &SqlType) -> Self {
        Encoded(KeyCodec::new(std::slice::from_ref(ty)))
    }

    /// Encoded values of a column, with its NULLs.
    pub fn encode(&self, array: &ArrayRef) -> Result<Column<KeyBuffer>> {
        let mut values = KeyBuffer::new();
        self.0.encode(std::slice::from_ref(array), &mut values)?;
        Ok(Column { values, nulls: array.nulls().cloned() })
    }

    /// The bytes of NULL.
    pub fn null() -> &'static [u8] {
        &[crate::codec::key::KEY_CODEC_VERSION << 4]
    }

    /// A column of encoded values.
    pub fn decode(&self, values: &[&[u8]]) -> Result<ArrayRef> {
        let mut columns = self.0.decode(values)?;
        columns.pop().ok_or_else(|| EngineError::Bug("a codec of one column gave none".into()))
    }
}

impl Class for Encoded {
    type Item = Box<[u8]>;
    type Input = Column<KeyBuffer>;
    type Out = KeyBuffer;
    const CODE: u8 = 3;

    fn bind(&self, array: &ArrayRef) -> Result<Self::Input> {
        self.encode(array)
    }
    fn is_null(input: &Self::Input, row: usize) -> bool {
        input.is_null(row)
    }
    fn item(input: &Self::Input, row: usize) -> Box<[u8]> {
        input.values.get(row).into()
    }
    fn order(input: &Self::Input, row: usize, item: &Box<[u8]>) -> Ordering {
        input.values.get(row).cmp(item)
    }
    fn compare(a: &Box<[u8]>, b: &Box<[u8]>) -> Ordering {
        a.cmp(b)
    }
    fn out(&self, _: usize) -> KeyBuffer {
        KeyBuffer::new()
    }
    fn push(out: &mut KeyBuffer, item: Option<&Box<[u8]>>) {
        out.push(item.map_or(Self::null(), |item| item));
    }
    fn finish(&self, out: KeyBuffer) -> Result<ArrayRef> {
        self.decode(&out.slices())
    }
    fn save(item: &Box<[u8]>, out: &mut Vec<u8>) {
        put_bytes(item, out);
    }
    fn load(from: &mut Reader<'_>) -> Result<Box<[u8]>> {
        Ok(from.bytes()?.into())
    }
    fn heap_bytes(item: &Box<[u8]>) -> usize {
        item.len()
    }
}

/// Any fixed-width whole number or BOOLEAN as 64-bit numbers.
pub(super) fn ints(array: &ArrayRef) -> Result<Column<ScalarBuffer<i64>>> {
    let narrow = |values: &[i32]| values.iter().map(|v| i64::from(*v)).collect::<ScalarBuffer<_>>();
    let values = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().values().clone(),
        DataType::Timestamp(..) => {
            array.as_primitive::<TimestampMillisecondType>().values().clone()
        }
        DataType::Int32 => narrow(array.as_primitive::<Int32Type>().values()),
        DataType::Date32 => narrow(array.as_primitive::<Date32Type>().values()),
        DataType::Time32(_) => narrow(array.as_primitive::<Time32MillisecondType>().values()),
        DataType::Boolean => array.as_boolean().values().iter().map(i64::from).collect(),
        other => return Err(unexpected(other)),
    };
    Ok(Column { values, nulls: array.nulls().cloned() })
}

/// The inverse of [`ints`]; numbers are cut to the width of `ty`.
pub(super) fn from_ints(
    ty: &SqlType,
    values: Vec<i64>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if *ty == SqlType::Boolean {
        let bits = values.iter().map(|v| *v != 0).collect();
        return Ok(Arc::new(BooleanArray::new(bits, nulls)));
    }
    let plain: ArrayRef = match ty {
        SqlType::Integer | SqlType::Date | SqlType::Time => {
            let narrow: ScalarBuffer<i32> = values.iter().map(|v| *v as i32).collect();
            Arc::new(Int32Array::new(narrow, nulls))
        }
        _ => Arc::new(Int64Array::new(values.into(), nulls)),
    };
    let data = plain.into_data().into_builder().data_type(ty.to_arrow()).build()?;
    Ok(make_array(data))
}

/// The values of a DOUBLE column.
pub(super) fn doubles(array: &ArrayRef) -> Result<Column<ScalarBuffer<f64>>> {
    let typed = array.as_primitive_opt::<Float64Type>();
    let typed = typed.ok_or_else(|| unexpected(array.data_type()))?;
    Ok(Column { values: typed.values().clone(), nulls: typed.nulls().cloned() })
}

/// The unscaled values of a DECIMAL column.
pub(super) fn decimals(array: &ArrayRef) -> Result<Column<ScalarBuffer<i128>>> {
    let typed = array.as_primitive_opt::<Decimal128Type>();
    let typed = typed.ok_or_else(|| unexpected(array.data_type()))?;
    Ok(Column { values: typed.values().clone(), nulls: typed.nulls().cloned() })
}

/// The inverse of [`decimals`].
pub(super) fn from_decimals(
    precision: u8,
    scale: u8,
    values: Vec<i128>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let array = Decimal128Array::new(values.into(), nulls);
    Ok(Arc::new(array.with_precision_and_scale(precision, scale as i8)?))
}

fn unexpected(ty: &DataType) -> EngineError {
    EngineError::Bug(format!("an aggregate was given a column of {ty}"))
}
