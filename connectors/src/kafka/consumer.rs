//! A cursor: one consumer with a manual assignment, read-committed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{
    Cursor, LogError, PollLimits, Position, RawBatch, RawRecord, ReadClass, ReadError, Span,
    push_bytes, push_header,
};
use rdkafka_sys as sys;

use super::ids::Known;
use super::inner::Inner;
use super::limits::{
    BUFFER_KIB, BUFFER_MESSAGES, BUFFER_RESTORE_KIB, FETCH_BYTES, FETCH_PARTITION_BYTES,
};
use super::native::{Callbacks, Client, Kind, NativeError, c_string, code};
use super::partitions::Partitions;
use super::queue::{Message, Queue};
use super::requests::Key;
use super::signal::Signal;

/// Reads partitions through one librdkafka consumer, made at the first assignment: a consumer
/// costs four threads.
pub(super) struct KafkaCursor {
    inner: Arc<Inner>,
    class: ReadClass,
    client: Option<Arc<Client>>,
    queue: Option<Queue>,
    slots: Vec<Slot>,
    by_tp: HashMap<Tp, usize>,
    /// (topic token, partition) -> slot; valid until the assignment changes.
    tokens: HashMap<(usize, u32), usize>,
    /// [`super::ids::Ids::losses`] when the slots were last looked over.
    losses: u64,
    /// What librdkafka reported, in order. Given out when the records before it are.
    errors: VecDeque<ReadError>,
}

/// One assigned partition.
struct Slot {
    tp: Tp,
    /// Known once the topic's id was resolved.
    name: Option<Arc<str>>,
    next: Offset,
    /// Where the partition ended for read-committed readers when its end was last reached.
    end: Option<Offset>,
    /// librdkafka was told to read it.
    reading: bool,
    paused: bool,
    /// An error is on its way out; nothing more is read.
    failed: bool,
    /// Index of the batch being filled, during a poll.
    batch: Option<usize>,
    /// Bytes of the last batch: a good first guess for the next.
    bytes_hint: usize,
}

struct Waker(Arc<Signal>);

impl Callbacks for Waker {
    fn woken(&self) {
        self.0.raise();
    }
}

impl KafkaCursor {
    pub fn new(inner: Arc<Inner>, class: ReadClass) -> Self {
        KafkaCursor {
            inner,
            class,
            client: None,
            queue: None,
            slots: Vec::new(),
            by_tp: HashMap::new(),
            tokens: HashMap::new(),
            losses: 0,
            errors: VecDeque::new(),
        }
    }

    fn start(&mut self) -> Result<(), LogError> {
        let (buffer_kib, wait_ms) = match self.class {
            // The end of the partition shows only in an empty fetch: do not wait long for it.
            ReadClass::Restore => (BUFFER_RESTORE_KIB, "10"),
            // Data ends the wait; without any, each fetch costs 40 us.
            ReadClass::Shared | ReadClass::CatchUp => (BUFFER_KIB, "100"),
        };
        let settings = self.inner.config.consumer(&[
            // assign() wants a group; it is never joined and nothing is committed to it.
            ("group.id", "millrace-reader"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("allow.auto.create.topics", "false"),
            ("fetch.wait.max.ms", wait_ms),
            // The default stalls a reader for a second whenever its buffer was full.
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
            ("fetch.message.max.bytes", FETCH_PARTITION_BYTES),
            ("fetch.max.bytes", FETCH_BYTES),
            ("queued.max.messages.kbytes", buffer_kib),
            ("queued.min.messages", BUFFER_MESSAGES),
        ]);
        let waker = Box::new(Waker(self.inner.signal.clone()));
        let client = Arc::new(Client::new(Kind::Consumer, &settings, waker)?);
        let queue = Queue::of(client.clone())
            .ok_or_else(|| LogError::Other("the consumer has no queue".into()))?;
        (self.queue, self.client) = (Some(queue), Some(client));
        Ok(())
    }

    /// Starts reading what has a name and is not read yet.
    fn advance_starts(&mut self) {
        if self.slots.iter().all(|s| s.reading || s.failed) {
            return;
        }
        for slot in self.slots.iter_mut().filter(|s| s.name.is_none() && !s.failed) {
            match self.inner.topic(slot.tp.topic) {
                Poll::Ready(Some(seen)) => slot.name = Some(seen.name),
                Poll::Ready(None) => {
                    slot.failed = true;
                    self.errors.push_back(ReadError::Gone(slot.tp));
                }
                Poll::Pending => {}
            }
        }
        let ready: Vec<usize> = (0..self.slots.len())
            .filter(|i| self.slots[*i].name.is_some())
            .filter(|i| !self.slots[*i].reading && !self.slots[*i].failed)
            .collect();
        if !ready.is_empty()
            && let Err(error) = self.begin_reading(&ready)
        {
            self.errors.push_back(ReadError::Unreachable(error.to_string()));
        }
    }

    /// Ends reading of topics that were found to be gone: librdkafka reads by name and would go on
    /// with a namesake.
    fn drop_lost(&mut self) {
        let losses = self.inner.ids.losses();
        if std::mem::replace(&mut self.losses, losses) == losses {
            return;
        }
        let gone = |s: &Slot| matches!(self.inner.ids.get(s.tp.topic), Known::Gone(_));
        let lost: Vec<usize> = (0..self.slots.len())
            .filter(|i| !self.slots[*i].failed && gone(&self.slots[*i]))
            .collect();
        self.end_reading(&lost);
        for i in lost {
            let slot = &mut self.slots[i];
            (slot.reading, slot.failed) = (false, true);
            self.errors.push_back(ReadError::Gone(slot.tp));
        }
    }

    fn begin_reading(&mut self, which: &[usize]) -> Result<(), LogError> {
        if self.client.is_none() {
            self.start()?;
        }
        let list = self.list(which.iter().copied())?;
        let Some(client) = &self.client else { return Ok(()) };
        // SAFETY: client and list are alive; the call copies the list.
        let added = unsafe {
            let error = sys::rd_kafka_incremental_assign(client.ptr(), list.ptr());
            NativeError::take(error)
        };
        added.map_err(|e| e.to_log("assign"))?;
        for i in which {
            self.slots[*i].reading = true;
        }
        let paused: Vec<usize> = which.iter().copied().filter(|i| self.slots[*i].paused).collect();
        self.set_paused(&paused, true);
        Ok(())
    }

    /// Ends reading of slots that librdkafka reads; drops what it buffered for them.
    fn end_reading(&mut self, which: &[usize]) {
        let reading = which.iter().copied().filter(|i| self.slots[*i].reading);
        let Ok(list) = self.list(reading) else { return };
        let Some(client) = &self.client else { return };
        if list.len() == 0 {
            return;
        }
        // SAFETY: client and list are alive; the call copies the list.
        let removed = unsafe {
            let error = sys::rd_kafka_incremental_unassign(client.ptr(), list.ptr());
            NativeError::take(error)
        };
        if let Err(error) = removed {
            tracing::warn!(error = error.text, "cannot end reading of partitions");
        }
    }

    fn set_paused(&mut self, which: &[usize], on: bool) {
        let Ok(list) = self.list(which.iter().copied()) else { return };
        let Some(client) = &self.client else { return };
        if list.len() == 0 {
            return;
        }
        // SAFETY: client and list are alive; results land in the list.
        unsafe {
            let (client, list) = (client.ptr(), list.ptr());
            match on {
                true => sys::rd_kafka_pause_partitions(client, list),
                false => sys::rd_kafka_resume_partitions(client, list),
            };
        }
    }

    fn list(&self, which: impl Iterator<Item = usize>) -> Result<Partitions, LogError> {
        let named = which.filter_map(|i| {
            let slot = &self.slots[i];
            Some((slot.name.as_deref()?, slot.tp.partition.0, slot.next.0))
        });
        Partitions::of(named)
    }

    fn fill(&mut self, limits: &PollLimits, out: &mut Vec<RawBatch>) {
        let Some(mut queue) = self.queue.take() else { return };
        let (mut records, mut bytes) = (0, 0);
        while records < limits.records_max && bytes < limits.bytes_max {
            let want = limits.records_max - records;
            let got = queue.drain(want, |message| {
                bytes += self.take(message, out);
            });
            records += got;
            if got == 0 {
                break;
            }
        }
        self.queue = Some(queue);
        for slot in self.slots.iter_mut() {
            if let Some(batch) = slot.batch.take() {
                out[batch].next = slot.next;
                slot.bytes_hint = out[batch].data.len();
            }
        }
    }

    /// Puts a message where it belongs; how many bytes it has.
    fn take(&mut self, message: &Message<'_>, out: &mut Vec<RawBatch>) -> usize {
        let Some(index) = self.slot_of(message) else { return 0 };
        if message.error() != code::NONE {
            self.take_event(index, message);
            return 0;
        }
        let slot = &mut self.slots[index];
        if slot.failed || message.offset() < slot.next.0 {
            return 0;
        }
        let batch = *slot.batch.get_or_insert_with(|| {
            let mut batch = RawBatch::new(slot.tp);
            batch.data.reserve(slot.bytes_hint);
            out.push(batch);
            out.len() - 1
        });
        slot.next = Offset(message.offset() + 1);
        push(&mut out[batch], message)
    }

    fn slot_of(&mut self, message: &Message<'_>) -> Option<usize> {
        let token = (message.topic_token(), message.partition());
        if let Some(index) = self.tokens.get(&token) {
            return Some(*index);
        }
        let name = message.topic();
        let index = self.slots.iter().position(|s| {
            s.tp.partition.0 == token.1 && s.name.as_deref() == Some(name.as_str())
        })?;
        self.tokens.insert(token, index);
        Some(index)
    }

    fn take_event(&mut self, index: usize, message: &Message<'_>) {
        let slot = &mut self.slots[index];
        let (tp, at) = (slot.tp, slot.next);
        let error = match message.error() {
            code::EOF => {
                // The end lies behind control records that are never delivered.
                slot.next = slot.next.max(Offset(message.offset()));
                slot.end = Some(slot.next);
                return;
            }
            code::OFFSET_RESET | code::OUT_OF_RANGE => {
                ReadError::OutOfRange { tp, at, start: START_UNKNOWN }
            }
            code::NO_PARTITION if self.inner.has_partition(tp) => {
                // It was added after this client looked; librdkafka starts reading once it knows.
                if let (Some(client), Some(name)) = (&self.client, &slot.name) {
                    self.inner.refresh(client, name);
                }
                return;
            }
            code::UNKNOWN_TOPIC | code::NO_TOPIC | code::NO_PARTITION | code::UNKNOWN_TOPIC_ID => {
                ReadError::Gone(tp)
            }
            code::TOPIC_DENIED | code::GROUP_DENIED => ReadError::Denied(tp),
            code::BAD_MSG | code::BAD_COMPRESSION | code::CORRUPT => {
                let reason = String::from_utf8_lossy(message.value().unwrap_or_default());
                ReadError::Corrupt { tp, at, reason: reason.into_owned() }
            }
            other => {
                // librdkafka goes on by itself: a leader moved, a connection broke.
                tracing::debug!(code = other, ?tp, "reading was interrupted");
                return;
            }
        };
        slot.failed = true;
        self.errors.push_back(error);
    }

    /// The next error, once it is complete.
    fn next_error(&mut self) -> Option<ReadError> {
        let error = self.errors.front()?;
        if let ReadError::OutOfRange { tp, at, start: START_UNKNOWN } = *error {
            let Poll::Ready(answer) = self.ask_start(tp) else { return None };
            self.errors.pop_front();
            return Some(match answer {
                Ok(start) => ReadError::OutOfRange { tp, at, start },
                Err(LogError::Gone(_)) => ReadError::Gone(tp),
                Err(other) => ReadError::Unreachable(other.to_string()),
            });
        }
        self.errors.pop_front()
    }

    fn ask_start(&self, tp: Tp) -> Poll<Result<Offset, LogError>> {
        let inner = self.inner.clone();
        let work = move || inner.ends_now(&[tp]).map(|ends| ends[0].start);
        self.inner.requests.ask(|k| *k == Key::Start(tp), || (Key::Start(tp), work))
    }
}

/// Stands for a start offset that has yet to be asked for.
const START_UNKNOWN: Offset = Offset(-1);

impl Cursor for KafkaCursor {
    fn assign(&mut self, at: &[(Tp, Offset)]) {
        // What stays at its position keeps its buffer: adding a query must not disturb others.
        let keeps = |s: &Slot| !s.failed && !s.paused && at.contains(&(s.tp, s.next));
        let leaving: Vec<usize> =
            (0..self.slots.len()).filter(|i| !keeps(&self.slots[*i])).collect();
        self.end_reading(&leaving);
        let mut kept: HashMap<Tp, Slot> = std::mem::take(&mut self.slots)
            .into_iter()
            .enumerate()
            .filter(|(i, _)| !leaving.contains(i))
            .map(|(_, s)| (s.tp, s))
            .collect();
        self.slots =
            at.iter().map(|(tp, next)| kept.remove(tp).unwrap_or(Slot::new(*tp, *next))).collect();
        self.by_tp = self.slots.iter().enumerate().map(|(i, s)| (s.tp, i)).collect();
        self.tokens.clear();
        self.errors.clear();
        self.advance_starts();
    }

    fn pause(&mut self, tp: Tp, on: bool) {
        let Some(&index) = self.by_tp.get(&tp) else { return };
        let slot = &mut self.slots[index];
        if slot.paused != on {
            slot.paused = on;
            if slot.reading {
                self.set_paused(&[index], on);
            }
        }
    }

    fn poll(&mut self, limits: &PollLimits, out: &mut Vec<RawBatch>) -> Result<(), ReadError> {
        self.drop_lost();
        self.advance_starts();
        let before = out.len();
        self.fill(limits, out);
        // Records first: an error says that nothing follows them.
        match out.len() > before {
            true => Ok(()),
            false => self.next_error().map_or(Ok(()), Err),
        }
    }

    fn position(&self, tp: Tp) -> Option<Position> {
        let slot = &self.slots[*self.by_tp.get(&tp)?];
        // librdkafka shows the last stable offset only when it is reached. Until then the high
        // watermark stands in: an upper bound, and the end is always told in the end.
        let lso = slot.end.filter(|end| *end >= slot.next).or_else(|| self.high_watermark(slot));
        Some(Position { next: slot.next, lso })
    }
}

impl KafkaCursor {
    /// High watermark of the last fetch, from librdkafka's cache.
    fn high_watermark(&self, slot: &Slot) -> Option<Offset> {
        let client = self.client.as_ref().filter(|_| slot.reading)?;
        let name = c_string(slot.name.as_deref()?).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, the name ends with zero, both numbers are written.
        let found = unsafe {
            let partition = slot.tp.partition.0 as i32;
            let client = client.ptr();
            sys::rd_kafka_get_watermark_offsets(
                client,
                name.as_ptr(),
                partition,
                &mut low,
                &mut high,
            )
        };
        (found as i32 == code::NONE && high >= 0).then_some(Offset(high))
    }
}

impl Slot {
    fn new(tp: Tp, next: Offset) -> Self {
        Slot {
            tp,
            name: None,
            next,
            end: None,
            reading: false,
            paused: false,
            failed: false,
            batch: None,
            bytes_hint: 0,
        }
    }
}

/// Copies a message into the batch: the one copy on the way in, about 15 ns, and it frees
/// librdkafka's fetch buffer at once.
fn push(batch: &mut RawBatch, message: &Message<'_>) -> usize {
    let before = batch.data.len();
    let key = push_bytes(&mut batch.data, message.key());
    let value = push_bytes(&mut batch.data, message.value());
    let start = batch.data.len();
    let data = &mut batch.data;
    let some = message.headers(|name, value| push_header(data, name, value));
    let headers = match some {
        true => Span::new(start, batch.data.len() - start),
        false => Span::ABSENT,
    };
    let offset = Offset(message.offset());
    let timestamp = Timestamp(message.timestamp_ms());
    batch.records.push(RawRecord { offset, timestamp, key, value, headers });
    batch.data.len() - before
}
