//! How the C allocator uses memory. RocksDB and librdkafka allocate in many threads; glibc gives each
//! its own arena, and what is free in one is of no use to another: with a million keys that was a
//! third of the process.

/// Arenas of the process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS_MAX: libc::c_int = 2;

/// Lets all threads share few arenas. Call it before threads start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn share_arenas() {
    // SAFETY: `mallopt` only sets a number of the allocator, and no other thread runs yet.
    if unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX) } == 0 {
        eprintln!("the C library does not take {ARENAS_MAX} arenas: it will need more memory");
    }
}

/// Other C libraries have no arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_arenas() {}
