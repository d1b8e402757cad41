//! Typed views of Arrow columns: the type is looked up once per batch, not once per value.

use arrow::array::{
    Array, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimeUnit, TimestampMillisecondType,
};

use crate::error::{EngineError, Result};

/// A column of any of the SQL types' Arrow types, borrowed.
#[derive(Debug, Clone)]
pub enum ColumnView<'a> {
    Boolean(&'a BooleanArray),
    /// INTEGER, DATE and TIME.
    Int32(Values<'a, i32>),
    /// BIGINT and TIMESTAMP.
    Int64(Values<'a, i64>),
    Double(Values<'a, f64>),
    /// Unscaled values and their scale.
    Decimal(Values<'a, i128>, i8),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    List(Ranges<'a>, Box<ColumnView<'a>>),
    /// Keys and values.
    Map(Ranges<'a>, Box<ColumnView<'a>>, Box<ColumnView<'a>>),
    Struct(Option<&'a NullBuffer>, Vec<ColumnView<'a>>),
}

/// Fixed-width values; those of NULL rows mean nothing.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a, T> {
    pub values: &'a [T],
    pub nulls: Option<&'a NullBuffer>,
}

impl<T: Copy> Values<'_, T> {
    /// Value of `row`, or `None` for NULL.
    #[inline]
    pub fn get(&self, row: usize) -> Option<T> {
        let null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
        if null { None } else { Some(self.values[row]) }
    }
}

/// Where the items of each row lie in the child column.
#[derive(Debug, Clone, Copy)]
pub struct Ranges<'a> {
    offsets: &'a [i32],
    nulls: Option<&'a NullBuffer>,
}

impl Ranges<'_> {
    /// Items of `row`, or `None` for NULL.
    #[inline]
    pub fn get(&self, row: usize) -> Option<std::ops::Range<usize>> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(self.offsets[row] as usize..self.offsets[row + 1] as usize)
    }
}

impl<'a> ColumnView<'a> {
    /// A view of `array`.
    ///
    /// # Errors
    /// `Bug` for an Arrow type that no SQL type maps to.
    pub fn new(array: &'a dyn Array) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Boolean => ColumnView::Boolean(array.as_boolean()),
            DataType::Int32 => ColumnView::Int32(values::<Int32Type>(array)),
            DataType::Date32 => ColumnView::Int32(values::<Date32Type>(array)),
            DataType::Time32(TimeUnit::Millisecond) => {
                ColumnView::Int32(values::<Time32MillisecondType>(array))
            }
            DataType::Int64 => ColumnView::Int64(values::<Int64Type>(array)),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                ColumnView::Int64(values::<TimestampMillisecondType>(array))
            }
            DataType::Float64 => ColumnView::Double(values::<Float64Type>(array)),
            DataType::Decimal128(_, scale) => {
                ColumnView::Decimal(values::<Decimal128Type>(array), *scale)
            }
            DataType::Utf8 => ColumnView::String(array.as_string()),
            DataType::Binary => ColumnView::Bytes(array.as_binary()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let ranges = Ranges { offsets: list.value_offsets(), nulls: list.nulls() };
                ColumnView::List(ranges, Box::new(Self::new(list.values().as_ref())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let ranges = Ranges { offsets: map.value_offsets(), nulls: map.nulls() };
                let keys = Box::new(Self::new(map.keys().as_ref())?);
                ColumnView::Map(ranges, keys, Box::new(Self::new(map.values().as_ref())?))
            }
            DataType::Struct(_) => {
                let row = array.as_struct();
                let fields = row.columns().iter().map(|column| Self::new(column.as_ref()));
                ColumnView::Struct(row.nulls(), fields.collect::<Result<_>>()?)
            }
            other => {
                return Err(EngineError::Bug(format!("no SQL type has the Arrow type {other}")));
            }
        })
    }

    /// True when the value of `row` is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        let nulls = match self {
            ColumnView::Boolean(array) => array.nulls(),
            ColumnView::Int32(values) => values.nulls,
            ColumnView::Int64(values) => values.nulls,
            ColumnView::Double(values) => values.nulls,
            ColumnView::Decimal(values, _) => values.nulls,
            ColumnView::String(array) => array.nulls(),
            ColumnView::Bytes(array) => array.nulls(),
            ColumnView::List(ranges, _) | ColumnView::Map(ranges, ..) => ranges.nulls,
            ColumnView::Struct(nulls, _) => *nulls,
        };
        nulls.is_some_and(|nulls| nulls.is_null(row))
    }
}

fn values<T: ArrowPrimitiveType>(array: &dyn Array) -> Values<'_, T::Native> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    Values { values: array.values(), nulls: array.nulls() }
}
