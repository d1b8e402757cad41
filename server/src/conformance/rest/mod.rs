//! REST cases: statements, records and expected answers, run against this server over HTTP with a
//! log in memory. Each case has a server of its own.

mod case;
mod check;
mod follow;
mod node;
mod proto;
mod run;

use super::case::Case;
use super::query_case::Verdict;

/// Runs one case.
pub fn run(case: &Case) -> Verdict {
    let case = case::RestCase::of(case);
    let outcome = crate::serve::runtime().and_then(|runtime| runtime.block_on(run::run(&case)));
    outcome.map_or_else(Verdict::Failed, |()| Verdict::Passed)
}
