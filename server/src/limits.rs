//! Every limit of the server, in one place. `/info` shows them as `millrace.limits.*`.

use std::time::Duration;

/// Bytes of a request body, except of [`LOAD_BODY_BYTES_MAX`].
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of one batch of `POST /millrace/topics/{topic}/records`.
pub const LOAD_BODY_BYTES_MAX: usize = 8 << 20;
/// Connections at a time; more wait to be accepted.
pub const CONNECTIONS_MAX: u32 = 1000;
/// Requests at a time on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 200;
/// A connection that says nothing for so long is closed.
pub const HEADER_WAIT: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Statements of one request.
pub const STATEMENTS_MAX: usize = 100;
/// Push queries (and PRINTs) at a time; `ksql.max.push.queries` lowers it.
pub const PUSH_QUERIES_MAX: usize = 100;
/// Calls of the engine at a time; more wait for their turn.
pub const ENGINE_CALLS_MAX: usize = 32;
/// Chunks of a response body that wait for a slow client; then its query waits.
pub const BODY_CHUNKS_MAX: usize = 16;
/// Bytes collected before a chunk is handed to the body.
pub const CHUNK_BYTES: usize = 32 << 10;
/// How long a push query's thread waits for rows before it looks whether its client is still there.
pub const PUSH_WAIT: Duration = Duration::from_millis(100);
/// An idle push query sends an empty line that often, so that proxies keep its connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a request waits for its `commandSequenceNumber`.
pub const COMMAND_WAIT: Duration = Duration::from_secs(5);
/// How long an ASSERT waits for what it says, unless it says how long; the longest it may say; and
/// the pause between two looks.
pub const ASSERT_WAIT: Duration = Duration::from_secs(1);
pub const ASSERT_WAIT_MAX: Duration = Duration::from_secs(60);
pub const ASSERT_PAUSE: Duration = Duration::from_millis(100);
/// Command statuses that `/status` remembers.
pub const STATUSES_MAX: usize = 1000;
/// `/healthcheck` asks the engine at most that often.
pub const HEALTH_AGE: Duration = Duration::from_secs(1);
/// At shutdown, open connections get that long to end.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(3);
/// Properties of one request, and variables of one request.
pub const PROPERTIES_MAX: usize = 200;

/// All of them as `/info` shows them.
pub fn effective() -> Vec<(&'static str, u64)> {
    vec![
        ("millrace.limits.body.bytes", BODY_BYTES_MAX as u64),
        ("millrace.limits.load.body.bytes", LOAD_BODY_BYTES_MAX as u64),
        ("millrace.limits.connections", u64::from(CONNECTIONS_MAX)),
        ("millrace.limits.statements", STATEMENTS_MAX as u64),
        ("millrace.limits.push.queries", PUSH_QUERIES_MAX as u64),
        ("millrace.limits.engine.calls", ENGINE_CALLS_MAX as u64),
        ("millrace.limits.body.chunks", BODY_CHUNKS_MAX as u64),
        ("millrace.limits.chunk.bytes", CHUNK_BYTES as u64),
        ("millrace.limits.keep.alive.ms", KEEP_ALIVE.as_millis() as u64),
        ("millrace.limits.command.wait.ms", COMMAND_WAIT.as_millis() as u64),
        ("millrace.limits.assert.wait.ms", ASSERT_WAIT_MAX.as_millis() as u64),
        ("millrace.limits.statuses", STATUSES_MAX as u64),
        ("millrace.limits.shutdown.wait.ms", SHUTDOWN_WAIT.as_millis() as u64),
        ("millrace.limits.properties", PROPERTIES_MAX as u64),
    ]
}
