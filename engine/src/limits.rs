//! Every queue, batch, cache and retry of the engine has its limit here; `/info` shows them.

use std::time::Duration;

use millrace_sql::plan::WINDOWS_PER_ROW_MAX;

/// Rows of a batch of a pull query.
pub const PULL_BATCH_ROWS: usize = 8192;
/// Rows of the first page that a pull query with a LIMIT reads; later pages are larger.
pub const PULL_PAGE_ROWS_MIN: usize = 256;

/// Batches that a push query holds for a client that does not take them.
pub const PUSH_BATCHES_MAX: usize = 16;
/// How long a lane that was fenced waits for word that it is still this node's.
pub const OWNERSHIP_WAIT_MAX: Duration = Duration::from_secs(30);
/// A task that has sent nothing for so long is not waited for. It is longer than another node needs to
/// take a lane over (at most 15 s): else the rows of the lanes of a node that died would come late.
pub const UPSTREAM_IDLE_MAX: Duration = Duration::from_secs(20);
/// Pause of a query that failed, first and last of the doubling series, as ksqlDB's.
pub const QUERY_RETRY_INITIAL: Duration = Duration::from_secs(15);
pub const QUERY_RETRY_MAX: Duration = Duration::from_secs(900);

/// Bounds of one running engine. Times and sizes carry their unit in the name.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A transaction closes at this age.
    pub commit_interval: Duration,
    /// ... or when it took in this many records
    pub transaction_records_max: usize,
    /// ... or sent out this many bytes
    pub transaction_bytes_max: usize,
    /// ... or operators hold back this many rows until it closes: each takes about a kilobyte in
    /// stores, outbox and writer while it is written
    pub transaction_owed_rows_max: usize,
    /// ... or touched this many partitions (measured: 500 partitions commit in about 200 ms).
    pub transaction_partitions_max: usize,
    /// Records of one poll, over all partitions.
    pub poll_records_max: usize,
    /// Bytes of one poll, over all partitions.
    pub poll_bytes_max: usize,
    /// Records that wait in one input of a task before its partition is paused.
    pub input_buffer_records_max: usize,
    /// How long a task waits for an input that should have data before it goes on without.
    pub input_wait_max: Duration,
    /// Committed changes that wait in memory for the disk.
    pub committed_memory_bytes_max: usize,
    /// ... and for how long at most.
    pub committed_memory_age_max: Duration,
    /// Pause of a lane that failed and recovers, first and last of the doubling series.
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// Transactions in a row that fail with nobody to blame before a lane puts its queries on trial.
    pub trial_unexplained_max: u32,
    /// Times in a row that a query must fail alone before it is stopped, each followed by a header
    /// that goes through.
    pub trial_alone_max: u32,
    /// How long a group of queries is tried: then it is let off, e.g. because its input does not come.
    pub trial_time_max: Duration,
    /// Pause between two rounds of telling positions and of purging internal topics.
    pub upkeep_interval: Duration,
    /// Entries of a query's error list.
    pub query_errors_max: usize,
    /// Rows that a pull query may answer with.
    pub pull_rows_max: usize,
    /// Memory in which one pull query sorts, joins and groups.
    pub pull_memory_bytes: usize,
    /// How long a statement waits for the command to be applied here.
    pub command_timeout: Duration,
    /// How long a worker sleeps when nothing is ready.
    pub park_max: Duration,
    /// Memory of what operators keep between commits, for the whole process.
    pub operator_cache_bytes: usize,
    /// Memory of RocksDB's block cache and write buffers, for the whole process.
    pub rocksdb_cache_bytes: usize,
    pub rocksdb_write_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            commit_interval: Duration::from_millis(2000),
            transaction_records_max: 1_000_000,
            transaction_bytes_max: 64 << 20,
            transaction_owed_rows_max: 32_768,
            transaction_partitions_max: 500,
            poll_records_max: 8192,
            poll_bytes_max: 4 << 20,
            input_buffer_records_max: 32_768,
            input_wait_max: Duration::from_secs(5),
            committed_memory_bytes_max: 6 << 20,
            committed_memory_age_max: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(200),
            retry_backoff_max: Duration::from_secs(15),
            trial_unexplained_max: 2,
            trial_alone_max: 2,
            trial_time_max: Duration::from_secs(30),
            upkeep_interval: Duration::from_secs(10),
            query_errors_max: 10,
            pull_rows_max: 1_000_000,
            pull_memory_bytes: 256 << 20,
            command_timeout: Duration::from_secs(30),
            park_max: Duration::from_millis(50),
            operator_cache_bytes: 64 << 20,
            rocksdb_cache_bytes: 32 << 20,
            rocksdb_write_buffer_bytes: 16 << 20,
        }
    }
}

impl Limits {
    /// Name and value of each limit, for people.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        let ms = |d: Duration| d.as_millis().to_string();
        vec![
            ("commit.interval.ms", ms(self.commit_interval)),
            ("transaction.records.max", self.transaction_records_max.to_string()),
            ("transaction.bytes.max", self.transaction_bytes_max.to_string()),
            ("transaction.owed.rows.max", self.transaction_owed_rows_max.to_string()),
            ("transaction.partitions.max", self.transaction_partitions_max.to_string()),
            ("poll.records.max", self.poll_records_max.to_string()),
            ("poll.bytes.max", self.poll_bytes_max.to_string()),
            ("input.buffer.records.max", self.input_buffer_records_max.to_string()),
            ("input.wait.max.ms", ms(self.input_wait_max)),
            ("committed.memory.bytes.max", self.committed_memory_bytes_max.to_string()),
            ("committed.memory.age.max.ms", ms(self.committed_memory_age_max)),
            ("retry.backoff.ms", ms(self.retry_backoff)),
            ("retry.backoff.max.ms", ms(self.retry_backoff_max)),
            ("trial.unexplained.max", self.trial_unexplained_max.to_string()),
            ("trial.alone.max", self.trial_alone_max.to_string()),
            ("trial.time.max.ms", ms(self.trial_time_max)),
            ("upkeep.interval.ms", ms(self.upkeep_interval)),
            ("query.errors.max", self.query_errors_max.to_string()),
            ("pull.rows.max", self.pull_rows_max.to_string()),
            ("pull.memory.bytes", self.pull_memory_bytes.to_string()),
            ("command.timeout.ms", ms(self.command_timeout)),
            ("park.max.ms", ms(self.park_max)),
            ("operator.cache.bytes", self.operator_cache_bytes.to_string()),
            ("rocksdb.cache.bytes", self.rocksdb_cache_bytes.to_string()),
            ("rocksdb.write.buffer.bytes", self.rocksdb_write_buffer_bytes.to_string()),
            ("pull.batch.rows", PULL_BATCH_ROWS.to_string()),
            ("pull.page.rows.min", PULL_PAGE_ROWS_MIN.to_string()),
            ("push.batches.max", PUSH_BATCHES_MAX.to_string()),
            ("ownership.wait.max.ms", ms(OWNERSHIP_WAIT_MAX)),
            ("upstream.idle.max.ms", ms(UPSTREAM_IDLE_MAX)),
            ("query.retry.ms", ms(QUERY_RETRY_INITIAL)),
            ("query.retry.max.ms", ms(QUERY_RETRY_MAX)),
            ("windows.per.row.max", WINDOWS_PER_ROW_MAX.to_string()),
        ]
    }
}
