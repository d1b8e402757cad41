//! The seam to Apache Pinot and Apache Druid: makes their tables, asks how they are. `connectors`
//! implements it. Rows never pass here: they go through a topic.

use std::collections::{BTreeMap, BTreeSet};

use millrace_sql::olap::OlapTable;
use serde_json::Value;

/// One line for the user: what is wrong, and what to do.
pub type OlapResult<T> = Result<T, String>;

/// Whoever makes the tables. All calls may block for a bounded time.
pub trait OlapTargets: Send + Sync {
    /// The documents that would make the table, for the version that answers; when none does, for a
    /// current one.
    ///
    /// # Errors
    /// When the table cannot be made there, whatever its state.
    fn documents(&self, table: &OlapTable) -> OlapResult<Value>;

    /// Checks that the table can be made, and touches nothing.
    ///
    /// # Errors
    /// The system does not answer, refuses the documents, or has another table of that name.
    fn check(&self, table: &OlapTable) -> OlapResult<()>;

    /// Makes the table unless it is there just so, and waits until it reads its topic.
    ///
    /// # Errors
    /// As for `check`. What was made of it is taken away again.
    fn create(&self, table: &OlapTable) -> OlapResult<()>;

    /// Adds the columns that `new` has and `old` has not, and waits until every row that is sent from
    /// then on keeps their values. Columns that are there already are as wanted.
    ///
    /// # Errors
    /// The system does not answer or refuses, has no such table, or has other columns of these names.
    /// Columns that were added stay: saying it again goes on from there.
    fn alter(&self, old: &OlapTable, new: &OlapTable) -> OlapResult<()>;

    /// Deletes the table with its rows. One that is not there is as wanted.
    ///
    /// # Errors
    /// The system does not answer, or refuses.
    fn delete(&self, table: &OlapTable) -> OlapResult<()>;

    /// How the table is doing.
    fn state(&self, table: &OlapTable) -> OlapState;

    /// The system's own SQL that reads the rows as they are now.
    fn current_rows(&self, table: &OlapTable) -> String;
}

/// How a table is doing, as its system tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OlapState {
    /// `RUNNING`, `FAILING`, `UNREACHABLE`, or the system's word.
    pub state: String,
    /// The partitions of the topic that somebody reads, where the system tells.
    pub read: Option<BTreeSet<u32>>,
    /// The offset after the last record read, by partition of the topic, where it is known.
    pub next: BTreeMap<u32, i64>,
    pub last_error: Option<String>,
}

impl OlapState {
    /// All is well.
    pub const RUNNING: &str = "RUNNING";
    /// Rows are not taken in, or not all of them.
    pub const FAILING: &str = "FAILING";

    /// A table that leaves out partitions of its topic is not well, whatever its system says of the
    /// others.
    #[must_use]
    pub fn reading_all(mut self, partitions: u32) -> Self {
        let Some(read) = self.read.as_ref().filter(|_| self.state == Self::RUNNING) else {
            return self;
        };
        let left_out = (0..partitions).filter(|partition| !read.contains(partition));
        let left_out: Vec<String> = left_out.map(|partition| partition.to_string()).collect();
        if !left_out.is_empty() {
            self.state = Self::FAILING.to_owned();
            let why = format!("nobody reads partition {} of the topic", left_out.join(", "));
            self.last_error = Some(match self.last_error {
                Some(error) => format!("{why}; {error}"),
                None => why,
            });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_leaves_partitions_out_fails() {
        let check = |state: &str, read: Option<&[u32]>, expected: (&str, Option<&str>)| {
            let read = read.map(|read| read.iter().copied().collect());
            let error = Some("it burns".to_owned()).filter(|_| state == "PAUSED");
            let told = OlapState {
                state: state.to_owned(),
                read,
                last_error: error,
                ..Default::default()
            };
            let judged = told.reading_all(3);
            assert_eq!((judged.state.as_str(), judged.last_error.as_deref()), expected);
        };
        check("RUNNING", None, ("RUNNING", None));
        check("RUNNING", Some(&[0, 1, 2]), ("RUNNING", None));
        let why = Some("nobody reads partition 1 of the topic");
        check("RUNNING", Some(&[0, 2]), ("FAILING", why));
        let why = Some("nobody reads partition 0, 1, 2 of the topic");
        check("RUNNING", Some(&[]), ("FAILING", why));
        check("PAUSED", Some(&[]), ("PAUSED", Some("it burns")));
    }
}
