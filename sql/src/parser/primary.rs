//! What operators work on: constants, columns, calls, constructors, and what is appended to them.

use super::cursor::Parser;
use crate::ast::{CaseBranch, Expr, ExprKind, Ident};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Symbol, TokenKind};

impl Parser<'_> {
    /// An operand with its `->field` and `[index]`.
    pub(super) fn primary(&mut self) -> Result<Expr> {
        let start = self.loc();
        let kind = self.operand()?;
        let mut base = match kind {
            Operand::Done(expr) => expr,
            Operand::New(kind) => Expr::new(kind, self.since(start)),
        };
        loop {
            let kind = match self.peek().kind {
                // `base->*` belongs to the SELECT list.
                TokenKind::Symbol(Symbol::Arrow)
                    if self.peek_at(1).kind != TokenKind::Symbol(Symbol::Star) =>
                {
                    self.advance();
                    ExprKind::Field { base: Box::new(base), name: self.ident()? }
                }
                TokenKind::Symbol(Symbol::LBracket) => {
                    self.advance();
                    let index = Box::new(self.value_expr()?);
                    self.expect_symbol(Symbol::RBracket)?;
                    ExprKind::Subscript { base: Box::new(base), index }
                }
                _ => return Ok(base),
            };
            base = Expr::new(kind, self.since(start));
            self.grow()?;
        }
    }

    fn operand(&mut self) -> Result<Operand> {
        if let Some(literal) = self.accept_literal()? {
            return Ok(Operand::New(ExprKind::Literal(literal)));
        }
        let next = self.peek_at(1).kind;
        let kind = match self.peek().kind {
            TokenKind::Symbol(Symbol::LParen) => return self.parenthesized().map(Operand::Done),
            TokenKind::Word(Some(Keyword::Case)) => self.case()?,
            TokenKind::Word(Some(Keyword::Cast)) => self.cast()?,
            TokenKind::Word(Some(Keyword::Array)) if next == symbol(Symbol::LBracket) => {
                self.array()?
            }
            TokenKind::Word(Some(Keyword::Map)) if next == symbol(Symbol::LParen) => self.map()?,
            TokenKind::Word(Some(Keyword::Struct)) if next == symbol(Symbol::LParen) => {
                self.structure()?
            }
            _ if self.is_name_at(0) => self.column_or_call()?,
            _ => return Err(self.near().hint("expected an expression")),
        };
        Ok(Operand::New(kind))
    }

    fn parenthesized(&mut self) -> Result<Expr> {
        self.advance();
        let expr = self.expr()?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(expr)
    }

    fn column_or_call(&mut self) -> Result<ExprKind> {
        let name = self.ident()?;
        if self.peek().kind == TokenKind::String {
            return self.typed_literal(&name);
        }
        if self.accept_symbol(Symbol::LParen) {
            return self.call(name);
        }
        let qualified = self.is_symbol(Symbol::Period)
            && self.peek_at(1).kind != TokenKind::Symbol(Symbol::Star);
        if !qualified {
            return Ok(ExprKind::Column { source: None, name });
        }
        self.advance();
        Ok(ExprKind::Column { source: Some(name), name: self.ident()? })
    }

    fn typed_literal(&mut self, name: &Ident) -> Result<ExprKind> {
        if name.value == "DECIMAL" {
            return Ok(ExprKind::Literal(self.decimal_literal()?));
        }
        Err(self.prepare_error(&format!("Unknown type: {}", name.value), name.span()))
    }

    /// After the opening parenthesis.
    fn call(&mut self, name: Ident) -> Result<ExprKind> {
        if self.accept_symbol(Symbol::Star) {
            self.expect_symbol(Symbol::RParen)?;
            return Ok(ExprKind::CallStar { name });
        }
        if self.accept_symbol(Symbol::RParen) {
            return Ok(ExprKind::Call { name, args: Vec::new() });
        }
        let mut lambdas = false;
        let args = self.comma_list(|p| {
            let is_lambda = p.is_lambda();
            if lambdas && !is_lambda {
                return Err(p.near().hint("lambdas come last among the arguments"));
            }
            lambdas = is_lambda;
            if is_lambda { p.lambda() } else { p.argument() }
        })?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(ExprKind::Call { name, args })
    }

    fn argument(&mut self) -> Result<Expr> {
        match (self.peek().kind, self.unit_at(0)) {
            (TokenKind::Word(Some(word)), Some(unit)) if word.is_reserved() => {
                let token = self.advance();
                Ok(Expr::new(ExprKind::Unit(unit), token.span))
            }
            _ => self.expr(),
        }
    }

    /// `x =>` or `(x, y, ..) =>`.
    fn is_lambda(&self) -> bool {
        let arrow = symbol(Symbol::FatArrow);
        if self.is_name_at(0) {
            return self.peek_at(1).kind == arrow;
        }
        let mut ahead = 0;
        while matches!(self.peek_at(ahead).kind, TokenKind::Symbol(Symbol::LParen | Symbol::Comma))
            && (ahead == 0) == (self.peek_at(ahead).kind == symbol(Symbol::LParen))
            && self.is_name_at(ahead + 1)
        {
            ahead += 2;
        }
        ahead > 0
            && self.peek_at(ahead).kind == symbol(Symbol::RParen)
            && self.peek_at(ahead + 1).kind == arrow
    }

    fn lambda(&mut self) -> Result<Expr> {
        let start = self.loc();
        let params = if self.accept_symbol(Symbol::LParen) {
            let params = self.comma_list(Self::ident)?;
            self.expect_symbol(Symbol::RParen)?;
            params
        } else {
            vec![self.ident()?]
        };
        self.check_parameters(&params)?;
        self.expect_symbol(Symbol::FatArrow)?;
        let body = Box::new(self.expr()?);
        self.grow()?;
        Ok(Expr::new(ExprKind::Lambda { params, body }, self.since(start)))
    }

    fn check_parameters(&self, params: &[Ident]) -> Result<()> {
        for (i, param) in params.iter().enumerate() {
            if params[..i].contains(param) {
                let names: Vec<&str> = params.iter().map(|param| param.value.as_str()).collect();
                let message = format!("Lambda arguments have duplicates: [{}]", names.join(", "));
                return Err(SqlError::invalid(message).at(param.span()));
            }
        }
        Ok(())
    }

    fn case(&mut self) -> Result<ExprKind> {
        self.advance();
        let operand = match self.is(Keyword::When) {
            true => None,
            false => Some(Box::new(self.value_expr()?)),
        };
        let mut branches = Vec::new();
        while self.accept(Keyword::When) {
            let condition = self.expr()?;
            self.expect(Keyword::Then)?;
            branches.push(CaseBranch { condition, result: self.expr()? });
        }
        if branches.is_empty() {
            return Err(self.near().hint("expected WHEN"));
        }
        let otherwise = match self.accept(Keyword::Else) {
            true => Some(Box::new(self.expr()?)),
            false => None,
        };
        self.expect(Keyword::End)?;
        Ok(ExprKind::Case { operand, branches, otherwise })
    }

    fn cast(&mut self) -> Result<ExprKind> {
        self.advance();
        self.expect_symbol(Symbol::LParen)?;
        let expr = Box::new(self.expr()?);
        self.expect(Keyword::As)?;
        let ty = self.ty()?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(ExprKind::Cast { expr, ty })
    }

    fn array(&mut self) -> Result<ExprKind> {
        self.advance();
        self.advance();
        if self.accept_symbol(Symbol::RBracket) {
            return Ok(ExprKind::Array(Vec::new()));
        }
        let items = self.comma_list(Self::expr)?;
        self.expect_symbol(Symbol::RBracket)?;
        Ok(ExprKind::Array(items))
    }

    fn map(&mut self) -> Result<ExprKind> {
        self.advance();
        self.advance();
        if self.accept_symbol(Symbol::RParen) {
            return Ok(ExprKind::Map(Vec::new()));
        }
        let entries = self.comma_list(|p| {
            let key = p.expr()?;
            p.expect_symbol(Symbol::Assign)?;
            Ok((key, p.expr()?))
        })?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(ExprKind::Map(entries))
    }

    fn structure(&mut self) -> Result<ExprKind> {
        self.advance();
        self.advance();
        if self.accept_symbol(Symbol::RParen) {
            return Ok(ExprKind::Struct(Vec::new()));
        }
        let fields = self.comma_list(|p| {
            let name = p.ident()?;
            p.expect_symbol(Symbol::Assign)?;
            Ok((name, p.expr()?))
        })?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(ExprKind::Struct(fields))
    }
}

/// Parentheses hand back the expression inside them, with its own place.
enum Operand {
    New(ExprKind),
    Done(Expr),
}

fn symbol(symbol: Symbol) -> TokenKind {
    TokenKind::Symbol(symbol)
}
