//! Event time of a record: its own timestamp, or a column's.

use arrow::array::ArrayRef;
use millrace_engine::codec::view::ColumnView;
use millrace_engine::error::EngineError;
use millrace_sql::catalog::{ColumnRole, Source};
use millrace_sql::expr::java_time::{TimePattern, Zone};
use millrace_sql::types::SqlType;

/// Where the time of a row comes from.
#[derive(Debug)]
pub enum EventTime {
    /// The record's timestamp.
    Record,
    Column {
        name: String,
        /// Index into `Source::columns`.
        declared: usize,
        /// A row without a value has the record's timestamp.
        in_value: bool,
        /// How a STRING column is read; in UTC unless the text has a zone.
        pattern: Option<TimePattern>,
    },
}

impl EventTime {
    /// # Errors
    /// When the column is missing or of a type that holds no time.
    pub fn new(source: &Source) -> Result<Self, String> {
        let Some(spec) = &source.timestamp else { return Ok(EventTime::Record) };
        let found = source.columns.iter().position(|column| column.name == spec.column);
        let Some(declared) = found else {
            return Err(format!("the TIMESTAMP column {} does not exist", spec.column));
        };
        let column = &source.columns[declared];
        let pattern = match (&column.ty, &spec.pattern) {
            (SqlType::Bigint | SqlType::Timestamp, None) => None,
            (SqlType::String, Some(pattern)) => Some(
                TimePattern::new(pattern)
                    .map_err(|why| format!("TIMESTAMP_FORMAT '{pattern}': {why}"))?,
            ),
            (ty, _) => {
                let name = &column.name;
                return Err(format!(
                    "the TIMESTAMP column {name} is {ty}; it must be BIGINT or TIMESTAMP, or \
                     STRING with a TIMESTAMP_FORMAT"
                ));
            }
        };
        let in_value = column.role == ColumnRole::Value;
        Ok(EventTime::Column { name: column.name.clone(), declared, in_value, pattern })
    }

    /// Index into `Source::columns` of the column that must be decoded.
    pub fn declared(&self) -> Option<usize> {
        match self {
            EventTime::Record => None,
            EventTime::Column { declared, .. } => Some(*declared),
        }
    }

    /// Replaces `times`, the records' timestamps, by the rows' event times. Calls `reject` with row
    /// and reason where there is none.
    pub fn extract(
        &self,
        column: Option<&ArrayRef>,
        is_live: impl Fn(usize) -> bool,
        times: &mut [i64],
        mut reject: impl FnMut(usize, String),
    ) -> Result<(), EngineError> {
        if let (EventTime::Column { name, in_value, pattern, .. }, Some(column)) = (self, column) {
            let view = ColumnView::new(column.as_ref())?;
            for (row, time) in times.iter_mut().enumerate() {
                if *in_value && !is_live(row) {
                    continue;
                }
                match time_of(&view, pattern.as_ref(), row) {
                    Ok(value) => *time = value,
                    Err(why) => reject(row, format!("$.{name}: the timestamp {why}")),
                }
            }
            return Ok(());
        }
        for (row, time) in times.iter().enumerate().filter(|(_, time)| **time < 0) {
            reject(row, format!("the record's timestamp {time} is negative"));
        }
        Ok(())
    }
}

fn time_of(
    column: &ColumnView<'_>,
    pattern: Option<&TimePattern>,
    row: usize,
) -> Result<i64, String> {
    let time = match (column, pattern) {
        _ if column.is_null(row) => return Err("is NULL".into()),
        (ColumnView::Int64(values), _) => values.values[row],
        (ColumnView::String(texts), Some(pattern)) => {
            let text = texts.value(row);
            let parsed = pattern.parse(text).and_then(|parsed| parsed.timestamp(Zone::UTC));
            parsed.map_err(|why| format!("does not fit its format: {why}"))?
        }
        _ => return Err("has a type without times".into()),
    };
    if time < 0 { Err(format!("{time} is negative")) } else { Ok(time) }
}
