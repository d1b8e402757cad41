//! Table functions: each gives an ARRAY per row, whose items become rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, UInt32Builder};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::FunctionKind;
use super::lists::Lists;
use super::registry::{Body, Body::*, FunctionDoc, registry};
use super::resolve::{Arg, build, choose, shapes, unknown};
use crate::error::Result as SqlResult;
use crate::expr::Typed;
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, mismatch};
use crate::types::SqlType;

/// A table function as the table declares it. Signatures say what one row is; bodies give all.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// A call over literals, and the rows that it gives, by line.
    pub(super) example: (&'static str, &'static str),
    pub(super) overloads: &'static [(&'static str, Body)],
}

/// The longest array that CUBE_EXPLODE takes: it gives two to this power of rows.
const CUBE_ITEMS_MAX: usize = 20;

pub(super) static TABLES: [Table; 2] = [
    Table {
        name: "CUBE_EXPLODE",
        about: "A row per combination of keeping and nulling the items of an array, all NULL \
                first.",
        example: ("CUBE_EXPLODE(ARRAY[1, 2])", "[null, null]\n[null, 2]\n[1, null]\n[1, 2]"),
        overloads: &[("(ARRAY<T> list) -> ARRAY<T>", Kernel(cube))],
    },
    Table {
        name: "EXPLODE",
        about: "A row per item of an array; none for NULL and the empty array.",
        example: ("EXPLODE(ARRAY[1, 2])", "1\n2"),
        overloads: &[
            ("(ARRAY<DECIMAL> input) -> DECIMAL", Kernel(items)),
            ("(ARRAY<T> list) -> T", Kernel(items)),
        ],
    },
];

pub(super) fn doc(function: &'static Table) -> FunctionDoc {
    FunctionDoc {
        name: function.name,
        kind: FunctionKind::Table,
        category: "TABLE",
        signatures: function.overloads.iter().map(|(text, _)| text.to_string()).collect(),
        description: function.about,
        example: function.example.0,
        example_rows: &[],
        example_result: function.example.1,
    }
}

/// The call of a table function, as an expression that gives the ARRAY of its rows' values.
///
/// # Errors
/// When there is no such function or no overload fits.
pub fn resolve_table(name: &str, args: Vec<Typed>) -> SqlResult<Typed> {
    let upper = name.to_ascii_uppercase();
    let Some((name, overloads)) = registry().tables.get_key_value(upper.as_str()) else {
        return Err(unknown(name));
    };
    let args: Vec<Arg<'_>> = args.into_iter().map(Arg::Value).collect();
    let shown = name.to_ascii_lowercase();
    let (fit, overload) = choose(&shown, overloads, &shapes(&args), true)?;
    build(name, fit, overload, args, |item| SqlType::Array(Box::new(item)))
}

fn items(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    args.array(0)
}

fn cube(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::List(cell) = args.returns else { return Err(mismatch("ARRAY", args.returns)) };
    let DataType::List(item) = cell.data_type() else {
        return Err(mismatch("ARRAY of ARRAYs", args.returns));
    };
    let lists = Lists::new(args.col(0)?)?;
    let values = lists.values();
    // Items of all combinations one after the other, and how many combinations each row has.
    let (mut picked, mut lengths) = (UInt32Builder::new(), Vec::new());
    let (mut counts, mut valid) = (Vec::with_capacity(args.rows), Vec::with_capacity(args.rows));
    for row in 0..args.rows {
        let items = lists.row(row);
        valid.push(items.is_some());
        let items = items.unwrap_or_default();
        let known: Vec<usize> = items.clone().filter(|at| values.is_valid(*at)).collect();
        if items.len() > CUBE_ITEMS_MAX {
            frame.fault(row, format!("CUBE_EXPLODE takes at most {CUBE_ITEMS_MAX} items"));
            counts.push(0);
            continue;
        }
        let combinations = if valid[row] { 1usize << known.len() } else { 0 };
        for keep in 0..combinations {
            for at in items.clone() {
                // The first item that can be kept changes slowest.
                let place = known.iter().position(|known| *known == at);
                let kept = place.is_some_and(|p| keep >> (known.len() - 1 - p) & 1 == 1);
                picked.append_option(kept.then_some(at as u32));
            }
            lengths.push(items.len());
        }
        counts.push(combinations);
    }
    let inner = take(values, &picked.finish(), None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let inner = ListArray::try_new(Arc::clone(item), offsets, inner, None)?;
    let offsets = OffsetBuffer::from_lengths(counts);
    let nulls = NullBuffer::from(valid);
    Ok(Arc::new(ListArray::try_new(Arc::clone(cell), offsets, Arc::new(inner), Some(nulls))?))
}
