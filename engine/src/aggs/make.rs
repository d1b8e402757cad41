//! From an aggregate call of the plan to its implementation.

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use millrace_sql::error::SqlError;
use millrace_sql::plan::AggregateCall;
use millrace_sql::types::SqlType;

use super::attr::Attr;
use super::class::{Class, Decimals, Doubles, Encoded, Ints};
use super::distinct::CountDistinct;
use super::extreme::Extreme;
use super::histogram::Histogram;
use super::kernel::{Kernel, Slotted};
use super::list::{CollectList, CollectSet};
use super::moments::{Correlation, Deviation, Real, Whole};
use super::number::{AvgDouble, AvgInt, Count, SumDecimal, SumDouble, SumInt};
use super::of_table::{ExtremeOfTable, TopKOfTable};
use super::offset::{End, ManyByOffset, OneByOffset};
use super::sum_list::SumList;
use super::topk::TopK;
use super::{StreamAgg, fixtures};
use crate::error::{EngineError, Result};

type Made = Result<Box<dyn StreamAgg>>;

/// Rows that TOPK and the n forms of the offset functions may keep per group.
const KEPT_ROWS_MAX: usize = 100_000;

/// The implementation of `call`, without slots.
///
/// # Errors
/// `User` when the function, its argument types or its parameters are not supported.
pub fn make(call: &AggregateCall) -> Made {
    match call.function.as_str() {
        "COUNT" => boxed(Count),
        "SUM" => sum(call),
        "AVG" => avg(call),
        "MIN" => extreme(call, false),
        "MAX" => extreme(call, true),
        "EARLIEST_BY_OFFSET" => by_offset(call, End::Earliest),
        "LATEST_BY_OFFSET" => by_offset(call, End::Latest),
        "ATTR" => boxed(Attr::new(argument(call)?)),
        "COLLECT_LIST" => boxed(CollectList::new(argument(call)?, limit(call)?)),
        "COLLECT_SET" => boxed(CollectSet::new(argument(call)?, limit(call)?)),
        "CORRELATION" => boxed(Correlation),
        "HISTOGRAM" => boxed(Histogram),
        "STDDEV_SAMP" => deviation(call, false),
        "STDDEV_SAMPLE" => deviation(call, true),
        "SUM_LIST" => sum_list(call),
        "COUNT_DISTINCT" => boxed(CountDistinct::new(argument(call)?)),
        "TOPK" => boxed(top_k(call)?),
        "TOPKDISTINCT" => boxed(top_k_distinct(call)?),
        other => match fixtures::make(call)? {
            Some(made) => Ok(made),
            None => Err(SqlError::not_supported(format!("the aggregate function {other}")).into()),
        },
    }
}

/// The implementation of `call` over a table, whose values may be taken back.
///
/// # Errors
/// As [`make`].
pub fn make_for_table(call: &AggregateCall) -> Made {
    match call.function.as_str() {
        "MIN" => extreme_of_table(call, false),
        "MAX" => extreme_of_table(call, true),
        "TOPK" => boxed(TopKOfTable(top_k(call)?)),
        "TOPKDISTINCT" => boxed(TopKOfTable(top_k_distinct(call)?)),
        _ => make(call),
    }
}

fn boxed(kernel: impl Kernel + 'static) -> Made {
    Ok(Box::new(Slotted::new(kernel)))
}

fn argument(call: &AggregateCall) -> Result<&SqlType> {
    call.arg_types
        .first()
        .ok_or_else(|| EngineError::User(format!("{} needs an argument", call.function)))
}

fn refused(call: &AggregateCall) -> EngineError {
    let types: Vec<String> = call.arg_types.iter().map(SqlType::to_string).collect();
    EngineError::User(format!("{} does not take ({})", call.function, types.join(", ")))
}

fn sum(call: &AggregateCall) -> Made {
    match argument(call)? {
        ty @ (SqlType::Integer | SqlType::Bigint) => boxed(SumInt(ty.clone())),
        SqlType::Double => boxed(SumDouble),
        SqlType::Decimal { precision, scale } => {
            boxed(SumDecimal { precision: *precision, scale: *scale })
        }
        _ => Err(refused(call)),
    }
}

fn avg(call: &AggregateCall) -> Made {
    match argument(call)? {
        SqlType::Integer => boxed(AvgInt { narrow: true }),
        SqlType::Bigint => boxed(AvgInt { narrow: false }),
        SqlType::Double => boxed(AvgDouble),
        _ => Err(refused(call)),
    }
}

fn sum_list(call: &AggregateCall) -> Made {
    match argument(call)? {
        SqlType::Array(item) => match **item {
            SqlType::Integer | SqlType::Bigint => boxed(SumList(SumInt((**item).clone()))),
            SqlType::Double => boxed(SumList(SumDouble)),
            _ => Err(refused(call)),
        },
        _ => Err(refused(call)),
    }
}

fn deviation(call: &AggregateCall, root: bool) -> Made {
    match argument(call)? {
        SqlType::Integer => boxed(Deviation { numbers: Whole { narrow: true }, root }),
        SqlType::Bigint => boxed(Deviation { numbers: Whole { narrow: false }, root }),
        SqlType::Double => boxed(Deviation { numbers: Real, root }),
        _ => Err(refused(call)),
    }
}

/// How many values are kept, if that is limited.
fn limit(call: &AggregateCall) -> Result<usize> {
    match call.params.first() {
        None => Ok(usize::MAX),
        Some(ScalarValue::Int32(Some(limit))) => {
            usize::try_from(*limit).map_err(|_| bad_parameters(call))
        }
        Some(_) => Err(bad_parameters(call)),
    }
}

/// Something that is built for any class of values.
trait ForClass {
    fn build<C: Class + 'static>(self, class: C) -> Made;
}

struct Extremes {
    max: bool,
}

impl ForClass for Extremes {
    fn build<C: Class + 'static>(self, class: C) -> Made {
        boxed(if self.max { Extreme::max(class) } else { Extreme::min(class) })
    }
}

fn extreme(call: &AggregateCall, max: bool) -> Made {
    ordered(call)?;
    by_class(call, Extremes { max })
}

fn extreme_of_table(call: &AggregateCall, max: bool) -> Made {
    boxed(ExtremeOfTable::new(Encoded::new(ordered(call)?), max))
}

/// The type of an argument that MIN and MAX take.
fn ordered(call: &AggregateCall) -> Result<&SqlType> {
    match argument(call)? {
        SqlType::Boolean | SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) => {
            Err(refused(call))
        }
        ty => Ok(ty),
    }
}

struct OneBy {
    end: End,
    ignore_nulls: bool,
}

impl ForClass for OneBy {
    fn build<C: Class + 'static>(self, class: C) -> Made {
        boxed(OneByOffset { class, end: self.end, ignore_nulls: self.ignore_nulls })
    }
}

fn by_class(call: &AggregateCall, what: impl ForClass) -> Made {
    let ty = argument(call)?;
    match ty {
        SqlType::Boolean
        | SqlType::Integer
        | SqlType::Bigint
        | SqlType::Date
        | SqlType::Time
        | SqlType::Timestamp => what.build(Ints(ty.clone())),
        SqlType::Double => what.build(Doubles),
        SqlType::Decimal { precision, scale } => {
            what.build(Decimals { precision: *precision, scale: *scale })
        }
        _ => what.build(Encoded::new(ty)),
    }
}

/// `f(x)`, `f(x, ignoreNulls)`, `f(x, n)`, `f(x, n, ignoreNulls)`.
fn by_offset(call: &AggregateCall, end: End) -> Made {
    let (many, flag) = match call.params.as_slice() {
        [] => (false, None),
        [ScalarValue::Boolean(flag)] => (false, *flag),
        [_] => (true, None),
        [_, ScalarValue::Boolean(flag)] => (true, *flag),
        _ => return Err(bad_parameters(call)),
    };
    let ignore_nulls = flag.unwrap_or(true);
    if !many {
        return by_class(call, OneBy { end, ignore_nulls });
    }
    boxed(ManyByOffset::new(argument(call)?, end, kept_rows(call, 0)?, ignore_nulls))
}

fn top_k_distinct(call: &AggregateCall) -> Result<TopK> {
    Ok(TopK::new(argument(call)?, kept_rows(call, 0)?, true))
}

fn top_k(call: &AggregateCall) -> Result<TopK> {
    let k = kept_rows(call, 0)?;
    if call.arg_types.len() <= 1 {
        return Ok(TopK::new(argument(call)?, k, false));
    }
    let returned = call.returns.to_arrow();
    let DataType::List(item) = &returned else { return Err(refused(call)) };
    let DataType::Struct(fields) = item.data_type() else { return Err(refused(call)) };
    let wanted = call.arg_types.iter().map(SqlType::to_arrow);
    if !fields.iter().map(|field| field.data_type().clone()).eq(wanted) {
        return Err(refused(call));
    }
    Ok(TopK::wide(&call.arg_types, k, fields.clone()))
}

/// A positive whole number among the constant parameters.
fn kept_rows(call: &AggregateCall, index: usize) -> Result<usize> {
    let value = match call.params.get(index) {
        Some(ScalarValue::Int32(Some(n))) => i64::from(*n),
        Some(ScalarValue::Int64(Some(n))) => *n,
        _ => return Err(bad_parameters(call)),
    };
    match usize::try_from(value) {
        Ok(n) if (1..=KEPT_ROWS_MAX).contains(&n) => Ok(n),
        _ => Err(EngineError::User(format!(
            "the number of values of {} must be between 1 and {KEPT_ROWS_MAX}, not {value}",
            call.function
        ))),
    }
}

fn bad_parameters(call: &AggregateCall) -> EngineError {
    EngineError::User(format!("{} has wrong constant parameters", call.function))
}
