//! The tokens of one statement, a place among them, and the errors that point there.

use super::subquery::Extensions;
use crate::ast::{Ident, Interval, IntervalUnit, Loc};
use crate::error::{Result, Span, SqlError, line_column};
use crate::lexer::{Keyword, Symbol, Token, TokenKind};

/// Deepest nesting of parentheses, calls, types and the like.
pub const NESTING_MAX: u32 = 128;

/// Tallest expression tree; a chain such as `a + b + c` grows by one for every operator. Bounds
/// the stack of everything that walks the tree later.
pub const HEIGHT_MAX: u32 = 256;

/// Stack of a thread that parses, plans or evaluates: all of it goes down trees by recursion, and
/// the tallest need some megabytes. What is not touched costs no memory.
pub const STACK_BYTES: usize = 16 << 20;

/// Reads one statement. Every step takes at least one token or fails, so time is linear.
pub(super) struct Parser<'a> {
    /// The whole text; spans and line numbers refer to it.
    sql: &'a str,
    /// Ends with `;` or [`TokenKind::End`], which no step goes past.
    tokens: &'a [Token],
    at: usize,
    depth: u32,
    /// Statements of the test runner are taken, too.
    pub(super) test_runner: bool,
    /// Height of the tallest expression since this was last set to 0 ([`Parser::grow`]).
    pub(super) tallest: u32,
    pub(super) extensions: Extensions,
}

impl<'a> Parser<'a> {
    /// `tokens` must not be empty.
    pub(super) fn new(sql: &'a str, tokens: &'a [Token]) -> Self {
        Parser {
            sql,
            tokens,
            at: 0,
            depth: 0,
            test_runner: false,
            tallest: 0,
            extensions: Extensions::default(),
        }
    }

    // Looking.

    pub(super) fn peek(&self) -> &'a Token {
        self.peek_at(0)
    }

    /// The token `ahead` of the current one; the last one when there are not so many.
    pub(super) fn peek_at(&self, ahead: usize) -> &'a Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + ahead).min(last)]
    }

    pub(super) fn is(&self, keyword: Keyword) -> bool {
        self.is_at(0, keyword)
    }

    pub(super) fn is_at(&self, ahead: usize, keyword: Keyword) -> bool {
        self.peek_at(ahead).kind == TokenKind::Word(Some(keyword))
    }

    pub(super) fn is_symbol(&self, symbol: Symbol) -> bool {
        self.peek().kind == TokenKind::Symbol(symbol)
    }

    /// True after the last token of the statement.
    pub(super) fn is_end(&self) -> bool {
        matches!(self.peek().kind, TokenKind::End | TokenKind::Symbol(Symbol::Semicolon))
    }

    pub(super) fn is_name_at(&self, ahead: usize) -> bool {
        match self.peek_at(ahead).kind {
            TokenKind::Quoted => true,
            TokenKind::Word(keyword) => !keyword.is_some_and(Keyword::is_reserved),
            _ => false,
        }
    }

    pub(super) fn loc(&self) -> Loc {
        Loc(self.peek().span)
    }

    /// From `start` to the last token taken.
    pub(super) fn since(&self, start: Loc) -> Loc {
        match self.at.checked_sub(1).and_then(|i| self.tokens.get(i)) {
            Some(last) if last.span.end >= start.0.start => {
                Loc(Span::new(start.0.start, last.span.end))
            }
            _ => start,
        }
    }

    // Taking.

    pub(super) fn advance(&mut self) -> &'a Token {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn accept(&mut self, keyword: Keyword) -> bool {
        let found = self.is(keyword);
        if found {
            self.advance();
        }
        found
    }

    /// Takes all of `keywords` or nothing.
    pub(super) fn accept_all(&mut self, keywords: &[Keyword]) -> bool {
        let found = keywords.iter().enumerate().all(|(i, k)| self.is_at(i, *k));
        if found {
            self.at += keywords.len();
        }
        found
    }

    pub(super) fn accept_symbol(&mut self, symbol: Symbol) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, keyword: Keyword) -> Result<()> {
        if self.accept(keyword) {
            return Ok(());
        }
        Err(self.near().hint(format!("expected {}", keyword.text())))
    }

    pub(super) fn expect_symbol(&mut self, symbol: Symbol) -> Result<()> {
        if self.accept_symbol(symbol) {
            return Ok(());
        }
        if symbol == Symbol::RParen {
            return Err(self.fail(format!("missing ')' at '{}'", self.shown())));
        }
        Err(self.near().hint(format!("expected {}", symbol.text())))
    }

    /// Nothing may be left.
    pub(super) fn expect_end(&self) -> Result<()> {
        if self.is_end() {
            return Ok(());
        }
        // ksqlDB lists what may follow only when that is little, which at the end it never is.
        let hint = format!("'{}' cannot stand here; the statement ends before it", self.shown());
        Err(self.fail("").hint(hint))
    }

    /// A name, upper-cased unless quoted.
    pub(super) fn ident(&mut self) -> Result<Ident> {
        let mut name = self.ident_as_written()?;
        if !name.quoted {
            name.value.make_ascii_uppercase();
        }
        Ok(name)
    }

    /// A name in the case it is written, for what Kafka and the schema registry name.
    pub(super) fn ident_as_written(&mut self) -> Result<Ident> {
        let token = self.peek();
        if !self.is_name_at(0) {
            return Err(self.no_name());
        }
        self.advance();
        let quoted = token.kind == TokenKind::Quoted;
        Ok(Ident { value: token.text.clone(), quoted, loc: Loc(token.span) })
    }

    /// A name as written, or text in single quotes.
    pub(super) fn resource(&mut self) -> Result<Ident> {
        let token = self.peek();
        if token.kind != TokenKind::String {
            return self.ident_as_written();
        }
        self.advance();
        Ok(Ident { value: token.text.clone(), quoted: true, loc: Loc(token.span) })
    }

    /// Text in single quotes.
    pub(super) fn string(&mut self) -> Result<String> {
        let token = self.peek();
        if token.kind != TokenKind::String {
            return Err(self.fail("Expecting STRING"));
        }
        self.advance();
        Ok(token.text.clone())
    }

    /// A whole number, not negative. `what` is the clause, for the message.
    pub(super) fn whole_number(&mut self, what: &str) -> Result<u64> {
        let token = self.peek();
        let negative = self.is_symbol(Symbol::Minus);
        let digits = self.peek_at(usize::from(negative));
        if digits.kind != TokenKind::Number {
            return Err(self.near().hint(format!("expected the number of {what}")));
        }
        let whole = digits.text.parse::<u64>().ok().filter(|n| !negative && *n <= i64::MAX as u64);
        let Some(value) = whole else {
            let message = match digits.text.bytes().all(|b| b.is_ascii_digit()) {
                true if negative => format!("Value must not be negative for command: {what}"),
                true => format!("Value is too large for command: {what}"),
                false => format!("Value must be integer for command: {what}"),
            };
            return Err(self.prepare_error(&message, token.span.to(digits.span)));
        };
        self.advance();
        Ok(value)
    }

    /// `10 SECONDS`. `what` is the clause, for the message.
    pub(super) fn interval(&mut self, what: &str) -> Result<Interval> {
        let start = self.loc();
        let value = self.whole_number(what)? as i64;
        let Some(unit) = self.unit_at(0) else {
            let units = "MILLISECONDS, SECONDS, MINUTES, HOURS or DAYS";
            return Err(self.near().hint(format!("expected a unit of time: {units}")));
        };
        self.advance();
        Ok(Interval { value, unit, loc: self.since(start) })
    }

    /// The unit of time that the token `ahead` names, reserved word or not.
    pub(super) fn unit_at(&self, ahead: usize) -> Option<IntervalUnit> {
        match self.peek_at(ahead).kind {
            TokenKind::Word(Some(word)) => IntervalUnit::from_word(word.text()),
            _ => None,
        }
    }

    /// `item, item, ..`, at least one.
    pub(super) fn comma_list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut list = vec![item(self)?];
        while self.accept_symbol(Symbol::Comma) {
            list.push(item(self)?);
        }
        Ok(list)
    }

    // Limits.

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= NESTING_MAX {
            return Err(self.fail(format!("nested deeper than {NESTING_MAX} levels")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// The expression at hand became one level taller.
    pub(super) fn grow(&mut self) -> Result<()> {
        self.tallest += 1;
        if self.tallest > HEIGHT_MAX {
            let hint = "split it into several statements, or use IN (..) for long lists";
            let detail = format!("more than {HEIGHT_MAX} operators build on one another");
            return Err(self.fail(detail).hint(hint));
        }
        Ok(())
    }

    // Errors.

    /// The error at the current token, without more detail than its text.
    pub(super) fn near(&self) -> SqlError {
        let (line, column) = line_column(self.sql, self.peek().span.start);
        let near = self.shown();
        self.fail(format!("Syntax error at or near '{near}' at line {line}:{column}"))
    }

    /// [`Parser::near`] one token on.
    pub(super) fn near_next(&mut self) -> SqlError {
        let at = self.at;
        self.advance();
        let error = self.near();
        self.at = at;
        error
    }

    /// True at this word that is no keyword, in any case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.peek().kind == TokenKind::Word(None) && self.shown().eq_ignore_ascii_case(word)
    }

    /// `line L:C: Syntax Error` and the detail on a line of its own, as ksqlDB words it.
    pub(super) fn fail(&self, detail: impl std::fmt::Display) -> SqlError {
        let span = self.peek().span;
        let (line, column) = line_column(self.sql, span.start);
        SqlError::syntax(format!("line {line}:{column}: Syntax Error\n{detail}"), span)
    }

    /// The text parses, but the statement makes no sense; ksqlDB finds such in a second step.
    pub(super) fn prepare_error(&self, message: &str, span: Span) -> SqlError {
        SqlError::invalid(format!("Failed to prepare statement: {message}")).at(span)
    }

    /// Line and column of a place, from 1.
    pub(super) fn line_column(&self, loc: Loc) -> (usize, usize) {
        line_column(self.sql, loc.0.start)
    }

    /// The current token as written.
    fn shown(&self) -> &'a str {
        let token = self.peek();
        match token.kind {
            TokenKind::End => "<EOF>",
            _ => self.sql.get(token.span.start..token.span.end).unwrap_or(&token.text),
        }
    }

    fn no_name(&self) -> SqlError {
        let word = self.shown();
        match self.peek().kind {
            TokenKind::Word(Some(_)) => self
                .fail(format!(
                    "\"{word}\" is a reserved keyword and it can't be used as an identifier. \
                     You can use it as an identifier by escaping it as '{word}' "
                ))
                .hint(format!("write `{word}` in back-ticks if you mean a name")),
            TokenKind::String => {
                self.near().hint("a name stands in back-ticks or double quotes, not in '")
            }
            _ => self.near().hint("expected a name"),
        }
    }
}
