//! The log as a pure state machine: topics, partitions, transactions by writer id, retention,
//! compaction. No I/O, no clock, no randomness: times and identities are passed in.
//!
//! Every lasting change is an [`Entry`]. A caller asks for one (`*_entry`), makes it durable if it
//! wants to, and applies it. Records of open transactions are held apart and take offsets as they
//! come, so an aborted transaction leaves a gap; its end takes an offset of its own, as Kafka's
//! control records do.

pub mod chunk;
pub mod compact;
pub mod entry;
pub mod partition;
pub mod topic;
pub mod txn;

use std::collections::{BTreeMap, VecDeque};

use millrace_engine::ids::{TopicId, Tp};
use millrace_engine::log::{LogEvent, TopicInfo, TopicSpec};

use chunk::ChunkBuilder;
use entry::{Entry, PartPatch, TopicChange};
use partition::{LiveBytes, Partition};
use topic::{Topic, TopicMeta};
use txn::WriterState;

/// Events kept for a handle that does not ask for them.
const EVENTS_MAX: usize = 4096;

/// All that a log knows, except the bytes of records that were stored elsewhere.
#[derive(Debug, Default)]
pub struct Core {
    topics: BTreeMap<TopicId, Topic>,
    names: BTreeMap<String, TopicId>,
    /// The last deleted topic of a name.
    buried: BTreeMap<String, TopicId>,
    writers: BTreeMap<String, WriterState>,
    events: Events,
    live: LiveBytes,
    changed: bool,
}

#[derive(Debug, Default)]
struct Events {
    first: u64,
    log: VecDeque<LogEvent>,
}

impl Core {
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    pub fn named(&self, name: &str) -> Option<&Topic> {
        self.topics.get(self.names.get(name)?)
    }

    /// All topics by name.
    pub fn list(&self) -> Vec<TopicInfo> {
        self.names.values().filter_map(|id| self.topics.get(id)).map(|t| t.meta.info()).collect()
    }

    pub fn partition(&self, tp: Tp) -> Option<&Partition> {
        self.topics.get(&tp.topic)?.partitions.get(tp.partition.0 as usize)
    }

    fn partition_mut(&mut self, tp: Tp) -> Option<&mut Partition> {
        self.topics.get_mut(&tp.topic)?.partitions.get_mut(tp.partition.0 as usize)
    }

    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = (Tp, &Topic, &Partition)> {
        self.topics.iter().flat_map(|(id, topic)| {
            let number = move |(p, partition)| (Tp::new(*id, p as u32), topic, partition);
            topic.partitions.iter().enumerate().map(number)
        })
    }

    /// Bytes of stored records in use, per segment of the journal.
    pub fn live(&self) -> &LiveBytes {
        &self.live
    }

    /// True when something that readers can see has changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Events from number `from` on; moves `from` behind them.
    pub fn events(&self, from: &mut u64) -> Vec<LogEvent> {
        let skip = from.saturating_sub(self.events.first) as usize;
        *from = self.events.first + self.events.log.len() as u64;
        self.events.log.iter().skip(skip).cloned().collect()
    }

    /// Number of the next event.
    pub fn events_end(&self) -> u64 {
        self.events.first + self.events.log.len() as u64
    }

    fn event(&mut self, event: LogEvent) {
        if self.events.log.len() == EVENTS_MAX {
            self.events.log.pop_front();
            self.events.first += 1;
        }
        self.events.log.push_back(event);
    }

    /// The change that makes a topic; its name must be free.
    ///
    /// # Errors
    /// Settings that cannot be.
    pub fn create_entry(&self, id: TopicId, spec: &TopicSpec) -> Result<Entry, String> {
        Ok(Entry::topic(TopicChange::Create(TopicMeta::new(id, spec)?)))
    }

    /// The change that gives a topic more partitions.
    ///
    /// # Errors
    /// A count that is not above the present one, or above the limit.
    pub fn grow_entry(&self, topic: TopicId, partitions: u32) -> Result<Entry, String> {
        let now = self.topic(topic).map_or(0, |topic| topic.meta.partitions);
        if now == 0 || partitions <= now || partitions > topic::PARTITIONS_MAX {
            return Err(format!("topic {topic} has {now} partitions and cannot get {partitions}"));
        }
        Ok(Entry::topic(TopicChange::Partitions { topic, partitions }))
    }

    /// The change that appends outside of transactions, with the offset of the first record.
    /// `None` if there is no such partition.
    pub fn append_entry(
        &self,
        tp: Tp,
        runs: Vec<ChunkBuilder>,
        now_ms: i64,
    ) -> Option<(Entry, i64)> {
        let first = self.partition(tp)?.hw();
        let mut patch = PartPatch::new(tp);
        patch.end = first;
        for run in runs.into_iter().filter(|run| !run.is_empty()) {
            let chunk = run.build(patch.end, now_ms);
            patch.end = chunk.next;
            patch.chunks.push(chunk);
        }
        Some((Entry::parts(vec![patch]), first))
    }

    /// The change that drops records below offsets, as far as the LSO.
    ///
    /// # Errors
    /// An unknown partition, or an offset above its high watermark.
    pub fn purge_entry(&self, below: &[(Tp, i64)]) -> Result<Entry, String> {
        let mut parts = Vec::new();
        for (tp, offset) in below {
            let Some(partition) = self.partition(*tp) else {
                return Err(format!("{tp:?} does not exist (any more)"));
            };
            if *offset > partition.hw() {
                let hw = partition.hw();
                return Err(format!("cannot purge {tp:?} below {offset}: it ends at {hw}"));
            }
            let start = (*offset).min(partition.lso());
            if start > partition.start() {
                parts.push(PartPatch { start, ..PartPatch::new(*tp) });
            }
        }
        Ok(Entry::parts(parts))
    }

    /// The change that drops records whose event time is too old for their topic.
    pub fn expire_entry(&self, now_ms: i64) -> Entry {
        let mut parts = Vec::new();
        for (tp, topic, partition) in self.partitions().filter(|(_, topic, _)| topic.expires()) {
            let start = partition.expired_to(now_ms.saturating_sub(topic.meta.retention_ms));
            if start > partition.start() {
                parts.push(PartPatch { start, ..PartPatch::new(tp) });
            }
        }
        Entry::parts(parts)
    }

    /// Everything but the chunks: what a journal segment begins with.
    pub fn state_entry(&self) -> Entry {
        let topics = self.topics.values().map(|topic| topic.meta.clone()).collect();
        let mut entry = Entry::topic(TopicChange::State(topics));
        for (tp, _, partition) in self.partitions() {
            // Offsets of open transactions count: nobody may get them again.
            let (start, end) = (partition.start(), partition.hw());
            if end > 0 {
                entry.parts.push(PartPatch { start, end, ..PartPatch::new(tp) });
            }
        }
        entry
    }

    /// Makes a change. Patches of partitions that are gone are left out.
    pub fn apply(&mut self, entry: &Entry) {
        for change in &entry.topics {
            self.apply_topic(change);
        }
        for patch in &entry.parts {
            let Some(topic) = self.topics.get_mut(&patch.tp.topic) else { continue };
            let number = patch.tp.partition.0 as usize;
            let Some(partition) = topic.partitions.get_mut(number) else { continue };
            partition.apply(patch, &mut self.live);
            self.changed |= partition.publish();
        }
    }

    fn apply_topic(&mut self, change: &TopicChange) {
        match change {
            TopicChange::State(topics) => {
                let there = |id: &TopicId| topics.iter().any(|meta| meta.id == *id);
                let gone: Vec<_> = self.topics.keys().filter(|id| !there(id)).copied().collect();
                gone.into_iter().for_each(|id| self.remove(id));
                topics.iter().for_each(|meta| self.create(meta));
            }
            TopicChange::Create(meta) => self.create(meta),
            TopicChange::Delete(id) => self.remove(*id),
            TopicChange::Partitions { topic, partitions } => {
                let Some(grown) = self.topics.get_mut(topic) else { return };
                grown.meta.partitions = *partitions;
                grown.grow();
                let (topic, partitions) = (*topic, *partitions);
                self.event(LogEvent::PartitionsChanged { topic, partitions });
            }
        }
        self.changed = true;
    }

    fn create(&mut self, meta: &TopicMeta) {
        if let Some(topic) = self.topics.get_mut(&meta.id) {
            topic.meta = meta.clone();
            topic.grow();
            return;
        }
        if let Some(old) = self.buried.remove(&meta.name) {
            self.event(LogEvent::TopicReplaced { old, new: meta.id });
        }
        self.names.insert(meta.name.clone(), meta.id);
        self.topics.insert(meta.id, Topic::new(meta.clone()));
    }

    fn remove(&mut self, id: TopicId) {
        let Some(mut topic) = self.topics.remove(&id) else { return };
        topic.partitions.iter_mut().for_each(|partition| partition.clear(&mut self.live));
        self.names.remove(&topic.meta.name);
        self.buried.insert(topic.meta.name.clone(), id);
        self.poison_writers(id, &topic.meta.name);
        self.event(LogEvent::TopicGone(id));
    }

    /// Nobody was there when it happened.
    pub fn forget_events(&mut self) {
        self.events = Events::default();
        self.buried.clear();
    }

    /// Forgets a segment that was removed.
    pub fn forget_segment(&mut self, segment: u32) {
        self.live.remove(&segment);
    }
}
