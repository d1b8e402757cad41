//! Internal topics of a service, made and verified at start (R2).

use std::time::Duration;

use crate::command::TopicFacts;
use crate::error::Result;
use crate::log::{Cleanup, Log, TopicSpec};
use crate::names::Names;
use crate::service::command_log::wait;
use crate::service::facts::{ensure, facts};

const LOG_TIMEOUT: Duration = Duration::from_secs(30);

/// Topics that every service has.
pub struct ServiceTopics {
    pub command: TopicFacts,
    pub progress: TopicFacts,
    pub processing_log: TopicFacts,
    /// How the processing log was made.
    pub processing_log_spec: TopicSpec,
}

/// Lanes of a service that exists.
pub fn lanes(log: &dyn Log, names: &Names) -> Result<Option<u32>> {
    let name = names.progress_topic();
    let found = wait(log, LOG_TIMEOUT, || log.describe(&name))??;
    Ok(found.map(|topic| topic.partitions))
}

/// Makes what is missing.
///
/// # Errors
/// When the log cannot be reached, or a topic exists with other settings.
pub fn make(
    log: &dyn Log,
    names: &Names,
    lanes: u32,
    replicas: Option<u32>,
) -> Result<ServiceTopics> {
    let spec = |name, partitions, cleanup, config: &[(&str, &str)]| TopicSpec {
        name,
        partitions,
        replicas,
        cleanup,
        retention_ms: Some(-1),
        config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
    };
    // Nor by size, whatever the broker's default is: it is the catalog.
    let whole = [("retention.bytes", "-1")];
    let command = spec(names.command_topic(), 1, Cleanup::Delete, &whole);
    // R16: read whole at every recovery, so kept small.
    let small = [("segment.bytes", "33554432"), ("min.cleanable.dirty.ratio", "0.05")];
    let progress = spec(names.progress_topic(), lanes, Cleanup::Compact, &small);
    let processing_log = spec(names.processing_log(), 1, Cleanup::Delete, &[]);
    Ok(ServiceTopics {
        command: facts(&ensure(log, &command)?),
        progress: facts(&ensure(log, &progress)?),
        processing_log: facts(&ensure(log, &processing_log)?),
        processing_log_spec: processing_log,
    })
}
