//! Raw records in and out of a topic: PRINT, `millrace load`, the demo.

use std::time::{Duration, Instant};

use crate::api::{ApiError, ApiResult, TopicReader};
use crate::error::EngineError;
use crate::format::partition_for_key;
use crate::ids::{Offset, Tp};
use crate::log::{Cursor, Log, LogError, PollLimits, RawBatch, ReadClass, Record, TopicInfo};
use crate::service::Inner;
use crate::service::command_log::wait;

const LOG_TIMEOUT: Duration = Duration::from_secs(30);
const PARK: Duration = Duration::from_millis(20);

impl Inner {
    pub(super) fn print(
        &self,
        topic: &str,
        from_beginning: bool,
    ) -> ApiResult<Box<dyn TopicReader>> {
        self.booted()?;
        let log = self.seams.log.as_ref();
        let engine = ApiError::Engine;
        let info = present(log, topic)?;
        let tps: Vec<Tp> = (0..info.partitions).map(|p| Tp::new(info.id, p)).collect();
        let ends = wait(log, LOG_TIMEOUT, || log.ends(&tps)).and_then(|ends| ends);
        let ends = ends.map_err(|e| engine(EngineError::Log(e)))?;
        let from = |(tp, ends): (&Tp, &crate::log::Ends)| {
            (*tp, if from_beginning { ends.start } else { ends.hw })
        };
        let starts: Vec<(Tp, Offset)> = tps.iter().zip(&ends).map(from).collect();
        let mut cursor = log.cursor(ReadClass::CatchUp);
        cursor.assign(&starts);
        Ok(Box::new(Printer { cursor, log: self.seams.log.clone() }))
    }

    /// Appends records, each to its key's partition; those without a key go round.
    pub(super) fn load(&self, topic: &str, records: &[Record]) -> ApiResult<()> {
        self.booted()?;
        if self.names.is_own(topic) {
            let message = format!("topic {topic} is internal: it cannot be loaded into");
            return Err(ApiError::Engine(EngineError::User(message)));
        }
        let log = self.seams.log.as_ref();
        let info = present(log, topic)?;
        let mut by_partition: Vec<Vec<Record>> = vec![Vec::new(); info.partitions as usize];
        for (i, record) in records.iter().enumerate() {
            let partition = match &record.key {
                Some(key) => partition_for_key(key, info.partitions) as usize,
                None => i % by_partition.len(),
            };
            by_partition[partition].push(record.clone());
        }
        for (partition, records) in by_partition.iter().enumerate().filter(|(_, r)| !r.is_empty()) {
            let tp = Tp::new(info.id, partition as u32);
            let appended = wait(log, LOG_TIMEOUT, || log.append(tp, records)).and_then(|a| a);
            appended.map_err(|e| ApiError::Engine(EngineError::Log(e)))?;
        }
        Ok(())
    }
}

/// The topic; one that is missing is told as such.
fn present(log: &dyn Log, topic: &str) -> ApiResult<TopicInfo> {
    let found = wait(log, LOG_TIMEOUT, || log.describe(topic)).and_then(|found| found);
    let found = found.and_then(|found| found.ok_or_else(|| LogError::Gone(topic.to_owned())));
    found.map_err(|e| ApiError::Engine(EngineError::Log(e)))
}

struct Printer {
    cursor: Box<dyn Cursor>,
    log: std::sync::Arc<dyn crate::log::Log>,
}

impl TopicReader for Printer {
    fn next(&mut self, at_most: Duration) -> ApiResult<Vec<RawBatch>> {
        let limits = PollLimits { records_max: 1000, bytes_max: 1 << 20 };
        let start = Instant::now();
        loop {
            let mut batches = Vec::new();
            let polled = self.cursor.poll(&limits, &mut batches);
            polled.map_err(|e| ApiError::Engine(EngineError::Read(e)))?;
            if !batches.is_empty() || start.elapsed() >= at_most {
                return Ok(batches);
            }
            self.log.park(PARK);
        }
    }
}
