//! What the lanes that own a query's tasks say of its state.

use std::time::Duration;

use crate::api::QueryState;
use crate::worker::LaneReport;

/// A lane that has not stepped for this long is not running, whatever it says.
const TICK_MAX: Duration = Duration::from_secs(10);
/// Nor is one whose transaction has not ended for this long.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// How this node sees the world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The clock, as in the reports.
    pub now: Duration,
    /// False while the log is known not to answer.
    pub log_answers: bool,
    /// The group of nodes has given this one's lanes up.
    pub expelled: bool,
}

impl Seen {
    /// The state of a query with tasks in `lanes`: the worst of them.
    pub fn state_of<'a>(self, lanes: impl Iterator<Item = Option<&'a LaneReport>>) -> QueryState {
        let mut worst = QueryState::Running;
        for lane in lanes {
            match self.state_of_lane(lane) {
                QueryState::Unresponsive => return QueryState::Unresponsive,
                QueryState::Running => {}
                state => worst = state,
            }
        }
        worst
    }

    /// `None`: it is no lane of this node.
    fn state_of_lane(self, lane: Option<&LaneReport>) -> QueryState {
        let late = |since: Duration, at_most| self.now.saturating_sub(since) > at_most;
        match lane {
            // Nothing commits, here or elsewhere.
            _ if !self.log_answers => QueryState::Unresponsive,
            // It was this node's, and who has it now is not known.
            None if self.expelled => QueryState::Unresponsive,
            // Another node's lane; its headers will tell when nodes report to each other.
            None => QueryState::Running,
            Some(lane) if late(lane.ticked, TICK_MAX) => QueryState::Unresponsive,
            Some(lane) if lane.ending_since.is_some_and(|since| late(since, ENDING_MAX)) => {
                QueryState::Unresponsive
            }
            Some(lane) if !lane.running => QueryState::Restoring,
            Some(_) => QueryState::Running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lane at 100 s that ticked and began to end a transaction so many seconds ago.
    fn lane(running: bool, ticked: u64, ending: Option<u64>) -> Option<LaneReport> {
        let ago = |seconds| Duration::from_secs(100 - seconds);
        Some(LaneReport {
            running,
            command: 0,
            awaits: None,
            ending_since: ending.map(ago),
            ticked: ago(ticked),
            commits: 1,
            recoveries: 0,
            failure: None,
        })
    }

    #[test]
    fn a_query_runs_only_while_its_lanes_do() {
        use QueryState::{Restoring, Running, Unresponsive};
        let well = || lane(true, 0, None);
        // (lanes, the log answers, expelled, state)
        let cases = [
            (vec![], true, false, Running),
            (vec![well(), well()], true, false, Running),
            (vec![well(), None], true, false, Running),
            (vec![None], true, false, Running),
            (vec![lane(true, 0, Some(4))], true, false, Running),
            (vec![lane(false, 0, None), well()], true, false, Restoring),
            // Its lanes were given up, and nobody says who has them.
            (vec![None], true, true, Unresponsive),
            (vec![well(), None], true, true, Unresponsive),
            // The log is away: so is everything.
            (vec![well()], false, false, Unresponsive),
            (vec![None], false, false, Unresponsive),
            // A thread that hangs, a commit that never ends.
            (vec![well(), lane(true, 11, None)], true, false, Unresponsive),
            (vec![lane(true, 0, Some(6))], true, false, Unresponsive),
            (vec![lane(false, 0, None), lane(true, 0, Some(6))], true, false, Unresponsive),
        ];
        for (lanes, log_answers, expelled, want) in cases {
            let seen = Seen { now: Duration::from_secs(100), log_answers, expelled };
            let got = seen.state_of(lanes.iter().map(Option::as_ref));
            assert_eq!(got, want, "{lanes:?}, log {log_answers}, expelled {expelled}");
        }
    }
}
