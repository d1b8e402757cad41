//! What ksqlDB keeps while it aggregates: in which format, and how much of it.

use datafusion::scalar::ScalarValue;

use super::scope::Scope;
use super::settings::Settings;
use crate::catalog::FormatKind;
use crate::error::{Result, SqlError};
use crate::functions::AggregateSignature;

/// Whether values of a table can be taken back from a call: in ksqlDB only where the result tells
/// enough, with extensions also where all values can be kept.
pub(super) fn takes_back(function: &str, signature: &AggregateSignature, scope: &Scope) -> bool {
    const KEEP_ALL: [&str; 4] = ["MIN", "MAX", "TOPK", "TOPKDISTINCT"];
    let keeps = KEEP_ALL.iter().any(|name| name.eq_ignore_ascii_case(function));
    signature.table_ok || (keeps && scope.extensions)
}

/// Whether the format that ksqlDB keeps the running values in, the first source's, has more than
/// plain values.
pub(super) fn has_nested_values(scope: &Scope) -> bool {
    let kind = scope.inputs[0].source.value_format.kind;
    !matches!(kind, FormatKind::Delimited | FormatKind::Kafka)
}

/// How many values COLLECT_LIST and COLLECT_SET keep, if that is limited.
pub(super) fn limit_of(function: &str, settings: &Settings) -> Result<Option<ScalarValue>> {
    if !matches!(function, "COLLECT_LIST" | "COLLECT_SET") {
        return Ok(None);
    }
    let property = format!("ksql.functions.{}.limit", function.to_ascii_lowercase());
    let Some(text) = settings.get(&property) else { return Ok(None) };
    let limit: i32 = text.trim().parse().map_err(|_| {
        SqlError::invalid(format!("Invalid value {text} for property {property}: not a number"))
    })?;
    // As in ksqlDB a negative limit is none.
    Ok((limit >= 0).then_some(ScalarValue::Int32(Some(limit))))
}
