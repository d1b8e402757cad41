//! Access to and construction of ARRAY, MAP and STRUCT values.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, Scalar, StringArray, StructArray, UInt32Array,
    UInt32Builder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{concat, interleave, is_not_null, take};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;

use super::compare::comparable;
use super::equality::equality;
use crate::error::{Result, SqlError};
use crate::expr::cast::{implicit_cast, lax_coerce, lax_number};
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, mismatch};
use crate::expr::op::{call, guard};
use crate::expr::typed::{Typed, type_name};
use crate::types::{SqlType, StructField};

/// `base[index]` of an ARRAY (1-based, negative from the end) or MAP; NULL if there is none.
///
/// # Errors
/// When `base` is neither, or `index` does not go with it.
pub fn subscript(base: Typed, index: Typed) -> Result<Typed> {
    match base.ty.clone() {
        Some(SqlType::Array(item)) => {
            if index.ty != Some(SqlType::Integer) {
                let ty = type_name(&index.ty);
                let message = format!("Array subscript must be an INTEGER, but {index} is {ty}");
                return Err(SqlError::invalid(message));
            }
            Ok(call("[]", array_item, vec![base, index], *item))
        }
        Some(SqlType::Map(key, value)) => {
            let index = implicit_cast(index, &key)?;
            Ok(call("[]", map_value, vec![base, index], *value))
        }
        ty => {
            let shown = type_name(&ty);
            let hint = match ty {
                Some(SqlType::Struct(_)) => {
                    format!(" Use the dereference operator for STRUCTS: {base}->{index}")
                }
                _ => String::new(),
            };
            Err(SqlError::invalid(format!(
                "Subscript expression ({base}[{index}]) do not apply to {shown}.{hint}"
            )))
        }
    }
}

fn array_item(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let lists = args.col(0)?;
    let index = args.col(1)?;
    let list = lists.array.as_list::<i32>();
    let indexes = index.array.as_primitive::<Int32Type>();
    let mut picked = UInt32Builder::with_capacity(args.rows);
    for row in 0..args.rows {
        if lists.is_null(row) || index.is_null(row) {
            picked.append_null();
            continue;
        }
        let at = lists.row(row);
        let items = i64::from(list.offsets()[at])..i64::from(list.offsets()[at + 1]);
        picked.append_option(item_at(items, indexes.value(index.row(row))));
    }
    take(list.values(), &picked.finish(), None)
}

/// The item with a 1-based index, or one that counts from the end if negative.
fn item_at(items: Range<i64>, index: i32) -> Option<u32> {
    let at = match index {
        0 => return None,
        1.. => items.start + i64::from(index) - 1,
        _ => items.end + i64::from(index),
    };
    items.contains(&at).then_some(at as u32)
}

fn map_value(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (maps, key) = (args.col(0)?, args.col(1)?);
    let map = maps.array.as_map();
    let same = equality(map.keys(), &key.array)?;
    let mut picked = UInt32Builder::with_capacity(args.rows);
    for row in 0..args.rows {
        let found = (!maps.is_null(row)).then(|| {
            let at = maps.row(row);
            let mut entries = map.offsets()[at] as usize..map.offsets()[at + 1] as usize;
            entries.find(|entry| same(*entry, key.row(row)))
        });
        picked.append_option(found.flatten().map(|entry| entry as u32));
    }
    take(map.values(), &picked.finish(), None)
}

/// `base->field` of a STRUCT.
///
/// # Errors
/// When `base` is no STRUCT or has no such field.
pub fn deref(base: Typed, field: &str) -> Result<Typed> {
    let Some(SqlType::Struct(fields)) = &base.ty else {
        let ty = type_name(&base.ty);
        return Err(SqlError::invalid(format!(
            "Expected STRUCT type, got: {ty}, when looking up `{field}` of {base}"
        )));
    };
    let Some(found) = fields.iter().find(|known| known.name == field) else {
        let names: Vec<&str> = fields.iter().map(|known| known.name.as_str()).collect();
        let message = format!("Could not find field '{field}' in '{base}'.");
        return Err(SqlError::invalid(message).hint(format!("it has {}", names.join(", "))));
    };
    let ty = found.ty.clone();
    Ok(call("->", field_of, vec![base, Typed::string(field)], ty))
}

fn field_of(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let name = args.col(1)?.get::<crate::expr::kernel::Str>(0)?.unwrap_or_default();
    let base = args.array(0)?;
    let members = base.as_struct_opt().ok_or_else(|| mismatch("STRUCT", base.data_type()))?;
    let member = members.column_by_name(name).ok_or_else(|| mismatch(name, base.data_type()))?;
    match members.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => Ok(Arc::clone(member)),
        Some(nulls) => {
            let missing = arrow::array::BooleanArray::new(!nulls.inner(), None);
            arrow::compute::nullif(member, &missing)
        }
    }
}

/// Part of ksqlDB's messages.
const SEE: &str = "(see https://github.com/confluentinc/ksql/issues/4239).";

/// `ARRAY[items]`; the items take their common type.
///
/// # Errors
/// When there are none, all are NULL, or they have no common type.
pub fn array(items: Vec<Typed>) -> Result<Typed> {
    if items.is_empty() {
        let message = "Array constructor cannot be empty. Please supply at least one element";
        return Err(SqlError::invalid(format!("{message} {SEE}")));
    }
    let (items, ty) = common_items(items, "an array", "element")?;
    let items = items.into_iter().map(guard).collect();
    Ok(call("ARRAY", make_array, items, SqlType::Array(Box::new(ty))))
}

/// `MAP(key := value, ...)`; keys and values take their common types.
///
/// # Errors
/// When there are no entries, or keys or values have no common type.
pub fn map(entries: Vec<(Typed, Typed)>) -> Result<Typed> {
    if entries.is_empty() {
        let message = "Map constructor cannot be empty. Please supply at least one key value pair";
        return Err(SqlError::invalid(format!("{message} {SEE}")));
    }
    let (keys, values): (Vec<Typed>, Vec<Typed>) = entries.into_iter().unzip();
    let (keys, key) = common_items(keys, "a map", "key")?;
    let (values, value) = common_items(values, "a map", "value")?;
    let pairs = keys.into_iter().zip(values).flat_map(|(key, value)| [guard(key), guard(value)]);
    let returns = SqlType::Map(Box::new(key), Box::new(value));
    Ok(call("MAP", make_map, pairs.collect(), returns))
}

/// `STRUCT(name := value, ...)`
///
/// # Errors
/// When a name occurs twice, or a value is the literal NULL.
pub fn struct_(fields: Vec<(String, Typed)>) -> Result<Typed> {
    let mut types: Vec<StructField> = Vec::with_capacity(fields.len());
    for (name, value) in &fields {
        if types.iter().any(|known| known.name == *name) {
            return Err(SqlError::invalid(format!(
                "Duplicate field names found in STRUCT: '{name}'"
            )));
        }
        let Some(ty) = value.ty.clone() else {
            let message = format!("Field '{name}' of STRUCT is NULL and so has no type");
            return Err(SqlError::invalid(message).hint("CAST(NULL AS type) gives it one"));
        };
        types.push(StructField { name: name.clone(), ty });
    }
    let values = fields.into_iter().map(|(_, value)| guard(value)).collect();
    Ok(call("STRUCT", make_struct, values, SqlType::Struct(types)))
}

/// Brings expressions to one type: numbers to the widest, literals leniently.
fn common_items(items: Vec<Typed>, made: &str, part: &str) -> Result<(Vec<Typed>, SqlType)> {
    let Some(mut common) = items.iter().find_map(|item| item.ty.clone()) else {
        let cast = if part == "key" { part } else { "value" };
        return Err(SqlError::invalid(format!(
            "Cannot construct {made} with all NULL {part}s {SEE} As a workaround, you may cast a NULL \
             {cast} to the desired type."
        )));
    };
    let mut typed = Vec::with_capacity(items.len());
    for item in items {
        let item = if common.is_numeric() { lax_number(item, &common)? } else { item };
        if let Some(ty) = &item.ty {
            match comparable(&common, ty).or_else(|| union(&common, ty)) {
                Some(wider) => common = wider,
                None if item.as_literal().is_some() => {}
                None => {
                    let message = format!("operator does not exist: {common} = {ty} ({item})");
                    let hint = "You might need to add explicit type casts.";
                    return Err(SqlError::invalid(format!("{message}\nHint: {hint}")));
                }
            }
        }
        typed.push(item);
    }
    let typed = typed.into_iter().map(|item| lax_coerce(item, &common));
    Ok((typed.collect::<Result<_>>()?, common))
}

/// STRUCTs of one list take the union of their fields.
fn union(left: &SqlType, right: &SqlType) -> Option<SqlType> {
    let (SqlType::Struct(left), SqlType::Struct(right)) = (left, right) else { return None };
    let mut fields = left.clone();
    for field in right {
        match fields.iter_mut().find(|known| known.name == field.name) {
            Some(known) => {
                known.ty =
                    comparable(&known.ty, &field.ty).or_else(|| union(&known.ty, &field.ty))?;
            }
            None => fields.push(field.clone()),
        }
    }
    Some(SqlType::Struct(fields))
}

/// Items side by side become rows of lists.
fn side_by_side(columns: &[ArrayRef], rows: usize) -> Result<ArrayRef, ArrowError> {
    let arrays: Vec<&dyn Array> = columns.iter().map(|column| column.as_ref()).collect();
    let order: Vec<(usize, usize)> =
        (0..rows).flat_map(|row| (0..columns.len()).map(move |column| (column, row))).collect();
    interleave(&arrays, &order)
}

fn make_array(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = args.returns else { return Err(mismatch("ARRAY", args.returns)) };
    let columns = (0..args.cols.len()).map(|i| args.array(i)).collect::<Result<Vec<_>, _>>()?;
    let values = side_by_side(&columns, args.rows)?;
    let offsets = OffsetBuffer::from_lengths(vec![columns.len(); args.rows]);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, None)?))
}

/// A later entry with the same key wins. A NULL key becomes the text `null`, which is what ksqlDB's
/// formats make of it; other key types have no such text, so there it is an error of the row.
fn make_map(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let columns = (0..args.cols.len()).map(|i| args.array(i)).collect::<Result<Vec<_>, _>>()?;
    let keys = columns.iter().step_by(2).map(named_null).collect::<Result<Vec<_>, _>>()?;
    let values: Vec<ArrayRef> = columns.iter().skip(1).step_by(2).cloned().collect();
    let (all_keys, all_values) = (concat_all(&keys)?, concat_all(&values)?);
    let same = equality(&all_keys, &all_keys)?;
    let (mut picked, mut lengths) = (Vec::new(), Vec::with_capacity(args.rows));
    for row in 0..args.rows {
        let before = picked.len();
        for entry in (0..keys.len()).map(|column| column * args.rows + row) {
            if all_keys.is_null(entry) {
                frame.fault(row, "a key of a MAP is NULL");
                continue;
            }
            let known = picked[before..].iter().position(|known| same(*known as usize, entry));
            match known {
                Some(at) => picked[before + at] = entry as u32,
                None => picked.push(entry as u32),
            }
        }
        lengths.push(picked.len() - before);
    }
    let picked = UInt32Array::from(picked);
    let (keys, values) = (take(&all_keys, &picked, None)?, take(&all_values, &picked, None)?);
    map_from(args.returns, keys, values, lengths, None)
}

fn named_null(keys: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if keys.null_count() == 0 || *keys.data_type() != DataType::Utf8 {
        return Ok(Arc::clone(keys));
    }
    let null = Scalar::new(StringArray::from(vec!["null"]));
    zip(&is_not_null(keys)?, keys, &null)
}

fn concat_all(columns: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let arrays: Vec<&dyn Array> = columns.iter().map(|column| column.as_ref()).collect();
    concat(&arrays)
}

/// A MAP column from its entries, of which row r has `lengths[r]`.
pub(crate) fn map_from(
    ty: &DataType,
    keys: ArrayRef,
    values: ArrayRef,
    lengths: Vec<usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Map(entry, _) = ty else { return Err(mismatch("MAP", ty)) };
    let DataType::Struct(fields) = entry.data_type() else { return Err(mismatch("MAP", ty)) };
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(Arc::clone(entry), offsets, entries, nulls, false)?))
}

fn make_struct(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = args.returns else {
        return Err(mismatch("STRUCT", args.returns));
    };
    let columns = (0..args.cols.len()).map(|i| args.array(i)).collect::<Result<Vec<_>, _>>()?;
    if columns.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(args.rows, None)));
    }
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
}
