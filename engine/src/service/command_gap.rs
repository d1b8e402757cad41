//! A command log that lost commands: what the lanes have committed rests on commands that it does not
//! hold any more. Nothing is safe to run or to change then, and that must be seen.

use std::task::Poll;

use crate::error::Result;
use crate::ids::{Offset, TopicId};
use crate::service::{Booted, Inner};

/// The part of `health`. Statements are refused while it is there.
pub(super) const COMMAND_LOG: &str = "command_log";
/// As [`COMMAND_LOG`], of topics that were deleted under a running service.
pub(super) const OWN_TOPICS: &str = "own_topics";

/// What a lane waits for, and what there is.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// The command that the lane's last owner had applied.
    awaited: i64,
    /// The last one that this node has applied.
    applied: i64,
    /// Up to where this node has read.
    read_to: i64,
    /// Where the log ends.
    end: i64,
}

impl Wait {
    /// True if what is awaited will never come: it was committed, so it had been in the log.
    fn is_vain(self) -> bool {
        self.applied < self.awaited && (self.end <= self.awaited || self.read_to > self.awaited)
    }
}

/// Looks whether a lane waits for a command that is not in the log.
pub(super) fn check(inner: &Inner, booted: &Booted, read_to: Offset) -> Result<()> {
    let reports = booted.workers.reports();
    let waiting = reports.into_iter().filter_map(|(lane, report)| Some((report.awaits?, lane)));
    let Some((awaited, lane)) = waiting.max() else {
        inner.no_trouble(COMMAND_LOG);
        return Ok(());
    };
    let Poll::Ready(ends) = inner.seams.log.ends(&[booted.command_tp]) else { return Ok(()) };
    let end = ends?.first().map_or(0, |ends| ends.hw.0);
    let applied = inner.registry.command();
    if !(Wait { awaited, applied, read_to: read_to.0, end }).is_vain() {
        inner.no_trouble(COMMAND_LOG);
        return Ok(());
    }
    let topic = inner.names.command_topic();
    let why = format!(
        "lane {lane} was committed with command {awaited}, but the log of commands, topic {topic}, \
         ends at {end}: it was deleted or cut, and the catalog with it. Nothing runs and no statement \
         is taken. Bring the topic back, or begin anew with another ksql.service.id"
    );
    inner.trouble(COMMAND_LOG, why);
    Ok(())
}

/// A topic was deleted, or made again: told if the service cannot be without it.
pub(super) fn topic_gone(inner: &Inner, booted: &Booted, topic: TopicId) {
    let name = match topic {
        id if id == booted.command_tp.topic => inner.names.command_topic(),
        id if id == booted.world.progress_topic => inner.names.progress_topic(),
        _ => return,
    };
    let why = format!(
        "topic {name} was deleted: the service cannot go on without it, and no statement is taken. \
         Begin anew with another ksql.service.id"
    );
    inner.trouble(OWN_TOPICS, why);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_vain_when_the_log_ends_before() {
        // (awaited, applied, read to, end)
        let cases = [
            ((5, 5, 6, 6), false),
            ((5, 7, 8, 8), false),
            // Not read yet.
            ((5, 2, 3, 6), false),
            ((5, -1, 0, 9), false),
            // Deleted, and made again or cut.
            ((5, -1, 0, 0), true),
            ((5, 2, 3, 3), true),
            ((5, 4, 5, 5), true),
            // Something else stands in its place.
            ((5, 4, 6, 6), true),
        ];
        for ((awaited, applied, read_to, end), vain) in cases {
            let wait = Wait { awaited, applied, read_to, end };
            assert_eq!(wait.is_vain(), vain, "{wait:?}");
        }
    }
}
