//! Looking up the leaders of partitions, which asking for the ends of partitions and purging begin with.
//! librdkafka (2.12) begins it on the thread of the caller: it hangs the operation up where a change of
//! the metadata wakes it, and then goes on with it, while its main thread may wake it, end it and free
//! it. With leaders that come and go (a broker died) the process ended by SIGSEGV, a double free or an
//! assertion, in seconds.
//!
//! The linker is told (`wrapped.txt`) to send librdkafka's call through here. It is handed to librdkafka's
//! main thread, which is where all later steps of the same work are done, and waited for.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::coordinator::ReplyQueue;

/// Client, partitions, time-out, where the answer goes, what takes it, its argument.
type Look =
    unsafe extern "C" fn(*mut c_void, *const c_void, c_int, ReplyQueue, *mut c_void, *mut c_void);

/// `rd_kafka_op_cb_t`: client, queue, operation. The queue is null when the operation is thrown away.
type Act = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;

/// `RD_KAFKA_OP_WAKEUP`: an operation that holds nothing but what every operation holds.
const WAKE_UP: c_int = 31;
/// `RD_KAFKA_OP_RES_HANDLED`: librdkafka throws the operation away.
const HANDLED: c_int = 1;

/// A call that waits for its turn.
struct Call {
    client: *mut c_void,
    partitions: *const c_void,
    timeout_ms: c_int,
    reply: ReplyQueue,
    answer: *mut c_void,
    argument: *mut c_void,
    over: Mutex<bool>,
    ended: Condvar,
}

// SAFETY: what it points to is librdkafka's and outlives the call, whose thread waits for the end.
unsafe impl Send for Call {}
// SAFETY: as above.
unsafe impl Sync for Call {}

/// Calls by the operation that stands for them.
static WAITING: Mutex<Vec<(usize, Arc<Call>)>> = Mutex::new(Vec::new());

/// How many calls were made on a main thread.
#[cfg(test)]
static MADE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Called where clients are made, so that the linker finds the function before librdkafka asks for
/// it.
pub(super) fn link() {
    let mended: Look = __wrap_rd_kafka_topic_partition_list_query_leaders_async;
    std::hint::black_box(mended);
}

unsafe extern "C" {
    fn __real_rd_kafka_topic_partition_list_query_leaders_async(
        client: *mut c_void,
        partitions: *const c_void,
        timeout_ms: c_int,
        reply: ReplyQueue,
        answer: *mut c_void,
        argument: *mut c_void,
    );
    /// librdkafka's own: an operation that calls a function.
    fn rd_kafka_op_new_cb(client: *mut c_void, kind: c_int, act: Act) -> *mut c_void;
    /// librdkafka's own: puts an operation into a queue and waits for its answer.
    fn rd_kafka_op_req(
        queue: *mut c_void,
        operation: *mut c_void,
        timeout_ms: c_int,
    ) -> *mut c_void;
}

/// # Safety
/// Called by librdkafka only, on a thread of its user; the answer goes to the queue of its main thread.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_rd_kafka_topic_partition_list_query_leaders_async(
    client: *mut c_void,
    partitions: *const c_void,
    timeout_ms: c_int,
    reply: ReplyQueue,
    answer: *mut c_void,
    argument: *mut c_void,
) {
    let (over, ended) = (Mutex::new(false), Condvar::new());
    let call =
        Arc::new(Call { client, partitions, timeout_ms, reply, answer, argument, over, ended });
    // SAFETY: the client is alive. The function is called exactly once: by the main thread, or when the
    // operation is thrown away undone. No answer to the operation is waited for.
    unsafe {
        let operation = rd_kafka_op_new_cb(client, WAKE_UP, look);
        WAITING.lock().push((operation as usize, call.clone()));
        rd_kafka_op_req(reply.queue, operation, 0);
    }
    let mut over = call.over.lock();
    while !*over {
        call.ended.wait(&mut over);
    }
}

/// # Safety
/// Called by librdkafka only, with an operation that was made here.
unsafe extern "C" fn look(_: *mut c_void, queue: *mut c_void, operation: *mut c_void) -> c_int {
    let mut waiting = WAITING.lock();
    let found = waiting.iter().position(|(known, _)| *known == operation as usize);
    let call = found.map(|at| waiting.swap_remove(at).1);
    drop(waiting);
    let Some(call) = call else { return HANDLED };
    // A client that ends does nothing more, and nobody gets an answer.
    if !queue.is_null() {
        // SAFETY: as librdkafka called, all of it still alive: its caller waits.
        unsafe {
            __real_rd_kafka_topic_partition_list_query_leaders_async(
                call.client,
                call.partitions,
                call.timeout_ms,
                call.reply,
                call.answer,
                call.argument,
            );
        }
        #[cfg(test)]
        MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    *call.over.lock() = true;
    call.ended.notify_all();
    HANDLED
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use rdkafka_sys as sys;

    use super::super::admin::Admin;
    use super::super::native::{Client, Kind, Silent};
    use super::*;

    const TOPICS: [&str; 3] = ["a", "b", "c"];
    const PARTITIONS: u32 = 4;
    const ASKING: usize = 4;
    const BROKERS: i32 = 3;

    /// The cluster that librdkafka plays for this client.
    struct Played(*mut sys::rd_kafka_mock_cluster_t);

    impl Played {
        fn new(client: &Client) -> Self {
            // SAFETY: the client is alive and was told to play a cluster, which lives as long.
            let played = unsafe { sys::rd_kafka_handle_mock_cluster(client.ptr()) };
            assert!(!played.is_null());
            for topic in TOPICS {
                let name = CString::new(topic).expect("a name");
                // SAFETY: the name is copied.
                unsafe {
                    sys::rd_kafka_mock_topic_create(played, name.as_ptr(), PARTITIONS as i32, 1)
                };
            }
            Played(played)
        }

        /// Gives a topic's partitions leaders, or none.
        fn lead(&self, topic: &str, led: bool) {
            let name = CString::new(topic).expect("a name");
            for partition in 0..PARTITIONS as i32 {
                let leader = if led { 1 + partition % BROKERS } else { -1 };
                // SAFETY: the cluster lives as long as its client; the name is copied.
                unsafe {
                    sys::rd_kafka_mock_partition_set_leader(
                        self.0,
                        name.as_ptr(),
                        partition,
                        leader,
                    )
                };
            }
        }
    }

    fn of(topic: &'static str) -> Vec<(&'static str, u32)> {
        (0..PARTITIONS).map(|partition| (topic, partition)).collect()
    }

    /// Without the mend the process ends within a second.
    #[test]
    fn leaders_may_come_and_go_while_many_threads_ask() {
        let settings = [
            ("test.mock.num.brokers", BROKERS.to_string()),
            ("topic.metadata.refresh.interval.ms", "10".to_owned()),
            ("log_level", "0".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        let client = Client::new(Kind::Producer, &settings, Box::new(Silent)).expect("a client");
        let played = Played::new(&client);
        let admin = Admin { client: Arc::new(client), timeout_ms: 1_000 };
        let (stop, before) = (AtomicBool::new(false), MADE.load(Ordering::Relaxed));
        std::thread::scope(|scope| {
            for asking in 0..ASKING {
                let (admin, stop) = (&admin, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        // With no leader there is an error: what counts is that it comes.
                        drop(admin.all_ends(&of(TOPICS[asking % TOPICS.len()])));
                    }
                });
            }
            let until = Instant::now() + Duration::from_secs(3);
            for round in 0_usize.. {
                if Instant::now() > until {
                    break;
                }
                for (at, topic) in TOPICS.iter().enumerate() {
                    played.lead(topic, (round + at).is_multiple_of(2));
                }
                drop(admin.names());
            }
            stop.store(true, Ordering::Relaxed);
        });
        let made = MADE.load(Ordering::Relaxed) - before;
        assert!(made > 100, "only {made} were handed over");
        TOPICS.iter().for_each(|topic| played.lead(topic, true));
        let until = Instant::now() + Duration::from_secs(20);
        while let Err(error) = admin.all_ends(&of("a")) {
            assert!(Instant::now() < until, "all have leaders again: {error:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
