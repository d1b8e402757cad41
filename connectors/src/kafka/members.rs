//! Membership: which lanes this node should run. One consumer subscribes to the topic whose
//! partitions are the slots and never fetches from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::ids::LaneId;
use millrace_engine::log::{LogError, Members, SlotEvent};
use parking_lot::Mutex;
use rdkafka_sys as sys;

use super::config::KafkaConfig;
use super::native::{Callbacks, Client, Kind, NativeError, RawClient, code};
use super::partitions::Partitions;
use super::signal::Signal;

pub(super) struct KafkaMembers {
    /// `None` when it could not be started; then no slot is ever held.
    client: Option<Arc<Client>>,
    group: Arc<Group>,
}

/// What the callbacks know of the group.
struct Group {
    topic: String,
    slots: u32,
    state: Mutex<State>,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct State {
    held: BTreeSet<u32>,
    events: Vec<SlotEvent>,
    heartbeat_at: Option<Instant>,
}

struct Rebalances(Arc<Group>);

/// A node whose lanes do not poll for so long leaves the group, whatever its heartbeats say.
const POLL_INTERVAL_MS_MAX: u32 = 60_000;
/// Heartbeats in one session time-out.
const HEARTBEATS: u32 = 5;

impl KafkaMembers {
    pub fn join(
        config: &KafkaConfig,
        signal: Arc<Signal>,
        group: &str,
        topic: &str,
        node: &str,
        slots: u32,
    ) -> Self {
        let state = Mutex::default();
        let shared = Arc::new(Group { topic: topic.to_owned(), slots, state, signal });
        let client = start(config, group, topic, node, &shared)
            .inspect_err(|error| tracing::error!(%error, group, "cannot join"))
            .ok();
        KafkaMembers { client, group: shared }
    }
}

fn start(
    config: &KafkaConfig,
    group: &str,
    topic: &str,
    node: &str,
    shared: &Arc<Group>,
) -> Result<Arc<Client>, LogError> {
    let session_ms = config.session_timeout_ms;
    let settings = config.consumer(&[
        ("group.id", group),
        ("group.instance.id", node),
        // KIP-848 waits out the broker's 45 s and refuses a returning static member.
        ("group.protocol", "classic"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("session.timeout.ms", &session_ms.to_string()),
        ("heartbeat.interval.ms", &(session_ms / HEARTBEATS).to_string()),
        ("max.poll.interval.ms", &POLL_INTERVAL_MS_MAX.max(session_ms).to_string()),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("allow.auto.create.topics", "false"),
        // Tells when the coordinator was last heard of.
        ("statistics.interval.ms", "1000"),
        ("queued.max.messages.kbytes", "64"),
    ]);
    let client = Client::new(Kind::Member, &settings, Box::new(Rebalances(shared.clone())))?;
    let topics = Partitions::of([(topic, ANY_PARTITION, 0)])?;
    // SAFETY: client and list are alive; the call copies the list.
    let subscribed = unsafe { sys::rd_kafka_subscribe(client.ptr(), topics.ptr()) };
    NativeError::check(subscribed).map_err(|e| e.to_log(group))?;
    Ok(Arc::new(client))
}

/// Kafka's -1.
const ANY_PARTITION: u32 = u32::MAX;

impl Callbacks for Rebalances {
    fn rebalanced(&self, client: &RawClient, what: i32, partitions: &[i32]) {
        let slots: Vec<u32> = partitions.iter().filter_map(|p| u32::try_from(*p).ok()).collect();
        let result = match what {
            code::ASSIGN => self.0.assigned(client, &slots),
            code::REVOKE => self.0.revoked(client, &slots),
            _ => self.0.lost(client),
        };
        if let Err(error) = result {
            tracing::warn!(%error, topic = self.0.topic, "a rebalance went wrong");
        }
        self.0.signal.raise();
    }

    fn statistics(&self, json: &[u8]) {
        if let Some(age) = heartbeat_age(json) {
            self.0.state.lock().heartbeat_at = Instant::now().checked_sub(age);
        }
    }

    fn failed(&self, code: i32, text: &str) {
        tracing::debug!(code, text, "the membership's connection");
    }
}

impl Group {
    fn assigned(&self, client: &RawClient, slots: &[u32]) -> Result<(), LogError> {
        let list = self.list(slots)?;
        // SAFETY: client and list are alive; both calls copy the list. Paused at once, so that
        // nothing is ever fetched.
        unsafe {
            let error = sys::rd_kafka_incremental_assign(client.ptr(), list.ptr());
            NativeError::take(error).map_err(|e| e.to_log("assignment"))?;
            sys::rd_kafka_pause_partitions(client.ptr(), list.ptr());
        }
        let mut state = self.state.lock();
        state.heartbeat_at = Some(Instant::now());
        for slot in slots.iter().filter(|s| **s < self.slots) {
            if state.held.insert(*slot) {
                state.events.push(SlotEvent::Assigned(LaneId(*slot)));
            }
        }
        Ok(())
    }

    fn revoked(&self, client: &RawClient, slots: &[u32]) -> Result<(), LogError> {
        // SAFETY: the client is alive.
        let lost = unsafe { sys::rd_kafka_assignment_lost(client.ptr()) } != 0;
        let mut state = self.state.lock();
        if lost {
            state.held.clear();
            state.events.push(SlotEvent::Lost);
        }
        for slot in slots {
            if state.held.remove(slot) {
                state.events.push(SlotEvent::Revoked(LaneId(*slot)));
            }
        }
        drop(state);
        let list = self.list(slots)?;
        // SAFETY: client and list are alive; the call copies the list.
        let removed = unsafe {
            NativeError::take(sys::rd_kafka_incremental_unassign(client.ptr(), list.ptr()))
        };
        removed.map_err(|e| e.to_log("revocation"))
    }

    fn lost(&self, client: &RawClient) -> Result<(), LogError> {
        let mut state = self.state.lock();
        state.held.clear();
        state.events.push(SlotEvent::Lost);
        drop(state);
        // SAFETY: the client is alive; null means nothing.
        let removed = unsafe { sys::rd_kafka_assign(client.ptr(), std::ptr::null()) };
        NativeError::check(removed).map_err(|e| e.to_log("assignment"))
    }

    fn list(&self, slots: &[u32]) -> Result<Partitions, LogError> {
        let end = i64::from(sys::RD_KAFKA_OFFSET_END);
        Partitions::of(slots.iter().map(|s| (self.topic.as_str(), *s, end)))
    }
}

/// Age of the last word from the group's coordinator, whose connection carries heartbeats and
/// little else; `None` while this node is not a settled member.
fn heartbeat_age(json: &[u8]) -> Option<Duration> {
    let stats: serde_json::Value = serde_json::from_slice(json).ok()?;
    let group = stats.get("cgrp")?;
    if group.get("state")? != "up" || group.get("join_state")? != "steady" {
        return None;
    }
    let brokers = stats.get("brokers")?.as_object()?;
    let coordinator = brokers.iter().find(|(name, _)| name.contains("GroupCoordinator"))?.1;
    let idle_us = coordinator.get("rxidle")?.as_i64()?;
    Some(Duration::from_micros(u64::try_from(idle_us).ok()?))
}

impl Members for KafkaMembers {
    fn poll(&mut self) -> Vec<SlotEvent> {
        if let Some(client) = &self.client {
            serve(client, 0);
        }
        std::mem::take(&mut self.group.state.lock().events)
    }

    fn owns(&self, slot: LaneId) -> Option<Duration> {
        let state = self.group.state.lock();
        let heartbeat_at = state.heartbeat_at.filter(|_| state.held.contains(&slot.0))?;
        Some(heartbeat_at.elapsed())
    }

    fn leave(&mut self) {
        let Some(client) = self.client.take() else { return };
        self.group.state.lock().held.clear();
        let leaving = move || {
            // SAFETY: the client is alive. A static member that unsubscribes does leave; one that
            // closes does not.
            unsafe { sys::rd_kafka_unsubscribe(client.ptr()) };
            let deadline = Instant::now() + LEAVE_TIME;
            while Instant::now() < deadline {
                serve(&client, 20);
            }
        };
        let spawned = std::thread::Builder::new().name("kafka-leave".into()).spawn(leaving);
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to leave the group with");
        }
    }
}

/// What the request to leave needs to be sent.
const LEAVE_TIME: Duration = Duration::from_millis(500);

/// Serves the client's callbacks; messages and errors are of no interest.
fn serve(client: &Client, timeout_ms: i32) {
    loop {
        // SAFETY: the client is alive; the message is ours and destroyed once.
        unsafe {
            let message = sys::rd_kafka_consumer_poll(client.ptr(), timeout_ms);
            if message.is_null() {
                return;
            }
            sys::rd_kafka_message_destroy(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeat_age_is_read_only_from_a_settled_member() {
        let stats = |join: &str| {
            format!(
                r#"{{"cgrp":{{"state":"up","join_state":"{join}"}},
                "brokers":{{"b:1/1":{{"rxidle":9}},"GroupCoordinator":{{"rxidle":2500}}}}}}"#
            )
        };
        let age = heartbeat_age(stats("steady").as_bytes());
        assert_eq!(age, Some(Duration::from_micros(2500)));
        for bad in [stats("wait-join").as_str(), "{", "{}", r#"{"cgrp":1}"#] {
            assert_eq!(heartbeat_age(bad.as_bytes()), None, "{bad}");
        }
    }
}
