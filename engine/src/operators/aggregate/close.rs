//! EMIT FINAL without rows: what closes next, and closing it when the clock has moved stream time.

use std::cmp::Reverse;

use super::session::SessionAggregate;
use super::windowed::TimeAggregate;
use crate::error::Result;
use crate::operators::StepContext;
use crate::operators::slots::{split_window, window_bytes};
use crate::state::{Shape, StateView, StoreId};

impl TimeAggregate {
    /// Stream time at which the first open window closes.
    pub(super) fn first_close(&self, state: &dyn StateView) -> Result<i64> {
        let Some(assigner) = self.assigner.filter(|_| self.spec.emit_final) else {
            return Ok(i64::MAX);
        };
        let mut first = self.open.keys().next().copied();
        if self.closed_to < self.complete_from {
            let stored = first_window(self.store, self.closed_to, state)?;
            first = stored.into_iter().chain(first).min();
        }
        let close =
            |start: i64| start.saturating_add(assigner.size_ms).saturating_add(assigner.grace_ms);
        Ok(first.map_or(i64::MAX, close))
    }

    pub(super) fn close_to(&mut self, now: i64, ctx: &mut StepContext<'_>) -> Result<()> {
        self.stream_time = self.stream_time.max(now);
        self.emit_closed(ctx)
    }
}

impl SessionAggregate {
    /// Stream time at which the first open session closes, or earlier if it has grown.
    pub(super) fn first_close(&self, state: &dyn StateView) -> Result<i64> {
        if !self.spec.emit_final {
            return Ok(i64::MAX);
        }
        let mut first = self.open.peek().map(|Reverse((end, _))| *end);
        if !self.complete {
            let stored = first_window(self.ends, self.closed_to, state)?;
            first = stored.into_iter().chain(first).min();
        }
        let open_ms = self.lengths.gap_ms.saturating_add(self.lengths.grace_ms).saturating_add(1);
        Ok(first.map_or(i64::MAX, |end| end.saturating_add(open_ms)))
    }

    pub(super) fn close_to(&mut self, now: i64, ctx: &mut StepContext<'_>) -> Result<()> {
        self.stream_time = self.stream_time.max(now);
        self.emit_closed(ctx)
    }
}

/// The first time from `from` on that a store has an entry of.
fn first_window(store: StoreId, from: i64, state: &dyn StateView) -> Result<Option<i64>> {
    let mut first = Ok(None);
    state.scan(store, Shape::WindowFirst, &window_bytes(from), &[], &mut |key, _| {
        first = split_window(key).map(|(time, _)| Some(time));
        false
    })?;
    first
}
