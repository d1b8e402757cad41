//! From nothing to a node that takes statements.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::error::{EngineError, Result};
use crate::ids::Tp;
use crate::lane::World;
use crate::log::LogError;
use crate::service::command_log::CommandWriter;
use crate::service::{Booted, Inner, topics};
use crate::worker::Workers;

/// How often it is said that the log does not answer.
const SAY_EVERY: Duration = Duration::from_secs(5);
const PARK: Duration = Duration::from_millis(20);

/// Waits for the log's first answer, and says every few seconds that there is none.
///
/// # Errors
/// What the log answered; or the node stops.
pub(super) fn await_log(inner: &Inner) -> Result<()> {
    let (log, start, mut said) = (inner.seams.log.as_ref(), Instant::now(), 1);
    let name = inner.names.command_topic();
    loop {
        match log.describe(&name) {
            Poll::Ready(Ok(_)) => return Ok(()),
            Poll::Ready(Err(LogError::Unreachable(_))) | Poll::Pending => {}
            Poll::Ready(Err(error)) => return Err(EngineError::Log(error)),
        }
        if inner.stopping() {
            return Err(EngineError::Config("the server shuts down".to_owned()));
        }
        if start.elapsed() >= SAY_EVERY * said {
            let seconds = (SAY_EVERY * said).as_secs();
            said += 1;
            let why = format!(
                "{} has not answered for {seconds} s; still trying. Is it running, and is the \
                 address right?",
                log.place()
            );
            inner.trouble("boot", why);
        }
        log.park(PARK);
    }
}

/// Makes the service's topics and starts its workers.
pub(super) fn boot(inner: &Inner) -> Result<()> {
    let config = &inner.config;
    let seams = &inner.seams;
    let log = seams.log.as_ref();
    let found = topics::lanes(log, &inner.names)?;
    let lanes = config.lanes.or(found).unwrap_or(config.lanes_default);
    // R2: tasks were given to lanes by their number.
    if let Some(found) = found.filter(|found| *found != lanes) {
        return Err(EngineError::Config(format!(
            "this service was made with {found} lanes, and --lanes or millrace.lanes says {lanes}; \
             leave it out or say {found}, or choose another ksql.service.id"
        )));
    }
    let made = topics::make(log, &inner.names, lanes, config.internal_replicas)?;
    inner.lanes.get_or_init(|| lanes);
    let world = World {
        log: seams.log.clone(),
        formats: seams.formats.clone(),
        clock: seams.clock.clone(),
        entropy: seams.entropy.clone(),
        limits: inner.limits.clone(),
        caches: inner.caches.clone(),
        names: inner.names.clone(),
        lanes,
        node: config.node.clone(),
        url: config.url.clone(),
        progress_topic: made.progress.id,
        ownership: Arc::default(),
        processing_log: Tp::new(made.processing_log.id, 0),
        processing_log_spec: made.processing_log_spec,
    };
    let workers = Workers::start(
        config.workers,
        seams.log.clone(),
        seams.clock.clone(),
        inner.limits.park_max,
    )?;
    let command_tp = Tp::new(made.command.id, 0);
    let id = inner.names.command_writer();
    let commands = CommandWriter::new(seams.log.clone(), command_tp, id);
    let booted = Booted { world, workers, commands, command_tp };
    inner
        .booted
        .set(booted)
        .map_err(|_| EngineError::Bug("the service was booted twice".to_owned()))
}
