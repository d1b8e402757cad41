//! What all parts of a Kafka log share: the administrative client, names and ids, the request pool.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{Ends, LogError, LogEvent, TopicInfo};
use parking_lot::Mutex;

use super::admin::Admin;
use super::append::Appender;
use super::config::KafkaConfig;
use super::ids::{Ids, Known, Seen};
use super::native::Client;
use super::partitions::Filled;
use super::requests::{Key, Requests};
use super::signal::Signal;
use super::topics::{self, Settings};

pub(super) struct Inner {
    pub config: KafkaConfig,
    pub admin: Admin,
    pub ids: Ids,
    pub signal: Arc<Signal>,
    pub requests: Requests,
    pub events: Mutex<Vec<LogEvent>>,
    /// Made at the first append.
    pub appender: Mutex<Option<Arc<Appender>>>,
}

impl Inner {
    /// A topic by id, or `None` when it is gone.
    pub fn topic(self: &Arc<Self>, id: TopicId) -> Poll<Option<Seen>> {
        match self.ids.using(id) {
            Known::Alive(seen) => return Poll::Ready(Some(seen)),
            Known::Gone(_) => return Poll::Ready(None),
            Known::Unknown => {}
        }
        let inner = self.clone();
        let looked = self
            .requests
            .ask(|k| *k == Key::Resolve, || (Key::Resolve, move || inner.list_now().map(drop)));
        match looked {
            // Somebody else's look may have been the one that found it.
            Poll::Ready(Ok(())) => match self.ids.using(id) {
                Known::Alive(seen) => Poll::Ready(Some(seen)),
                Known::Gone(_) | Known::Unknown => Poll::Ready(None),
            },
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "cannot look up a topic's name yet");
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether the topic is known to have that partition. A client that does not know it has to be
    /// refreshed: its topic grew.
    pub fn has_partition(&self, tp: Tp) -> bool {
        matches!(self.ids.get(tp.topic), Known::Alive(seen) if tp.partition.0 < seen.partitions)
    }

    /// Lets a client learn about a topic's new partitions, in the background.
    pub fn refresh(&self, client: &Arc<Client>, name: &str) {
        let (client, name) = (client.clone(), name.to_owned());
        let timeout_ms = self.admin.timeout_ms;
        self.requests.run(move || client.refresh(&name, timeout_ms));
    }

    /// Blocks.
    pub fn topic_now(&self, id: TopicId) -> Result<Seen, LogError> {
        if self.ids.get(id) == Known::Unknown {
            self.list_now()?;
        }
        match self.ids.using(id) {
            Known::Alive(seen) => Ok(seen),
            Known::Gone(name) => Err(LogError::Gone(name.to_string())),
            Known::Unknown => Err(LogError::Gone(id.to_string())),
        }
    }

    /// Blocks.
    pub fn describe_now(&self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        let found = topics::find_now(self, name)?;
        if found.is_none() {
            self.tell(self.ids.missed(name));
        }
        Ok(found)
    }

    /// Blocks.
    pub fn list_now(&self) -> Result<Vec<TopicInfo>, LogError> {
        let failed = |e: super::native::NativeError| e.to_log("list of topics");
        let names = self.admin.names().map_err(failed)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let all = self.admin.describe_all(&names).map_err(failed)?;
        Ok(all.into_iter().map(|(info, settings)| self.note(info, &settings)).collect())
    }

    /// Blocks.
    pub fn ends_now(&self, tps: &[Tp]) -> Result<Vec<Ends>, LogError> {
        if tps.is_empty() {
            return Ok(Vec::new());
        }
        let topics: Vec<Seen> =
            tps.iter().map(|tp| self.topic_now(tp.topic)).collect::<Result<_, _>>()?;
        let at: Vec<(&str, u32)> =
            topics.iter().zip(tps).map(|(t, tp)| (&*t.name, tp.partition.0)).collect();
        let [starts, stable, high] = self.all_ends(tps, &at)?;
        at.iter()
            .map(|at| {
                let (start, lso, hw) = (find(&starts, at)?, find(&stable, at)?, find(&high, at)?);
                // Asked in parallel: the later answer may be ahead of the earlier one.
                Ok(Ends { start, lso: lso.max(start), hw: hw.max(lso) })
            })
            .collect()
    }

    /// Asks again while leaders are moving. What was sent to a broker that has just died waits for it
    /// until the request's time is over, so the first ones get little.
    fn all_ends(&self, tps: &[Tp], at: &[(&str, u32)]) -> Result<[Vec<Filled>; 3], LogError> {
        let timeout_ms = self.admin.timeout_ms;
        let deadline = Instant::now() + Duration::from_millis(timeout_ms.max(0) as u64);
        let mut patience_ms = ENDS_PATIENCE_MS;
        loop {
            let client = self.admin.client.clone();
            let admin = Admin { client, timeout_ms: patience_ms.min(timeout_ms) };
            match admin.all_ends(at) {
                Err(error) if error.is_transient() && Instant::now() < deadline => {
                    self.check_alive(tps)?;
                    patience_ms = patience_ms.saturating_mul(2);
                    std::thread::sleep(TRANSIENT_PAUSE);
                }
                done => {
                    let what = at.first().map_or("ends", |(topic, _)| topic);
                    return done.map_err(|e| e.to_log(what));
                }
            }
        }
    }

    /// A topic that was deleted meanwhile has no leaders either.
    fn check_alive(&self, tps: &[Tp]) -> Result<(), LogError> {
        tps.iter().try_for_each(|tp| match self.ids.get(tp.topic) {
            Known::Gone(name) => Err(LogError::Gone(name.to_string())),
            Known::Alive(_) | Known::Unknown => Ok(()),
        })
    }

    /// Remembers a topic as it is now.
    pub fn note(&self, info: TopicInfo, settings: &Settings) -> TopicInfo {
        let event = self.ids.saw(Seen {
            id: info.id,
            name: info.name.as_str().into(),
            partitions: info.partitions,
            record_bytes_max: settings.record_bytes_max,
        });
        self.tell(event);
        info
    }

    pub fn tell(&self, event: Option<LogEvent>) {
        if let Some(event) = event {
            self.events.lock().push(event);
            self.signal.raise();
        }
    }
}

const TRANSIENT_PAUSE: Duration = Duration::from_millis(50);
/// The first request's time; each further one gets twice as much.
const ENDS_PATIENCE_MS: i32 = 2_000;

fn find(all: &[Filled], at: &(&str, u32)) -> Result<Offset, LogError> {
    all.iter()
        .find(|f| f.topic == at.0 && f.partition == at.1)
        .map(|f| Offset(f.offset))
        .ok_or_else(|| LogError::Other(format!("no answer about {}-{}", at.0, at.1)))
}
