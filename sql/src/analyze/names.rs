//! Names: near misses for hints, and generated column names that clash with nothing.

use std::collections::HashSet;

use crate::ast::Ident;

/// At most this many characters may differ for a name to be offered.
const DISTANCE_MAX: usize = 2;

/// The candidate nearest to `name`, if one is near enough. Case does not count.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let wanted = name.to_uppercase();
    let scored = candidates.map(|c| (distance(&wanted, &c.to_uppercase()), c));
    let (score, best) = scored.min()?;
    let allowed = DISTANCE_MAX.min(name.chars().count() / 2);
    (score <= allowed).then(|| best.to_string())
}

/// ksqlDB's hint about quotes when only the case differs, else a plain question.
pub(super) fn did_you_mean(written: &Ident, near: &str) -> String {
    if !written.value.eq_ignore_ascii_case(near) {
        return format!("did you mean {near}?");
    }
    if near == near.to_uppercase() {
        return format!(
            "Did you mean {near}? Hint: try removing double quotes from the source name."
        );
    }
    format!(
        "Did you mean \"{near}\"? Hint: wrap the source name in double quotes to make it \
         case-sensitive."
    )
}

/// Edits between two words; long words are far from everything.
fn distance(a: &str, b: &str) -> usize {
    const LENGTH_MAX: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > LENGTH_MAX || b.len() > LENGTH_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Makes names that no column of the query has.
#[derive(Debug, Clone, Default)]
pub(super) struct Generator {
    taken: HashSet<String>,
    next_expression: usize,
}

impl Generator {
    pub fn new<'a>(taken: impl Iterator<Item = &'a str>) -> Self {
        Generator { taken: taken.map(str::to_string).collect(), next_expression: 0 }
    }

    /// `KSQL_COL_0`, `KSQL_COL_1`, ... for an expression without a name of its own.
    pub fn expression(&mut self) -> String {
        loop {
            let name = format!("KSQL_COL_{}", self.next_expression);
            self.next_expression += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// `wanted`, or the first free one of `wanted_1`, `wanted_2`, ...
    pub fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut n = 0;
        while !self.taken.insert(name.clone()) {
            n += 1;
            name = format!("{wanted}_{n}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let near = |name: &str| nearest(name, ["PRICE", "NAME", "AB"].into_iter());
        assert_eq!(near("PRCIE").as_deref(), Some("PRICE"));
        assert_eq!(near("price").as_deref(), Some("PRICE"));
        assert_eq!(near("NAMES").as_deref(), Some("NAME"));
        assert_eq!(near("XY"), None);
    }

    #[test]
    fn generated_names_avoid_taken_ones() {
        let mut names = Generator::new(["KSQL_COL_0", "C"].into_iter());
        assert_eq!(names.expression(), "KSQL_COL_1");
        assert_eq!(names.unique("C"), "C_1");
        assert_eq!(names.unique("C"), "C_2");
        assert_eq!(names.unique("D"), "D");
    }
}
