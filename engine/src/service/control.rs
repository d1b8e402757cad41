//! The control thread: boots, replays commands, follows the group's shares of lanes, retries failed
//! queries, tells consumer groups where the queries stand.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::{ApiResult, Properties};
use crate::error::Result;
use crate::ids::Offset;
use crate::log::LogEvent;
use crate::service::cleanup::{self, Cleanup};
use crate::service::command_log::{CommandReader, wait};
use crate::service::share::Share;
use crate::service::{Booted, Inner, Service, apply, boot, command_gap, facts_check};

/// Pause between tries to reach the log at start.
const BOOT_PAUSE: Duration = Duration::from_secs(2);
/// Longest sleep between two rounds.
const ROUND: Duration = Duration::from_millis(20);
const LOG_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn run(inner: &Arc<Inner>) {
    while !inner.stopping() && inner.booted.get().is_none() {
        if let Err(error) = boot::await_log(inner).and_then(|()| boot::boot(inner)) {
            let place = inner.seams.log.place();
            let why = format!("{place}: {error}");
            let before = inner.troubles.lock().insert("boot", why.clone());
            if before.as_ref() != Some(&why) {
                tracing::warn!("cannot start on {why}; trying again until it can");
            }
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
    control.share.leave();
    booted.workers.stop();
}

struct Control {
    inner: Arc<Inner>,
    reader: CommandReader,
    /// Commands up to here were in the log when the node started.
    boot_until: Option<Offset>,
    share: Share,
    cleanup: Cleanup,
}

impl Control {
    fn new(inner: Arc<Inner>, booted: &Booted) -> Self {
        let log = inner.seams.log.clone();
        let reader = CommandReader::new(log.as_ref(), booted.command_tp);
        let share = Share::join(&inner);
        Control { inner, reader, boot_until: None, share, cleanup: Cleanup::default() }
    }

    fn round(&mut self, booted: &Booted) -> Result<()> {
        for replayed in self.reader.poll()? {
            apply::apply(&self.inner, replayed);
        }
        let position = self.reader.position().0;
        self.inner.command_position.store(position, Ordering::Release);
        self.finish_boot(booted)?;
        if !self.inner.has_trouble("boot") {
            self.share.follow(&self.inner, booted)?;
            command_gap::check(&self.inner, booted, self.reader.position())?;
            self.cleanup.round(&self.inner, booted, &self.share)?;
        }
        self.inner.registry.retry_failed(self.inner.seams.clock.as_ref());
        self.handle_events(booted);
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
            let log = self.inner.seams.log.as_ref();
            let existing = wait(log, LOG_TIMEOUT, || log.list())??;
            facts_check::check_all(&self.inner, &existing);
            cleanup::forget_gone(&self.inner, &existing);
            self.inner.no_trouble("boot");
        }
        Ok(())
    }

    fn handle_events(&self, booted: &Booted) {
        for event in self.inner.seams.log.events() {
            match event {
                LogEvent::Down(why) => {
                    let place = self.inner.seams.log.place();
                    let what = "queries wait, and go on when it answers again";
                    self.inner.trouble("log", format!("{place} does not answer: {why}; {what}"));
                }
                LogEvent::Up => {
                    tracing::info!("{} answers again: queries go on", self.inner.seams.log.place());
                    self.inner.no_trouble("log");
                }
                LogEvent::TopicGone(topic) | LogEvent::TopicReplaced { old: topic, .. } => {
                    facts_check::topic_changed(&self.inner, topic, None);
                    command_gap::topic_gone(&self.inner, booted, topic);
                }
                LogEvent::PartitionsChanged { topic, partitions } => {
                    facts_check::topic_changed(&self.inner, topic, Some(partitions));
                }
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
