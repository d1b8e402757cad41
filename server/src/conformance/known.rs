//! The list of cases that are known to fail: `name TAB reason`, one a line, sorted. `#` starts a
//! comment.

use std::collections::BTreeMap;
use std::path::Path;

use super::report::Report;

/// Longest reason that is written when none is given.
const REASON_CHARS_MAX: usize = 120;

/// Names and reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(pub BTreeMap<String, String>);

/// How a run and the list disagree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Failing cases that are not listed, with the failure.
    pub broken: Vec<(String, String)>,
    /// Listed cases that passed.
    pub mended: Vec<String>,
    /// Listed cases that do not exist.
    pub gone: Vec<String>,
}

impl Known {
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let entry = |line: &str| {
            let (name, reason) = line.split_once('\t').unwrap_or((line, ""));
            (name.to_owned(), reason.to_owned())
        };
        Known(lines.map(entry).collect())
    }

    /// # Errors
    /// A file that cannot be read.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path);
        Ok(Self::parse(&text.map_err(|e| format!("cannot read {}: {e}", path.display()))?))
    }

    /// The list as of `report`: failing cases with the reason that they have already, or else the
    /// kind of their failure. Cases that did not run keep their place if `partial`.
    pub fn updated(&self, report: &Report, partial: bool) -> Self {
        let mut list = BTreeMap::new();
        for (name, failure) in report.failures() {
            let kept = self.0.get(name).filter(|reason| !reason.is_empty()).cloned();
            list.insert(name.to_owned(), kept.unwrap_or_else(|| kind_of(failure)));
        }
        if partial {
            let others = self.0.iter().filter(|(name, _)| !report.has(name));
            list.extend(others.map(|(name, reason)| (name.clone(), reason.clone())));
        }
        Known(list)
    }

    pub fn drift(&self, report: &Report, partial: bool) -> Drift {
        let mut drift = Drift::default();
        for (name, failure) in report.failures() {
            if !self.0.contains_key(name) {
                drift.broken.push((name.to_owned(), failure.to_owned()));
            }
        }
        for name in self.0.keys() {
            if report.passed(name) {
                drift.mended.push(name.clone());
            } else if !report.has(name) && !partial {
                drift.gone.push(name.clone());
            }
        }
        drift
    }

    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Cases of ksqlDB's own tests that fail here, and why: name, tab, reason.\n\
             # Regenerate with: millrace test FOLDER --known THIS_FILE --update-known\n",
        );
        for (name, reason) in &self.0 {
            text.push_str(&format!("{name}\t{reason}\n"));
        }
        text
    }
}

/// A reason that says nothing of what is in the case.
fn kind_of(failure: &str) -> String {
    const KINDS: [(&str, &str); 6] = [
        ("Topic ", "other records"),
        ("The topic ", "other topics"),
        ("Source ", "another source at the end"),
        ("Expected an error, but there was none", "no error"),
        ("Expected an error with", "another error"),
        ("inputs[", "an input that cannot be written"),
    ];
    let line = failure.lines().next().unwrap_or_default().replace('\t', " ");
    match KINDS.iter().find(|(start, _)| line.starts_with(start)) {
        Some((_, kind)) => (*kind).to_owned(),
        None => line.chars().take(REASON_CHARS_MAX).collect(),
    }
}

impl Drift {
    pub fn is_empty(&self) -> bool {
        *self == Drift::default()
    }

    /// What to do, one line each.
    pub fn lines(&self) -> Vec<String> {
        let broken = self.broken.iter().map(|(name, why)| {
            let why = why.lines().next().unwrap_or_default();
            format!("fails and is not listed: {name}: {why}")
        });
        let mended = self.mended.iter().map(|name| format!("listed and passes: {name}"));
        let gone = self.gone.iter().map(|name| format!("listed and does not exist: {name}"));
        broken.chain(mended).chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::query_case::Verdict;
    use super::*;

    #[test]
    fn the_list_is_held_against_a_run_and_made_anew() {
        let known = Known::parse("# comment\na\treason a\nb\t\ngone\tx\n");
        let failed = |why: &str| Verdict::Failed(why.to_owned());
        assert_eq!(kind_of("Topic 'T', message 0: Expected <1> but was <2>"), "other records");
        let results = vec![
            ("a".to_owned(), failed("other")),
            ("b".to_owned(), Verdict::Passed),
            ("c".to_owned(), failed("first\tline\nsecond")),
        ];
        let report = Report::new(results);
        let drift = known.drift(&report, false);
        let lines = drift.lines();
        let want = [
            "fails and is not listed: c: first\tline",
            "listed and passes: b",
            "listed and does not exist: gone",
        ];
        assert_eq!(lines, want);
        let text = known.updated(&report, false).to_text();
        let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(lines, ["a\treason a", "c\tfirst line"]);
        assert!(known.updated(&report, true).0.contains_key("gone"));
        assert!(Known::parse(&text).drift(&report, true).is_empty());
    }
}
