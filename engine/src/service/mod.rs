//! The engine as one node runs it: boot, the catalog, statements, queries. [`Service`] is what a
//! server talks to.

mod answer;
mod apply;
mod boot;
mod cleanup;
mod command_gap;
mod command_log;
mod control;
mod ddl;
mod explain;
pub mod facts;
mod facts_check;
pub mod insert;
mod insert_row;
mod kept;
mod lanes_state;
mod meeting;
mod offsets;
mod own_topics;
mod processing_stream;
mod pull;
mod push;
mod raw;
mod replace;
mod sandbox;
pub mod schemas;
mod share;
mod sink_change;
mod sink_watch;
mod sinks;
mod start_push;
mod targets;
mod topics;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;

use millrace_sql::catalog::Catalog;
use parking_lot::{Mutex, RwLock};

use crate::api::{ApiError, Properties};
use crate::error::{EngineError, Result};
use crate::format::Formats;
use crate::ids::{LaneId, Tp};
use crate::lane::World;
use crate::limits::Limits;
use crate::log::Log;
use crate::names::Names;
use crate::olap::OlapTargets;
use crate::operators::cache::CacheBudget;
use crate::registry::Registry;
use crate::seams::{Clock, Entropy};
use crate::service::command_log::CommandWriter;
use crate::state::disk::DiskStore;
use crate::worker::Workers;

/// Opens the disk of a lane.
pub type OpenDisk = Box<dyn Fn(LaneId) -> Result<Box<dyn DiskStore>> + Send + Sync>;

/// How a node is set up.
pub struct ServiceConfig {
    pub service_id: String,
    /// Lanes of the service, if this node insists; every node must agree.
    pub lanes: Option<u32>,
    /// Lanes of a service that is new.
    pub lanes_default: u32,
    /// Threads that step lanes.
    pub workers: usize,
    /// For messages; the disks are opened by `open_disk`.
    pub state_dir: PathBuf,
    /// Identity of this node, kept in its state directory.
    pub node: String,
    pub url: String,
    pub version: String,
    /// Identity of the log's cluster, for `/info`, while the log itself does not tell one.
    pub cluster_id: String,
    pub limits: Limits,
    /// Settings of the server that statements see, e.g. `auto.offset.reset`.
    pub properties: Properties,
    /// Replicas of internal topics; `None`: the broker's default.
    pub internal_replicas: Option<u32>,
    pub open_disk: OpenDisk,
}

/// The world a service runs in.
#[derive(Clone)]
pub struct Seams {
    pub log: Arc<dyn Log>,
    pub formats: Arc<dyn Formats>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// `None`: there is no way to Pinot and Druid.
    pub olap: Option<Arc<dyn OlapTargets>>,
}

/// A running node.
pub struct Service {
    inner: Arc<Inner>,
    control: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) struct Inner {
    config: ServiceConfig,
    seams: Seams,
    limits: Arc<Limits>,
    caches: Arc<CacheBudget>,
    names: Names,
    registry: Arc<Registry>,
    catalog: RwLock<Arc<Catalog>>,
    booted: OnceLock<Booted>,
    /// Number of lanes, once known (R2).
    lanes: OnceLock<u32>,
    /// Everything below is replayed from the command topic.
    command_position: AtomicI64,
    /// Topics to be deleted when all lanes have passed their commands.
    doomed: cleanup::Doomed,
    /// What the systems of sinks said.
    sink_watch: sink_watch::SinkWatch,
    /// One statement at a time changes the catalog.
    ddl: Mutex<()>,
    /// Running push queries: what ends them.
    pushes: Mutex<BTreeMap<String, Push>>,
    /// Why the node is not healthy.
    troubles: Mutex<BTreeMap<&'static str, String>>,
    /// The group of nodes has given this one's lanes up, and has not given it any since.
    expelled: AtomicBool,
    stop: AtomicBool,
}

/// Troubles with which no statement is taken.
const HINDRANCES: [&str; 3] = ["boot", command_gap::COMMAND_LOG, command_gap::OWN_TOPICS];

/// A push query as the service knows it.
struct Push {
    sql: String,
    stop: Arc<dyn Fn() + Send + Sync>,
}

/// What exists once the log has answered.
struct Booted {
    world: World,
    workers: Workers,
    commands: CommandWriter,
    command_tp: Tp,
}

impl Service {
    /// Starts a node. It answers at once; until the log has answered, statements are refused as
    /// not ready and `health` says why.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(config: ServiceConfig, seams: Seams) -> Result<Arc<Service>> {
        let names = Names::new(&config.service_id);
        let catalog = processing_stream::catalog(&names);
        let inner = Arc::new(Inner {
            limits: Arc::new(config.limits.clone()),
            caches: CacheBudget::new(config.limits.operator_cache_bytes),
            registry: Arc::new(Registry::new()),
            catalog: RwLock::new(Arc::new(catalog)),
            booted: OnceLock::new(),
            lanes: OnceLock::new(),
            command_position: AtomicI64::new(0),
            doomed: cleanup::Doomed::default(),
            sink_watch: sink_watch::SinkWatch::default(),
            ddl: Mutex::new(()),
            pushes: Mutex::new(BTreeMap::new()),
            // Not worth a warning: it takes a moment.
            troubles: Mutex::new(BTreeMap::from([("boot", "waiting for the log".to_owned())])),
            expelled: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            names,
            config,
            seams,
        });
        let controlled = inner.clone();
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .stack_size(millrace_sql::parser::STACK_BYTES)
            .spawn(move || control::run(&controlled))
            .map_err(|e| EngineError::Config(format!("cannot start the control thread: {e}")))?;
        if inner.seams.olap.is_some() {
            let watched = Arc::downgrade(&inner);
            std::thread::Builder::new()
                .name("sinks".to_owned())
                .spawn(move || sink_watch::run(&watched))
                .map_err(|e| EngineError::Config(format!("cannot start a thread: {e}")))?;
        }
        Ok(Arc::new(Service { inner, control: Mutex::new(Some(thread)) }))
    }

    /// True when the log has answered and all commands that it held are applied.
    pub fn is_ready(&self) -> bool {
        self.inner.booted.get().is_some() && !self.inner.has_trouble("boot")
    }
}

impl Inner {
    fn booted(&self) -> Result<&Booted, ApiError> {
        let troubles = self.troubles.lock();
        let why = HINDRANCES.iter().find_map(|part| troubles.get(part));
        let booted = self.booted.get().filter(|_| why.is_none());
        booted.ok_or_else(|| {
            let why = why.cloned();
            ApiError::Starting(why.unwrap_or_else(|| "the server is starting".to_owned()))
        })
    }

    /// Number of lanes of the service. Before boot there are none.
    fn lanes(&self) -> u32 {
        self.lanes.get().copied().unwrap_or(self.config.lanes_default)
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().clone()
    }

    /// Notes what is wrong, once per change, for `health` and the log.
    fn trouble(&self, part: &'static str, why: String) {
        let mut troubles = self.troubles.lock();
        if troubles.get(part) != Some(&why) {
            tracing::warn!(part, "{why}");
            troubles.insert(part, why);
        }
    }

    fn no_trouble(&self, part: &'static str) {
        if self.troubles.lock().remove(part).is_some() {
            tracing::info!(part, "all is well again");
        }
    }

    fn has_trouble(&self, part: &str) -> bool {
        self.troubles.lock().contains_key(part)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
