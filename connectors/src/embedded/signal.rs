//! Tells threads that something may be ready.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A number that rises with every change that somebody may wait for.
#[derive(Debug, Default)]
pub struct Signal {
    version: AtomicU64,
    /// The version that each parking thread has seen: what happened between its last park and this
    /// one ends this one at once, so nothing is slept through.
    seen: Mutex<HashMap<ThreadId, u64>>,
    changed: Condvar,
}

impl Signal {
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn bump(&self) {
        let _seen = self.seen.lock();
        self.version.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_all();
    }

    /// Sleeps until the version is another than at this thread's last call, at most `at_most`.
    pub fn park(&self, at_most: Duration) {
        let me = thread::current().id();
        let mut seen = self.seen.lock();
        let last = seen.get(&me).copied().unwrap_or(0);
        if self.version() == last {
            self.changed.wait_for(&mut seen, at_most);
        }
        let now = self.version();
        seen.insert(me, now);
    }
}
