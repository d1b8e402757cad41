//! ARRAYs as sets.

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::error::ArrowError;
use hashbrown::HashSet;

use super::lists::{Lists, Picked, classes};
use super::registry::{Body::*, Scalar};
use crate::expr::frame::Frame;
use crate::expr::kernel::Args;

const ARRAY: &str = "ARRAY";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "ARRAY_DISTINCT",
        category: ARRAY,
        about: "The items without duplicates, in order of first occurrence.",
        example: ("CAST(ARRAY_DISTINCT(ARRAY[1, 2, 1, NULL, NULL]) AS STRING)", "[1, 2, null]"),
        overloads: &[("(ARRAY<T>) -> ARRAY<T>", Kernel(distinct))],
    },
    Scalar {
        name: "ARRAY_EXCEPT",
        category: ARRAY,
        about: "The distinct items of the first array that the second does not have.",
        example: ("CAST(ARRAY_EXCEPT(ARRAY[1, 2, 3, 1], ARRAY[2]) AS STRING)", "[1, 3]"),
        overloads: &[(
            "(ARRAY<T>, ARRAY<T>) -> ARRAY<T>",
            Kernel(|args, _| of_two(args, |left, right| minus(left, right, false))),
        )],
    },
    Scalar {
        name: "ARRAY_INTERSECT",
        category: ARRAY,
        about: "The distinct items that both arrays have.",
        example: ("CAST(ARRAY_INTERSECT(ARRAY[1, 2, 3], ARRAY[3, 1]) AS STRING)", "[1, 3]"),
        overloads: &[(
            "(ARRAY<T>, ARRAY<T>) -> ARRAY<T>",
            Kernel(|args, _| of_two(args, |left, right| minus(left, right, true))),
        )],
    },
    Scalar {
        name: "ARRAY_UNION",
        category: ARRAY,
        about: "The distinct items of both arrays.",
        example: ("CAST(ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3]) AS STRING)", "[1, 2, 3]"),
        overloads: &[(
            "(ARRAY<T>, ARRAY<T>) -> ARRAY<T>",
            Kernel(|args, _| of_two(args, |left, right| firsts(left.iter().chain(right)))),
        )],
    },
];

/// An item: its position and its class.
type Item = (usize, u32);

fn distinct(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let lists = Lists::new(args.col(0)?)?;
    let classes = classes(lists.values())?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        out.row(lists.row(row).map(|items| {
            let items: Vec<Item> = items.map(|item| (item, classes[item])).collect();
            firsts(items.iter())
        }));
    }
    out.finish(lists.values(), args.returns)
}

fn of_two(
    args: &Args<'_>,
    f: impl Fn(&[Item], &[Item]) -> Vec<usize>,
) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (Lists::new(args.col(0)?)?, Lists::new(args.col(1)?)?);
    let shift = left.values().len();
    let values = concat(&[left.values().as_ref(), right.values().as_ref()])?;
    let classes = classes(&values)?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        out.row(left.row(row).zip(right.row(row)).map(|(left, right)| {
            let left: Vec<Item> = left.map(|item| (item, classes[item])).collect();
            let right = right.map(|item| (item + shift, classes[item + shift]));
            f(&left, &right.collect::<Vec<_>>())
        }));
    }
    out.finish(&values, args.returns)
}

/// The first item of each class.
fn firsts<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<usize> {
    let mut seen = HashSet::new();
    items.filter(|(_, class)| seen.insert(*class)).map(|(item, _)| *item).collect()
}

/// The distinct items of `left` that are in `right` (`common`), or are not.
fn minus(left: &[Item], right: &[Item], common: bool) -> Vec<usize> {
    let others: HashSet<u32> = right.iter().map(|(_, class)| *class).collect();
    firsts(left.iter().filter(|(_, class)| others.contains(class) == common))
}
