//! Words of messages and command ids.

use millrace_sql::catalog::SourceKind;

/// `terminate/ID/execute`
pub(super) fn query_command(queries: &[String], verb: &str) -> String {
    let one = if let [id] = queries { id.as_str() } else { "ALL" };
    format!("{verb}/{one}/execute")
}

pub(super) fn source_word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "STREAM",
        SourceKind::Table => "TABLE",
    }
}

pub(super) fn capitalised(word: &str) -> String {
    let lower = word.to_lowercase();
    let mut chars = lower.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
