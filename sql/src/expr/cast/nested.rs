//! Conversions of ARRAY, MAP and STRUCT, member by member.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::column as convert;
use crate::expr::frame::Frame;
use crate::expr::kernel::mismatch;
use crate::expr::ops::map_from;

/// A member that cannot be converted puts the whole row in error.
pub(super) fn column(
    array: &ArrayRef,
    to: &DataType,
    frame: &mut Frame,
) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let offsets = list.offsets();
            let values = members(list.values(), item.data_type(), offsets, list, frame)?;
            let (item, nulls) = (Arc::clone(item), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(item, offsets.clone(), values, nulls)?))
        }
        (DataType::Map(..), DataType::Map(entry, _)) => {
            let DataType::Struct(fields) = entry.data_type() else {
                return Err(mismatch("MAP", to));
            };
            let map = array.as_map();
            let offsets = map.offsets();
            let keys = members(map.keys(), fields[0].data_type(), offsets, map, frame)?;
            let values = members(map.values(), fields[1].data_type(), offsets, map, frame)?;
            let first = offsets.first().copied().unwrap_or(0) as usize;
            let used = offsets.last().copied().unwrap_or(0) as usize - first;
            let (keys, values) = (keys.slice(first, used), values.slice(first, used));
            let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).collect();
            map_from(to, keys, values, lengths, map.nulls().cloned())
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let from = array.as_struct();
            let members = fields.iter().map(|field| match from.column_by_name(field.name()) {
                Some(member) => convert(member, field.data_type(), frame),
                None => Ok(new_null_array(field.data_type(), array.len())),
            });
            let members = members.collect::<Result<Vec<_>, _>>()?;
            if members.is_empty() {
                return Ok(new_null_array(to, array.len()));
            }
            Ok(Arc::new(StructArray::try_new(fields.clone(), members, from.nulls().cloned())?))
        }
        (from, to) => Err(mismatch(&format!("a type that becomes {to}"), from)),
    }
}

/// Converts the members and lets their errors become errors of the rows they belong to.
fn members(
    values: &ArrayRef,
    to: &DataType,
    offsets: &OffsetBuffer<i32>,
    rows: &dyn Array,
    frame: &mut Frame,
) -> Result<ArrayRef, ArrowError> {
    let mut inner = Frame::default();
    let converted = convert(values, to, &mut inner)?;
    for error in inner.into_errors() {
        let row = offsets.partition_point(|offset| *offset as usize <= error.row);
        if let Some(row) = row.checked_sub(1).filter(|row| *row < rows.len() && rows.is_valid(*row))
        {
            frame.fault(row, error.message);
        }
    }
    Ok(converted)
}
