//! A topic: its settings and its partitions.

use millrace_engine::ids::TopicId;
use millrace_engine::log::{Cleanup, TopicInfo, TopicSpec};
use serde::{Deserialize, Serialize};

use super::partition::Partition;

/// Largest record of a topic unless `max.message.bytes` says otherwise, as Kafka has it.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// `max.message.bytes` may not be set higher: a batch's spans are 32 bits wide.
pub const RECORD_BYTES_CEILING: usize = 64 * 1024 * 1024;
/// Partitions that one topic may have.
pub const PARTITIONS_MAX: u32 = 10_000;
/// Age after which compaction drops a tombstone: a day, as Kafka has it.
pub const DELETE_RETENTION_DEFAULT_MS: i64 = 24 * 60 * 60 * 1000;
/// Longest name of a topic, as Kafka has it.
pub const NAME_CHARS_MAX: usize = 249;

/// Settings of a topic as they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicMeta {
    pub id: TopicId,
    pub name: String,
    pub partitions: u32,
    /// Kafka's `cleanup.policy`.
    pub cleanup: String,
    /// -1: for ever.
    pub retention_ms: i64,
    pub delete_retention_ms: i64,
    pub record_bytes_max: usize,
}

impl TopicMeta {
    /// Settings of a topic to be made. Without a retention, records stay for ever: event time is
    /// not wall time.
    ///
    /// # Errors
    /// A name or setting that cannot be.
    pub fn new(id: TopicId, spec: &TopicSpec) -> Result<Self, String> {
        check_name(&spec.name)?;
        if spec.partitions == 0 || spec.partitions > PARTITIONS_MAX {
            return Err(format!(
                "topic {}: {} partitions asked for, 1 to {PARTITIONS_MAX} are possible",
                spec.name, spec.partitions
            ));
        }
        let record_bytes_max = setting(spec, "max.message.bytes")?;
        let record_bytes_max = record_bytes_max.unwrap_or(RECORD_BYTES_MAX as i64).max(0) as usize;
        if record_bytes_max > RECORD_BYTES_CEILING {
            return Err(format!(
                "topic {}: max.message.bytes={record_bytes_max} is above {RECORD_BYTES_CEILING}",
                spec.name
            ));
        }
        Ok(TopicMeta {
            id,
            name: spec.name.clone(),
            partitions: spec.partitions,
            cleanup: cleanup_name(spec.cleanup).to_owned(),
            retention_ms: spec.retention_ms.unwrap_or(-1).max(-1),
            delete_retention_ms: setting(spec, "delete.retention.ms")?
                .unwrap_or(DELETE_RETENTION_DEFAULT_MS),
            record_bytes_max,
        })
    }

    /// What is not as `spec` wants it; empty when all is well. The number of replicas is always 1
    /// here and not compared.
    ///
    /// # Errors
    /// A setting in `spec` that cannot be.
    pub fn differences(&self, spec: &TopicSpec) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, wanted: String, is: String| {
            if wanted != is {
                found.push(format!("{what} is {is}, wanted {wanted}"));
            }
        };
        compare("partitions", spec.partitions.to_string(), self.partitions.to_string());
        compare("cleanup.policy", cleanup_name(spec.cleanup).to_owned(), self.cleanup.clone());
        if let Some(wanted) = spec.retention_ms {
            compare("retention.ms", wanted.max(-1).to_string(), self.retention_ms.to_string());
        }
        if let Some(wanted) = setting(spec, "delete.retention.ms")? {
            let is = self.delete_retention_ms.to_string();
            compare("delete.retention.ms", wanted.to_string(), is);
        }
        if let Some(wanted) = setting(spec, "max.message.bytes")? {
            compare("max.message.bytes", wanted.to_string(), self.record_bytes_max.to_string());
        }
        Ok(found)
    }

    pub fn cleanup(&self) -> Cleanup {
        match self.cleanup.as_str() {
            "compact" => Cleanup::Compact,
            "compact,delete" => Cleanup::CompactDelete,
            _ => Cleanup::Delete,
        }
    }

    pub fn info(&self) -> TopicInfo {
        TopicInfo {
            id: self.id,
            name: self.name.clone(),
            partitions: self.partitions,
            replicas: 1,
            cleanup: self.cleanup(),
            retention_ms: self.retention_ms,
        }
    }
}

/// A topic with its records.
#[derive(Debug)]
pub struct Topic {
    pub meta: TopicMeta,
    pub partitions: Vec<Partition>,
}

impl Topic {
    pub fn new(meta: TopicMeta) -> Self {
        let mut topic = Topic { meta, partitions: Vec::new() };
        topic.grow();
        topic
    }

    /// Makes the partitions that the settings ask for and that are not there yet.
    pub fn grow(&mut self) {
        let wanted = (self.meta.partitions as usize).max(self.partitions.len());
        self.partitions.resize_with(wanted, Partition::default);
    }

    pub fn compacts(&self) -> bool {
        self.meta.cleanup() != Cleanup::Delete
    }

    pub fn expires(&self) -> bool {
        self.meta.cleanup() != Cleanup::Compact && self.meta.retention_ms >= 0
    }
}

fn cleanup_name(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::CompactDelete => "compact,delete",
    }
}

fn setting(spec: &TopicSpec, name: &str) -> Result<Option<i64>, String> {
    let Some((_, value)) = spec.config.iter().rev().find(|(key, _)| key == name) else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(format!("topic {}: {name}={value} is not a whole number", spec.name)),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || matches!(name, "." | "..") {
        return Err(format!("{name:?} cannot name a topic: 1 to {NAME_CHARS_MAX} characters"));
    }
    match name.chars().find(|c| !fine(*c)) {
        Some(c) => Err(format!(
            "{name:?} cannot name a topic: {c:?} is not a letter, digit, '.', '_' or '-'"
        )),
        None => Ok(()),
    }
}
