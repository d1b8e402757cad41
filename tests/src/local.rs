//! A service inside the test process, over any log, with its state in a folder; and what a reader
//! of committed records sees.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use arrow::util::display::array_value_to_string;
use millrace_connectors::formats::StandardFormats;
use millrace_engine::api::{Api, ApiError, Properties, QueryState, QueryStatus};
use millrace_engine::format::Formats;
use millrace_engine::ids::{Timestamp, Tp};
use millrace_engine::limits::Limits;
use millrace_engine::log::{Log, PollLimits, ReadClass, Record, TopicInfo};
use millrace_engine::olap::OlapTargets;
use millrace_engine::seams::{SeededEntropy, SystemClock};
use millrace_engine::service::{Seams, Service, ServiceConfig};
use millrace_engine::state::rocks::{RocksShared, RocksStore};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
const PARK: Duration = Duration::from_millis(5);

/// How a service is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    pub service_id: String,
    /// Identity among the nodes of the service.
    pub node: String,
    /// State of the lanes lies in folders of it.
    pub dir: PathBuf,
    pub lanes: u32,
    pub commit_interval: Duration,
    /// Small, so that reads meet the disk.
    pub cache_bytes: usize,
    /// Committed state that may stay in memory.
    pub memory_bytes: usize,
}

impl Setup {
    /// Two lanes, quick commits, a small cache.
    pub fn new(service_id: &str, dir: &Path) -> Self {
        Setup {
            service_id: service_id.to_owned(),
            node: "node".to_owned(),
            dir: dir.to_owned(),
            lanes: 2,
            commit_interval: Duration::from_millis(100),
            cache_bytes: 64 << 10,
            memory_bytes: 64 << 10,
        }
    }
}

/// A running service.
pub struct Local {
    pub service: Arc<Service>,
    pub log: Arc<dyn Log>,
    properties: Properties,
}

impl Local {
    /// Starts it and waits until it takes statements.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn start(log: Arc<dyn Log>, setup: &Setup) -> Self {
        Self::start_with(log, setup, Arc::new(StandardFormats))
    }

    /// As [`Local::start`], with other formats.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn start_with(log: Arc<dyn Log>, setup: &Setup, formats: Arc<dyn Formats>) -> Self {
        Self::start_in(log, setup, formats, None)
    }

    /// As [`Local::start`], with a way to Pinot and Druid.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn start_olap(log: Arc<dyn Log>, setup: &Setup, olap: Arc<dyn OlapTargets>) -> Self {
        Self::start_in(log, setup, Arc::new(StandardFormats), Some(olap))
    }

    fn start_in(
        log: Arc<dyn Log>,
        setup: &Setup,
        formats: Arc<dyn Formats>,
        olap: Option<Arc<dyn OlapTargets>>,
    ) -> Self {
        let shared = RocksShared::new(setup.cache_bytes, 1 << 20).expect("RocksDB");
        let dir = setup.dir.clone();
        let config = ServiceConfig {
            service_id: setup.service_id.clone(),
            lanes: None,
            lanes_default: setup.lanes,
            workers: 2,
            state_dir: setup.dir.clone(),
            node: setup.node.clone(),
            url: "http://localhost".to_owned(),
            version: "test".to_owned(),
            cluster_id: "test".to_owned(),
            limits: Limits {
                commit_interval: setup.commit_interval,
                committed_memory_bytes_max: setup.memory_bytes,
                ..Limits::default()
            },
            properties: Properties::new(),
            internal_replicas: None,
            open_disk: Box::new(move |lane| {
                Ok(Box::new(RocksStore::open(&dir.join(format!("lane-{lane}")), &shared)?))
            }),
        };
        let seams = Seams {
            log: log.clone(),
            formats,
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SeededEntropy::from_os()),
            olap,
        };
        let service = Service::start(config, seams).expect("a service");
        let earliest = ("auto.offset.reset".to_owned(), "earliest".to_owned());
        let local = Local { service, log, properties: Properties::from([earliest]) };
        await_some("a service that is ready", || {
            local.service.is_ready().then_some(()).ok_or_else(|| local.service.health())
        });
        local
    }

    /// A property of the statements that follow.
    pub fn set(&mut self, name: &str, value: &str) {
        self.properties.insert(name.to_owned(), value.to_owned());
    }

    /// Runs a statement.
    ///
    /// # Panics
    /// It is refused.
    pub fn run(&self, sql: &str) {
        self.try_run(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn try_run(&self, sql: &str) -> Result<(), String> {
        let done = self.service.execute(sql, &self.properties);
        done.map(drop).map_err(|e| match e {
            ApiError::Statement { error, .. } => error.to_string(),
            ApiError::Engine(error) => error.to_string(),
            other => format!("{other:?}"),
        })
    }

    /// Rows of a pull query, cells parted by blanks.
    ///
    /// # Errors
    /// Why it cannot be answered.
    pub fn pull(&self, sql: &str) -> Result<Vec<String>, String> {
        let answer = self.service.pull(sql, &self.properties).map_err(|e| format!("{e:?}"))?;
        let mut lines = Vec::new();
        for batch in &answer.rows {
            for row in 0..batch.num_rows() {
                let cells = batch.columns().iter().map(|c| array_value_to_string(c, row));
                let cells: Result<Vec<String>, _> = cells.collect();
                lines.push(cells.map_err(|e| e.to_string())?.join(" "));
            }
        }
        Ok(lines)
    }

    /// Waits until a pull query answers `want`.
    ///
    /// # Panics
    /// It never does.
    pub fn await_pull(&self, sql: &str, want: &[&str]) {
        await_some(sql, || match self.pull(sql) {
            Ok(got) if got == want => Ok(()),
            got => Err(got),
        });
    }

    /// Puts records of key, value and time into a topic.
    ///
    /// # Panics
    /// The log refuses.
    pub fn load<'a>(&self, topic: &str, records: impl IntoIterator<Item = (&'a str, String, i64)>) {
        let record = |(key, value, time): (&str, String, i64)| {
            Record::new(Timestamp(time), Some(key.as_bytes()), Some(value.as_bytes()))
        };
        let records = records.into_iter().map(record).collect();
        self.service.load(topic, records).unwrap_or_else(|e| panic!("{topic}: {e:?}"));
    }

    /// The query that writes to a sink.
    ///
    /// # Panics
    /// There is none.
    pub fn query(&self, sink: &str) -> QueryStatus {
        let mut all = self.service.queries().into_iter();
        let found = all.find(|query| query.sink.as_deref() == Some(sink));
        found.unwrap_or_else(|| panic!("no query writes {sink}"))
    }

    /// Waits until the query that writes to a sink is in a state; its newest error.
    ///
    /// # Panics
    /// It never is.
    pub fn await_state(&self, sink: &str, state: QueryState) -> String {
        await_some(&format!("{sink} {}", state.name()), || {
            let query = self.query(sink);
            let error = query.errors.first().map(|(_, error)| error.clone()).unwrap_or_default();
            if query.state == state { Ok(error) } else { Err((query.state, error)) }
        })
    }

    /// Ends it in order.
    pub fn stop(self) {
        self.service.shutdown();
    }
}

/// Waits for something; how it stands is shown when it takes too long.
///
/// # Panics
/// It takes longer than [`PATIENCE`].
pub fn await_some<T, E: std::fmt::Debug>(what: &str, look: impl Fn() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(state) => assert!(start.elapsed() < PATIENCE, "waited for {what}: {state:?}"),
        }
        std::thread::sleep(LOOK);
    }
}

/// Waits for a poll-style answer.
///
/// # Panics
/// There is none within [`PATIENCE`].
pub fn answer<T>(log: &dyn Log, mut poll: impl FnMut() -> Poll<T>) -> T {
    let start = Instant::now();
    loop {
        if let Poll::Ready(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "the log does not answer");
        log.park(PARK);
    }
}

/// A committed record: partition, key, value, time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Committed {
    pub partition: u32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub time: i64,
}

impl Committed {
    /// The value as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// All committed records of a topic up to its present end, by partition and offset.
///
/// # Panics
/// The topic is not there, or cannot be read.
pub fn read(log: &dyn Log, topic: &str) -> Vec<Committed> {
    let info = describe(log, topic);
    let tps: Vec<Tp> = (0..info.partitions).map(|p| Tp::new(info.id, p)).collect();
    let ends = answer(log, || log.ends(&tps)).expect("the ends");
    let mut cursor = log.cursor(ReadClass::Restore);
    cursor.assign(&tps.iter().zip(&ends).map(|(tp, ends)| (*tp, ends.start)).collect::<Vec<_>>());
    let limits = PollLimits { records_max: 10_000, bytes_max: 16 << 20 };
    let (mut found, start) = (Vec::new(), Instant::now());
    let at = |cursor: &dyn millrace_engine::log::Cursor, tp| cursor.position(tp).map(|p| p.next);
    while tps.iter().zip(&ends).any(|(tp, ends)| at(&*cursor, *tp) < Some(ends.lso)) {
        assert!(start.elapsed() < PATIENCE, "{topic} cannot be read to its end");
        let mut batches = Vec::new();
        cursor.poll(&limits, &mut batches).expect("a topic that can be read");
        for raw in &batches {
            found.extend((0..raw.records.len()).map(|i| Committed {
                partition: raw.tp.partition.0,
                key: raw.key(i).map(<[u8]>::to_vec),
                value: raw.value(i).map(<[u8]>::to_vec),
                time: raw.records[i].timestamp.0,
            }));
        }
        if batches.is_empty() {
            log.park(PARK);
        }
    }
    // Stable: the order within a partition stays.
    found.sort_by_key(|record: &Committed| record.partition);
    found
}

/// The topic of that name.
///
/// # Panics
/// There is none.
pub fn describe(log: &dyn Log, topic: &str) -> TopicInfo {
    let found = answer(log, || log.describe(topic)).expect("the log answers");
    found.unwrap_or_else(|| panic!("there is no topic {topic}"))
}
