//! The seams beside [`crate::log::Log`] through which the world reaches the engine. The simulator
//! replaces each by a seeded twin.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ids::Timestamp;

/// Wall clock. Event time never comes from here.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary start; never goes back. For time-outs and commit intervals.
    fn elapsed(&self) -> Duration;
    /// Time of day.
    fn now(&self) -> Timestamp;
}

/// Randomness: UUIDs, RANDOM(), jitter.
pub trait Entropy: Send + Sync {
    fn next_u64(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock(Instant::now())
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as i64)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014) over an atomic counter: the whole sequence follows from the
/// seed.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    pub fn new(seed: u64) -> Self {
        SeededEntropy(AtomicU64::new(seed))
    }

    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Self::new(uuid::Uuid::new_v4().as_u128() as u64)
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Files of the embedded log, and of the in-memory twin of the state store.
/// Paths are relative to a root that the implementation knows.
pub trait Disk: Send + Sync {
    /// The whole file, or `None` when there is none.
    fn read(&self, path: &str) -> std::io::Result<Option<Vec<u8>>>;
    /// Length of the file in bytes, or `None` when there is none.
    fn len(&self, path: &str) -> std::io::Result<Option<u64>> {
        Ok(self.read(path)?.map(|bytes| bytes.len() as u64))
    }
    /// Up to `len` bytes from `at`.
    fn read_at(&self, path: &str, at: u64, len: usize) -> std::io::Result<Vec<u8>>;
    /// Appends; creates the file and its folders. Returns the length before.
    fn append(&self, path: &str, bytes: &[u8]) -> std::io::Result<u64>;
    /// Replaces the file atomically and durably.
    fn replace(&self, path: &str, bytes: &[u8]) -> std::io::Result<()>;
    /// Makes appended bytes durable.
    fn sync(&self, path: &str) -> std::io::Result<()>;
    fn truncate(&self, path: &str, len: u64) -> std::io::Result<()>;
    /// Removes a file or a folder with all it holds; fine if there is none.
    fn remove(&self, path: &str) -> std::io::Result<()>;
    /// Names in a folder, sorted; empty when there is none.
    fn list(&self, path: &str) -> std::io::Result<Vec<String>>;
}
