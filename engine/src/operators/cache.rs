//! One memory for the caches of all operators of a process. A cache may grow while there is room;
//! when there is none, each that asks is cut to an equal share, so that one busy query can use what
//! idle ones do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all caches together may hold.
#[derive(Debug)]
pub struct CacheBudget {
    bytes_max: usize,
    used_bytes: AtomicUsize,
    shares: AtomicUsize,
}

/// One cache's part of it; dropping it gives the memory back.
#[derive(Debug)]
pub struct CacheShare {
    budget: Arc<CacheBudget>,
    held_bytes: usize,
}

impl CacheBudget {
    /// A budget of so many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        let (used_bytes, shares) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(CacheBudget { bytes_max, used_bytes, shares })
    }

    /// A further cache, empty as yet.
    pub fn share(self: &Arc<Self>) -> CacheShare {
        self.shares.fetch_add(1, Ordering::Relaxed);
        CacheShare { budget: self.clone(), held_bytes: 0 }
    }

    /// What all caches hold, as they last said.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

impl CacheShare {
    /// Says what the cache holds; the answer is how much it may hold from now on, in bytes.
    pub fn hold(&mut self, bytes: usize) -> usize {
        let used = &self.budget.used_bytes;
        used.fetch_sub(self.held_bytes, Ordering::Relaxed);
        let all = used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.held_bytes = bytes;
        if all <= self.budget.bytes_max {
            return usize::MAX;
        }
        self.budget.bytes_max / self.budget.shares.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for CacheShare {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.held_bytes, Ordering::Relaxed);
        self.budget.shares.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_share_what_there_is() {
        let budget = CacheBudget::new(100);
        let (mut busy, mut idle) = (budget.share(), budget.share());
        assert_eq!(busy.hold(90), usize::MAX, "nobody else needs it");
        assert_eq!(idle.hold(20), 50, "too much together");
        assert_eq!(busy.hold(90), 50);
        assert_eq!(busy.hold(50), usize::MAX);
        assert_eq!(budget.used_bytes(), 70);
        drop(idle);
        assert_eq!(budget.used_bytes(), 50);
        assert_eq!(busy.hold(101), 100);
    }
}
