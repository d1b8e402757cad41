//! A change of the log as one value: what the journal writes in one frame, what recovery reads
//! back, and the only way by which topics and committed records change.

use millrace_engine::ids::{TopicId, Tp};
use serde::{Deserialize, Serialize};

use super::chunk::Chunk;
use super::topic::TopicMeta;

/// Changes that happen together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub topics: Vec<TopicChange>,
    pub parts: Vec<PartPatch>,
}

/// A change of the topics themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TopicChange {
    /// All topics there are: the head of a segment, so that older segments can be dropped.
    State(Vec<TopicMeta>),
    Create(TopicMeta),
    Delete(TopicId),
    Partitions {
        topic: TopicId,
        partitions: u32,
    },
}

/// A change of one partition. Applied in the order of the fields.
#[derive(Debug, Clone)]
pub struct PartPatch {
    pub tp: Tp,
    /// Chunks that begin in one of these ranges of offsets, `from..to`, go away. Rising, disjoint.
    pub cut: Vec<(i64, i64)>,
    /// Committed chunks that come.
    pub chunks: Vec<Chunk>,
    /// The partition starts here at the earliest.
    pub start: i64,
    /// The partition ends here at the earliest.
    pub end: i64,
}

impl PartPatch {
    pub fn new(tp: Tp) -> Self {
        PartPatch { tp, cut: Vec::new(), chunks: Vec::new(), start: 0, end: 0 }
    }
}

impl Entry {
    pub fn topic(change: TopicChange) -> Self {
        Entry { topics: vec![change], parts: Vec::new() }
    }

    pub fn parts(parts: Vec<PartPatch>) -> Self {
        Entry { topics: Vec::new(), parts }
    }

    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.parts.is_empty()
    }
}
