//! A librdkafka client with its callbacks, and librdkafka's errors as values.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::time::Instant;

use millrace_engine::log::LogError;
use parking_lot::Mutex;
use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Resp;

use super::chatter::Chatter;

/// librdkafka's error codes that somebody here branches on. Kept as numbers: a newer broker may
/// send one that the binding's enum does not know.
pub(super) mod code {
    use super::Resp;
    pub const NONE: i32 = Resp::RD_KAFKA_RESP_ERR_NO_ERROR as i32;
    pub const EOF: i32 = Resp::RD_KAFKA_RESP_ERR__PARTITION_EOF as i32;
    pub const TIMED_OUT: i32 = Resp::RD_KAFKA_RESP_ERR__TIMED_OUT as i32;
    pub const QUEUE_FULL: i32 = Resp::RD_KAFKA_RESP_ERR__QUEUE_FULL as i32;
    pub const FENCED: i32 = Resp::RD_KAFKA_RESP_ERR__FENCED as i32;
    pub const PRODUCER_FENCED: i32 = Resp::RD_KAFKA_RESP_ERR_PRODUCER_FENCED as i32;
    pub const BAD_EPOCH: i32 = Resp::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH as i32;
    pub const FATAL: i32 = Resp::RD_KAFKA_RESP_ERR__FATAL as i32;
    pub const TOO_LARGE: i32 = Resp::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as i32;
    pub const BATCH_TOO_LARGE: i32 = Resp::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE as i32;
    pub const PURGE_QUEUE: i32 = Resp::RD_KAFKA_RESP_ERR__PURGE_QUEUE as i32;
    pub const PURGE_INFLIGHT: i32 = Resp::RD_KAFKA_RESP_ERR__PURGE_INFLIGHT as i32;
    pub const INVALID_RECORD: i32 = Resp::RD_KAFKA_RESP_ERR_INVALID_RECORD as i32;
    pub const NO_TOPIC: i32 = Resp::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC as i32;
    pub const NO_PARTITION: i32 = Resp::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION as i32;
    pub const UNKNOWN_TOPIC: i32 = Resp::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as i32;
    pub const UNKNOWN_TOPIC_ID: i32 = Resp::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID as i32;
    pub const TOPIC_EXISTS: i32 = Resp::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS as i32;
    pub const BAD_REPLICAS: i32 = Resp::RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR as i32;
    pub const BAD_PARTITIONS: i32 = Resp::RD_KAFKA_RESP_ERR_INVALID_PARTITIONS as i32;
    pub const BAD_CONFIG: i32 = Resp::RD_KAFKA_RESP_ERR_INVALID_CONFIG as i32;
    pub const POLICY: i32 = Resp::RD_KAFKA_RESP_ERR_POLICY_VIOLATION as i32;
    pub const TOPIC_DENIED: i32 = Resp::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED as i32;
    pub const GROUP_DENIED: i32 = Resp::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED as i32;
    pub const CLUSTER_DENIED: i32 = Resp::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED as i32;
    pub const TXN_DENIED: i32 =
        Resp::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED as i32;
    pub const AUTH: i32 = Resp::RD_KAFKA_RESP_ERR__AUTHENTICATION as i32;
    pub const SASL_AUTH: i32 = Resp::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED as i32;
    pub const OFFSET_RESET: i32 = Resp::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET as i32;
    pub const OUT_OF_RANGE: i32 = Resp::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE as i32;
    pub const BAD_MSG: i32 = Resp::RD_KAFKA_RESP_ERR__BAD_MSG as i32;
    pub const BAD_COMPRESSION: i32 = Resp::RD_KAFKA_RESP_ERR__BAD_COMPRESSION as i32;
    pub const CORRUPT: i32 = Resp::RD_KAFKA_RESP_ERR_INVALID_MSG as i32;
    pub const TRANSPORT: i32 = Resp::RD_KAFKA_RESP_ERR__TRANSPORT as i32;
    pub const NO_ENTRY: i32 = Resp::RD_KAFKA_RESP_ERR__NOENT as i32;
    pub const NO_LEADER: i32 = Resp::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE as i32;
    pub const ALL_DOWN: i32 = Resp::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32;
    pub const RESOLVE: i32 = Resp::RD_KAFKA_RESP_ERR__RESOLVE as i32;
    pub const ASSIGN: i32 = Resp::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS as i32;
    pub const REVOKE: i32 = Resp::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS as i32;
}

/// An error of librdkafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NativeError {
    pub code: i32,
    pub text: String,
    pub fatal: bool,
    /// The same call may be made again and goes on where it stopped.
    pub retriable: bool,
    /// The transaction can only be aborted.
    pub abortable: bool,
}

impl NativeError {
    pub fn of(code: i32) -> Self {
        let text = Resp::try_from(code).map_or_else(
            |_| format!("error {code}"),
            // SAFETY: err2str returns a static string for every code.
            |resp| unsafe { text(sys::rd_kafka_err2str(resp)) },
        );
        NativeError { code, text, fatal: false, retriable: false, abortable: false }
    }

    pub fn new(code: i32, text: String) -> Self {
        NativeError { text, ..NativeError::of(code) }
    }

    pub fn check(resp: Resp) -> Result<(), NativeError> {
        match resp as i32 {
            code::NONE => Ok(()),
            code => Err(NativeError::of(code)),
        }
    }

    /// Takes over an error object; null means success.
    ///
    /// # Safety
    /// `error` is null or an error object that nobody else destroys.
    pub unsafe fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), NativeError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, owned by us per the contract, destroyed exactly once here.
        unsafe {
            let taken = NativeError {
                code: sys::rd_kafka_error_code(error) as i32,
                text: text(sys::rd_kafka_error_string(error)),
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                retriable: sys::rd_kafka_error_is_retriable(error) != 0,
                abortable: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            sys::rd_kafka_error_destroy(error);
            Err(taken)
        }
    }

    pub fn is_fence(&self) -> bool {
        [code::FENCED, code::PRODUCER_FENCED, code::BAD_EPOCH].contains(&self.code)
    }

    /// Whether the cluster is busy with itself: leaders move, a broker starts.
    pub fn is_transient(&self) -> bool {
        let broker = [
            Resp::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            Resp::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            Resp::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            Resp::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE,
            Resp::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
            Resp::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
            Resp::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            Resp::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            Resp::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            Resp::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
            Resp::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
            Resp::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
            Resp::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
            Resp::RD_KAFKA_RESP_ERR__WAIT_COORD,
        ];
        let lost = [code::TRANSPORT, code::ALL_DOWN, code::RESOLVE, code::TIMED_OUT];
        lost.contains(&self.code) || broker.iter().any(|r| *r as i32 == self.code)
    }

    /// `what` names the call or the topic for the reader of the message.
    pub fn to_log(&self, what: &str) -> LogError {
        let said = format!("{what}: {}", self.text);
        match self.code {
            _ if self.is_transient() => LogError::Unreachable(said),
            code::UNKNOWN_TOPIC | code::NO_TOPIC | code::NO_PARTITION | code::UNKNOWN_TOPIC_ID => {
                LogError::Gone(what.to_owned())
            }
            code::TOPIC_DENIED | code::GROUP_DENIED | code::CLUSTER_DENIED | code::TXN_DENIED => {
                LogError::Denied(said)
            }
            code::AUTH | code::SASL_AUTH => LogError::Denied(said),
            _ if self.is_fence() => LogError::Fenced(said),
            _ => LogError::Other(said),
        }
    }
}

/// What librdkafka calls back. Called from whichever thread polls the client, except `woken`,
/// which comes from librdkafka's own threads and must only raise a flag.
pub(super) trait Callbacks: Send + Sync {
    /// A message was delivered (`error` is [`code::NONE`]) or given up; `tag` came with it.
    fn delivered(&self, _tag: usize, _error: i32, _offset: i64) {}
    /// Something is wrong with a connection.
    fn failed(&self, _code: i32, _text: &str) {}
    /// The group shares out its partitions anew.
    fn rebalanced(&self, _client: &RawClient, _code: i32, _partitions: &[i32]) {}
    fn statistics(&self, _json: &[u8]) {}
    /// A line of librdkafka's log, on one of its threads: some reasons are told nowhere else.
    fn logged(&self, _facility: &str, _line: &str) {}
    fn woken(&self) {}
}

/// No callbacks wanted.
pub(super) struct Silent;
impl Callbacks for Silent {}

/// The pointer to a client, usable from any thread.
#[derive(Clone, Copy)]
pub(super) struct RawClient(NonNull<sys::rd_kafka_t>);

// SAFETY: librdkafka's handles are thread-safe by its documentation.
unsafe impl Send for RawClient {}
// SAFETY: as above.
unsafe impl Sync for RawClient {}

impl RawClient {
    pub fn ptr(&self) -> *mut sys::rd_kafka_t {
        self.0.as_ptr()
    }
}

/// A producer or consumer handle. Dropping it destroys it on a thread of its own, because that
/// may wait for the network.
pub(super) struct Client {
    raw: RawClient,
    callbacks: Option<Box<Opaque>>,
}

/// What librdkafka's `opaque` points to: thin, and at a fixed address.
pub(super) struct Opaque(Box<dyn Callbacks>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Producer,
    Consumer,
    /// A consumer that is a member of a group.
    Member,
}

impl Client {
    /// # Errors
    /// A setting is unknown or has a bad value.
    pub fn new(
        kind: Kind,
        settings: &[(String, String)],
        callbacks: Box<dyn Callbacks>,
    ) -> Result<Client, LogError> {
        #[cfg(target_os = "linux")]
        {
            super::coordinator::link();
            super::leaders::link();
            super::lookups::link();
            super::silent::link();
        }
        let callbacks = Box::new(Opaque(callbacks));
        let opaque = std::ptr::from_ref::<Opaque>(&callbacks).cast_mut().cast::<c_void>();
        // SAFETY: a fresh configuration object; the callbacks match librdkafka's prototypes and
        // `opaque` outlives the client, see `drop`.
        let conf = unsafe {
            let conf = sys::rd_kafka_conf_new();
            sys::rd_kafka_conf_set_opaque(conf, opaque);
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            sys::rd_kafka_conf_set_error_cb(conf, Some(on_error));
            sys::rd_kafka_conf_set_stats_cb(conf, Some(on_statistics));
            match kind {
                Kind::Producer => {
                    sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery));
                    super::epoch::install(conf);
                }
                Kind::Member => sys::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance)),
                Kind::Consumer => {}
            }
            conf
        };
        if let Err(error) = apply(conf, settings) {
            // SAFETY: the configuration is still ours: no client took it.
            unsafe { sys::rd_kafka_conf_destroy(conf) };
            return Err(error);
        }
        let raw = start(kind, conf)?;
        Ok(Client { raw, callbacks: Some(callbacks) })
    }

    pub fn ptr(&self) -> *mut sys::rd_kafka_t {
        self.raw.ptr()
    }

    /// Serves callbacks for at most `timeout_ms`; how many were served.
    pub fn poll(&self, timeout_ms: c_int) -> c_int {
        // SAFETY: the handle lives as long as `self`.
        unsafe { sys::rd_kafka_poll(self.ptr(), timeout_ms) }
    }

    /// Asks the cluster anew about a topic, so that the client learns of partitions added since.
    /// Blocks.
    pub fn refresh(&self, topic: &str, timeout_ms: c_int) {
        let Ok(name) = c_string(topic) else { return };
        let mut metadata = std::ptr::null();
        // SAFETY: the client is alive; handle and metadata are given back once.
        unsafe {
            let handle = sys::rd_kafka_topic_new(self.ptr(), name.as_ptr(), std::ptr::null_mut());
            if handle.is_null() {
                return;
            }
            sys::rd_kafka_metadata(self.ptr(), 0, handle, &mut metadata, timeout_ms);
            if !metadata.is_null() {
                sys::rd_kafka_metadata_destroy(metadata);
            }
            sys::rd_kafka_topic_destroy(handle);
        }
    }

    /// The id of the cluster, once a broker has told it.
    pub fn cluster_id(&self) -> Option<String> {
        // SAFETY: the client is alive; the text ends with a zero, is copied and given back once.
        unsafe {
            let id = sys::rd_kafka_clusterid(self.ptr(), 0);
            if id.is_null() {
                return None;
            }
            let owned = text(id);
            sys::rd_kafka_mem_free(self.ptr(), id.cast());
            Some(owned)
        }
    }

    /// The error that ended this client, if there was one.
    pub fn fatal(&self) -> Option<NativeError> {
        let mut buffer = [0 as c_char; ERROR_BYTES];
        // SAFETY: the buffer is as long as said, and librdkafka ends the text with a zero.
        let (code, text) = unsafe {
            let found = sys::rd_kafka_fatal_error(self.ptr(), buffer.as_mut_ptr(), buffer.len());
            (found as i32, text(buffer.as_ptr()))
        };
        (code != code::NONE).then(|| NativeError { fatal: true, ..NativeError::new(code, text) })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let (raw, callbacks) = (self.raw, self.callbacks.take());
        let destroy = move || {
            // SAFETY: the last user is gone (we are in its drop). The flag skips the orderly leave
            // of a consumer, which would wait for callbacks that nobody serves.
            unsafe {
                let flags = sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
                let raw = raw;
                sys::rd_kafka_destroy_flags(raw.ptr(), flags);
            }
            drop(callbacks);
        };
        // Out of threads: leak the client rather than block its user.
        let reaper = std::thread::Builder::new().name("kafka-reaper".into()).spawn(destroy);
        if let Err(error) = reaper {
            tracing::warn!(%error, "no thread to close a Kafka client with");
        }
    }
}

const ERROR_BYTES: usize = 512;

fn apply(conf: *mut sys::rd_kafka_conf_t, settings: &[(String, String)]) -> Result<(), LogError> {
    for (name, value) in settings {
        let (key, set) = (c_string(name)?, c_string(value)?);
        let mut buffer = [0 as c_char; ERROR_BYTES];
        // SAFETY: `conf` is alive, the strings end with zero, the buffer is as long as said.
        let (result, reason) = unsafe {
            let (b, n) = (buffer.as_mut_ptr(), buffer.len());
            (sys::rd_kafka_conf_set(conf, key.as_ptr(), set.as_ptr(), b, n), text(buffer.as_ptr()))
        };
        if result != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
            return Err(LogError::Other(format!("Kafka property '{name}': {reason}")));
        }
    }
    Ok(())
}

fn start(kind: Kind, conf: *mut sys::rd_kafka_conf_t) -> Result<RawClient, LogError> {
    let native = match kind {
        Kind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        Kind::Consumer | Kind::Member => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
    };
    let mut buffer = [0 as c_char; ERROR_BYTES];
    // SAFETY: rd_kafka_new takes `conf` over when it succeeds; otherwise we destroy it.
    unsafe {
        let rk = sys::rd_kafka_new(native, conf, buffer.as_mut_ptr(), buffer.len());
        let Some(rk) = NonNull::new(rk) else {
            sys::rd_kafka_conf_destroy(conf);
            let reason = text(buffer.as_ptr());
            return Err(LogError::Other(format!("cannot start a Kafka client: {reason}")));
        };
        if native == sys::rd_kafka_type_t::RD_KAFKA_CONSUMER {
            sys::rd_kafka_poll_set_consumer(rk.as_ptr());
        }
        Ok(RawClient(rk))
    }
}

/// A C string; a zero inside is an error of the caller's input.
pub(super) fn c_string(text: &str) -> Result<CString, LogError> {
    CString::new(text).map_err(|_| LogError::Other(format!("zero byte in {text:?}")))
}

/// Text of a C string; empty when null.
///
/// # Safety
/// `text` is null or ends with a zero byte.
pub(super) unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null and zero-terminated per the contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// `opaque` is what `Client::new` gave to librdkafka.
unsafe fn callbacks<'a>(opaque: *mut c_void) -> &'a dyn Callbacks {
    // SAFETY: it points to the client's `Opaque`, which is dropped after the client is destroyed.
    unsafe { &*(*opaque.cast::<Opaque>()).0 }
}

/// Serves `Callbacks::woken` of the client that owns `opaque`; for queue events.
///
/// # Safety
/// As for [`callbacks`].
pub(super) unsafe extern "C" fn on_woken(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: per the contract.
    unsafe { callbacks(opaque) }.woken();
}

impl Client {
    /// The pointer that queue events carry.
    pub fn opaque(&self) -> *mut c_void {
        let opaque = self.callbacks.as_deref().map_or(std::ptr::null(), std::ptr::from_ref);
        opaque.cast_mut().cast()
    }
}

unsafe extern "C" fn on_delivery(
    _: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a valid message and our opaque; `err` is read as a number because
    // a broker may send a code that the enum lacks.
    unsafe {
        let error = (&raw const (*message).err).cast::<i32>().read();
        let tag = (*message)._private as usize;
        callbacks(opaque).delivered(tag, error, (*message).offset);
    }
}

unsafe extern "C" fn on_error(
    _: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka passes a zero-terminated text and our opaque.
    unsafe { callbacks(opaque).failed(code, &text(reason)) }
}

unsafe extern "C" fn on_statistics(
    _: *mut sys::rd_kafka_t,
    json: *mut c_char,
    len: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: `json` has `len` bytes during the call; we answer 0, so librdkafka frees it.
    unsafe { callbacks(opaque).statistics(std::slice::from_raw_parts(json.cast(), len)) };
    0
}

unsafe extern "C" fn on_rebalance(
    rk: *mut sys::rd_kafka_t,
    code: Resp,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    let Some(rk) = NonNull::new(rk) else { return };
    // SAFETY: librdkafka passes a valid list for the time of the call, and our opaque.
    unsafe {
        let (elements, count) = match partitions.is_null() {
            true => (std::ptr::null(), 0),
            false => ((*partitions).elems.cast_const(), (*partitions).cnt.max(0) as usize),
        };
        let numbers: Vec<i32> = (0..count).map(|i| (*elements.add(i)).partition).collect();
        callbacks(opaque).rebalanced(&RawClient(rk), code as i32, &numbers);
    }
}

/// Of all clients of the process.
static CHATTER: Mutex<Chatter> = Mutex::new(Chatter::new());

unsafe extern "C" fn on_log(
    rk: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    message: *const c_char,
) {
    // SAFETY: all three texts end with zero; `rk` may be null early on.
    let (client, facility, message) = unsafe {
        let name = if rk.is_null() { String::new() } else { text(sys::rd_kafka_name(rk)) };
        (name, text(facility), text(message))
    };
    if !rk.is_null() {
        // SAFETY: the client's opaque is what `Client::new` gave it, and outlives the client.
        unsafe { callbacks(sys::rd_kafka_opaque(rk)).logged(&facility, &message) };
    }
    // Syslog levels; a lost connection is normal in a cluster that restarts, so errors only warn.
    let shown = match level {
        0..=2 => Some(0),
        3..=4 => CHATTER.lock().admit(Instant::now()),
        _ => None,
    };
    match shown {
        Some(left_out) => {
            tracing::warn!(target: "librdkafka", client, facility, left_out, "{message}");
        }
        None => tracing::debug!(target: "librdkafka", client, facility, "{message}"),
    }
}
