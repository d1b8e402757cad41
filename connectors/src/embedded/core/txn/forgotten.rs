//! Ends of transactions that some partitions are not told of, as a lone Kafka broker may leave them when
//! it dies. For simulations only: the embedded log never does that by itself.

use millrace_engine::ids::Tp;

use super::super::Core;
use super::super::entry::{Entry, PartPatch};
use super::Run;

/// What a partition holds of transactions whose end it was not told.
#[derive(Debug)]
pub(super) struct Left {
    /// How the last of them ended.
    committed: bool,
    pub runs: Vec<Run>,
}

impl Core {
    /// The open transaction of `id` is about to end, and the partitions that `which` picks by their
    /// place in it are not told. They stay undecided until [`Core::settle`], or until a later
    /// transaction of `id` that writes to them ends.
    pub fn forget(&mut self, id: &str, committed: bool, which: impl Fn(usize) -> bool) {
        let Some(writer) = self.writers.get_mut(id) else { return };
        let Some(txn) = &mut writer.txn else { return };
        let places = txn.parts.keys().enumerate();
        let picked: Vec<Tp> = places.filter(|(at, _)| which(*at)).map(|(_, tp)| *tp).collect();
        for tp in picked {
            let Some(runs) = txn.parts.remove(&tp) else { continue };
            let new = || Left { committed, runs: Vec::new() };
            let left = writer.left.entry(tp).or_insert_with(new);
            left.committed = committed;
            left.runs.extend(runs);
        }
    }

    /// Tells partitions what they were not told. With `drop`, whatever it was, that it was aborted.
    pub fn settle(&mut self, id: &str, tps: &[Tp], now_ms: i64, drop: bool) {
        let Some(writer) = self.writers.get_mut(id) else { return };
        let left: Vec<_> =
            tps.iter().filter_map(|tp| Some((*tp, writer.left.remove(tp)?))).collect();
        let mut patches = Vec::new();
        for (tp, Left { committed, runs }) in left {
            let Some(partition) = self.partition_mut(tp) else { continue };
            partition.close(id);
            let end = partition.hw() + 1;
            let kept = runs.into_iter().filter(|_| committed && !drop);
            let chunks = kept.map(|run| run.records.build(run.base, now_ms)).collect();
            patches.push(PartPatch { end, chunks, ..PartPatch::new(tp) });
        }
        if !patches.is_empty() {
            self.apply(&Entry::parts(patches));
        }
    }
}
