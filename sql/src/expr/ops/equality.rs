//! Equality of values of any type, where NULL equals NULL, as Java's `equals` has it.

use arrow::array::{Array, ArrayRef, AsArray, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// Tells whether a row of the left array equals a row of the right one.
pub(crate) type Equality = Box<dyn Fn(usize, usize) -> bool>;

/// Equality between rows of two arrays of one type. Maps are equal whatever their order.
pub(crate) fn equality(left: &ArrayRef, right: &ArrayRef) -> Result<Equality, ArrowError> {
    let same: Equality = match left.data_type() {
        DataType::List(_) => lists(left, right)?,
        DataType::Map(..) => maps(left, right)?,
        DataType::Struct(_) => structs(left, right)?,
        _ => {
            let compare = make_comparator(left, right, SortOptions::default())?;
            return Ok(Box::new(move |l, r| compare(l, r).is_eq()));
        }
    };
    let (left_nulls, right_nulls) = (left.nulls().cloned(), right.nulls().cloned());
    Ok(Box::new(move |l, r| {
        let left_null = left_nulls.as_ref().is_some_and(|nulls| nulls.is_null(l));
        let right_null = right_nulls.as_ref().is_some_and(|nulls| nulls.is_null(r));
        (left_null && right_null) || (!left_null && !right_null && same(l, r))
    }))
}

fn lists(left: &ArrayRef, right: &ArrayRef) -> Result<Equality, ArrowError> {
    let (left, right) = (left.as_list::<i32>(), right.as_list::<i32>());
    let same = equality(left.values(), right.values())?;
    let (left, right) = (left.offsets().clone(), right.offsets().clone());
    Ok(Box::new(move |l, r| {
        let (start_left, start_right) = (left[l] as usize, right[r] as usize);
        let len = left[l + 1] as usize - start_left;
        len == right[r + 1] as usize - start_right
            && (0..len).all(|i| same(start_left + i, start_right + i))
    }))
}

fn maps(left: &ArrayRef, right: &ArrayRef) -> Result<Equality, ArrowError> {
    let (left, right) = (left.as_map(), right.as_map());
    let same_key = equality(left.keys(), right.keys())?;
    let same_value = equality(left.values(), right.values())?;
    let (left, right) = (left.offsets().clone(), right.offsets().clone());
    Ok(Box::new(move |l, r| {
        let left = left[l] as usize..left[l + 1] as usize;
        let right = right[r] as usize..right[r + 1] as usize;
        let mut entries = left.clone();
        left.len() == right.len()
            && entries.all(|l| right.clone().any(|r| same_key(l, r) && same_value(l, r)))
    }))
}

fn structs(left: &ArrayRef, right: &ArrayRef) -> Result<Equality, ArrowError> {
    let (left, right) = (left.as_struct(), right.as_struct());
    let pairs = left.columns().iter().zip(right.columns());
    let same = pairs.map(|(l, r)| equality(l, r)).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |l, r| same.iter().all(|same| same(l, r))))
}
