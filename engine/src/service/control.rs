//! The control thread: boots, replays commands, follows the group's shares of lanes, retries failed
//! queries, tells consumer groups where the queries stand.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::{ApiResult, Properties};
use crate::error::Result;
use crate::ids::{LaneId, Offset};
use crate::lane::Lane;
use crate::log::{LogEvent, Members, SlotEvent};
use crate::service::command_log::{CommandReader, wait};
use crate::service::{Booted, Inner, Service, apply, boot};
use crate::worker::Request;

/// Pause between tries to reach the log at start, and how often the message is repeated.
const BOOT_PAUSE: Duration = Duration::from_secs(2);
/// Longest sleep between two rounds.
const ROUND: Duration = Duration::from_millis(20);
const LOG_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn run(inner: &Arc<Inner>) {
    // Not worth a warning: it takes a moment.
    inner.troubles.lock().insert("boot", "waiting for the log".to_owned());
    while !inner.stopping() && inner.booted.get().is_none() {
        if let Err(error) = boot::boot(inner) {
            tracing::warn!("not started yet: {error}; trying again");
            inner.troubles.lock().insert("boot", error.to_string());
            pause(inner, BOOT_PAUSE);
        }
    }
    let Some(booted) = inner.booted.get() else { return };
    let mut control = Control::new(inner.clone(), booted);
    while !inner.stopping() {
        match control.round(booted) {
            Ok(()) => inner.no_trouble("control"),
            Err(error) => {
                inner.trouble("control", error.to_string());
                pause(inner, BOOT_PAUSE);
            }
        }
        inner.seams.log.park(ROUND);
    }
    control.members.leave();
    booted.workers.stop();
}

struct Control {
    inner: Arc<Inner>,
    reader: CommandReader,
    /// Commands up to here were in the log when the node started.
    boot_until: Option<Offset>,
    members: Box<dyn Members>,
    owned: BTreeSet<LaneId>,
}

impl Control {
    fn new(inner: Arc<Inner>, booted: &Booted) -> Self {
        let log = inner.seams.log.clone();
        let reader = CommandReader::new(log.as_ref(), booted.command_tp);
        let (group, topic) = (inner.names.lane_group(), inner.names.progress_topic());
        let members = log.join(&group, &topic, &inner.config.node, inner.lanes());
        Control { inner, reader, boot_until: None, members, owned: BTreeSet::new() }
    }

    fn round(&mut self, booted: &Booted) -> Result<()> {
        for replayed in self.reader.poll()? {
            apply::apply(&self.inner, replayed);
        }
        let position = self.reader.position().0;
        self.inner.command_position.store(position, Ordering::Release);
        self.finish_boot(booted)?;
        if !self.inner.has_trouble("boot") {
            self.follow_members(booted)?;
        }
        self.inner.registry.retry_failed(self.inner.seams.clock.as_ref());
        self.handle_events();
        Ok(())
    }

    /// Ready for statements when everything that was in the log at start is applied.
    fn finish_boot(&mut self, booted: &Booted) -> Result<()> {
        if !self.inner.has_trouble("boot") {
            return Ok(());
        }
        let until = match self.boot_until {
            Some(until) => until,
            None => {
                let log = self.inner.seams.log.as_ref();
                let ends = wait(log, LOG_TIMEOUT, || log.ends(&[booted.command_tp]))??;
                let until = ends.first().map_or(Offset(0), |ends| ends.hw);
                *self.boot_until.insert(until)
            }
        };
        if self.reader.position() >= until {
            self.inner.no_trouble("boot");
        }
        Ok(())
    }

    fn follow_members(&mut self, booted: &Booted) -> Result<()> {
        for event in self.members.poll() {
            match event {
                SlotEvent::Assigned(lane) => self.add_lane(lane, booted)?,
                SlotEvent::Revoked(lane) => self.remove_lane(lane, booted)?,
                SlotEvent::Lost => {
                    for lane in std::mem::take(&mut self.owned) {
                        booted.workers.send(Request::Remove(lane))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn add_lane(&mut self, lane: LaneId, booted: &Booted) -> Result<()> {
        if !self.owned.insert(lane) {
            return Ok(());
        }
        let disk = (self.inner.config.open_disk)(lane)?;
        let registry = self.inner.registry.clone();
        let made = Lane::new(lane, booted.world.clone(), registry, disk)?;
        tracing::info!(lane = lane.0, "this node runs the lane");
        booted.workers.send(Request::Add(Box::new(made)))
    }

    fn remove_lane(&mut self, lane: LaneId, booted: &Booted) -> Result<()> {
        if self.owned.remove(&lane) {
            tracing::info!(lane = lane.0, "another node runs the lane");
            booted.workers.send(Request::Remove(lane))?;
        }
        Ok(())
    }

    fn handle_events(&self) {
        for event in self.inner.seams.log.events() {
            match event {
                LogEvent::Down(why) => self.inner.trouble("log", why),
                LogEvent::Up => self.inner.no_trouble("log"),
                LogEvent::TopicGone(topic) | LogEvent::TopicReplaced { old: topic, .. } => {
                    self.fail_users(topic, "was deleted (or deleted and made again)");
                }
                LogEvent::PartitionsChanged { topic, partitions } => {
                    self.fail_users(topic, &format!("has {partitions} partitions now"));
                }
            }
        }
    }

    /// R17: queries that use a topic that is no longer what their command recorded stop.
    fn fail_users(&self, topic: crate::ids::TopicId, what: &str) {
        for query in self.inner.registry.all() {
            let named = query.facts.topics.iter().find(|(_, facts)| facts.id == topic);
            if let Some((name, _)) = named {
                let reason = format!(
                    "topic {name} {what}; terminate query {} and create it again",
                    query.id
                );
                let (clock, limits) = (self.inner.seams.clock.as_ref(), &self.inner.limits);
                self.inner.registry.query_failed(&query.id, &reason, clock, limits);
            }
        }
    }
}

impl Service {
    /// Ends transactions, flushes state and leaves the group.
    pub(super) fn stop(&self) {
        self.inner.stop.store(true, Ordering::Release);
        for push in self.inner.pushes.lock().values() {
            (push.stop)();
        }
        if let Some(thread) = self.control.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the control thread panicked");
        }
    }
}

fn pause(inner: &Inner, at_most: Duration) {
    let start = std::time::Instant::now();
    while !inner.stopping() && start.elapsed() < at_most {
        std::thread::sleep(ROUND);
    }
}

/// The server's settings overlaid with a request's.
pub(super) fn effective(inner: &Inner, request: &Properties) -> ApiResult<Properties> {
    let mut all = inner.config.properties.clone();
    for (name, value) in request {
        let bare = name.strip_prefix("ksql.streams.").unwrap_or(name);
        all.insert(bare.to_owned(), value.clone());
    }
    Ok(all)
}
