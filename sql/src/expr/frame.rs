//! Errors of single rows.

/// A row whose expression could not be computed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Row of the batch, from 0.
    pub row: usize,
    pub message: String,
}
