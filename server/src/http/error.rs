//! Failures as ksqlDB's clients read them: `generic_error` and `statement_error` with their codes.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use millrace_engine::api::ApiError;
use millrace_engine::error::{EngineError, Kind};
use millrace_engine::log::LogError;
use millrace_sql::error::{SqlError, SqlErrorKind};
use serde_json::{Value, json};

/// ksqlDB's error codes: HTTP status times 100 plus a number.
pub mod code {
    pub const BAD_REQUEST: u32 = 40000;
    pub const BAD_STATEMENT: u32 = 40001;
    pub const QUERY_ENDPOINT: u32 = 40002;
    pub const PUSH_QUERIES: u32 = 40003;
    pub const HTTP2_ONLY: u32 = 40004;
    pub const DENIED: u32 = 40301;
    pub const NOT_FOUND: u32 = 40400;
    pub const NOT_ACCEPTABLE: u32 = 40600;
    pub const TOO_LARGE: u32 = 41300;
    pub const ASSERTION: u32 = 41700;
    pub const NO_REGISTRY: u32 = 42801;
    pub const TOO_MANY: u32 = 42900;
    pub const SERVER: u32 = 50000;
    pub const COMMAND_WAIT: u32 = 50301;
    pub const STARTING: u32 = 50302;
    pub const SHUTTING_DOWN: u32 = 50303;
}

/// A failed request.
#[derive(Debug, Clone)]
pub struct HttpError {
    /// One of [`code`]; the HTTP status is its first three digits.
    pub code: u32,
    pub message: String,
    /// Set when one statement is to blame: its text.
    pub statement: Option<String>,
    /// Entities of the statements that ran before it.
    pub entities: Vec<Value>,
}

impl HttpError {
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        HttpError { code, message: message.into(), statement: None, entities: Vec::new() }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(code::BAD_REQUEST, message)
    }

    /// A statement that cannot be accepted, with line, caret and hint when the error knows them.
    pub fn statement(sql: &str, error: &SqlError) -> Self {
        Self::new(code::BAD_STATEMENT, rendered(sql, error)).about(sql)
    }

    /// A refused statement, told in one line.
    pub fn refused(sql: &str, message: impl Into<String>) -> Self {
        Self::new(code::BAD_STATEMENT, message).about(sql)
    }

    /// Names the statement to blame.
    pub fn about(mut self, sql: &str) -> Self {
        self.statement = Some(sql.to_string());
        self
    }

    /// What the engine said about `sql`.
    pub fn from_api(sql: &str, error: ApiError) -> Self {
        match error {
            ApiError::Statement { sql: part, error } => {
                Self::new(code::BAD_STATEMENT, rendered(&part, &error)).about(sql)
            }
            ApiError::Engine(error) => Self::from_engine(&error).about(sql),
            ApiError::TooMany(message) => Self::new(code::TOO_MANY, message),
            ApiError::Starting(message) => Self::new(code::STARTING, message),
        }
    }

    /// A failure that belongs to no statement.
    pub fn from_engine(error: &EngineError) -> Self {
        let code = match (error, error.kind()) {
            (EngineError::Log(LogError::Denied(_)), _) => code::DENIED,
            (_, Kind::User | Kind::Config) => code::BAD_STATEMENT,
            _ => code::SERVER,
        };
        Self::new(code, error.to_string())
    }

    pub fn status(&self) -> StatusCode {
        let status = u16::try_from(self.code / 100).ok().and_then(|s| StatusCode::from_u16(s).ok());
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body: a `statement_error` when a statement is to blame, else a `generic_error`.
    pub fn to_json(&self) -> Value {
        match &self.statement {
            Some(statement) => json!({
                "@type": "statement_error",
                "error_code": self.code,
                "message": self.message,
                "statementText": statement,
                "entities": self.entities,
            }),
            None => json!({
                "@type": "generic_error",
                "error_code": self.code,
                "message": self.message,
            }),
        }
    }
}

/// The error with its place in the text. The line that does not parse stands behind `Statement: `, as
/// in ksqlDB.
fn rendered(sql: &str, error: &SqlError) -> String {
    let rendered = error.render(sql);
    let (SqlErrorKind::Syntax, Some(_)) = (error.kind, error.span) else { return rendered };
    let place = rendered.strip_prefix(&error.message).unwrap_or_default();
    // A line break, the indented line, a line break, the indented caret, and perhaps a hint.
    let place = place.strip_prefix("\n  ").and_then(|place| place.split_once("\n  "));
    let Some((line, caret)) = place else { return rendered };
    const STATEMENT: &str = "Statement: ";
    format!("{}\n{STATEMENT}{line}\n{:w$}{caret}", error.message, "", w = STATEMENT.len())
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response<Body> {
        let mut response = axum::Json(self.to_json()).into_response();
        *response.status_mut() = self.status();
        if self.code == code::STARTING {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use millrace_sql::error::Span;

    use super::*;

    #[test]
    fn codes_give_the_status() {
        for (code, status) in [(40001, 400), (42900, 429), (50302, 503), (7, 500)] {
            assert_eq!(HttpError::new(code, "x").status().as_u16(), status, "{code}");
        }
    }

    #[test]
    fn a_statement_error_has_caret_and_hint() {
        let error = SqlError::invalid("no column X").at(Span::new(7, 8)).hint("columns: A");
        let body = HttpError::statement("SELECT x FROM S;", &error).to_json();
        assert_eq!(body["@type"], "statement_error");
        assert_eq!(body["error_code"], 40001);
        assert_eq!(body["statementText"], "SELECT x FROM S;");
        let message = "no column X\n  SELECT x FROM S;\n         ^\nhint: columns: A";
        assert_eq!(body["message"], message);
    }

    #[test]
    fn what_does_not_parse_is_shown_once() {
        let error = SqlError::syntax("line 1:8: Syntax Error\n", Span::new(7, 8));
        let message = HttpError::statement("SELECT ! FROM S;", &error).message;
        let place = "Statement: SELECT ! FROM S;\n                  ^";
        assert_eq!(message, format!("line 1:8: Syntax Error\n\n{place}"));
        let message = HttpError::statement("SELECT ! FROM S;", &error.hint("leave it out")).message;
        let place = format!("{place}\nhint: leave it out");
        assert_eq!(message, format!("line 1:8: Syntax Error\n\n{place}"));
    }

    #[test]
    fn failures_of_the_log_are_the_servers() {
        let error = EngineError::Log(LogError::Unreachable("refused".to_string()));
        assert_eq!(HttpError::from_engine(&error).code, code::SERVER);
        let error = EngineError::Log(LogError::Denied("topic t".to_string()));
        assert_eq!(HttpError::from_engine(&error).code, code::DENIED);
    }
}
