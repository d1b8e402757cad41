//! Statements about streams, tables and types, and what is inserted into them.

use super::cursor::Parser;
use crate::ast::{
    ColumnDef, ColumnMarker, CreateAs, CreateSource, DropSource, Ident, InsertInto, InsertValues,
    Properties, Property, Statement,
};
use crate::catalog::SourceKind;
use crate::error::Result;
use crate::lexer::{Keyword, Symbol, TokenKind};

impl Parser<'_> {
    /// After CREATE, for everything but connectors.
    pub(super) fn create(&mut self) -> Result<Statement> {
        if self.accept(Keyword::Type) {
            return self.create_type();
        }
        let or_replace = self.accept_all(&[Keyword::Or, Keyword::Replace]);
        let read_only = self.accept(Keyword::Source);
        let kind = self.source_kind()?;
        let if_not_exists = self.if_not_exists();
        let name = self.ident()?;
        let columns = self.columns(kind)?;
        let properties = self.properties()?;
        let as_select = !read_only && columns.is_empty() && self.accept(Keyword::As);
        if as_select {
            let query = self.query()?;
            let create = CreateAs { kind, or_replace, if_not_exists, name, properties, query };
            return Ok(Statement::CreateAs(Box::new(create)));
        }
        if self.is(Keyword::As) {
            let what = if read_only { "SOURCE" } else { "a list of columns" };
            return Err(self.near().hint(format!("AS SELECT does not go with {what}")));
        }
        Ok(Statement::CreateSource(Box::new(CreateSource {
            kind,
            or_replace,
            read_only,
            if_not_exists,
            name,
            columns,
            properties,
        })))
    }

    fn create_type(&mut self) -> Result<Statement> {
        let if_not_exists = self.if_not_exists();
        let name = self.ident()?;
        self.expect(Keyword::As)?;
        Ok(Statement::CreateType { if_not_exists, name, ty: self.ty()? })
    }

    pub(super) fn source_kind(&mut self) -> Result<SourceKind> {
        if self.accept(Keyword::Stream) {
            return Ok(SourceKind::Stream);
        }
        if self.accept(Keyword::Table) {
            return Ok(SourceKind::Table);
        }
        Err(self.near().hint("expected STREAM or TABLE"))
    }

    pub(super) fn if_not_exists(&mut self) -> bool {
        self.accept_all(&[Keyword::If, Keyword::Not, Keyword::Exists])
    }

    pub(super) fn if_exists(&mut self) -> bool {
        self.accept_all(&[Keyword::If, Keyword::Exists])
    }

    /// `(name type [marker], ..)`; empty when there is no list.
    pub(super) fn columns(&mut self, kind: SourceKind) -> Result<Vec<ColumnDef>> {
        if !self.accept_symbol(Symbol::LParen) {
            return Ok(Vec::new());
        }
        let columns = self.comma_list(|p| {
            let start = p.loc();
            let name = p.ident()?;
            let ty = p.ty()?;
            let marker = p.marker()?;
            p.check_marker(kind, &name, &marker)?;
            Ok(ColumnDef { name, ty, marker, loc: p.since(start) })
        })?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(columns)
    }

    fn marker(&mut self) -> Result<ColumnMarker> {
        if self.accept(Keyword::Primary) {
            self.expect(Keyword::Key)?;
            return Ok(ColumnMarker::PrimaryKey);
        }
        if self.accept(Keyword::Key) {
            return Ok(ColumnMarker::Key);
        }
        if self.accept(Keyword::Headers) {
            return Ok(ColumnMarker::Headers);
        }
        if self.accept(Keyword::Header) {
            self.expect_symbol(Symbol::LParen)?;
            let name = self.string()?;
            self.expect_symbol(Symbol::RParen)?;
            return Ok(ColumnMarker::Header(name));
        }
        Ok(ColumnMarker::None)
    }

    fn check_marker(&self, kind: SourceKind, name: &Ident, marker: &ColumnMarker) -> Result<()> {
        let (has, wants, plural) = match (kind, marker) {
            (SourceKind::Stream, ColumnMarker::PrimaryKey) => ("PRIMARY KEY", "KEY", "streams"),
            (SourceKind::Table, ColumnMarker::Key) => ("KEY", "PRIMARY KEY", "tables"),
            _ => return Ok(()),
        };
        let (line, column) = self.line_column(name.loc);
        let message = format!(
            "Line: {line}, Col: {column}: Column `{}` is a '{has}' column: \
             please use '{wants}' for {plural}.",
            name.value
        );
        Err(self.prepare_error(&message, name.span()))
    }

    /// `WITH (name = value, ..)`; empty when there is none.
    pub(super) fn properties(&mut self) -> Result<Properties> {
        let start = self.loc();
        if !self.accept(Keyword::With) {
            return Ok(Properties::default());
        }
        self.expect_symbol(Symbol::LParen)?;
        let list = self.comma_list(Self::property)?;
        self.expect_symbol(Symbol::RParen)?;
        let mut seen = std::collections::HashSet::new();
        for property in &list {
            if !seen.insert(property.name.value.to_ascii_uppercase()) {
                let message = format!("Duplicate property: {}", property.name.value);
                return Err(self.prepare_error(&message, property.name.span()));
            }
        }
        Ok(Properties { list, loc: self.since(start) })
    }

    fn property(&mut self) -> Result<Property> {
        let name = match self.peek().kind {
            TokenKind::String => self.resource()?,
            // The one property whose name is reserved elsewhere.
            TokenKind::Word(Some(Keyword::Table)) => {
                let start = self.loc();
                self.advance();
                Ident { loc: self.since(start), ..Ident::new(Keyword::Table.text()) }
            }
            _ => self.ident()?,
        };
        self.expect_symbol(Symbol::Eq)?;
        let start = self.loc();
        let value = self.literal()?;
        Ok(Property { name, value, value_loc: self.since(start) })
    }

    /// After INSERT.
    pub(super) fn insert(&mut self) -> Result<Statement> {
        self.expect(Keyword::Into)?;
        let name = self.ident()?;
        if self.is(Keyword::With) || self.is(Keyword::Select) {
            // WITH before a name is the query's own.
            let properties = match self.is(Keyword::With) && self.is_name_at(1) {
                true => Properties::default(),
                false => self.properties()?,
            };
            let query = self.query()?;
            return Ok(Statement::InsertInto(Box::new(InsertInto { name, properties, query })));
        }
        let columns = self.name_list()?;
        self.expect(Keyword::Values)?;
        let values = self.value_list()?;
        self.check_counts(&columns, values.len())?;
        Ok(Statement::InsertValues(Box::new(InsertValues { name, columns, values })))
    }

    /// `(a, b)`; empty when there is no list.
    pub(super) fn name_list(&mut self) -> Result<Vec<Ident>> {
        if !self.accept_symbol(Symbol::LParen) {
            return Ok(Vec::new());
        }
        let names = self.comma_list(Self::ident)?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(names)
    }

    pub(super) fn value_list(&mut self) -> Result<Vec<crate::ast::Expr>> {
        self.expect_symbol(Symbol::LParen)?;
        let values = self.comma_list(Self::value_expr)?;
        self.expect_symbol(Symbol::RParen)?;
        Ok(values)
    }

    pub(super) fn check_counts(&self, columns: &[Ident], values: usize) -> Result<()> {
        if columns.is_empty() || columns.len() == values {
            return Ok(());
        }
        let message =
            format!("Expected number columns and values to match: {}, {values}", columns.len());
        let hint = "give each named column one value";
        Err(self.prepare_error(&message, columns[0].span()).hint(hint))
    }

    /// After DROP, for everything but connectors.
    pub(super) fn drop(&mut self) -> Result<Statement> {
        if self.accept(Keyword::Type) {
            return Ok(Statement::DropType { if_exists: self.if_exists(), name: self.ident()? });
        }
        let kind = self.source_kind()?;
        let if_exists = self.if_exists();
        let name = self.ident()?;
        let delete_topic = self.accept(Keyword::Delete);
        if delete_topic {
            self.expect(Keyword::Topic)?;
        }
        Ok(Statement::DropSource(DropSource { kind, if_exists, name, delete_topic }))
    }

    /// After ALTER.
    pub(super) fn alter(&mut self) -> Result<Statement> {
        if self.accept(Keyword::System) {
            let (name, value) = self.assignment()?;
            return Ok(Statement::AlterSystem { name, value });
        }
        let kind = self.source_kind()?;
        let name = self.ident()?;
        let columns = self.comma_list(|p| {
            p.expect(Keyword::Add)?;
            p.accept(Keyword::Column);
            let start = p.loc();
            let (name, ty) = (p.ident()?, p.ty()?);
            Ok(ColumnDef { name, ty, marker: ColumnMarker::None, loc: p.since(start) })
        })?;
        Ok(Statement::AlterSource { kind, name, columns })
    }

    /// `'name' = 'value'`.
    pub(super) fn assignment(&mut self) -> Result<(String, String)> {
        let name = self.string()?;
        self.expect_symbol(Symbol::Eq)?;
        Ok((name, self.string()?))
    }
}
