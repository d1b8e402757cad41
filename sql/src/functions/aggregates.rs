//! Signatures of the aggregate functions; the engine computes them.

use datafusion::scalar::ScalarValue;

use super::FunctionKind;
use super::registry::{FunctionDoc, registry};
use super::resolve::{choose, spelled, unknown};
use super::signature::Shape;
use crate::error::{Result, SqlError};
use crate::expr::Typed;
use crate::types::{SqlType, StructField};

/// How an aggregate call is executed.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateSignature {
    /// Evaluated per row. Empty for `COUNT(*)`.
    pub row_args: Vec<Typed>,
    /// Constant parameters: k of TOPK; n (INTEGER) and ignoreNulls (BOOLEAN) of LATEST_BY_OFFSET.
    pub params: Vec<ScalarValue>,
    pub returns: SqlType,
    /// It can take a value back, so it may run on a table.
    pub table_ok: bool,
    /// What ksqlDB keeps while aggregating is no plain value; formats of plain values refuse it.
    pub nested_state: bool,
}

/// An aggregate function as the table declares it.
pub(super) struct Aggregate {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) example: Example,
    /// Overloads that can take a value back; by number.
    pub(super) table_ok: Undo,
    pub(super) nested_state: bool,
    pub(super) overloads: &'static [&'static str],
    /// The result's type, where the signature cannot tell it.
    pub(super) returns: Option<fn(&[Typed]) -> SqlType>,
}

/// A call over columns X, Y, Z, their rows, and what it gives.
pub(super) struct Example {
    pub(super) call: &'static str,
    pub(super) rows: &'static [&'static str],
    pub(super) result: &'static str,
}

/// Which overloads can take a value back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    All,
    No,
    /// The first ones, so many.
    First(usize),
}

const ORDERED: [&str; 9] = [
    "(INT) -> INT",
    "(BIGINT) -> BIGINT",
    "(DOUBLE) -> DOUBLE",
    "(DECIMAL) -> DECIMAL",
    "(STRING) -> STRING",
    "(BYTES) -> BYTES",
    "(DATE) -> DATE",
    "(TIME) -> TIME",
    "(TIMESTAMP) -> TIMESTAMP",
];

const BY_OFFSET: [&str; 4] =
    ["(T) -> T", "(T, !BOOLEAN) -> T", "(T, !INT) -> ARRAY<T>", "(T, !INT, !BOOLEAN) -> ARRAY<T>"];

const TOP: [&str; 9] = [
    "(INT, !INT) -> ARRAY<INT>",
    "(BIGINT, !INT) -> ARRAY<BIGINT>",
    "(DOUBLE, !INT) -> ARRAY<DOUBLE>",
    "(STRING, !INT) -> ARRAY<STRING>",
    "(DECIMAL, !INT) -> ARRAY<DECIMAL>",
    "(DATE, !INT) -> ARRAY<DATE>",
    "(TIME, !INT) -> ARRAY<TIME>",
    "(TIMESTAMP, !INT) -> ARRAY<TIMESTAMP>",
    "(BYTES, !INT) -> ARRAY<BYTES>",
];

/// With other columns the items are STRUCTs.
const TOP_WIDE: [&str; 4] = [
    "(INT, ANY..., !INT) -> ARRAY<INT>",
    "(BIGINT, ANY..., !INT) -> ARRAY<BIGINT>",
    "(DOUBLE, ANY..., !INT) -> ARRAY<DOUBLE>",
    "(STRING, ANY..., !INT) -> ARRAY<STRING>",
];

const MEAN: [&str; 3] = ["(INT) -> DOUBLE", "(BIGINT) -> DOUBLE", "(DOUBLE) -> DOUBLE"];

/// A function without peculiarities.
const fn plain(
    name: &'static str,
    about: &'static str,
    example: Example,
    overloads: &'static [&'static str],
) -> Aggregate {
    Aggregate {
        name,
        about,
        example,
        table_ok: Undo::No,
        nested_state: false,
        overloads,
        returns: None,
    }
}

const fn example(
    call: &'static str,
    rows: &'static [&'static str],
    result: &'static str,
) -> Example {
    Example { call, rows, result }
}

pub(super) static AGGREGATES: [Aggregate; 18] = [
    Aggregate {
        table_ok: Undo::All,
        nested_state: true,
        ..plain(
            "ATTR",
            "The value that all rows of the group share, NULL counting as a value; NULL if there are several.",
            example("ATTR(X)", &["7", "7"], "7"),
            &["(T) -> T"],
        )
    },
    Aggregate {
        table_ok: Undo::All,
        nested_state: true,
        ..plain(
            "AVG",
            "The mean of the values that are not NULL; 0.0 if there are none.",
            example("AVG(X)", &["1", "2", "NULL"], "1.5"),
            &MEAN,
        )
    },
    Aggregate {
        table_ok: Undo::All,
        nested_state: true,
        ..plain(
            "COLLECT_LIST",
            "All values in order of arrival, NULLs too.",
            example("COLLECT_LIST(X)", &["1", "2", "1"], "[1, 2, 1]"),
            &["(T) -> ARRAY<T>"],
        )
    },
    Aggregate {
        nested_state: true,
        ..plain(
            "COLLECT_SET",
            "The distinct values in order of first arrival.",
            example("COLLECT_SET(X)", &["1", "2", "1"], "[1, 2]"),
            &["(T) -> ARRAY<T>"],
        )
    },
    Aggregate {
        table_ok: Undo::All,
        nested_state: true,
        ..plain(
            "CORRELATION",
            "The Pearson correlation of the pairs in which nothing is NULL; NaN where there is none.",
            example("CORRELATION(X, Y)", &["1, 2", "2, 4", "3, 6"], "1.0"),
            &["(INT, INT) -> DOUBLE", "(BIGINT, BIGINT) -> DOUBLE", "(DOUBLE, DOUBLE) -> DOUBLE"],
        )
    },
    Aggregate {
        table_ok: Undo::All,
        ..plain(
            "COUNT",
            "The number of rows, or of values that are not NULL.",
            example("COUNT(X)", &["1", "NULL", "3"], "2"),
            &["() -> BIGINT", "(T) -> BIGINT"],
        )
    },
    Aggregate {
        nested_state: true,
        ..plain(
            "COUNT_DISTINCT",
            "An estimate (error below 1%) of the number of distinct values.",
            example("COUNT_DISTINCT(X)", &["1", "2", "1"], "2"),
            &["(T) -> BIGINT"],
        )
    },
    Aggregate {
        nested_state: true,
        ..plain(
            "EARLIEST_BY_OFFSET",
            "The first value, or the first n, in order of processing; NULLs are skipped unless ignoreNulls is FALSE.",
            example("EARLIEST_BY_OFFSET(X, 2)", &["1", "NULL", "3", "4"], "[1, 3]"),
            &BY_OFFSET,
        )
    },
    Aggregate {
        table_ok: Undo::All,
        nested_state: true,
        ..plain(
            "HISTOGRAM",
            "How often each text occurs; of more than 1000 texts the first ones.",
            example("HISTOGRAM(X)", &["'a'", "'b'", "'a'"], "{a=2, b=1}"),
            &["(STRING) -> MAP<STRING, BIGINT>"],
        )
    },
    Aggregate {
        nested_state: true,
        ..plain(
            "LATEST_BY_OFFSET",
            "The last value, or the last n, in order of processing; NULLs are skipped unless ignoreNulls is FALSE.",
            example("LATEST_BY_OFFSET(X)", &["1", "2", "NULL"], "2"),
            &BY_OFFSET,
        )
    },
    Aggregate {
        ..plain(
            "MAX",
            "The largest value; NULL if there is none.",
            example("MAX(X)", &["1", "3", "2"], "3"),
            &ORDERED,
        )
    },
    Aggregate {
        ..plain(
            "MIN",
            "The smallest value; NULL if there is none.",
            example("MIN(X)", &["2", "1", "3"], "1"),
            &ORDERED,
        )
    },
    Aggregate {
        table_ok: Undo::All,
        nested_state: true,
        ..plain(
            "STDDEV_SAMP",
            "The sample variance (the name is older than the square root); see STDDEV_SAMPLE.",
            example("STDDEV_SAMP(X)", &["1", "2", "3"], "1.0"),
            &MEAN,
        )
    },
    Aggregate {
        table_ok: Undo::All,
        nested_state: true,
        ..plain(
            "STDDEV_SAMPLE",
            "The standard deviation of a sample; 0.0 for fewer than two values.",
            example("STDDEV_SAMPLE(X)", &["2", "4", "6"], "2.0"),
            &MEAN,
        )
    },
    Aggregate {
        table_ok: Undo::All,
        ..plain(
            "SUM",
            "The sum of the values that are not NULL, in their own type; 0 if there are none.",
            example("SUM(X)", &["1", "2", "NULL"], "3"),
            &["(INT) -> INT", "(BIGINT) -> BIGINT", "(DOUBLE) -> DOUBLE", "(DECIMAL) -> DECIMAL"],
        )
    },
    Aggregate {
        table_ok: Undo::All,
        ..plain(
            "SUM_LIST",
            "The sum of the items of all arrays.",
            example("SUM_LIST(X)", &["ARRAY[1, 2]", "ARRAY[3]"], "6"),
            &["(ARRAY<INT>) -> INT", "(ARRAY<BIGINT>) -> BIGINT", "(ARRAY<DOUBLE>) -> DOUBLE"],
        )
    },
    Aggregate {
        nested_state: true,
        returns: Some(top_type),
        ..plain(
            "TOPK",
            "The k largest values, descending; with further columns, STRUCTs of these too.",
            example("TOPK(X, 2)", &["1", "3", "2"], "[3, 2]"),
            &TOP_WIDE,
        )
    },
    Aggregate {
        nested_state: true,
        ..plain(
            "TOPKDISTINCT",
            "The k largest distinct values, descending.",
            example("TOPKDISTINCT(X, 2)", &["3", "3", "2"], "[3, 2]"),
            &TOP,
        )
    },
];

/// TOPK over several columns gives STRUCTs.
fn top_type(row_args: &[Typed]) -> SqlType {
    let types = row_args.iter().map(|arg| arg.ty.clone().unwrap_or(SqlType::String));
    let name = |at: usize| match at {
        0 => "sort_col".to_string(),
        _ => format!("col{}", at - 1),
    };
    let fields = types.enumerate().map(|(at, ty)| StructField { name: name(at), ty });
    let mut fields: Vec<StructField> = fields.collect();
    let item = if fields.len() == 1 { fields.remove(0).ty } else { SqlType::Struct(fields) };
    SqlType::Array(Box::new(item))
}

pub(super) fn doc(aggregate: &'static Aggregate) -> FunctionDoc {
    FunctionDoc {
        name: aggregate.name,
        kind: FunctionKind::Aggregate,
        category: "AGGREGATE",
        signatures: aggregate.overloads.iter().map(|text| text.replace('!', "")).collect(),
        description: aggregate.about,
        example: aggregate.example.call,
        example_rows: aggregate.example.rows,
        example_result: aggregate.example.result,
    }
}

/// The call of an aggregate function. `COUNT(*)` has no arguments.
///
/// # Errors
/// When there is no such aggregate or no overload fits; arguments are never cast implicitly.
pub fn resolve_aggregate(name: &str, args: &[Typed]) -> Result<AggregateSignature> {
    let upper = name.to_ascii_uppercase();
    let found = registry().aggregates.get(upper.as_str()).ok_or_else(|| unknown(name))?;
    let (aggregate, overloads) = found;
    let shapes: Vec<Shape<'_>> = args.iter().map(Shape::Value).collect();
    let (fit, overload) = choose(&spelled(aggregate.name), overloads, &shapes, false)?;
    let (mut row_args, mut params) = (Vec::new(), Vec::new());
    for (at, arg) in args.iter().enumerate() {
        let param = overload.signature.param(at, args.len());
        if param.is_some_and(|param| param.constant) {
            params.push(constant(aggregate.name, at, arg)?);
        } else {
            row_args.push(arg.clone());
        }
    }
    let returns = match aggregate.returns {
        Some(returns) => Some(returns(&row_args)),
        None => overload.signature.returns(&fit.bindings),
    };
    let number = aggregate.overloads.iter().position(|text| *text == overload.text);
    let table_ok = match aggregate.table_ok {
        Undo::All => true,
        Undo::No => false,
        Undo::First(count) => number.is_some_and(|number| number < count),
    };
    Ok(AggregateSignature {
        row_args,
        params,
        returns: returns.ok_or_else(|| SqlError::invalid("Can't infer the type of the result"))?,
        table_ok,
        nested_state: aggregate.nested_state,
    })
}

fn constant(function: &str, at: usize, arg: &Typed) -> Result<ScalarValue> {
    let Some(value) = arg.as_literal().filter(|value| !value.is_null()) else {
        return Err(SqlError::invalid(format!(
            "Parameter {} passed to function {function} must be a literal constant, but was \
             expression: '{arg}'",
            at + 1
        )));
    };
    match value {
        ScalarValue::Int32(Some(count)) if *count < 1 && KEEPS_SOME.contains(&function) => Err(
            SqlError::invalid(format!("Parameter {} of {function} must be 1 or greater", at + 1)),
        ),
        value => Ok(value.clone()),
    }
}

/// Functions whose number among the parameters says how many values they keep.
const KEEPS_SOME: [&str; 4] = ["EARLIEST_BY_OFFSET", "LATEST_BY_OFFSET", "TOPK", "TOPKDISTINCT"];
