//! SELECT and its clauses, in their one order.

use super::cursor::Parser;
use crate::ast::{
    AliasedSource, Emit, Expr, Extension, Interval, Join, JoinType, Query, Relation, SelectItem,
    WindowClause, WindowSpec, Within,
};
use crate::error::Result;
use crate::lexer::{Keyword, Symbol, TokenKind};

impl Parser<'_> {
    /// A SELECT up to HAVING.
    pub(super) fn select(&mut self) -> Result<Query> {
        let start = self.loc();
        self.expect(Keyword::Select)?;
        let distinct = self.distinct();
        let items = self.comma_list(Self::select_item)?;
        self.expect(Keyword::From)?;
        let from = self.relation()?;
        let window = match self.accept(Keyword::Window) {
            true => Some(self.window()?),
            false => None,
        };
        let filter = self.clause(Keyword::Where)?;
        let group_by = self.expr_list(Keyword::Group)?;
        let partition_by = self.expr_list(Keyword::Partition)?;
        let having = self.clause(Keyword::Having)?;
        Ok(Query {
            distinct,
            items,
            from,
            window,
            filter,
            group_by,
            partition_by,
            having,
            union_all: Vec::new(),
            emit: None,
            order_by: None,
            limit: None,
            extension: Extension::default(),
            loc: self.since(start),
        })
    }

    fn select_item(&mut self) -> Result<SelectItem> {
        let start = self.loc();
        if self.accept_symbol(Symbol::Star) {
            return Ok(SelectItem::All { source: None, loc: start });
        }
        let dot_star = self.peek_at(1).kind == TokenKind::Symbol(Symbol::Period)
            && self.peek_at(2).kind == TokenKind::Symbol(Symbol::Star);
        if dot_star && self.is_name_at(0) {
            let source = Some(self.ident()?);
            self.advance();
            self.advance();
            return Ok(SelectItem::All { source, loc: self.since(start) });
        }
        let expr = self.expr()?;
        // `->*` applies to one operand, not to a sum that ends before it.
        let in_parentheses = start.0.start < expr.span().start;
        if self.is_symbol(Symbol::Arrow) && (in_parentheses || expr.is_operand()) {
            self.advance();
            self.expect_symbol(Symbol::Star)?;
            return Ok(SelectItem::StructAll { base: expr, loc: self.since(start) });
        }
        let alias = match self.accept(Keyword::As) || self.is_name_at(0) {
            true => Some(self.ident()?),
            false => None,
        };
        Ok(SelectItem::Expr { expr, alias })
    }

    fn relation(&mut self) -> Result<Relation> {
        let first = self.aliased_source()?;
        let mut joins = Vec::new();
        while let Some(kind) = self.join_type()? {
            joins.push(self.join(kind)?);
        }
        Ok(Relation { first, joins })
    }

    fn aliased_source(&mut self) -> Result<AliasedSource> {
        if self.is_symbol(Symbol::LParen) {
            return self.subquery();
        }
        let name = self.ident()?;
        let alias = match self.accept(Keyword::As) || self.is_bare_alias() {
            true => Some(self.ident()?),
            false => None,
        };
        self.named(AliasedSource { name, alias, subquery: None })
    }

    /// EMIT, PARTITION, UNION and ORDER may be names, but not where they open a clause.
    pub(super) fn is_bare_alias(&self) -> bool {
        let opens_emit = self.is(Keyword::Emit)
            && (self.is_at(1, Keyword::Changes) || self.is_at(1, Keyword::Final));
        let opens_partition = self.is(Keyword::Partition) && self.is_at(1, Keyword::By);
        self.is_name_at(0)
            && !opens_emit
            && !opens_partition
            && !self.is_union()
            && !self.opens_order()
    }

    /// Takes the words up to JOIN; `None` when no join follows.
    fn join_type(&mut self) -> Result<Option<JoinType>> {
        let kind = if self.accept(Keyword::Inner) {
            JoinType::Inner
        } else if self.accept(Keyword::Left) {
            JoinType::Left
        } else if self.accept(Keyword::Right) {
            JoinType::Right
        } else if self.accept(Keyword::Full) {
            JoinType::Full
        } else {
            return Ok(self.accept(Keyword::Join).then_some(JoinType::Inner));
        };
        if kind != JoinType::Inner {
            self.accept(Keyword::Outer);
        }
        self.expect(Keyword::Join)?;
        Ok(Some(kind))
    }

    /// After JOIN.
    fn join(&mut self, kind: JoinType) -> Result<Join> {
        let start = self.loc();
        let right = self.aliased_source()?;
        let within = match self.accept(Keyword::Within) {
            true => Some(self.within()?),
            false => None,
        };
        self.expect(Keyword::On)?;
        let on = self.expr()?;
        Ok(Join { kind, right, within, on, loc: self.since(start) })
    }

    fn within(&mut self) -> Result<Within> {
        let start = self.loc();
        let (before, after) = if self.accept_symbol(Symbol::LParen) {
            let before = self.interval("WITHIN")?;
            self.expect_symbol(Symbol::Comma)?;
            let after = self.interval("WITHIN")?;
            self.expect_symbol(Symbol::RParen)?;
            (before, after)
        } else {
            let size = self.interval("WITHIN")?;
            (size.clone(), size)
        };
        let grace = self.grace()?;
        Ok(Within { before, after, grace, loc: self.since(start) })
    }

    /// After WINDOW.
    fn window(&mut self) -> Result<WindowClause> {
        let start = self.loc();
        // SESSION may be a name; here it is one only if a window follows it.
        let named = self.is_name_at(0) && self.peek_at(1).kind != TokenKind::Symbol(Symbol::LParen);
        let name = if named { Some(self.ident()?) } else { None };
        let spec = if self.accept(Keyword::Tumbling) {
            self.expect_symbol(Symbol::LParen)?;
            self.expect(Keyword::Size)?;
            WindowSpec::Tumbling { size: self.interval("SIZE")? }
        } else if self.accept(Keyword::Hopping) {
            self.hopping()?
        } else if self.accept(Keyword::Session) {
            self.expect_symbol(Symbol::LParen)?;
            WindowSpec::Session { gap: self.interval("SESSION")? }
        } else {
            return Err(self.near().hint("expected TUMBLING, HOPPING or SESSION"));
        };
        let (retention, grace) = self.window_options()?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(WindowClause { name, spec, retention, grace, loc: self.since(start) })
    }

    fn hopping(&mut self) -> Result<WindowSpec> {
        self.expect_symbol(Symbol::LParen)?;
        self.expect(Keyword::Size)?;
        let size = self.interval("SIZE")?;
        self.expect_symbol(Symbol::Comma)?;
        self.expect(Keyword::Advance)?;
        self.expect(Keyword::By)?;
        Ok(WindowSpec::Hopping { size, advance: self.interval("ADVANCE BY")? })
    }

    fn window_options(&mut self) -> Result<(Option<Interval>, Option<Interval>)> {
        if !self.accept_symbol(Symbol::Comma) {
            return Ok((None, None));
        }
        let mut retention = None;
        if self.accept(Keyword::Retention) {
            retention = Some(self.interval("RETENTION")?);
            if !self.accept_symbol(Symbol::Comma) {
                return Ok((retention, None));
            }
        }
        match self.grace()? {
            None => Err(self.near().hint("expected RETENTION or GRACE PERIOD, in this order")),
            grace => Ok((retention, grace)),
        }
    }

    fn grace(&mut self) -> Result<Option<Interval>> {
        if !self.accept(Keyword::Grace) {
            return Ok(None);
        }
        self.expect(Keyword::Period)?;
        self.interval("GRACE PERIOD").map(Some)
    }

    fn clause(&mut self, keyword: Keyword) -> Result<Option<Expr>> {
        if self.accept(keyword) { self.expr().map(Some) } else { Ok(None) }
    }

    /// `GROUP BY a, b` or `GROUP BY (a, b)`; empty when the clause is not there.
    fn expr_list(&mut self, keyword: Keyword) -> Result<Vec<Expr>> {
        if !self.accept(keyword) {
            return Ok(Vec::new());
        }
        self.expect(Keyword::By)?;
        if !self.is_parenthesized_list() {
            let list = self.comma_list(Self::value_expr)?;
            return match self.is_operator() {
                true => Err(self.fail("").hint(format!(
                    "a condition stands in parentheses here: {} BY (a > b)",
                    keyword.text()
                ))),
                false => Ok(list),
            };
        }
        self.expect_symbol(Symbol::LParen)?;
        let list = self.comma_list(Self::value_expr)?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(list)
    }

    /// True when one pair of parentheses holds several expressions and the whole clause:
    /// `(a, b)`, not `(a) + b, c` and not `(a)`, which is an expression.
    fn is_parenthesized_list(&self) -> bool {
        if !self.is_symbol(Symbol::LParen) {
            return false;
        }
        let mut open = 0_u32;
        let mut ahead = 0;
        let mut commas = false;
        loop {
            match self.peek_at(ahead).kind {
                TokenKind::Symbol(Symbol::LParen | Symbol::LBracket) => open += 1,
                TokenKind::Symbol(Symbol::RParen | Symbol::RBracket) => open -= 1,
                TokenKind::Symbol(Symbol::Comma) => commas |= open == 1,
                TokenKind::End | TokenKind::Symbol(Symbol::Semicolon) => return commas,
                _ => {}
            }
            ahead += 1;
            if open == 0 {
                break;
            }
        }
        let goes_on = match self.peek_at(ahead).kind {
            TokenKind::Symbol(symbol) => symbol != Symbol::Semicolon,
            _ => false,
        };
        commas && !goes_on
    }

    pub(super) fn emit(&mut self) -> Result<Option<Emit>> {
        if !self.accept(Keyword::Emit) {
            return Ok(None);
        }
        if self.accept(Keyword::Changes) {
            return Ok(Some(Emit::Changes));
        }
        self.expect(Keyword::Final).map_err(|e| e.hint("expected CHANGES or FINAL"))?;
        Ok(Some(Emit::Final))
    }

    pub(super) fn limit(&mut self) -> Result<Option<u64>> {
        if !self.accept(Keyword::Limit) {
            return Ok(None);
        }
        self.whole_number("LIMIT").map(Some)
    }
}
