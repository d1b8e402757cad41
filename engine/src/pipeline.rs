//! The operators of one task, wired as the plan says. One breakpoint in [`Pipeline::push`] shows a
//! batch's whole way from source to output.

use crate::batch::Batch;
use crate::error::Result;
use crate::operators::{Operator, RowReject, StepContext};
use crate::state::StateView;

/// Operators in an order where children come before parents.
pub struct Pipeline {
    nodes: Vec<Step>,
    /// Node that takes each input of the sub-topology.
    entries: Vec<usize>,
}

/// One operator and where its output goes; `None`: out of the pipeline.
pub struct Step {
    pub operator: Box<dyn Operator>,
    pub next: Option<(usize, usize)>,
}

/// What a pipeline hands back from one call.
#[derive(Default)]
pub struct Emitted {
    pub batches: Vec<Batch>,
    pub rejects: Vec<RowReject>,
    pub late_records: u64,
}

impl Pipeline {
    pub fn new(nodes: Vec<Step>, entries: Vec<usize>) -> Self {
        debug_assert!(
            nodes.iter().enumerate().all(|(at, n)| n.next.is_none_or(|(to, _)| to > at)),
            "children come before parents"
        );
        Pipeline { nodes, entries }
    }

    /// Sends a batch of input `input` through; what comes out is added to `out`.
    pub fn push(
        &mut self,
        input: usize,
        batch: Batch,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        let entry = self.entries[input];
        self.run(vec![(entry, 0, batch)], state, coalesce, out)
    }

    /// Hands out what operators held back, before a commit.
    pub fn flush(
        &mut self,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        for at in 0..self.nodes.len() {
            let mut batches = Vec::new();
            let next = self.nodes[at].next;
            let mut ctx = context(state, &mut batches, coalesce, out);
            self.nodes[at].operator.flush(&mut ctx)?;
            self.forward(next, batches, state, coalesce, out)?;
        }
        Ok(())
    }

    /// Per operator, what must survive a crash beside stores.
    pub fn progress(&self) -> Vec<Vec<i64>> {
        self.nodes.iter().map(|node| node.operator.progress()).collect()
    }

    /// Back to committed state: `progress` as it was committed, empty for a new task.
    pub fn restore(&mut self, progress: &[Vec<i64>]) {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            node.operator.reset();
            if let Some(progress) = progress.get(at) {
                node.operator.restore(progress);
            }
        }
    }

    pub fn memory_bytes(&self) -> usize {
        self.nodes.iter().map(|node| node.operator.memory_bytes()).sum()
    }

    fn forward(
        &mut self,
        next: Option<(usize, usize)>,
        batches: Vec<Batch>,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        match next {
            None => out.batches.extend(batches.into_iter().filter(|b| !b.is_empty())),
            Some((node, port)) => {
                let work = batches.into_iter().map(|batch| (node, port, batch)).collect();
                self.run(work, state, coalesce, out)?;
            }
        }
        Ok(())
    }

    /// Depth first, so that output keeps the order of input.
    fn run(
        &mut self,
        mut work: Vec<(usize, usize, Batch)>,
        state: &mut dyn StateView,
        coalesce: bool,
        out: &mut Emitted,
    ) -> Result<()> {
        work.reverse();
        while let Some((at, port, batch)) = work.pop() {
            if batch.is_empty() {
                continue;
            }
            let mut batches = Vec::new();
            let next = self.nodes[at].next;
            let mut ctx = context(state, &mut batches, coalesce, out);
            self.nodes[at].operator.push(port, batch, &mut ctx)?;
            match next {
                None => out.batches.extend(batches.into_iter().filter(|b| !b.is_empty())),
                Some((node, port)) => {
                    work.extend(batches.into_iter().rev().map(|batch| (node, port, batch)));
                }
            }
        }
        Ok(())
    }
}

fn context<'a>(
    state: &'a mut dyn StateView,
    batches: &'a mut Vec<Batch>,
    coalesce: bool,
    out: &'a mut Emitted,
) -> StepContext<'a> {
    StepContext {
        state,
        out: batches,
        rejects: &mut out.rejects,
        coalesce,
        late_records: &mut out.late_records,
    }
}
