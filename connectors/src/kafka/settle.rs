//! Tells partitions how transactions ended that they were not told of (rule R11). Kafka 4.3 skips the
//! markers of partitions that have no leader at that moment, as all have while a lone broker starts: what
//! was committed, and said to be, stays undecided there, and the next transaction of the same producer
//! would decide it. The coordinator's records still know (`history`), and an empty transaction that ends in
//! the same way (`silent`) writes the markers that are missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::log::Lost;
use millrace_engine::mutant::{self, Mutant};
use rdkafka_sys as sys;

use super::config::KafkaConfig;
use super::endings::{Enders, Verdict};
use super::history::{self, History};
use super::native::{Client, NativeError};
use super::producer::{Place, Topic};
use super::silent::{self, Adding};
use super::txn::{How, lost};

/// How long a broker may take to add partitions to a transaction.
const ADDING_TIME_MAX: Duration = Duration::from_secs(30);

/// Settles what is left of the transactions of one writer. Blocks; no transaction may be open.
pub(super) struct Settler<'a> {
    pub enders: &'a Enders,
    pub client: &'a Arc<Client>,
    pub config: &'a KafkaConfig,
    pub id: &'a str,
}

impl Settler<'_> {
    pub fn settle(&self, at: &[Place]) -> Verdict {
        let history = history::read(self.config, self.id).unwrap_or_else(|why| {
            let id = self.id;
            tracing::error!(
                id,
                "how the transactions of this writer ended cannot be read, so rows that a broker left \
                 undecided are dropped, even if they were committed: {why}. Let the server read the \
                 topic"
            );
            History::default()
        });
        let drop = mutant::active() == Some(Mutant::DropForgotten);
        let is_committed = |place: &&Place| {
            let key = (place.0.name.to_string(), place.1 as i32);
            !drop && history.endings.get(&key) == Some(&How::Commit)
        };
        let (committed, rest): (Vec<&Place>, Vec<&Place>) = at.iter().partition(is_committed);
        tracing::warn!(
            id = self.id,
            committed = committed.len(),
            aborted = rest.len(),
            "partitions were not told how transactions ended: telling them"
        );
        for (how, places) in [(How::Commit, committed), (How::Abort, rest)] {
            match self.end_again(how, &places) {
                Verdict::Lost(lost) => return Verdict::Lost(lost),
                Verdict::Committed | Verdict::Aborted { .. } => {}
            }
        }
        Verdict::Committed
    }

    /// An empty transaction that ends like the one before.
    fn end_again(&self, how: How, places: &[&Place]) -> Verdict {
        if places.is_empty() {
            return Verdict::nothing(how);
        }
        if let Err(error) = self.add(places) {
            return Verdict::Lost(lost(self.client, &error));
        }
        match self.enders.end(how) {
            Verdict::Committed if how == How::Commit => self.check(places),
            // librdkafka gave a commit up.
            Verdict::Aborted { .. } if how == How::Commit => unsure("it was aborted"),
            verdict => verdict,
        }
    }

    fn add(&self, places: &[&Place]) -> Result<(), NativeError> {
        // SAFETY: the client is alive; the error is ours.
        unsafe { NativeError::take(sys::rd_kafka_begin_transaction(self.client.ptr()))? };
        let adding = Adding::watch(self.client, self.id);
        let mut topics: Vec<&Arc<Topic>> = places.iter().map(|(topic, _)| topic).collect();
        topics.dedup_by(|a, b| a.name == b.name);
        for topic in topics {
            self.client.refresh(&topic.name, ADDING_TIME_MAX.as_millis() as i32);
        }
        for (topic, partition) in places {
            silent::add(self.client, topic, *partition)?;
        }
        match adding.wait(Instant::now() + ADDING_TIME_MAX) {
            true => Ok(()),
            false => Err(NativeError::of(super::native::code::TIMED_OUT)),
        }
    }

    /// Whether all of them were in the transaction: librdkafka does not say.
    fn check(&self, places: &[&Place]) -> Verdict {
        let last = match history::read(self.config, self.id) {
            Ok(history) => history.last,
            Err(why) => return unsure(&why),
        };
        let is_there = |place: &&Place| {
            last.iter().any(|(topic, p)| **topic == *place.0.name && *p == place.1 as i32)
        };
        match places.iter().all(is_there) {
            true => Verdict::Committed,
            false => unsure("not all partitions took part"),
        }
    }
}

fn unsure(why: &str) -> Verdict {
    Verdict::Lost(Lost::Unknown(format!("undecided rows were not settled: {why}")))
}
