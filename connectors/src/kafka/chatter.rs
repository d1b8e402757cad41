//! How much of librdkafka's own log is shown. Each of its clients tells of a broker that is away every
//! second or so; Millrace says once itself that the log is away, and once that it is back.

use std::time::{Duration, Instant};

/// One line in this time is shown, so that the reason is (refused, not resolved, wrong password); the
/// others can be read at the level `debug`.
const SHOWN_EVERY: Duration = Duration::from_secs(60);

/// Which lines are shown.
#[derive(Debug)]
pub(super) struct Chatter {
    shown_at: Option<Instant>,
    left_out: u64,
}

impl Chatter {
    pub const fn new() -> Self {
        Chatter { shown_at: None, left_out: 0 }
    }

    /// For a line that comes now: how many were left out before it, or `None` when it is left out.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.shown_at.is_some_and(|at| now.saturating_duration_since(at) < SHOWN_EVERY) {
            self.left_out += 1;
            return None;
        }
        self.shown_at = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_minute_tells_of_the_others() {
        let (mut chatter, start) = (Chatter::new(), Instant::now());
        for (second, expected) in [
            (0, Some(0)),
            (0, None),
            (1, None),
            (59, None),
            (60, Some(3)),
            (61, None),
            (200, Some(1)),
        ] {
            let now = start + Duration::from_secs(second);
            assert_eq!(chatter.admit(now), expected, "at {second} s");
        }
    }
}
