//! From store entries of an aggregation to rows, for queries.

use arrow::array::RecordBatch;
use millrace_sql::plan::{AggregateNode, WindowKind};

use super::emit::{self, Columns, window_ends};
use super::spec::Spec;
use super::states::States;
use crate::error::Result;
use crate::operators::slots::{split_session, split_window};

/// Reads what an aggregation stored. Independent of the operator.
pub struct AggregateReader {
    spec: Spec,
}

impl AggregateReader {
    /// # Errors
    /// As for [`super::aggregate`].
    pub fn new(node: &AggregateNode) -> Result<Self> {
        Ok(AggregateReader { spec: Spec::new(node)? })
    }

    /// Rows of the node's schema and their event times, one per entry (key, value) of the first of
    /// [`super::stores`].
    ///
    /// # Errors
    /// `State` when the entries are corrupt.
    pub fn rows(&self, entries: &[(&[u8], &[u8])]) -> Result<(RecordBatch, Vec<i64>)> {
        let mut states = States::new(self.spec.aggs()?);
        states.grow(entries.len());
        let mut keys = Vec::with_capacity(entries.len());
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for (slot, (key, value)) in entries.iter().enumerate() {
            let key = match self.spec.window.map(|window| window.kind) {
                None => key,
                Some(WindowKind::Session { .. }) => {
                    let (key, start, end) = split_session(key)?;
                    starts.push(start);
                    ends.push(end);
                    key
                }
                Some(WindowKind::Tumbling { size_ms } | WindowKind::Hopping { size_ms, .. }) => {
                    let (start, key) = split_window(key)?;
                    starts.push(start);
                    ends.extend(window_ends(&[start], size_ms));
                    key
                }
            };
            keys.push(key);
            states.load(slot as u32, value)?;
        }
        let slots: Vec<u32> = (0..entries.len() as u32).collect();
        let times = slots.iter().map(|slot| states.time(*slot)).collect();
        let columns = Columns {
            group: self.spec.group_columns(&keys)?,
            windows: self.spec.window.map(|_| (starts, ends)),
            values: states.values(&slots)?,
        };
        let batch = emit::batch(&self.spec, columns, times, None)?;
        Ok((batch.rows, batch.times))
    }
}
