//! What WITH says of the schemas of keys and values.

use super::formats::Side;
use super::with::With;
use crate::catalog::{FormatKind, ProtobufNulls, SchemaSpec};
use crate::error::{Result, SqlError};

/// Where the names of generated key records live.
const AVRO_NAMESPACE: &str = "io.confluent.ksql.avro_schemas";

/// Options of one side's schema. `source` is the stream or table that is made.
///
/// # Errors
/// Options that the format does not have, and values that make no sense.
pub(super) fn schema_spec(
    with: &With<'_>,
    side: Side,
    kind: FormatKind,
    source: &str,
) -> Result<SchemaSpec> {
    let mut spec = SchemaSpec {
        full_name: full_name(with, side, kind)?,
        id: schema_id(with, side, kind)?,
        nulls: nulls(with, side, kind)?,
        registered: None,
    };
    if side == Side::Key && kind == FormatKind::Avro && spec.full_name.is_none() {
        spec.full_name = Some(format!("{AVRO_NAMESPACE}.{}Key", camel(source)));
    }
    Ok(spec)
}

/// KEY_SCHEMA_ID or VALUE_SCHEMA_ID.
fn schema_id(with: &With<'_>, side: Side, kind: FormatKind) -> Result<Option<u32>> {
    let property = side.property("SCHEMA_ID");
    let id = with.number(&property, 0)?;
    if id.is_some() && !kind.has_registry() {
        let message = format!(
            "{} should support schema inference when {property} is provided. Current format is {}.",
            side.property("FORMAT"),
            kind.name()
        );
        return Err(with.located(&property, SqlError::invalid(message)));
    }
    let refuse = |id: i64| {
        let message = format!("Invalid value {id} for property {property}: not an id of a schema");
        with.located(&property, SqlError::invalid(message))
    };
    id.map(|id| u32::try_from(id).map_err(|_| refuse(id))).transpose()
}

fn full_name(with: &With<'_>, side: Side, kind: FormatKind) -> Result<Option<String>> {
    let mut property = side.property("SCHEMA_FULL_NAME");
    let mut name = with.text(&property)?;
    if side == Side::Value {
        const LEGACY: &str = "VALUE_AVRO_SCHEMA_FULL_NAME";
        let legacy = with.text(LEGACY)?;
        if legacy.is_some() {
            (property, name) = (LEGACY.to_string(), legacy);
        }
    }
    let Some(name) = name else { return Ok(None) };
    let refuse = |message: String| Err(with.located(&property, SqlError::invalid(message)));
    if !kind.has_registry() {
        return refuse(format!(
            "{} does not support the following configs: [fullSchemaName]",
            kind.name()
        ));
    }
    let name = name.trim();
    if name.is_empty() {
        let message = "fullSchemaName cannot be empty. Format configuration: {fullSchemaName=}";
        return refuse(message.to_string());
    }
    Ok(Some(name.to_string()))
}

fn nulls(with: &With<'_>, side: Side, kind: FormatKind) -> Result<ProtobufNulls> {
    let property = side.property("PROTOBUF_NULLABLE_REPRESENTATION");
    let Some(text) = with.text(&property)? else { return Ok(ProtobufNulls::Zero) };
    let refuse = |message: String| Err(with.located(&property, SqlError::invalid(message)));
    if !kind.always_wrapped() {
        return refuse(format!("Property {property} can only be enabled with protobuf format"));
    }
    match text.to_uppercase().as_str() {
        "OPTIONAL" => Ok(ProtobufNulls::Optional),
        "WRAPPER" => Ok(ProtobufNulls::Wrapper),
        _ => refuse(format!(
            "Failed to prepare statement: Invalid value {text} for property {property}: String \
             must be one of: OPTIONAL, WRAPPER, null"
        )),
    }
}

/// `MY_STREAM` as `MyStream`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars.map(|c| c.to_ascii_lowercase())).collect::<String>()
    };
    name.split('_').map(word).collect()
}
