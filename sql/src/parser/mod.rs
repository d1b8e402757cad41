//! Tokens to syntax tree: recursive descent, one file per family of statements. Linear in the
//! text; nesting, height and size are bounded.

mod admin;
mod assert;
mod cursor;
mod expr;
mod literal;
mod order;
mod primary;
mod query;
mod sink;
mod source;
mod subquery;
mod types;
mod variables;

pub use self::cursor::{HEIGHT_MAX, NESTING_MAX, STACK_BYTES};
pub use self::subquery::{SUBQUERIES_MAX, SUBQUERY_DEPTH_MAX};
pub use self::variables::Variables;

use self::cursor::Parser;
use crate::ast::{ConnectorKind, Expr, Statement, TypeExpr};
use crate::error::{Result, Span, SqlError};
use crate::lexer::{Keyword, Symbol, Token, TokenKind, tokenize};

/// One statement of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedStatement {
    /// All places in it are byte offsets in the whole text given to [`parse`].
    pub statement: Statement,
    /// As written, with its `;`, before variables are replaced.
    pub text: String,
    pub span: Span,
}

/// All statements of `sql`, each ended by `;`. Text in quotes stays as it is; `${x}` outside of
/// quotes is refused.
///
/// # Errors
/// The first syntax error, with its place.
pub fn parse(sql: &str) -> Result<Vec<ParsedStatement>> {
    parse_all(sql, None, false)
}

/// [`parse`], also for what only the test runner knows: ASSERT VALUES, ASSERT NULL VALUES, ASSERT
/// STREAM and ASSERT TABLE.
///
/// # Errors
/// As [`parse`].
pub fn parse_test_script(sql: &str) -> Result<Vec<ParsedStatement>> {
    parse_all(sql, None, true)
}

/// [`parse`], with variables replaced. DEFINE and UNDEFINE in the text work on the statements
/// after them.
///
/// # Errors
/// The first syntax error; a variable that is unknown or no single constant or name.
pub fn parse_with(sql: &str, variables: &Variables) -> Result<Vec<ParsedStatement>> {
    parse_all(sql, Some(variables.clone()), false)
}

/// The only statement of `sql`.
///
/// # Errors
/// As [`parse`], and when there is none or more than one.
pub fn parse_statement(sql: &str) -> Result<Statement> {
    let mut statements = parse(sql)?;
    match (statements.pop(), statements.len()) {
        (Some(one), 0) => Ok(one.statement),
        (None, _) => Err(SqlError::syntax("There is no statement", Span::default())),
        (Some(last), others) => {
            let message = format!("One statement was expected, there are {}", others + 1);
            Err(SqlError::syntax(message, last.span))
        }
    }
}

/// `sql` as one expression, without `;`.
///
/// # Errors
/// A syntax error, also for text after the expression.
pub fn parse_expression(sql: &str) -> Result<Expr> {
    parse_part(sql, |p| p.expr())
}

/// `sql` as one type, without `;`.
///
/// # Errors
/// A syntax error, also for text after the type.
pub fn parse_type(sql: &str) -> Result<TypeExpr> {
    parse_part(sql, |p| p.ty())
}

fn parse_part<T>(sql: &str, part: impl FnOnce(&mut Parser<'_>) -> Result<T>) -> Result<T> {
    let tokens = tokenize(sql)?;
    let mut parser = Parser::new(sql, &tokens);
    let result = part(&mut parser)?;
    match parser.peek().kind {
        TokenKind::End => Ok(result),
        _ => Err(parser.near()),
    }
}

fn parse_all(
    sql: &str,
    mut variables: Option<Variables>,
    test_runner: bool,
) -> Result<Vec<ParsedStatement>> {
    let tokens = tokenize(sql)?;
    let mut statements = Vec::new();
    let is_last = |t: &Token| t.kind == TokenKind::Symbol(Symbol::Semicolon);
    for tokens in tokens.split_inclusive(is_last) {
        let [first, .., last] = tokens else {
            // A lone `;` is no statement; the end is none either.
            if let [Token { kind: TokenKind::Symbol(_), .. }] = tokens {
                return Err(Parser::new(sql, tokens).near());
            }
            continue;
        };
        let statement = match &variables {
            Some(variables) => one(sql, &variables::substitute(tokens, variables)?, test_runner)?,
            None => one(sql, tokens, test_runner)?,
        };
        match (&statement, &mut variables) {
            (Statement::Define { name, value }, Some(known)) => known.set(&name.value, value),
            (Statement::Undefine { name }, Some(known)) => known.remove(&name.value),
            _ => {}
        }
        let span = first.span.to(last.span);
        let text = sql[span.start..span.end].to_owned();
        statements.push(ParsedStatement { statement, text, span });
    }
    Ok(statements)
}

/// The statement that `tokens` are, up to and with their `;`.
fn one(sql: &str, tokens: &[Token], test_runner: bool) -> Result<Statement> {
    let mut parser = Parser::new(sql, tokens);
    parser.test_runner = test_runner;
    let statement = parser.statement()?;
    parser.expect_end()?;
    match parser.peek().kind {
        TokenKind::End => {
            Err(parser.fail("missing ';' at '<EOF>'").hint("every statement ends with ;"))
        }
        _ => Ok(statement),
    }
}

impl Parser<'_> {
    /// Statements nest: what is large stays out of the frame of [`Parser::statement`].
    fn query_statement(&mut self) -> Result<Statement> {
        Ok(Statement::Query(Box::new(self.query()?)))
    }

    fn statement(&mut self) -> Result<Statement> {
        let TokenKind::Word(Some(word)) = self.peek().kind else { return Err(self.unknown()) };
        if matches!(word, Keyword::Select | Keyword::With) {
            return self.query_statement();
        }
        if !STARTS.contains(&word) {
            return Err(self.unknown());
        }
        self.advance();
        Ok(match word {
            Keyword::Create => return self.create_any(),
            Keyword::Insert => self.insert()?,
            Keyword::Drop if self.accept(Keyword::Connector) => self.drop_connector()?,
            Keyword::Drop if self.accept(Keyword::Sink) => self.drop_sink()?,
            Keyword::Drop => self.drop()?,
            Keyword::Alter => self.alter()?,
            Keyword::Terminate if self.is(Keyword::Sink) && self.is_name_at(1) => {
                return Err(self.near().hint("DROP SINK ends a sink, PAUSE SINK stops it"));
            }
            Keyword::Terminate => Statement::Terminate(self.query_target()?),
            Keyword::Pause => Statement::Pause(self.sink_or_query()?),
            Keyword::Resume => Statement::Resume(self.sink_or_query()?),
            Keyword::Explain => self.explain()?,
            Keyword::Show | Keyword::List => Statement::Show(self.show()?),
            Keyword::Describe => Statement::Describe(self.describe()?),
            Keyword::Print => Statement::Print(self.print()?),
            Keyword::Set => {
                let (name, value) = self.assignment()?;
                Statement::Set { name, value }
            }
            Keyword::Unset => Statement::Unset { name: self.string()? },
            Keyword::Define => self.define()?,
            Keyword::Undefine => Statement::Undefine { name: self.ident()? },
            Keyword::Run => {
                self.expect(Keyword::Script)?;
                Statement::RunScript { file: self.string()? }
            }
            _ => self.assert()?,
        })
    }

    /// After CREATE.
    fn create_any(&mut self) -> Result<Statement> {
        if self.accept_all(&[Keyword::Source, Keyword::Connector]) {
            return self.create_connector(ConnectorKind::Source);
        }
        if self.accept_all(&[Keyword::Sink, Keyword::Connector]) {
            return self.create_connector(ConnectorKind::Sink);
        }
        if self.accept(Keyword::Sink) {
            return self.create_sink(false);
        }
        if self.accept_all(&[Keyword::Or, Keyword::Replace, Keyword::Sink]) {
            return self.create_sink(true);
        }
        self.create()
    }

    fn unknown(&self) -> SqlError {
        let token = self.peek();
        if !matches!(token.kind, TokenKind::Word(_)) {
            return self.near().hint("expected a statement");
        }
        let error = self.fail(format!("Unknown statement '{}'", token.text));
        let words = STARTS.iter().map(|word| word.text()).chain(["SELECT"]);
        match crate::suggest::closest(&token.text.to_ascii_uppercase(), words) {
            Some(word) => {
                let message = format!("{}\nDid you mean '{word}'?", error.message);
                SqlError { message, ..error }
            }
            None => error,
        }
    }
}

/// The words that open a statement, beside SELECT.
const STARTS: [Keyword; 18] = [
    Keyword::Create,
    Keyword::Insert,
    Keyword::Drop,
    Keyword::Alter,
    Keyword::Terminate,
    Keyword::Pause,
    Keyword::Resume,
    Keyword::Explain,
    Keyword::Show,
    Keyword::List,
    Keyword::Describe,
    Keyword::Print,
    Keyword::Set,
    Keyword::Unset,
    Keyword::Define,
    Keyword::Undefine,
    Keyword::Run,
    Keyword::Assert,
];

#[cfg(test)]
mod tests;
