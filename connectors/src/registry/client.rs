//! The registry's client: statements wait for it, the data path only looks at its cache.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use millrace_engine::schemas::{Lookup, RegistryError, RegistryResult, SchemaRegistry};
use millrace_sql::catalog::{RegisteredSchema, SchemaText};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use super::cache::{Asked, Cache};
use super::http::{Http, RegistryConfig};
use super::limits::{CALL_TIMEOUT, PROBE_PAUSE, STATEMENT_TIMEOUT};

/// A schema registry that is asked over HTTP, by a thread of its own.
pub struct RegistryClient {
    runtime: Runtime,
    shared: Arc<Shared>,
}

struct Shared {
    http: Http,
    cache: Cache,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    /// Why the last call failed, if it did.
    trouble: Option<String>,
    probed: Option<Instant>,
}

impl RegistryClient {
    /// Starts the thread; the registry need not be there yet.
    ///
    /// # Errors
    /// When the system refuses the thread, or TLS cannot be used.
    pub fn new(config: RegistryConfig) -> Result<Self, String> {
        Self::with_timeout(config, CALL_TIMEOUT)
    }

    /// As [`RegistryClient::new`]; one call may take as long as `timeout`.
    ///
    /// # Errors
    /// As [`RegistryClient::new`].
    pub fn with_timeout(config: RegistryConfig, timeout: Duration) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(|e| format!("cannot start the thread of the schema registry: {e}"))?;
        let http = Http::new(config, timeout)?;
        let (cache, health) = (Cache::default(), Mutex::default());
        let client = RegistryClient { runtime, shared: Arc::new(Shared { http, cache, health }) };
        client.probe();
        Ok(client)
    }

    /// Runs a call on the registry's thread and waits for it.
    fn wait<T, F>(&self, call: impl FnOnce(Arc<Shared>) -> F) -> RegistryResult<T>
    where
        T: Send + 'static,
        F: Future<Output = RegistryResult<T>> + Send + 'static,
    {
        let (sender, answer) = mpsc::sync_channel(1);
        let shared = self.shared.clone();
        let call = call(shared.clone());
        self.runtime.spawn(async move {
            let outcome = call.await;
            shared.note(&outcome);
            // Nobody waits any more: the statement timed out.
            let _ = sender.send(outcome);
        });
        answer.recv_timeout(STATEMENT_TIMEOUT).unwrap_or_else(|_| {
            let why = format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs());
            Err(RegistryError::Unreachable(why))
        })
    }

    /// Asks in the background how the registry is.
    fn probe(&self) {
        let mut health = self.shared.health.lock();
        if health.probed.is_some_and(|at| at.elapsed() < PROBE_PAUSE) {
            return;
        }
        health.probed = Some(Instant::now());
        let shared = self.shared.clone();
        self.runtime.spawn(async move { shared.note(&shared.http.probe().await) });
    }
}

impl Shared {
    fn note<T>(&self, outcome: &RegistryResult<T>) {
        let trouble = match outcome {
            Err(RegistryError::Unreachable(why)) => Some(why.clone()),
            _ => None,
        };
        let mut health = self.health.lock();
        if health.trouble.is_some() != trouble.is_some() {
            match &trouble {
                Some(why) => tracing::warn!(%why, "the schema registry cannot be reached"),
                None => tracing::info!("the schema registry answers again"),
            }
        }
        health.trouble = trouble;
    }

    async fn fetch(&self, id: u32) {
        let outcome = self.http.by_id(id).await;
        self.note(&outcome);
        match outcome {
            Ok(Some(schema)) => self.cache.put(Arc::new(schema)),
            Ok(None) => self.cache.put_missing(id, format!("Schema {id} not found")),
            Err(RegistryError::Unreachable(_)) => self.cache.failed(id),
            Err(error @ RegistryError::Refused { .. }) => {
                self.cache.put_missing(id, error.to_string());
            }
        }
    }
}

impl SchemaRegistry for RegistryClient {
    fn latest(&self, subject: &str) -> RegistryResult<Option<Arc<RegisteredSchema>>> {
        let subject = subject.to_string();
        let found = self.wait(|shared| async move { shared.http.latest(&subject).await })?;
        let found = found.map(Arc::new);
        found.iter().for_each(|schema| self.shared.cache.put(schema.clone()));
        Ok(found)
    }

    fn by_id(&self, id: u32) -> RegistryResult<Option<Arc<RegisteredSchema>>> {
        if let Some(known) = self.shared.cache.get(id) {
            return Ok(Some(known));
        }
        let found = self.wait(|shared| async move { shared.http.by_id(id).await })?;
        let found = found.map(Arc::new);
        found.iter().for_each(|schema| self.shared.cache.put(schema.clone()));
        Ok(found)
    }

    fn register(
        &self,
        subject: &str,
        schema: &SchemaText,
    ) -> RegistryResult<Arc<RegisteredSchema>> {
        let (subject, text) = (subject.to_string(), schema.clone());
        let id = self.wait(|shared| async move { shared.http.register(&subject, &text).await })?;
        let registered = Arc::new(RegisteredSchema { id, schema: schema.clone() });
        self.shared.cache.put(registered.clone());
        Ok(registered)
    }

    fn delete(&self, subject: &str) -> RegistryResult<()> {
        let subject = subject.to_string();
        self.wait(|shared| async move { shared.http.delete(&subject).await })
    }

    fn lookup(&self, id: u32) -> Lookup {
        match self.shared.cache.look(id) {
            Asked::Answer(lookup) => lookup,
            Asked::Ask => {
                let shared = self.shared.clone();
                self.runtime.spawn(async move { shared.fetch(id).await });
                Lookup::Wait
            }
        }
    }

    fn remember(&self, schema: Arc<RegisteredSchema>) {
        self.shared.cache.put(schema);
    }

    fn trouble(&self) -> Option<String> {
        self.probe();
        self.shared.health.lock().trouble.clone()
    }
}
