//! Administrative requests, blocking: called on worker threads only.

use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::Arc;

use millrace_engine::log::LogError;
use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as Op;

use super::native::{Client, NativeError, c_string, code, text};
use super::partitions::{Filled, Partitions, all_filled, filled};

/// A client for requests that are about topics and groups rather than records.
pub(super) struct Admin {
    pub client: Arc<Client>,
    pub timeout_ms: i32,
}

/// Which end of a partition to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Start,
    /// Last stable offset.
    Stable,
    /// High watermark.
    High,
}

pub(super) type Found<T> = Result<T, NativeError>;

/// An answer to a request, and the queue that it came through.
pub(super) struct Event(pub NonNull<sys::rd_kafka_event_t>);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// A request on its way.
pub(super) struct Pending {
    queue: NonNull<sys::rd_kafka_queue_t>,
    wait_ms: i32,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

impl Pending {
    pub fn wait(self) -> Found<Event> {
        // SAFETY: the queue is alive; the event is ours.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), self.wait_ms) };
        let event = Event(NonNull::new(event).ok_or_else(|| NativeError::of(code::TIMED_OUT))?);
        // SAFETY: the event is alive, its text belongs to it.
        let (found, reason) = unsafe {
            let raw = event.0.as_ptr();
            (sys::rd_kafka_event_error(raw) as i32, text(sys::rd_kafka_event_error_string(raw)))
        };
        match found {
            code::NONE => Ok(event),
            // Said of partitions none of which has a leader: one is being chosen.
            code::NO_ENTRY => Err(NativeError::new(code::NO_LEADER, reason)),
            found => Err(NativeError::new(found, reason)),
        }
    }
}

impl Admin {
    /// Sends a request: `call` gets the options and the queue for the answer.
    pub fn send(
        &self,
        op: Op,
        isolation: Option<sys::rd_kafka_IsolationLevel_t>,
        call: impl FnOnce(*mut sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Found<Pending> {
        // SAFETY: options and queue are made here, used by the call, which copies the options, and
        // destroyed once; the client lives as long as `self`.
        unsafe {
            let queue = sys::rd_kafka_queue_new(self.client.ptr());
            let queue = NonNull::new(queue).ok_or_else(|| NativeError::of(code::FATAL))?;
            let options = sys::rd_kafka_AdminOptions_new(self.client.ptr(), op);
            let mut buffer = [0 as c_char; 256];
            let (b, n) = (buffer.as_mut_ptr(), buffer.len());
            sys::rd_kafka_AdminOptions_set_request_timeout(options, self.timeout_ms, b, n);
            let set = isolation.map_or(Ok(()), |level| {
                NativeError::take(sys::rd_kafka_AdminOptions_set_isolation_level(options, level))
            });
            if set.is_ok() {
                call(options, queue.as_ptr());
            }
            sys::rd_kafka_AdminOptions_destroy(options);
            let pending = Pending { queue, wait_ms: self.timeout_ms + ANSWER_SLACK_MS };
            set.map(|()| pending)
        }
    }

    /// Drops records below the given offsets.
    pub fn purge(&self, below: &Partitions) -> Found<()> {
        // SAFETY: the request object copies the list, the call copies the request object.
        let pending = unsafe {
            let request = sys::rd_kafka_DeleteRecords_new(below.ptr());
            let mut requests = [request];
            let pending = self.send(Op::RD_KAFKA_ADMIN_OP_DELETERECORDS, None, |o, q| {
                sys::rd_kafka_DeleteRecords(self.client.ptr(), requests.as_mut_ptr(), 1, o, q);
            });
            sys::rd_kafka_DeleteRecords_destroy(request);
            pending?
        };
        let event = pending.wait()?;
        // SAFETY: the event is the answer to this request and owns the list.
        let done = unsafe {
            let result = sys::rd_kafka_event_DeleteRecords_result(event.0.as_ptr());
            all_filled(sys::rd_kafka_DeleteRecords_result_offsets(result))
        };
        match done.iter().find(|p| p.error != code::NONE) {
            Some(p) => Err(NativeError::of(p.error)),
            None => Ok(()),
        }
    }

    /// Start, last stable offset and high watermark of each partition, asked at the same time.
    pub fn all_ends(&self, at: &[(&str, u32)]) -> Found<[Vec<Filled>; 3]> {
        let asked = [End::Start, End::Stable, End::High].map(|end| self.send_ends(at, end));
        let [start, stable, high] = asked;
        Ok([start?.answer()?, stable?.answer()?, high?.answer()?])
    }

    fn send_ends(&self, at: &[(&str, u32)], end: End) -> Found<EndsAsked> {
        use sys::rd_kafka_IsolationLevel_t as Level;
        let (spec, level) = match end {
            End::Start => (SPEC_EARLIEST, Level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
            End::Stable => (SPEC_LATEST, Level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED),
            End::High => (SPEC_LATEST, Level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
        };
        let list = Partitions::of(at.iter().map(|(t, p)| (*t, *p, spec)))
            .map_err(|e| NativeError::new(code::FATAL, e.to_string()))?;
        // SAFETY: the call copies the list.
        let pending = self.send(Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, Some(level), |o, q| unsafe {
            sys::rd_kafka_ListOffsets(self.client.ptr(), list.ptr(), o, q);
        })?;
        Ok(EndsAsked { pending, count: at.len() })
    }

    /// Sets a group's offsets; the group must have no members.
    pub fn alter_group(&self, group: &str, at: &Partitions) -> Found<()> {
        let owned = c_strings(&[group])?;
        // SAFETY: the request object copies name and list, the call copies the request object.
        let pending = unsafe {
            let request = sys::rd_kafka_AlterConsumerGroupOffsets_new(owned[0].as_ptr(), at.ptr());
            let mut requests = [request];
            let pending =
                self.send(Op::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, None, |o, q| {
                    let (client, all) = (self.client.ptr(), requests.as_mut_ptr());
                    sys::rd_kafka_AlterConsumerGroupOffsets(client, all, 1, o, q);
                });
            sys::rd_kafka_AlterConsumerGroupOffsets_destroy(request);
            pending?
        };
        let event = pending.wait()?;
        // SAFETY: the event is the answer to this request and owns the group results; their errors
        // belong to them.
        unsafe {
            let result = sys::rd_kafka_event_AlterConsumerGroupOffsets_result(event.0.as_ptr());
            let mut count = 0;
            let groups = sys::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &mut count);
            for i in 0..count {
                let error = sys::rd_kafka_group_result_error(*groups.add(i));
                if !error.is_null() {
                    let found = sys::rd_kafka_error_code(error) as i32;
                    return Err(NativeError::new(found, text(sys::rd_kafka_error_string(error))));
                }
            }
        }
        Ok(())
    }
}

/// How much longer than the request's own time-out its answer is waited for.
const ANSWER_SLACK_MS: i32 = 1_000;
const SPEC_EARLIEST: i64 = -2;
const SPEC_LATEST: i64 = -1;

struct EndsAsked {
    pending: Pending,
    count: usize,
}

impl EndsAsked {
    fn answer(self) -> Found<Vec<Filled>> {
        let event = self.pending.wait()?;
        let mut all = Vec::with_capacity(self.count);
        // SAFETY: the event is the answer to this request and outlives what is read from it.
        unsafe {
            let result = sys::rd_kafka_event_ListOffsets_result(event.0.as_ptr());
            let mut count = 0;
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &mut count);
            for i in 0..count {
                let info = *infos.add(i);
                all.push(filled(sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info)));
            }
        }
        match all.iter().find_map(|p| unanswered(p).map(|error| (p, error))) {
            Some((p, error)) => {
                let reason = NativeError::of(error).text;
                Err(NativeError::new(error, format!("{}-{}: {reason}", p.topic, p.partition)))
            }
            None => Ok(all),
        }
    }
}

/// Why there is no offset. When one of the brokers did not answer, librdkafka (2.12) drops the reason,
/// and leaves an offset that is none.
fn unanswered(p: &Filled) -> Option<i32> {
    match (p.error, p.offset) {
        (code::NONE, 0..) => None,
        (code::NONE, _) => Some(code::TIMED_OUT),
        (error, _) => Some(error),
    }
}

pub(super) fn c_strings(names: &[&str]) -> Found<Vec<std::ffi::CString>> {
    let bad = |e: LogError| NativeError::new(code::FATAL, e.to_string());
    names.iter().map(|n| c_string(n).map_err(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_is_none_is_no_answer() {
        const INVALID: i64 = -1001;
        let check = |error: i32, offset: i64, want: Option<i32>| {
            let filled = Filled { topic: "t".to_owned(), partition: 0, offset, error };
            assert_eq!(unanswered(&filled), want, "error {error}, offset {offset}");
        };
        check(code::NONE, 0, None);
        check(code::NONE, 7, None);
        check(code::NONE, INVALID, Some(code::TIMED_OUT));
        check(code::NONE, -1, Some(code::TIMED_OUT));
        check(code::NO_LEADER, INVALID, Some(code::NO_LEADER));
        for error in [code::TIMED_OUT, code::NO_LEADER] {
            assert!(NativeError::of(error).is_transient(), "asked again: {error}");
        }
    }
}
