//! Types.

use super::cursor::{NESTING_MAX, Parser};
use crate::ast::{FieldDef, ScalarType, TypeExpr, TypeKind};
use crate::error::Result;
use crate::lexer::{Keyword, Symbol, TokenKind};

impl Parser<'_> {
    /// A type, with any number of `ARRAY` after it.
    pub(super) fn ty(&mut self) -> Result<TypeExpr> {
        self.nested(|p| {
            let start = p.loc();
            let mut ty = p.plain_type()?;
            let mut arrays = 0;
            while p.accept(Keyword::Array) {
                arrays += 1;
                if p.depth() + arrays > NESTING_MAX {
                    return Err(p.fail(format!("nested deeper than {NESTING_MAX} levels")));
                }
                ty = TypeExpr { kind: TypeKind::Array(Box::new(ty)), loc: p.since(start) };
            }
            Ok(ty)
        })
    }

    fn plain_type(&mut self) -> Result<TypeExpr> {
        let start = self.loc();
        let opens = self.peek_at(1).kind == TokenKind::Symbol(Symbol::Lt);
        let kind = match self.peek().kind {
            TokenKind::Word(Some(Keyword::Array)) if opens => self.array_type()?,
            TokenKind::Word(Some(Keyword::Map)) if opens => self.map_type()?,
            TokenKind::Word(Some(Keyword::Struct)) => self.struct_type()?,
            TokenKind::Word(Some(Keyword::Decimal)) => self.decimal_type()?,
            _ => self.named_type()?,
        };
        Ok(TypeExpr { kind, loc: self.since(start) })
    }

    fn array_type(&mut self) -> Result<TypeKind> {
        self.advance();
        self.expect_symbol(Symbol::Lt)?;
        let item = self.ty()?;
        self.expect_symbol(Symbol::Gt)?;
        Ok(TypeKind::Array(Box::new(item)))
    }

    fn map_type(&mut self) -> Result<TypeKind> {
        self.advance();
        self.expect_symbol(Symbol::Lt)?;
        let key = self.ty()?;
        self.expect_symbol(Symbol::Comma)?;
        let value = self.ty()?;
        self.expect_symbol(Symbol::Gt)?;
        Ok(TypeKind::Map(Box::new(key), Box::new(value)))
    }

    fn struct_type(&mut self) -> Result<TypeKind> {
        self.advance();
        // `<>` is one token.
        if self.peek().span.end - self.peek().span.start == 2 && self.accept_symbol(Symbol::NotEq) {
            return Ok(TypeKind::Struct(Vec::new()));
        }
        self.expect_symbol(Symbol::Lt)?;
        if self.accept_symbol(Symbol::Gt) {
            return Ok(TypeKind::Struct(Vec::new()));
        }
        let fields = self.comma_list(|p| Ok(FieldDef { name: p.ident()?, ty: p.ty()? }))?;
        self.expect_symbol(Symbol::Gt)?;
        Ok(TypeKind::Struct(fields))
    }

    fn decimal_type(&mut self) -> Result<TypeKind> {
        let start = self.loc();
        self.advance();
        self.expect_symbol(Symbol::LParen)?;
        let precision = self.decimal_size("precision")?;
        self.expect_symbol(Symbol::Comma)?;
        let scale = self.decimal_size("scale")?;
        self.expect_symbol(Symbol::RParen)?;
        let scalar = ScalarType::Decimal { precision, scale };
        if precision < 1 || scale > precision {
            let rule = if precision < 1 { "1" } else { "scale" };
            let message =
                format!("DECIMAL precision must be >= {rule}: DECIMAL({precision},{scale})");
            return Err(self.prepare_error(&message, self.since(start).0));
        }
        Ok(TypeKind::Scalar(scalar))
    }

    fn decimal_size(&mut self, what: &str) -> Result<u32> {
        let at = self.loc();
        let size = self.whole_number(&format!("DECIMAL {what}"))?;
        u32::try_from(size).map_err(|_| {
            let message = format!("DECIMAL {what} {size} is too large");
            self.prepare_error(&message, at.0)
        })
    }

    fn named_type(&mut self) -> Result<TypeKind> {
        if !self.is_name_at(0) {
            return Err(self.near().hint("expected a type"));
        }
        let name = self.ident()?;
        self.type_parameters()?;
        if name.quoted {
            return Ok(TypeKind::Custom(name));
        }
        Ok(match ScalarType::from_name(&name.value) {
            Some(scalar) => TypeKind::Scalar(scalar),
            None => TypeKind::Custom(name),
        })
    }

    /// `VARCHAR(255)`: lengths are taken and mean nothing, as in ksqlDB.
    fn type_parameters(&mut self) -> Result<()> {
        if !self.accept_symbol(Symbol::LParen) {
            return Ok(());
        }
        self.comma_list(|p| {
            let whole = p.peek().kind == TokenKind::Number
                && p.peek().text.bytes().all(|b| b.is_ascii_digit());
            if !whole && !p.is(Keyword::String) {
                return Err(p.fail("Expecting {'STRING', INTEGER_VALUE}"));
            }
            p.advance();
            Ok(())
        })?;
        self.expect_symbol(Symbol::RParen)
    }
}
