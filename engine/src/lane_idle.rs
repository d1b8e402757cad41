//! What the clock brings about in tasks that no record reaches.

use std::task::Poll;

use crate::error::Result;
use crate::ids::{Offset, Tp};
use crate::lane::{Lane, World};
use crate::outbox::Owner;
use crate::panics::caught;
use crate::task::{Passing, Worked};

impl Lane {
    /// Closes what the clock closes, where all that was written is taken in. True: something was.
    pub(crate) fn pass_time(&mut self) -> Result<bool> {
        let now = self.world.clock.elapsed();
        let (mut passed, mut failed) = (false, None);
        for task in self.tasks.values_mut() {
            let passing = match task.passing(now, &self.state) {
                Ok(None) => continue,
                Ok(Some(Passing { to, reads })) if self.world.has_all(&reads) => Ok(to),
                Ok(Some(_)) => continue,
                Err(error) => Err(error),
            };
            let mut worked = Worked::default();
            self.outbox.owned_by(Owner::Task(task.key.clone()));
            let done = passing.and_then(|to| {
                caught(|| task.pass(to, &mut self.state, &mut self.outbox, &mut worked))
            });
            if let Err(error) = done {
                failed = Some((task.key.query.clone(), error));
                break;
            }
            passed = true;
            self.txn.since.get_or_insert(now);
            self.txn.records += worked.records;
            self.txn.log.extend(worked.log);
        }
        match failed {
            Some((query, error)) => self.task_failed(&query, error),
            None => Ok(passed),
        }
    }
}

impl World {
    /// Whether nothing was written behind these positions, as of now. False while the log does not say.
    fn has_all(&self, reads: &[(Tp, Offset)]) -> bool {
        if reads.is_empty() {
            return true;
        }
        let tps: Vec<Tp> = reads.iter().map(|(tp, _)| *tp).collect();
        let Poll::Ready(Ok(ends)) = self.log.ends(&tps) else { return false };
        ends.iter().zip(reads).all(|(ends, (_, position))| *position >= ends.hw)
    }
}
