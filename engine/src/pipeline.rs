//! The operators of one task, wired as the plan says. One breakpoint in [`Pipeline::push`] shows a
//! batch's whole way from source to output.

use crate::batch::Batch;
use crate::error::Result;
use crate::lineage::Lineage;
use crate::operators::expiry::Expiry;
use crate::operators::{Operator, RowReject, StepContext};
use crate::state::StateView;

/// Operators in an order where children come before parents.
pub struct Pipeline {
    nodes: Vec<Step>,
    /// Node that takes each input of the sub-topology.
    entries: Vec<usize>,
    /// Nodes where rows expire.
    expiring: Vec<usize>,
    /// How far rows that come to a node may be behind stream time, and those that leave the last one.
    holds_ms: Vec<i64>,
    hold_ms: i64,
}

/// One operator and where its output goes; `None`: out of the pipeline.
pub struct Step {
    pub operator: Box<dyn Operator>,
    pub next: Option<(usize, usize)>,
    /// Where its second output goes, if it has one.
    pub aside: Option<Aside>,
}

/// Where a second output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// To a repartition topic, by its index in the query's topology.
    Topic(usize),
    /// To another node of the pipeline, which may stand anywhere: node and port.
    Node(usize, usize),
}

/// What a pipeline hands back from one call.
#[derive(Default)]
pub struct Emitted {
    pub batches: Vec<Batch>,
    /// Of each of the batches, where it is known.
    pub lineages: Vec<Option<Lineage>>,
    /// For repartition topics beside the output.
    pub aside: Vec<(usize, Batch)>,
    pub rejects: Vec<RowReject>,
    pub late_records: u64,
}

impl Pipeline {
    pub fn new(nodes: Vec<Step>, entries: Vec<usize>) -> Self {
        debug_assert!(
            nodes.iter().enumerate().all(|(at, n)| n.next.is_none_or(|(to, _)| to > at)),
            "children come before parents"
        );
        let expires = |at: &usize| nodes[*at].operator.expiry().is_some();
        let expiring = (0..nodes.len()).filter(expires).collect();
        let (mut holds_ms, mut hold_ms) = (vec![0; nodes.len()], 0);
        for (at, node) in nodes.iter().enumerate() {
            let held: i64 = node.operator.hold_ms().saturating_add(holds_ms[at]);
            let to = node.next.map_or(&mut hold_ms, |(next, _)| &mut holds_ms[next]);
            *to = held.max(*to);
        }
        Pipeline { nodes, entries, expiring, holds_ms, hold_ms }
    }

    /// How far rows that come out may be behind stream time, in milliseconds.
    pub fn hold_ms(&self) -> i64 {
        self.hold_ms
    }

    /// Stream time at which something closes that no row has closed yet; it may be too early.
    pub fn next_close(&self, state: &dyn StateView) -> Result<i64> {
        let mut next = i64::MAX;
        for (node, hold_ms) in self.nodes.iter().zip(&self.holds_ms) {
            let expires = node.operator.expiry().map_or(i64::MAX, Expiry::next);
            let closes = node.operator.next_close(state)?;
            next = next.min(expires.min(closes).saturating_add(*hold_ms));
        }
        Ok(next)
    }

    /// Stream time has come to `now` without a row: hands out what it closes, and lets about `max` rows
    /// expire.
    pub fn close(
        &mut self,
        now: i64,
        max: usize,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        for at in 0..self.nodes.len() {
            // Rows that were held back before come first.
            let now = now.saturating_sub(self.holds_ms[at]);
            if self.nodes[at].operator.next_close(state)? > now {
                continue;
            }
            let mut made = Made::default();
            let mut ctx = context(state, &mut made, coalesce, out);
            self.nodes[at].operator.close(now, &mut ctx)?;
            let mut work = Vec::new();
            self.hand_on(at, made, &mut work, out);
            self.run(work, state, coalesce, out)?;
        }
        self.advance(now, max, state, coalesce, out).map(|_| ())
    }

    /// Whether rows expire by stream time.
    pub fn expires(&self) -> bool {
        !self.expiring.is_empty()
    }

    /// How many of these rows may be pushed as one batch: until one of them moves stream time to
    /// where rows expire, of those that are there or that these bring about. 0: call
    /// [`Pipeline::advance`] first.
    pub fn rows_before_expiry(&self, times: &[i64], clock: &[i64]) -> usize {
        let all = || self.expiring.iter().filter_map(|at| self.nodes[*at].operator.expiry());
        let mut limit = all().map(Expiry::next).min().unwrap_or(i64::MAX);
        let mut now = all().map(Expiry::now).max().unwrap_or(i64::MIN);
        for (row, (time, clock)) in times.iter().zip(clock).enumerate() {
            now = now.max(*clock);
            if limit < i64::MAX && now >= limit {
                return row;
            }
            for expiry in all() {
                let due = expiry.due(*time);
                // What a late row brings about may be due at any time from now on.
                let due = if due > now { due } else { now.saturating_add(1) };
                limit = limit.min(due);
            }
        }
        times.len()
    }

    /// Stream time is `now`: lets rows expire, about `max` of them. Gives how many entries were looked
    /// at; `max` or more: there may be more.
    pub fn advance(
        &mut self,
        now: i64,
        max: usize,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<usize> {
        let mut done = 0;
        for at in self.expiring.clone() {
            let mut made = Made::default();
            let mut ctx = context(state, &mut made, coalesce, out);
            done += self.nodes[at].operator.advance(now, max - done, &mut ctx)?;
            let mut work = Vec::new();
            self.hand_on(at, made, &mut work, out);
            self.run(work, state, coalesce, out)?;
            if done >= max {
                break;
            }
        }
        Ok(done)
    }

    /// As [`Pipeline::push`], letting rows expire between.
    pub fn push_in_time(
        &mut self,
        input: usize,
        batch: Batch,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        let mut from = 0;
        while self.expires() && from < batch.len() {
            let run = self.rows_before_expiry(&batch.times[from..], &batch.clock()[from..]);
            if run == 0 {
                self.advance(batch.clock()[from], usize::MAX, state, coalesce, out)?;
            } else {
                self.push(input, batch.slice(from, run), state, coalesce, out)?;
                from += run;
            }
        }
        if from < batch.len() {
            self.push(input, batch, state, coalesce, out)?;
        }
        Ok(())
    }

    /// Sends a batch of input `input` through; what comes out is added to `out`. Where rows expire, it
    /// is no longer than [`Pipeline::rows_before_expiry`] says.
    pub fn push(
        &mut self,
        input: usize,
        batch: Batch,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        let entry = self.entries[input];
        if self.expires()
            && let Some(now) = batch.clock().iter().copied().max()
        {
            self.advance(now, usize::MAX, state, coalesce, out)?;
        }
        let lineage = Some(Lineage::default());
        self.run(vec![Work { at: entry, port: 0, batch, lineage }], state, coalesce, out)
    }

    /// Hands out what operators held back, before a commit.
    pub fn flush(
        &mut self,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        for at in 0..self.nodes.len() {
            let mut made = Made::default();
            let mut ctx = context(state, &mut made, coalesce, out);
            self.nodes[at].operator.flush(&mut ctx)?;
            let mut work = Vec::new();
            self.hand_on(at, made, &mut work, out);
            self.run(work, state, coalesce, out)?;
        }
        Ok(())
    }

    /// Per operator that has any, what must survive a crash beside stores. Operators without are left
    /// out: they may come and go when a query is replaced.
    pub fn progress(&self) -> Vec<Vec<i64>> {
        let all = self.nodes.iter().map(|node| node.operator.progress());
        all.filter(|progress| !progress.is_empty()).collect()
    }

    /// Back to committed state: `progress` as it was committed, empty for a new task.
    pub fn restore(&mut self, progress: &[Vec<i64>]) {
        let mut progress = progress.iter().filter(|progress| !progress.is_empty());
        for node in &mut self.nodes {
            node.operator.reset();
            // What an operator has when it is new tells whether it has any.
            if !node.operator.progress().is_empty()
                && let Some(progress) = progress.next()
            {
                node.operator.restore(progress);
            }
        }
    }

    /// Rows that operators hold back until the next flush.
    pub fn owed_rows(&self) -> usize {
        self.nodes.iter().map(|node| node.operator.owed_rows()).sum()
    }

    /// Depth first, so that output keeps the order of input; the last of `work` is next.
    fn run(
        &mut self,
        mut work: Vec<Work>,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        while let Some(Work { at, port, batch, lineage }) = work.pop() {
            if batch.is_empty() {
                continue;
            }
            let told = out.rejects.len();
            let mut made = Made::default();
            let mut ctx = context(state, &mut made, coalesce, out);
            let operator = &mut self.nodes[at].operator;
            operator.push(port, batch, &mut ctx)?;
            if let Some(lineage) = lineage {
                for reject in &mut out.rejects[told..] {
                    reject.origin = reject.row_index.and_then(|row| lineage.origin(row));
                }
                made.lineage = lineage.then(operator.passed());
            }
            self.hand_on(at, made, &mut work, out);
        }
        Ok(())
    }

    /// Puts what node `at` made on the stack of work, or out of the pipeline.
    fn hand_on(&self, at: usize, made: Made, work: &mut Vec<Work>, out: &mut Emitted) {
        let Step { next, aside, .. } = &self.nodes[at];
        let kept = |batch: &Batch| !batch.is_empty();
        match *aside {
            None => debug_assert!(made.aside.is_empty(), "a second output goes somewhere"),
            Some(Aside::Topic(topic)) => {
                let batches = made.aside.into_iter().filter(kept);
                out.aside.extend(batches.map(|batch| (topic, batch)));
            }
            Some(Aside::Node(node, port)) => {
                let aside = made.aside.into_iter().rev();
                work.extend(aside.map(|batch| Work { at: node, port, batch, lineage: None }));
            }
        }
        match *next {
            None => {
                for batch in made.out.into_iter().filter(kept) {
                    out.batches.push(batch);
                    out.lineages.push(made.lineage.clone());
                }
            }
            Some((node, port)) => {
                let work_of = |batch| Work { at: node, port, batch, lineage: made.lineage.clone() };
                work.extend(made.out.into_iter().rev().map(work_of));
            }
        }
    }
}

/// A batch for an operator.
struct Work {
    at: usize,
    port: usize,
    batch: Batch,
    lineage: Option<Lineage>,
}

/// What one call of an operator made.
#[derive(Default)]
struct Made {
    out: Vec<Batch>,
    aside: Vec<Batch>,
    /// Of the only batch of `out`.
    lineage: Option<Lineage>,
}

fn context<'a>(
    state: &'a mut dyn StateView,
    made: &'a mut Made,
    coalesce: bool,
    out: &'a mut Emitted,
) -> StepContext<'a> {
    StepContext {
        state,
        out: &mut made.out,
        aside: &mut made.aside,
        rejects: &mut out.rejects,
        coalesce,
        late_records: &mut out.late_records,
    }
}
