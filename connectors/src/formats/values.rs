//! Single keys and values between JSON and the bytes of a format with schemas: for tools that have
//! a schema and no source.

use std::sync::Arc;

use arrow::array::ArrayRef;
use millrace_engine::codec::view::ColumnView;
use millrace_engine::format::Naming;
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::catalog::{FormatKind, FormatSpec, RegisteredSchema, SchemaKind};
use millrace_sql::types::SqlType;
use serde_json::{Map, Value};

use super::avro::{AvroEncoder, Shape};
use super::columns::{Columns, Field};
use super::protobuf::ProtobufEncoder;
use super::schemas::Schemas;
use super::wire::{split_head, write_head};
use super::{avro, describe, json_sr, protobuf};

/// The name of a value that is no record.
const SINGLE: &str = "VALUE";

/// A key or a value, as its schema types it.
#[derive(Debug, Clone)]
pub struct TypedValue {
    /// Fields of a record, or the only value.
    pub columns: Vec<(String, SqlType)>,
    pub is_record: bool,
    /// One row of each column; `None`: the value is NULL.
    pub arrays: Option<Vec<ArrayRef>>,
}

/// Writes a JSON value as a record with that schema. Names match in any case.
///
/// # Errors
/// A value that the schema cannot hold.
pub fn write(
    format: &FormatSpec,
    schema: &RegisteredSchema,
    value: &Value,
) -> Result<Vec<u8>, String> {
    let (columns, is_record) = types(format, schema)?;
    let ty = record_type(&columns);
    let value = match columns.first() {
        Some((_, ty)) if !is_record => renamed(value, ty),
        _ => renamed(value, &ty),
    };
    let mut out = Vec::new();
    write_head(schema.id, &mut out);
    if schema.schema.kind == SchemaKind::Json {
        out.extend_from_slice(value.to_string().as_bytes());
        return Ok(out);
    }
    let arrays = row_of(&columns, is_record, &value)?;
    let views = arrays.iter().map(|array| ColumnView::new(array.as_ref()));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let refs: Vec<_> = columns.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
    let shape = Shape::of_columns(&refs);
    match (schema.schema.kind, &views[..]) {
        (SchemaKind::Avro, [only]) if !is_record => {
            AvroEncoder::new(&schema.schema, &shape, true)?.write_single(only, 0, &mut out)?;
        }
        (SchemaKind::Avro, views) => {
            AvroEncoder::new(&schema.schema, &shape, false)?.write(views, 0, &mut out)?;
        }
        (_, views) => {
            let full_name = format.schema.full_name.as_deref();
            let nulls = format.schema.nulls;
            let encoder = ProtobufEncoder::new(&schema.schema, full_name, &shape, nulls)?;
            out.extend_from_slice(encoder.path());
            encoder.write(views, 0, &mut out)?;
        }
    }
    Ok(out)
}

/// Writes a JSON value as a bare message of columns.
///
/// # Errors
/// A value that the columns cannot hold.
pub fn write_bare(
    format: &FormatSpec,
    columns: &[(String, SqlType)],
    value: &Value,
) -> Result<Vec<u8>, String> {
    let value = renamed(value, &record_type(columns));
    let arrays = row_of(columns, true, &value)?;
    let views = arrays.iter().map(|array| ColumnView::new(array.as_ref()));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let refs: Vec<_> = columns.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
    let schema = describe(format, columns)?;
    let shape = Shape::of_columns(&refs);
    let encoder = ProtobufEncoder::new(&schema, None, &shape, format.schema.nulls)?;
    let mut out = Vec::new();
    encoder.write(&views, 0, &mut out)?;
    Ok(out)
}

/// Reads a record by the schema that it names.
///
/// # Errors
/// Bytes that are no such record.
pub fn read(
    format: &FormatSpec,
    registry: &Arc<dyn SchemaRegistry>,
    bytes: &[u8],
) -> Result<TypedValue, String> {
    let (id, _) = split_head(bytes)?;
    let schema = registry.by_id(id).map_err(|e| e.to_string())?;
    let schema = schema.ok_or_else(|| format!("there is no schema {id}"))?;
    let (columns, is_record) = types(format, &schema)?;
    let format = FormatSpec { wrapped: is_record, ..format.clone() };
    read_columns(&format, columns, is_record, Schemas(Some(registry.clone())), bytes)
}

/// Reads a bare message of columns.
///
/// # Errors
/// Bytes that are no such message.
pub fn read_bare(
    format: &FormatSpec,
    columns: &[(String, SqlType)],
    bytes: &[u8],
) -> Result<TypedValue, String> {
    read_columns(format, columns.to_vec(), true, Schemas::default(), bytes)
}

fn read_columns(
    format: &FormatSpec,
    columns: Vec<(String, SqlType)>,
    is_record: bool,
    schemas: Schemas,
    bytes: &[u8],
) -> Result<TypedValue, String> {
    let mut decoder = Columns::new(format, wanted(&columns), schemas)?;
    let is_there = decoder.push(bytes)?;
    let arrays = decoder.finish().map_err(|e| e.to_string())?.into_iter().flatten().collect();
    Ok(TypedValue { columns, is_record, arrays: is_there.then_some(arrays) })
}

/// The columns of a schema, names as they stand, and whether its root is a record.
fn types(
    format: &FormatSpec,
    schema: &RegisteredSchema,
) -> Result<(Vec<(String, SqlType)>, bool), String> {
    let naming = Naming { single: SINGLE, keep_case: true };
    let text = &schema.schema;
    let infer = |wrapped: bool| match text.kind {
        SchemaKind::Avro => avro::infer(text, wrapped, naming),
        SchemaKind::Json => json_sr::infer(text, wrapped, naming),
        SchemaKind::Protobuf => protobuf::infer(text, format, naming),
    };
    match infer(true) {
        Ok(inferred) => Ok((inferred.columns, true)),
        Err(_) => Ok((infer(false)?.columns, false)),
    }
}

fn row_of(
    columns: &[(String, SqlType)],
    is_record: bool,
    value: &Value,
) -> Result<Vec<ArrayRef>, String> {
    let json = FormatSpec::new(FormatKind::Json, is_record);
    let mut decoder = Columns::new(&json, wanted(columns), Schemas::default())?;
    decoder.push(value.to_string().as_bytes())?;
    Ok(decoder.finish().map_err(|e| e.to_string())?.into_iter().flatten().collect())
}

fn wanted(columns: &[(String, SqlType)]) -> Vec<Field> {
    let field =
        |(name, ty): &(String, SqlType)| Field { name: name.clone(), ty: ty.clone(), wanted: true };
    columns.iter().map(field).collect()
}

fn record_type(columns: &[(String, SqlType)]) -> SqlType {
    let field = |(name, ty): &(String, SqlType)| millrace_sql::types::StructField {
        name: name.clone(),
        ty: ty.clone(),
    };
    SqlType::Struct(columns.iter().map(field).collect())
}

/// The value with its members named as the type names them, and without unknown ones.
fn renamed(value: &Value, ty: &SqlType) -> Value {
    match (ty, value) {
        (SqlType::Struct(fields), Value::Object(members)) => {
            let mut out = Map::new();
            for field in fields {
                let exact = members.get(&field.name);
                let found = exact.or_else(|| {
                    let same = |name: &&String| name.eq_ignore_ascii_case(&field.name);
                    members.keys().find(same).and_then(|name| members.get(name))
                });
                if let Some(found) = found {
                    out.insert(field.name.clone(), renamed(found, &field.ty));
                }
            }
            Value::Object(out)
        }
        (SqlType::Array(item), Value::Array(list)) => {
            list.iter().map(|value| renamed(value, item)).collect()
        }
        (SqlType::Map(_, item), Value::Object(entries)) => {
            let entry = |(key, value): (&String, &Value)| (key.clone(), renamed(value, item));
            Value::Object(entries.iter().map(entry).collect())
        }
        _ => value.clone(),
    }
}
