//! Maps whose keys may come more than once.

use std::collections::HashSet;

use millrace_engine::codec::builder::{ColumnBuilder, Data};

/// Entries that are compared pair by pair; more go through a table.
const PAIRS_MAX: usize = 12;

/// Which of the keys from row `start` on are the last of their kind; `None`: all are.
pub fn last_of_each(keys: &ColumnBuilder, start: usize) -> Option<Vec<bool>> {
    let Data::String(text) = &keys.data else { return None };
    let count = text.ends.len().saturating_sub(start);
    if count < 2 {
        return None;
    }
    let key = |i: usize| {
        let from = i.checked_sub(1).map_or(0, |before| text.ends[before] as usize);
        &text.data[from..text.ends[i] as usize]
    };
    let rows = start..text.ends.len();
    if count <= PAIRS_MAX {
        let unique = rows.clone().all(|i| (start..i).all(|before| key(before) != key(i)));
        if unique {
            return None;
        }
    }
    let mut seen = HashSet::with_capacity(count);
    let mut kept: Vec<bool> = rows.rev().map(|i| seen.insert(key(i))).collect();
    kept.reverse();
    if kept.contains(&false) { Some(kept) } else { None }
}
