//! What a case ended with, in the words and classes that ksqlDB gives to its errors.

use millrace_sql::ast::Statement;
use millrace_sql::error::{SqlError, SqlErrorKind, line_column};

use super::case::Exception;

/// Where an error comes from; it decides the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The text, before anything runs.
    Parse,
    /// Names, types and plans.
    Analyze,
    /// Doing what a statement says.
    Execute,
    /// Processing records.
    Run,
}

/// An error with all texts that ksqlDB would show for it.
#[derive(Debug, Clone)]
pub struct Thrown {
    pub stage: Stage,
    /// The message alone.
    pub message: String,
    /// The message with prefix, place and statement.
    pub long: String,
}

impl Thrown {
    pub fn new(stage: Stage, message: impl Into<String>) -> Self {
        let message = message.into();
        Thrown { stage, long: message.clone(), message }
    }

    /// An error of the parser; its message names the place already.
    pub fn of_parser(error: &SqlError, text: &str) -> Self {
        if error.kind != SqlErrorKind::Syntax {
            return Thrown {
                long: located(error, text),
                ..Thrown::new(Stage::Parse, &error.message)
            };
        }
        let start = error.span.unwrap_or_default().start;
        let (line, column) = line_column(text, start);
        let short = format!("line {line}:{column}: Syntax error at line {line}:{column}");
        let shown = text.lines().nth(line - 1).unwrap_or_default();
        let long = format!("{short}\n{}\nStatement: {shown}", error.message);
        Thrown { stage: Stage::Parse, message: error.message.clone(), long }
    }

    /// An error of the analyser about a statement of `text`; `sql` is its canonical form.
    pub fn of_analysis(error: &SqlError, statement: &Statement, text: &str, sql: &str) -> Self {
        let prefix = match statement {
            Statement::CreateAs(_) => "Could not determine output schema for query due to error: ",
            _ => "",
        };
        let message = &error.message;
        let long = format!(
            "{prefix}{message}\nStatement: {sql}\nException while preparing statement: {}\n{message}\n\
             Statement: {}",
            located(error, text),
            text.lines().last().unwrap_or_default()
        );
        Thrown { stage: Stage::Analyze, message: message.clone(), long }
    }

    /// Why this is not what was expected; `None` if it is.
    pub fn differs(&self, expected: &Exception) -> Option<String> {
        let text = expected.message.as_deref()?;
        if self.message.contains(text) || self.long.contains(text) {
            return None;
        }
        Some(format!("Expected an error with: {text}\nbut it was: {}", self.message))
    }
}

/// `Line: 1, Col: 2: message`.
fn located(error: &SqlError, text: &str) -> String {
    match error.span {
        Some(span) => {
            let (line, column) = line_column(text, span.start);
            format!("Line: {line}, Col: {column}: {}", error.message)
        }
        None => error.message.clone(),
    }
}
