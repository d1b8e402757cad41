//! Functions of ARRAY.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int32Array, StringBuilder, UInt32Array, make_comparator,
};
use arrow::compute::{SortOptions, cast, concat, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::lists::{Lists, Picked};
use super::registry::{Body::*, Scalar};
use crate::error::{Result as SqlResult, SqlError};
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Big, Int, Str};
use crate::expr::ops::equality;
use crate::expr::{Typed, convert_column};
use crate::types::SqlType;

const ARRAY: &str = "ARRAY";

/// The longest array that GENERATE_SERIES makes.
const SERIES_ITEMS_MAX: i64 = 1 << 20;

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "ARRAY_CONCAT",
        category: ARRAY,
        about: "The items of both arrays.",
        example: ("CAST(ARRAY_CONCAT(ARRAY[1, 2], ARRAY[2, 3]) AS STRING)", "[1, 2, 2, 3]"),
        overloads: &[("(ARRAY<T>, ARRAY<T>) -> ARRAY<T>", Kernel(array_concat))],
    },
    Scalar {
        name: "ARRAY_CONTAINS",
        category: ARRAY,
        about: "Is the value among the items?",
        example: ("ARRAY_CONTAINS(ARRAY[1, 2], 2)", "true"),
        overloads: &[("(ARRAY<T>, T) -> BOOLEAN", Kernel(contains))],
    },
    Scalar {
        name: "ARRAY_JOIN",
        category: ARRAY,
        about: "The items as one text, separated by a comma or the second argument.",
        example: ("ARRAY_JOIN(ARRAY[1, 2, 3], '-')", "1-2-3"),
        overloads: &[
            ("(ARRAY<T>) -> STRING", Typed(join, join_type)),
            ("(ARRAY<T>, STRING) -> STRING", Typed(join, join_type)),
        ],
    },
    Scalar {
        name: "ARRAY_LENGTH",
        category: ARRAY,
        about: "The number of items.",
        example: ("ARRAY_LENGTH(ARRAY[1, 2, 3])", "3"),
        overloads: &[("(ARRAY<T>) -> INT", Kernel(length))],
    },
    Scalar {
        name: "ARRAY_MAX",
        category: ARRAY,
        about: "The largest item that is not NULL.",
        example: ("ARRAY_MAX(ARRAY[1, 3, 2])", "3"),
        overloads: &[("(ARRAY<T>) -> T", Typed(|a, _| extreme(a, Ordering::Greater), item_type))],
    },
    Scalar {
        name: "ARRAY_MIN",
        category: ARRAY,
        about: "The smallest item that is not NULL.",
        example: ("ARRAY_MIN(ARRAY[2, 1, 3])", "1"),
        overloads: &[("(ARRAY<T>) -> T", Typed(|a, _| extreme(a, Ordering::Less), item_type))],
    },
    Scalar {
        name: "ARRAY_REMOVE",
        category: ARRAY,
        about: "The items that are not equal to the value.",
        example: ("CAST(ARRAY_REMOVE(ARRAY[1, 2, 1], 1) AS STRING)", "[2]"),
        overloads: &[("(ARRAY<T>, T) -> ARRAY<T>", Kernel(remove))],
    },
    Scalar {
        name: "ARRAY_SORT",
        category: ARRAY,
        about: "The items in order, ASC or DESC; NULLs last.",
        example: ("CAST(ARRAY_SORT(ARRAY[2, NULL, 3, 1], 'DESC') AS STRING)", "[3, 2, 1, null]"),
        overloads: &[
            ("(ARRAY<T>) -> ARRAY<T>", Kernel(sort)),
            ("(ARRAY<T>, STRING) -> ARRAY<T>", Kernel(sort)),
        ],
    },
    Scalar {
        name: "GENERATE_SERIES",
        category: ARRAY,
        about: "The numbers from the first to the second argument, by a step.",
        example: ("CAST(GENERATE_SERIES(1, 7, 3) AS STRING)", "[1, 4, 7]"),
        overloads: &[
            ("(INT, INT) -> ARRAY<INT>", Kernel(series)),
            ("(INT, INT, INT) -> ARRAY<INT>", Kernel(series)),
            ("(BIGINT, BIGINT) -> ARRAY<BIGINT>", Kernel(series)),
            ("(BIGINT, BIGINT, INT) -> ARRAY<BIGINT>", Kernel(series)),
        ],
    },
    Scalar {
        name: "SLICE",
        category: ARRAY,
        about: "The items from one position, from 1, to another.",
        example: ("CAST(SLICE(ARRAY[1, 2, 3, 4], 2, 3) AS STRING)", "[2, 3]"),
        overloads: &[("(ARRAY<T>, INT, INT) -> ARRAY<T>", Kernel(slice))],
    },
];

fn item_type(args: &[Typed]) -> SqlResult<SqlType> {
    match args.first().and_then(|arg| arg.ty.as_ref()) {
        Some(SqlType::Array(item)) => match **item {
            SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) => {
                Err(SqlError::invalid(format!("items of type {item} have no order")))
            }
            _ => Ok((**item).clone()),
        },
        _ => Err(SqlError::invalid("an ARRAY was expected")),
    }
}

fn join_type(args: &[Typed]) -> SqlResult<SqlType> {
    use SqlType::*;
    match item_type(args)? {
        Boolean | Integer | Bigint | Double | Decimal { .. } | String => Ok(String),
        ty => Err(SqlError::invalid(format!("ARRAY_JOIN does not take items of type {ty}"))),
    }
}

fn array_concat(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (Lists::new(args.col(0)?)?, Lists::new(args.col(1)?)?);
    let shift = left.values().len();
    let values = concat(&[left.values().as_ref(), right.values().as_ref()])?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        let (l, r) = (left.row(row), right.row(row));
        let none = l.is_none() && r.is_none();
        let items = l.into_iter().flatten().chain(r.into_iter().flatten().map(|item| item + shift));
        out.row((!none).then_some(items));
    }
    out.finish(&values, args.returns)
}

fn contains(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (lists, value) = (Lists::new(args.col(0)?)?, args.col(1)?);
    let same = equality(lists.values(), &value.array)?;
    let found = (0..args.rows).map(|row| {
        let mut items = lists.row(row).into_iter().flatten();
        items.any(|item| same(item, value.row(row)))
    });
    Ok(Arc::new(BooleanArray::from(found.collect::<Vec<_>>())))
}

fn remove(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (lists, value) = (Lists::new(args.col(0)?)?, args.col(1)?);
    let same = equality(lists.values(), &value.array)?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        let keep = |item: &usize| !same(*item, value.row(row));
        out.row(lists.row(row).map(|items| items.filter(keep)));
    }
    out.finish(lists.values(), args.returns)
}

fn join(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let lists = Lists::new(args.col(0)?)?;
    let texts = convert_column(lists.values(), &DataType::Utf8, frame)?;
    let texts = crate::expr::kernel::Col { array: texts, constant: false };
    let mut out = StringBuilder::with_capacity(args.rows, args.rows * 16);
    for row in 0..args.rows {
        let Some(items) = lists.row(row) else {
            out.append_null();
            continue;
        };
        let delimiter = match args.cols.get(1) {
            Some(col) => col.get::<Str>(row)?.unwrap_or(""),
            None => ",",
        };
        for (place, item) in items.enumerate() {
            let between = if place > 0 { delimiter } else { "" };
            let text = texts.get::<Str>(item)?.unwrap_or("null");
            let _ = write!(out, "{between}{text}");
        }
        out.append_value("");
    }
    Ok(Arc::new(out.finish()))
}

fn length(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let lists = Lists::new(args.col(0)?)?;
    let lengths = (0..args.rows).map(|row| lists.row(row).map(|items| items.len() as i32));
    Ok(Arc::new(lengths.collect::<Int32Array>()))
}

fn extreme(args: &Args<'_>, want: Ordering) -> Result<ArrayRef, ArrowError> {
    let lists = Lists::new(args.col(0)?)?;
    let values = lists.values();
    let compare = make_comparator(values, values, SortOptions::default())?;
    let best = (0..args.rows).map(|row| {
        let items = lists.row(row)?.filter(|item| values.is_valid(*item));
        let better =
            |best: usize, item: usize| if compare(item, best) == want { item } else { best };
        items.reduce(better).map(|item| item as u32)
    });
    take(values, &best.collect::<UInt32Array>(), None)
}

fn sort(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let lists = Lists::new(args.col(0)?)?;
    let compare = make_comparator(lists.values(), lists.values(), SortOptions::default())?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        let direction = match args.cols.get(1) {
            Some(col) => col.get::<Str>(row)?.map(str::to_ascii_uppercase),
            None => Some("ASC".to_string()),
        };
        let descending = match direction.as_deref() {
            Some("ASC" | "ASCENDING") => Some(false),
            Some("DESC" | "DESCENDING") => Some(true),
            _ => None,
        };
        out.row(lists.row(row).zip(descending).map(|(items, descending)| {
            let is_null = |item: &usize| lists.values().is_null(*item);
            let (nulls, mut items): (Vec<usize>, Vec<usize>) = items.partition(is_null);
            match descending {
                false => items.sort_by(|l, r| compare(*l, *r)),
                true => items.sort_by(|l, r| compare(*r, *l)),
            }
            items.extend(nulls);
            items
        }));
    }
    out.finish(lists.values(), args.returns)
}

fn slice(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let lists = Lists::new(args.col(0)?)?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        let (from, to) = (args.col(1)?.get::<Int>(row)?, args.col(2)?.get::<Int>(row)?);
        out.row(lists.row(row).and_then(|items| {
            let length = items.len() as i64;
            let from = from.map_or(1, i64::from) - 1;
            let to = to.map_or(length, i64::from);
            let inside = from >= 0 && to <= length && from <= to;
            inside.then(|| items.start + from as usize..items.start + to as usize)
        }));
    }
    out.finish(lists.values(), args.returns)
}

fn series(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let number = |index: usize, row: usize| -> Result<Option<i64>, ArrowError> {
        let col = args.col(index)?;
        Ok(match col.array.data_type() {
            DataType::Int32 => col.get::<Int>(row)?.map(i64::from),
            _ => col.get::<Big>(row)?,
        })
    };
    let (mut values, mut out) = (Vec::new(), Picked::new(args.rows));
    for row in 0..args.rows {
        let step = if args.cols.len() > 2 { number(2, row)? } else { Some(0) };
        let made = match (number(0, row)?, number(1, row)?, step) {
            (Some(start), Some(end), Some(step)) => {
                let default = if end > start { 1 } else { -1 };
                one_series(start, end, if args.cols.len() > 2 { step } else { default })
            }
            _ => Err("an argument of GENERATE_SERIES is NULL"),
        };
        let from = values.len();
        match made {
            Ok(items) => {
                values.extend(items);
                out.row(Some(from..values.len()));
            }
            Err(message) => {
                frame.fault(row, message);
                out.row(None::<std::ops::Range<usize>>);
            }
        }
    }
    let values: ArrayRef = Arc::new(arrow::array::Int64Array::from(values));
    let values = match args.returns {
        DataType::List(item) => cast(&values, item.data_type())?,
        _ => values,
    };
    out.finish(&values, args.returns)
}

fn one_series(start: i64, end: i64, step: i64) -> Result<Vec<i64>, &'static str> {
    if step == 0 {
        return Err("GENERATE_SERIES step cannot be zero");
    }
    if (end > start && step < 0) || (end < start && step > 0) {
        return Err("GENERATE_SERIES step has wrong sign");
    }
    let steps = (i128::from(end) - i128::from(start)) / i128::from(step);
    if steps >= i128::from(SERIES_ITEMS_MAX) {
        return Err("GENERATE_SERIES would make too many items");
    }
    Ok((0..=steps as i64).map(|at| start + at * step).collect())
}
