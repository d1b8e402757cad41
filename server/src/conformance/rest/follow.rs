//! Waiting until queries have followed their inputs.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::TopicInfo;
use millrace_engine::names::Names;
use millrace_engine::progress::{self, PositionRecord};
use millrace_sql::catalog::Catalog;

use super::run::{PAUSE, Run, ready};

/// How long queries may take to follow their inputs.
const CATCH_UP_MAX: Duration = Duration::from_secs(15);

impl Run<'_> {
    /// Waits until every persistent query has committed all that it could read.
    pub(super) async fn catch_up(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let catalog = self.node.server.api.catalog();
            match self.behind(&catalog)? {
                None => break,
                Some(who) if start.elapsed() > CATCH_UP_MAX => {
                    let errors: Vec<_> = self.node.server.api.queries();
                    let errors: Vec<_> = errors.iter().map(|q| (&q.id, &q.errors)).collect();
                    return Err(format!("{who} does not catch up: {errors:?}"));
                }
                Some(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(())
    }

    /// A query that has not read everything.
    fn behind(&self, catalog: &Catalog) -> Result<Option<String>, String> {
        let names = Names::new(&self.node.server.config.service_id);
        let positions = self.positions(&names)?;
        let topics = ready(self.node.log.list())?;
        for query in catalog.queries.values() {
            let own = format!("{}-", names.application(&query.id));
            let read = |topic: &TopicInfo| {
                let source =
                    |name: &String| catalog.source(name).is_some_and(|s| s.topic == topic.name);
                query.reads.iter().any(source)
                    || topic.name.starts_with(&own) && !topic.name.ends_with("-changelog")
            };
            for topic in topics.iter().filter(|t| read(t)) {
                for partition in 0..topic.partitions {
                    let tp = Tp::new(topic.id, partition);
                    let last =
                        self.read(tp)?.last().and_then(|b| b.records.last().map(|r| r.offset));
                    let Some(last) = last else { continue };
                    let at = positions.get(&(query.id.clone(), tp));
                    if at.is_none_or(|at| *at <= last) {
                        return Ok(Some(query.id.clone()));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Committed positions: the lowest over the sub-topologies that read a partition.
    fn positions(&self, names: &Names) -> Result<HashMap<(String, Tp), Offset>, String> {
        let topic = self.topic(&names.progress_topic())?;
        let mut latest: BTreeMap<String, Offset> = BTreeMap::new();
        for partition in 0..topic.partitions {
            for batch in self.read(Tp::new(topic.id, partition))? {
                for i in 0..batch.records.len() {
                    let key =
                        String::from_utf8_lossy(batch.key(i).unwrap_or_default()).into_owned();
                    let position = batch.value(i).filter(|_| key.starts_with("position/"));
                    let Some(value) = position else { continue };
                    let record: PositionRecord =
                        progress::decode(&key, value).map_err(|e| e.to_string())?;
                    latest.insert(key, record.next);
                }
            }
        }
        let mut positions = HashMap::new();
        for (key, next) in latest {
            let parts: Vec<&str> = key.split('/').collect();
            let [_, query, _, topic, partition, ..] = parts[..] else { continue };
            let topic = topic.to_owned().try_into().map_err(|_| format!("no topic id in {key}"))?;
            let partition = partition.parse().map_err(|_| format!("no partition in {key}"))?;
            let at = positions.entry((query.to_owned(), Tp::new(topic, partition))).or_insert(next);
            *at = (*at).min(next);
        }
        Ok(positions)
    }
}
