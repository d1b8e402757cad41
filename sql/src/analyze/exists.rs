//! Names that are taken: IF NOT EXISTS, OR REPLACE, and plain refusal.

use super::settings::Settings;
use super::{Analyzed, NothingToDo};
use crate::ast::{CreateAs, CreateSource, Ident};
use crate::catalog::{Catalog, SourceKind};
use crate::error::{Result, SqlError};

/// What both kinds of CREATE say about their name.
pub(super) trait Named {
    fn name(&self) -> &Ident;
    fn kind(&self) -> SourceKind;
    fn if_not_exists(&self) -> bool;
    fn or_replace(&self) -> bool;
    /// CREATE SOURCE.
    fn read_only(&self) -> bool;
    /// CREATE ... AS SELECT.
    fn is_query(&self) -> bool;
}

macro_rules! named {
    ($($ty:ty: $read_only:expr, $is_query:expr);*) => {$(
        impl Named for $ty {
            fn name(&self) -> &Ident {
                &self.name
            }
            fn kind(&self) -> SourceKind {
                self.kind
            }
            fn if_not_exists(&self) -> bool {
                self.if_not_exists
            }
            fn or_replace(&self) -> bool {
                self.or_replace
            }
            fn read_only(&self) -> bool {
                $read_only(self)
            }
            fn is_query(&self) -> bool {
                $is_query
            }
        }
    )*};
}
named!(
    CreateSource: |create: &CreateSource| create.read_only, false;
    CreateAs: |_: &CreateAs| false, true
);

/// `Some` when the name exists and the statement says that this is fine.
///
/// # Errors
/// A bad name, OR REPLACE of a query where that is switched off, or a name that is taken.
pub(super) fn check(
    create: &dyn Named,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Option<Analyzed>> {
    let name = create.name();
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.value.chars().all(valid) {
        let message = format!(
            "Illegal argument at {}: Invalid name '{}': only letters, digits, '_' and '-'",
            "source", name.value
        );
        return Err(SqlError::invalid(message).at(name.span()));
    }
    if create.or_replace() {
        check_not_read_only(create, catalog)?;
        check_query_may_be_replaced(create, catalog, settings)?;
        // Whether the one can become the other is known when the new one is.
        return Ok(None);
    }
    let Some(existing) = catalog.source(&name.value) else { return Ok(None) };
    let kind = kind_name(create.kind());
    if create.if_not_exists() {
        let message = format!(
            "Cannot add {kind} `{}`: A {kind} with the same name already exists.",
            name.value
        );
        return Ok(Some(Analyzed::Nothing(NothingToDo { message })));
    }
    let hint = format!("DROP it first, or write CREATE {} IF NOT EXISTS", kind.to_uppercase());
    Err(taken(kind, name, existing.kind).hint(hint))
}

fn taken(kind: &str, name: &Ident, existing: SourceKind) -> SqlError {
    let existing = kind_name(existing);
    let message = format!(
        "Cannot add {kind} '{}': A {existing} with the same name already exists",
        name.value
    );
    SqlError::invalid(message).at(name.span())
}

/// `ksql.create.or.replace.enabled` is about queries: where it is off, a source that a query writes
/// is not replaced by another query. Sources without one change all the same, as in ksqlDB.
fn check_query_may_be_replaced(
    create: &dyn Named,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<()> {
    const SWITCH: &str = "ksql.create.or.replace.enabled";
    let name = create.name();
    let written = catalog.queries.values().any(|query| query.writes == name.value);
    if !create.is_query() || !written || settings.is_on(SWITCH, true) {
        return Ok(());
    }
    let hint = format!("'{SWITCH}' is false: DROP it first");
    Err(taken(kind_name(create.kind()), name, create.kind()).hint(hint))
}

/// Sources that nothing writes to are not replaced, nor by one another.
fn check_not_read_only(create: &dyn Named, catalog: &Catalog) -> Result<()> {
    let name = create.name();
    let existing = catalog.source(&name.value).is_some_and(|source| source.read_only);
    if !existing && !create.read_only() {
        return Ok(());
    }
    let kind = kind_name(create.kind());
    let message = format!(
        "Cannot add {kind} '{}': CREATE OR REPLACE is not supported on source {kind}s.",
        name.value
    );
    Err(SqlError::invalid(message).at(name.span()))
}

/// `stream` or `table`.
pub(super) fn kind_name(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "stream",
        SourceKind::Table => "table",
    }
}
