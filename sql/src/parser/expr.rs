//! Expressions, by precedence climbing.

use super::cursor::Parser;
use crate::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::error::Result;
use crate::lexer::{Keyword, Symbol, TokenKind};

/// How tightly an operator binds; higher binds tighter.
mod level {
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const NOT: u8 = 3;
    /// Comparisons, BETWEEN, IN, LIKE, IS: one per value, not chainable.
    pub const PREDICATE: u8 = 4;
    pub const CONCAT: u8 = 5;
    pub const SUM: u8 = 6;
    pub const PRODUCT: u8 = 7;
    pub const SIGN: u8 = 8;
}

impl Parser<'_> {
    /// Any expression.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.climb(level::OR)
    }

    /// An expression without NOT, AND, OR and predicates outside of parentheses.
    pub(super) fn value_expr(&mut self) -> Result<Expr> {
        self.climb(level::CONCAT)
    }

    /// True where an expression would go on.
    pub(super) fn is_operator(&self) -> bool {
        self.operator().is_some()
    }

    /// An expression whose operators bind at least as tightly as `min`.
    fn climb(&mut self, min: u8) -> Result<Expr> {
        self.nested(|p| {
            let outside = std::mem::take(&mut p.tallest);
            let start = p.loc();
            let (mut left, mut ceiling) = p.prefix(min)?;
            p.grow()?;
            while let Some((op, level)) = p.operator() {
                if level < min || level > ceiling {
                    break;
                }
                let kind = p.infix(op, level, left)?;
                left = Expr::new(kind, p.since(start));
                ceiling = if level == level::PREDICATE { level - 1 } else { level };
                p.grow()?;
            }
            p.tallest = p.tallest.max(outside);
            Ok(left)
        })
    }

    /// The first operand with its signs, and the level that what follows must not exceed.
    fn prefix(&mut self, min: u8) -> Result<(Expr, u8)> {
        let start = self.loc();
        let (op, level) = match self.peek().kind {
            TokenKind::Word(Some(Keyword::Not)) if min <= level::NOT => (UnaryOp::Not, level::NOT),
            // A minus before digits is part of the number.
            TokenKind::Symbol(Symbol::Minus) if self.peek_at(1).kind != TokenKind::Number => {
                (UnaryOp::Minus, level::SIGN)
            }
            TokenKind::Symbol(Symbol::Plus) => (UnaryOp::Plus, level::SIGN),
            _ => return Ok((self.primary()?, level::SIGN)),
        };
        self.advance();
        let expr = Box::new(self.climb(level)?);
        Ok((Expr::new(ExprKind::Unary { op, expr }, self.since(start)), level))
    }

    /// The operator at hand, not taken yet.
    fn operator(&self) -> Option<(Infix, u8)> {
        use self::level::*;
        let binary = |op, level| Some((Infix::Binary(op), level));
        match self.peek().kind {
            TokenKind::Symbol(symbol) => match symbol {
                Symbol::Star => binary(BinaryOp::Multiply, PRODUCT),
                Symbol::Slash => binary(BinaryOp::Divide, PRODUCT),
                Symbol::Percent => binary(BinaryOp::Modulo, PRODUCT),
                Symbol::Plus => binary(BinaryOp::Add, SUM),
                Symbol::Minus => binary(BinaryOp::Subtract, SUM),
                Symbol::Concat => binary(BinaryOp::Concat, CONCAT),
                Symbol::Eq => binary(BinaryOp::Eq, PREDICATE),
                Symbol::NotEq => binary(BinaryOp::NotEq, PREDICATE),
                Symbol::Lt => binary(BinaryOp::Lt, PREDICATE),
                Symbol::LtEq => binary(BinaryOp::LtEq, PREDICATE),
                Symbol::Gt => binary(BinaryOp::Gt, PREDICATE),
                Symbol::GtEq => binary(BinaryOp::GtEq, PREDICATE),
                _ => None,
            },
            TokenKind::Word(Some(word)) => match word {
                Keyword::And => binary(BinaryOp::And, AND),
                Keyword::Or => binary(BinaryOp::Or, OR),
                Keyword::Is => Some((Infix::Is, PREDICATE)),
                Keyword::Not | Keyword::Between | Keyword::In | Keyword::Like => {
                    Some((Infix::Range, PREDICATE))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn infix(&mut self, op: Infix, level: u8, left: Expr) -> Result<ExprKind> {
        match op {
            Infix::Binary(op) => {
                self.advance();
                let right = Box::new(self.climb(level + 1)?);
                Ok(ExprKind::Binary { op, left: Box::new(left), right })
            }
            Infix::Is => self.is_predicate(left),
            Infix::Range => self.range_predicate(left),
        }
    }

    /// `IS [NOT] NULL`, `IS [NOT] DISTINCT FROM x`.
    fn is_predicate(&mut self, left: Expr) -> Result<ExprKind> {
        self.advance();
        let negated = self.accept(Keyword::Not);
        let left = Box::new(left);
        if self.accept(Keyword::Null) {
            return Ok(ExprKind::IsNull { expr: left, negated });
        }
        if !self.accept_all(&[Keyword::Distinct, Keyword::From]) {
            return Err(self.near().hint("expected NULL or DISTINCT FROM"));
        }
        let op = if negated { BinaryOp::IsNotDistinctFrom } else { BinaryOp::IsDistinctFrom };
        Ok(ExprKind::Binary { op, left, right: Box::new(self.value_expr()?) })
    }

    /// `[NOT] BETWEEN`, `[NOT] IN`, `[NOT] LIKE`.
    fn range_predicate(&mut self, left: Expr) -> Result<ExprKind> {
        let negated = self.accept(Keyword::Not);
        let expr = Box::new(left);
        if self.accept(Keyword::Between) {
            let low = Box::new(self.value_expr()?);
            self.expect(Keyword::And)?;
            let high = Box::new(self.value_expr()?);
            return Ok(ExprKind::Between { expr, low, high, negated });
        }
        if self.accept(Keyword::In) {
            self.expect_symbol(Symbol::LParen)?;
            let list = self.comma_list(Self::expr)?;
            self.expect_symbol(Symbol::RParen)?;
            return Ok(ExprKind::InList { expr, list, negated });
        }
        if self.accept(Keyword::Like) {
            let pattern = Box::new(self.value_expr()?);
            let escape = match self.accept(Keyword::Escape) {
                true => Some(self.escape_char()?),
                false => None,
            };
            return Ok(ExprKind::Like { expr, pattern, escape, negated });
        }
        Err(self.near().hint("expected BETWEEN, IN or LIKE"))
    }

    fn escape_char(&mut self) -> Result<String> {
        let at = self.loc();
        let text = self.string()?;
        if text.chars().count() != 1 {
            let message = format!("Expected single character escape but got: {text}");
            return Err(self.prepare_error(&message, at.0));
        }
        Ok(text)
    }
}

#[derive(Clone, Copy)]
enum Infix {
    Binary(BinaryOp),
    Is,
    Range,
}
