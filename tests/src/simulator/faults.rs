//! A plan of faults that is counted, spares the test itself, and can be ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millrace_connectors::sim::{Fault, Faults, Point};
use parking_lot::Mutex;

/// Name of the node that feeds and reads: nothing happens to it.
pub const OUTSIDE: &str = "outside";

/// Faults of nodes, counted by operation and kind.
pub struct Watched {
    inner: Arc<dyn Faults>,
    on: AtomicBool,
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Watched {
    /// Silent until [`Watched::set`].
    pub fn new(inner: Arc<dyn Faults>) -> Arc<Self> {
        Arc::new(Watched { inner, on: AtomicBool::new(false), counts: Mutex::default() })
    }

    pub fn set(&self, on: bool) {
        self.on.store(on, Ordering::Release);
    }

    /// True while faults may happen.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Notes a fault that did not come from the log.
    pub fn count(&self, what: &str) {
        *self.counts.lock().entry(what.to_owned()).or_default() += 1;
    }

    /// How often each kind has struck, e.g. `Commit CrashLate`.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().clone()
    }
}

impl Faults for Watched {
    fn at(&self, point: &Point<'_>) -> Fault {
        if point.node == OUTSIDE || !self.is_on() {
            return Fault::None;
        }
        let fault = self.inner.at(point);
        if fault != Fault::None {
            self.count(&format!("{:?} {}", point.op, kind(fault)));
        }
        fault
    }
}

fn kind(fault: Fault) -> &'static str {
    match fault {
        Fault::None => "None",
        Fault::Slow { .. } => "Slow",
        Fault::CrashBefore => "CrashBefore",
        Fault::CrashAfter => "CrashAfter",
        Fault::CrashLate => "CrashLate",
        Fault::Unknown { done: true } => "UnknownDone",
        Fault::Unknown { done: false } => "UnknownNotDone",
        Fault::Late => "Late",
        Fault::Fence => "Fence",
        Fault::TimeOut => "TimeOut",
        Fault::Unreachable => "Unreachable",
        Fault::Full => "Full",
        Fault::Few(_) => "Few",
        Fault::Forget { told: true, .. } => "ForgetTold",
        Fault::Forget { told: false, .. } => "ForgetUntold",
    }
}
