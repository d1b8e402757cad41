//! Requests to a group's coordinator that nobody waits for any more. When librdkafka (2.12) has given up
//! an admin request because its coordinator could not be reached, it keeps a note of it, and tries to send
//! it when the coordinator is back. It then finds that there is nothing to send, frees what the note is
//! about, says so by the error `_DESTROY`, and upon this error uses what it has just freed: the process
//! ends by an assertion, after every outage that is longer than the request's time-out.
//!
//! The linker is told (`wrapped.txt`) to send librdkafka's call that makes such notes through here. A note's
//! function for sending is replaced by one that says "sent" where the original says `_DESTROY`: the
//! note is then thrown away, and that is all that is left to do.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Where an answer goes: `rd_kafka_replyq_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ReplyQueue {
    pub queue: *mut c_void,
    version: i32,
}

/// `rd_kafka_send_req_cb_t`: broker, operation, where the answer goes, what takes it, its argument.
type Send =
    unsafe extern "C" fn(*mut c_void, *mut c_void, ReplyQueue, *mut c_void, *mut c_void) -> c_int;

/// `RD_KAFKA_RESP_ERR__DESTROY`.
const DESTROY: c_int = -197;

/// librdkafka's function that sends admin requests: there is one, and no name for it outside.
static SEND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

type Request = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    *const c_char,
    Send,
    *mut c_void,
    c_int,
    c_int,
    ReplyQueue,
    *mut c_void,
    *mut c_void,
);

/// Called where clients are made, so that the linker finds the function before librdkafka asks for
/// it.
pub(super) fn link() {
    let mended: Request = __wrap_rd_kafka_coord_req;
    std::hint::black_box(mended);
}

unsafe extern "C" {
    fn __real_rd_kafka_coord_req(
        client: *mut c_void,
        kind: c_int,
        key: *const c_char,
        send: Send,
        operation: *mut c_void,
        delay_ms: c_int,
        timeout_ms: c_int,
        reply: ReplyQueue,
        answer: *mut c_void,
        argument: *mut c_void,
    );
}

/// # Safety
/// Called by librdkafka only.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_coord_req(
    client: *mut c_void,
    kind: c_int,
    key: *const c_char,
    send: Send,
    operation: *mut c_void,
    delay_ms: c_int,
    timeout_ms: c_int,
    reply: ReplyQueue,
    answer: *mut c_void,
    argument: *mut c_void,
) {
    // Admin requests come without an operation, those of transactions with one.
    let send = if operation.is_null() { mended(send) } else { send };
    // SAFETY: as librdkafka called, but for a function of the same type.
    unsafe {
        __real_rd_kafka_coord_req(
            client, kind, key, send, operation, delay_ms, timeout_ms, reply, answer, argument,
        );
    }
}

/// [`send_if_wanted`], if it stands for `send`.
fn mended(send: Send) -> Send {
    let (none, this) = (std::ptr::null_mut(), send as *mut c_void);
    match SEND.compare_exchange(none, this, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => send_if_wanted,
        Err(known) if known == this => send_if_wanted,
        Err(_) => send,
    }
}

/// # Safety
/// Called by librdkafka only, in place of the function that is kept.
unsafe extern "C" fn send_if_wanted(
    broker: *mut c_void,
    operation: *mut c_void,
    reply: ReplyQueue,
    answer: *mut c_void,
    argument: *mut c_void,
) -> c_int {
    let kept = SEND.load(Ordering::Acquire);
    if kept.is_null() {
        return DESTROY;
    }
    // SAFETY: only functions of this type are kept.
    let sent = unsafe {
        let send: Send = std::mem::transmute::<*mut c_void, Send>(kept);
        send(broker, operation, reply, answer, argument)
    };
    // The reference to the queue that came along stays with us: the queue lives as long as its client.
    if sent == DESTROY { 0 } else { sent }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers as its argument says.
    unsafe extern "C" fn answering(
        _: *mut c_void,
        _: *mut c_void,
        _: ReplyQueue,
        _: *mut c_void,
        argument: *mut c_void,
    ) -> c_int {
        argument as usize as c_int
    }

    unsafe extern "C" fn another(
        _: *mut c_void,
        _: *mut c_void,
        _: ReplyQueue,
        _: *mut c_void,
        _: *mut c_void,
    ) -> c_int {
        DESTROY
    }

    #[test]
    fn what_nobody_waits_for_counts_as_sent() {
        let mended_send = mended(answering);
        let null = std::ptr::null_mut();
        let reply = ReplyQueue { queue: null, version: 0 };
        for (said, want) in [(0, 0), (DESTROY, 0), (-185, -185), (16, 16)] {
            let argument = said as usize as *mut c_void;
            // SAFETY: the function reads nothing but its last argument.
            let got = unsafe { mended_send(null, null, reply, null, argument) };
            assert_eq!(got, want, "{said}");
        }
        assert!(std::ptr::fn_addr_eq(mended(answering), mended_send), "known by now");
        assert!(std::ptr::fn_addr_eq(mended(another), another as Send), "left as it is");
    }
}
