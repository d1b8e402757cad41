//! Reading the committed entries of a store from the lanes that own them.
//!
//! Without a LIMIT each lane is asked once, all at the same time: what a lane answers is one cut.
//! With a LIMIT that cuts off whatever comes first, partitions are read one after another, page by
//! page, until the reader has enough: each page is one cut.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use millrace_sql::lookup::Lookup;
use millrace_sql::plan::ScanNode;

use super::SCAN_TIMEOUT;
use super::read::Reading;
use super::rows::Kept;
use crate::error::{EngineError, Result};
use crate::ids::LaneId;
use crate::limits::{PULL_BATCH_ROWS, PULL_PAGE_ROWS_MIN};
use crate::query::QueryDef;
use crate::service::Inner;
use crate::state::StoreId;
use crate::worker::{Entry, ReadRequest, ReadWhat, Request};

/// How long a lane may take to answer a read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A table whose rows a query keeps, and the columns that are read of it.
pub(super) struct Snapshot {
    pub inner: Arc<Inner>,
    pub query: Arc<QueryDef>,
    pub kept: Kept,
    pub scan: ScanNode,
}

/// The rows of a snapshot.
pub(super) struct SnapshotRows {
    snapshot: Arc<Snapshot>,
    reading: Reading,
    source: Source,
    /// Read and not yet handed out.
    entries: std::vec::IntoIter<Entry>,
    deadline: Instant,
    failed: bool,
}

/// Where the next entries come from.
enum Source {
    /// Lanes that have been asked.
    Lanes(VecDeque<Receiver<Result<Vec<Entry>>>>),
    /// Partitions that are read in turn; the key that the first of them goes on from.
    Pages { rows: usize, open: VecDeque<(LaneId, StoreId)>, from: Vec<u8> },
}

impl SnapshotRows {
    /// `limit`: the reader may stop after so many rows.
    ///
    /// # Errors
    /// A lane of the table is not on this node.
    pub fn new(snapshot: Arc<Snapshot>, lookup: &Lookup, limit: Option<usize>) -> Result<Self> {
        let Snapshot { inner, query, kept, .. } = snapshot.as_ref();
        let reading = inner.reading(query, kept.store, lookup, &kept.key_types())?;
        let source = match (limit, &reading.what) {
            (Some(limit), ReadWhat::Range(from, _)) => Source::Pages {
                rows: limit.clamp(PULL_PAGE_ROWS_MIN, PULL_BATCH_ROWS),
                open: reading.stores().collect(),
                from: from.clone(),
            },
            _ => {
                let lanes = reading.by_lane.iter();
                let ask = lanes.map(|(lane, stores)| {
                    inner.ask(*lane, reading.request(stores.clone(), reading.what.clone(), None))
                });
                Source::Lanes(ask.collect::<Result<_>>()?)
            }
        };
        inner.seams.log.wake();
        let deadline = Instant::now() + SCAN_TIMEOUT;
        let entries = Vec::new().into_iter();
        Ok(SnapshotRows { snapshot, reading, source, entries, deadline, failed: false })
    }

    /// The next rows; `None` when all are read.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if Instant::now() > self.deadline {
                let message = format!(
                    "the query reads for more than {} s; narrow it with a key or add a LIMIT",
                    SCAN_TIMEOUT.as_secs()
                );
                return Err(EngineError::User(message));
            }
            let entries: Vec<Entry> = self.entries.by_ref().take(PULL_BATCH_ROWS).collect();
            if !entries.is_empty() {
                let Snapshot { query, kept, scan, .. } = self.snapshot.as_ref();
                return kept.rows(query, &entries, scan).map(Some);
            }
            if !self.refill()? {
                return Ok(None);
            }
        }
    }

    /// Fetches entries; false when there are no more.
    fn refill(&mut self) -> Result<bool> {
        let (rows, open, from) = match &mut self.source {
            Source::Lanes(lanes) => {
                let Some(lane) = lanes.pop_front() else { return Ok(false) };
                self.entries = answer(&lane)?.into_iter();
                return Ok(true);
            }
            Source::Pages { rows, open, from } => (rows, open, from),
        };
        let (Some((lane, store)), ReadWhat::Range(start, to)) = (open.front(), &self.reading.what)
        else {
            return Ok(false);
        };
        let what = ReadWhat::Range(from.clone(), to.clone());
        let request = self.reading.request(vec![*store], what, Some(*rows));
        let receiver = self.snapshot.inner.ask(*lane, request)?;
        self.snapshot.inner.seams.log.wake();
        let entries = answer(&receiver)?;
        match entries.last() {
            // No key is a prefix of another: a zero byte after one stands before the next.
            Some((last, _)) if entries.len() == *rows => {
                *from = last.clone();
                from.push(0);
            }
            _ => {
                *from = start.clone();
                open.pop_front();
            }
        }
        *rows = (*rows * 2).min(PULL_BATCH_ROWS);
        self.entries = entries.into_iter();
        Ok(true)
    }
}

impl Iterator for SnapshotRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.batch().transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}

fn answer(lane: &Receiver<Result<Vec<Entry>>>) -> Result<Vec<Entry>> {
    lane.recv_timeout(READ_TIMEOUT)
        .map_err(|_| EngineError::Config("a lane did not answer in time; try again".to_owned()))?
}

impl Inner {
    /// Asks a lane; `request` makes what it is asked from where it answers.
    fn ask(
        &self,
        lane: LaneId,
        request: impl FnOnce(std::sync::mpsc::SyncSender<Result<Vec<Entry>>>, usize) -> ReadRequest,
    ) -> Result<Receiver<Result<Vec<Entry>>>> {
        let Some(booted) = self.booted.get() else {
            return Err(EngineError::Config("the server is starting".to_owned()));
        };
        if !booted.workers.reports().contains_key(&lane) {
            return Err(EngineError::Config(format!(
                "lane {lane} of table data is not on this node; ask the node that owns it"
            )));
        }
        let (reply, answer) = sync_channel(1);
        booted.workers.send(Request::Read(lane, request(reply, self.limits.pull_rows_max)))?;
        Ok(answer)
    }
}
