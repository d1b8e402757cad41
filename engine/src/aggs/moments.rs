//! CORRELATION, STDDEV_SAMP and STDDEV_SAMPLE: functions of running sums.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::ArrowNativeType;
use millrace_sql::types::SqlType;

use super::bytes::{Reader, put_i64};
use super::class::{Column, doubles, ints};
use super::kernel::Kernel;
use super::number::first;
use crate::error::{EngineError, Result};

/// INTEGER, BIGINT or DOUBLE as DOUBLE.
fn as_doubles(array: &ArrayRef) -> Result<Column<ScalarBuffer<f64>>> {
    if *array.data_type() == SqlType::Double.to_arrow() {
        return doubles(array);
    }
    let Column { values, nulls } = ints(array)?;
    Ok(Column { values: values.iter().map(|value| *value as f64).collect(), nulls })
}

/// The Pearson correlation of pairs without NULLs, from sums over one pass, as in ksqlDB.
pub(super) struct Correlation;

/// What [`Correlation`] keeps.
#[derive(Default)]
pub(super) struct Sums {
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
    count: i64,
}

impl Sums {
    fn add(&mut self, x: f64, y: f64, sign: f64) {
        self.x += sign * x;
        self.y += sign * y;
        self.xx += sign * (x * x);
        self.yy += sign * (y * y);
        self.xy += sign * (x * y);
        self.count += sign as i64;
    }

    fn correlation(&self) -> f64 {
        let count = self.count as f64;
        let numerator = count * self.xy - self.x * self.y;
        let (x, y) = (count * self.xx - self.x * self.x, count * self.yy - self.y * self.y);
        numerator / (x * y).sqrt()
    }
}

impl Kernel for Correlation {
    type Cell = Sums;
    type Input = (Column<ScalarBuffer<f64>>, Column<ScalarBuffer<f64>>);
    type Out = Vec<f64>;
    const FORMAT: u8 = 0x16;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        let second = args.get(1).ok_or_else(|| EngineError::Bug("no second argument".into()))?;
        Ok((as_doubles(first(args)?)?, as_doubles(second)?))
    }
    fn add(&self, cell: &mut Sums, (x, y): &Self::Input, row: usize, _: i64) -> Result<()> {
        if !x.is_null(row) && !y.is_null(row) {
            cell.add(x.values[row], y.values[row], 1.0);
        }
        Ok(())
    }
    fn undo(&self, cell: &mut Sums, (x, y): &Self::Input, row: usize) -> Result<()> {
        if !x.is_null(row) && !y.is_null(row) {
            cell.add(x.values[row], y.values[row], -1.0);
        }
        Ok(())
    }
    fn merge(&self, into: &mut Sums, from: Sums) -> Result<()> {
        into.x += from.x;
        into.y += from.y;
        into.xx += from.xx;
        into.yy += from.yy;
        into.xy += from.xy;
        into.count += from.count;
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }
    fn emit(&self, cell: &Sums, out: &mut Vec<f64>) {
        out.push(cell.correlation());
    }
    fn finish(&self, out: Vec<f64>) -> Result<ArrayRef> {
        Ok(Arc::new(Float64Array::from(out)))
    }
    fn save(&self, cell: &Sums, out: &mut Vec<u8>) {
        for sum in [cell.x, cell.y, cell.xx, cell.yy, cell.xy] {
            out.extend_from_slice(&sum.to_le_bytes());
        }
        put_i64(cell.count, out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Sums> {
        let mut next = || Ok::<_, EngineError>(f64::from_le_bytes(from.array()?));
        let (x, y, xx, yy, xy) = (next()?, next()?, next()?, next()?, next()?);
        Ok(Sums { x, y, xx, yy, xy, count: from.i64()? })
    }
}

/// The spread of a sample by Youngs and Cramer, with sums at the argument's width, as in ksqlDB.
pub(super) struct Deviation<N> {
    pub numbers: N,
    /// The deviation; else the variance.
    pub root: bool,
}

/// Numbers that are summed at their own width.
pub(super) trait Numbers: Send {
    type Number: ArrowNativeType;
    const CODE: u8;
    fn bind(&self, array: &ArrayRef) -> Result<Column<ScalarBuffer<Self::Number>>>;
    fn plus(&self, sum: Self::Number, value: Self::Number) -> Self::Number;
    fn minus(&self, sum: Self::Number, value: Self::Number) -> Self::Number;
    /// `value * (count + 1) - (sum + value)`
    fn delta(&self, sum: Self::Number, count: i64, value: Self::Number) -> f64;
    /// The difference of two means. `exact`: not cut to whole numbers.
    fn difference(&self, a: (Self::Number, i64), b: (Self::Number, i64), exact: bool) -> f64;
    fn save(number: Self::Number, out: &mut Vec<u8>);
    fn load(from: &mut Reader<'_>) -> Result<Self::Number>;
}

/// INTEGER or BIGINT, which wrap.
pub(super) struct Whole {
    /// INTEGER.
    pub narrow: bool,
}

impl Whole {
    fn fit(&self, value: i64) -> i64 {
        if self.narrow { i64::from(value as i32) } else { value }
    }
}

impl Numbers for Whole {
    type Number = i64;
    const CODE: u8 = 0;

    fn bind(&self, array: &ArrayRef) -> Result<Column<ScalarBuffer<i64>>> {
        ints(array)
    }
    fn plus(&self, sum: i64, value: i64) -> i64 {
        self.fit(sum.wrapping_add(value))
    }
    fn minus(&self, sum: i64, value: i64) -> i64 {
        self.fit(sum.wrapping_sub(value))
    }
    fn delta(&self, sum: i64, count: i64, value: i64) -> f64 {
        value.wrapping_mul(count + 1).wrapping_sub(self.plus(sum, value)) as f64
    }
    fn difference(&self, a: (i64, i64), b: (i64, i64), exact: bool) -> f64 {
        match exact {
            true => a.0 as f64 / a.1 as f64 - b.0 as f64 / b.1 as f64,
            false => (a.0 / a.1 - b.0 / b.1) as f64,
        }
    }
    fn save(number: i64, out: &mut Vec<u8>) {
        put_i64(number, out);
    }
    fn load(from: &mut Reader<'_>) -> Result<i64> {
        from.i64()
    }
}

/// DOUBLE.
pub(super) struct Real;

impl Numbers for Real {
    type Number = f64;
    const CODE: u8 = 1;

    fn bind(&self, array: &ArrayRef) -> Result<Column<ScalarBuffer<f64>>> {
        doubles(array)
    }
    fn plus(&self, sum: f64, value: f64) -> f64 {
        sum + value
    }
    fn minus(&self, sum: f64, value: f64) -> f64 {
        sum - value
    }
    fn delta(&self, sum: f64, count: i64, value: f64) -> f64 {
        value * (count + 1) as f64 - (sum + value)
    }
    fn difference(&self, a: (f64, i64), b: (f64, i64), _: bool) -> f64 {
        a.0 / a.1 as f64 - b.0 / b.1 as f64
    }
    fn save(number: f64, out: &mut Vec<u8>) {
        out.extend_from_slice(&number.to_le_bytes());
    }
    fn load(from: &mut Reader<'_>) -> Result<f64> {
        Ok(f64::from_le_bytes(from.array()?))
    }
}

/// Sum, count, and the sum of squared distances from the mean.
#[derive(Default)]
pub(super) struct Spread<T> {
    sum: T,
    count: i64,
    m2: f64,
}

impl<N: Numbers> Kernel for Deviation<N> {
    type Cell = Spread<N::Number>;
    type Input = Column<ScalarBuffer<N::Number>>;
    type Out = Vec<f64>;
    const FORMAT: u8 = 0x18 | N::CODE;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.numbers.bind(first(args)?)
    }
    fn add(&self, cell: &mut Self::Cell, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if input.is_null(row) {
            return Ok(());
        }
        let value = input.values[row];
        if cell.count > 0 {
            let delta = self.numbers.delta(cell.sum, cell.count, value);
            cell.m2 += delta * delta / ((cell.count + 1) * cell.count) as f64;
        }
        cell.sum = self.numbers.plus(cell.sum, value);
        cell.count += 1;
        Ok(())
    }
    fn undo(&self, cell: &mut Self::Cell, input: &Self::Input, row: usize) -> Result<()> {
        if input.is_null(row) {
            return Ok(());
        }
        let value = input.values[row];
        let left = cell.count - 1;
        if left > 0 {
            // From the sum with the value, as ksqlDB does it.
            let delta = self.numbers.delta(cell.sum, cell.count, value);
            cell.m2 -= delta * delta / (left * (left + 1)) as f64;
        }
        cell.sum = self.numbers.minus(cell.sum, value);
        cell.count = left;
        Ok(())
    }
    fn merge(&self, into: &mut Self::Cell, from: Self::Cell) -> Result<()> {
        let mut m2 = into.m2 + from.m2;
        let count = into.count + from.count;
        if into.count > 0 && from.count > 0 {
            let (a, b) = ((into.sum, into.count), (from.sum, from.count));
            let difference = self.numbers.difference(a, b, self.root);
            m2 += (into.count * from.count) as f64 * difference * difference / count as f64;
        }
        *into = Spread { sum: self.numbers.plus(into.sum, from.sum), count, m2 };
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<f64> {
        Vec::with_capacity(rows)
    }
    fn emit(&self, cell: &Self::Cell, out: &mut Vec<f64>) {
        let variance = if cell.count < 2 { 0.0 } else { cell.m2 / (cell.count - 1) as f64 };
        out.push(if self.root { variance.sqrt() } else { variance });
    }
    fn finish(&self, out: Vec<f64>) -> Result<ArrayRef> {
        Ok(Arc::new(Float64Array::from(out)))
    }
    fn save(&self, cell: &Self::Cell, out: &mut Vec<u8>) {
        N::save(cell.sum, out);
        put_i64(cell.count, out);
        out.extend_from_slice(&cell.m2.to_le_bytes());
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Self::Cell> {
        let (sum, count) = (N::load(from)?, from.i64()?);
        Ok(Spread { sum, count, m2: f64::from_le_bytes(from.array()?) })
    }
}
