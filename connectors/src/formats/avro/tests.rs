//! Avro bytes, both ways, against a second implementation.

#![allow(deprecated, reason = "the short way to write and read one datum")]

use std::sync::Arc;

use apache_avro::types::Value as AvroValue;
use arrow::array::ArrayRef;
use millrace_engine::codec::view::ColumnView;
use millrace_engine::format::Naming;
use millrace_engine::schemas::SchemaRegistry;
use millrace_engine::seams::{Entropy, SeededEntropy};
use millrace_sql::catalog::{FormatKind, FormatSpec, SchemaKind, SchemaText};
use serde_json::Value;

use super::{AvroEncoder, Shape, describe, infer};
use crate::formats::columns::{Columns, Field};
use crate::formats::schemas::Schemas;
use crate::formats::testing::{fields, row};
use crate::formats::wire::write_head;
use crate::registry::MemoryRegistry;

fn text(schema: &str) -> SchemaText {
    SchemaText { kind: SchemaKind::Avro, text: schema.to_string(), references: Vec::new() }
}

fn columns(schema: &SchemaText, fields: &[Field], wrapped: bool) -> (Columns, u32) {
    let registry = MemoryRegistry::default();
    let id = registry.register("t-value", schema).expect("in memory").id;
    let schemas = Schemas(Some(Arc::new(registry)));
    let format = FormatSpec::new(FormatKind::Avro, wrapped);
    (Columns::new(&format, fields.to_vec(), schemas).expect("columns"), id)
}

/// Bytes of a value, written by the other implementation.
fn datum(schema: &str, value: &str) -> Vec<u8> {
    let parsed = apache_avro::Schema::parse_str(schema).expect("a schema");
    let value: Value = serde_json::from_str(value).expect("JSON");
    let value = AvroValue::try_from(value).expect("a value").resolve(&parsed).expect("fits");
    apache_avro::to_avro_datum(&parsed, value).expect("written")
}

fn read(schema: &str, body: &[u8], columns_text: &str, wrapped: bool) -> String {
    let fields = fields(columns_text);
    let (mut columns, id) = columns(&text(schema), &fields, wrapped);
    let mut record = Vec::new();
    write_head(id, &mut record);
    record.extend_from_slice(body);
    match columns.push(&record) {
        Ok(true) => shown(&mut columns, &fields),
        Ok(false) => "absent".to_string(),
        Err(why) => why,
    }
}

fn shown(columns: &mut Columns, fields: &[Field]) -> String {
    let arrays: Vec<ArrayRef> = columns.finish().expect("small").into_iter().flatten().collect();
    row(fields, &arrays, 0)
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"n","fields":[{fields}]}}"#)
}

fn one(ty: &str) -> String {
    record(&format!(r#"{{"name":"a","type":{ty}}}"#))
}

#[test]
fn records_of_other_writers() {
    let check = |schema: &str, value: &str, columns: &str, want: &str| {
        let got = read(schema, &datum(schema, value), columns, true);
        assert_eq!(got, want, "{schema} {value} as {columns}");
    };
    let n = |ty: &str| format!(r#"["null",{ty}]"#);
    check(&one(r#""int""#), r#"{"a":-5}"#, "A INT", r#"{"A":-5}"#);
    check(&one(r#""int""#), r#"{"a":-5}"#, "A BIGINT", r#"{"A":-5}"#);
    check(&one(r#""int""#), r#"{"a":-5}"#, "A STRING", r#"{"A":"-5"}"#);
    check(&one(r#""long""#), r#"{"a":400000000000}"#, "A BIGINT", r#"{"A":400000000000}"#);
    check(&one(r#""boolean""#), r#"{"a":true}"#, "A STRING", r#"{"A":"true"}"#);
    check(&one(r#""double""#), r#"{"a":1.5}"#, "A DOUBLE", r#"{"A":1.5}"#);
    check(&one(r#""double""#), r#"{"a":1e10}"#, "A STRING", r#"{"A":"1.0E10"}"#);
    check(&one(r#""string""#), r#"{"a":"ä"}"#, "A STRING", r#"{"A":"ä"}"#);
    check(&one(&n(r#""string""#)), r#"{"a":null}"#, "A STRING", r#"{"A":null}"#);
    check(&one(&n(r#""string""#)), r#"{"a":"x"}"#, "A STRING", r#"{"A":"x"}"#);
    check(&one(r#"["long","null"]"#), r#"{"a":null}"#, "A BIGINT", r#"{"A":null}"#);
    let suit = r#"{"type":"enum","name":"S","symbols":["X","Y"]}"#;
    check(&one(suit), r#"{"a":"Y"}"#, "A STRING", r#"{"A":"Y"}"#);
    let list = r#"{"type":"array","items":["null","int"]}"#;
    check(&one(list), r#"{"a":[1,null,3]}"#, "A ARRAY<INT>", r#"{"A":[1,null,3]}"#);
    check(&one(list), r#"{"a":[1]}"#, "A ARRAY<STRING>", r#"{"A":["1"]}"#);
    let map = r#"{"type":"map","values":"int"}"#;
    check(&one(map), r#"{"a":{"k":1}}"#, "A MAP<STRING,BIGINT>", r#"{"A":{"k":1}}"#);
    let inner = r#"{"type":"record","name":"I","fields":[{"name":"x","type":"int"},
        {"name":"Y","type":"string"}]}"#;
    let value = r#"{"a":{"x":1,"Y":"y"}}"#;
    check(
        &one(inner),
        value,
        "A STRUCT<Y STRING, Z INT, X INT>",
        r#"{"A":{"Y":"y","Z":null,"X":1}}"#,
    );
    let date = r#"{"type":"int","logicalType":"date"}"#;
    check(&one(date), r#"{"a":7}"#, "A DATE", r#"{"A":7}"#);
    check(&one(date), r#"{"a":7}"#, "A INT", r#"{"A":7}"#);
    // Exact names win, others are skipped, and what is not there is NULL.
    let two = record(r#"{"name":"x","type":"string"},{"name":"b","type":"int"}"#);
    check(&two, r#"{"x":"s","b":2}"#, "B INT, C INT", r#"{"B":2,"C":null}"#);
    let both = record(r#"{"name":"b","type":"int"},{"name":"B","type":"int"}"#);
    check(&both, r#"{"b":1,"B":2}"#, "B INT", r#"{"B":2}"#);
    // A nested record of the same type, by its name.
    let named =
        record(&format!(r#"{{"name":"p","type":{inner}}},{{"name":"q","type":["null","I"]}}"#));
    let value = r#"{"p":{"x":1,"Y":"a"},"q":{"x":2,"Y":"b"}}"#;
    check(&named, value, "Q STRUCT<X INT>", r#"{"Q":{"X":2}}"#);
}

#[test]
fn types_that_do_not_fit_are_told() {
    let check = |ty: &str, value: &str, columns: &str, want: &str| {
        let schema = one(ty);
        let got = read(&schema, &datum(&schema, value), columns, true);
        assert!(got.contains(want), "{ty} as {columns}: {got}");
    };
    let string = r#""string""#;
    check(
        string,
        r#"{"a":"1"}"#,
        "A INT",
        "Cannot deserialize type string as type int32 for path: ->a",
    );
    check(r#""long""#, r#"{"a":1}"#, "A INT", "Cannot deserialize type int64 as type int32");
    check(r#"["null","string"]"#, r#"{"a":null}"#, "A DOUBLE", "as type float64");
    let inner = r#"{"type":"record","name":"I","fields":[{"name":"x","type":"string"}]}"#;
    check(inner, r#"{"a":{"x":"s"}}"#, "A STRUCT<X INT>", "for path: ->a->x");
    let time = r#"{"type":"int","logicalType":"time-millis"}"#;
    check(time, r#"{"a":86400000}"#, "A TIME", "86400000 is no TIME");
    let one_column = |schema: &str, body: &[u8]| read(schema, body, "A INT", true);
    assert!(one_column(r#""int""#, &[2]).contains("Cannot deserialize type int32 as type struct"));
}

#[test]
fn single_values_stand_alone() {
    let check = |schema: &str, value: &str, columns: &str, want: &str| {
        assert_eq!(read(schema, &datum(schema, value), columns, false), want, "{schema}");
    };
    check(r#""int""#, "7", "A INT", r#"{"A":7}"#);
    check(r#"["null","int"]"#, "7", "A INT", r#"{"A":7}"#);
    check(r#"["null","int"]"#, "null", "A INT", "absent");
    let list = r#"{"type":"array","items":"string"}"#;
    check(list, r#"["a"]"#, "A ARRAY<STRING>", r#"{"A":["a"]}"#);
    check(&one(r#""int""#), r#"{"a":1}"#, "V STRUCT<A INT>", r#"{"V":{"A":1}}"#);
}

#[test]
fn unions_of_more_are_structs_of_their_branches() {
    let schema = one(r#"["null","int","string"]"#);
    let columns = "A STRUCT<INT INT, STRING STRING>";
    let got = |bytes: &[u8]| read(&schema, bytes, columns, true);
    assert_eq!(got(&[0]), r#"{"A":null}"#);
    assert_eq!(got(&[2, 14]), r#"{"A":{"INT":7,"STRING":null}}"#);
    assert_eq!(got(&[4, 2, b'x']), r#"{"A":{"INT":null,"STRING":"x"}}"#);
    assert!(got(&[6]).contains("a branch that its union does not have"));
}

/// Columns, and a row of them as JSON, through the schema that describes them.
#[test]
fn what_is_described_is_written_and_read_back() {
    let check = |schema_text: &str, wrapped: bool, json: &str| {
        let fields = fields(schema_text);
        let named: Vec<_> = fields.iter().map(|f| (f.name.clone(), f.ty.clone())).collect();
        let format = FormatSpec::new(FormatKind::Avro, wrapped);
        let schema = describe(&format, &named).expect("describable");
        let parsed = apache_avro::Schema::parse_str(&schema.text);
        let parsed = parsed.unwrap_or_else(|e| panic!("{e}: {}", schema.text));

        let json_format = FormatSpec::new(FormatKind::Json, true);
        let mut source =
            Columns::new(&json_format, fields.clone(), Schemas::default()).expect("JSON");
        source.push(json.as_bytes()).expect("good JSON");
        let arrays: Vec<ArrayRef> = source.finish().expect("small").into_iter().flatten().collect();
        let views: Vec<_> =
            arrays.iter().map(|a| ColumnView::new(a.as_ref()).expect("SQL")).collect();
        let refs: Vec<_> = named.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let single = !wrapped && named.len() == 1;
        let encoder = AvroEncoder::new(&schema, &Shape::of_columns(&refs), single).expect("fits");
        let mut body = Vec::new();
        let written = match &views[..] {
            [only] if single => encoder.write_single(only, 0, &mut body),
            views => encoder.write(views, 0, &mut body),
        };
        written.expect("written");
        let mut rest = &body[..];
        apache_avro::from_avro_datum(&parsed, &mut rest, None).expect("the other reads it");
        assert!(rest.is_empty(), "{schema_text}");
        assert_eq!(read(&schema.text, &body, schema_text, wrapped), json, "{schema_text}");

        let naming = Naming { single: "ROWVAL", keep_case: true };
        let inferred = infer(&schema, wrapped, naming).expect("columns").columns;
        let types =
            |list: &[(String, _)]| list.iter().map(|(_, ty)| format!("{ty}")).collect::<Vec<_>>();
        let _: &Vec<(String, millrace_sql::types::SqlType)> = &inferred;
        assert_eq!(types(&inferred), types(&named), "{schema_text}");
    };
    check("A INT", true, r#"{"A":1}"#);
    check("A INT", true, r#"{"A":null}"#);
    check("A STRING", false, r#"{"A":"x"}"#);
    check(
        "A DECIMAL(6,2), B DATE, C TIME, D TIMESTAMP, E BYTES, F BOOLEAN, G DOUBLE, H BIGINT",
        true,
        r#"{"A":-12.30,"B":-1,"C":5,"D":1700000000000,"E":"AAE=","F":false,"G":-0.5,"H":-9223372036854775808}"#,
    );
    check(
        "A ARRAY<STRUCT<X INT, Y ARRAY<STRING>>>",
        true,
        r#"{"A":[{"X":1,"Y":["a",null]},null]}"#,
    );
    check("A MAP<STRING,MAP<STRING,DECIMAL(3,1)>>", true, r#"{"A":{"k":{"x":1.5},"l":null}}"#);
    check(
        "A MAP<STRING,STRUCT<X INT>>, B MAP<STRING,STRUCT<X INT>>",
        true,
        r#"{"A":{"k":{"X":1}},"B":{}}"#,
    );
    check("A STRUCT<B STRUCT<C INT>>", false, r#"{"A":{"B":{"C":null}}}"#);
    check("A DECIMAL(38,0)", false, r#"{"A":-99999999999999999999999999999999999999}"#);
}

#[test]
fn the_last_of_equal_keys_stays() {
    let schema = one(r#"{"type":"map","values":"int"}"#);
    let columns = "A MAP<STRING,INT>";
    let body = [6, 2, b'k', 2, 2, b'l', 4, 2, b'k', 6, 0];
    assert_eq!(read(&schema, &body, columns, true), r#"{"A":{"l":2,"k":3}}"#);
    // Two blocks, the first with its length.
    let body = [1, 6, 2, b'k', 2, 2, 2, b'k', 4, 0];
    assert_eq!(read(&schema, &body, columns, true), r#"{"A":{"k":2}}"#);
}

#[test]
fn schemas_chosen_by_id_rule_what_is_written() {
    let write = |schema: &str, columns_text: &str, json: &str| -> Result<Vec<u8>, String> {
        let fields = fields(columns_text);
        let format = FormatSpec::new(FormatKind::Json, true);
        let mut source = Columns::new(&format, fields.clone(), Schemas::default())?;
        source.push(json.as_bytes())?;
        let arrays: Vec<ArrayRef> = source.finish().expect("small").into_iter().flatten().collect();
        let views: Vec<_> =
            arrays.iter().map(|a| ColumnView::new(a.as_ref()).expect("SQL")).collect();
        let refs: Vec<_> = fields.iter().map(|f| (f.name.as_str(), &f.ty)).collect();
        let encoder = AvroEncoder::new(&text(schema), &Shape::of_columns(&refs), false)?;
        let mut out = Vec::new();
        encoder.write(&views, 0, &mut out)?;
        Ok(out)
    };
    let schema = record(
        r#"{"name":"c1","type":"int"},{"name":"c2","type":"int","default":100},
           {"name":"c3","type":["null","int"]},{"name":"c4","type":"string","default":"x"}"#,
    );
    assert_eq!(write(&schema, "c1 INT", r#"{"c1":4}"#), Ok(vec![8, 200, 1, 0, 2, b'x']));
    let got = write(&schema, "c1 INT", r#"{"c1":null}"#);
    assert!(got.is_err_and(|why| why.contains("null used for required field")));
    let got = write(&schema, "c1 INT, c2 INT", r#"{"c1":1,"c2":null}"#);
    assert_eq!(got, Ok(vec![2, 200, 1, 0, 2, b'x']));
    let required = record(r#"{"name":"c1","type":"int"},{"name":"c2","type":"double"}"#);
    let got = write(&required, "c1 INT", r#"{"c1":4}"#);
    assert!(
        got.is_err_and(|why| why.contains("Missing default value for required Avro field: [c2]"))
    );
    let got = write(&required, "c9 INT", r#"{"c9":4}"#);
    assert!(got.is_err_and(|why| why.contains("misses field with name: c9")));
}

#[test]
fn hostile_bytes_are_refused_or_read_and_leave_no_trace() {
    let schema = record(
        r#"{"name":"A","type":{"type":"array","items":["null",{"type":"map","values":"bytes"}]}},
           {"name":"B","type":["null","string"]},{"name":"C","type":{"type":"array","items":"null"}},
           {"name":"D","type":{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}},
           {"name":"E","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}}"#,
    );
    let fields = fields("A ARRAY<MAP<STRING,BYTES>>, B STRING, E DECIMAL(5,2)");
    let (mut columns, id) = columns(&text(&schema), &fields, true);
    let good = {
        let mut good = Vec::new();
        write_head(id, &mut good);
        good.extend_from_slice(&[2, 2, 2, 2, b'k', 2, 9, 0, 0, 2, 2, b's', 0, 2, 0, 4, 0, 100]);
        good
    };
    assert_eq!(columns.push(&good), Ok(true), "the good record is good");
    columns.truncate(0);
    let random = SeededEntropy::new(11);
    let mut rows = 0;
    for round in 0..40_000 {
        let mut bytes = good.clone();
        match round % 3 {
            0 => bytes.truncate((random.next_u64() % good.len() as u64) as usize),
            1 => {
                let at = 5 + (random.next_u64() % (good.len() as u64 - 5)) as usize;
                bytes[at] = random.next_u64() as u8;
            }
            _ => {
                bytes.truncate(5);
                let len = random.next_u64() % 40;
                bytes.extend((0..len).map(|_| random.next_u64() as u8));
            }
        }
        if columns.push(&bytes).is_ok() {
            rows += 1;
        }
    }
    let arrays = columns.finish().expect("whatever was read is whole");
    assert!(arrays.iter().flatten().all(|array| array.len() == rows));
}

#[test]
fn endless_nesting_and_counts_are_refused() {
    let list = record(
        r#"{"name":"D","type":{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}}"#,
    );
    let deep = vec![2u8; 100_000];
    assert!(read(&list, &deep, "X INT", true).contains("nested more than"));
    let nulls = one(r#"{"type":"array","items":"null"}"#);
    let mut body = Vec::new();
    crate::formats::wire::write_zigzag(1 << 40, &mut body);
    assert!(read(&nulls, &body, "A ARRAY<INT>", true).contains("more items are announced"));
    assert!(read(&nulls, &body, "X INT", true).contains("more items are announced"));
}

#[test]
fn names_that_avro_does_not_know_are_refused() {
    let check = |name: &str, want: &str| {
        let columns = vec![(name.to_string(), millrace_sql::types::SqlType::Integer)];
        let got = describe(&FormatSpec::new(FormatKind::Avro, true), &columns);
        assert!(got.is_err_and(|why| why.contains(want)), "{name}");
    };
    check("1A", "Illegal initial character: 1A");
    check("A-B", "Illegal character in: A-B");
}
