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
use super::history;
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
        let read = history::read(self.config, self.id);
        if let Err(why) = &read {
            let id = self.id;
            tracing::error!(
                id,
                "how the transactions of this writer ended cannot be read, so rows that a broker left \
                 undecided are dropped, even if they were committed: {why}. Let the server read the \
                 topic"
            );
        }
        let is_readable = read.is_ok();
        let history = read.unwrap_or_default();
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
            match self.end_again(how, &places, is_readable) {
                Verdict::Lost(lost) => return Verdict::Lost(lost),
                Verdict::Committed | Verdict::Aborted { .. } => {}
            }
        }
        Verdict::Committed
    }

    /// An empty transaction that ends like the one before; looks afterwards whether all took part.
    fn end_again(&self, how: How, places: &[&Place], is_readable: bool) -> Verdict {
        if places.is_empty() {
            return Verdict::nothing(how);
        }
        // An abort may overtake what is still asked for, if it is looked at afterwards; a commit must not.
        let hurries = how == How::Abort && is_readable;
        let quiet = if hurries { Duration::ZERO } else { silent::QUIET };
        if let Err(error) = self.add(places, quiet) {
            return Verdict::Lost(lost(self.client, &error));
        }
        let verdict = match how {
            How::Abort => self.enders.abort_now(),
            How::Commit => self.enders.end(How::Commit),
        };
        match (how, verdict) {
            (_, Verdict::Lost(lost)) => Verdict::Lost(lost),
            (How::Commit, Verdict::Aborted { .. }) => unsure("it was aborted"),
            (_, verdict) if is_readable => self.check(places).unwrap_or(verdict),
            (_, verdict) => verdict,
        }
    }

    fn add(&self, places: &[&Place], quiet: Duration) -> Result<(), NativeError> {
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
        match adding.wait(quiet, Instant::now() + ADDING_TIME_MAX) {
            true => Ok(()),
            false => Err(NativeError::of(super::native::code::TIMED_OUT)),
        }
    }

    /// What is wrong, unless all of them were in the transaction: librdkafka does not say.
    fn check(&self, places: &[&Place]) -> Option<Verdict> {
        let last = match history::read(self.config, self.id) {
            Ok(history) => history.last,
            Err(why) => return Some(unsure(&why)),
        };
        let is_there = |place: &&Place| {
            last.iter().any(|(topic, p)| **topic == *place.0.name && *p == place.1 as i32)
        };
        let missing = places.iter().filter(|place| !is_there(place)).count();
        (missing > 0).then(|| unsure(&format!("{missing} partitions did not take part")))
    }
}

fn unsure(why: &str) -> Verdict {
    Verdict::Lost(Lost::Unknown(format!("undecided rows were not settled: {why}")))
}
