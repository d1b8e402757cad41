//! Signatures of the aggregate functions; the engine computes them.

use datafusion::scalar::ScalarValue;

use super::FunctionKind;
use super::registry::{FunctionDoc, misfit, unknown};
use super::signature::Signature;
use crate::error::{Result, SqlError};
use crate::expr::Typed;
use crate::types::SqlType;

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
}

/// An aggregate function as the table declares it.
pub(super) struct Aggregate {
    name: &'static str,
    about: &'static str,
    example: &'static str,
    table_ok: bool,
    overloads: &'static [&'static str],
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

pub(super) static AGGREGATES: [Aggregate; 12] = [
    Aggregate {
        name: "AVG",
        about: "The mean of the values that are not NULL; 0.0 if there are none.",
        example: "AVG(PRICE)",
        table_ok: true,
        overloads: &["(INT) -> DOUBLE", "(BIGINT) -> DOUBLE", "(DOUBLE) -> DOUBLE"],
    },
    Aggregate {
        name: "COLLECT_LIST",
        about: "All values in order of arrival, NULLs too.",
        example: "COLLECT_LIST(PRICE)",
        table_ok: true,
        overloads: &["(T) -> ARRAY<T>"],
    },
    Aggregate {
        name: "COLLECT_SET",
        about: "The distinct values in order of first arrival.",
        example: "COLLECT_SET(PRICE)",
        table_ok: false,
        overloads: &["(T) -> ARRAY<T>"],
    },
    Aggregate {
        name: "COUNT",
        about: "The number of rows, or of values that are not NULL.",
        example: "COUNT(*)",
        table_ok: true,
        overloads: &["() -> BIGINT", "(T) -> BIGINT"],
    },
    Aggregate {
        name: "COUNT_DISTINCT",
        about: "An estimate (error below 1%) of the number of distinct values.",
        example: "COUNT_DISTINCT(BIDDER)",
        table_ok: false,
        overloads: &["(T) -> BIGINT"],
    },
    Aggregate {
        name: "EARLIEST_BY_OFFSET",
        about: "The first value, or the first n, in order of processing; NULLs are skipped \
                unless ignoreNulls is FALSE.",
        example: "EARLIEST_BY_OFFSET(PRICE)",
        table_ok: false,
        overloads: &BY_OFFSET,
    },
    Aggregate {
        name: "LATEST_BY_OFFSET",
        about: "The last value, or the last n, in order of processing; NULLs are skipped \
                unless ignoreNulls is FALSE.",
        example: "LATEST_BY_OFFSET(PRICE)",
        table_ok: false,
        overloads: &BY_OFFSET,
    },
    Aggregate {
        name: "MAX",
        about: "The largest value; NULL if there is none.",
        example: "MAX(PRICE)",
        table_ok: false,
        overloads: &ORDERED,
    },
    Aggregate {
        name: "MIN",
        about: "The smallest value; NULL if there is none.",
        example: "MIN(PRICE)",
        table_ok: false,
        overloads: &ORDERED,
    },
    Aggregate {
        name: "SUM",
        about: "The sum of the values that are not NULL, in their own type; 0 if there are none.",
        example: "SUM(PRICE)",
        table_ok: true,
        overloads: &[
            "(INT) -> INT",
            "(BIGINT) -> BIGINT",
            "(DOUBLE) -> DOUBLE",
            "(DECIMAL) -> DECIMAL",
        ],
    },
    Aggregate {
        name: "TOPK",
        about: "The k largest values, descending.",
        example: "TOPK(PRICE, 3)",
        table_ok: false,
        overloads: &[TOP[0], TOP[1], TOP[2], TOP[3]],
    },
    Aggregate {
        name: "TOPKDISTINCT",
        about: "The k largest distinct values, descending.",
        example: "TOPKDISTINCT(PRICE, 3)",
        table_ok: false,
        overloads: &TOP,
    },
];

pub(super) fn doc(aggregate: &'static Aggregate) -> FunctionDoc {
    FunctionDoc {
        name: aggregate.name,
        kind: FunctionKind::Aggregate,
        category: "AGGREGATE",
        signatures: aggregate.overloads.iter().map(|text| text.replace('!', "")).collect(),
        description: aggregate.about,
        example: aggregate.example,
    }
}

/// The call of an aggregate function. `COUNT(*)` has no arguments.
///
/// # Errors
/// When there is no such aggregate or no overload fits; arguments are never cast implicitly.
pub fn resolve_aggregate(name: &str, args: &[Typed]) -> Result<AggregateSignature> {
    let aggregate = AGGREGATES.iter().find(|known| known.name.eq_ignore_ascii_case(name));
    let aggregate = aggregate.ok_or_else(|| unknown(name))?;
    let fits = aggregate.overloads.iter().filter_map(|text| {
        let signature = Signature::parse(text)?;
        let fit = signature.fit(args, false)?;
        Some((signature, fit))
    });
    let Some((signature, fit)) = fits.min_by_key(|(_, fit)| fit.cost) else {
        return Err(misfit(aggregate.name, args, aggregate.overloads));
    };
    let (mut row_args, mut params) = (Vec::new(), Vec::new());
    for (at, (arg, param)) in args.iter().zip(&signature.params).enumerate() {
        if param.constant {
            params.push(constant(aggregate.name, at, arg)?);
        } else {
            row_args.push(arg.clone());
        }
    }
    Ok(AggregateSignature { row_args, params, returns: fit.returns, table_ok: aggregate.table_ok })
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
        ScalarValue::Int32(Some(count)) if *count < 1 => {
            let message = format!("Parameter {} of {function} must be at least 1", at + 1);
            Err(SqlError::invalid(message))
        }
        value => Ok(value.clone()),
    }
}
