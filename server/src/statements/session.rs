//! What SET and DEFINE change, for the rest of one request.

use millrace_engine::api::Properties;
use millrace_sql::ast::Statement;
use millrace_sql::error::{Span, SqlError};
use millrace_sql::parser::Variables;
use serde_json::{Map, Value};

use super::Part;
use crate::config::{check_session, known};
use crate::http::error::HttpError;
use crate::limits;

/// Properties and variables of a request.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// The server's defaults overlaid with the request's.
    pub properties: Properties,
    pub variables: Variables,
}

impl Session {
    /// # Errors
    /// A property that a request may not set, a value that does not fit, too many of them.
    pub fn new(
        defaults: &Properties,
        properties: &Map<String, Value>,
        variables: &Map<String, Value>,
    ) -> Result<Session, HttpError> {
        if properties.len() + variables.len() > limits::PROPERTIES_MAX {
            let max = limits::PROPERTIES_MAX;
            return Err(HttpError::bad_request(format!(
                "more than {max} properties and variables in one request"
            )));
        }
        let mut session = Session { properties: defaults.clone(), variables: Variables::default() };
        for (name, value) in properties {
            if value.is_null() {
                continue;
            }
            let checked = check_session(name, &text_of(value))
                .map_err(|e| HttpError::bad_request(e.render("")))?;
            session.properties.insert(checked.0, checked.1);
        }
        for (name, value) in variables {
            session.variables.set(name, text_of(value));
        }
        Ok(session)
    }

    /// SET, UNSET, DEFINE, UNDEFINE.
    ///
    /// # Errors
    /// A property that a request may not set; a variable that is not defined.
    pub fn apply(&mut self, part: &Part) -> Result<(), HttpError> {
        match &part.statement {
            Statement::Set { name, value } => {
                let (name, value) = check_session(name, value)
                    .map_err(|e| HttpError::statement(&part.text, &at_name(&part.text, name, e)))?;
                self.properties.insert(name, value);
            }
            Statement::Unset { name } => {
                self.properties.remove(known::canonical(name));
            }
            Statement::Define { name, value } => {
                self.variables.set(&name.value, value);
            }
            Statement::Undefine { name } => {
                self.variables.remove(&name.value);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Puts a caret under the name that SET gives.
pub fn at_name(text: &str, name: &str, error: SqlError) -> SqlError {
    match text.find(name) {
        Some(start) => error.at(Span::new(start, start + name.len())),
        None => error,
    }
}

/// JSON clients send numbers and booleans as such.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
