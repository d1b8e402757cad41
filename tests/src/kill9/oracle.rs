//! What the output has to be, computed from the committed input alone.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::input::{Committed, key_text, table_name};
use super::output::Seen;
use super::topics::{WINDOW_MS, WITHIN_MS};

/// Differences that are written out; the others are counted.
const SHOWN_MAX: usize = 10;

/// The right answers.
pub struct Oracle {
    counts: BTreeMap<(String, i64), u64>,
    named: BTreeMap<String, Vec<(u64, String)>>,
    paid: HashSet<(u64, u64)>,
}

/// How an output differs from the right one.
#[derive(Debug, Default)]
pub struct Verdict {
    pub lost: u64,
    pub doubled: u64,
    /// Neither lost nor doubled, and wrong all the same.
    pub wrong: u64,
    shown: Vec<String>,
}

impl Oracle {
    /// Computes the answers in the plainest way.
    pub fn of(input: &Committed) -> Self {
        let mut counts = BTreeMap::new();
        let mut named: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
        for event in &input.events {
            let key = key_text(event.key);
            let start = event.ts - event.ts.rem_euclid(WINDOW_MS);
            *counts.entry((key.clone(), start)).or_default() += 1;
            if let Some(name) = table_name(event.key) {
                named.entry(key).or_default().push((event.id, name));
            }
        }
        let payments = Committed::by_key(&input.payments);
        let mut paid = HashSet::new();
        for event in &input.events {
            let near = payments.get(&event.key).into_iter().flatten();
            let near = near.filter(|payment| (payment.ts - event.ts).abs() <= WITHIN_MS);
            paid.extend(near.map(|payment| (event.id, payment.id)));
        }
        Oracle { counts, named, paid }
    }

    /// Windows and their counts of one key.
    pub fn counts_of(&self, key: &str) -> Vec<(i64, u64)> {
        let of_key = self.counts.iter().filter(|((k, _), _)| k == key);
        of_key.map(|((_, start), count)| (*start, *count)).collect()
    }

    /// Compares the whole output.
    pub fn judge(&self, seen: &Seen) -> Verdict {
        let mut verdict = Verdict::certain(seen);
        for (window, count) in &self.counts {
            let got = seen.counts.get(window).copied().unwrap_or_default();
            verdict.lose(count.saturating_sub(got), || format!("{window:?}: {got} of {count}"));
        }
        for (window, got) in &seen.counts {
            let count = self.counts.get(window).copied().unwrap_or_default();
            verdict.double(got.saturating_sub(count), || format!("{window:?}: {got} of {count}"));
        }
        self.judge_named(seen, &mut verdict);
        for pair in &self.paid {
            let missing = u64::from(!seen.paid.contains_key(pair));
            verdict.lose(missing, || format!("event and payment {pair:?}"));
        }
        for pair in seen.paid.keys().filter(|pair| !self.paid.contains(pair)) {
            verdict.spoil(format!("event and payment {pair:?} do not belong together"));
        }
        verdict
    }

    fn judge_named(&self, seen: &Seen, verdict: &mut Verdict) {
        let keys: HashSet<&String> = self.named.keys().chain(seen.named.keys()).collect();
        for key in keys {
            let want = self.named.get(key).map_or(&[][..], Vec::as_slice);
            let got = seen.named.get(key).map_or(&[][..], Vec::as_slice);
            if want == got {
                continue;
            }
            let got_ids: HashSet<u64> = got.iter().map(|(id, _)| *id).collect();
            let want_ids: HashSet<u64> = want.iter().map(|(id, _)| *id).collect();
            let missing = want_ids.difference(&got_ids).count() as u64;
            verdict.lose(missing, || format!("{missing} named events of {key}"));
            let mixed = || format!("named events of {key} are others than expected");
            match (missing, got.len() == got_ids.len()) {
                (0, true) => verdict.spoil(mixed()),
                _ if !got_ids.is_subset(&want_ids) => verdict.spoil(mixed()),
                _ => {}
            }
        }
    }
}

impl Verdict {
    /// What is wrong whatever input comes later: ids that came twice, counts that fell.
    pub fn certain(seen: &Seen) -> Verdict {
        let mut verdict = Verdict::default();
        for (key, ids) in &seen.named {
            let mut once = HashSet::new();
            for (id, _) in ids.iter().filter(|(id, _)| !once.insert(*id)) {
                verdict.double(1, || format!("named event {id} of {key}"));
            }
        }
        for (pair, times) in &seen.paid {
            verdict.double(times - 1, || format!("event and payment {pair:?}"));
        }
        for fall in &seen.went_back {
            verdict.spoil(format!("a count fell: {fall}"));
        }
        for strange in &seen.strange {
            verdict.spoil(strange.clone());
        }
        verdict
    }

    /// Nothing is lost, doubled or wrong.
    pub fn is_right(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.wrong == 0
    }

    fn lose(&mut self, count: u64, what: impl Fn() -> String) {
        self.lost += count;
        self.show(count, "lost", what);
    }

    fn double(&mut self, count: u64, what: impl Fn() -> String) {
        self.doubled += count;
        self.show(count, "doubled", what);
    }

    fn spoil(&mut self, what: String) {
        self.wrong += 1;
        self.show(1, "wrong", || what.clone());
    }

    fn show(&mut self, count: u64, how: &str, what: impl Fn() -> String) {
        if count > 0 && self.shown.len() < SHOWN_MAX {
            self.shown.push(format!("{how}: {}", what()));
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost={} doubled={} wrong={}", self.lost, self.doubled, self.wrong)?;
        self.shown.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
