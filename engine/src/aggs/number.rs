//! COUNT, SUM and AVG.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use millrace_sql::types::SqlType;

use super::bytes::{Reader, put_i64};
use super::class::{Column, decimals, doubles, from_decimals, from_ints, ints};
use super::kernel::Kernel;
use crate::error::{EngineError, Result};

/// `COUNT(*)` and `COUNT(x)`: rows, or rows where x is not NULL.
pub(super) struct Count;

impl Kernel for Count {
    type Cell = i64;
    type Input = Option<NullBuffer>;
    type Out = Vec<i64>;
    const FORMAT: u8 = 0x10;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        Ok(args.first().and_then(|arg| arg.logical_nulls()).filter(|nulls| nulls.null_count() > 0))
    }
    #[inline]
    fn add(&self, cell: &mut i64, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        *cell += i64::from(input.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
        Ok(())
    }
    fn undo(&self, cell: &mut i64, input: &Self::Input, row: usize) -> Result<()> {
        *cell -= i64::from(input.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
        Ok(())
    }
    fn merge(&self, into: &mut i64, from: i64) -> Result<()> {
        *into += from;
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<i64> {
        Vec::with_capacity(rows)
    }
    #[inline]
    fn emit(&self, cell: &i64, out: &mut Vec<i64>) {
        out.push(*cell);
    }
    fn finish(&self, out: Vec<i64>) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(out)))
    }
    fn save(&self, cell: &i64, out: &mut Vec<u8>) {
        put_i64(*cell, out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<i64> {
        from.i64()
    }
}

/// SUM of INTEGER or BIGINT. Wraps: the lower 32 bits of a 64-bit sum are the 32-bit sum.
pub(super) struct SumInt(pub SqlType);

impl Kernel for SumInt {
    type Cell = i64;
    type Input = Column<ScalarBuffer<i64>>;
    type Out = Vec<i64>;
    const FORMAT: u8 = 0x11;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        ints(first(args)?)
    }
    #[inline]
    fn add(&self, cell: &mut i64, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if !input.is_null(row) {
            *cell = cell.wrapping_add(input.values[row]);
        }
        Ok(())
    }
    fn undo(&self, cell: &mut i64, input: &Self::Input, row: usize) -> Result<()> {
        if !input.is_null(row) {
            *cell = cell.wrapping_sub(input.values[row]);
        }
        Ok(())
    }
    fn merge(&self, into: &mut i64, from: i64) -> Result<()> {
        *into = into.wrapping_add(from);
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<i64> {
        Vec::with_capacity(rows)
    }
    #[inline]
    fn emit(&self, cell: &i64, out: &mut Vec<i64>) {
        out.push(*cell);
    }
    fn finish(&self, out: Vec<i64>) -> Result<ArrayRef> {
        from_ints(&self.0, out, None)
    }
    fn save(&self, cell: &i64, out: &mut Vec<u8>) {
        put_i64(*cell, out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<i64> {
        from.i64()
    }
}

/// SUM of DOUBLE.
pub(super) struct SumDouble;

impl Kernel for SumDouble {
    type Cell = f64;
    type Input = Column<ScalarBuffer<f64>>;
    type Out = Vec<f64>;
    const FORMAT: u8 = 0x12;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        doubles(first(args)?)
    }
    #[inline]
    fn add(&self, cell: &mut f64, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if !input.is_null(row) {
            *cell += input.values[row];
        }
        Ok(())
    }
    fn undo(&self, cell: &mut f64, input: &Self::Input, row: usize) -> Result<()> {
        if !input.is_null(row) {
            *cell -= input.values[row];
        }
        Ok(())
    }
    fn merge(&self, into: &mut f64, from: f64) -> Result<()> {
        *into += from;
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }
    #[inline]
    fn emit(&self, cell: &f64, out: &mut Vec<f64>) {
        out.push(*cell);
    }
    fn finish(&self, out: Vec<f64>) -> Result<ArrayRef> {
        Ok(Arc::new(Float64Array::from(out)))
    }
    fn save(&self, cell: &f64, out: &mut Vec<u8>) {
        out.extend_from_slice(&cell.to_le_bytes());
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<f64> {
        Ok(f64::from_le_bytes(from.array()?))
    }
}

/// SUM of DECIMAL: of the argument's precision, and no sum may exceed that.
pub(super) struct SumDecimal {
    pub precision: u8,
    pub scale: u8,
}

impl SumDecimal {
    #[inline]
    fn fits(&self, sum: Option<i128>) -> Option<i128> {
        let limit = 10_i128.pow(u32::from(self.precision.min(38)));
        sum.filter(|sum| -limit < *sum && *sum < limit)
    }

    #[inline]
    fn check(&self, sum: Option<i128>) -> Result<i128> {
        self.fits(sum).ok_or_else(|| EngineError::Config(format!("{}.", self.overflow())))
    }

    fn overflow(&self) -> String {
        let SumDecimal { precision, scale } = self;
        format!(
            "Numeric field overflow: SUM exceeds DECIMAL({precision}, {scale}). CAST its argument to \
             a larger precision"
        )
    }
}

impl Kernel for SumDecimal {
    type Cell = i128;
    type Input = Column<ScalarBuffer<i128>>;
    type Out = Vec<i128>;
    const FORMAT: u8 = 0x13;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        decimals(first(args)?)
    }
    #[inline]
    fn add(&self, cell: &mut i128, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if !input.is_null(row) {
            *cell = self.check(cell.checked_add(input.values[row]))?;
        }
        Ok(())
    }
    #[inline]
    fn refuses(&self, cell: &i128, input: &Self::Input, row: usize) -> Option<String> {
        match input.is_null(row) || self.fits(cell.checked_add(input.values[row])).is_some() {
            true => None,
            false => Some(format!("{}; the row is left out of the sum", self.overflow())),
        }
    }
    fn refuses_merge(&self, into: &i128, from: &i128) -> Option<String> {
        match self.fits(into.checked_add(*from)) {
            Some(_) => None,
            None => Some(format!(
                "{}; the row joins sessions, and what the later ones have summed up is left out",
                self.overflow()
            )),
        }
    }
    fn undo(&self, cell: &mut i128, input: &Self::Input, row: usize) -> Result<()> {
        if !input.is_null(row) {
            *cell = self.check(cell.checked_sub(input.values[row]))?;
        }
        Ok(())
    }
    fn merge(&self, into: &mut i128, from: i128) -> Result<()> {
        *into = self.check(into.checked_add(from))?;
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<i128> {
        Vec::with_capacity(rows)
    }
    #[inline]
    fn emit(&self, cell: &i128, out: &mut Vec<i128>) {
        out.push(*cell);
    }
    fn finish(&self, out: Vec<i128>) -> Result<ArrayRef> {
        from_decimals(self.precision, self.scale, out, None)
    }
    fn save(&self, cell: &i128, out: &mut Vec<u8>) {
        out.extend_from_slice(&cell.to_le_bytes());
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<i128> {
        Ok(i128::from_le_bytes(from.array()?))
    }
}

/// AVG of INTEGER or BIGINT. As in ksqlDB the sum wraps at the argument's width, and no values
/// give 0.0.
pub(super) struct AvgInt {
    /// The argument is INTEGER.
    pub narrow: bool,
}

impl Kernel for AvgInt {
    /// Sum and count.
    type Cell = (i64, i64);
    type Input = Column<ScalarBuffer<i64>>;
    type Out = Vec<f64>;
    const FORMAT: u8 = 0x14;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        ints(first(args)?)
    }
    #[inline]
    fn add(&self, cell: &mut (i64, i64), input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if !input.is_null(row) {
            *cell = (cell.0.wrapping_add(input.values[row]), cell.1 + 1);
        }
        Ok(())
    }
    fn undo(&self, cell: &mut (i64, i64), input: &Self::Input, row: usize) -> Result<()> {
        if !input.is_null(row) {
            *cell = (cell.0.wrapping_sub(input.values[row]), cell.1 - 1);
        }
        Ok(())
    }
    fn merge(&self, into: &mut (i64, i64), from: (i64, i64)) -> Result<()> {
        *into = (into.0.wrapping_add(from.0), into.1 + from.1);
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }
    #[inline]
    fn emit(&self, cell: &(i64, i64), out: &mut Vec<f64>) {
        let sum = if self.narrow { f64::from(cell.0 as i32) } else { cell.0 as f64 };
        out.push(mean(sum, cell.1));
    }
    fn finish(&self, out: Vec<f64>) -> Result<ArrayRef> {
        Ok(Arc::new(Float64Array::from(out)))
    }
    fn save(&self, cell: &(i64, i64), out: &mut Vec<u8>) {
        put_i64(cell.0, out);
        put_i64(cell.1, out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<(i64, i64)> {
        Ok((from.i64()?, from.i64()?))
    }
}

/// AVG of DOUBLE.
pub(super) struct AvgDouble;

impl Kernel for AvgDouble {
    /// Sum and count.
    type Cell = (f64, i64);
    type Input = Column<ScalarBuffer<f64>>;
    type Out = Vec<f64>;
    const FORMAT: u8 = 0x15;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        doubles(first(args)?)
    }
    #[inline]
    fn add(&self, cell: &mut (f64, i64), input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if !input.is_null(row) {
            *cell = (cell.0 + input.values[row], cell.1 + 1);
        }
        Ok(())
    }
    fn undo(&self, cell: &mut (f64, i64), input: &Self::Input, row: usize) -> Result<()> {
        if !input.is_null(row) {
            *cell = (cell.0 - input.values[row], cell.1 - 1);
        }
        Ok(())
    }
    fn merge(&self, into: &mut (f64, i64), from: (f64, i64)) -> Result<()> {
        *into = (into.0 + from.0, into.1 + from.1);
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }
    #[inline]
    fn emit(&self, cell: &(f64, i64), out: &mut Vec<f64>) {
        out.push(mean(cell.0, cell.1));
    }
    fn finish(&self, out: Vec<f64>) -> Result<ArrayRef> {
        Ok(Arc::new(Float64Array::from(out)))
    }
    fn save(&self, cell: &(f64, i64), out: &mut Vec<u8>) {
        out.extend_from_slice(&cell.0.to_le_bytes());
        put_i64(cell.1, out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<(f64, i64)> {
        Ok((f64::from_le_bytes(from.array()?), from.i64()?))
    }
}

#[inline]
fn mean(sum: f64, count: i64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// The only argument.
pub(super) fn first(args: &[ArrayRef]) -> Result<&ArrayRef> {
    args.first().ok_or_else(|| EngineError::Bug("an aggregate was given no argument".into()))
}
