//! Progress is a record (R3, R4, R5): keys and values of the compacted progress topic. Text keys and
//! JSON values, so that people can read them.

use serde::{Deserialize, Serialize};

use crate::error::{EngineError, Result};
use crate::ids::{Offset, Tp};

/// Version of the records below.
pub const PROGRESS_FORMAT: u32 = 1;

/// A task: one partition of one sub-topology of one query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    pub query: String,
    pub sub: u32,
    pub partition: u32,
}

impl std::fmt::Display for TaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.query, self.sub, self.partition)
    }
}

/// Key of the lane header.
pub const LANE_KEY: &str = "lane";

/// Key of a position: the topic id tells apart a recreated topic, the sub-topology and `twin` the sides
/// of a self-join. `twin` counts the inputs before in the same task that read the same partition.
pub fn position_key(task: &TaskKey, tp: Tp, twin: usize) -> String {
    let mut key = format!("position/{}/{}/{}/{}", task.query, task.sub, tp.topic, tp.partition);
    if twin > 0 {
        key.push_str(&format!("/{twin}"));
    }
    key
}

/// Key of what a task's operators remember.
pub fn task_key(task: &TaskKey) -> String {
    format!("task/{}/{}/{}", task.query, task.sub, task.partition)
}

/// The query that a progress key belongs to, if it belongs to one.
pub fn query_of(key: &str) -> Option<&str> {
    let mut parts = key.split('/');
    matches!(parts.next()?, "position" | "task").then(|| parts.next())?
}

/// Written with every transaction of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneHeader {
    pub format: u32,
    /// Number of lanes of the service.
    pub lanes: u32,
    /// Counts the owners of the lane.
    pub epoch: u64,
    pub node: String,
    pub url: String,
    pub commit: u64,
    /// Commands up to here are applied.
    pub command: i64,
}

/// Where reading of one input stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionRecord {
    pub next: Offset,
}

/// What a task's operators remember, node by node: stream time, emitted-up-to mark.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    pub operators: Vec<Vec<i64>>,
    /// Stream times of the tasks that send to an input, input by input (rule R18).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<Vec<i64>>,
    /// Where the clock goes on with stream time while no record comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleRecord>,
}

/// Time of a task whose stream time the clock goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleRecord {
    /// Stream time by the records that were read.
    pub time: i64,
    /// Stream time that those downstream were told.
    pub marked: i64,
}

/// JSON bytes of a progress value.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| EngineError::Bug(format!("progress record: {e}")))
}

/// Reads a progress value.
pub fn decode<'a, T: Deserialize<'a>>(key: &str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        EngineError::Config(format!("progress record {key} does not parse: {e}; it is damaged"))
    })
}
