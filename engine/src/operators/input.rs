//! Where a sub-topology's input enters the pipeline.

use crate::batch::Batch;
use crate::error::Result;
use crate::lineage::Passed;
use crate::operators::{Operator, StepContext};

/// Passes a batch on as it is.
pub struct InputOperator;

impl Operator for InputOperator {
    fn push(&mut self, _port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        ctx.out.push(batch);
        Ok(())
    }

    fn passed(&self) -> Passed<'_> {
        Passed::All
    }

    fn reset(&mut self) {}
}
