//! Where queries stand in the topics that they read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::api::{ApiError, ApiResult, PartitionOffsets, QueryOffsets};
use crate::error::{EngineError, Result};
use crate::ids::{Offset, Tp};
use crate::query::QueryDef;
use crate::service::Inner;
use crate::service::command_log::wait;
use crate::worker::Request;

/// How long a lane may take to tell, and the log.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Inner {
    /// Unknown queries are left out, and so are partitions of lanes of other nodes.
    pub(super) fn offsets(&self, queries: &[&str]) -> ApiResult<Vec<QueryOffsets>> {
        let queries: Vec<Arc<QueryDef>> =
            queries.iter().filter_map(|id| self.registry.get(id)).collect();
        self.offsets_of(&queries).map_err(ApiError::Engine)
    }

    fn offsets_of(&self, queries: &[Arc<QueryDef>]) -> Result<Vec<QueryOffsets>> {
        let positions = self.positions(queries)?;
        let mut tps: Vec<Tp> = positions.iter().flat_map(|of| of.keys().copied()).collect();
        tps.sort_unstable();
        tps.dedup();
        let log = self.seams.log.as_ref();
        let ends = match tps.is_empty() {
            true => Vec::new(),
            // A topic that is gone says nothing of where the others end.
            false => wait(log, ANSWER_TIMEOUT, || log.ends(&tps))?.unwrap_or_default(),
        };
        let ends: BTreeMap<Tp, _> = tps.into_iter().zip(ends).collect();
        let all = queries.iter().zip(positions).map(|(query, positions)| {
            let mut topics: BTreeMap<String, Vec<PartitionOffsets>> = BTreeMap::new();
            for (tp, at) in positions {
                let (Some(name), Some(ends)) = (query.topic_name(tp.topic), ends.get(&tp)) else {
                    continue;
                };
                topics.entry(name.to_owned()).or_default().push(PartitionOffsets {
                    partition: tp.partition.0,
                    start: ends.start.0,
                    end: ends.hw.0,
                    position: at.0,
                });
            }
            let group = query.names.application(&query.id);
            QueryOffsets { query: query.id.clone(), group, topics }
        });
        Ok(all.collect())
    }

    /// Asks all lanes of this node at once.
    fn positions(&self, queries: &[Arc<QueryDef>]) -> Result<Vec<BTreeMap<Tp, Offset>>> {
        let mut found = vec![BTreeMap::new(); queries.len()];
        let Some(booted) = self.booted.get() else { return Ok(found) };
        let mut answers = Vec::new();
        for lane in booted.workers.reports().into_keys() {
            let (reply, answer) = sync_channel(1);
            booted.workers.send(Request::Positions(lane, queries.to_vec(), reply))?;
            answers.push(answer);
        }
        self.seams.log.wake();
        for answer in answers {
            let of_lane = answer.recv_timeout(ANSWER_TIMEOUT).map_err(|_| {
                EngineError::Config("a lane did not answer in time; try again".to_owned())
            })?;
            found.iter_mut().zip(of_lane).for_each(|(all, more)| all.extend(more));
        }
        Ok(found)
    }
}
