//! ORDER BY, which ksqlDB does not have: none of its words is a keyword.

use super::cursor::Parser;
use crate::ast::{OrderBy, OrderItem};
use crate::error::Result;
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// True at ORDER BY. ORDER alone may be a name.
    pub(super) fn opens_order(&self) -> bool {
        self.is_word_at(0, "ORDER") && self.is_at(1, Keyword::By)
    }

    /// `is_alias`: ksqlDB takes the word ORDER for a name here, and ends at BY.
    pub(super) fn order_by(&mut self, is_alias: bool) -> Result<Option<OrderBy>> {
        if !self.opens_order() {
            return Ok(None);
        }
        let start = self.loc();
        let order = self.expect_end();
        self.advance();
        let by = self.expect_end();
        self.advance();
        if let Err(refusal) = if is_alias { by } else { order } {
            self.extensions.refusal.get_or_insert(refusal);
        }
        let items = self.comma_list(Self::order_item)?;
        Ok(Some(OrderBy { items, loc: self.since(start) }))
    }

    fn order_item(&mut self) -> Result<OrderItem> {
        let expr = self.expr()?;
        let descending = !self.accept_word("ASC") && self.accept_word("DESC");
        let mut nulls_first = None;
        if self.accept_word("NULLS") {
            nulls_first = Some(self.accept_word("FIRST"));
            if nulls_first == Some(false) && !self.accept_word("LAST") {
                return Err(self.near().hint("expected FIRST or LAST"));
            }
        }
        Ok(OrderItem { expr, descending, nulls_first })
    }

    fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        let token = self.peek_at(ahead);
        matches!(token.kind, TokenKind::Word(_)) && token.text.eq_ignore_ascii_case(word)
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word_at(0, word);
        if found {
            self.advance();
        }
        found
    }
}
