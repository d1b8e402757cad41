//! A consumer's queue: many messages for one call, each seen once and given back.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka_sys as sys;

use super::native::{Client, code, on_woken, text};

/// The queue that all partitions of a consumer feed.
pub(super) struct Queue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    taken: Vec<*mut sys::rd_kafka_message_t>,
    client: Arc<Client>,
}

// SAFETY: the queue is thread-safe, and `taken` is empty between calls.
unsafe impl Send for Queue {}

/// Messages taken from librdkafka by one call.
const CHUNK: usize = 512;

impl Queue {
    /// The queue of a consumer; its callbacks' `woken` is called when data comes into it.
    pub fn of(client: Arc<Client>) -> Option<Queue> {
        // SAFETY: the client is alive and a consumer; the event callback gets the client's opaque,
        // which outlives the queue because `client` is held.
        let queue = unsafe {
            let queue = NonNull::new(sys::rd_kafka_queue_get_consumer(client.ptr()))?;
            let opaque = client.opaque();
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(on_woken), opaque);
            queue
        };
        Some(Queue { queue, taken: Vec::with_capacity(CHUNK), client })
    }

    /// Hands up to `max` waiting messages to `each`, without waiting for more. How many there were.
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(&Message<'_>)) -> usize {
        let want = max.min(CHUNK);
        // SAFETY: `taken` has room for CHUNK pointers; the call fills in `count <= want` of them.
        let count = unsafe {
            let slots = self.taken.as_mut_ptr();
            sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, slots, want)
        };
        let count = count.clamp(0, want as isize) as usize;
        // SAFETY: that many pointers were just written.
        unsafe { self.taken.set_len(count) };
        for message in self.taken.drain(..) {
            let Some(message) = NonNull::new(message) else { continue };
            // SAFETY: the message is ours until destroyed, which happens once, here, after the
            // borrow given to `each` has ended.
            unsafe {
                each(&Message { raw: message.as_ref() });
                sys::rd_kafka_message_destroy(message.as_ptr());
            }
        }
        count
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: no events after this; our reference to the queue is given back once. The client
        // is still alive: it is a field.
        unsafe {
            let none = std::ptr::null_mut();
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, none);
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
        let _ = &self.client;
    }
}

/// A message or an event about a partition, alive during [`Queue::drain`].
pub(super) struct Message<'a> {
    raw: &'a sys::rd_kafka_message_t,
}

impl Message<'_> {
    pub fn error(&self) -> i32 {
        // SAFETY: read as a number, because the enum may lack a broker's new code.
        unsafe { (&raw const self.raw.err).cast::<i32>().read() }
    }

    /// Tells topics apart while the assignment does not change; 0 when there is none.
    pub fn topic_token(&self) -> usize {
        self.raw.rkt as usize
    }

    pub fn topic(&self) -> String {
        if self.raw.rkt.is_null() {
            return String::new();
        }
        // SAFETY: the message holds a reference to its topic.
        unsafe { text(sys::rd_kafka_topic_name(self.raw.rkt)) }
    }

    pub fn partition(&self) -> u32 {
        self.raw.partition as u32
    }

    pub fn offset(&self) -> i64 {
        self.raw.offset
    }

    pub fn key(&self) -> Option<&[u8]> {
        // SAFETY: librdkafka's key has that length for the life of the message.
        unsafe { bytes(self.raw.key, self.raw.key_len) }
    }

    /// The value, or for an event its explanation.
    pub fn value(&self) -> Option<&[u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.raw.payload, self.raw.len) }
    }

    /// Milliseconds; -1 when the message has none.
    pub fn timestamp_ms(&self) -> i64 {
        // SAFETY: the message is valid; we do not ask for the type.
        unsafe { sys::rd_kafka_message_timestamp(self.raw, std::ptr::null_mut()) }
    }

    /// Calls `each` with the headers in order; whether there were any.
    pub fn headers(&self, mut each: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is valid and keeps the headers; names end with zero, values have the
        // length that came with them.
        unsafe {
            let found = sys::rd_kafka_message_headers(self.raw, &mut headers);
            if found as i32 != code::NONE {
                return false;
            }
            let (mut name, mut value, mut size): (*const c_char, *const c_void, usize) =
                (std::ptr::null(), std::ptr::null(), 0);
            for i in 0.. {
                let got =
                    sys::rd_kafka_header_get_all(headers, i, &mut name, &mut value, &mut size);
                if got as i32 != code::NONE {
                    break;
                }
                let name = std::ffi::CStr::from_ptr(name).to_bytes();
                each(name, bytes(value.cast_mut(), size));
            }
        }
        true
    }
}

/// # Safety
/// `start` is null or has `len` bytes that live as long as the result.
unsafe fn bytes<'a>(start: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: per the contract.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), len) })
}
