//! How sinks are doing: what their systems say, how far they have read, and since when they are
//! behind. One thread looks at all of them now and then; DESCRIBE looks at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use millrace_sql::olap::OlapSink;
use parking_lot::Mutex;
use serde_json::Value;

use crate::api::{ApiResult, QueryState, SinkPartition, SinkStatus};
use crate::ids::{Offset, Tp};
use crate::log::{PollLimits, ReadClass};
use crate::olap::{OlapState, OlapTargets};
use crate::service::Inner;
use crate::service::command_log::wait;

const LOG_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at the ends of topics: what freshness is measured with.
const ENDS_PAUSE: Duration = Duration::from_secs(1);
/// Between two questions to a system.
const ASK_PAUSE: Duration = Duration::from_secs(10);
/// New sinks are asked for SHOW SINKS as long as it took no longer.
const SHOW_TIME_MAX: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);
/// Ends that are remembered of a topic; of more, every other one is forgotten.
const ENDS_MAX: usize = 512;
/// More records than that are told as offsets.
const COUNTED_MAX: u64 = 1_000;
const COUNT_TIME_MAX: Duration = Duration::from_secs(2);
const COUNT_PAUSE: Duration = Duration::from_millis(5);

/// What is known of all sinks, by query.
#[derive(Default)]
pub(super) struct SinkWatch(Mutex<BTreeMap<String, Watched>>);

#[derive(Default)]
struct Watched {
    /// Where the partitions ended, and when; oldest first.
    ends: VecDeque<(Duration, Vec<i64>)>,
    /// The last that the table said of its offsets.
    next: BTreeMap<u32, i64>,
    /// The table had all that was committed then.
    fresh_at: Option<Duration>,
    told: Option<Told>,
}

/// What a system said.
#[derive(Clone)]
struct Told {
    state: OlapState,
    lag: Option<u64>,
    /// Where the topic ended then.
    ends: Vec<i64>,
}

impl Default for Told {
    fn default() -> Self {
        let state = OlapState { state: "UNKNOWN".to_owned(), ..OlapState::default() };
        Told { state, lag: None, ends: Vec::new() }
    }
}

impl Watched {
    fn note_ends(&mut self, at: Duration, ends: Vec<i64>) {
        if self.ends.back().is_some_and(|(_, last)| *last == ends) {
            return;
        }
        self.ends.push_back((at, ends));
        if self.ends.len() > ENDS_MAX {
            let mut even = false;
            self.ends.retain(|_| {
                even = !even;
                even
            });
        }
    }

    /// What the table has not read, if that was counted with the same offsets.
    fn lag_of(&self, ends: &[i64], next: &BTreeMap<u32, i64>) -> Option<u64> {
        let told = self.told.as_ref().filter(|told| told.ends == ends && self.next == *next)?;
        told.lag
    }

    fn note(&mut self, at: Duration, told: Told) {
        let lag = told.lag;
        self.next.extend(&told.state.next);
        // A commit ends with a marker, which need not be read.
        let has = |ends: &[i64]| {
            ends.iter().zip(0..).all(|(end, p)| self.next.get(&p).is_some_and(|n| *n >= end - 1))
        };
        let read = self.ends.iter().take_while(|(_, ends)| has(ends)).count();
        // A table that fails may count rows as read that it dropped: it is as old as when it was well.
        if told.state.state != OlapState::FAILING {
            if let Some((at, _)) = self.ends.drain(..read).next_back() {
                self.fresh_at = self.fresh_at.max(Some(at));
            }
            if lag == Some(0) {
                self.fresh_at = Some(at);
            }
        }
        self.told = Some(told);
    }
}

/// Looks at the sinks until the service is gone.
pub(super) fn run(inner: &Weak<Inner>) {
    let (mut ends_at, mut asked_at) = (None::<Instant>, None::<Instant>);
    let due = |at: Option<Instant>, pause| at.is_none_or(|at| at.elapsed() >= pause);
    while let Some(inner) = inner.upgrade().filter(|inner| !inner.stopping()) {
        if inner.booted().is_ok() && due(ends_at, ENDS_PAUSE) {
            ends_at = Some(Instant::now());
            let ask = due(asked_at, ASK_PAUSE);
            asked_at = if ask { ends_at } else { asked_at };
            let catalog = inner.catalog();
            inner.sink_watch.forget(|query| catalog.sink_of(query).is_some());
            for sink in catalog.sinks.values() {
                if ask {
                    inner.look_at(sink);
                } else {
                    inner.sink_ends(sink);
                }
            }
        }
        drop(inner);
        std::thread::sleep(LOOK);
    }
}

impl SinkWatch {
    fn forget(&self, exists: impl Fn(&str) -> bool) {
        self.0.lock().retain(|query, _| exists(query));
    }

    fn with<T>(&self, query: &str, act: impl FnOnce(&mut Watched) -> T) -> T {
        act(self.0.lock().entry(query.to_owned()).or_default())
    }
}

impl Inner {
    /// `only`: asks its system now; all: what was said last, so that it takes no long time.
    pub(super) fn sinks(&self, only: Option<&str>) -> ApiResult<Vec<SinkStatus>> {
        let (catalog, targets) = (self.catalog(), self.seams.olap.as_deref());
        let wanted = catalog.sinks.values().filter(|s| only.is_none_or(|name| name == s.name));
        let Some(targets) = targets else { return Ok(Vec::new()) };
        let start = Instant::now();
        let status = |sink: &Arc<OlapSink>| {
            let known = self.sink_watch.with(&sink.query, |watched| watched.told.is_some());
            if only.is_some() || !known && start.elapsed() < SHOW_TIME_MAX {
                self.look_at(sink);
            }
            let mut status = self.sink_status(sink, targets);
            if only.is_some() {
                status.documents = targets.documents(&sink.table).unwrap_or_default();
            }
            status
        };
        Ok(wanted.map(status).collect())
    }

    fn sink_status(&self, sink: &Arc<OlapSink>, targets: &dyn OlapTargets) -> SinkStatus {
        let query = self.queries().into_iter().find(|query| query.id == sink.query);
        let now = self.seams.clock.elapsed();
        let (told, next, fresh_at) = self.sink_watch.with(&sink.query, |watched| {
            (watched.told.clone(), watched.next.clone(), watched.fresh_at)
        });
        let Told { state: told, lag, .. } = told.unwrap_or_default();
        let is_fresh = lag == Some(0) && told.state != OlapState::FAILING;
        let own = query.as_ref().map(|query| query.state);
        let own_error = query.as_ref().and_then(|query| query.errors.first());
        let own_error = own_error.map(|(_, why)| format!("query {}: {why}", sink.query));
        let (state, last_error) = match own {
            Some(QueryState::Running) | None => (told.state, told.last_error),
            Some(QueryState::Paused) => (QueryState::Paused.name().to_owned(), told.last_error),
            Some(state) => (state.name().to_owned(), own_error.or(told.last_error)),
        };
        let fresh = |at: Duration| now.saturating_sub(at).as_millis() as u64;
        let ends = self.sink_ends(sink).unwrap_or_default();
        let partition = |(tp, end): &(Tp, Offset)| {
            let partition = tp.partition.0;
            SinkPartition { partition, next: next.get(&partition).copied(), end: end.0 }
        };
        SinkStatus {
            sink: sink.clone(),
            state,
            lag,
            freshness_ms: if is_fresh { Some(0) } else { fresh_at.map(fresh) },
            last_error,
            partitions: ends.iter().map(partition).collect(),
            rows: query.map_or(0, |query| query.records_out),
            current_rows: targets.current_rows(&sink.table),
            documents: Value::Null,
        }
    }

    /// Asks the system of a sink, and notes what it says.
    fn look_at(&self, sink: &OlapSink) {
        let Some(targets) = &self.seams.olap else { return };
        let ends = self.sink_ends(sink);
        let partitions = ends.as_ref().map_or(0, |ends| ends.len() as u32);
        let state = targets.state(&sink.table).reading_all(partitions);
        let (before, mut next) = self.sink_watch.with(&sink.query, |watched| {
            (watched.told.as_ref().map(|told| told.state.state.clone()), watched.next.clone())
        });
        next.extend(&state.next);
        if before.as_ref() != Some(&state.state) {
            tell_change(sink, before.as_deref(), &state);
        }
        let ends = ends.unwrap_or_default();
        let offsets: Vec<i64> = ends.iter().map(|(_, end)| end.0).collect();
        let known = self.sink_watch.with(&sink.query, |watched| watched.lag_of(&offsets, &next));
        let lag = known.or_else(|| self.sink_lag(&ends, &next));
        let (now, told) = (self.seams.clock.elapsed(), Told { state, lag, ends: offsets });
        self.sink_watch.with(&sink.query, |watched| watched.note(now, told));
    }

    /// Where the committed part of the topic's partitions ends; notes it.
    fn sink_ends(&self, sink: &OlapSink) -> Option<Vec<(Tp, Offset)>> {
        let facts = self.registry.get(&sink.query)?.topic(&sink.table.topic).ok()?;
        let log = self.seams.log.as_ref();
        let tps: Vec<Tp> = (0..facts.partitions).map(|p| Tp::new(facts.id, p)).collect();
        let at = self.seams.clock.elapsed();
        let ends = wait(log, LOG_TIMEOUT, || log.ends(&tps)).and_then(|ends| ends).ok()?;
        let ends: Vec<Offset> = ends.into_iter().map(|ends| ends.lso).collect();
        let offsets = ends.iter().map(|end| end.0).collect();
        self.sink_watch.with(&sink.query, |watched| watched.note_ends(at, offsets));
        Some(tps.into_iter().zip(ends).collect())
    }

    /// Records of the topic that the table has not read; `None`: not known.
    fn sink_lag(&self, ends: &[(Tp, Offset)], next: &BTreeMap<u32, i64>) -> Option<u64> {
        if ends.is_empty() {
            return None;
        }
        let mut behind = Vec::new();
        for (tp, end) in ends {
            let next = *next.get(&tp.partition.0)?;
            if next < end.0 {
                behind.push((*tp, Offset(next), *end));
            }
        }
        let offsets = behind.iter().map(|(_, next, end)| (end.0 - next.0) as u64).sum();
        self.count_records(&behind).or(Some(offsets))
    }

    /// Records in ranges of offsets: markers of transactions and what was aborted take offsets, too,
    /// and at rest nobody will ever read past them. `None`: they are many, or it takes too long.
    fn count_records(&self, ranges: &[(Tp, Offset, Offset)]) -> Option<u64> {
        if ranges.is_empty() {
            return Some(0);
        }
        let log = self.seams.log.as_ref();
        let mut cursor = log.cursor(ReadClass::Restore);
        cursor.assign(&ranges.iter().map(|(tp, next, _)| (*tp, *next)).collect::<Vec<_>>());
        let limits = PollLimits { records_max: 1_000, bytes_max: 4 << 20 };
        let (start, mut count) = (Instant::now(), 0);
        while start.elapsed() < COUNT_TIME_MAX {
            let mut batches = Vec::new();
            cursor.poll(&limits, &mut batches).ok()?;
            count += batches.iter().map(|batch| batch.records.len() as u64).sum::<u64>();
            if count > COUNTED_MAX {
                return None;
            }
            let read = |(tp, _, end): &(Tp, Offset, Offset)| {
                cursor.position(*tp).is_some_and(|position| position.next >= *end)
            };
            if ranges.iter().all(read) {
                return Some(count);
            }
            log.park(COUNT_PAUSE);
        }
        None
    }
}

/// Says in the server's log what DESCRIBE would show.
fn tell_change(sink: &OlapSink, before: Option<&str>, state: &OlapState) {
    let (name, now, why) = (&sink.name, &state.state, state.last_error.as_deref());
    match (now.as_str(), before) {
        ("RUNNING", None) => {}
        ("RUNNING", Some(_)) => tracing::info!("sink {name}: its table is well again"),
        _ => tracing::warn!("sink {name}: its table is {now}: {}", why.unwrap_or("no reason told")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn state(next: &[i64]) -> OlapState {
        let next = (0..).zip(next.iter().copied()).collect();
        OlapState { next, ..OlapState::default() }
    }

    #[test]
    fn freshness_is_the_age_of_the_newest_end_that_was_read() {
        let mut watched = Watched::default();
        for (second, ends) in [(1, [10, 10]), (2, [10, 20]), (3, [30, 20]), (4, [30, 20])] {
            watched.note_ends(at(second), ends.to_vec());
        }
        assert_eq!(watched.ends.len(), 3, "what did not change is not noted");
        let mut check = |next: &[i64], lag: Option<u64>, expected: Option<u64>| {
            watched.note(at(9), Told { state: state(next), lag, ends: Vec::new() });
            assert_eq!(watched.fresh_at, expected.map(at), "{next:?}");
        };
        check(&[], None, None);
        check(&[8, 9], Some(12), None);
        check(&[9, 9], Some(11), Some(1));
        check(&[9, 19], Some(9), Some(2));
        // A system that is down says nothing: what it said last counts.
        check(&[], None, Some(2));
        check(&[30, 20], Some(0), Some(9));
    }

    /// Pinot reads on past a row that it drops.
    #[test]
    fn a_table_that_fails_does_not_get_fresh() {
        let mut watched = Watched::default();
        watched.note_ends(at(1), vec![10]);
        let failing =
            |next: &[i64]| OlapState { state: OlapState::FAILING.to_owned(), ..state(next) };
        for (second, told, expected) in [
            (2, state(&[10]), Some(2)),
            (3, failing(&[10]), Some(2)),
            (4, failing(&[10]), Some(2)),
            (5, state(&[10]), Some(5)),
        ] {
            watched.note(at(second), Told { state: told, lag: Some(0), ends: Vec::new() });
            assert_eq!(watched.fresh_at, expected.map(at), "second {second}");
        }
    }

    #[test]
    fn what_is_remembered_of_a_topic_is_bounded() {
        let mut watched = Watched::default();
        for second in 0..10 * ENDS_MAX as u64 {
            watched.note_ends(at(second), vec![second as i64]);
            assert!(watched.ends.len() <= ENDS_MAX);
        }
        assert!(watched.ends.len() > ENDS_MAX / 4);
    }
}
