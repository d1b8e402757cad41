//! The WINDOW clause and other spans of time.

use crate::ast::{Interval, WindowClause, WindowSpec};
use crate::error::{Result, SqlError};
use crate::plan::{WINDOWS_PER_ROW_MAX, Window, WindowKind};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The window of an aggregation, with ksqlDB's defaults: grace up to a day after the window's
/// start (none where only the last value of a window is wanted), retention just long enough.
///
/// # Errors
/// Sizes that are zero or too large, and a retention shorter than size and grace.
pub(super) fn window(clause: &WindowClause, emit_final: bool) -> Result<Window> {
    let (kind, size_ms) = match &clause.spec {
        WindowSpec::Tumbling { size } => {
            let size_ms = positive(size, "The size of a window")?;
            (WindowKind::Tumbling { size_ms }, size_ms)
        }
        WindowSpec::Hopping { size, advance } => {
            let size_ms = positive(size, "The size of a window")?;
            let advance_ms = positive(advance, "The advance of a window")?;
            if advance_ms > size_ms {
                let message = "Window advance interval should be more than zero and less than \
                               window duration";
                return Err(SqlError::invalid(message).at(advance.loc.0));
            }
            let kind = WindowKind::Hopping { size_ms, advance_ms };
            check_windows_per_row(&kind, size_ms, advance)?;
            (kind, size_ms)
        }
        WindowSpec::Session { gap } => {
            let gap_ms = positive(gap, "The gap of a session")?;
            (WindowKind::Session { gap_ms }, gap_ms)
        }
    };
    let grace_ms = match &clause.grace {
        Some(grace) => millis(grace)?,
        None if emit_final => 0,
        None => (DAY_MS - size_ms).max(0),
    };
    let least_ms = size_ms.checked_add(grace_ms).ok_or_else(|| too_long(clause.loc.0))?;
    let retention_ms = match &clause.retention {
        None => least_ms,
        Some(retention) => {
            let retention_ms = millis(retention)?;
            if retention_ms < least_ms {
                let message = "The window RETENTION must be at least the window size plus the \
                               GRACE PERIOD";
                let hint = format!("write RETENTION {least_ms} MILLISECONDS or more");
                return Err(SqlError::invalid(message).at(retention.loc.0).hint(hint));
            }
            retention_ms
        }
    };
    Ok(Window { kind, grace_ms, retention_ms })
}

/// One row must not open any number of windows.
fn check_windows_per_row(kind: &WindowKind, size_ms: i64, advance: &Interval) -> Result<()> {
    let windows = kind.windows_per_row();
    if windows <= WINDOWS_PER_ROW_MAX {
        return Ok(());
    }
    let least_ms = (size_ms - 1) / WINDOWS_PER_ROW_MAX + 1;
    let message = format!(
        "Each row would be in {windows} windows, and in each of them take memory and give a result; \
         at most {WINDOWS_PER_ROW_MAX} are allowed"
    );
    let hint = format!("write ADVANCE BY {least_ms} MILLISECONDS or more");
    Err(SqlError::invalid(message).at(advance.loc.0).hint(hint))
}

/// # Errors
/// When the milliseconds do not fit 64 bits.
pub(super) fn millis(interval: &Interval) -> Result<i64> {
    interval.millis().ok_or_else(|| too_long(interval.loc.0))
}

fn positive(interval: &Interval, what: &str) -> Result<i64> {
    match millis(interval)? {
        ms if ms > 0 => Ok(ms),
        _ => Err(SqlError::invalid(format!("{what} must be positive")).at(interval.loc.0)),
    }
}

fn too_long(span: crate::error::Span) -> SqlError {
    SqlError::invalid("The span of time is too long").at(span)
}
