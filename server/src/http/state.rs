//! What all requests share.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use millrace_engine::api::{Api, Executed, Health};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::error::{HttpError, code};
use crate::config::Config;
use crate::limits;

/// The server behind the routes.
pub struct Server {
    pub api: Arc<dyn Api>,
    pub config: Config,
    pub statuses: Statuses,
    pub pushes: Arc<PushQueries>,
    /// `host:port` as clients see it.
    pub host: String,
    calls: Semaphore,
    health: Mutex<Option<(Instant, Health)>>,
    stopping: AtomicBool,
}

impl Server {
    pub fn new(api: Arc<dyn Api>, config: Config, host: String) -> Arc<Server> {
        let pushes = PushQueries::new(config.push_queries_max);
        Arc::new(Server {
            api,
            config,
            statuses: Statuses::default(),
            pushes: Arc::new(pushes),
            host,
            calls: Semaphore::new(limits::ENGINE_CALLS_MAX),
            health: Mutex::new(None),
            stopping: AtomicBool::new(false),
        })
    }

    /// Runs `work`, which may block, off the async threads.
    ///
    /// # Errors
    /// What `work` says; 503 when the server is shutting down; 500 when `work` panicked.
    pub async fn call<T, F>(self: &Arc<Self>, work: F) -> Result<T, HttpError>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Server>) -> Result<T, HttpError> + Send + 'static,
    {
        if self.is_stopping() {
            return Err(shutting_down());
        }
        let _turn = self.calls.acquire().await.map_err(|_| shutting_down())?;
        let server = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&server)).await;
        done.unwrap_or_else(|e| {
            tracing::error!("a request failed inside the server: {e}");
            let message = "the request failed inside the server; please report this as a bug";
            Err(HttpError::new(code::SERVER, message))
        })
    }

    /// Health, asked at most once per [`limits::HEALTH_AGE`]. May block.
    pub fn health(&self) -> Health {
        let mut cached = self.health.lock();
        if let Some((at, health)) = &*cached
            && at.elapsed() < limits::HEALTH_AGE
        {
            return health.clone();
        }
        let health = self.api.health();
        *cached = Some((Instant::now(), health.clone()));
        health
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Refuses new requests and ends the push queries.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.pushes.stop_all();
    }
}

fn shutting_down() -> HttpError {
    HttpError::new(code::SHUTTING_DOWN, "The server is shutting down")
}

/// Outcomes of commands that ran here, for `/status`; the oldest are forgotten first.
#[derive(Debug, Default)]
pub struct Statuses(Mutex<StatusList>);

#[derive(Debug, Default)]
struct StatusList {
    order: VecDeque<String>,
    by_id: HashMap<String, Value>,
}

impl Statuses {
    /// Remembers the outcome; statements that wrote no command leave none.
    pub fn succeeded(&self, done: &Executed) {
        if done.warning.is_some() {
            return;
        }
        let id = done.command_id.replace('`', "");
        let status =
            json!({ "status": "SUCCESS", "message": done.message, "queryId": done.query_id });
        let mut list = self.0.lock();
        if list.by_id.insert(id.clone(), status).is_none() {
            list.order.push_back(id);
        }
        while list.order.len() > limits::STATUSES_MAX {
            if let Some(old) = list.order.pop_front() {
                list.by_id.remove(&old);
            }
        }
    }

    pub fn get(&self, id: &str) -> Option<Value> {
        self.0.lock().by_id.get(id).cloned()
    }

    /// Command id to status word.
    pub fn all(&self) -> serde_json::Map<String, Value> {
        let list = self.0.lock();
        let status = |id: &String| list.by_id.get(id).map(|s| s["status"].clone());
        list.order.iter().filter_map(|id| Some((id.clone(), status(id)?))).collect()
    }
}

type Stopper = Arc<dyn Fn() + Send + Sync>;

/// Push queries (and PRINTs) that run for a client.
pub struct PushQueries {
    max: usize,
    running: Mutex<HashMap<String, Option<Stopper>>>,
}

impl PushQueries {
    fn new(max: usize) -> Self {
        PushQueries { max, running: Mutex::new(HashMap::new()) }
    }

    /// Takes a place among the running ones; it is free again when the place is dropped.
    ///
    /// # Errors
    /// 40003 when all places are taken.
    pub fn enter(self: &Arc<Self>) -> Result<Place, HttpError> {
        let mut running = self.running.lock();
        if running.len() >= self.max {
            let message = format!(
                "The limit of {} concurrent push queries is reached. End some of them \
                 (close-query, TERMINATE) or raise ksql.max.push.queries.",
                self.max
            );
            return Err(HttpError::new(code::PUSH_QUERIES, message));
        }
        let key = format!("starting_{}", uuid::Uuid::new_v4());
        running.insert(key.clone(), None);
        Ok(Place { queries: Arc::clone(self), key })
    }

    /// Ids are compared without case: TERMINATE upper-cases them.
    pub fn has(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// Ends a query; false when there is none of that id.
    pub fn stop(&self, id: &str) -> bool {
        self.find(id).map(|stop| stop()).is_some()
    }

    fn find(&self, id: &str) -> Option<Stopper> {
        let running = self.running.lock();
        let found = running.iter().find(|(key, _)| key.eq_ignore_ascii_case(id));
        found.and_then(|(_, stopper)| stopper.clone())
    }

    pub fn stop_all(&self) {
        let all: Vec<Stopper> = self.running.lock().values().flatten().cloned().collect();
        all.iter().for_each(|stop| stop());
    }

    pub fn len(&self) -> usize {
        self.running.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A place among the running push queries.
pub struct Place {
    queries: Arc<PushQueries>,
    key: String,
}

impl Place {
    /// Makes the query known by its id, so that it can be ended.
    pub fn started(&mut self, id: &str, stopper: Stopper) {
        let mut running = self.queries.running.lock();
        running.remove(&self.key);
        self.key = id.to_string();
        running.insert(self.key.clone(), Some(stopper));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queries.running.lock().remove(&self.key);
    }
}
