//! Rows of an outer join whose wait is over without a row that says so.

use super::{Out, StreamStreamJoin};
use crate::batch::Batch;
use crate::error::Result;
use crate::operators::StepContext;
use crate::operators::joins::rows::{LEFT, RIGHT, Source, joined};
use crate::operators::slots::{split_window, window_bytes};
use crate::state::{Shape, StateView};

impl StreamStreamJoin {
    /// Stream time at which the first pending row is given up.
    pub(super) fn first_close(&self, state: &dyn StateView) -> Result<i64> {
        let mut first = self.pending.keys().next().map(|(close, _)| *close);
        if !self.complete && (self.waits(LEFT) || self.waits(RIGHT)) {
            let from = window_bytes(self.loaded_to);
            let mut stored = Ok(None);
            state.scan(self.outer_store, Shape::WindowFirst, &from, &[], &mut |key, _| {
                stored = split_window(key).map(|(close, _)| Some(close));
                false
            })?;
            first = stored?.into_iter().chain(first).min();
        }
        Ok(first.map_or(i64::MAX, |close| close.saturating_add(1)))
    }

    pub(super) fn close_to(&mut self, now: i64, ctx: &mut StepContext<'_>) -> Result<()> {
        if now <= self.stream_time {
            return Ok(());
        }
        self.stream_time = now;
        let mut out = Out::new(LEFT, 0);
        self.give_up(&mut out, ctx.state)?;
        if !out.times.is_empty() {
            let source = |side: usize| {
                let rows = self.spec.sides[side].decode(&out.kept[side].slices())?;
                Source::new(None, rows)
            };
            let sources = [source(LEFT)?, source(RIGHT)?];
            let Out { sides: [left, right], times, .. } = out;
            let rows = joined(&self.spec, &sources, left, right, None)?;
            ctx.out.push(Batch::new(rows, times));
        }
        Ok(())
    }
}
