//! Topics of the shared log: made, changed, looked at.

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{Ends, EnsureError, LogError, TopicInfo, TopicSpec};

use super::core::entry::{Entry, TopicChange};
use super::shared::Shared;

impl Shared {
    pub fn describe(&self, name: &str) -> Option<TopicInfo> {
        self.state.lock().core.named(name).map(|topic| topic.meta.info())
    }

    pub fn list(&self) -> Vec<TopicInfo> {
        self.state.lock().core.list()
    }

    pub fn ensure(&self, spec: &TopicSpec) -> Result<TopicInfo, EnsureError> {
        let bad = |reason: String| EnsureError::Log(LogError::Other(reason));
        let id = self.fresh_id();
        self.with(|state| {
            if let Some(topic) = state.core.named(&spec.name) {
                let differences = topic.meta.differences(spec).map_err(bad)?;
                if differences.is_empty() {
                    return Ok(topic.meta.info());
                }
                return Err(EnsureError::Differs { topic: spec.name.clone(), differences });
            }
            let entry = state.core.create_entry(id, spec).map_err(bad)?;
            state.make(entry)?;
            let made = state.core.topic(id).map(|topic| topic.meta.info());
            made.ok_or_else(|| bad(format!("topic {} was not made", spec.name)))
        })
    }

    /// A random UUID of version 4.
    fn fresh_id(&self) -> TopicId {
        let random =
            (u128::from(self.entropy.next_u64()) << 64) | u128::from(self.entropy.next_u64());
        let (version, variant) = (0xf000_u128 << 64, 0xc000_u128 << 48);
        TopicId(random & !version & !variant | (0x4000_u128 << 64) | (0x8000_u128 << 48))
    }

    pub fn delete(&self, topic: TopicId) -> Result<(), LogError> {
        self.with(|state| match state.core.topic(topic) {
            None => Ok(()),
            Some(_) => state.make(Entry::topic(TopicChange::Delete(topic))),
        })
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// An unknown topic, or a count that is not above the present one.
    pub fn grow(&self, topic: TopicId, partitions: u32) -> Result<(), LogError> {
        self.with(|state| {
            let entry = state.core.grow_entry(topic, partitions).map_err(LogError::Other)?;
            state.make(entry)
        })
    }

    pub fn purge(&self, below: &[(Tp, Offset)]) -> Result<(), LogError> {
        let below: Vec<_> = below.iter().map(|(tp, offset)| (*tp, offset.0)).collect();
        self.with(|state| {
            if let Some((tp, _)) = below.iter().find(|(tp, _)| state.core.partition(*tp).is_none())
            {
                return Err(LogError::Gone(format!("{tp:?}")));
            }
            let entry = state.core.purge_entry(&below).map_err(LogError::Other)?;
            state.make(entry)
        })
    }

    pub fn ends(&self, tps: &[Tp]) -> Result<Vec<Ends>, LogError> {
        let state = self.state.lock();
        let ends = |tp: &Tp| {
            let partition = state.core.partition(*tp);
            let partition = partition.ok_or_else(|| LogError::Gone(format!("{tp:?}")))?;
            Ok(Ends {
                start: Offset(partition.start()),
                lso: Offset(partition.lso()),
                hw: Offset(partition.hw()),
            })
        };
        tps.iter().map(ends).collect()
    }
}
