//! A request's text as statements.

use millrace_sql::ast::{CreateConnector, InsertValues, Literal, Statement};
use millrace_sql::parser::{self, ParsedStatement, Variables};
use millrace_sql::unparse;

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
    /// The text as errors may repeat it: without the values of INSERT VALUES and the secrets of
    /// connectors.
    pub fn masked(&self) -> String {
        match &self.statement {
            Statement::InsertValues(insert) => masked(insert),
            Statement::CreateConnector(create) => masked_connector(create),
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
    let substitute =
        session.properties.get("ksql.variable.substitution.enable").is_none_or(|on| on == "true");
    let parsed = match substitute {
        true => parser::parse_with(sql, &session.variables),
        false => parser::parse(sql),
    };
    let parsed = parsed.map_err(|e| HttpError::statement(sql, &e))?;
    if parsed.len() > limits::STATEMENTS_MAX {
        let max = limits::STATEMENTS_MAX;
        return Err(HttpError::bad_request(format!("more than {max} statements in one request")));
    }
    let mut variables = session.variables.clone();
    let mut parts = Vec::with_capacity(parsed.len());
    for parsed in parsed {
        let part = match substitute && parsed.text.contains("${") {
            true => replaced(parsed, &variables)?,
            false => Part { text: parsed.text, statement: parsed.statement },
        };
        match &part.statement {
            Statement::Define { name, value } => variables.set(&name.value, value),
            Statement::Undefine { name } => variables.remove(&name.value),
            _ => {}
        }
        parts.push(part);
    }
    Ok(parts)
}

/// The engine is given text: variables are replaced in it, too. The result must be the statement
/// that the parser made of the variables, so a value cannot smuggle anything in.
fn replaced(parsed: ParsedStatement, variables: &Variables) -> Result<Part, HttpError> {
    let text = fill(&parsed.text, variables);
    match parser::parse_statement(&text) {
        Ok(again) if again == parsed.statement => Ok(Part { text, statement: parsed.statement }),
        _ => {
            let message = "The variables of this statement cannot be replaced in its text";
            Err(HttpError::refused(&parsed.text, message))
        }
    }
}

/// Replaces each `${name}` that is known; inside of quotes, quotes in the value are doubled.
fn fill(text: &str, variables: &Variables) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((value, after)) = variable(rest, variables) {
            match quote {
                Some(q) => out.push_str(&value.replace(q, &format!("{q}{q}"))),
                None => out.push_str(value),
            }
            rest = after;
            continue;
        }
        match quote {
            Some(q) if c == q => quote = None,
            None if matches!(c, '\'' | '"' | '`') => quote = Some(c),
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// The value of the variable that `text` starts with, and what follows it.
fn variable<'a, 'b>(text: &'a str, variables: &'b Variables) -> Option<(&'b str, &'a str)> {
    let (name, after) = text.strip_prefix("${")?.split_once('}')?;
    Some((variables.get(name)?, after))
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

/// Which connector it is may be told; its settings may be secrets.
fn masked_connector(create: &CreateConnector) -> String {
    let mut create = create.clone();
    for property in &mut create.properties.list {
        if !property.name.value.eq_ignore_ascii_case("connector.class") {
            property.value = Literal::String("[string]".to_owned());
        }
    }
    unparse::to_sql(&Statement::CreateConnector(Box::new(create)))
}

#[cfg(test)]
mod tests {
    use millrace_engine::api::Properties;

    use super::*;

    fn check(sql: &str, expected: Result<&[&str], &str>) {
        let variables = Variables::from_iter([("n", "S"), ("q", "it's"), ("two", "a, b")]);
        let session = Session { properties: Properties::new(), variables };
        match (split(sql, &session), expected) {
            (Ok(parts), Ok(texts)) => {
                let got: Vec<&str> = parts.iter().map(|p| p.text.as_str()).collect();
                assert_eq!(got, texts);
            }
            (Err(e), Err(part)) => assert!(e.message.contains(part), "{}", e.message),
            (got, _) => panic!("{sql}: {got:?}"),
        }
    }

    #[test]
    fn variables_are_replaced_in_the_text() {
        check("DESCRIBE ${n}; SHOW TOPICS;", Ok(&["DESCRIBE S;", "SHOW TOPICS;"]));
        check("INSERT INTO S VALUES ('${q} $');", Ok(&["INSERT INTO S VALUES ('it''s $');"]));
        check(
            "DEFINE x = '1'; INSERT INTO S VALUES (${x});",
            Ok(&["DEFINE x = '1';", "INSERT INTO S VALUES (1);"]),
        );
        check("DESCRIBE ${nobody};", Err("not defined"));
        check("DESCRIBE ${two};", Err("no single constant or name"));
    }

    #[test]
    fn texts_that_are_refused() {
        check(&"SHOW TOPICS;".repeat(limits::STATEMENTS_MAX + 1), Err("more than 100"));
        check("SHOW TOPICS", Err("missing ';'"));
        check("", Ok(&[]));
        check("-- nothing", Ok(&[]));
    }

    #[test]
    fn settings_of_connectors_are_masked() {
        let sql = "CREATE SINK CONNECTOR C WITH ('connector.class'='x.Y', 'password'='hunter2');";
        let parts = split(sql, &Session::default()).unwrap();
        let masked = parts[0].masked();
        assert!(masked.contains("x.Y") && masked.contains("[string]"), "{masked}");
        assert!(!masked.contains("hunter2"), "{masked}");
    }

    #[test]
    fn explained_statements() {
        assert_eq!(after_explain(" explain SELECT 1;"), "SELECT 1;");
        assert_eq!(after_explain("ü"), "ü");
    }
}
