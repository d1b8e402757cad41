//! Timestamp zero. librdkafka's interface takes a record time of 0 for "now", so 1970-01-01 could
//! not be written. A stand-in value goes through the interface, and a hook that librdkafka calls
//! for each message puts the zero where it belongs.

use std::ffi::{c_char, c_int, c_void};

use rdkafka_sys as sys;
use sys::rd_kafka_resp_err_t as Resp;

/// Travels instead of 0. No record has it; if the hook failed, the broker would refuse it.
pub(super) const ZERO: i64 = i64::MIN + 7;

/// Where `rkm_timestamp` lies in librdkafka 2.12's message: behind the public part, two list
/// pointers, the flags and the timestamp's type. Checked at each use, see [`on_send`].
const TIMESTAMP_OFFSET: usize =
    size_of::<sys::rd_kafka_message_t>() + 2 * size_of::<*const c_void>() + 2 * size_of::<c_int>();

const NAME: &std::ffi::CStr = c"zero-timestamps";

/// Installs the hook into a producer's configuration.
///
/// # Safety
/// `conf` is a valid configuration that no client has taken over.
pub(super) unsafe fn install(conf: *mut sys::rd_kafka_conf_t) {
    // SAFETY: per the contract; the name is static, the hook needs no data.
    unsafe {
        let none = std::ptr::null_mut();
        sys::rd_kafka_conf_interceptor_add_on_new(conf, NAME.as_ptr(), Some(on_new), none);
    }
}

unsafe extern "C" fn on_new(
    rk: *mut sys::rd_kafka_t,
    _: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> Resp {
    // SAFETY: librdkafka calls this with the new client, the one time that hooks may be added.
    unsafe { sys::rd_kafka_interceptor_add_on_send(rk, NAME.as_ptr(), Some(on_send), opaque) }
}

unsafe extern "C" fn on_send(
    _: *mut sys::rd_kafka_t,
    message: *mut sys::rd_kafka_message_t,
    _: *mut c_void,
) -> Resp {
    // SAFETY: the message is the first part of librdkafka's own, larger structure. The timestamp is
    // written only if the public accessor and the assumed place both show the stand-in, which no
    // other field can hold.
    unsafe {
        let shown = sys::rd_kafka_message_timestamp(message, std::ptr::null_mut());
        let place = message.byte_add(TIMESTAMP_OFFSET).cast::<i64>();
        if shown == ZERO && place.read() == ZERO {
            place.write(0);
        }
    }
    Resp::RD_KAFKA_RESP_ERR_NO_ERROR
}
