//! Wakes parked threads when a queue got data, a transaction ended or a request was answered.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A counter that threads wait on. Each thread remembers what it saw last, so that nothing between
/// its last look and its going to sleep is missed, and several threads may wait.
pub(super) struct Signal {
    id: u64,
    count: Mutex<u64>,
    raised: Condvar,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// (signal, count seen last): a thread serves few logs, mostly one.
    static SEEN: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

impl Signal {
    pub fn new() -> Self {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Signal { id, count: Mutex::new(0), raised: Condvar::new() }
    }

    pub fn raise(&self) {
        *self.count.lock() += 1;
        self.raised.notify_all();
    }

    /// Returns once something was raised since this thread's last wait, or after `at_most`.
    pub fn wait(&self, at_most: Duration) {
        let mut count = self.count.lock();
        if *count == self.seen() {
            self.raised.wait_for(&mut count, at_most);
        }
        self.set_seen(*count);
    }

    fn seen(&self) -> u64 {
        SEEN.with_borrow(|all| all.iter().find(|(id, _)| *id == self.id).map_or(0, |s| s.1))
    }

    fn set_seen(&self, count: u64) {
        SEEN.with_borrow_mut(|all| match all.iter_mut().find(|(id, _)| *id == self.id) {
            Some(slot) => slot.1 = count,
            None => all.push((self.id, count)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_was_raised_before_the_wait_is_not_missed() {
        let signal = Signal::new();
        signal.raise();
        let start = Instant::now();
        signal.wait(Duration::from_secs(5));
        assert!(start.elapsed() < Duration::from_secs(1));
        signal.wait(Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20), "the second wait sleeps");
    }

    #[test]
    fn all_waiting_threads_wake() {
        let signal = Signal::new();
        let start = Instant::now();
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| signal.wait(Duration::from_secs(5)));
            }
            std::thread::sleep(Duration::from_millis(20));
            signal.raise();
        });
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
