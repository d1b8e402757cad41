//! What a lane does about failures: take the query to blame out, or drop the writer, wait and
//! recover; and mend the state when it was that.

use std::sync::Arc;
use std::task::Poll;

use crate::error::{EngineError, Kind, Result};
use crate::ids::{TopicId, Tp};
use crate::lane::{Lane, Phase};
use crate::lane_upkeep::Upkeep;
use crate::log::{EnsureError, Lost, ReadError};
use crate::outbox::Outbox;
use crate::progress::LaneHeader;
use crate::query::{Counts, QueryDef};
use crate::reader::Reader;

/// What a transaction did whose end is not known.
pub(crate) struct Unsettled {
    commit: u64,
    epoch: u64,
    counts: Vec<(Arc<QueryDef>, Counts)>,
}

impl Lane {
    /// A task's error stops its query, not the lane.
    pub(crate) fn task_failed(&mut self, query: &str, error: EngineError) -> Result<bool> {
        if !self.is_querys_fault(&error) {
            return Err(error);
        }
        self.eject(query, &error.to_string());
        self.rewind()
    }

    pub(crate) fn eject(&mut self, query: &str, reason: &str) {
        tracing::error!(lane = self.id.0, query, reason, "query stopped");
        self.registry.query_failed(query, reason, self.world.clock.as_ref(), &self.world.limits);
    }

    /// Records that are gone before they were read may have been read by another owner of the lane,
    /// which is one that purges what is read. It is believed only if they are missed from the
    /// progress, too, when it is read again after that owner was fenced.
    ///
    /// # Errors
    /// When the lane must look again.
    pub(crate) fn doubt(&mut self, error: &ReadError) -> Result<()> {
        let ReadError::OutOfRange { tp, at, .. } = error else { return Ok(()) };
        if self.doubted.replace((*tp, *at)) == Some((*tp, *at)) {
            return Ok(());
        }
        let why = format!("{error}: another owner may have read it");
        Err(EngineError::Lost(Lost::Fenced(why)))
    }

    /// An input of a query cannot be read any more. What was deleted does not come back, so the query
    /// is not tried again.
    pub(crate) fn cannot_read(&mut self, query: &str, error: &ReadError) {
        let def = self.registry.get(query);
        let named = |tp: &Tp| {
            let name = def.as_ref().and_then(|def| def.topic_name(tp.topic));
            name.map_or_else(|| tp.topic.to_string(), str::to_owned)
        };
        let again = format!("TERMINATE {query} and create the query again");
        let reason = match error {
            ReadError::Gone(tp) => {
                format!("topic {} was deleted (or deleted and made again); {again}", named(tp))
            }
            ReadError::OutOfRange { tp, at, start } => format!(
                "records {at} to {start} of topic {}, partition {}, were deleted before the query \
                 had read them; keep them longer, {again}",
                named(tp),
                tp.partition
            ),
            ReadError::Denied(_) | ReadError::Corrupt { .. } | ReadError::Unreachable(_) => {
                return self.eject(query, &error.to_string());
            }
        };
        tracing::error!(lane = self.id.0, query, reason, "query stopped");
        let (clock, limits) = (self.world.clock.as_ref(), &self.world.limits);
        self.registry.query_broken(query, &reason, clock, limits);
    }

    /// Takes out the queries of this lane that write to `topics`. False: there are none.
    pub(crate) fn eject_writers_of(&mut self, topics: &[TopicId], reason: &str) -> bool {
        self.miss_log(topics);
        let mut guilty: Vec<(String, String)> = Vec::new();
        for task in self.tasks.values() {
            let written = topics.iter().find_map(|topic| task.query.written_topic(*topic));
            if let Some(topic) = written
                && guilty.iter().all(|(query, _)| *query != task.key.query)
            {
                guilty.push((task.key.query.clone(), format!("topic {topic}: {reason}")));
            }
        }
        for (query, reason) in &guilty {
            self.eject(query, reason);
        }
        !guilty.is_empty()
    }

    /// The processing log is the lane's own topic: nobody's query is at fault when it is gone.
    fn miss_log(&mut self, culprits: &[TopicId]) {
        if culprits.contains(&self.world.processing_log.topic) {
            let topic = &self.world.processing_log_spec.name;
            tracing::error!(topic, "the topic of the processing log was deleted: it is made again");
            self.log_is_gone = true;
        }
    }

    /// Makes the topic of the processing log, if no other lane has yet. False: it is not there so far.
    pub(crate) fn remake_log(&mut self) -> Result<bool> {
        let Poll::Ready(made) = self.world.log.ensure(&self.world.processing_log_spec) else {
            return Ok(false);
        };
        let made = made.map_err(|error| match error {
            EnsureError::Log(error) => EngineError::Log(error),
            other => EngineError::Config(other.to_string()),
        })?;
        self.world.processing_log = Tp::new(made.id, 0);
        self.log_is_gone = false;
        Ok(true)
    }

    /// Aborts what is open and starts again from the last commit, without failed queries.
    pub(crate) fn rewind(&mut self) -> Result<bool> {
        match std::mem::replace(&mut self.phase, Phase::Moving) {
            Phase::Running { writer } | Phase::Sending { writer } => self.abort(writer),
            phase => {
                self.phase = phase;
                Err(EngineError::Bug("nothing to rewind".to_owned()))
            }
        }
    }

    /// Every failure of the lane itself ends here: drop the writer, wait, recover (R9).
    pub(crate) fn failed(&mut self, error: &EngineError) {
        let until = self.world.clock.elapsed() + self.backoff;
        self.stats.failure = Some(error.to_string().into());
        match error.kind() {
            Kind::Fenced => {
                self.fenced_at = Some(self.world.clock.elapsed());
                tracing::warn!(lane = self.id.0, %error, "the lane's writer is gone");
            }
            _ => tracing::warn!(lane = self.id.0, %error, "the lane starts again"),
        }
        self.backoff = (self.backoff * 2).min(self.world.limits.retry_backoff_max);
        // Dropping the phase drops the writer: poisoned, it must not be used again (I6).
        self.phase = Phase::Backoff { until };
        self.suspect(error);
        self.unsettle();
        self.forget();
        match error {
            EngineError::Panic(_) => self.distrust(),
            error if error.kind() == Kind::State => self.mend_state(error),
            _ => {}
        }
    }

    /// A step broke off somewhere: nothing that is in memory is believed. The lane starts as if it
    /// were new, from its disk and the log.
    fn distrust(&mut self) {
        self.reader = Reader::new(self.world.log.clone(), self.world.formats.clone());
        self.outbox = Outbox::default();
        self.header = LaneHeader::default();
        self.progress.clear();
        self.obsolete.clear();
        self.changelogs.clear();
        self.changelog_of.clear();
        (self.upkeep, self.doubted) = (Upkeep::default(), None);
        self.give_memory_up(false);
    }

    /// Keeps what the transaction that was being ended counts for, if it did commit.
    fn unsettle(&mut self) {
        let commit = self.txn.number;
        if commit != self.header.commit + 1 {
            return;
        }
        let dirty = self.tasks.values().filter(|task| task.dirty);
        let counts = dirty.map(|task| (Arc::clone(&task.query), task.counts.clone())).collect();
        self.unsettled = Some(Unsettled { commit, epoch: self.header.epoch, counts });
    }

    /// The lane's last header tells whether that transaction committed.
    pub(crate) fn settle(&mut self, last: &LaneHeader) {
        let Some(unsettled) = self.unsettled.take() else { return };
        if (last.commit, last.epoch) == (unsettled.commit, unsettled.epoch) {
            for (query, counts) in &unsettled.counts {
                query.status.add(counts);
            }
        }
    }

    /// The state could not be read or written: what is in memory is given up with it. A disk that
    /// refuses is opened again as it is; damaged files are moved aside and the state is restored from
    /// the changelogs (R29).
    fn mend_state(&mut self, error: &EngineError) {
        self.state_failures += 1;
        let damaged = !matches!(error, EngineError::Disk(_));
        self.stats.state_rebuilds += u64::from(damaged);
        self.give_memory_up(damaged);
    }

    /// What is committed and not on disk comes from the changelogs again, for the queries that run.
    fn give_memory_up(&mut self, damaged: bool) {
        self.restored.clear();
        if let Err(error) = self.state.reopen(damaged) {
            // Tried again when the pause is over.
            tracing::error!(lane = self.id.0, %error, "the lane's state cannot be opened");
            self.stats.failure = Some(error.to_string().into());
        }
    }

    /// A pull query could not read the state of this lane.
    pub fn read_failed(&mut self, error: &EngineError) {
        if error.kind() == Kind::State {
            self.failed(error);
        }
    }
}
