//! Names: hints about quotes, and generated column names that clash with nothing.

use std::collections::HashSet;

use crate::ast::Ident;

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

/// Makes names that no column of the query has.
#[derive(Debug, Clone, Default)]
pub(super) struct Generator {
    taken: HashSet<String>,
    next_expression: usize,
    next_internal: usize,
}

impl Generator {
    pub fn new<'a>(taken: impl Iterator<Item = &'a str>) -> Self {
        Generator {
            taken: taken.map(str::to_string).collect(),
            next_expression: 0,
            next_internal: 0,
        }
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

    /// `KSQL_INTERNAL_COL_0`, ... for a column that no user sees.
    pub fn internal(&mut self) -> String {
        loop {
            let name = format!("KSQL_INTERNAL_COL_{}", self.next_internal);
            self.next_internal += 1;
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
    fn generated_names_avoid_taken_ones() {
        let mut names = Generator::new(["KSQL_COL_0", "C"].into_iter());
        assert_eq!(names.expression(), "KSQL_COL_1");
        assert_eq!(names.unique("C"), "C_1");
        assert_eq!(names.unique("C"), "C_2");
        assert_eq!(names.unique("D"), "D");
    }
}
