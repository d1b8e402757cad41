//! Event time of a record: its own timestamp, or a column's.

use arrow::array::ArrayRef;
use millrace_engine::codec::view::ColumnView;
use millrace_engine::error::Result;
use millrace_sql::catalog::{ColumnRole, Source};
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
        match (&column.ty, &spec.pattern) {
            (SqlType::Bigint | SqlType::Timestamp, None) => {}
            (SqlType::String, Some(_)) => {
                return Err("TIMESTAMP_FORMAT is not supported yet; use a BIGINT column".into());
            }
            (ty, _) => {
                let name = &column.name;
                return Err(format!(
                    "the TIMESTAMP column {name} is {ty}; it must be BIGINT or TIMESTAMP, or \
                     STRING with a TIMESTAMP_FORMAT"
                ));
            }
        }
        let in_value = column.role == ColumnRole::Value;
        Ok(EventTime::Column { name: column.name.clone(), declared, in_value })
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
    ) -> Result<()> {
        if let (EventTime::Column { name, in_value, .. }, Some(column)) = (self, column) {
            let view = ColumnView::new(column.as_ref())?;
            let ColumnView::Int64(values) = view else { return Ok(()) };
            for (row, time) in times.iter_mut().enumerate() {
                if *in_value && !is_live(row) {
                    continue;
                }
                match values.get(row) {
                    Some(value) if value >= 0 => *time = value,
                    Some(value) => {
                        reject(row, format!("$.{name}: the timestamp {value} is negative"))
                    }
                    None => reject(row, format!("$.{name}: the timestamp is NULL")),
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
