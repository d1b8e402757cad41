//! Aggregates that only conformance tests use. No statement can name them unless the registry of
//! functions was told to have them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::scalar::ScalarValue;
use millrace_sql::plan::AggregateCall;
use millrace_sql::types::SqlType;

use super::StreamAgg;
use super::bytes::{Reader, put_i64};
use super::class::{Column, Encoded, ints};
use super::kernel::{Kernel, Slotted};
use super::list::{Items, ListOut};
use super::number::{SumDouble, SumInt, first};
use crate::codec::key::KeyBuffer;
use crate::error::{EngineError, Result};

/// The test function that `call` means, if it is one.
pub(super) fn make(call: &AggregateCall) -> Result<Option<Box<dyn StreamAgg>>> {
    let test_udaf = call.function == "TEST_UDAF";
    Ok(Some(match (call.function.as_str(), call.arg_types.first()) {
        (_, Some(SqlType::Integer | SqlType::Bigint)) if test_udaf => {
            Box::new(Slotted::new(SumInt(SqlType::Bigint)))
        }
        (_, Some(SqlType::Double)) if test_udaf => Box::new(Slotted::new(SumDouble)),
        (_, Some(SqlType::Struct(_))) if test_udaf => {
            Box::new(Slotted::new(SumMembers(call.returns.to_arrow())))
        }
        ("TEST_UDAF" | "VAR_ARG" | "MID_VAR_ARG" | "MULTI_ARG" | "FOUR_ARG" | "FIVE_ARG", _) => {
            let start = call.params.iter().map(weight).sum();
            Box::new(Slotted::new(SumWeights { start }))
        }
        ("OBJ_COL_ARG" | "GENERIC_VAR_ARG", Some(ty)) => {
            Box::new(Slotted::new(WholeRows(Encoded::new(ty))))
        }
        _ => return Ok(None),
    }))
}

fn java_length(text: &str) -> i64 {
    text.encode_utf16().count() as i64
}

fn weight(value: &ScalarValue) -> i64 {
    match value {
        ScalarValue::Int32(Some(number)) => i64::from(*number),
        ScalarValue::Int64(Some(number)) => *number,
        ScalarValue::Utf8(Some(text)) => java_length(text),
        _ => 0,
    }
}

/// The sum of the numbers and of the lengths of the texts of all columns, and of the constants.
struct SumWeights {
    start: i64,
}

impl Kernel for SumWeights {
    type Cell = i64;
    type Input = Vec<i64>;
    type Out = Vec<i64>;
    const FORMAT: u8 = 0xF0;

    fn bind(&self, args: &[ArrayRef]) -> Result<Vec<i64>> {
        let mut weights = vec![0; first(args)?.len()];
        for arg in args {
            if let Some(texts) = arg.as_string_opt::<i32>() {
                let lengths = texts.iter().map(|text| text.map_or(0, java_length));
                weights.iter_mut().zip(lengths).for_each(|(weight, length)| *weight += length);
                continue;
            }
            let numbers = ints(arg)?;
            for (row, weight) in weights.iter_mut().enumerate() {
                *weight += if numbers.is_null(row) { 0 } else { numbers.values[row] };
            }
        }
        Ok(weights)
    }
    fn add(&self, cell: &mut i64, input: &Vec<i64>, row: usize, _: i64) -> Result<()> {
        *cell += input[row];
        Ok(())
    }
    fn merge(&self, into: &mut i64, from: i64) -> Result<()> {
        *into += from;
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<i64> {
        Vec::with_capacity(rows)
    }
    fn emit(&self, cell: &i64, out: &mut Vec<i64>) {
        out.push(self.start + cell);
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

/// The sum of STRUCTs of two INTs, member by member.
struct SumMembers(DataType);

impl Kernel for SumMembers {
    type Cell = [i32; 2];
    type Input = StructArray;
    type Out = [Vec<i32>; 2];
    const FORMAT: u8 = 0xF1;

    fn bind(&self, args: &[ArrayRef]) -> Result<StructArray> {
        let members = first(args)?.as_struct_opt().cloned();
        members.ok_or_else(|| EngineError::Bug("no STRUCT".into()))
    }
    fn add(&self, cell: &mut [i32; 2], input: &StructArray, row: usize, _: i64) -> Result<()> {
        for (sum, member) in cell.iter_mut().zip(input.columns()) {
            let member = member.as_primitive::<Int32Type>();
            if input.is_valid(row) && member.is_valid(row) {
                *sum = sum.wrapping_add(member.value(row));
            }
        }
        Ok(())
    }
    fn merge(&self, into: &mut [i32; 2], from: [i32; 2]) -> Result<()> {
        into.iter_mut().zip(from).for_each(|(sum, member)| *sum = sum.wrapping_add(member));
        Ok(())
    }
    fn out(&self, _: usize) -> Self::Out {
        Default::default()
    }
    fn emit(&self, cell: &[i32; 2], out: &mut Self::Out) {
        out.iter_mut().zip(cell).for_each(|(column, sum)| column.push(*sum));
    }
    fn finish(&self, out: Self::Out) -> Result<ArrayRef> {
        let DataType::Struct(fields) = &self.0 else {
            return Err(EngineError::Bug("no STRUCT".into()));
        };
        let columns = out.map(|column| Arc::new(Int32Array::from(column)) as ArrayRef);
        Ok(Arc::new(StructArray::try_new(fields.clone(), columns.to_vec(), None)?))
    }
    fn save(&self, cell: &[i32; 2], out: &mut Vec<u8>) {
        cell.iter().for_each(|sum| put_i64(i64::from(*sum), out));
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<[i32; 2]> {
        Ok([from.i64()? as i32, from.i64()? as i32])
    }
}

/// The first column's values in the rows where no column is NULL.
struct WholeRows(Encoded);

impl Kernel for WholeRows {
    type Cell = Items;
    type Input = Column<KeyBuffer>;
    type Out = ListOut;
    const FORMAT: u8 = 0xF2;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        let Column { values, .. } = self.0.encode(first(args)?)?;
        let nulls = args
            .iter()
            .fold(None, |all, arg| NullBuffer::union(all.as_ref(), arg.logical_nulls().as_ref()));
        Ok(Column { values, nulls })
    }
    fn add(&self, cell: &mut Items, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if input.is_null(row) { Ok(()) } else { cell.push(input.values.get(row)) }
    }
    fn merge(&self, into: &mut Items, from: Items) -> Result<()> {
        from.iter().try_for_each(|value| into.push(value))
    }
    fn out(&self, rows: usize) -> ListOut {
        ListOut::new(rows)
    }
    fn emit(&self, cell: &Items, out: &mut ListOut) {
        cell.iter().for_each(|value| out.item(value));
        out.end_row();
    }
    fn finish(&self, out: ListOut) -> Result<ArrayRef> {
        out.finish(|items| self.0.decode(items))
    }
    fn save(&self, cell: &Items, out: &mut Vec<u8>) {
        cell.save(out);
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Items> {
        Items::load(from)
    }
    fn heap_bytes(&self, cell: &Items) -> usize {
        cell.heap_bytes()
    }
}
