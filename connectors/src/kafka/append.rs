//! Appends outside of the lanes' transactions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{
    AppendIf, HeaderRef, LogError, Lost, Record, RecordRef, SendError, Writer, borrow_headers,
};
use parking_lot::Mutex;

use super::endings::Verdict;
use super::inner::Inner;
use super::limits::{MESSAGE_BYTES, UNSENT_KIB};
use super::native::{Callbacks, Client, Kind, NativeError, code};
use super::producer::Producer;
use super::txn::{How, TxnWriter};

/// An idempotent producer for everybody.
pub(super) struct Appender {
    producer: Mutex<Producer>,
    client: Arc<Client>,
    calls: Arc<Calls>,
}

/// Appends under way, by number: the tag of their records.
#[derive(Default)]
struct Calls {
    state: Mutex<(usize, HashMap<usize, Call>)>,
}

#[derive(Default)]
struct Call {
    waiting: usize,
    first: Option<Offset>,
    error: Option<i32>,
}

struct Delivered(Arc<Calls>);

impl Callbacks for Delivered {
    fn delivered(&self, tag: usize, error: i32, offset: i64) {
        let mut state = self.0.state.lock();
        let Some(call) = state.1.get_mut(&tag) else { return };
        call.waiting = call.waiting.saturating_sub(1);
        match error {
            code::NONE => {
                let offset = Offset(offset);
                call.first = Some(call.first.map_or(offset, |first| first.min(offset)));
            }
            error => drop(call.error.get_or_insert(error)),
        }
    }
}

impl Appender {
    pub fn new(inner: &Inner) -> Result<Appender, LogError> {
        let calls = Arc::new(Calls::default());
        let timeout = inner.config.request_timeout_ms.to_string();
        let settings = inner.config.producer(&[
            ("enable.idempotence", "true"),
            ("linger.ms", "1"),
            ("compression.type", "lz4"),
            ("queue.buffering.max.kbytes", UNSENT_KIB),
            ("message.timeout.ms", &timeout),
            ("message.max.bytes", MESSAGE_BYTES),
            ("allow.auto.create.topics", "false"),
        ]);
        let callbacks = Box::new(Delivered(calls.clone()));
        let client = Arc::new(Client::new(Kind::Producer, &settings, callbacks)?);
        Ok(Appender { producer: Mutex::new(Producer::new(client.clone())), client, calls })
    }

    /// Appends and waits; the offset of the first record.
    fn append(&self, inner: &Inner, tp: Tp, records: &[Record]) -> Result<Offset, LogError> {
        let seen = inner.topic_now(tp.topic)?;
        if records.is_empty() {
            let ends = inner.ends_now(&[tp])?;
            return Ok(ends[0].hw);
        }
        let number = self.begin();
        let queued = self.queue(inner, tp, &seen, records, number);
        let outcome = self.finish(inner, number);
        let failed = |e: NativeError| e.to_log(&seen.name);
        queued?;
        outcome.map_err(failed)
    }

    fn begin(&self) -> usize {
        let mut state = self.calls.state.lock();
        state.0 += 1;
        let number = state.0;
        state.1.insert(number, Call::default());
        number
    }

    fn queue(
        &self,
        inner: &Inner,
        tp: Tp,
        seen: &super::ids::Seen,
        records: &[Record],
        number: usize,
    ) -> Result<(), LogError> {
        let deadline = deadline(inner);
        let mut producer = self.producer.lock();
        let topic = match producer.topic(tp.topic) {
            Some(topic) => topic.clone(),
            None => producer.open(tp.topic, &seen.name, seen.record_bytes_max)?,
        };
        drop(producer);
        for record in records {
            let headers = borrow_headers(&record.headers);
            let record = as_ref(record, &headers);
            let refused = |e| LogError::Other(format!("topic {}: {e}", seen.name));
            topic.check(&record).map_err(refused)?;
            self.count(number, 1);
            while let Err(error) = topic.produce(tp.partition.0, &record, number) {
                let grew = error.code == code::NO_PARTITION && inner.has_partition(tp);
                if !(grew || error.code == code::QUEUE_FULL) || Instant::now() > deadline {
                    self.count(number, -1);
                    return Err(error.to_log(&seen.name));
                }
                if grew {
                    self.client.refresh(&seen.name, inner.admin.timeout_ms);
                }
                self.client.poll(1);
            }
        }
        Ok(())
    }

    fn count(&self, number: usize, by: isize) {
        if let Some(call) = self.calls.state.lock().1.get_mut(&number) {
            call.waiting = call.waiting.saturating_add_signed(by);
        }
    }

    fn finish(&self, inner: &Inner, number: usize) -> Result<Offset, NativeError> {
        let deadline = deadline(inner);
        loop {
            let waiting = self.calls.state.lock().1.get(&number).map_or(0, |c| c.waiting);
            if waiting == 0 || Instant::now() > deadline {
                break;
            }
            // Another call's thread may serve our reports: look again soon.
            self.client.poll(2);
        }
        let call = self.calls.state.lock().1.remove(&number).unwrap_or_default();
        match (call.error, call.first) {
            (Some(error), _) => Err(NativeError::of(error)),
            (None, Some(first)) if call.waiting == 0 => Ok(first),
            _ => Err(NativeError::of(code::TIMED_OUT)),
        }
    }
}

/// A little later than librdkafka gives a record up.
fn deadline(inner: &Inner) -> Instant {
    Instant::now() + Duration::from_millis(u64::from(inner.config.request_timeout_ms) + 1_000)
}

/// Appends with the shared producer, making it if needed. Blocks.
pub(super) fn append_now(inner: &Inner, tp: Tp, records: &[Record]) -> Result<Offset, LogError> {
    let appender = {
        let mut shared = inner.appender.lock();
        // A fatal error ends an idempotent producer; the next append gets a new one.
        if shared.as_ref().is_none_or(|a| a.client.fatal().is_some()) {
            *shared = Some(Arc::new(Appender::new(inner)?));
        }
        shared.clone()
    };
    match appender {
        Some(appender) => appender.append(inner, tp, records),
        None => Err(LogError::Other("no producer".into())),
    }
}

/// Appends if nobody has since `end`: takes the id over, compares, writes, commits. Blocks.
pub(super) fn append_if_now(
    inner: &Arc<Inner>,
    id: &str,
    tp: Tp,
    end: Offset,
    record: &Record,
) -> AppendIf {
    let opened = TxnWriter::open(inner.clone(), id);
    let mut writer = match opened {
        Ok(writer) => writer,
        Err(error) => return AppendIf::Failed(error),
    };
    // Asked after the fence: no older writer of the id can move it any more.
    match inner.ends_now(&[tp]) {
        Err(error) => return AppendIf::Failed(error),
        Ok(ends) if ends[0].lso < ends[0].hw => return settled(inner, writer, tp),
        Ok(ends) if ends[0].hw != end => return AppendIf::Moved(ends[0].hw),
        Ok(_) => {}
    }
    let headers = borrow_headers(&record.headers);
    if let Err(error) = send_now(inner, &mut writer, tp, &as_ref(record, &headers)) {
        return AppendIf::Failed(error);
    }
    match writer.end_now(How::Commit) {
        Verdict::Committed => {
            let at = writer.last_of(tp).unwrap_or(end);
            await_readable(inner, tp, at);
            AppendIf::Done(at)
        }
        Verdict::Aborted { .. } => {
            AppendIf::Failed(LogError::Other(format!("{id}: the transaction was aborted")))
        }
        Verdict::Lost(Lost::Unknown(why) | Lost::Fenced(why) | Lost::Fatal(why)) => {
            AppendIf::Unknown(why)
        }
    }
}

/// Nobody can read on before what an earlier writer left undecided is settled.
fn settled(inner: &Inner, mut writer: TxnWriter, tp: Tp) -> AppendIf {
    match writer.settle_now(&[tp]) {
        Err(Lost::Unknown(why) | Lost::Fenced(why) | Lost::Fatal(why)) => {
            AppendIf::Failed(LogError::Unreachable(why))
        }
        Ok(()) => match inner.ends_now(&[tp]) {
            Ok(ends) => AppendIf::Moved(ends[0].hw),
            Err(error) => AppendIf::Failed(error),
        },
    }
}

/// A commit is answered before its marker is written. Whoever appends conditionally reads next.
fn await_readable(inner: &Inner, tp: Tp, at: Offset) {
    let deadline = deadline(inner);
    while Instant::now() < deadline {
        match inner.ends_now(&[tp]) {
            Ok(ends) if ends[0].lso <= at => std::thread::sleep(Duration::from_millis(2)),
            _ => return,
        }
    }
}

fn send_now(
    inner: &Inner,
    writer: &mut TxnWriter,
    tp: Tp,
    record: &RecordRef<'_>,
) -> Result<(), LogError> {
    let deadline = deadline(inner);
    loop {
        match writer.send(tp, record) {
            Ok(()) => return Ok(()),
            Err(SendError::Full) if Instant::now() < deadline => {
                if let millrace_engine::log::TxnState::MustAbort { reason, .. } = writer.poll() {
                    return Err(LogError::Other(reason));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(SendError::Dead(Lost::Fenced(why))) => return Err(LogError::Fenced(why)),
            Err(other) => return Err(LogError::Other(other.to_string())),
        }
    }
}

fn as_ref<'a>(record: &'a Record, headers: &'a [HeaderRef<'a>]) -> RecordRef<'a> {
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    RecordRef { timestamp: record.timestamp, key, value, headers }
}
