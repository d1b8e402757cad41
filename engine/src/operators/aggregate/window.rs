//! Which windows a row belongs to, and which of them are closed.

use millrace_sql::plan::{WINDOWS_PER_ROW_MAX, Window, WindowKind};

use crate::error::{EngineError, Result};

/// The stream time of a task that has seen no row.
pub(super) const NO_TIME: i64 = i64::MIN;

/// Rows in windows that are assigned at a time.
const ASSIGNED_MAX: i64 = 1 << 16;

/// Tumbling and hopping windows: `[start, start + size)`, starts at multiples of `advance`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assigner {
    pub size_ms: i64,
    pub advance_ms: i64,
    pub grace_ms: i64,
    pub retention_ms: i64,
}

/// Rows with their windows: entry `i` is row `rows[i]` in the window that starts at `starts[i]`.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    pub rows: Vec<u32>,
    pub starts: Vec<i64>,
}

impl Assigned {
    /// Every one of `rows` rows stands once, in order.
    pub fn is_identity(&self, rows: usize) -> bool {
        self.rows.len() == rows && self.rows.iter().enumerate().all(|(i, row)| i == *row as usize)
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.starts.clear();
    }
}

impl Assigner {
    /// # Errors
    /// `User` when a length is not positive, or a row would be in too many windows; `Bug` for sessions, which are not assigned.
    pub fn new(window: &Window) -> Result<Self> {
        let (size_ms, advance_ms) = match window.kind {
            WindowKind::Tumbling { size_ms } => (size_ms, size_ms),
            WindowKind::Hopping { size_ms, advance_ms } => (size_ms, advance_ms),
            WindowKind::Session { .. } => {
                return Err(EngineError::Bug("sessions have no fixed windows".into()));
            }
        };
        if size_ms <= 0 || advance_ms <= 0 || advance_ms > size_ms {
            let what = format!("a window of {size_ms} ms cannot advance by {advance_ms} ms");
            return Err(EngineError::User(what));
        }
        let windows = window.kind.windows_per_row();
        if windows > WINDOWS_PER_ROW_MAX {
            let what = format!(
                "a row is in {windows} windows of {size_ms} ms that advance by {advance_ms} ms; at \
                 most {WINDOWS_PER_ROW_MAX} are allowed"
            );
            return Err(EngineError::User(what));
        }
        let Window { grace_ms, retention_ms, .. } = *window;
        Ok(Assigner { size_ms, advance_ms, grace_ms, retention_ms })
    }

    /// How many rows to assign at a time, so that what they take is bounded.
    pub fn rows_max(self) -> usize {
        let windows = (self.size_ms - 1) / self.advance_ms + 1;
        usize::try_from(ASSIGNED_MAX / windows).unwrap_or(usize::MAX).max(1)
    }

    /// Puts the open windows of each row into `out`, advancing `stream_time` to `clock` row by row: a
    /// row is late against those before it and itself. Returns how many rows had no open window.
    pub fn assign(
        &self,
        times: &[i64],
        clock: &[i64],
        stream_time: &mut i64,
        out: &mut Assigned,
    ) -> u64 {
        out.clear();
        if self.advance_ms == self.size_ms {
            return self.assign_tumbling(times, clock, stream_time, out);
        }
        let mut late = 0;
        for (row, (time, clock)) in times.iter().zip(clock).enumerate() {
            *stream_time = (*stream_time).max(*clock);
            let before = out.rows.len();
            let closed_to = self.closed_to(*stream_time);
            let mut start = self.first_start(*time);
            while start <= *time {
                if start >= closed_to {
                    out.rows.push(row as u32);
                    out.starts.push(start);
                }
                let Some(next) = start.checked_add(self.advance_ms) else { break };
                start = next;
            }
            late += u64::from(out.rows.len() == before);
        }
        late
    }

    fn assign_tumbling(
        &self,
        times: &[i64],
        clock: &[i64],
        stream_time: &mut i64,
        out: &mut Assigned,
    ) -> u64 {
        let mut late = 0;
        let mut start = times.first().map_or(0, |time| floor(*time, self.size_ms));
        for (row, (time, clock)) in times.iter().zip(clock).enumerate() {
            *stream_time = (*stream_time).max(*clock);
            // Neighbours mostly share a window: spare the division.
            if *time < start || time.wrapping_sub(start) >= self.size_ms {
                start = floor(*time, self.size_ms);
            }
            if start < self.closed_to(*stream_time) {
                late += 1;
                continue;
            }
            out.rows.push(row as u32);
            out.starts.push(start);
        }
        late
    }

    /// Windows that start before this are closed: `start + size + grace <= stream time`.
    #[inline]
    pub fn closed_to(&self, stream_time: i64) -> i64 {
        let open_ms = self.size_ms.saturating_add(self.grace_ms);
        stream_time.saturating_sub(open_ms).saturating_add(1)
    }

    /// Windows that start before this are no longer kept.
    pub fn expired_to(&self, stream_time: i64) -> i64 {
        stream_time.saturating_sub(self.retention_ms)
    }

    /// The earliest window that holds `time`. Times from 0 on have no window before 0, as in Kafka
    /// Streams.
    fn first_start(&self, time: i64) -> i64 {
        let first = floor(time, self.advance_ms)
            .saturating_sub((self.size_ms - 1) / self.advance_ms * self.advance_ms);
        let inside = |start: i64| time.saturating_sub(start) < self.size_ms;
        let first = if inside(first) { first } else { first.saturating_add(self.advance_ms) };
        if time >= 0 { first.max(0) } else { first }
    }
}

fn floor(time: i64, step: i64) -> i64 {
    // The lowest times have no multiple below them: their window starts where numbers start.
    time.div_euclid(step).checked_mul(step).unwrap_or(i64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(size_ms: i64, advance_ms: i64, grace_ms: i64, times: &[i64], want: &[(u32, i64)]) {
        let assigner = Assigner { size_ms, advance_ms, grace_ms, retention_ms: 0 };
        let (mut out, mut stream_time) = (Assigned::default(), NO_TIME);
        assigner.assign(times, times, &mut stream_time, &mut out);
        let got: Vec<_> = out.rows.into_iter().zip(out.starts).collect();
        assert_eq!(got, want, "size {size_ms} advance {advance_ms} grace {grace_ms} {times:?}");
    }

    #[test]
    fn rows_are_put_into_their_windows() {
        check(10, 10, 0, &[0, 9, 10, 25], &[(0, 0), (1, 0), (2, 10), (3, 20)]);
        check(10, 10, 0, &[-1, -10], &[(0, -10), (1, -10)]);
        check(10, 5, 0, &[3, 12], &[(0, 0), (1, 5), (1, 10)]);
        check(10, 3, 0, &[20], &[(0, 12), (0, 15), (0, 18)]);
        check(10, 3, 0, &[5], &[(0, 0), (0, 3)]);
        check(10, 4, 0, &[20], &[(0, 12), (0, 16), (0, 20)]);
        check(1, 1, 0, &[7], &[(0, 7)]);
    }

    #[test]
    fn a_window_takes_rows_until_its_end_and_grace_have_passed() {
        check(10, 10, 0, &[9, 10, 9], &[(0, 0), (1, 10)]);
        check(10, 10, 5, &[9, 14, 9, 15, 9], &[(0, 0), (1, 10), (2, 0), (3, 10)]);
        check(10, 5, 0, &[12, 3, 7], &[(0, 5), (0, 10), (2, 5)]);
    }

    #[test]
    fn rows_are_taken_so_many_at_a_time() {
        let cases = [(10, 10, 65_536), (10, 5, 32_768), (10, 3, 16_384), (2000, 1, 32)];
        for (size_ms, advance_ms, rows) in cases {
            let kind = WindowKind::Hopping { size_ms, advance_ms };
            let window = Window { kind, grace_ms: 0, retention_ms: size_ms };
            assert_eq!(Assigner::new(&window).expect("windows").rows_max(), rows, "{kind:?}");
        }
        let kind = WindowKind::Hopping { size_ms: 2001, advance_ms: 1 };
        let error = Assigner::new(&Window { kind, grace_ms: 0, retention_ms: 2001 });
        let error = error.expect_err("too many windows").to_string();
        assert!(error.contains("a row is in 2001 windows"), "{error}");
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        check(10, 10, 0, &[i64::MAX], &[(0, i64::MAX / 10 * 10)]);
        let assigner =
            Assigner { size_ms: 10, advance_ms: 3, grace_ms: i64::MAX, retention_ms: i64::MAX };
        let (mut out, mut stream_time) = (Assigned::default(), NO_TIME);
        let times = [i64::MIN, i64::MAX, 0];
        assigner.assign(&times, &times, &mut stream_time, &mut out);
        assert_eq!(stream_time, i64::MAX);
    }
}
