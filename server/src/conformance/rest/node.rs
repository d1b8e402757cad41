//! A server in memory for one case: log and state vanish with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use millrace_connectors::embedded::{EmbeddedLog, MemoryDisk, Options};
use millrace_connectors::formats::RegistryFormats;
use millrace_connectors::registry::MemoryRegistry;
use millrace_engine::api::Api;
use millrace_engine::format::Formats;
use millrace_engine::limits::Limits;
use millrace_engine::log::Log;
use millrace_engine::seams::{SeededEntropy, SystemClock};
use millrace_engine::service::{Seams, Service, ServiceConfig};
use millrace_engine::state::memory::{MemoryDisk as StateDisk, MemoryStore};
use millrace_sql::analyze::EXTENSIONS;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::config::{Config, ConfigBuilder};
use crate::http;
use crate::http::state::Server;

/// Commits follow inputs this fast.
const COMMIT_INTERVAL: Duration = Duration::from_millis(20);
const LANES: u32 = 2;
const START_MAX: Duration = Duration::from_secs(10);

/// A running server.
pub struct Node {
    pub log: Arc<dyn Log>,
    pub registry: Arc<MemoryRegistry>,
    pub server: Arc<Server>,
    base: String,
    http: Client<HttpConnector, Full<Bytes>>,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Node {
    /// # Errors
    /// One line: the system refuses a port or a thread.
    pub async fn start() -> Result<Node, String> {
        let listener = crate::serve::listen("127.0.0.1:0").await?;
        let address = crate::serve::local_address(&listener)?.to_string();
        let config = config()?;
        let log: Arc<dyn Log> = Arc::new(log()?);
        let registry = Arc::new(MemoryRegistry::default());
        let formats: Arc<dyn Formats> = Arc::new(RegistryFormats::new(registry.clone()));
        let api = service(&config, log.clone(), formats, &address)?;
        await_start(&api).await?;
        let server = Server::new(api, config, address.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&server);
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            http::serve(listener, served, stopped).await;
        });
        let http = Client::builder(TokioExecutor::new()).build_http();
        let base = format!("http://{address}");
        Ok(Node { log, registry, server, base, http, stop: Some(stop), serving })
    }

    /// Ends the server and the engine.
    pub async fn stop(mut self) {
        let api = Arc::clone(&self.server.api);
        drop(self.stop.take());
        let ended = tokio::task::spawn_blocking(move || api.shutdown()).await;
        if let Err(e) = ended {
            tracing::error!("the engine did not end cleanly: {e}");
        }
        self.serving.abort();
    }

    /// POSTs a request: the status and the body, once its head is there.
    ///
    /// # Errors
    /// One line: the connection broke.
    pub async fn post(
        &self,
        path: &str,
        accept: &str,
        body: &Value,
    ) -> Result<(u16, Incoming), String> {
        let request = Request::post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("accept", accept)
            .body(Full::new(Bytes::from(body.to_string())));
        let request = request.map_err(|e| e.to_string())?;
        let response = self.http.request(request).await.map_err(|e| e.to_string())?;
        Ok((response.status().as_u16(), response.into_body()))
    }
}

/// The whole body as JSON.
///
/// # Errors
/// One line: it breaks off or is no JSON.
pub async fn whole(body: Incoming) -> Result<Value, String> {
    let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
    serde_json::from_slice(&body).map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&body)))
}

fn config() -> Result<Config, String> {
    let mut builder = ConfigBuilder::default();
    for (name, value) in [
        ("auto.offset.reset", "earliest"),
        ("cache.max.bytes.buffering", "0"),
        ("ksql.query.push.v2.enabled", "true"),
        (EXTENSIONS, "false"),
    ] {
        builder.flag(name, Some(value));
    }
    builder.build()
}

fn log() -> Result<EmbeddedLog, String> {
    let seams = (Arc::new(SystemClock::default()) as _, Arc::new(SeededEntropy::from_os()) as _);
    EmbeddedLog::open_on(Arc::new(MemoryDisk::default()), seams, Options::default())
        .map_err(|e| e.to_string())
}

fn service(
    config: &Config,
    log: Arc<dyn Log>,
    formats: Arc<dyn Formats>,
    address: &str,
) -> Result<Arc<Service>, String> {
    let service = ServiceConfig {
        service_id: config.service_id.clone(),
        lanes: Some(LANES),
        lanes_default: LANES,
        workers: 1,
        state_dir: PathBuf::new(),
        node: "test".to_owned(),
        url: format!("http://{address}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster_id: "memory".to_owned(),
        limits: Limits { commit_interval: COMMIT_INTERVAL, ..Limits::default() },
        properties: config.session.clone(),
        internal_replicas: None,
        open_disk: Box::new(|_| Ok(Box::new(MemoryStore::open(&StateDisk::default())))),
    };
    let seams = Seams {
        log,
        formats,
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SeededEntropy::from_os()),
        olap: None,
    };
    Service::start(service, seams).map_err(|e| e.to_string())
}

async fn await_start(service: &Service) -> Result<(), String> {
    let start = Instant::now();
    while !service.is_ready() {
        if start.elapsed() > START_MAX {
            return Err(service.health().reasons.join("; "));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
