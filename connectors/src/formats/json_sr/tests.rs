//! JSON with schemas.

use millrace_engine::format::Naming;
use millrace_sql::catalog::{FormatKind, FormatSpec, SchemaKind, SchemaText};
use serde_json::{Value, json};

use super::{describe, infer};
use crate::formats::testing::{fields, read};

fn named(columns: &str) -> Vec<(String, millrace_sql::types::SqlType)> {
    fields(columns).into_iter().map(|f| (f.name, f.ty)).collect()
}

fn inferred(schema: &SchemaText, wrapped: bool, keep_case: bool) -> String {
    match infer(schema, wrapped, Naming { single: "ROWVAL", keep_case }) {
        Ok(inferred) => {
            let shown = inferred.columns.iter().map(|(name, ty)| format!("{name} {ty}"));
            shown.collect::<Vec<_>>().join(", ")
        }
        Err(why) => why,
    }
}

#[test]
fn what_is_described_is_inferred() {
    let check = |columns: &str, wrapped: bool| {
        let columns = named(columns);
        let schema = describe(&FormatSpec::new(FormatKind::JsonSr, wrapped), &columns);
        let want = columns.iter().map(|(name, ty)| {
            let name = if wrapped { name } else { "ROWVAL" };
            format!("{name} {ty}")
        });
        assert_eq!(inferred(&schema, wrapped, true), want.collect::<Vec<_>>().join(", "));
    };
    check("B INT, A BIGINT, C DOUBLE, D STRING, E BYTES, F BOOLEAN, G DECIMAL(4,2)", true);
    check("B DATE, A TIME, C TIMESTAMP, D ARRAY<STRING>, E MAP<STRING,INT>", true);
    check("A STRUCT<Y INT, X ARRAY<STRUCT<Z INT>>>", true);
    check("A INT", false);
}

#[test]
fn a_schema_is_as_connect_writes_it() {
    let format = FormatSpec::new(FormatKind::JsonSr, false);
    let schema = describe(&format, &named("A STRUCT<F1 STRING>"));
    let want = json!({ "oneOf": [{ "type": "null" }, { "type": "object", "properties": {
        "F1": { "connect.index": 0, "oneOf": [{ "type": "null" }, { "type": "string" }] },
    } }] });
    assert_eq!(serde_json::from_str::<Value>(&schema.text).expect("JSON"), want);
}

#[test]
fn schemas_of_others() {
    let check = |schema: Value, want: &str| {
        let text = schema.to_string();
        let schema = SchemaText { kind: SchemaKind::Json, text, references: Vec::new() };
        assert_eq!(inferred(&schema, true, false), want);
    };
    let object = |properties: Value| json!({ "type": "object", "properties": properties });
    check(object(json!({ "c1": { "type": "integer" } })), "C1 BIGINT");
    check(object(json!({ "a": { "type": ["null", "number"] } })), "A DOUBLE");
    check(object(json!({ "a": { "enum": ["x", "y"] } })), "A STRING");
    check(
        object(json!({ "a": { "anyOf": [{ "type": "string" }, { "type": "null" }] } })),
        "A STRING",
    );
    let refers = json!({ "type": "object", "properties": { "a": { "$ref": "#/definitions/x" } },
        "definitions": { "x": { "type": "array", "items": { "type": "boolean" } } } });
    check(refers, "A ARRAY<BOOLEAN>");
    let endless = json!({ "type": "object", "properties": { "a": { "$ref": "#" } } });
    check(endless, "a recursive schema has no SQL type");
    check(
        json!({ "type": "string" }),
        "Schema returned from schema registry is anonymous type. To \
        use this schema with ksqlDB, set 'WRAP_SINGLE_VALUE=false' in the WITH clause properties.",
    );
    let map = json!({ "type": "object", "connect.type": "map",
        "additionalProperties": { "type": "integer" } });
    check(object(json!({ "m": map })), "M MAP<STRING, BIGINT>");
    let both = json!({ "allOf": [
        object(json!({ "a": { "type": "integer" } })), object(json!({ "b": { "type": "string" } })),
    ] });
    check(both, "A BIGINT, B STRING");
}

#[test]
fn maps_come_as_objects_and_as_entries() {
    let format = FormatSpec::new(FormatKind::JsonSr, true);
    let check = |text: &str, want: Result<&str, &str>| {
        let mut record = vec![0, 0, 0, 0, 1];
        record.extend_from_slice(text.as_bytes());
        let got = read(&format, &fields("M MAP<STRING,INT>, A INT"), &record);
        match want {
            Ok(want) => assert_eq!(got.as_deref(), Ok(want), "{text}"),
            Err(want) => assert!(got.is_err_and(|why| why.contains(want)), "{text}"),
        }
    };
    check(r#"{"M":{"k":1},"A":2}"#, Ok(r#"{"M":{"k":1},"A":2}"#));
    check(
        r#"{"M":[{"key":"k","value":1},{"value":2,"key":"l"}],"A":2}"#,
        Ok(r#"{"M":{"k":1,"l":2},"A":2}"#),
    );
    check(
        r#"{"M":[{"key":"k","value":1},{"key":"k","value":3}],"A":2}"#,
        Ok(r#"{"M":{"k":3},"A":2}"#),
    );
    check(r#"{"M":[],"A":2}"#, Ok(r#"{"M":{},"A":2}"#));
    check(r#"{"M":[{"key":"k"}],"A":2}"#, Err("needs a key and a value"));
    check(r#"{"M":[1]}"#, Err("needs a key and a value"));
    check("nul", Err(""));
    let bare = read(&format, &fields("A INT"), br#"{"A":1}"#);
    assert!(bare.is_err_and(|why| why.contains("Unknown magic byte")));
}
