//! Makes the real engine from the settings.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::formats::{RegistryFormats, StandardFormats};
use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_connectors::olap::OlapClients;
use millrace_connectors::registry::RegistryClient;
use millrace_engine::api::Api;
use millrace_engine::format::Formats;
use millrace_engine::limits::Limits;
use millrace_engine::log::Log;
use millrace_engine::names::Names;
use millrace_engine::olap::OlapTargets;
use millrace_engine::seams::{SeededEntropy, SystemClock};
use millrace_engine::service::{OpenDisk, Seams, Service, ServiceConfig};
use millrace_engine::state::rocks::{RocksShared, RocksStore};

use crate::config::Config;

/// Lanes of a service on Kafka, unless the first node says otherwise.
const KAFKA_LANES_DEFAULT: u32 = 8;

/// Starts the engine: over Kafka when `bootstrap_servers` is set, else over the embedded log in the
/// state directory. A broker that does not answer is retried in the background and shown by
/// `/healthcheck`.
///
/// # Errors
/// One line saying what to do: the state directory cannot be used, or another process holds it.
pub fn start_engine(config: &Config) -> Result<Arc<dyn Api>, String> {
    let dir = &config.state_dir;
    std::fs::create_dir_all(dir)
        .map_err(|e| format!("cannot make the state directory {}: {e}", dir.display()))?;
    let lock = lock(dir)?;
    let node = node_id(dir)?;
    let limits = limits(config);
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let (log, lanes_default, cluster_id) = open_log(config, cores)?;
    let open_disk = open_disk(config, &limits, lock)?;
    let embedded = config.bootstrap_servers.is_none();
    let service = ServiceConfig {
        service_id: config.service_id.clone(),
        lanes: config.lanes,
        lanes_default,
        workers: cores,
        state_dir: dir.clone(),
        node,
        url: format!("http://{}", config.listen),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster_id,
        limits,
        properties: config.session.clone(),
        internal_replicas: config.replicas.filter(|_| !embedded),
        open_disk,
    };
    let seams = Seams {
        log,
        formats: formats(config)?,
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SeededEntropy::from_os()),
        olap: olap(config)?,
    };
    let service = Service::start(service, seams).map_err(|e| e.to_string())?;
    Ok(service)
}

/// Formats, with the schema registry if there is one. It need not answer yet.
fn formats(config: &Config) -> Result<Arc<dyn Formats>, String> {
    let Some(registry) = &config.registry else { return Ok(Arc::new(StandardFormats)) };
    let client = RegistryClient::new(registry.clone())?;
    Ok(Arc::new(RegistryFormats::new(Arc::new(client))))
}

/// Pinot and Druid read topics: they cannot read the embedded log.
fn olap(config: &Config) -> Result<Option<Arc<dyn OlapTargets>>, String> {
    if config.bootstrap_servers.is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(OlapClients::new(config.olap.clone())?)))
}

fn open_log(config: &Config, cores: usize) -> Result<(Arc<dyn Log>, u32, String), String> {
    match &config.bootstrap_servers {
        None => {
            let dir = config.state_dir.join("log");
            let log = EmbeddedLog::open(&dir, Options::default())
                .map_err(|e| format!("cannot open the embedded log in {}: {e}", dir.display()))?;
            Ok((Arc::new(log), cores as u32, "embedded".to_owned()))
        }
        Some(servers) => {
            let mut kafka = KafkaConfig::new(servers.clone());
            // A transaction must outlive a late commit, but not hold readers up for long.
            let commit_ms = u32::try_from(config.commit_interval.as_millis()).unwrap_or(u32::MAX);
            kafka.transaction_timeout_ms = commit_ms.saturating_mul(4).max(10_000);
            for (name, value) in &config.client {
                kafka.set(name, value).map_err(|e| e.to_string())?;
            }
            let log = KafkaLog::connect(kafka).map_err(|e| e.to_string())?;
            Ok((log, KAFKA_LANES_DEFAULT, String::new()))
        }
    }
}

/// RocksDB per lane under the service's own folder. `lock` lives as long as they may be opened.
fn open_disk(config: &Config, limits: &Limits, lock: File) -> Result<OpenDisk, String> {
    let shared = RocksShared::new(limits.rocksdb_cache_bytes, limits.rocksdb_write_buffer_bytes)
        .map_err(|e| e.to_string())?;
    let dir = config.state_dir.join("state").join(Names::new(&config.service_id).service);
    std::fs::create_dir_all(&dir)
        .map_err(|e| format!("cannot make the state directory {}: {e}", dir.display()))?;
    Ok(Box::new(move |lane| {
        let _held = &lock;
        let store = RocksStore::open(&dir.join(format!("lane-{lane}")), &shared)?;
        Ok(Box::new(store))
    }))
}

fn limits(config: &Config) -> Limits {
    Limits {
        commit_interval: config.commit_interval,
        command_timeout: config.command_wait.max(Limits::default().command_timeout),
        ..Limits::default()
    }
}

/// One process a state directory.
fn lock(dir: &Path) -> Result<File, String> {
    let path = dir.join("lock");
    let failed = |e: std::io::Error| format!("cannot lock {}: {e}", path.display());
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "the state directory {} is in use by another process; stop it, or give this one \
             another directory with --state-dir",
            dir.display()
        )),
        Err(TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// This node's id, made once and kept in the state directory (R8).
fn node_id(dir: &Path) -> Result<String, String> {
    let path = dir.join("node-id");
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => Ok(id.trim().to_owned()),
        _ => {
            let id = uuid::Uuid::new_v4().to_string();
            std::fs::write(&path, &id)
                .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            Ok(id)
        }
    }
}
