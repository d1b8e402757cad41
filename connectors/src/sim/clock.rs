//! Time that moves when a test says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millrace_engine::ids::Timestamp;
use millrace_engine::seams::Clock;

/// Wall clock at the start of every simulation: 2026-01-01.
const START: Timestamp = Timestamp(1_767_225_600_000);

/// A clock that stands still unless it is advanced.
#[derive(Debug, Default)]
pub struct SimClock {
    elapsed_ms: AtomicU64,
}

impl SimClock {
    pub fn advance(&self, by: Duration) {
        self.elapsed_ms.fetch_add(by.as_millis() as u64, Ordering::AcqRel);
    }
}

impl Clock for SimClock {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms.load(Ordering::Acquire))
    }

    fn now(&self) -> Timestamp {
        Timestamp(START.0 + self.elapsed_ms.load(Ordering::Acquire) as i64)
    }
}
