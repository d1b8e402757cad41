//! Rows of outer joins that have no partner yet, by when they are given up.

use std::collections::BTreeMap;

use crate::error::{EngineError, Result};
use crate::operators::slots::{WINDOW_BYTES, split_window, window_bytes};

/// Where a pending row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub side: usize,
    pub key: u32,
    pub time: i64,
}

/// Pending rows by the last instant of their window (with grace) and number.
pub(super) type Pending = BTreeMap<(i64, i64), Place>;

/// Key of a pending row in the store.
pub(super) fn pending_key(close: i64, seq: i64) -> [u8; 2 * WINDOW_BYTES] {
    let mut key = [0; 2 * WINDOW_BYTES];
    key[..WINDOW_BYTES].copy_from_slice(&window_bytes(close));
    key[WINDOW_BYTES..].copy_from_slice(&window_bytes(seq));
    key
}

/// Store value of a pending row: its side, then its join key.
pub(super) fn pending_value(side: usize, key: &[u8]) -> Vec<u8> {
    let mut value = vec![side as u8];
    value.extend_from_slice(key);
    value
}

/// Side and join key of a pending row.
///
/// # Errors
/// `State` when the entry is none that this version wrote.
pub(super) fn read_pending(key: &[u8], value: &[u8]) -> Result<(usize, Vec<u8>)> {
    split_window(key)?;
    match value.split_first() {
        Some((side @ 0..=1, key)) => Ok((usize::from(*side), key.to_vec())),
        _ => Err(EngineError::State("a pending row of a join names no side".into())),
    }
}
