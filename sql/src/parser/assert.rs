//! ASSERT statements.

use super::cursor::Parser;
use crate::ast::{
    AssertSchema, AssertTopic, AssertValues, CreateSource, Interval, Literal, Statement,
};
use crate::error::Result;
use crate::lexer::{Keyword, TokenKind};

impl Parser<'_> {
    /// After ASSERT.
    pub(super) fn assert(&mut self) -> Result<Statement> {
        let TokenKind::Word(Some(word)) = self.peek().kind else { return Err(self.no_assert()) };
        match word {
            Keyword::Values | Keyword::Null | Keyword::Stream | Keyword::Table
                if !self.test_runner =>
            {
                Err(self.near().hint("only the test runner knows this statement"))
            }
            Keyword::Values => {
                self.advance();
                self.assert_values(Keyword::Values).map(Statement::AssertValues)
            }
            Keyword::Null if self.is_at(1, Keyword::Values) => {
                self.advance();
                self.advance();
                self.assert_values(Keyword::Key).map(Statement::AssertTombstone)
            }
            Keyword::Stream | Keyword::Table => self.assert_source(),
            _ => self.assert_outside(),
        }
    }

    fn no_assert(&self) -> crate::error::SqlError {
        self.near().hint("expected TOPIC, SCHEMA, VALUES, NULL VALUES, STREAM or TABLE")
    }

    /// Topics and schemas, which live outside of the engine.
    fn assert_outside(&mut self) -> Result<Statement> {
        let exists = !self.accept_all(&[Keyword::Not, Keyword::Exists]);
        if self.accept(Keyword::Topic) {
            let topic = self.resource()?;
            let properties = self.properties()?;
            let timeout = self.timeout()?;
            let assert = AssertTopic { exists, topic, properties, timeout };
            return Ok(Statement::AssertTopic(Box::new(assert)));
        }
        if !self.accept(Keyword::Schema) {
            return Err(self.no_assert());
        }
        let subject = match self.accept(Keyword::Subject) {
            true => Some(self.resource()?),
            false => None,
        };
        let id = match self.accept(Keyword::Id) {
            true => Some(self.schema_id()?),
            false => None,
        };
        let timeout = self.timeout()?;
        Ok(Statement::AssertSchema(Box::new(AssertSchema { exists, subject, id, timeout })))
    }

    fn schema_id(&mut self) -> Result<i64> {
        let at = self.loc();
        match self.literal()? {
            Literal::Integer(id) => Ok(id.into()),
            Literal::Bigint(id) => Ok(id),
            _ => Err(self.prepare_error("ID must be an integer", at.0)),
        }
    }

    fn timeout(&mut self) -> Result<Option<Interval>> {
        if !self.accept(Keyword::Timeout) {
            return Ok(None);
        }
        self.interval("TIMEOUT").map(Some)
    }

    fn assert_values(&mut self, before_values: Keyword) -> Result<Box<AssertValues>> {
        let name = self.ident()?;
        let columns = self.name_list()?;
        self.expect(before_values)?;
        let values = self.value_list()?;
        self.check_counts(&columns, values.len())?;
        Ok(Box::new(AssertValues { name, columns, values }))
    }

    fn assert_source(&mut self) -> Result<Statement> {
        let kind = self.source_kind()?;
        let name = self.ident()?;
        let columns = self.columns(kind)?;
        let properties = self.properties()?;
        Ok(Statement::AssertSource(Box::new(CreateSource {
            kind,
            or_replace: false,
            read_only: false,
            if_not_exists: false,
            name,
            columns,
            properties,
        })))
    }
}
