//! From nothing to a node that takes statements.

use crate::error::{EngineError, Result};
use crate::ids::Tp;
use crate::lane::World;
use crate::service::command_log::CommandWriter;
use crate::service::{Booted, Inner, topics};
use crate::worker::Workers;

/// Makes the service's topics and starts its workers.
pub(super) fn boot(inner: &Inner) -> Result<()> {
    let config = &inner.config;
    let seams = &inner.seams;
    let log = seams.log.as_ref();
    let lanes = match config.lanes {
        Some(lanes) => lanes,
        None => topics::lanes(log, &inner.names)?.unwrap_or(config.lanes_default),
    };
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
        processing_log: Tp::new(made.processing_log.id, 0),
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
