//! Workers: a few threads that step any number of lanes. A lane that waits costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use millrace_sql::parser::STACK_BYTES;
use parking_lot::Mutex;

use crate::error::{EngineError, Result};
use crate::ids::{LaneId, Offset, Tp};
use crate::lane::Lane;
use crate::log::Log;
use crate::panics::caught;
use crate::query::QueryDef;
use crate::state::view::CommittedView;
use crate::state::{Shape, StoreId};

/// What others ask of a worker.
pub enum Request {
    Add(Box<Lane>),
    /// Closes the open transaction, flushes, and stops the lane.
    Remove(LaneId),
    Read(LaneId, ReadRequest),
    /// Where the queries stand, in their order.
    Positions(LaneId, Vec<Arc<QueryDef>>, SyncSender<Vec<BTreeMap<Tp, Offset>>>),
}

/// A read of committed state.
pub struct ReadRequest {
    pub stores: Vec<StoreId>,
    pub shape: Shape,
    pub what: ReadWhat,
    /// A range is read up to so many rows; the reader goes on from there.
    pub page: Option<usize>,
    /// Rows after which reading stops with an error.
    pub rows_max: usize,
    pub reply: SyncSender<Result<Vec<Entry>>>,
}

/// Key and value of a store's entry.
pub type Entry = (Vec<u8>, Vec<u8>);

#[derive(Debug, Clone)]
pub enum ReadWhat {
    Keys(Vec<Vec<u8>>),
    /// `from <= key < to`; an empty `to` has no bound.
    Range(Vec<u8>, Vec<u8>),
    /// Everything below some keys of a `KeyFirst` store.
    Prefixes(Vec<Vec<u8>>),
    /// Some keys of a `WindowFirst` store, in all windows of a range: each window is sought, and the
    /// keys looked up in it.
    InWindows {
        from: Vec<u8>,
        to: Vec<u8>,
        keys: Vec<Vec<u8>>,
    },
}

/// How a lane stands, as its worker last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneReport {
    pub running: bool,
    pub command: i64,
    /// The command that it waits for before it goes on.
    pub awaits: Option<i64>,
    /// Since when the transaction that it is ending has not ended.
    pub ending_since: Option<Duration>,
    /// Clock at the last step.
    pub ticked: Duration,
    pub commits: u64,
    pub recoveries: u64,
    /// What it last failed of, if it has not committed since.
    pub failure: Option<Arc<str>>,
}

/// The worker threads of a node.
pub struct Workers {
    senders: Vec<Sender<Request>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

struct Shared {
    stop: AtomicBool,
    reports: Mutex<BTreeMap<LaneId, LaneReport>>,
    log: Arc<dyn Log>,
    clock: Arc<dyn crate::seams::Clock>,
    park_max: Duration,
}

/// How long a lane may take to close its transaction at shutdown.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// Sleep while a transaction is open: its commit must not be late.
const PARK_OPEN: Duration = Duration::from_millis(5);

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(
        count: usize,
        log: Arc<dyn Log>,
        clock: Arc<dyn crate::seams::Clock>,
        park_max: Duration,
    ) -> Result<Self> {
        let reports = Mutex::new(BTreeMap::new());
        let shared = Shared { stop: AtomicBool::new(false), reports, log, clock, park_max };
        let shared = Arc::new(shared);
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for at in 0..count.max(1) {
            let (sender, receiver) = channel();
            let shared = shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("worker-{at}"))
                .stack_size(STACK_BYTES)
                .spawn(move || Worker { lanes: BTreeMap::new(), receiver, shared }.run())
                .map_err(|e| EngineError::Config(format!("cannot start a worker thread: {e}")))?;
            senders.push(sender);
            threads.push(thread);
        }
        Ok(Workers { senders, threads: Mutex::new(threads), shared })
    }

    /// Hands a request to the worker of its lane.
    pub fn send(&self, request: Request) -> Result<()> {
        let lane = match &request {
            Request::Add(lane) => lane.id,
            Request::Remove(lane) | Request::Read(lane, _) | Request::Positions(lane, ..) => *lane,
        };
        let sender = &self.senders[lane.0 as usize % self.senders.len()];
        sender.send(request).map_err(|_| EngineError::Config("the server shuts down".to_owned()))
    }

    pub fn reports(&self) -> BTreeMap<LaneId, LaneReport> {
        self.shared.reports.lock().clone()
    }

    /// Closes all lanes and waits for the threads.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

struct Worker {
    lanes: BTreeMap<LaneId, Lane>,
    receiver: Receiver<Request>,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.serve();
            let mut busy = false;
            for lane in self.lanes.values_mut() {
                busy |= lane.step();
            }
            self.report();
            if !busy {
                let open = self.lanes.values().any(|lane| !lane.is_idle());
                let park = if open { PARK_OPEN } else { self.shared.park_max };
                self.shared.log.park(park);
            }
        }
        let ids: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in ids {
            self.remove(id);
        }
    }

    fn serve(&mut self) {
        while let Ok(request) = self.receiver.try_recv() {
            match request {
                Request::Add(lane) => {
                    self.lanes.insert(lane.id, *lane);
                }
                Request::Remove(lane) => self.remove(lane),
                Request::Read(id, read) => {
                    let answer = caught(|| self.read(id, &read));
                    if let (Err(error), Some(lane)) = (&answer, self.lanes.get_mut(&id)) {
                        lane.read_failed(error);
                    }
                    // The asker may have given up.
                    let _ = read.reply.try_send(answer);
                }
                Request::Positions(id, queries, reply) => {
                    let lane = self.lanes.get(&id).filter(|lane| lane.is_running());
                    let of = |query: &Arc<QueryDef>| lane.map(|lane| lane.positions(query));
                    let _ =
                        reply.try_send(queries.iter().map(|q| of(q).unwrap_or_default()).collect());
                }
            }
        }
    }

    /// A clean end: the transaction is closed first (R12).
    fn remove(&mut self, id: LaneId) {
        let Some(mut lane) = self.lanes.remove(&id) else { return };
        let start = self.shared.clock.elapsed();
        while lane.is_running() && !lane.is_settled() {
            lane.hurry();
            if !lane.step() {
                self.shared.log.park(PARK_OPEN);
            }
            if self.shared.clock.elapsed().saturating_sub(start) > CLOSE_MAX {
                tracing::warn!(lane = id.0, "the lane's transaction did not close in time");
                break;
            }
        }
        if let Err(error) = lane.close() {
            tracing::warn!(lane = id.0, %error, "the lane's state could not be flushed");
        }
        self.shared.reports.lock().remove(&id);
    }

    fn read(&self, lane: LaneId, read: &ReadRequest) -> Result<Vec<Entry>> {
        let lane = self.lanes.get(&lane).filter(|lane| lane.is_running()).ok_or_else(|| {
            EngineError::Config(format!("lane {lane} is still restoring its state; try again"))
        })?;
        if read.stores.iter().any(|store| !lane.has_restored(*store)) {
            return Err(EngineError::User(
                "the query that fills the table has been paused or stopped since before this server \
                 started, so its state is not loaded; RESUME it, or see SHOW QUERIES for its error"
                    .to_owned(),
            ));
        }
        let view = lane.state().committed_view();
        let mut entries = Vec::new();
        for store in &read.stores {
            match &read.what {
                ReadWhat::Keys(keys) => read_keys(&view, *store, read.shape, keys, &mut entries)?,
                ReadWhat::Range(from, to) => {
                    let page = read.page.unwrap_or(usize::MAX);
                    view.scan(*store, read.shape, (from, to), &mut |key, value| {
                        entries.push((key.to_vec(), value.to_vec()));
                        entries.len() <= read.rows_max && entries.len() < page
                    })?;
                }
                ReadWhat::Prefixes(keys) => {
                    for key in keys {
                        let to = after_prefix(key);
                        view.scan(*store, read.shape, (key, &to), &mut |key, value| {
                            entries.push((key.to_vec(), value.to_vec()));
                            entries.len() <= read.rows_max
                        })?;
                    }
                }
                ReadWhat::InWindows { from, to, keys } => {
                    let mut from = from.clone();
                    while let Some(window) = view.seek(*store, read.shape, (&from, to))? {
                        let Some(window) = window.first_chunk::<WINDOW_BYTES>() else { break };
                        let keys: Vec<Vec<u8>> =
                            keys.iter().map(|key| [window, key.as_slice()].concat()).collect();
                        read_keys(&view, *store, read.shape, &keys, &mut entries)?;
                        from = after_prefix(window);
                        if from.is_empty() || entries.len() > read.rows_max {
                            break;
                        }
                    }
                }
            }
        }
        if entries.len() > read.rows_max {
            return Err(EngineError::User(format!(
                "the query reads more than {} rows; narrow it with a key or add a LIMIT",
                read.rows_max
            )));
        }
        Ok(entries)
    }

    fn report(&self) {
        let ticked = self.shared.clock.elapsed();
        let mut reports = self.shared.reports.lock();
        for (id, lane) in &self.lanes {
            let commits = lane.stats().commits;
            // One that is ending at every look has not been ending all the time.
            let before = reports.get(id).filter(|before| before.commits == commits);
            let since = before.and_then(|before| before.ending_since);
            let report = LaneReport {
                running: lane.is_running(),
                command: lane.applied_command(),
                awaits: lane.awaited_command(),
                ending_since: lane.is_ending().then(|| since.unwrap_or(ticked)),
                ticked,
                commits,
                recoveries: lane.stats().recoveries,
                failure: lane.stats().failure.clone(),
            };
            reports.insert(*id, report);
        }
    }
}

/// Bytes of a window's start before the keys of a `WindowFirst` store.
const WINDOW_BYTES: usize = 8;

fn read_keys(
    view: &CommittedView<'_>,
    store: StoreId,
    shape: Shape,
    keys: &[Vec<u8>],
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let refs: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let values = view.get_many(store, shape, &refs)?;
    let found = keys.iter().zip(values);
    entries.extend(found.filter_map(|(k, v)| Some((k.clone(), v?))));
    Ok(())
}

/// The first key above all that start with `prefix`; empty when there is none.
fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut after = prefix.to_vec();
    while let Some(last) = after.pop() {
        if last < u8::MAX {
            after.push(last + 1);
            break;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_prefix() {
        let cases: [(&[u8], &[u8]); 5] = [
            (&[1, 2], &[1, 3]),
            (&[1, 255], &[2]),
            (&[0, 255, 255], &[1]),
            (&[255, 255], &[]),
            (&[], &[]),
        ];
        for (prefix, after) in cases {
            assert_eq!(after_prefix(prefix), after, "{prefix:?}");
        }
    }
}
