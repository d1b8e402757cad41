//! The Avro schema of columns, with the attributes that Connect's converters add: every field may
//! be NULL, and a map is an array of entries, since its keys may be NULL, too.

use millrace_sql::catalog::{FormatSpec, SchemaKind, SchemaText};
use millrace_sql::types::{SqlType, StructField};
use serde_json::{Value, json};

const NAME_DEFAULT: &str = "io.confluent.ksql.avro_schemas.KsqlDataSourceSchema";

/// # Errors
/// When a column's name is none in Avro.
pub fn describe(format: &FormatSpec, columns: &[(String, SqlType)]) -> Result<SchemaText, String> {
    let name = format.schema.full_name.as_deref().unwrap_or(NAME_DEFAULT);
    let schema = match columns {
        [(_, ty)] if !format.wrapped => describe_type(ty, name, "")?,
        _ => {
            let column =
                |(name, ty): &(String, SqlType)| StructField { name: name.clone(), ty: ty.clone() };
            let fields: Vec<_> = columns.iter().map(column).collect();
            record(&fields, name, "")?
        }
    };
    Ok(SchemaText { kind: SchemaKind::Avro, text: schema.to_string(), references: Vec::new() })
}

/// The schema of a type that is not NULL. `path` names it, should it need a name; `namespace` is
/// the one that the schema around it has.
fn describe_type(ty: &SqlType, path: &str, namespace: &str) -> Result<Value, String> {
    Ok(match ty {
        SqlType::Boolean => json!("boolean"),
        SqlType::Integer => json!("int"),
        SqlType::Bigint => json!("long"),
        SqlType::Double => json!("double"),
        SqlType::String => json!("string"),
        SqlType::Bytes => json!("bytes"),
        SqlType::Decimal { precision, scale } => json!({
            "type": "bytes",
            "scale": scale,
            "precision": precision,
            "connect.version": 1,
            "connect.parameters": {
                "scale": scale.to_string(),
                "connect.decimal.precision": precision.to_string(),
            },
            "connect.name": "org.apache.kafka.connect.data.Decimal",
            "logicalType": "decimal",
        }),
        SqlType::Date => logical("int", "Date", "date"),
        SqlType::Time => logical("int", "Time", "time-millis"),
        SqlType::Timestamp => logical("long", "Timestamp", "timestamp-millis"),
        SqlType::Array(item) => {
            json!({ "type": "array", "items": optional(describe_type(item, path, namespace)?) })
        }
        SqlType::Map(key, value) => {
            let (own_namespace, name) = split(path);
            let key = describe_type(key, &format!("{path}_MapKey"), own_namespace)?;
            let value = describe_type(value, &format!("{path}_MapValue"), own_namespace)?;
            let mut entry = named(name, own_namespace, namespace);
            entry["fields"] = json!([field("key", key), field("value", value)]);
            entry["connect.internal.type"] = json!("MapEntry");
            json!({ "type": "array", "items": entry, "connect.name": path })
        }
        SqlType::Struct(fields) => record(fields, path, namespace)?,
    })
}

fn record(fields: &[StructField], path: &str, namespace: &str) -> Result<Value, String> {
    let (own_namespace, name) = split(path);
    let describe = |f: &StructField| {
        let name = f.name.replace('.', "_");
        check_name(&name)?;
        let ty = describe_type(&f.ty, &format!("{path}_{}", f.name), own_namespace)?;
        Ok(field(&name, ty))
    };
    let fields = fields.iter().map(describe).collect::<Result<Vec<_>, String>>()?;
    let mut record = named(name, own_namespace, namespace);
    record["fields"] = Value::Array(fields);
    record["connect.name"] = json!(path);
    Ok(record)
}

/// The start of a record: its name, and its namespace unless that of the schema around it holds.
fn named(name: &str, own_namespace: &str, namespace: &str) -> Value {
    let mut record = json!({ "type": "record", "name": name });
    if own_namespace != namespace {
        record["namespace"] = json!(own_namespace);
    }
    record
}

fn field(name: &str, ty: Value) -> Value {
    json!({ "name": name, "type": optional(ty), "default": null })
}

fn optional(ty: Value) -> Value {
    json!(["null", ty])
}

fn logical(base: &str, connect: &str, avro: &str) -> Value {
    json!({
        "type": base,
        "connect.version": 1,
        "connect.name": format!("org.apache.kafka.connect.data.{connect}"),
        "logicalType": avro,
    })
}

fn split(full_name: &str) -> (&str, &str) {
    full_name.rsplit_once('.').unwrap_or(("", full_name))
}

fn check_name(name: &str) -> Result<(), String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let other = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let why = match name.chars().next() {
        None => "Empty name".to_string(),
        Some(c) if !first(c) => format!("Illegal initial character: {name}"),
        Some(_) if !name.chars().all(other) => format!("Illegal character in: {name}"),
        Some(_) => return Ok(()),
    };
    Err(format!("Schema is not compatible with Avro: {why}"))
}
