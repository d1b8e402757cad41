//! CPU of our process for a query, with a sink of its output and without one.

use std::path::Path;
use std::time::{Duration, Instant};

use millrace_tests::olap::target::Target;

use super::node::Node;
use crate::end_to_end::{fill, process, topic};

/// Commit interval, in milliseconds.
const COMMIT_MS: u32 = 1000;
const AUCTIONS: u64 = 10_000;
/// One output for so many inputs.
const ONE_OF: u64 = 10;
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(50);

/// What a run cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub cpu_s: f64,
    /// Rows of the query.
    pub emitted: u64,
    /// Mean size of a row in the query's topic, in bytes.
    pub row_bytes: f64,
}

/// Makes the query over an empty topic, fills it, and lets a new server catch up. `with`: what the sink goes
/// to.
///
/// # Errors
/// Something does not start, or the output stays away.
pub fn measure(
    bootstrap: &str,
    dir: &Path,
    run: &str,
    events: u64,
    with: Option<&Target>,
) -> Result<Cost, String> {
    let mut node = Node::new(bootstrap, dir, run, COMMIT_MS)?;
    let (bids, tenth, sink) =
        (format!("{run}_bids"), format!("{run}_tenth"), format!("{run}_olap"));
    topic::create(bootstrap, &bids)?;
    let server = node.start()?;
    node.sql(&format!(
        "{} CREATE STREAM tenth WITH (KAFKA_TOPIC='{tenth}') AS SELECT auction, bidder, price, \
         url, dateTime, extra FROM bids WHERE auction % {ONE_OF} = 0;",
        crate::end_to_end::query::stream_sql(&bids)
    ))?;
    if let Some(target) = with {
        node.create_sink(target, &sink, "tenth")?;
    }
    server.stop();
    let expected =
        fill::plain(bootstrap, &bids, events, AUCTIONS, |bid| bid.auction % ONE_OF == 0)?;
    let server = node.start()?;
    let counted = match with {
        None => count(bootstrap, &tenth, expected),
        // Its rows come after those of the query.
        Some(_) => {
            count(bootstrap, &sink, expected).and_then(|_| count(bootstrap, &tenth, expected))
        }
    };
    let cpu_s = process::cpu_s(server.pid())?;
    let bytes = counted.map_err(|why| format!("{run}: {why}; {}", node.log()))?;
    server.stop();
    Ok(Cost { cpu_s, emitted: expected, row_bytes: bytes as f64 / expected as f64 })
}

/// Reads so many committed records; bytes of their values.
fn count(bootstrap: &str, name: &str, expected: u64) -> Result<u64, String> {
    let reader = topic::reader(bootstrap, name)?;
    let until = Instant::now() + CATCH_UP_TIME_MAX;
    let (mut records, mut bytes) = (0, 0);
    while records < expected {
        if Instant::now() > until {
            return Err(format!("{records} of {expected} records in {name}"));
        }
        let Some(message) = reader.poll(POLL) else { continue };
        let message = message.map_err(|e| format!("{name}: {e}"))?;
        records += 1;
        bytes += message.payload_len() as u64;
    }
    Ok(bytes)
}
