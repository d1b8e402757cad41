//! The one error of this crate: a statement that cannot be accepted, with where and what to do.

use std::fmt;

/// A half-open byte range of the statement text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// What kind of refusal this is; decides the code that the REST API shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// The text does not parse.
    Syntax,
    /// A name, type or rule of the language is violated.
    Invalid,
    /// Valid in ksqlDB, but this version of Millrace does not do it yet.
    NotSupported,
}

/// A refused statement: one line saying what, where in the text, and a hint.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlError {
    pub kind: SqlErrorKind,
    pub message: String,
    pub span: Option<Span>,
    pub hint: Option<String>,
}

/// Result of everything in this crate that can refuse a statement.
pub type Result<T, E = SqlError> = std::result::Result<T, E>;

impl SqlError {
    pub fn syntax(message: impl Into<String>, span: Span) -> Self {
        Self::new(SqlErrorKind::Syntax, message, Some(span))
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Invalid, message, None)
    }

    pub fn not_supported(what: impl fmt::Display) -> Self {
        let message = format!("{what} is not supported yet");
        Self::new(SqlErrorKind::NotSupported, message, None)
    }

    pub fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn new(kind: SqlErrorKind, message: impl Into<String>, span: Option<Span>) -> Self {
        SqlError { kind, message: message.into(), span, hint: None }
    }

    /// The message, the line of `sql` with a caret under the span, and the hint.
    pub fn render(&self, sql: &str) -> String {
        let mut out = self.message.clone();
        if let Some(span) = self.span {
            let start = floor_char_boundary(sql, span.start);
            let line_start = sql[..start].rfind('\n').map_or(0, |i| i + 1);
            let line_end = sql[start..].find('\n').map_or(sql.len(), |i| start + i);
            let line = &sql[line_start..line_end];
            let column = sql[line_start..start].chars().count();
            let end = floor_char_boundary(sql, span.end.clamp(start, line_end));
            let width = sql[start..end].chars().count().max(1);
            out.push_str(&format!("\n  {line}\n  {}{}", " ".repeat(column), "^".repeat(width)));
        }
        if let Some(hint) = &self.hint {
            out.push_str("\nhint: ");
            out.push_str(hint);
        }
        out
    }
}

/// Line and column of a byte offset, both from 1; columns count characters.
pub fn line_column(sql: &str, at: usize) -> (usize, usize) {
    let before = &sql[..floor_char_boundary(sql, at)];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SqlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caret_stands_under_the_span_also_after_wide_text() {
        let sql = "SELECT 'ü',\n prcie FROM T;";
        let start = sql.find("prcie").expect("in the text");
        let error = SqlError::invalid("no column PRCIE").at(Span::new(start, start + 5));
        let error = error.hint("did you mean PRICE?");
        let want = "no column PRCIE\n   prcie FROM T;\n   ^^^^^\nhint: did you mean PRICE?";
        assert_eq!(error.render(sql), want);
    }
}
