//! Producing: cached topic handles, one call per record, librdkafka copies.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use millrace_engine::ids::TopicId;
use millrace_engine::log::{HeaderRef, LogError, RecordRef, SendError};
use rdkafka_sys as sys;
use sys::rd_kafka_vtype_t as V;
use sys::rd_kafka_vu_s__bindgen_ty_1 as U;

use super::native::{Client, NativeError, c_string};

/// A producer and its handles of topics.
pub(super) struct Producer {
    topics: HashMap<TopicId, Arc<Topic>>,
    pub client: Arc<Client>,
}

/// A producer's handle of a topic.
pub(super) struct Topic {
    pub name: Arc<str>,
    handle: NonNull<sys::rd_kafka_topic_t>,
    bytes_max: usize,
    client: Arc<Client>,
}

/// A partition by what librdkafka calls it.
pub(super) type Place = (Arc<Topic>, u32);

// SAFETY: topic handles are thread-safe.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: our reference is given back once, while the client is alive.
        unsafe { sys::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}

/// The broker's default for `max.message.bytes`.
const RECORD_BYTES_MAX: usize = 1_048_588;
/// What a batch of one record adds to its key, value and headers, at most.
const RECORD_OVERHEAD_BYTES: usize = 96;
/// Two lengths of variable size.
const HEADER_OVERHEAD_BYTES: usize = 10;

impl Producer {
    pub fn new(client: Arc<Client>) -> Self {
        Producer { topics: HashMap::new(), client }
    }

    /// The handle, if it was made.
    pub fn topic(&self, topic: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&topic)
    }

    /// Drops all handles; they are made again when needed.
    pub fn forget_topics(&mut self) {
        self.topics.clear();
    }

    /// Makes the handle of a topic.
    pub fn open(
        &mut self,
        topic: TopicId,
        name: &str,
        bytes_max: Option<usize>,
    ) -> Result<Arc<Topic>, LogError> {
        let c_name = c_string(name)?;
        // SAFETY: the client is alive; a null configuration means the default one.
        let handle = unsafe {
            sys::rd_kafka_topic_new(self.client.ptr(), c_name.as_ptr(), std::ptr::null_mut())
        };
        let handle = NonNull::new(handle)
            .ok_or_else(|| LogError::Other(format!("no handle for topic {name}")))?;
        let bytes_max = bytes_max.unwrap_or(RECORD_BYTES_MAX);
        let client = self.client.clone();
        let opened = Arc::new(Topic { name: name.into(), handle, bytes_max, client });
        self.topics.insert(topic, opened.clone());
        Ok(opened)
    }
}

impl Topic {
    /// Whether the record is over the topic's limit. Counted before compression, so that what is
    /// refused does not depend on its neighbours.
    pub fn check(&self, record: &RecordRef<'_>) -> Result<(), SendError> {
        let (bytes, bytes_max) = (size(record), self.bytes_max);
        match bytes > bytes_max {
            true => Err(SendError::TooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    /// Queues a record. `tag` comes back with its delivery report.
    ///
    /// # Errors
    /// librdkafka's: its queue is full, the partition does not exist, the producer is dead.
    pub fn produce(
        &self,
        partition: u32,
        record: &RecordRef<'_>,
        tag: usize,
    ) -> Result<(), NativeError> {
        let headers = Headers::of(record.headers)?;
        let timestamp = match record.timestamp.0 {
            0 => super::epoch::ZERO,
            other => other,
        };
        let value = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
        let mut values = [
            value(V::RD_KAFKA_VTYPE_RKT, U { rkt: self.handle.as_ptr() }),
            value(V::RD_KAFKA_VTYPE_PARTITION, U { i32_: partition as i32 }),
            value(V::RD_KAFKA_VTYPE_MSGFLAGS, U { i: sys::RD_KAFKA_MSG_F_COPY }),
            value(V::RD_KAFKA_VTYPE_TIMESTAMP, U { i64_: timestamp }),
            value(V::RD_KAFKA_VTYPE_OPAQUE, U { ptr: tag as *mut c_void }),
            value(V::RD_KAFKA_VTYPE_KEY, U { mem: memory(record.key) }),
            value(V::RD_KAFKA_VTYPE_VALUE, U { mem: memory(record.value) }),
            value(V::RD_KAFKA_VTYPE_END, U { ptr: std::ptr::null_mut() }),
        ];
        let mut count = values.len() - 1;
        if let Some(headers) = &headers {
            values[count] = value(V::RD_KAFKA_VTYPE_HEADERS, U { headers: headers.0.as_ptr() });
            count += 1;
        }
        // SAFETY: the first `count` values are filled in and match their types; memory is copied
        // before the call returns; headers are taken over only on success.
        let result = unsafe {
            let error = sys::rd_kafka_produceva(self.client.ptr(), values.as_ptr(), count);
            NativeError::take(error)
        };
        if result.is_ok() {
            std::mem::forget(headers);
        }
        result
    }
}

/// Bytes of a record, with what a batch adds to it.
fn size(record: &RecordRef<'_>) -> usize {
    let length = |bytes: &Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let headers = record.headers.iter().map(|(name, value)| name.len() + length(value));
    let (key, value) = (record.key.map_or(0, <[u8]>::len), record.value.map_or(0, <[u8]>::len));
    let lengths = record.headers.len() * HEADER_OVERHEAD_BYTES;
    key + value + headers.sum::<usize>() + lengths + RECORD_OVERHEAD_BYTES
}

fn memory(bytes: Option<&[u8]>) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    let (ptr, size) = match bytes {
        None => (std::ptr::null_mut(), 0),
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
    };
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr, size }
}

/// Headers on their way into a message.
struct Headers(NonNull<sys::rd_kafka_headers_t>);

impl Headers {
    fn of(all: &[HeaderRef<'_>]) -> Result<Option<Headers>, NativeError> {
        if all.is_empty() {
            return Ok(None);
        }
        // SAFETY: makes an object that we own.
        let headers = unsafe { NonNull::new(sys::rd_kafka_headers_new(all.len())) };
        let headers = Headers(headers.ok_or_else(|| NativeError::of(super::native::code::FATAL))?);
        for (name, value) in all {
            // SAFETY: the object is alive; name and value are copied, by their lengths.
            let added = unsafe {
                let (start, len) = (name.as_ptr().cast(), name.len() as isize);
                // No bytes at all are NULL; an empty value has a place.
                let (bytes, size) = match value {
                    Some(value) => (value.as_ptr().cast(), value.len() as isize),
                    None => (std::ptr::null(), 0),
                };
                sys::rd_kafka_header_add(headers.0.as_ptr(), start, len, bytes, size)
            };
            NativeError::check(added)?;
        }
        Ok(Some(headers))
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: still ours: no message took them over.
        unsafe { sys::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}
