//! Columns that a statement leaves to the schema registry. What the registry says comes in as a
//! fact and goes into the statement, so that all later analysis is pure.

use super::create::kinds;
use super::formats::Side;
use super::schema_spec::schema_spec;
use super::settings::Settings;
use super::with::{self, With};
use crate::ast::{
    ColumnDef, ColumnMarker, CreateSource, FieldDef, Ident, Literal, Loc, Properties, Property,
    ScalarType, Statement, TypeExpr, TypeKind,
};
use crate::catalog::{Column, ColumnRole, FormatSpec, Source, SourceKind};
use crate::error::{Result, SqlError};
use crate::types::SqlType;

/// One side of a CREATE whose columns the registry knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inference {
    pub side: Side,
    pub topic: String,
    /// Without wrapping when the columns are to be read so.
    pub format: FormatSpec,
}

/// What a statement leaves to the registry; nothing for most statements.
///
/// # Errors
/// When a schema id is given where it makes no sense.
pub fn inferences(statement: &Statement, settings: &Settings) -> Result<Vec<Inference>> {
    let Statement::CreateSource(create) = statement else { return Ok(Vec::new()) };
    let with = With::of_source(&create.properties, with::CREATE, settings)?;
    let (key, value) = kinds(create, &with, settings)?;
    let topic = with.text("KAFKA_TOPIC")?.unwrap_or_default();
    let mut found = Vec::new();
    for (side, kind) in [(Side::Key, key), (Side::Value, value)] {
        let schema = schema_spec(&with, side, kind, &create.name.value)?;
        let declared = create.columns.iter().any(|c| side_of(c) == Some(side));
        if declared && schema.id.is_some() {
            let property = side.property("SCHEMA_ID");
            let message =
                format!("Table elements and {property} cannot both exist for create statement.");
            return Err(with.located(&property, SqlError::invalid(message)));
        }
        if declared || !kind.has_registry() {
            continue;
        }
        let wrapped = match side {
            Side::Key => kind.always_wrapped(),
            Side::Value => with.switch("WRAP_SINGLE_VALUE")? != Some(false),
        };
        let format = FormatSpec { schema, ..FormatSpec::new(kind, wrapped) };
        found.push(Inference { side, topic: topic.clone(), format });
    }
    Ok(found)
}

/// The statement with the columns that the registry knows. `full_name` is the schema's, when the
/// statement chose the schema by its id.
pub fn with_columns(
    statement: &Statement,
    side: Side,
    columns: &[(String, SqlType)],
    full_name: Option<&str>,
) -> Statement {
    let Statement::CreateSource(create) = statement else { return statement.clone() };
    let mut create = create.as_ref().clone();
    let marker = match (side, create.kind) {
        (Side::Value, _) => ColumnMarker::None,
        (Side::Key, SourceKind::Stream) => ColumnMarker::Key,
        (Side::Key, SourceKind::Table) => ColumnMarker::PrimaryKey,
    };
    let inferred = columns.iter().map(|(name, ty)| ColumnDef {
        name: Ident::new(name),
        ty: type_expr(ty),
        marker: marker.clone(),
        loc: create.name.loc,
    });
    create.columns.extend(inferred);
    create.columns.sort_by_key(order);
    if let Some(name) = full_name {
        name_schema(&mut create, side, name);
    }
    Statement::CreateSource(Box::new(create))
}

/// Headers, then keys, then values.
fn order(column: &ColumnDef) -> u8 {
    match side_of(column) {
        None => 0,
        Some(Side::Key) => 1,
        Some(Side::Value) => 2,
    }
}

fn side_of(column: &ColumnDef) -> Option<Side> {
    match column.marker {
        ColumnMarker::Key | ColumnMarker::PrimaryKey => Some(Side::Key),
        ColumnMarker::None => Some(Side::Value),
        ColumnMarker::Headers | ColumnMarker::Header(_) => None,
    }
}

fn name_schema(create: &mut CreateSource, side: Side, name: &str) {
    let property = side.property("SCHEMA_FULL_NAME");
    let Properties { list, .. } = &mut create.properties;
    if list.iter().any(|p| p.name.value.eq_ignore_ascii_case(&property)) {
        return;
    }
    let (name, value) = (Ident::new(property), Literal::String(name.to_string()));
    list.push(Property { name, value, value_loc: Loc::default() });
}

/// Checks the columns of a CREATE ... AS SELECT against those of the schema that the statement
/// wants them to be written with.
///
/// # Errors
/// When a column is not in the schema at the same place with the same name and type.
pub fn check_registered(source: &Source, side: Side, known: &[(String, SqlType)]) -> Result<()> {
    let role = if side == Side::Key { ColumnRole::Key } else { ColumnRole::Value };
    let own: Vec<&Column> = source.columns.iter().filter(|c| c.role == role).collect();
    let shown = |name: &str, ty: &SqlType| {
        let key = if side == Side::Key { " KEY" } else { "" };
        format!("`{name}` {ty}{key}")
    };
    let differs = |(i, column): &(usize, &&Column)| {
        known.get(*i).is_none_or(|(name, ty)| *name != column.name || *ty != column.ty)
    };
    let different: Vec<String> = own
        .iter()
        .enumerate()
        .filter(differs)
        .map(|(_, column)| shown(&column.name, &column.ty))
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(|(name, ty)| shown(name, ty)).collect();
    Err(SqlError::invalid(format!(
        "The following {} columns are changed, missing or reordered: [{}]. Schema from schema \
         registry is [{}]",
        if side == Side::Key { "key" } else { "value" },
        different.join(", "),
        known.join(", ")
    )))
}

fn type_expr(ty: &SqlType) -> TypeExpr {
    let boxed = |ty: &SqlType| Box::new(type_expr(ty));
    let kind = match ty {
        SqlType::Boolean => TypeKind::Scalar(ScalarType::Boolean),
        SqlType::Integer => TypeKind::Scalar(ScalarType::Integer),
        SqlType::Bigint => TypeKind::Scalar(ScalarType::Bigint),
        SqlType::Double => TypeKind::Scalar(ScalarType::Double),
        SqlType::Decimal { precision, scale } => {
            let (precision, scale) = (u32::from(*precision), u32::from(*scale));
            TypeKind::Scalar(ScalarType::Decimal { precision, scale })
        }
        SqlType::String => TypeKind::Scalar(ScalarType::String),
        SqlType::Bytes => TypeKind::Scalar(ScalarType::Bytes),
        SqlType::Date => TypeKind::Scalar(ScalarType::Date),
        SqlType::Time => TypeKind::Scalar(ScalarType::Time),
        SqlType::Timestamp => TypeKind::Scalar(ScalarType::Timestamp),
        SqlType::Array(item) => TypeKind::Array(boxed(item)),
        SqlType::Map(key, value) => TypeKind::Map(boxed(key), boxed(value)),
        SqlType::Struct(fields) => {
            let field = |f: &crate::types::StructField| FieldDef {
                name: Ident::new(&f.name),
                ty: type_expr(&f.ty),
            };
            TypeKind::Struct(fields.iter().map(field).collect())
        }
    };
    TypeExpr { kind, loc: Loc::default() }
}
