//! Conversions among INTEGER, BIGINT and DOUBLE as Java does them, and among times.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType,
};
use arrow::error::ArrowError;

use crate::expr::kernel::mismatch;

pub(super) const DAY_MS: i64 = 86_400_000;

/// Narrowing integers wrap; doubles are cut and saturate, NaN is 0.
pub(super) fn column(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    Ok(match (array.data_type(), to) {
        (Int32, Int64 | Float64) | (Int64, Float64) => arrow::compute::cast(array, to)?,
        (Int64, Int32) => {
            Arc::new(array.as_primitive::<Int64Type>().unary::<_, Int32Type>(|v| v as i32))
        }
        (Float64, Int32) => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Int32Type>(|v| v as i32))
        }
        (Float64, Int64) => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Int64Type>(|v| v as i64))
        }
        (Timestamp(..), Date32) => {
            let times = array.as_primitive::<TimestampMillisecondType>();
            Arc::new(times.unary::<_, Date32Type>(|ms| ms.div_euclid(DAY_MS) as i32))
        }
        (Timestamp(..), Time32(_)) => {
            let times = array.as_primitive::<TimestampMillisecondType>();
            Arc::new(times.unary::<_, Time32MillisecondType>(|ms| ms.rem_euclid(DAY_MS) as i32))
        }
        (Date32, Timestamp(..)) => {
            let dates = array.as_primitive::<Date32Type>();
            Arc::new(dates.unary::<_, TimestampMillisecondType>(|day| i64::from(day) * DAY_MS))
        }
        (from, to) => return Err(mismatch(&format!("a type that becomes {to}"), from)),
    })
}
