//! Leader changes in answers to fetches. librdkafka 2.12 (and later: its issue 5280) counts every
//! partition that such an answer names a leader for, but leaves the places of those without a leader
//! unwritten: while a broker restarts it then follows leaders of partitions that are stray memory, and
//! crashes, or asks a partition with an epoch that no broker knows for ever.
//!
//! The linker is told (`wrapped.txt`) to send librdkafka's call that hands out those places through here,
//! and here they are first filled with a partition number that no topic has: librdkafka skips it.

use std::ffi::{c_char, c_int, c_void};

/// Memory for one answer, as librdkafka hands it out from front to back: `rd_tmpabuf_t`, its first
/// fields.
#[repr(C)]
struct Arena {
    size_bytes: usize,
    used_bytes: usize,
    start: *mut c_char,
}

/// Four of them are a partition number, 2,139,062,143.
const NOBODY: u8 = 0x7f;

type SetTopics = unsafe extern "C" fn(*mut Arena, *mut c_void, c_int);

/// Called where clients are made, so that the linker finds the function before librdkafka asks for
/// it.
pub(super) fn link() {
    let mended: SetTopics = __wrap_rd_kafkap_leader_discovery_set_topic_cnt;
    std::hint::black_box(mended);
}

unsafe extern "C" {
    fn __real_rd_kafkap_leader_discovery_set_topic_cnt(
        arena: *mut Arena,
        metadata: *mut c_void,
        topics: c_int,
    );
}

/// # Safety
/// Called by librdkafka only, with an arena whose memory it has just allocated.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafkap_leader_discovery_set_topic_cnt(
    arena: *mut Arena,
    metadata: *mut c_void,
    topics: c_int,
) {
    // SAFETY: the memory behind what is used belongs to the arena and is not handed out yet; all that
    // librdkafka means to write there it writes later.
    unsafe {
        let Arena { size_bytes, used_bytes, start } = *arena;
        if !start.is_null() {
            start.add(used_bytes).write_bytes(NOBODY, size_bytes.saturating_sub(used_bytes));
        }
        __real_rd_kafkap_leader_discovery_set_topic_cnt(arena, metadata, topics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn rd_kafkap_leader_discovery_set_topic_cnt(
            arena: *mut Arena,
            metadata: *mut c_void,
            topics: c_int,
        );
    }

    /// By librdkafka's own name, as librdkafka calls it.
    #[test]
    fn places_that_stay_unwritten_are_nobodys() {
        const USED: usize = 64;
        let mut memory = [1_u8; 4096];
        let mut metadata = [0u64; 64];
        let start = memory.as_mut_ptr().cast::<c_char>();
        // librdkafka's structure is longer than what is named of it.
        let mut whole = [0u64; 8];
        // SAFETY: all three are larger than librdkafka's structures and live until the end.
        let arena = unsafe {
            let arena = whole.as_mut_ptr().cast::<Arena>();
            arena.write(Arena { size_bytes: memory.len(), used_bytes: USED, start });
            rd_kafkap_leader_discovery_set_topic_cnt(arena, metadata.as_mut_ptr().cast(), 1);
            arena.read()
        };
        assert!(arena.used_bytes > USED, "librdkafka's own part was done");
        assert!(memory[..USED].iter().all(|byte| *byte == 1));
        assert!(memory[arena.used_bytes..].iter().all(|byte| *byte == NOBODY));
    }
}
