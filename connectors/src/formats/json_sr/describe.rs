//! The JSON schema of columns, with the attributes that Connect's converters add. Every value may
//! be null, and a map is an array of entries, since its keys may be null, too.

use millrace_sql::catalog::{FormatSpec, SchemaKind, SchemaText};
use millrace_sql::types::SqlType;
use serde_json::{Map, Value, json};

/// The schema of columns, or of the only one when it stands alone.
pub fn describe(format: &FormatSpec, columns: &[(String, SqlType)]) -> SchemaText {
    let schema = match columns {
        [(_, ty)] if !format.wrapped => optional(ty),
        _ => object(columns.iter().map(|(name, ty)| (name.as_str(), ty))),
    };
    SchemaText { kind: SchemaKind::Json, text: schema.to_string(), references: Vec::new() }
}

fn optional(ty: &SqlType) -> Value {
    json!({ "oneOf": [{ "type": "null" }, describe_type(ty)] })
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a SqlType)>) -> Value {
    let member = |(at, (name, ty)): (usize, (&str, &SqlType))| {
        let mut member = optional(ty);
        member["connect.index"] = json!(at);
        (name.to_string(), member)
    };
    let properties: Map<String, Value> = members.enumerate().map(member).collect();
    json!({ "type": "object", "properties": properties })
}

fn describe_type(ty: &SqlType) -> Value {
    match ty {
        SqlType::Boolean => json!({ "type": "boolean" }),
        SqlType::Integer => json!({ "type": "integer", "connect.type": "int32" }),
        SqlType::Bigint => json!({ "type": "integer", "connect.type": "int64" }),
        SqlType::Double => json!({ "type": "number", "connect.type": "float64" }),
        SqlType::String => json!({ "type": "string" }),
        SqlType::Bytes => json!({ "type": "string", "connect.type": "bytes" }),
        SqlType::Decimal { precision, scale } => json!({
            "type": "number",
            "title": "org.apache.kafka.connect.data.Decimal",
            "connect.version": 1,
            "connect.type": "bytes",
            "connect.parameters": {
                "scale": scale.to_string(),
                "connect.decimal.precision": precision.to_string(),
            },
        }),
        SqlType::Date => logical("Date", "int32"),
        SqlType::Time => logical("Time", "int32"),
        SqlType::Timestamp => logical("Timestamp", "int64"),
        SqlType::Array(item) => json!({ "type": "array", "items": optional(item) }),
        SqlType::Map(key, value) => json!({
            "type": "array",
            "connect.type": "map",
            "items": object([("key", key.as_ref()), ("value", value.as_ref())].into_iter()),
        }),
        SqlType::Struct(fields) => object(fields.iter().map(|f| (f.name.as_str(), &f.ty))),
    }
}

fn logical(name: &str, connect: &str) -> Value {
    json!({
        "type": "integer",
        "title": format!("org.apache.kafka.connect.data.{name}"),
        "connect.version": 1,
        "connect.type": connect,
    })
}
