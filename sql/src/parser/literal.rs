//! Constants.

use super::cursor::Parser;
use crate::ast::{Literal, Loc};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Symbol, TokenKind};

impl Parser<'_> {
    /// NULL, TRUE, FALSE, text, `DECIMAL 'text'`, or a number with an optional minus. `None` if
    /// none of these stands here.
    pub(super) fn accept_literal(&mut self) -> Result<Option<Literal>> {
        let token = self.peek();
        let literal = match token.kind {
            TokenKind::Word(Some(Keyword::Null)) => Literal::Null,
            TokenKind::Word(Some(Keyword::True)) => Literal::Boolean(true),
            TokenKind::Word(Some(Keyword::False)) => Literal::Boolean(false),
            TokenKind::String => Literal::String(token.text.clone()),
            TokenKind::Number => return self.number("").map(Some),
            TokenKind::Symbol(Symbol::Minus) if self.peek_at(1).kind == TokenKind::Number => {
                self.advance();
                return self.number("-").map(Some);
            }
            TokenKind::Word(Some(Keyword::Decimal))
                if self.peek_at(1).kind == TokenKind::String =>
            {
                self.advance();
                return self.decimal_literal().map(Some);
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(literal))
    }

    pub(super) fn literal(&mut self) -> Result<Literal> {
        let literal = self.accept_literal()?;
        literal.ok_or_else(|| self.near().hint("expected a constant"))
    }

    fn number(&mut self, sign: &str) -> Result<Literal> {
        let token = self.advance();
        let text = format!("{sign}{}", token.text);
        let loc = Loc(token.span);
        if text.contains(['e', 'E']) {
            let value = text.parse::<f64>().ok().filter(|d| d.is_finite());
            return value.map(Literal::Double).ok_or_else(|| {
                self.prepare_error(&format!("Number overflows DOUBLE: {text}"), loc.0)
            });
        }
        if text.contains('.') {
            return Ok(Literal::Decimal(text));
        }
        match text.parse::<i64>() {
            Ok(value) => Ok(match i32::try_from(value) {
                Ok(small) => Literal::Integer(small),
                Err(_) => Literal::Bigint(value),
            }),
            Err(_) => Err(self.invalid_number(&text, loc)),
        }
    }

    /// ksqlDB counts the column of this one error from 2; clients may have come to know it.
    fn invalid_number(&self, text: &str, loc: Loc) -> SqlError {
        let (line, column) = self.line_column(loc);
        let message = format!("line {line}:{}: Invalid numeric literal: {text}", column + 1);
        self.prepare_error(&message, loc.0)
    }

    /// The text of `DECIMAL '1.23'`.
    pub(super) fn decimal_literal(&mut self) -> Result<Literal> {
        let loc = self.loc();
        let text = self.string()?;
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !all_digits || whole.len() + fraction.len() == 0 {
            let message = format!("Invalid numeric literal: {text}");
            return Err(self.prepare_error(&message, loc.0));
        }
        Ok(Literal::Decimal(text))
    }
}
