//! An allocator that counts what the present thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
pub struct Counting;

#[derive(Clone, Copy)]
struct Counts {
    held: isize,
    peak: isize,
    largest: usize,
}

const NONE: Counts = Counts { held: 0, peak: 0, largest: 0 };

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(NONE) };
}

fn count(by: isize) {
    // A thread that ends has no counts any more.
    let _ = COUNTS.try_with(|cell| {
        let mut counts = cell.get();
        counts.held += by;
        counts.peak = counts.peak.max(counts.held);
        counts.largest = counts.largest.max(usize::try_from(by).unwrap_or(0));
        cell.set(counts);
    });
}

// SAFETY: every call goes to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks may be held for a moment.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What a call allocated, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Allocated {
    /// Most that was held at a time, beyond what was held before.
    pub peak: usize,
    /// The largest single block.
    pub largest: usize,
}

/// Counts what `call` allocates in this thread; zeros where [`Counting`] is not the allocator.
pub fn counted<T>(call: impl FnOnce() -> T) -> (T, Allocated) {
    COUNTS.set(NONE);
    let value = call();
    let counts = COUNTS.get();
    let peak = usize::try_from(counts.peak).unwrap_or(0);
    (value, Allocated { peak, largest: counts.largest })
}
