//! Text to tokens: `sqlparser`'s tokenizer under a dialect of our own, then our own token type.

mod keyword;
mod token;

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Token as Raw, TokenWithSpan, Tokenizer, TokenizerError};

pub use self::keyword::Keyword;
pub use self::token::{Symbol, Token, TokenKind};
use crate::error::{Result, Span, SqlError, line_column};

/// Largest text of one request, in bytes.
pub const SQL_BYTES_MAX: usize = 512 * 1024;

/// Most tokens of one request.
pub const TOKENS_MAX: usize = 50_000;

/// All tokens of `sql`, ending with [`TokenKind::End`].
///
/// # Errors
/// Text that is too long, an unclosed quote or comment, a character without meaning.
pub fn tokenize(sql: &str) -> Result<Vec<Token>> {
    if sql.len() > SQL_BYTES_MAX {
        let message = format!(
            "The text has {} bytes; at most {SQL_BYTES_MAX} are taken in one request",
            sql.len()
        );
        return Err(SqlError::syntax(message, Span::new(SQL_BYTES_MAX, SQL_BYTES_MAX)));
    }
    let raw = Tokenizer::new(&Ksql, sql)
        .tokenize_with_location()
        .map_err(|error| not_closed(sql, &error))?;
    let mut lexer = Lexer { sql, cursor: Cursor::new(sql), tokens: Vec::with_capacity(64) };
    let mut rest = raw.as_slice();
    while !rest.is_empty() {
        let taken = lexer.take(rest)?;
        rest = &rest[taken..];
        if lexer.tokens.len() > TOKENS_MAX {
            let at = lexer.cursor.byte;
            let message = format!("The text has more than {TOKENS_MAX} tokens");
            return Err(SqlError::syntax(message, Span::new(at, at)));
        }
    }
    lexer.push(TokenKind::End, "", Span::new(sql.len(), sql.len()));
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    sql: &'a str,
    cursor: Cursor<'a>,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Takes the first of `raw`, or all four of a variable; answers how many, at least one.
    fn take(&mut self, raw: &[TokenWithSpan]) -> Result<usize> {
        let Some(first) = raw.first() else { return Ok(1) };
        let span = self.place(first);
        let text = &self.sql[span.start..span.end];
        match &first.token {
            Raw::Whitespace(_) => {}
            Raw::Word(word) if word.quote_style.is_some() => {
                self.push(TokenKind::Quoted, &word.value, span);
            }
            Raw::Word(_) if !text.contains('.') => self.word(span),
            Raw::SingleQuotedString(value) => self.push(TokenKind::String, value, span),
            Raw::Number(..) => self.push(TokenKind::Number, text, span),
            // `0xAB` is a name here, no number.
            Raw::HexStringLiteral(_) if text.starts_with('0') => self.word(span),
            Raw::ShiftRight => {
                let middle = span.start + 1;
                self.push(TokenKind::Symbol(Symbol::Gt), "", Span::new(span.start, middle));
                self.push(TokenKind::Symbol(Symbol::Gt), "", Span::new(middle, span.end));
            }
            Raw::Placeholder(_) if text == "$" => return self.variable(span, raw),
            _ => match Symbol::from_text(text) {
                Some(symbol) => self.push(TokenKind::Symbol(symbol), "", span),
                None => return Err(unexpected(self.sql, span)),
            },
        }
        Ok(1)
    }

    fn place(&mut self, raw: &TokenWithSpan) -> Span {
        let start = self.cursor.advance_to(raw.span.start);
        Span::new(start, self.cursor.advance_to(raw.span.end))
    }

    /// `$`, `{`, a word and `}` without gaps.
    fn variable(&mut self, dollar: Span, raw: &[TokenWithSpan]) -> Result<usize> {
        let [_, open, name, close, ..] = raw else { return Err(unexpected(self.sql, dollar)) };
        match (&open.token, &name.token, &close.token) {
            (Raw::LBrace, Raw::Word(word), Raw::RBrace) if word.quote_style.is_none() => {
                let span = dollar.to(self.place(close));
                self.push(TokenKind::Variable, &word.value, span);
                Ok(4)
            }
            _ => Err(unexpected(self.sql, dollar)),
        }
    }

    /// Adds a word, or prolongs the one it touches (`0x` and `zz` come apart but are one name).
    fn word(&mut self, span: Span) {
        let start = match self.tokens.last() {
            Some(Token { kind: TokenKind::Word(_), span: before, .. })
                if before.end == span.start =>
            {
                let start = before.start;
                self.tokens.pop();
                start
            }
            _ => span.start,
        };
        let text = &self.sql[start..span.end];
        self.push(TokenKind::Word(Keyword::from_word(text)), text, Span::new(start, span.end));
    }

    fn push(&mut self, kind: TokenKind, text: &str, span: Span) {
        self.tokens.push(Token { kind, text: text.to_owned(), span });
    }
}

/// Walks the text once, turning lines and columns of the tokenizer into byte offsets.
struct Cursor<'a> {
    sql: &'a str,
    byte: usize,
    line: u64,
    column: u64,
}

impl<'a> Cursor<'a> {
    fn new(sql: &'a str) -> Self {
        Cursor { sql, byte: 0, line: 1, column: 1 }
    }

    fn advance_to(&mut self, to: Location) -> usize {
        for c in self.sql[self.byte..].chars() {
            if (self.line, self.column) >= (to.line, to.column) {
                break;
            }
            self.byte += c.len_utf8();
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.byte
    }
}

fn not_closed(sql: &str, error: &TokenizerError) -> SqlError {
    let at = Cursor::new(sql).advance_to(error.location);
    let what = match sql[at..].chars().next() {
        Some('\'') => "the text is not closed with '",
        Some('`') => "the name is not closed with `",
        Some('"') => "the name is not closed with \"",
        None => "the comment is not closed with */",
        Some(c) => return unexpected(sql, Span::new(at, at + c.len_utf8())),
    };
    let (line, column) = line_column(sql, at);
    let end = (at + 1).min(sql.len());
    SqlError::syntax(format!("line {line}:{column}: Syntax Error\n{what}"), Span::new(at, end))
}

fn unexpected(sql: &str, span: Span) -> SqlError {
    let (line, column) = line_column(sql, span.start);
    let near = &sql[span.start..span.end];
    let place = format!("line {line}:{column}");
    let message = format!("{place}: Syntax Error\nSyntax error at or near '{near}' at {place}");
    SqlError::syntax(message, span)
}

/// What `sqlparser`'s tokenizer must know of the language.
#[derive(Debug)]
struct Ksql;

impl Dialect for Ksql {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`' || ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_ascii_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_ascii_alphanumeric() || ch == '_' || ch == '@'
    }

    /// Names such as `1abc`.
    fn supports_numeric_prefix(&self) -> bool {
        true
    }

    /// Keeps `$$` from opening a dollar-quoted string, which the language does not have.
    fn supports_dollar_placeholder(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
