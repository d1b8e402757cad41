//! librdkafka's list of partitions, owned.

use std::ffi::c_int;
use std::ptr::NonNull;

use millrace_engine::log::LogError;
use rdkafka_sys as sys;

use super::native::{c_string, text};

/// A list of (topic name, partition, offset).
pub(super) struct Partitions(NonNull<sys::rd_kafka_topic_partition_list_t>);

impl Partitions {
    /// # Errors
    /// A topic name with a zero byte, or no memory.
    pub fn of<'a>(
        all: impl IntoIterator<Item = (&'a str, u32, i64)>,
    ) -> Result<Partitions, LogError> {
        // SAFETY: makes an empty list that `self` owns from here on.
        let list = unsafe { sys::rd_kafka_topic_partition_list_new(0) };
        let list = NonNull::new(list).ok_or_else(|| LogError::Other("out of memory".into()))?;
        let list = Partitions(list);
        for (topic, partition, offset) in all {
            let topic = c_string(topic)?;
            // SAFETY: the list is alive; `add` copies the name and returns the new element, which
            // is valid until the next add.
            unsafe {
                let partition = partition as i32;
                let element =
                    sys::rd_kafka_topic_partition_list_add(list.ptr(), topic.as_ptr(), partition);
                (*element).offset = offset;
            }
        }
        Ok(list)
    }

    pub fn ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }

    pub fn len(&self) -> c_int {
        // SAFETY: the list is alive.
        unsafe { (*self.ptr()).cnt }
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.ptr()) }
    }
}

/// An element of a list that librdkafka filled in.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    pub topic: String,
    pub partition: u32,
    pub offset: i64,
    pub error: i32,
}

/// # Safety
/// `element` points to a valid element.
pub(super) unsafe fn filled(element: *const sys::rd_kafka_topic_partition_t) -> Filled {
    // SAFETY: valid per the contract; the error is read as a number, see `native::code`.
    unsafe {
        Filled {
            topic: text((*element).topic),
            partition: (*element).partition as u32,
            offset: (*element).offset,
            error: (&raw const (*element).err).cast::<i32>().read(),
        }
    }
}

/// All elements of a list.
///
/// # Safety
/// `list` is null or valid.
pub(super) unsafe fn all_filled(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<Filled> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the list says how many elements it has.
    unsafe { (0..(*list).cnt.max(0) as usize).map(|i| filled((*list).elems.add(i))).collect() }
}
