//! A request's text as statements.

use millrace_sql::ast::{InsertValues, Statement};
use millrace_sql::error::SqlError;

use super::Session;
use crate::http::error::HttpError;
use crate::limits;

/// One statement of a request.
#[derive(Debug, Clone)]
pub struct Part {
    /// With its `;`, variables replaced.
    pub text: String,
    pub statement: Statement,
}

impl Part {
    /// The text as errors may repeat it: without the values of INSERT VALUES.
    pub fn masked(&self) -> String {
        match &self.statement {
            Statement::InsertValues(insert) => masked(insert),
            _ => self.text.clone(),
        }
    }
}

/// Splits and parses `sql`; `${name}` is replaced from the session's variables and from DEFINEs
/// further up.
///
/// # Errors
/// The first statement that does not parse, too many statements, a variable that is not defined.
pub fn split(sql: &str, session: &Session) -> Result<Vec<Part>, HttpError> {
    let (_, _) = (session, limits::STATEMENTS_MAX);
    Err(HttpError::statement(sql, &SqlError::not_supported("parsing")))
}

/// The statement after the word EXPLAIN.
pub fn after_explain(text: &str) -> &str {
    let text = text.trim_start();
    match text.get(..7) {
        Some(word) if word.eq_ignore_ascii_case("EXPLAIN") => text[7..].trim_start(),
        _ => text,
    }
}

fn masked(insert: &InsertValues) -> String {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let columns: Vec<String> = insert.columns.iter().map(|c| quoted(&c.value)).collect();
    let columns = match columns.is_empty() {
        true => String::new(),
        false => format!("({}) ", columns.join(", ")),
    };
    let values = vec!["'[value]'"; insert.values.len()].join(", ");
    format!("INSERT INTO {} {columns}VALUES ({values});", quoted(&insert.name.value))
}
