//! How the C allocator uses memory. RocksDB and librdkafka allocate in many threads; glibc gives each
//! its own arena, and what is free in one is of no use to another: with a million keys that was a
//! third of the process. By itself glibc also learns, from the first large block that is freed, to
//! cut such blocks out of its arenas; tables that double then leave holes that nothing fits in.

use crate::terminal::errln;

/// Arenas of the process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS_MAX: libc::c_int = 2;
/// Blocks from this size on are the system's own mappings: when they are freed, they are gone.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: libc::c_int = 1 << 20;
/// So much may be free at the end of an arena before the system gets it back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_BYTES_MAX: libc::c_int = 1 << 20;

/// Lets all threads share few arenas, and keeps large blocks out of them. Call it before threads
/// start.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_small() {
    let settings = [
        ("arenas", libc::M_ARENA_MAX, ARENAS_MAX),
        ("mapped blocks", libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
        ("free memory", libc::M_TRIM_THRESHOLD, FREE_BYTES_MAX),
    ];
    for (what, parameter, value) in settings {
        // SAFETY: `mallopt` only sets a number of the allocator, and no other thread runs yet.
        if unsafe { libc::mallopt(parameter, value) } == 0 {
            errln!("the C library takes no setting of {what}: it will need more memory");
        }
    }
}

/// Other C libraries have no arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_small() {}
