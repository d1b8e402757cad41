//! Functions that only conformance tests use: of all shapes, and such that fail on purpose. They
//! exist in a process that has called [`super::add_test_functions`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{nullif, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::aggregates::{Aggregate, Example, Undo};
use super::lists::{Lists, Maps};
use super::registry::{Body, Body::*, Scalar};
use super::tables::Table;
use crate::expr::convert_column;
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Bool, Int, Prim, mismatch, ok, rows1, rows2};

const TEST: &str = "TEST";

const fn scalar(name: &'static str, overloads: &'static [(&'static str, Body)]) -> Scalar {
    Scalar { name, category: TEST, about: "Only for tests.", example: ("", ""), overloads }
}

pub(super) static SCALARS: [Scalar; 4] = [
    scalar(
        "BAD_UDF",
        &[
            ("(INT) -> STRING", Kernel(boom)),
            ("(BOOLEAN) -> INT", Kernel(throws_if)),
            ("(STRING) -> STRING", Counting(every_second)),
        ],
    ),
    scalar(
        "TEST_UDF",
        &[
            ("(INT, STRING) -> STRING", Kernel(|args, _| Ok(text(args, "doStuffIntString")))),
            ("(BIGINT, STRING) -> STRING", Kernel(|args, _| Ok(text(args, "doStuffLongString")))),
            (
                "(BIGINT, BIGINT, STRING) -> STRING",
                Kernel(|args, _| Ok(text(args, "doStuffLongLongString"))),
            ),
            ("(BIGINT...) -> STRING", Kernel(|args, _| Ok(text(args, "doStuffLongVarargs")))),
            ("(STRUCT<A STRING>) -> STRING", Kernel(first_member)),
            ("() -> STRUCT<A STRING>", Kernel(foo)),
        ],
    ),
    scalar("WHENCONDITION", &[("(BOOLEAN, BOOLEAN) -> BOOLEAN", Kernel(condition))]),
    scalar("WHENRESULT", &[("(INT, BOOLEAN) -> INT", Kernel(result))]),
];

fn text(args: &Args<'_>, value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value; args.rows]))
}

fn boom(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    (0..args.rows).for_each(|row| frame.fault(row, "boom!"));
    Ok(text(args, ""))
}

fn throws_if(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows1::<Prim<Bool>, Int>(args, frame, |throw| match throw {
        true => Err("You asked me to throw...".into()),
        false => ok(0),
    })
}

/// NULL and the argument in turn, over all rows that the call sees.
fn every_second(args: &Args<'_>, before: u64) -> Result<ArrayRef, ArrowError> {
    let value = args.array(0)?;
    let absent = (0..args.rows as u64).map(|row| (before + row).is_multiple_of(2));
    nullif(&value, &BooleanArray::from_iter(absent.map(Some)))
}

fn first_member(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let value = args.array(0)?;
    let members = value.as_struct_opt().ok_or_else(|| mismatch("STRUCT", value.data_type()))?;
    Ok(Arc::clone(members.column(0)))
}

fn foo(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = args.returns else {
        return Err(mismatch("STRUCT", args.returns));
    };
    Ok(Arc::new(StructArray::try_new(fields.clone(), vec![text(args, "foo")], None)?))
}

const NOT_LAZY: &str = "When condition in case is not running lazily!";

fn condition(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Prim<Bool>, Prim<Bool>, Bool>(args, frame, |value, wanted| match wanted {
        true => ok(value),
        false => Err(NOT_LAZY.into()),
    })
}

fn result(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Prim<Int>, Prim<Bool>, Int>(args, frame, |value, wanted| match wanted {
        true => ok(value),
        false => Err(NOT_LAZY.into()),
    })
}

const fn table(name: &'static str, overloads: &'static [(&'static str, Body)]) -> Table {
    Table { name, about: "Only for tests.", example: ("", ""), overloads }
}

pub(super) static TABLES: &[Table] = &[
    table(
        "TEST_UDTF",
        &[
            (
                "(INT, BIGINT, DOUBLE, BOOLEAN, STRING, DECIMAL, STRUCT<A STRING>) -> STRING",
                Kernel(texts),
            ),
            (
                "(ARRAY<INT>, ARRAY<BIGINT>, ARRAY<DOUBLE>, ARRAY<BOOLEAN>, ARRAY<STRING>, \
                 ARRAY<DECIMAL>, ARRAY<STRUCT<A STRING>>) -> STRING",
                Kernel(texts),
            ),
            (
                "(MAP<STRING, INT>, MAP<STRING, BIGINT>, MAP<STRING, DOUBLE>, \
                 MAP<STRING, BOOLEAN>, MAP<STRING, STRING>, MAP<STRING, DECIMAL>, \
                 MAP<STRING, STRUCT<A STRING>>) -> STRING",
                Kernel(texts),
            ),
            (
                "(MAP<BIGINT, INT>, MAP<STRING, BIGINT>, MAP<STRING, DOUBLE>, \
                 MAP<STRING, BOOLEAN>, MAP<STRING, STRING>, MAP<STRING, DECIMAL>, \
                 MAP<STRING, STRUCT<A STRING>>) -> STRING",
                Kernel(texts),
            ),
            ("(INT) -> INT", Kernel(echo)),
            ("(BIGINT) -> BIGINT", Kernel(echo)),
            ("(DOUBLE) -> DOUBLE", Kernel(echo)),
            ("(BOOLEAN) -> BOOLEAN", Kernel(echo)),
            ("(STRING) -> STRING", Kernel(echo)),
            ("(DECIMAL) -> DECIMAL(30, 10)", Kernel(echo)),
            ("(STRUCT<A STRING>) -> STRUCT<A STRING>", Kernel(echo)),
        ],
    ),
    table("THROWING_UDTF", &[("(BOOLEAN) -> BOOLEAN", Kernel(throwing))]),
];

/// Lists of one value per row.
fn ones(args: &Args<'_>, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = args.returns else { return Err(mismatch("ARRAY", args.returns)) };
    let offsets = OffsetBuffer::from_lengths(vec![1; args.rows]);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, None)?))
}

fn echo(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = args.returns else { return Err(mismatch("ARRAY", args.returns)) };
    let value = convert_column(&args.array(0)?, item.data_type(), frame)?;
    ones(args, value)
}

fn throwing(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    throws_if(&Args { returns: &DataType::Int32, ..*args }, frame)?;
    ones(args, Arc::new(BooleanArray::from(vec![false; args.rows])))
}

/// One row per argument: its text, or that of its first item or value.
fn texts(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = args.returns else { return Err(mismatch("ARRAY", args.returns)) };
    let mut columns = Vec::with_capacity(args.cols.len());
    for at in 0..args.cols.len() {
        columns.push(convert_column(&first_of(args, at)?, &DataType::Utf8, frame)?);
    }
    let arrays: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
    let order = (0..args.rows).flat_map(|row| (0..columns.len()).map(move |col| (col, row)));
    let values = arrow::compute::interleave(&arrays, &order.collect::<Vec<_>>())?;
    let offsets = OffsetBuffer::from_lengths(vec![columns.len(); args.rows]);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, None)?))
}

fn first_of(args: &Args<'_>, at: usize) -> Result<ArrayRef, ArrowError> {
    let col = args.col(at)?;
    let firsts = |range: &dyn Fn(usize) -> Option<std::ops::Range<usize>>| {
        let first = |row| range(row).and_then(|mut r| r.next()).map(|item| item as i32);
        (0..args.rows).map(first).collect::<Int32Array>()
    };
    match col.array.data_type() {
        DataType::List(_) => {
            let lists = Lists::new(col)?;
            take(lists.values(), &firsts(&|row| lists.row(row)), None)
        }
        DataType::Map(..) => {
            let maps = Maps::new(col)?;
            take(maps.map.values(), &firsts(&|row| maps.row(row)), None)
        }
        _ => args.array(at),
    }
}

const fn aggregate(
    name: &'static str,
    table_ok: Undo,
    overloads: &'static [&'static str],
) -> Aggregate {
    Aggregate {
        name,
        about: "Only for tests.",
        example: Example { call: "", rows: &[], result: "" },
        table_ok,
        nested_state: false,
        overloads,
        returns: None,
    }
}

pub(super) static AGGREGATES: &[Aggregate] = &[
    aggregate(
        "TEST_UDAF",
        Undo::First(2),
        &[
            "(BIGINT) -> BIGINT",
            "(INT) -> BIGINT",
            "(DOUBLE) -> DOUBLE",
            "(STRING, !STRING) -> BIGINT",
            "(STRUCT<A INT, B INT>) -> STRUCT<A INT, B INT>",
        ],
    ),
    aggregate("VAR_ARG", Undo::No, &["(BIGINT, STRING...) -> BIGINT"]),
    aggregate("MID_VAR_ARG", Undo::No, &["(BIGINT, STRING..., !INT, !INT) -> BIGINT"]),
    aggregate("MULTI_ARG", Undo::No, &["(BIGINT, STRING, !INT, !STRING...) -> BIGINT"]),
    aggregate(
        "FOUR_ARG",
        Undo::No,
        &["(BIGINT, STRING, STRING, STRING, !INT, !STRING...) -> BIGINT"],
    ),
    aggregate(
        "FIVE_ARG",
        Undo::No,
        &["(BIGINT, STRING, STRING, STRING, INT, !INT, !STRING...) -> BIGINT"],
    ),
    aggregate("OBJ_COL_ARG", Undo::No, &["(INT, ANY...) -> ARRAY<INT>"]),
    aggregate("GENERIC_VAR_ARG", Undo::No, &["(A, B, C...) -> ARRAY<A>"]),
];

/// The messages show the aggregates among these in upper case.
pub(super) fn is_upper(name: &str) -> bool {
    AGGREGATES.iter().any(|aggregate| aggregate.name == name && name != "TEST_UDAF")
}
