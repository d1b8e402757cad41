//! What is known of schema ids.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use millrace_engine::schemas::Lookup;
use millrace_sql::catalog::RegisteredSchema;
use parking_lot::Mutex;

use super::limits::{MISSING_AGE, PENDING_MAX, RETRY_PAUSE, SCHEMAS_MAX};

/// Schemas by id, ids that there are none of, and ids that are being asked for.
#[derive(Default)]
pub struct Cache(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    known: HashMap<u32, Arc<RegisteredSchema>>,
    missing: HashMap<u32, (Instant, String)>,
    pending: HashSet<u32>,
    /// Nothing is asked before this.
    pause_until: Option<Instant>,
}

/// What to do about an id.
pub enum Asked {
    Answer(Lookup),
    /// Nobody asks for it yet: the caller must.
    Ask,
}

impl Cache {
    pub fn get(&self, id: u32) -> Option<Arc<RegisteredSchema>> {
        self.0.lock().known.get(&id).cloned()
    }

    /// What is known of `id`; [`Asked::Ask`] makes it pending.
    pub fn look(&self, id: u32) -> Asked {
        let mut inner = self.0.lock();
        if let Some(schema) = inner.known.get(&id) {
            return Asked::Answer(Lookup::Known(schema.clone()));
        }
        let now = Instant::now();
        if let Some((since, why)) = inner.missing.get(&id) {
            if now.duration_since(*since) < MISSING_AGE {
                return Asked::Answer(Lookup::Missing(why.clone()));
            }
            inner.missing.remove(&id);
        }
        let paused = inner.pause_until.is_some_and(|until| now < until);
        let full = inner.pending.len() >= PENDING_MAX;
        if paused || full || !inner.pending.insert(id) {
            return Asked::Answer(Lookup::Wait);
        }
        Asked::Ask
    }

    pub fn put(&self, schema: Arc<RegisteredSchema>) {
        let mut inner = self.0.lock();
        if inner.known.len() >= SCHEMAS_MAX {
            inner.known.clear();
        }
        inner.pending.remove(&schema.id);
        inner.missing.remove(&schema.id);
        inner.known.insert(schema.id, schema);
    }

    /// The registry has no schema of that id, as it says.
    pub fn put_missing(&self, id: u32, why: String) {
        let mut inner = self.0.lock();
        if inner.missing.len() >= SCHEMAS_MAX {
            inner.missing.clear();
        }
        inner.pending.remove(&id);
        inner.missing.insert(id, (Instant::now(), why));
    }

    /// The registry did not answer.
    pub fn failed(&self, id: u32) {
        let mut inner = self.0.lock();
        inner.pending.remove(&id);
        inner.pause_until = Some(Instant::now() + RETRY_PAUSE);
    }
}
