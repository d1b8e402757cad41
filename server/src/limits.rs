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
        ("millrace.limits.streams", u64::from(STREAMS_MAX)),
        ("millrace.limits.header.wait.ms", ms(HEADER_WAIT)),
        ("millrace.limits.accept.pause.ms", ms(ACCEPT_PAUSE)),
        ("millrace.limits.statements", STATEMENTS_MAX as u64),
        ("millrace.limits.push.queries", PUSH_QUERIES_MAX as u64),
        ("millrace.limits.engine.calls", ENGINE_CALLS_MAX as u64),
        ("millrace.limits.body.chunks", BODY_CHUNKS_MAX as u64),
        ("millrace.limits.chunk.bytes", CHUNK_BYTES as u64),
        ("millrace.limits.push.wait.ms", ms(PUSH_WAIT)),
        ("millrace.limits.keep.alive.ms", ms(KEEP_ALIVE)),
        ("millrace.limits.command.wait.ms", ms(COMMAND_WAIT)),
        ("millrace.limits.assert.wait.default.ms", ms(ASSERT_WAIT)),
        ("millrace.limits.assert.wait.ms", ms(ASSERT_WAIT_MAX)),
        ("millrace.limits.assert.pause.ms", ms(ASSERT_PAUSE)),
        ("millrace.limits.statuses", STATUSES_MAX as u64),
        ("millrace.limits.health.age.ms", ms(HEALTH_AGE)),
        ("millrace.limits.shutdown.wait.ms", ms(SHUTDOWN_WAIT)),
        ("millrace.limits.properties", PROPERTIES_MAX as u64),
    ]
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each constant of this file is shown, and none twice.
    #[test]
    fn all_limits_are_shown() {
        let shown = effective();
        let names: BTreeSet<&str> = shown.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), shown.len());
        let constants = include_str!("limits.rs").lines().filter(|l| l.starts_with("pub const "));
        // Those of the engine and of Kafka's client have lists of their own.
        let own = names.iter().filter(|name| name.starts_with("millrace.limits.")).count();
        assert_eq!(own, constants.count());
    }
}
