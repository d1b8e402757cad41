//! A table joined with another whose primary key is an expression of its rows.
//!
//! The two tables are partitioned differently, and a task sees only its own partition. So the left
//! task asks, the right task answers, and the left task decides:
//!
//! ```text
//! left table -> Left -> topic "subscription", by foreign key -> Answer <- right table
//!                ^                                                |
//!                +----- topic "response", to the asking partition +
//! ```
//!
//! Each change of a left row has a number. An answer that carries another number than the row has
//! now is about an older row and is dropped: a foreign key that changes twice leaves nothing stale.
//! What needs no answer (a deleted row, a foreign key that is NULL) is told at once.
//!
//! | operator | stores                                                            |
//! |----------|-------------------------------------------------------------------|
//! | left     | left rows with numbers, by primary key; results, if a node after  |
//! |          | needs to know what they replace                                   |
//! | answer   | who asked, by foreign key and primary key; right rows by key      |

mod answer;
mod left;
mod messages;
mod subscribe;
#[cfg(test)]
mod tests;

use arrow::array::{ArrayRef, RecordBatch};

pub use answer::AnswerOperator;
pub use left::LeftOperator;
pub use messages::{responses, subscriptions};

use crate::error::{EngineError, Result};
use crate::operators::keep::{stamp, unstamp};

/// Length of the number in front of a stored left row.
const NUMBER_LEN: usize = 8;

/// A left row as it is stored: number, event time, row.
fn numbered(number: i64, time_ms: i64, row: &[u8]) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.extend_from_slice(&stamp(time_ms, row));
    value
}

/// Number and row of a stored left row.
fn unnumbered(value: &[u8]) -> Result<(i64, &[u8])> {
    let (number, rest) = value
        .split_first_chunk::<NUMBER_LEN>()
        .ok_or_else(|| EngineError::State("a stored row of a join is too short".to_owned()))?;
    Ok((i64::from_be_bytes(*number), unstamp(rest)?.1))
}

fn columns(rows: &RecordBatch, at: &[usize]) -> Vec<ArrayRef> {
    at.iter().map(|i| rows.column(*i).clone()).collect()
}
