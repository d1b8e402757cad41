//! One input of a task: how far it is taken in, and what waits to be.

use std::collections::VecDeque;

use crate::error::{EngineError, Result};
use crate::ids::{Offset, Tp};
use crate::progress::TaskKey;
use crate::query::QueryDef;
use crate::topology::Input;
use crate::upstream::Upstreams;

use super::Pending;

/// One input of a task.
pub struct TaskInput {
    pub tp: Tp,
    /// Inputs before in the task that read the same partition: the other side of a self-join.
    pub twin: usize,
    pub topic: String,
    pub(super) step: String,
    /// Everything below is taken in.
    pub position: Offset,
    /// `position` as of the last commit.
    pub committed: Offset,
    /// Table inputs win a tie of timestamps.
    pub(super) table: bool,
    /// Rows that the query sent to itself, counted where they came from.
    pub(super) internal: bool,
    pub(super) queue: VecDeque<Pending>,
    pub buffered: usize,
    /// The reader has seen the end of what is there to read.
    pub caught_up: bool,
    /// Several tasks send to this input.
    pub(super) upstreams: Option<Upstreams>,
}

impl TaskInput {
    pub(super) fn new(query: &QueryDef, key: &TaskKey, at: usize, input: &Input) -> Result<Self> {
        let sub = key.sub as usize;
        let facts = query.input_topic(sub, at)?;
        let mut upstreams = None;
        let (topic, step, table) = match input {
            Input::Scan(scan) => {
                let table = scan.source.kind == millrace_sql::catalog::SourceKind::Table;
                (scan.source.topic.clone(), scan.step.clone(), table)
            }
            Input::Repartition(at) => {
                let repartition = &query.topology.repartitions[*at];
                let step = repartition.node.step.clone();
                let tasks = query.upstream_tasks(*at);
                upstreams = query.tells_upstream(*at).then(|| Upstreams::new(tasks));
                let table = repartition.kind == millrace_sql::plan::ResultKind::Table;
                (query.names.repartition_topic(&query.id, &step), step, table)
            }
        };
        let sub_facts = query.facts.subs.get(sub).ok_or_else(|| {
            EngineError::Bug(format!("query {} has no facts for sub-topology {sub}", query.id))
        })?;
        let starts = sub_facts.starts.get(at);
        let start = starts.and_then(|s| s.get(key.partition as usize)).copied();
        let start = start.unwrap_or_default();
        Ok(TaskInput {
            tp: Tp::new(facts.id, key.partition),
            twin: 0,
            topic,
            step,
            position: start,
            committed: start,
            table,
            internal: matches!(input, Input::Repartition(_)),
            queue: VecDeque::new(),
            buffered: 0,
            caught_up: false,
            upstreams,
        })
    }

    /// Head timestamp first; on a tie a table's change comes before a stream's row.
    pub(super) fn order(&self) -> (i64, u8) {
        let time = self.queue.front().map_or(i64::MAX, |pending| {
            // A batch of rejects only has no time: it passes at once.
            pending.batch.times.get(pending.taken).copied().unwrap_or(i64::MIN)
        });
        (time, self.rank())
    }

    pub(super) fn rank(&self) -> u8 {
        u8::from(!self.table)
    }
}
