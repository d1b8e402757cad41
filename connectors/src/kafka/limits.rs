//! What the clients of Kafka may hold. Settings of the user take the place of these; `/info` shows
//! both.

/// What a consumer may buffer, in KiB. Small buffers stay in the CPU's cache and are as fast. Each
/// message takes some 400 bytes more, so their number counts, too: about two polls of a lane.
pub(super) const BUFFER_KIB: &str = "2048";
pub(super) const BUFFER_RESTORE_KIB: &str = "8192";
pub(super) const BUFFER_MESSAGES: &str = "16384";
/// Bytes of one fetch, of a partition and of all.
pub(super) const FETCH_PARTITION_BYTES: &str = "262144";
pub(super) const FETCH_BYTES: &str = "1048576";
/// What a producer may hold unsent. The defaults are 1 GiB and 100,000; a full queue only makes the
/// lane ask again.
pub(super) const UNSENT_KIB: &str = "65536";
pub(super) const UNSENT_MESSAGES: &str = "50000";
/// Bytes of the largest message that is handed to a broker, which may take less.
pub(super) const MESSAGE_BYTES: &str = "67108864";
/// Threads that do blocking requests, at most.
pub(super) const WORKERS_MAX: usize = 6;
/// Requests that wait for a thread. While there are so many, nothing new is begun: who polls asks
/// again, and what nobody waits for is left out.
pub(super) const JOBS_MAX: usize = 1000;

/// Name and value of each, for people.
pub fn limits() -> Vec<(&'static str, String)> {
    vec![
        ("consumer.buffer.kib", BUFFER_KIB.to_owned()),
        ("consumer.buffer.restore.kib", BUFFER_RESTORE_KIB.to_owned()),
        ("consumer.buffer.messages", BUFFER_MESSAGES.to_owned()),
        ("consumer.fetch.partition.bytes", FETCH_PARTITION_BYTES.to_owned()),
        ("consumer.fetch.bytes", FETCH_BYTES.to_owned()),
        ("producer.unsent.kib", UNSENT_KIB.to_owned()),
        ("producer.unsent.messages", UNSENT_MESSAGES.to_owned()),
        ("producer.message.bytes", MESSAGE_BYTES.to_owned()),
        ("requests.workers.max", WORKERS_MAX.to_string()),
        ("requests.waiting.max", JOBS_MAX.to_string()),
    ]
}
