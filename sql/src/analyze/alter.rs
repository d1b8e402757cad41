//! ALTER STREAM and ALTER TABLE: columns are added.

use super::{Analyzed, exists};
use crate::ast::{ColumnDef, Ident};
use crate::catalog::{Catalog, Column, ColumnRole, Source, SourceKind, pseudo};
use crate::error::{Result, SqlError};

/// # Errors
/// An unknown source, the wrong kind, a source that a query makes, a name that is taken.
pub(super) fn alter(
    kind: SourceKind,
    name: &Ident,
    columns: &[ColumnDef],
    catalog: &Catalog,
) -> Result<Analyzed> {
    let refuse = |message: String| Err(SqlError::invalid(message).at(name.span()));
    let Some(source) = catalog.source(&name.value) else {
        return refuse(format!("Source {} does not exist.", name.value));
    };
    if source.kind != kind {
        let word = |kind| exists::kind_name(kind).to_uppercase();
        return refuse(format!(
            "Incompatible data source type is {}, but statement was ALTER {}",
            word(source.kind),
            word(kind)
        ));
    }
    if source.query.is_some() {
        return refuse("ALTER command is not supported for CREATE ... AS statements.".to_string());
    }
    if source.read_only {
        let kind = exists::kind_name(kind);
        return refuse(format!(
            "Cannot alter {kind} '{}': ALTER operations are not supported on source {kind}s.",
            source.name
        ));
    }
    let mut altered: Source = source.as_ref().clone();
    for def in columns {
        let column = def.name.value.clone();
        if altered.column(&column).is_some() || pseudo::ALL.contains(&column.as_str()) {
            let message = format!(
                "Cannot add column `{column}` to schema. A column with the same name already \
                 exists."
            );
            return Err(SqlError::invalid(message).at(def.name.span()));
        }
        let ty = def.ty.resolve(&|_| None)?;
        altered.columns.push(Column { name: column, ty, role: ColumnRole::Value });
    }
    Ok(Analyzed::AlterSource(Box::new(altered)))
}
