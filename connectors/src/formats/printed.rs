//! Records of formats with schemas as text for people: what PRINT shows.

use std::fmt::Write as _;
use std::sync::Arc;

use millrace_engine::codec::view::ColumnView;
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::catalog::{FormatKind, FormatSpec, RegisteredSchema, SchemaKind};
use millrace_sql::types::SqlType;

use super::values::{self, TypedValue};
use super::wire::split_head;
use super::{decimal_text, double_text};

/// Format and text of a record that was written with `schema`. Avro is shown as Java's Avro shows
/// it, Protobuf in its own text format, JSON as it stands.
///
/// # Errors
/// Bytes that this schema did not write.
pub fn printed(
    registry: &Arc<dyn SchemaRegistry>,
    schema: &RegisteredSchema,
    bytes: &[u8],
) -> Result<(FormatKind, String), String> {
    let kind = match schema.schema.kind {
        SchemaKind::Avro => FormatKind::Avro,
        SchemaKind::Protobuf => FormatKind::Protobuf,
        SchemaKind::Json => FormatKind::JsonSr,
    };
    if kind == FormatKind::JsonSr {
        let text = std::str::from_utf8(split_head(bytes)?.1).map_err(|e| e.to_string())?;
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|e| e.to_string())?;
        return Ok((kind, text.to_owned()));
    }
    let value = values::read(&FormatSpec::new(kind, true), registry, bytes)?;
    let mut out = String::new();
    let columns = named_views(&value)?;
    match (kind, columns.as_slice()) {
        (_, []) => out.push_str(if value.arrays.is_some() { "" } else { "<null>" }),
        (FormatKind::Protobuf, columns) => write_fields(columns.iter().cloned(), 0, &mut out),
        (_, [(_, SqlType::String, ColumnView::String(texts))]) if !value.is_record => {
            out.push_str(texts.value(0));
        }
        (_, [(_, ty, view)]) if !value.is_record => write_avro(ty, view, 0, &mut out),
        (_, columns) => write_record(columns.iter().cloned(), 0, &mut out),
    }
    Ok((kind, out))
}

/// A field or column by name.
type Named<'a, 'b> = (&'a str, &'a SqlType, ColumnView<'b>);

fn named_views(value: &TypedValue) -> Result<Vec<Named<'_, '_>>, String> {
    let Some(arrays) = &value.arrays else { return Ok(Vec::new()) };
    let named = value.columns.iter().zip(arrays).map(|((name, ty), array)| {
        let view = ColumnView::new(array.as_ref()).map_err(|e| e.to_string())?;
        Ok((name.as_str(), ty, view))
    });
    named.collect()
}

/// `{"A": 1, "B": [1, 2]}`
fn write_record<'a, 'b: 'a>(
    fields: impl Iterator<Item = Named<'a, 'b>>,
    row: usize,
    out: &mut String,
) {
    out.push('{');
    for (at, (name, ty, view)) in fields.enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        write_quoted(name, out);
        out.push_str(": ");
        write_avro(ty, &view, row, out);
    }
    out.push('}');
}

fn write_avro(ty: &SqlType, view: &ColumnView<'_>, row: usize, out: &mut String) {
    if view.is_null(row) {
        return out.push_str("null");
    }
    match (view, ty) {
        (ColumnView::List(ranges, items), SqlType::Array(item)) => {
            out.push('[');
            for (n, at) in ranges.get(row).unwrap_or_default().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write_avro(item, items, at, out);
            }
            out.push(']');
        }
        (ColumnView::Map(ranges, keys, values), SqlType::Map(_, value)) => {
            out.push('{');
            for (n, at) in ranges.get(row).unwrap_or_default().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                write_scalar(keys, at, out);
                out.push_str(": ");
                write_avro(value, values, at, out);
            }
            out.push('}');
        }
        (ColumnView::Struct(_, members), SqlType::Struct(fields)) => {
            let named = fields.iter().zip(members);
            write_record(named.map(|(f, view)| (f.name.as_str(), &f.ty, view.clone())), row, out);
        }
        _ => write_scalar(view, row, out),
    }
}

/// `A: 1 B: "x" C { D: 2 }`; fields without a value are left out.
fn write_fields<'a, 'b: 'a>(
    fields: impl Iterator<Item = Named<'a, 'b>>,
    row: usize,
    out: &mut String,
) {
    for (name, ty, view) in fields {
        if view.is_null(row) {
            continue;
        }
        match (&view, ty) {
            (ColumnView::List(ranges, items), SqlType::Array(item)) => {
                for at in ranges.get(row).unwrap_or_default() {
                    write_field(name, item, items, at, out);
                }
            }
            (ColumnView::Map(ranges, keys, values), SqlType::Map(key, value)) => {
                for at in ranges.get(row).unwrap_or_default() {
                    open(name, out);
                    write_field("key", key, keys, at, out);
                    write_field("value", value, values, at, out);
                    out.push_str(" }");
                }
            }
            _ => write_field(name, ty, &view, row, out),
        }
    }
}

fn write_field(name: &str, ty: &SqlType, view: &ColumnView<'_>, row: usize, out: &mut String) {
    if view.is_null(row) {
        return;
    }
    match (view, ty) {
        (ColumnView::Struct(_, members), SqlType::Struct(fields)) => {
            open(name, out);
            let named = fields.iter().zip(members);
            write_fields(named.map(|(f, view)| (f.name.as_str(), &f.ty, view.clone())), row, out);
            out.push_str(" }");
        }
        (ColumnView::List(..) | ColumnView::Map(..), _) => {
            write_fields(std::iter::once((name, ty, view.clone())), row, out);
        }
        _ => {
            space(out);
            let _ = write!(out, "{name}: ");
            write_scalar(view, row, out);
        }
    }
}

fn open(name: &str, out: &mut String) {
    space(out);
    let _ = write!(out, "{name} {{");
}

fn space(out: &mut String) {
    if !out.is_empty() {
        out.push(' ');
    }
}

fn write_scalar(view: &ColumnView<'_>, row: usize, out: &mut String) {
    match view {
        ColumnView::Boolean(bits) => out.push_str(if bits.value(row) { "true" } else { "false" }),
        ColumnView::Int32(values) => {
            let _ = write!(out, "{}", values.values[row]);
        }
        ColumnView::Int64(values) => {
            let _ = write!(out, "{}", values.values[row]);
        }
        ColumnView::Double(values) => out.push_str(&double_text(values.values[row])),
        ColumnView::Decimal(values, scale) => {
            out.push_str(&decimal_text(values.values[row], *scale));
        }
        ColumnView::String(texts) => write_quoted(texts.value(row), out),
        ColumnView::Bytes(bytes) => {
            let latin: String = bytes.value(row).iter().map(|byte| char::from(*byte)).collect();
            write_quoted(&latin, out);
        }
        ColumnView::List(..) | ColumnView::Map(..) | ColumnView::Struct(..) => {}
    }
}

fn write_quoted(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use millrace_sql::catalog::SchemaText;

    use super::*;
    use crate::registry::MemoryRegistry;

    fn check(kind: SchemaKind, schema: &str, body: &[u8], want: (FormatKind, &str)) {
        let memory = Arc::new(MemoryRegistry::default());
        let schema = SchemaText { kind, text: schema.to_owned(), references: Vec::new() };
        memory.register_as("t-value", 7, schema.clone());
        let registry: Arc<dyn SchemaRegistry> = memory;
        let bytes = [&[0, 0, 0, 0, 7], body].concat();
        let got = printed(&registry, &RegisteredSchema { id: 7, schema }, &bytes);
        assert_eq!(got, Ok((want.0, want.1.to_owned())));
    }

    #[test]
    fn records_are_shown() {
        let avro = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},
            {"name":"b","type":["null","string"]},{"name":"c","type":{"type":"map","values":
            {"type":"array","items":"double"}}},{"name":"d","type":["null",{"type":"record",
            "name":"D","fields":[{"name":"e","type":"boolean"}]}]}]}"#;
        check(
            SchemaKind::Avro,
            avro,
            b"\x02\x02\x04x\"\x02\x02k\x02\0\0\0\0\0\0\xf0\x3f\0\0\x02\x01",
            (FormatKind::Avro, r#"{"a": 1, "b": "x\"", "c": {"k": [1.0]}, "d": {"e": true}}"#),
        );
        check(SchemaKind::Avro, "\"string\"", b"\x06a b", (FormatKind::Avro, "a b"));
        check(SchemaKind::Avro, "\"long\"", b"\x06", (FormatKind::Avro, "3"));
        check(
            SchemaKind::Protobuf,
            "syntax = \"proto3\"; message M { message N { int32 x = 1; } int32 a = 1; repeated string \
             b = 2; N n = 3; map<string, int64> m = 4; }",
            b"\0\x08\x05\x12\x01y\x12\x01z\x1a\x02\x08\x06\x22\x05\x0a\x01k\x10\x07",
            (FormatKind::Protobuf, "a: 5 b: \"y\" b: \"z\" n { x: 6 } m { key: \"k\" value: 7 }"),
        );
        let json = (FormatKind::JsonSr, "{\"A\": 1}");
        check(SchemaKind::Json, "{\"type\":\"object\"}", b"{\"A\": 1}", json);
    }

    #[test]
    fn other_bytes_are_none_of_theirs() {
        let registry: Arc<dyn SchemaRegistry> = Arc::new(MemoryRegistry::default());
        let text = "\"string\"".to_owned();
        let schema = SchemaText { kind: SchemaKind::Avro, text, references: Vec::new() };
        let schema = RegisteredSchema { id: 1, schema };
        for bytes in [&b"\0\0\0\0\x01\x09"[..], b"", b"\0\0", b"x"] {
            assert!(printed(&registry, &schema, bytes).is_err(), "{bytes:?}");
        }
    }
}
