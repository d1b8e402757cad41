//! Topics that nobody needs any more: deleted when all lanes of the service, on whatever node, have
//! passed the command that made them useless (R5). Every node keeps this list by replaying the
//! commands, and deleting what is gone is fine, so it does not matter who is first.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::Result;
use crate::ids::{Offset, TopicId, Tp};
use crate::log::{Cursor, PollLimits, ReadClass};
use crate::progress::{self, LaneHeader};
use crate::service::share::Share;
use crate::service::{Booted, Inner};

/// Pause between looks at the headers of other nodes' lanes.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Pause after a topic that could not be deleted.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Topics to be deleted, and the offset of the command that says so.
#[derive(Default)]
pub(super) struct Doomed {
    topics: Mutex<BTreeMap<TopicId, i64>>,
    /// Statements that wait until all lanes have passed a command.
    waiting: AtomicUsize,
    /// What they have passed, as of when it was last looked.
    passed: AtomicI64,
}

impl Doomed {
    pub fn add(&self, command: i64, topics: impl IntoIterator<Item = TopicId>) {
        self.topics.lock().extend(topics.into_iter().map(|topic| (topic, command)));
    }

    /// True if a topic of a command up to `command` is still there.
    pub fn waits(&self, command: i64) -> bool {
        self.topics.lock().values().any(|at| *at <= command)
    }

    fn list(&self) -> BTreeMap<TopicId, i64> {
        self.topics.lock().clone()
    }

    fn remove(&self, topic: TopicId) {
        self.topics.lock().remove(&topic);
    }

    fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }
}

/// The control thread's part of it.
#[derive(Default)]
pub(super) struct Cleanup {
    headers: Option<Headers>,
    not_before: Option<Instant>,
}

/// Reads lane headers from the progress topic.
struct Headers {
    cursor: Box<dyn Cursor>,
    commands: BTreeMap<u32, i64>,
}

impl Cleanup {
    /// Deletes what may go now.
    pub fn round(&mut self, inner: &Inner, booted: &Booted, share: &Share) -> Result<()> {
        let held = self.not_before.is_some_and(|at| Instant::now() < at);
        if held && !inner.doomed.is_awaited() {
            return Ok(());
        }
        let doomed = inner.doomed.list();
        if doomed.is_empty() && !inner.doomed.is_awaited() {
            self.headers = None;
            return Ok(());
        }
        let passed = self.passed(inner, booted, share)?;
        inner.doomed.passed.store(passed, Ordering::Release);
        if held {
            return Ok(());
        }
        let log = inner.seams.log.as_ref();
        let mut left = false;
        for (topic, _) in doomed.into_iter().filter(|(_, command)| *command <= passed) {
            match log.delete(topic) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => inner.doomed.remove(topic),
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%topic, %error, "a topic cannot be deleted; trying again");
                    self.not_before = Some(Instant::now() + RETRY_PAUSE);
                }
            }
            left = true;
        }
        if !left && self.headers.is_some() {
            self.not_before = Some(Instant::now() + LOOK_PAUSE);
        }
        Ok(())
    }

    /// The command that every lane of the service has passed.
    fn passed(&mut self, inner: &Inner, booted: &Booted, share: &Share) -> Result<i64> {
        let reports = booted.workers.reports();
        let own = reports.values().map(|lane| lane.command).min();
        if share.is_whole(inner) && reports.len() == inner.lanes() as usize {
            self.headers = None;
            return Ok(own.unwrap_or(-1));
        }
        let headers = self.headers.get_or_insert_with(|| Headers::open(inner, booted));
        let others = headers.passed(inner.lanes())?;
        Ok(others.min(own.unwrap_or(i64::MAX)))
    }
}

impl Headers {
    fn open(inner: &Inner, booted: &Booted) -> Self {
        let topic = booted.world.progress_topic;
        let all: Vec<(Tp, Offset)> =
            (0..inner.lanes()).map(|lane| (Tp::new(topic, lane), Offset(0))).collect();
        let mut cursor = inner.seams.log.cursor(ReadClass::Restore);
        cursor.assign(&all);
        Headers { cursor, commands: BTreeMap::new() }
    }

    fn passed(&mut self, lanes: u32) -> Result<i64> {
        let limits = PollLimits { records_max: 10_000, bytes_max: 4 << 20 };
        let mut batches = Vec::new();
        self.cursor.poll(&limits, &mut batches)?;
        for raw in &batches {
            for i in 0..raw.records.len() {
                if raw.key(i) == Some(progress::LANE_KEY.as_bytes())
                    && let Some(value) = raw.value(i)
                {
                    let header: LaneHeader = progress::decode(progress::LANE_KEY, value)?;
                    self.commands.insert(raw.tp.partition.0, header.command);
                }
            }
        }
        match self.commands.len() == lanes as usize {
            true => Ok(self.commands.values().copied().min().unwrap_or(-1)),
            // A lane that never ran may run with an old command.
            false => Ok(-1),
        }
    }
}

/// Topics of the list that exist: the others were deleted before this node started.
pub(super) fn forget_gone(inner: &Inner, existing: &[crate::log::TopicInfo]) {
    for topic in inner.doomed.list().into_keys() {
        if existing.iter().all(|info| info.id != topic) {
            inner.doomed.remove(topic);
        }
    }
}

/// Waits until every lane of the service works by a command; false: not within that time.
pub(super) fn await_passed(inner: &Inner, command: i64, at_most: Duration) -> bool {
    let (doomed, start) = (&inner.doomed, Instant::now());
    // What was looked up for others may be old: commands only grow, so it can only be too small.
    doomed.waiting.fetch_add(1, Ordering::AcqRel);
    let mut passed = false;
    while !passed && !inner.stopping() && start.elapsed() < at_most {
        passed = doomed.passed.load(Ordering::Acquire) >= command;
        std::thread::sleep(Duration::from_millis(5));
    }
    doomed.waiting.fetch_sub(1, Ordering::AcqRel);
    passed
}

/// Waits until the topics of a command are deleted, or for a while.
pub(super) fn await_deleted(inner: &Inner, command: i64, at_most: Duration) {
    let start = Instant::now();
    while inner.doomed.waits(command) {
        if start.elapsed() > at_most {
            tracing::info!(command, "topics are deleted when all lanes have passed the command");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
