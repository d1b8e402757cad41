//! What became of the cases, for people and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::known::Known;
use super::query_case::Verdict;

/// Verdicts in the order of the files.
#[derive(Debug, Default)]
pub struct Report {
    results: Vec<(String, Verdict)>,
    places: BTreeMap<String, usize>,
}

impl Report {
    pub fn new(results: Vec<(String, Verdict)>) -> Self {
        let names = results.iter().enumerate().map(|(at, (name, _))| (name.clone(), at));
        Report { places: names.collect(), results }
    }

    /// Forgets the listed cases.
    pub fn leave_out(&mut self, listed: &Known) {
        let results = std::mem::take(&mut self.results);
        let kept = results.into_iter().filter(|(name, _)| !listed.0.contains_key(name));
        *self = Report::new(kept.collect());
    }

    /// Names and reasons of the cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.results.iter().filter_map(|(name, verdict)| match verdict {
            Verdict::Failed(why) => Some((name.as_str(), why.as_str())),
            _ => None,
        })
    }

    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    pub fn passed(&self, name: &str) -> bool {
        let at = self.places.get(name);
        at.is_some_and(|at| self.results[*at].1 == Verdict::Passed)
    }

    /// Passed, failed and skipped.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |test: fn(&Verdict) -> bool| self.results.iter().filter(|r| test(&r.1)).count();
        (
            count(|v| *v == Verdict::Passed),
            count(|v| matches!(v, Verdict::Failed(_))),
            count(|v| matches!(v, Verdict::NotApplicable(_))),
        )
    }

    /// The closing line.
    pub fn summary(&self) -> String {
        let (passed, failed, skipped) = self.counts();
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }

    pub fn to_json(&self) -> Value {
        let (passed, failed, skipped) = self.counts();
        let case = |(name, verdict): &(String, Verdict)| match verdict {
            Verdict::Passed => json!({ "name": name, "result": "passed" }),
            Verdict::Failed(why) => json!({ "name": name, "result": "failed", "reason": why }),
            Verdict::NotApplicable(why) => {
                json!({ "name": name, "result": "not applicable", "reason": why })
            }
        };
        let cases: Vec<Value> = self.results.iter().map(case).collect();
        json!({ "passed": passed, "failed": failed, "skipped": skipped, "cases": cases })
    }
}
