//! Topic identities and names: the engine speaks of ids, librdkafka of names.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millrace_engine::ids::TopicId;
use millrace_engine::log::LogEvent;
use parking_lot::RwLock;

/// What was last seen of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub id: TopicId,
    pub name: Arc<str>,
    pub partitions: u32,
    /// `max.message.bytes`, when it was asked for.
    pub record_bytes_max: Option<usize>,
}

/// Both ways between ids and names. A name has one living id; an id that lost its name is gone.
#[derive(Default)]
pub(super) struct Ids {
    maps: RwLock<Maps>,
    /// How many topics went away: a cheap way to ask whether to look again.
    losses: AtomicU64,
}

#[derive(Default)]
struct Maps {
    by_id: HashMap<TopicId, Entry>,
    by_name: HashMap<Arc<str>, TopicId>,
}

struct Entry {
    seen: Seen,
    used: bool,
    gone: bool,
}

/// What is known about an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    Alive(Seen),
    /// It existed and does not any more.
    Gone(Arc<str>),
    /// Never seen: ask the broker.
    Unknown,
}

impl Ids {
    /// Notes a topic as the broker shows it now.
    pub fn saw(&self, seen: Seen) -> Option<LogEvent> {
        let mut guard = self.maps.write();
        let maps = &mut *guard;
        let event = match maps.by_name.insert(seen.name.clone(), seen.id) {
            Some(old) if old != seen.id => {
                self.losses.fetch_add(1, Ordering::Release);
                maps.bury(old).then_some(LogEvent::TopicReplaced { old, new: seen.id })
            }
            _ => None,
        };
        let entry = maps.by_id.entry(seen.id).or_insert_with(|| Entry {
            seen: seen.clone(),
            used: false,
            gone: false,
        });
        let grew = (entry.used && entry.seen.partitions != seen.partitions)
            .then_some(LogEvent::PartitionsChanged { topic: seen.id, partitions: seen.partitions });
        let record_bytes_max = seen.record_bytes_max.or(entry.seen.record_bytes_max);
        entry.seen = Seen { record_bytes_max, ..seen };
        entry.gone = false;
        event.or(grew)
    }

    /// Notes that no topic of that name exists.
    pub fn missed(&self, name: &str) -> Option<LogEvent> {
        let mut maps = self.maps.write();
        let id = maps.by_name.remove(name)?;
        self.losses.fetch_add(1, Ordering::Release);
        maps.bury(id).then_some(LogEvent::TopicGone(id))
    }

    /// Rises when a topic goes away.
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// What is known about a topic, which counts as used from now on.
    pub fn using(&self, id: TopicId) -> Known {
        let known = self.get(id);
        if matches!(known, Known::Alive(_))
            && !self.is_used(id)
            && let Some(entry) = self.maps.write().by_id.get_mut(&id)
        {
            entry.used = true;
        }
        known
    }

    pub fn get(&self, id: TopicId) -> Known {
        match self.maps.read().by_id.get(&id) {
            Some(entry) if entry.gone => Known::Gone(entry.seen.name.clone()),
            Some(entry) => Known::Alive(entry.seen.clone()),
            None => Known::Unknown,
        }
    }

    /// Names of the topics that somebody reads or writes.
    pub fn used_names(&self) -> Vec<Arc<str>> {
        let maps = self.maps.read();
        let alive = maps.by_id.values().filter(|e| e.used && !e.gone);
        alive.map(|e| e.seen.name.clone()).collect()
    }

    fn is_used(&self, id: TopicId) -> bool {
        self.maps.read().by_id.get(&id).is_some_and(|e| e.used)
    }
}

impl Maps {
    /// Marks an id as gone; whether somebody used it.
    fn bury(&mut self, id: TopicId) -> bool {
        let Some(entry) = self.by_id.get_mut(&id) else { return false };
        entry.gone = true;
        entry.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: u128, name: &str, partitions: u32) -> Seen {
        Seen { id: TopicId(id), name: name.into(), partitions, record_bytes_max: None }
    }

    #[test]
    fn only_topics_in_use_make_events() {
        let ids = Ids::default();
        assert_eq!(ids.saw(seen(1, "a", 1)), None);
        assert_eq!(ids.saw(seen(1, "a", 2)), None);
        assert_eq!(ids.using(TopicId(1)), Known::Alive(seen(1, "a", 2)));
        let grown = LogEvent::PartitionsChanged { topic: TopicId(1), partitions: 3 };
        assert_eq!(ids.saw(seen(1, "a", 3)), Some(grown));
        let replaced = LogEvent::TopicReplaced { old: TopicId(1), new: TopicId(2) };
        assert_eq!(ids.saw(seen(2, "a", 3)), Some(replaced));
        assert_eq!(ids.using(TopicId(1)), Known::Gone("a".into()));
        assert_eq!(ids.missed("a"), None, "id 2 is not in use");
        assert_eq!(ids.get(TopicId(3)), Known::Unknown);
    }

    #[test]
    fn a_topic_that_is_gone_is_told_once() {
        let ids = Ids::default();
        ids.saw(seen(1, "a", 1));
        ids.using(TopicId(1));
        assert_eq!(ids.missed("a"), Some(LogEvent::TopicGone(TopicId(1))));
        assert_eq!(ids.missed("a"), None);
        assert!(ids.used_names().is_empty());
    }
}
