//! The order in which Java's `HashMap` hands out entries: ksqlDB's maps are such, so it shows
//! wherever a map becomes a list or a text.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};

/// The entries of one map, given by the range of its `keys`, in the order of a Java hash table
/// that was made for their number. Keys of other types than STRING, INT and BIGINT stay in order.
pub(crate) fn hash_order(keys: &ArrayRef, entries: Range<usize>) -> Vec<usize> {
    let mut order: Vec<usize> = entries.collect();
    if order.len() < 2 {
        return order;
    }
    let buckets = buckets(order.len());
    let hash: &dyn Fn(usize) -> u32 = match keys.data_type() {
        DataType::Utf8 => &|at| string_hash(keys.as_string::<i32>().value(at)),
        DataType::Int32 => &|at| keys.as_primitive::<Int32Type>().value(at) as u32,
        DataType::Int64 => &|at| {
            let value = keys.as_primitive::<Int64Type>().value(at) as u64;
            (value ^ (value >> 32)) as u32
        },
        _ => return order,
    };
    order.sort_by_cached_key(|at| {
        let hash = hash(*at);
        (hash ^ (hash >> 16)) & (buckets - 1)
    });
    order
}

/// A table made for `len` entries has the next power of two, and grows when filled to 3/4.
fn buckets(len: usize) -> u32 {
    let first = len.next_power_of_two();
    let table = if len > first / 4 * 3 { first * 2 } else { first };
    u32::try_from(table).unwrap_or(1 << 31)
}

fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn orders_are_those_of_java() {
        let cases: [(&[&str], &[usize]); 4] = [
            (&["yes, thanks", "nope", "sure, yeah"], &[0, 2, 1]),
            (&["b", "a"], &[1, 0]),
            (&["foo", "bar", "baz"], &[1, 2, 0]),
            (&["only"], &[0]),
        ];
        for (keys, want) in cases {
            let array: ArrayRef = Arc::new(arrow::array::StringArray::from(keys.to_vec()));
            assert_eq!(hash_order(&array, 0..keys.len()), want, "{keys:?}");
        }
        assert_eq!(string_hash("hello"), 99_162_322);
    }
}
