//! The persistent queries of the service as this node has replayed them. Lanes look here for the
//! tasks they should run; the generation tells them that something has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::ids::LaneId;
use crate::limits::{Limits, QUERY_RETRY_INITIAL, QUERY_RETRY_MAX};
use crate::query::QueryDef;
use crate::seams::Clock;
use crate::state::{Shape, StoreId};

/// Queries by id.
#[derive(Default)]
pub struct Registry {
    generation: AtomicU64,
    command: AtomicI64,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    queries: BTreeMap<String, Arc<QueryDef>>,
    retries: BTreeMap<String, Retry>,
    /// Stores of removed queries, per lane that has not dropped them yet.
    dropped: BTreeMap<LaneId, Vec<(StoreId, Shape)>>,
}

/// When a failed query is tried again.
#[derive(Debug, Clone, Copy)]
struct Retry {
    at: Duration,
    pause: Duration,
}

impl Registry {
    pub fn new() -> Self {
        let registry = Registry::default();
        registry.command.store(-1, Ordering::Release);
        registry
    }

    /// Rises with every change that lanes must look at.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Offset of the last command applied on this node; -1 before the first.
    pub fn command(&self) -> i64 {
        self.command.load(Ordering::Acquire)
    }

    /// A command has been applied to the catalog and to the queries.
    pub fn applied(&self, command: i64) {
        self.command.store(command, Ordering::Release);
        self.changed();
    }

    /// Something changed without a command.
    pub fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Puts a query in, or in the place of the one of its id: its tasks go on with the new plan.
    pub fn add(&self, query: Arc<QueryDef>) {
        let mut inner = self.inner.write();
        inner.retries.remove(&query.id);
        inner.queries.insert(query.id.clone(), query);
    }

    /// Takes a query out; its stores are dropped by the lanes that hold them.
    pub fn remove(&self, id: &str, lanes: u32) -> Option<Arc<QueryDef>> {
        let mut inner = self.inner.write();
        inner.retries.remove(id);
        let query = inner.queries.remove(id)?;
        for (index, spec) in query.topology.stores.iter().enumerate() {
            let Some(facts) = query.facts.subs.get(spec.sub) else { continue };
            for partition in 0..facts.partitions {
                let store = (query.store_id(index, partition), spec.shape);
                inner.dropped.entry(facts.lane(partition, lanes)).or_default().push(store);
            }
        }
        Some(query)
    }

    /// Stores that `lane` must drop now.
    pub fn take_dropped_stores(&self, lane: LaneId) -> Vec<(StoreId, Shape)> {
        self.inner.write().dropped.remove(&lane).unwrap_or_default()
    }

    pub fn get(&self, id: &str) -> Option<Arc<QueryDef>> {
        self.inner.read().queries.get(id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<QueryDef>> {
        self.inner.read().queries.values().cloned().collect()
    }

    /// Queries whose tasks should run: neither paused nor failed.
    pub fn runnable(&self) -> Vec<Arc<QueryDef>> {
        let inner = self.inner.read();
        let queries = inner.queries.values();
        let runs = |q: &&Arc<QueryDef>| !q.status.is_paused() && q.status.failure().is_none();
        queries.filter(runs).cloned().collect()
    }

    /// Stops a query on all lanes of this node until its pause is over.
    pub fn query_failed(&self, id: &str, reason: &str, clock: &dyn Clock, limits: &Limits) {
        let mut inner = self.inner.write();
        let Some(query) = inner.queries.get(id).cloned() else { return };
        if query.status.failure().is_none() {
            query.status.fail(clock.now(), reason.to_owned(), limits.query_errors_max);
            let before = inner.retries.get(id).map(|retry| retry.pause * 2);
            let pause = before.unwrap_or(QUERY_RETRY_INITIAL).min(QUERY_RETRY_MAX);
            inner.retries.insert(id.to_owned(), Retry { at: clock.elapsed() + pause, pause });
        }
        drop(inner);
        self.changed();
    }

    /// Stops a query for good: only a new one helps.
    pub fn query_broken(&self, id: &str, reason: &str, clock: &dyn Clock, limits: &Limits) {
        let mut inner = self.inner.write();
        let Some(query) = inner.queries.get(id).cloned() else { return };
        let known = inner.retries.remove(id).is_none() && query.status.failure().is_some();
        if !known {
            query.status.fail(clock.now(), reason.to_owned(), limits.query_errors_max);
        }
        drop(inner);
        self.changed();
    }

    /// Lets failed queries whose pause is over run again. True if there was one.
    pub fn retry_failed(&self, clock: &dyn Clock) -> bool {
        let now = clock.elapsed();
        let inner = self.inner.read();
        let mut any = false;
        for (id, retry) in &inner.retries {
            let Some(query) = inner.queries.get(id) else { continue };
            if retry.at <= now && query.status.failure().is_some() {
                query.status.recovered();
                any = true;
            }
        }
        drop(inner);
        if any {
            self.changed();
        }
        any
    }
}
