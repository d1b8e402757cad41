//! What ksqlDB's grammar does not have: WITH, subqueries in FROM, DISTINCT, and UNION ALL. A query remembers what
//! ksqlDB would say of the first of them, for where extensions are off. A name of WITH stands for its
//! query wherever it is used, so the tree has subqueries only.

use super::cursor::Parser;
use crate::ast::{AliasedSource, Extension, Ident, Query};
use crate::error::{Result, SqlError};
use crate::lexer::{Keyword, Symbol, TokenKind};

/// Subqueries of one statement, each use of a name of WITH counted.
pub const SUBQUERIES_MAX: usize = 64;

/// Deepest nesting of subqueries.
pub const SUBQUERY_DEPTH_MAX: usize = 16;

/// What is known of the extensions in a statement.
#[derive(Default)]
pub(super) struct Extensions {
    /// Names of WITH that may be used, the latest last.
    named: Vec<(Ident, Query)>,
    /// What ksqlDB says of the first one.
    pub(super) refusal: Option<SqlError>,
    subqueries: usize,
    depth: usize,
}

impl Parser<'_> {
    pub(super) fn query(&mut self) -> Result<Query> {
        let start = self.loc();
        let known = self.extensions.named.len();
        if self.is(Keyword::With) {
            self.with()?;
        }
        let mut query = self.select()?;
        while self.is_union() {
            self.refuse_union(&query);
            self.advance();
            self.advance();
            query.union_all.push(self.select()?);
        }
        let bare = ends_in_source(&query) && self.opens_order();
        query.emit = self.emit()?;
        query.order_by = self.order_by(bare)?;
        query.limit = self.limit()?;
        query.loc = self.since(start);
        self.extensions.named.truncate(known);
        if self.extensions.depth == 0 {
            query.extension = Extension(self.extensions.refusal.take().map(Box::new));
        }
        Ok(query)
    }

    /// `WITH name AS (query), ...`.
    fn with(&mut self) -> Result<()> {
        let refusal = self.near();
        self.extensions.refusal.get_or_insert(refusal);
        self.advance();
        loop {
            let name = self.ident()?;
            self.expect(Keyword::As)?;
            let query = self.in_parentheses()?;
            self.extensions.named.push((name, query));
            if !self.accept_symbol(Symbol::Comma) {
                return Ok(());
            }
        }
    }

    fn in_parentheses(&mut self) -> Result<Query> {
        self.expect_symbol(Symbol::LParen)?;
        if self.extensions.depth >= SUBQUERY_DEPTH_MAX {
            let message = format!("subqueries nested deeper than {SUBQUERY_DEPTH_MAX} levels");
            return Err(self.fail(message));
        }
        self.extensions.depth += 1;
        let query = self.nested(Self::query)?;
        self.extensions.depth -= 1;
        self.expect_symbol(Symbol::RParen)?;
        Ok(query)
    }

    /// `(query) [AS] name`.
    pub(super) fn subquery(&mut self) -> Result<AliasedSource> {
        let refusal = self.near();
        self.extensions.refusal.get_or_insert(refusal);
        let query = self.in_parentheses()?;
        if !self.accept(Keyword::As) && !self.is_bare_alias() {
            return Err(self.near().hint("a subquery needs a name: FROM (SELECT ...) AS name"));
        }
        let name = self.ident()?;
        self.count(1)?;
        Ok(AliasedSource { name, alias: None, subquery: Some(Box::new(query)) })
    }

    /// The query of WITH that `source` names, or `source` itself.
    pub(super) fn named(&mut self, source: AliasedSource) -> Result<AliasedSource> {
        let named = self.extensions.named.iter().rev();
        let Some((_, query)) = named.into_iter().find(|(name, _)| *name == source.name) else {
            return Ok(source);
        };
        let query = query.clone();
        self.count(1 + subqueries_of(&query))?;
        let name = source.alias.unwrap_or(source.name);
        Ok(AliasedSource { name, alias: None, subquery: Some(Box::new(query)) })
    }

    fn count(&mut self, more: usize) -> Result<()> {
        self.extensions.subqueries += more;
        match self.extensions.subqueries > SUBQUERIES_MAX {
            true => Err(self.fail(format!("more than {SUBQUERIES_MAX} subqueries"))),
            false => Ok(()),
        }
    }

    /// DISTINCT after SELECT: ksqlDB expects an expression there.
    pub(super) fn distinct(&mut self) -> bool {
        if !self.is(Keyword::Distinct) {
            return false;
        }
        let refusal = self.near().hint("expected an expression");
        self.extensions.refusal.get_or_insert(refusal);
        self.advance();
        true
    }

    /// UNION is no keyword of ksqlDB: alone it may be an alias.
    pub(super) fn is_union(&self) -> bool {
        let all = self.peek_at(1).kind == TokenKind::Word(Some(Keyword::All));
        all && self.is_word("UNION")
    }

    fn refuse_union(&mut self, before: &Query) {
        let refusal = if ends_in_source(before) { self.near_next() } else { self.near() };
        self.extensions.refusal.get_or_insert(refusal);
    }
}

/// True when the last word is the name of a source, and a word that follows is its alias.
fn ends_in_source(query: &Query) -> bool {
    let from = &query.from;
    from.joins.is_empty()
        && from.first.alias.is_none()
        && from.first.subquery.is_none()
        && query.window.is_none()
        && query.filter.is_none()
        && query.group_by.is_empty()
        && query.partition_by.is_empty()
        && query.having.is_none()
}

fn subqueries_of(query: &Query) -> usize {
    let own = query.sources().filter_map(|source| source.subquery.as_deref());
    let own: usize = own.map(|query| 1 + subqueries_of(query)).sum();
    own + query.union_all.iter().map(subqueries_of).sum::<usize>()
}
