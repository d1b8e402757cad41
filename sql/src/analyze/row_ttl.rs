//! ROW_TTL: how long a row of a table lives after its last change.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::query::Selected;
use super::with::{ROW_TTL, With};
use crate::ast::{CreateAs, CreateSource};
use crate::catalog::SourceKind;
use crate::error::{Result, SqlError};
use crate::plan::{self, AggregateNode, as_node};

/// ROW_TTL of a table over a topic.
///
/// # Errors
/// A stream, a table with windows, and what is no length of time.
pub(super) fn of_source(create: &CreateSource, with: &With<'_>) -> Result<Option<i64>> {
    let windowed = with.key_window()?.is_some();
    ttl_ms(with, create.kind, windowed)
}

/// ROW_TTL of a query's result. Where the result is an aggregation, its groups are what expires.
///
/// # Errors
/// As [`of_source`], and groups of a table.
pub(super) fn of_result(
    create: &CreateAs,
    with: &With<'_>,
    selected: &mut Selected,
) -> Result<Option<i64>> {
    let ttl_ms = ttl_ms(with, create.kind, selected.window.is_some())?;
    if let Some(ttl_ms) = ttl_ms
        && selected.aggregated
    {
        selected.plan = with_ttl(&selected.plan, ttl_ms).map_err(|e| with.located(ROW_TTL, e))?;
    }
    Ok(ttl_ms)
}

fn ttl_ms(with: &With<'_>, kind: SourceKind, windowed: bool) -> Result<Option<i64>> {
    let Some(ttl_ms) = with.duration_ms(ROW_TTL)? else { return Ok(None) };
    let refuse = |why: &str, hint: &str| {
        let error = SqlError::invalid(format!("{ROW_TTL} is for tables without windows: {why}"));
        Err(with.located(ROW_TTL, error.hint(hint)))
    };
    match kind {
        SourceKind::Stream => {
            let hint = "use RETENTION_MS to say how long the topic keeps its records";
            refuse("rows of a stream do not replace each other.", hint)
        }
        SourceKind::Table if windowed => {
            let hint = "use RETENTION in the WINDOW clause of the query that makes the windows";
            refuse("rows of a windowed table go with their windows.", hint)
        }
        SourceKind::Table => Ok(Some(ttl_ms)),
    }
}

/// The plan with groups that expire in its last aggregation.
fn with_ttl(plan: &LogicalPlan, ttl_ms: i64) -> Result<LogicalPlan> {
    if let Some(node) = as_node::<AggregateNode>(plan) {
        if node.table_input {
            // A group that begins anew would take back rows that it never had.
            let message =
                format!("{ROW_TTL} cannot be used where the rows of a table are grouped.");
            let hint = format!("give {ROW_TTL} to that table: rows that expire leave their groups");
            return Err(SqlError::invalid(message).hint(hint));
        }
        return Ok(plan::node(AggregateNode { ttl_ms: Some(ttl_ms), ..node.clone() }));
    }
    match plan {
        LogicalPlan::Projection(above) => {
            let mut above = above.clone();
            above.input = Arc::new(with_ttl(&above.input, ttl_ms)?);
            Ok(LogicalPlan::Projection(above))
        }
        LogicalPlan::Filter(above) => {
            let mut above = above.clone();
            above.input = Arc::new(with_ttl(&above.input, ttl_ms)?);
            Ok(LogicalPlan::Filter(above))
        }
        _ => Err(SqlError::not_supported(format!("{ROW_TTL} of this query"))),
    }
}
