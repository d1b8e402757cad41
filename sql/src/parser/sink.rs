//! Statements about sinks: tables of Pinot and Druid that a stream or a table feeds.

use super::cursor::Parser;
use crate::ast::{CreateSink, DropSink, QueryTarget, Statement};
use crate::error::Result;
use crate::lexer::Keyword;
use crate::olap::OlapSystem;

impl Parser<'_> {
    /// After `CREATE [OR REPLACE] SINK`.
    pub(super) fn create_sink(&mut self, or_replace: bool) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.ident()?;
        self.expect(Keyword::For)?;
        let system = self.olap_system()?;
        self.expect(Keyword::From)?;
        let source = self.ident()?;
        let properties = self.properties()?;
        let sink = CreateSink { or_replace, if_not_exists, name, system, source, properties };
        Ok(Statement::CreateSink(Box::new(sink)))
    }

    fn olap_system(&mut self) -> Result<OlapSystem> {
        let found = OlapSystem::ALL.into_iter().find(|system| {
            self.is_name_at(0) && self.peek().text.eq_ignore_ascii_case(system.name())
        });
        let Some(system) = found else { return Err(self.near().hint("expected PINOT or DRUID")) };
        self.advance();
        Ok(system)
    }

    /// After PAUSE and RESUME: `SINK name`, or what [`Parser::query_target`] takes.
    pub(super) fn sink_or_query(&mut self) -> Result<QueryTarget> {
        if self.is(Keyword::Sink) && self.is_name_at(1) {
            self.advance();
            return self.ident().map(QueryTarget::Sink);
        }
        self.query_target()
    }

    /// After `DROP SINK`.
    pub(super) fn drop_sink(&mut self) -> Result<Statement> {
        let if_exists = self.if_exists();
        let name = self.ident()?;
        let (mut delete_table, mut delete_topic) = (false, false);
        while self.is(Keyword::Delete) {
            let deletes = match (self.is_at(1, Keyword::Table), self.is_at(1, Keyword::Topic)) {
                (true, _) => &mut delete_table,
                (_, true) => &mut delete_topic,
                _ => return Err(self.near().hint("expected DELETE TABLE or DELETE TOPIC")),
            };
            if std::mem::replace(deletes, true) {
                return Err(self.near().hint("this is said already"));
            }
            self.advance();
            self.advance();
        }
        Ok(Statement::DropSink(DropSink { if_exists, name, delete_table, delete_topic }))
    }
}
