//! Whether the topics of the queries are still what their commands recorded (R17).

use std::collections::BTreeMap;

use crate::ids::TopicId;
use crate::log::TopicInfo;
use crate::service::Inner;

/// After the commands are replayed: what happened to topics while this node was not there.
pub(super) fn check_all(inner: &Inner, existing: &[TopicInfo]) {
    let by_id: BTreeMap<TopicId, &TopicInfo> = existing.iter().map(|t| (t.id, t)).collect();
    for query in inner.registry.all() {
        for (name, facts) in &query.facts.topics {
            match by_id.get(&facts.id) {
                None if existing.iter().any(|topic| topic.name == *name) => {
                    fail(inner, &query.id, name, "was deleted and made again");
                }
                None => fail(inner, &query.id, name, "was deleted"),
                Some(topic) if topic.partitions != facts.partitions => {
                    fail(inner, &query.id, name, &grown(facts.partitions, topic.partitions));
                }
                Some(_) => {}
            }
        }
    }
}

/// Something happened to a topic: the queries that use it stop.
pub(super) fn topic_changed(inner: &Inner, topic: TopicId, partitions: Option<u32>) {
    for query in inner.registry.all() {
        let Some(name) = query.topic_name(topic).map(str::to_owned) else { continue };
        match (partitions, query.facts.topics.get(&name)) {
            (Some(now), Some(facts)) if facts.partitions != now => {
                fail(inner, &query.id, &name, &grown(facts.partitions, now));
            }
            (Some(_), _) => {}
            (None, _) => fail(inner, &query.id, &name, "was deleted (or deleted and made again)"),
        }
    }
}

fn grown(before: u32, now: u32) -> String {
    format!("has {now} partitions now, not the {before} that the query was created with")
}

/// Trying again does not help: the query stops until it is terminated.
fn fail(inner: &Inner, query: &str, topic: &str, what: &str) {
    let reason = format!("topic {topic} {what}; TERMINATE {query} and create the query again");
    inner.registry.query_broken(query, &reason, inner.seams.clock.as_ref(), &inner.limits);
}
