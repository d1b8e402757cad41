//! Input of a run: records of all topics in the order they are appended.

use millrace_engine::format::partition_for_key;
use millrace_engine::ids::Timestamp;
use millrace_engine::log::Record;
use millrace_engine::seams::{Entropy, SeededEntropy};

/// Partitions of every source.
pub const PARTITIONS: u32 = 2;
const KEYS: u64 = 6;
const GROUPS: u64 = 4;
const START_MS: i64 = 1_000_000;
const STEP_MS_MAX: u64 = 400;
const JITTER_MS_MAX: u64 = 9_000;

/// One input record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub topic: &'static str,
    pub time: i64,
    pub key: String,
    pub group: String,
    /// `None`: a tombstone.
    pub value: Option<i64>,
}

impl Input {
    pub fn partition(&self) -> u32 {
        partition_for_key(self.key.as_bytes(), PARTITIONS)
    }

    pub fn record(&self) -> Record {
        let json = self.value.map(|v| format!(r#"{{"G":"{}","V":{v}}}"#, self.group));
        let json = json.as_deref().map(str::as_bytes);
        Record::new(Timestamp(self.time), Some(self.key.as_bytes()), json)
    }
}

/// What a workload wants.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub topics: &'static [&'static str],
    /// Some rows come late.
    pub jitter: bool,
}

/// `count` records; the last one of each partition and topic is far behind the others if
/// `closing`, so that everything before it is decided.
pub fn make(seed: u64, shape: Shape, count: usize) -> Vec<Input> {
    let random = SeededEntropy::new(seed);
    let below = |n: u64| random.next_u64() % n;
    let mut inputs = Vec::with_capacity(count);
    let mut now = START_MS;
    for _ in 0..count {
        now += below(STEP_MS_MAX) as i64;
        let topic = shape.topics[below(shape.topics.len() as u64) as usize];
        let late = shape.jitter && below(4) == 0;
        let time = if late { now - below(JITTER_MS_MAX) as i64 } else { now };
        let is_table = topic == "t" || topic == "u";
        let value = (!is_table || below(6) > 0).then(|| below(100) as i64);
        let (key, group) = (format!("k{}", below(KEYS)), format!("g{}", below(GROUPS)));
        inputs.push(Input { topic, time, key, group, value });
    }
    inputs
}
