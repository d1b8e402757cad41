//! Partitions that take part in a transaction without a record. Kafka tells every partition that was
//! added to a transaction how it ended, whether records were written to it or not; but librdkafka adds a
//! partition only when a record is produced to it, and has no call for it alone.
//!
//! The linker is told (`wrapped.txt`) to send two calls of librdkafka through here: the one that queues a
//! record, and the one that asks the broker to add partitions. [`add`] produces a record that is thrown
//! away where it would have been queued, right before librdkafka notes its partition; [`Adding`] knows when
//! the broker has answered for all that was noted. librdkafka's assertions forbid to commit before that.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::coordinator::ReplyQueue;
use super::native::{Client, NativeError, code};
use super::producer::Topic;

/// When a broker is asked again, it is soon. Long enough to see that, and short, because whoever takes the
/// id over meanwhile aborts what is being told.
pub(super) const QUIET: Duration = Duration::from_millis(100);
const LOOK_MS: i32 = 10;

thread_local! {
    /// The client whose record this thread means to throw away.
    static DROPPING: Cell<*mut c_void> = const { Cell::new(std::ptr::null_mut()) };
}

/// Requests of one client to add partitions.
pub(super) struct Adding {
    client: Arc<Client>,
    counts: Arc<Mutex<Counts>>,
}

struct Counts {
    /// The transactional id and the client's address.
    id: Vec<u8>,
    client: usize,
    sent: usize,
    answered: usize,
    last: Instant,
}

/// Those who wait for answers.
static WATCHED: Mutex<Vec<Arc<Mutex<Counts>>>> = Mutex::new(Vec::new());

impl Adding {
    /// Counts from now on.
    pub fn watch(client: &Arc<Client>, id: &str) -> Adding {
        let counts = Counts {
            id: id.as_bytes().to_vec(),
            client: client.ptr() as usize,
            sent: 0,
            answered: 0,
            last: Instant::now(),
        };
        let counts = Arc::new(Mutex::new(counts));
        WATCHED.lock().push(counts.clone());
        Adding { client: client.clone(), counts }
    }

    /// Waits until the broker has answered for all partitions, and nothing more was asked for `quiet`;
    /// false: it did not in time.
    pub fn wait(&self, quiet: Duration, until: Instant) -> bool {
        loop {
            self.client.poll(LOOK_MS);
            let counts = self.counts.lock();
            let all = counts.sent > 0 && counts.answered == counts.sent;
            if all && counts.last.elapsed() > quiet {
                return true;
            }
            drop(counts);
            if Instant::now() > until || self.client.fatal().is_some() {
                return false;
            }
        }
    }
}

impl Drop for Adding {
    fn drop(&mut self) {
        WATCHED.lock().retain(|counts| !Arc::ptr_eq(counts, &self.counts));
    }
}

/// Adds a partition to the open transaction of `client`; without a word it does not, if the client has not
/// heard of the topic yet.
///
/// # Errors
/// The partition does not exist, or the producer is dead.
pub(super) fn add(client: &Client, topic: &Topic, partition: u32) -> Result<(), NativeError> {
    let timestamp = millrace_engine::ids::Timestamp(0);
    let record =
        millrace_engine::log::RecordRef { timestamp, key: None, value: None, headers: &[] };
    DROPPING.set(client.ptr().cast());
    let added = topic.produce(partition, &record, 0);
    DROPPING.set(std::ptr::null_mut());
    added
}

/// Called where clients are made, so that the linker finds the functions before librdkafka asks for
/// them.
pub(super) fn link() {
    let queue: Queue = __wrap_rd_kafka_toppar_enq_msg;
    let request: Request = __wrap_rd_kafka_AddPartitionsToTxnRequest;
    std::hint::black_box((queue, request));
}

type Queue = unsafe extern "C" fn(*mut c_void, *mut c_void, i64);
type Request = unsafe extern "C" fn(
    *mut c_void,
    *const c_char,
    Pid,
    *const c_void,
    *mut c_char,
    usize,
    ReplyQueue,
    Answered,
    *mut c_void,
) -> c_int;
/// `rd_kafka_resp_cb_t`: client, broker, error, answer, request, argument.
type Answered =
    unsafe extern "C" fn(*mut c_void, *mut c_void, c_int, *mut c_void, *mut c_void, *mut c_void);

/// `rd_kafka_pid_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pid {
    id: i64,
    epoch: i16,
}

unsafe extern "C" {
    fn __real_rd_kafka_toppar_enq_msg(partition: *mut c_void, record: *mut c_void, now: i64);
    fn rd_kafka_msg_destroy(client: *mut c_void, record: *mut c_void);
    fn __real_rd_kafka_AddPartitionsToTxnRequest(
        broker: *mut c_void,
        id: *const c_char,
        pid: Pid,
        partitions: *const c_void,
        error: *mut c_char,
        error_bytes: usize,
        reply: ReplyQueue,
        answered: Answered,
        argument: *mut c_void,
    ) -> c_int;
}

/// # Safety
/// Called by librdkafka only, with a record that nobody else has.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_toppar_enq_msg(
    partition: *mut c_void,
    record: *mut c_void,
    now: i64,
) {
    let client = DROPPING.get();
    // SAFETY: as librdkafka called. What is not queued is nobody's, and its caller does not look at
    // it again: a queued record may be gone by then, too.
    unsafe {
        match client.is_null() {
            true => __real_rd_kafka_toppar_enq_msg(partition, record, now),
            false => rd_kafka_msg_destroy(client, record),
        }
    }
}

/// librdkafka's function that takes the answers: there is one, and no name for it outside.
static ANSWERED: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// # Safety
/// Called by librdkafka only.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
unsafe extern "C" fn __wrap_rd_kafka_AddPartitionsToTxnRequest(
    broker: *mut c_void,
    id: *const c_char,
    pid: Pid,
    partitions: *const c_void,
    error: *mut c_char,
    error_bytes: usize,
    reply: ReplyQueue,
    answered: Answered,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the id ends with a zero.
    let name = unsafe { std::ffi::CStr::from_ptr(id) }.to_bytes();
    let watched = WATCHED.lock().iter().find(|counts| counts.lock().id == name).cloned();
    let known = ANSWERED.swap(answered as *mut c_void, Ordering::AcqRel);
    let same = known.is_null() || known == answered as *mut c_void;
    let counted = watched.filter(|_| same);
    let taker: Answered = if counted.is_some() { count_answer } else { answered };
    if let Some(counts) = &counted {
        counts.lock().sent += 1;
    }
    // SAFETY: as librdkafka called, but for a function of the same type.
    let sent = unsafe {
        __real_rd_kafka_AddPartitionsToTxnRequest(
            broker,
            id,
            pid,
            partitions,
            error,
            error_bytes,
            reply,
            taker,
            argument,
        )
    };
    if let Some(counts) = counted.filter(|_| sent != code::NONE) {
        counts.lock().sent -= 1;
    }
    sent
}

/// # Safety
/// Called by librdkafka only, in place of the function that is kept.
unsafe extern "C" fn count_answer(
    client: *mut c_void,
    broker: *mut c_void,
    error: c_int,
    answer: *mut c_void,
    request: *mut c_void,
    argument: *mut c_void,
) {
    let kept = ANSWERED.load(Ordering::Acquire);
    if kept.is_null() {
        return;
    }
    // SAFETY: only functions of this type are kept.
    unsafe {
        let taker: Answered = std::mem::transmute::<*mut c_void, Answered>(kept);
        taker(client, broker, error, answer, request, argument);
    }
    let watched = WATCHED.lock();
    let of_client = watched.iter().filter(|counts| counts.lock().client == client as usize);
    for counts in of_client {
        let mut counts = counts.lock();
        counts.answered += 1;
        counts.last = Instant::now();
    }
}
