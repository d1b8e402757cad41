//! Rows that expire as the rows taken in move stream time.

use std::borrow::Cow;
use std::time::Duration;

use super::{Pending, Task, Worked};
use crate::error::Result;
use crate::outbox::Outbox;
use crate::pipeline::Emitted;
use crate::state::lane::LaneState;
use crate::upstream::Upstreams;

impl Task {
    /// Lets rows expire that are due as of the next row of input `at`, up to `max` of them. False when
    /// none are. The row is not taken in before all are gone, so it does not matter where a step, a
    /// transaction or a crash cuts in between.
    pub(super) fn expire_before(
        &mut self,
        at: usize,
        max: usize,
        now: Duration,
        (state, outbox): (&mut LaneState, &mut Outbox),
        worked: &mut Worked,
    ) -> Result<bool> {
        if !self.pipeline.expires() {
            return Ok(false);
        }
        let input = &self.inputs[at];
        let Some(head) = input.queue.front() else { return Ok(false) };
        let times = &head.batch.times[head.taken..];
        let clock = clock(head, &input.upstreams, times.len().min(1), now);
        let (Some(stream_time), Some(time)) = (clock.first().copied(), times.first()) else {
            return Ok(false);
        };
        if self.pipeline.rows_before_expiry(&[*time], &clock) > 0 {
            return Ok(false);
        }
        self.dirty = true;
        let (mut emitted, coalesce) = (Emitted::default(), self.query.facts.coalesce);
        let done = self.pipeline.advance(stream_time, max, state, coalesce, &mut emitted)?;
        worked.records += done;
        self.emit(emitted, None, outbox, &mut worked.log)?;
        Ok(true)
    }
}

/// Stream time as of each of the next `run` rows, which are not taken yet.
pub(super) fn clock<'a>(
    pending: &'a Pending,
    upstreams: &Option<Upstreams>,
    run: usize,
    now: Duration,
) -> Cow<'a, [i64]> {
    let rows = pending.taken..pending.taken + run;
    match (upstreams, &pending.upstream) {
        (Some(upstreams), Some(sent)) => Cow::Owned(upstreams.clone().clock(&sent[rows], now)),
        _ => Cow::Borrowed(&pending.batch.times[rows]),
    }
}
