//! The seam of UNIX_TIMESTAMP, UUID and RANDOM: the caller says what the time is and where
//! randomness comes from, so that a simulation sees the same values again.

use std::cell::Cell;

#[derive(Clone, Copy)]
struct Ambient {
    now_ms: i64,
    /// State of a xoroshiro128++ generator.
    random: [u64; 2],
}

thread_local! {
    static AMBIENT: Cell<Option<Ambient>> = const { Cell::new(None) };
}

/// Runs `f` with the wall clock standing at `now_ms` (milliseconds since the epoch) and with random
/// values seeded by `entropy`, for expressions evaluated on this thread. Calls may nest.
pub fn with_ambient<R>(now_ms: i64, entropy: &dyn Fn() -> u64, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Ambient>);
    impl Drop for Restore {
        fn drop(&mut self) {
            AMBIENT.set(self.0);
        }
    }
    let ambient = Ambient { now_ms, random: [entropy(), entropy() | 1] };
    let _restore = Restore(AMBIENT.replace(Some(ambient)));
    f()
}

/// Milliseconds since the epoch; `None` outside [`with_ambient`].
pub(crate) fn now_ms() -> Option<i64> {
    AMBIENT.get().map(|ambient| ambient.now_ms)
}

/// 64 random bits; `None` outside [`with_ambient`].
pub(crate) fn random() -> Option<u64> {
    let mut ambient = AMBIENT.get()?;
    let [a, mut b] = ambient.random;
    let result = a.wrapping_add(b).rotate_left(17).wrapping_add(a);
    b ^= a;
    ambient.random = [a.rotate_left(49) ^ b ^ (b << 21), b.rotate_left(28)];
    AMBIENT.set(Some(ambient));
    Some(result)
}
