//! Which stretch of a windowed store's changelog still matters (R14): windows that expire leave no
//! tombstones, so what was written of them is dropped from the log by offset.

use serde::{Deserialize, Serialize};

use crate::ids::Offset;

/// Stretches that are told apart; more are joined, which only delays dropping them.
const STRETCHES_MAX: usize = 32;
/// Bytes of a window in front of a key.
const WINDOW_BYTES: usize = 8;

/// What was written to the changelog of a `WindowFirst` store, from the first record that matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// A lower bound of the first offset, and the latest window written from there up to the next
    /// stretch; offsets and windows rise.
    stretches: Vec<(Offset, u64)>,
    /// Earlier windows are expired.
    live: u64,
}

/// The window in front of a key of a `WindowFirst` store, in the order of keys.
pub fn window_of(key: &[u8]) -> u64 {
    let mut bytes = [0; WINDOW_BYTES];
    let len = key.len().min(WINDOW_BYTES);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}

impl History {
    /// Records of windows up to `window` were written at `from` or later.
    pub fn wrote(&mut self, from: Offset, mut window: u64) {
        while let Some((_, later)) = self.stretches.pop_if(|(at, _)| *at >= from) {
            window = window.max(later);
        }
        // Behind one of a later window it lives as long as that.
        if self.stretches.last().is_some_and(|(_, last)| *last >= window) {
            return;
        }
        self.stretches.push((from, window));
        if self.stretches.len() > STRETCHES_MAX {
            let pairs = self.stretches.chunks(2);
            self.stretches = pairs.map(|pair| (pair[0].0, pair[pair.len() - 1].1)).collect();
        }
    }

    /// Windows before that of `to` are expired.
    pub fn expired(&mut self, to: &[u8]) {
        self.live = self.live.max(window_of(to));
        let dead = self.stretches.partition_point(|(_, window)| *window < self.live);
        self.stretches.drain(..dead);
    }

    /// Nothing that is live was written below this offset, or below `end` if nothing is live.
    pub fn needed_from(&self, end: Offset) -> Offset {
        self.stretches.first().map_or(end, |(from, _)| (*from).min(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written as (offset, window), what is live, and from where it is needed.
    type Case<'a> = (&'a [(i64, u64)], u64, i64);

    /// `wrote` as (offset, window), then expiry up to a window: needed from, of an end of 1000.
    fn needed(wrote: &[(i64, u64)], live: u64) -> i64 {
        let mut history = History::default();
        wrote.iter().for_each(|(from, window)| history.wrote(Offset(*from), *window));
        history.expired(&live.to_be_bytes());
        history.needed_from(Offset(1000)).0
    }

    #[test]
    fn what_is_live_is_needed() {
        let cases: [Case<'_>; 9] = [
            (&[], 5, 1000),
            (&[(0, 3)], 3, 0),
            (&[(0, 3)], 4, 1000),
            (&[(0, 3), (10, 3), (20, 4)], 4, 20),
            // A late row of an old window, behind a later one.
            (&[(0, 3), (10, 7), (20, 4)], 4, 10),
            (&[(0, 3), (10, 7), (20, 4)], 7, 10),
            (&[(0, 3), (10, 7), (20, 4), (30, 9)], 8, 30),
            // Replayed from an earlier offset.
            (&[(0, 3), (10, 7), (5, 4)], 4, 5),
            (&[(0, 3), (10, 4), (5, 9)], 9, 5),
        ];
        for (wrote, live, want) in cases {
            assert_eq!(needed(wrote, live), want, "{wrote:?} {live}");
        }
    }

    #[test]
    fn many_stretches_are_joined_and_none_is_forgotten() {
        let mut history = History::default();
        for at in 0..10_000 {
            history.wrote(Offset(at), at as u64);
            assert!(history.stretches.len() <= STRETCHES_MAX);
        }
        for live in [0, 1, 17, 5000, 9000, 9999] {
            history.expired(&u64::to_be_bytes(live));
            let from = history.needed_from(Offset(10_000));
            assert!(from.0 <= live as i64, "{live}: {from:?}");
        }
        history.expired(&u64::to_be_bytes(10_000));
        assert_eq!(history.needed_from(Offset(10_000)), Offset(10_000));
    }
}
