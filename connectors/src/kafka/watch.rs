//! A thread that looks after topics in use: deleted, recreated, extended, or out of reach.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use millrace_engine::log::{LogError, LogEvent};
use parking_lot::{Condvar, Mutex};

use super::admin::Admin;
use super::ids::Seen;
use super::inner::Inner;

/// Ends the thread when dropped.
pub(super) struct Watch {
    stop: Arc<(Mutex<bool>, Condvar)>,
}

/// A topic counts as gone when it was missed that often in a row: a broker that lags behind may
/// not know a new one yet.
const MISSES: u32 = 2;
/// An answer that takes longer counts as none.
const TIMEOUT_MS: i32 = 5_000;

impl Watch {
    pub fn start(inner: &Arc<Inner>) -> Watch {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let (seen, watched) = (stop.clone(), Arc::downgrade(inner));
        let interval = Duration::from_millis(u64::from(inner.config.watch_interval_ms));
        let mut rounds = Rounds {
            admin: Admin { client: inner.admin.client.clone(), timeout_ms: TIMEOUT_MS },
            inner: watched,
            misses: HashMap::new(),
            down: false,
        };
        let watching = move || {
            loop {
                let (stopped, changed) = &*seen;
                let mut stopped = stopped.lock();
                changed.wait_for(&mut stopped, interval);
                if *stopped {
                    return;
                }
                drop(stopped);
                rounds.look();
            }
        };
        let spawned = std::thread::Builder::new().name("kafka-watch".into()).spawn(watching);
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to watch topics with");
        }
        Watch { stop }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
    }
}

struct Rounds {
    admin: Admin,
    inner: Weak<Inner>,
    misses: HashMap<Arc<str>, u32>,
    down: bool,
}

impl Rounds {
    fn look(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        while self.admin.client.poll(0) > 0 {}
        let names = inner.ids.used_names();
        if names.is_empty() {
            return;
        }
        let asked: Vec<&str> = names.iter().map(|n| &**n).collect();
        match self.admin.shapes(&asked) {
            Ok(shapes) => {
                if std::mem::take(&mut self.down) {
                    inner.tell(Some(LogEvent::Up));
                }
                let seen = shapes.iter().map(|s| Seen {
                    id: s.id,
                    name: s.name.as_str().into(),
                    partitions: s.partitions,
                    record_bytes_max: None,
                });
                let seen: Vec<Seen> = seen.collect();
                self.compare(&inner, &names, &seen);
            }
            Err(error) => match error.to_log("topics in use") {
                LogError::Unreachable(reason) if !self.down => {
                    self.down = true;
                    inner.tell(Some(LogEvent::Down(reason)));
                }
                other => tracing::debug!(error = %other, "cannot look after topics"),
            },
        }
    }

    fn compare(&mut self, inner: &Inner, asked: &[Arc<str>], seen: &[Seen]) {
        for topic in seen {
            inner.tell(inner.ids.saw(topic.clone()));
        }
        for name in asked {
            if seen.iter().any(|s| s.name == *name) {
                self.misses.remove(name);
                continue;
            }
            let misses = self.misses.entry(name.clone()).or_default();
            *misses += 1;
            if *misses >= MISSES {
                self.misses.remove(name);
                inner.tell(inner.ids.missed(name));
            }
        }
    }
}
