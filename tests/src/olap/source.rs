//! Changes arriving in the background, up to a number that rises.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::feed::{Feed, Record};
use super::model::{Model, Topics};
use crate::kill9::random::Random;

/// Changes of a transaction.
const BATCH: usize = 25;
const PAUSE: Duration = Duration::from_millis(15);
const ABORTED_PERCENT: u64 = 15;
/// More than a dead broker takes to come back.
const PROGRESS_TIME_MAX: Duration = Duration::from_secs(300);

/// The input and its model.
pub struct Source {
    pub model: Model,
    feed: Feed,
    random: Random,
    topics: Topics,
}

/// Input arriving.
pub struct Feeding {
    sent: Arc<AtomicUsize>,
    allowed: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Source, String>>,
}

impl Source {
    /// # Errors
    /// There is no producer, or it cannot write what has to be there first.
    pub fn connect(bootstrap: &str, topics: Topics, seed: u64) -> Result<Source, String> {
        let id = format!("{}-input", topics.items);
        let feed = Feed::connect(bootstrap, &id, &topics.marks)?;
        let mut source =
            Source { model: Model::default(), feed, random: Random::new(seed), topics };
        match source.feed.send(&Model::preload(&source.topics), true)? {
            true => Ok(source),
            false => Err("the names were not written".to_owned()),
        }
    }

    /// Goes on in the background: as far as it is allowed to.
    pub fn start(mut self) -> Feeding {
        let (sent, allowed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, limit, stopped) = (sent.clone(), allowed.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                if count.load(Ordering::Acquire) < limit.load(Ordering::Acquire) {
                    count.fetch_add(self.batch()?, Ordering::AcqRel);
                }
                std::thread::sleep(PAUSE);
            }
            Ok(self)
        });
        Feeding { sent, allowed, stop, thread }
    }

    /// Sends a transaction; how many changes were committed.
    fn batch(&mut self) -> Result<usize, String> {
        let (mut records, mut changes) = (Vec::new(), Vec::new());
        for _ in 0..BATCH {
            let (record, change) = self.model.draw(&self.random, &self.topics);
            records.push(record);
            changes.push(change);
        }
        let keep = !self.random.chance(ABORTED_PERCENT);
        if self.feed.send(&records, keep)? {
            self.model.commit(changes);
            return Ok(BATCH);
        }
        self.model.aborted += BATCH;
        Ok(0)
    }

    /// Ends with `count` aborted changes of the sources, and with as many aborted records in the topics of
    /// sinks.
    ///
    /// # Errors
    /// The input fails.
    pub fn aborted_tail(&mut self, count: usize, sinks: &[String]) -> Result<(), String> {
        let mut records = Vec::new();
        for _ in 0..count {
            records.push(self.model.draw(&self.random, &self.topics).0);
        }
        self.feed.send(&records, false)?;
        for topic in sinks {
            let nobody = |at| Record {
                topic: topic.clone(),
                key: format!("nobody-{at}"),
                value: Some(format!("{{\"k\":\"nobody-{at}\",\"_version\":{at},\"_rowtime\":0}}")),
                time_ms: 0,
            };
            let records: Vec<Record> = (0..count).map(nobody).collect();
            self.feed.send(&records, false)?;
        }
        self.model.aborted += count * (1 + sinks.len());
        Ok(())
    }

    /// Sends transactions until one is committed.
    ///
    /// # Errors
    /// The input fails.
    pub fn some_more(&mut self) -> Result<(), String> {
        while self.batch()? == 0 {}
        Ok(())
    }
}

impl Feeding {
    /// Committed changes.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Acquire)
    }

    /// Goes on until so many changes are committed.
    pub fn allow(&self, changes: usize) {
        self.allowed.store(changes, Ordering::Release);
    }

    /// Waits until so many changes are committed.
    ///
    /// # Errors
    /// They stay away for long.
    pub fn await_sent(&self, changes: usize) -> Result<(), String> {
        let (mut last, mut since) = (self.sent(), Instant::now());
        while self.sent() < changes {
            if self.sent() > last {
                (last, since) = (self.sent(), Instant::now());
            }
            if self.thread.is_finished() {
                return Err("the input ended by itself".to_owned());
            }
            if since.elapsed() > PROGRESS_TIME_MAX {
                return Err(format!("the input stands still at {last} changes"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Ends after the current transaction.
    ///
    /// # Errors
    /// The input had failed.
    pub fn stop(self) -> Result<Source, String> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| "the input's thread panicked".to_owned())?
    }
}
