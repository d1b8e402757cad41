//! Random numbers that one seed reproduces.

use std::time::Duration;

use millrace_engine::seams::{Entropy, SeededEntropy};

/// A source of random numbers.
pub struct Random(SeededEntropy);

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Random(SeededEntropy::new(seed))
    }

    /// A number in `0..bound`; `bound` is above 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// True in `percent` of the cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Exponentially distributed around `mean`, cut to `shortest..=longest`.
    pub fn pause(&self, mean: Duration, shortest: Duration, longest: Duration) -> Duration {
        const STEPS: u64 = 1 << 20;
        let uniform = (self.below(STEPS) + 1) as f64 / STEPS as f64;
        mean.mul_f64(-uniform.ln()).clamp(shortest, longest)
    }
}
