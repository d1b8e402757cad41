//! Statements about queries, connectors, properties and what there is to see.

use super::cursor::Parser;
use crate::ast::{ConnectorKind, CreateConnector, Describe, Print, QueryTarget, Show, Statement};
use crate::error::Result;
use crate::lexer::{Keyword, Symbol, TokenKind};

impl Parser<'_> {
    /// After SHOW or LIST.
    pub(super) fn show(&mut self) -> Result<Show> {
        let all = self.accept(Keyword::All);
        if all || self.is(Keyword::Topics) {
            self.expect(Keyword::Topics)?;
            return Ok(Show::Topics { all, extended: self.accept(Keyword::Extended) });
        }
        let connectors = match self.peek().kind {
            TokenKind::Word(Some(Keyword::Source)) => Some(ConnectorKind::Source),
            TokenKind::Word(Some(Keyword::Sink)) => Some(ConnectorKind::Sink),
            _ => None,
        };
        if connectors.is_some() {
            self.advance();
            self.expect(Keyword::Connectors)?;
            return Ok(Show::Connectors(connectors));
        }
        if self.accept_all(&[Keyword::Connector, Keyword::Plugins]) {
            return Ok(Show::ConnectorPlugins);
        }
        let TokenKind::Word(Some(word)) = self.peek().kind else { return Err(self.no_list()) };
        let extended = self.is_at(1, Keyword::Extended);
        let (show, extensible) = match word {
            Keyword::Streams => (Show::Streams { extended }, true),
            Keyword::Tables => (Show::Tables { extended }, true),
            Keyword::Queries => (Show::Queries { extended }, true),
            Keyword::Functions => (Show::Functions, false),
            Keyword::Connectors => (Show::Connectors(None), false),
            Keyword::Sinks => (Show::Sinks, false),
            Keyword::Types => (Show::Types, false),
            Keyword::Variables => (Show::Variables, false),
            Keyword::Properties => (Show::Properties, false),
            _ => return Err(self.no_list()),
        };
        self.advance();
        if extended && extensible {
            self.advance();
        }
        Ok(show)
    }

    fn no_list(&self) -> crate::error::SqlError {
        let lists = "TOPICS, STREAMS, TABLES, QUERIES, FUNCTIONS, CONNECTORS, CONNECTOR PLUGINS, \
                     SINKS, TYPES, VARIABLES or PROPERTIES";
        self.near().hint(format!("expected {lists}"))
    }

    /// After DESCRIBE. FUNCTION and TABLES may also name a source.
    pub(super) fn describe(&mut self) -> Result<Describe> {
        if self.accept(Keyword::Streams) {
            return Ok(Describe::Streams { extended: self.accept(Keyword::Extended) });
        }
        if self.accept(Keyword::Tables) {
            return Ok(Describe::Tables { extended: self.accept(Keyword::Extended) });
        }
        if self.is(Keyword::Function) && self.is_name_at(1) {
            self.advance();
            return Ok(Describe::Function(self.ident()?));
        }
        if self.accept(Keyword::Connector) {
            return Ok(Describe::Connector(self.ident()?));
        }
        if self.is(Keyword::Sink) && self.is_name_at(1) && !self.is_at(1, Keyword::Extended) {
            self.advance();
            let name = self.ident()?;
            return Ok(Describe::Sink { name, extended: self.accept(Keyword::Extended) });
        }
        let name = self.ident()?;
        Ok(Describe::Source { name, extended: self.accept(Keyword::Extended) })
    }

    /// After PRINT.
    pub(super) fn print(&mut self) -> Result<Print> {
        let topic = self.resource()?;
        let from_beginning = self.accept(Keyword::From);
        if from_beginning {
            self.expect(Keyword::Beginning)?;
        }
        let interval = match self.accept(Keyword::Interval) || self.accept(Keyword::Sample) {
            true => Some(self.whole_number("INTERVAL")?),
            false => None,
        };
        Ok(Print { topic, from_beginning, interval, limit: self.limit()? })
    }

    /// After TERMINATE, PAUSE or RESUME.
    pub(super) fn query_target(&mut self) -> Result<QueryTarget> {
        if self.accept(Keyword::All) {
            return Ok(QueryTarget::All);
        }
        self.ident().map(QueryTarget::Id)
    }

    /// After EXPLAIN: a query's id, or a statement.
    pub(super) fn explain(&mut self) -> Result<Statement> {
        let ends =
            matches!(self.peek_at(1).kind, TokenKind::End | TokenKind::Symbol(Symbol::Semicolon));
        if self.is_name_at(0) && ends {
            return self.ident().map(Statement::ExplainQuery);
        }
        let statement = self.nested(Self::statement)?;
        Ok(Statement::ExplainStatement(Box::new(statement)))
    }

    /// After `CREATE SOURCE|SINK CONNECTOR`.
    pub(super) fn create_connector(&mut self, kind: ConnectorKind) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.ident()?;
        if !self.is(Keyword::With) {
            return Err(self.near().hint("expected WITH and the connector's properties"));
        }
        let properties = self.properties()?;
        let connector = CreateConnector { kind, if_not_exists, name, properties };
        Ok(Statement::CreateConnector(Box::new(connector)))
    }

    pub(super) fn drop_connector(&mut self) -> Result<Statement> {
        Ok(Statement::DropConnector { if_exists: self.if_exists(), name: self.ident()? })
    }

    /// After DEFINE.
    pub(super) fn define(&mut self) -> Result<Statement> {
        let name = self.ident()?;
        self.expect_symbol(Symbol::Eq)?;
        Ok(Statement::Define { name, value: self.string()? })
    }
}
