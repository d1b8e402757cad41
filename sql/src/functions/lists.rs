//! Rows of lists: where they begin and end, and lists put together from picked items.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;

use crate::expr::kernel::{Col, mismatch};
use crate::expr::ops::equality;

/// An ARRAY argument.
pub(super) struct Lists<'a> {
    col: &'a Col,
    list: &'a ListArray,
}

impl<'a> Lists<'a> {
    pub(super) fn new(col: &'a Col) -> Result<Self, ArrowError> {
        let list = col.array.as_list_opt::<i32>();
        let list = list.ok_or_else(|| mismatch("ARRAY", col.array.data_type()))?;
        Ok(Lists { col, list })
    }

    pub(super) fn values(&self) -> &'a ArrayRef {
        self.list.values()
    }

    /// The items of a row, as positions in `values`; `None`: the row is NULL.
    pub(super) fn row(&self, row: usize) -> Option<Range<usize>> {
        range(self.col, self.list.offsets(), row)
    }
}

/// A MAP argument.
pub(super) struct Maps<'a> {
    col: &'a Col,
    pub(super) map: &'a MapArray,
}

impl<'a> Maps<'a> {
    pub(super) fn new(col: &'a Col) -> Result<Self, ArrowError> {
        let map = col.array.as_map_opt();
        let map = map.ok_or_else(|| mismatch("MAP", col.array.data_type()))?;
        Ok(Maps { col, map })
    }

    /// The entries of a row; `None`: the row is NULL.
    pub(super) fn row(&self, row: usize) -> Option<Range<usize>> {
        range(self.col, self.map.offsets(), row)
    }
}

fn range(col: &Col, offsets: &OffsetBuffer<i32>, row: usize) -> Option<Range<usize>> {
    let at = col.row(row);
    (!col.is_null(row)).then(|| offsets[at] as usize..offsets[at + 1] as usize)
}

/// Lists that are being put together from items of another array.
pub(super) struct Picked {
    items: Vec<u32>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Picked {
    pub(super) fn new(rows: usize) -> Self {
        Picked {
            items: Vec::new(),
            lengths: Vec::with_capacity(rows),
            valid: Vec::with_capacity(rows),
        }
    }

    /// Ends a row; `None`: it is NULL.
    pub(super) fn row(&mut self, items: Option<impl IntoIterator<Item = usize>>) {
        let before = self.items.len();
        self.valid.push(items.is_some());
        self.items.extend(items.into_iter().flatten().map(|item| item as u32));
        self.lengths.push(self.items.len() - before);
    }

    pub(super) fn items(&self) -> UInt32Array {
        UInt32Array::from(self.items.clone())
    }

    pub(super) fn lengths(&self) -> Vec<usize> {
        self.lengths.clone()
    }

    pub(super) fn nulls(&self) -> Option<NullBuffer> {
        let nulls = NullBuffer::from(self.valid.clone());
        (nulls.null_count() > 0).then_some(nulls)
    }

    /// The lists, with their items taken from `values`.
    pub(super) fn finish(self, values: &ArrayRef, ty: &DataType) -> Result<ArrayRef, ArrowError> {
        let DataType::List(item) = ty else { return Err(mismatch("ARRAY", ty)) };
        let values = take(values, &self.items(), None)?;
        let offsets = OffsetBuffer::from_lengths(self.lengths.iter().copied());
        let nulls = self.nulls();
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
    }
}

/// A number per item such that equal items, and only those, have the same number. NULLs are equal.
pub(super) fn classes(values: &ArrayRef) -> Result<Vec<u32>, ArrowError> {
    let field = SortField::new(values.data_type().clone());
    if !RowConverter::supports_fields(std::slice::from_ref(&field)) {
        return classes_by_comparison(values);
    }
    let rows = RowConverter::new(vec![field])?.convert_columns(&[Arc::clone(values)])?;
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    let mut classes = Vec::with_capacity(values.len());
    for row in 0..rows.num_rows() {
        let next = known.len() as u32;
        classes.push(*known.entry(rows.row(row).data()).or_insert(next));
    }
    Ok(classes)
}

/// For items that contain MAPs, whose order does not count.
fn classes_by_comparison(values: &ArrayRef) -> Result<Vec<u32>, ArrowError> {
    let same = equality(values, values)?;
    let mut firsts: Vec<usize> = Vec::new();
    let mut classes = Vec::with_capacity(values.len());
    for item in 0..values.len() {
        let class = firsts.iter().position(|first| same(*first, item)).unwrap_or_else(|| {
            firsts.push(item);
            firsts.len() - 1
        });
        classes.push(class as u32);
    }
    Ok(classes)
}
