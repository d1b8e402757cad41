//! Protobuf bytes, both ways.

use std::sync::Arc;

use arrow::array::ArrayRef;
use millrace_engine::codec::view::ColumnView;
use millrace_engine::format::Naming;
use millrace_engine::schemas::SchemaRegistry;
use millrace_engine::seams::{Entropy, SeededEntropy};
use millrace_sql::catalog::{
    FormatKind, FormatSpec, ProtobufNulls, SchemaKind, SchemaReference, SchemaSpec, SchemaText,
};
use prost_reflect::prost::Message as _;

use super::{ProtobufEncoder, describe, infer};
use crate::formats::avro::Shape;
use crate::formats::columns::{Columns, Field};
use crate::formats::schemas::Schemas;
use crate::formats::testing::{fields, row};
use crate::formats::wire::write_head;
use crate::registry::MemoryRegistry;

fn text(schema: &str) -> SchemaText {
    let text = format!("syntax = \"proto3\"; {schema}");
    SchemaText { kind: SchemaKind::Protobuf, text, references: Vec::new() }
}

fn format(nulls: ProtobufNulls) -> FormatSpec {
    let schema = SchemaSpec { nulls, ..SchemaSpec::default() };
    FormatSpec { schema, ..FormatSpec::new(FormatKind::Protobuf, true) }
}

fn columns(schema: &SchemaText, fields: &[Field], nulls: ProtobufNulls) -> (Columns, u32) {
    let registry = MemoryRegistry::default();
    let id = registry.register("t-value", schema).expect("in memory").id;
    let schemas = Schemas(Some(Arc::new(registry)));
    (Columns::new(&format(nulls), fields.to_vec(), schemas).expect("columns"), id)
}

fn read_with(schema: &SchemaText, rest: &[u8], columns_text: &str, nulls: ProtobufNulls) -> String {
    let fields = fields(columns_text);
    let (mut columns, id) = columns(schema, &fields, nulls);
    let mut record = Vec::new();
    write_head(id, &mut record);
    record.extend_from_slice(rest);
    match columns.push(&record) {
        Ok(_) => {
            let arrays = columns.finish().expect("small").into_iter().flatten();
            row(&fields, &arrays.collect::<Vec<ArrayRef>>(), 0)
        }
        Err(why) => why,
    }
}

/// A message of the first type of `schema`.
fn read(schema: &str, body: &[u8], columns_text: &str) -> String {
    let rest = [&[0], body].concat();
    read_with(&text(schema), &rest, columns_text, ProtobufNulls::Zero)
}

#[test]
fn what_is_absent_is_zero_or_null() {
    let schema = "message M { int32 i = 1; optional int64 l = 2; string s = 3; repeated int32 r = 4; \
                  N n = 5; map<string, int32> m = 6; enum E { A = 0; B = 1; } E e = 7; \
                  bytes b = 8; double d = 9; bool t = 10; } message N { int32 x = 1; }";
    let all = "I INT, L BIGINT, S STRING, R ARRAY<INT>, N STRUCT<X INT>, M MAP<STRING,INT>, \
               E STRING, B BYTES, D DOUBLE, T BOOLEAN";
    let want = r#"{"I":0,"L":null,"S":"","R":[],"N":null,"M":{},"E":"A","B":"","D":0.0,"T":false}"#;
    assert_eq!(read(schema, &[], all), want);
    assert_eq!(read(schema, &[16, 0], "L BIGINT"), r#"{"L":0}"#);
    assert_eq!(read(schema, &[42, 0], "N STRUCT<X INT, Z INT>"), r#"{"N":{"X":0,"Z":null}}"#);
    assert_eq!(read(schema, &[56, 1], "E STRING, NO INT"), r#"{"E":"B","NO":null}"#);
    assert_eq!(read(schema, &[56, 9], "E STRING"), r#"{"E":"UNKNOWN_ENUM_VALUE_9"}"#);
}

#[test]
fn fields_come_in_any_order_and_number() {
    let schema = "message M { int32 i = 1; repeated int32 r = 2; N n = 3; map<string, int32> m = 4; \
                  oneof c { int32 x = 5; string y = 6; } } \
                  message N { int32 a = 1; int32 b = 2; repeated string s = 3; }";
    let check = |body: &[u8], columns: &str, want: &str| {
        assert_eq!(read(schema, body, columns), want, "{body:?}");
    };
    // The last scalar counts; unknown fields and groups are passed over.
    check(&[8, 1, 160, 6, 5, 163, 6, 8, 9, 164, 6, 8, 2], "I INT", r#"{"I":2}"#);
    // Packed, not packed, and both.
    check(&[16, 1, 18, 2, 2, 3, 16, 4], "R ARRAY<BIGINT>", r#"{"R":[1,2,3,4]}"#);
    // Parts of one message are merged.
    let parts = [26, 5, 8, 1, 26, 1, b'p', 26, 5, 16, 2, 26, 1, b'q'];
    check(
        &parts,
        "N STRUCT<A INT, B INT, S ARRAY<STRING>>",
        r#"{"N":{"A":1,"B":2,"S":["p","q"]}}"#,
    );
    // Of equal keys the last entry counts; a missing part is zero.
    let entries = [34, 5, 10, 1, b'k', 16, 1, 34, 2, 16, 7, 34, 5, 16, 3, 10, 1, b'k'];
    check(&entries, "M MAP<STRING,STRING>", r#"{"M":{"":"7","k":"3"}}"#);
    check(&[40, 5], "C_0 STRUCT<X INT, Y STRING>", r#"{"C_0":{"X":5,"Y":null}}"#);
    check(&[40, 5, 50, 1, b'y'], "C_0 STRUCT<X INT, Y STRING>", r#"{"C_0":{"X":null,"Y":"y"}}"#);
    check(&[], "C_0 STRUCT<X INT, Y STRING>", r#"{"C_0":null}"#);
    // Another wire type than declared is an unknown field.
    check(&[10, 1, 7], "I INT", r#"{"I":0}"#);
}

#[test]
fn records_name_their_message() {
    let schema =
        text("message A { int32 x = 1; message B { int32 y = 2; } } message C { int32 z = 3; }");
    let check = |rest: &[u8], columns: &str, want: &str| {
        let got = read_with(&schema, rest, columns, ProtobufNulls::Zero);
        assert!(got.contains(want), "{rest:?}: {got}");
    };
    check(&[0, 8, 1], "X INT", r#"{"X":1}"#);
    check(&[2, 0, 8, 1], "X INT", r#"{"X":1}"#);
    check(&[2, 2, 24, 1], "Z INT", r#"{"Z":1}"#);
    check(&[4, 0, 0, 16, 5], "Y INT", r#"{"Y":5}"#);
    check(&[2, 8, 16, 5], "Y INT", "a message that the schema 1 does not have: [4]");
    check(&[1], "Y INT", "more message indexes");
    check(&[], "Y INT", "the record ends");
}

#[test]
fn types_that_do_not_fit_are_told() {
    let schema = "message M { string s = 1; int64 l = 2; float f = 3; uint32 u = 4; }";
    let check = |columns: &str, want: &str| {
        let got = read(schema, &[], columns);
        assert!(got.contains(want), "{columns}: {got}");
    };
    check("S INT", "Cannot deserialize type string as type INTEGER for path: ->s");
    check("L INT", "Cannot deserialize type int64 as type INTEGER");
    check("U INT", "Cannot deserialize type int64 as type INTEGER");
    let body = [29, 0, 0, 128, 63, 32, 255, 255, 255, 255, 15];
    assert_eq!(read(schema, &body, "F DOUBLE, U BIGINT"), r#"{"F":1.0,"U":4294967295}"#);
    assert!(read(schema, &[10, 1, 0xff], "S STRING").contains("invalid UTF-8"));
}

#[test]
fn what_is_described_is_written_and_read_back() {
    let check = |columns_text: &str, nulls: ProtobufNulls, json: &str, want: &str| {
        let fields = fields(columns_text);
        let named: Vec<_> = fields.iter().map(|f| (f.name.clone(), f.ty.clone())).collect();
        let format = format(nulls);
        let schema = describe(&format, &named).expect("describable");
        let mut source =
            Columns::new(&FormatSpec::new(FormatKind::Json, true), fields, Schemas::default())
                .expect("JSON");
        source.push(json.as_bytes()).expect("good JSON");
        let arrays: Vec<ArrayRef> = source.finish().expect("small").into_iter().flatten().collect();
        let views: Vec<_> =
            arrays.iter().map(|a| ColumnView::new(a.as_ref()).expect("SQL")).collect();
        let refs: Vec<_> = named.iter().map(|(name, ty)| (name.as_str(), ty)).collect();
        let encoder = ProtobufEncoder::new(&schema, None, &Shape::of_columns(&refs), nulls);
        let encoder = encoder.unwrap_or_else(|e| panic!("{e}: {}", schema.text));
        let mut out = encoder.path().to_vec();
        encoder.write(&views, 0, &mut out).expect("written");
        assert_eq!(read_with(&schema, &out, columns_text, nulls), want, "{}", schema.text);
        let naming = Naming { single: "ROWVAL", keep_case: true };
        assert_eq!(infer(&schema, &format, naming).expect("columns").columns, named);
    };
    let same = |columns: &str, nulls, json: &str| check(columns, nulls, json, json);
    use ProtobufNulls::{Optional, Wrapper, Zero};
    let scalars = "I INT, L BIGINT, D DOUBLE, B BOOLEAN, S STRING, Y BYTES";
    let nulls = r#"{"I":null,"L":null,"D":null,"B":null,"S":null,"Y":null}"#;
    let zeroes = r#"{"I":0,"L":0,"D":0.0,"B":false,"S":"","Y":""}"#;
    check(scalars, Zero, nulls, zeroes);
    same(scalars, Optional, nulls);
    same(scalars, Optional, zeroes);
    same(scalars, Wrapper, nulls);
    same(scalars, Wrapper, zeroes);
    let values = r#"{"I":-1,"L":400000000000,"D":-0.5,"B":true,"S":"ä","Y":"AAE="}"#;
    [Zero, Optional, Wrapper].into_iter().for_each(|nulls| same(scalars, nulls, values));
    same(
        "A DECIMAL(6,2), B DATE, C TIME, D TIMESTAMP",
        Zero,
        r#"{"A":-12.30,"B":-1,"C":86399999,"D":-1}"#,
    );
    same(
        "A DECIMAL(6,2), B DATE, C TIME, D TIMESTAMP",
        Optional,
        r#"{"A":null,"B":null,"C":null,"D":null}"#,
    );
    same(
        "A ARRAY<INT>, B ARRAY<STRING>, C ARRAY<STRUCT<X INT>>",
        Zero,
        r#"{"A":[1,0,-1],"B":["","x"],"C":[{"X":0},{"X":1}]}"#,
    );
    same(
        "A MAP<STRING,STRUCT<X MAP<STRING,INT>>>, B MAP<STRING,DOUBLE>",
        Zero,
        r#"{"A":{"k":{"X":{"l":1}}},"B":{"m":0.0}}"#,
    );
    same("A STRUCT<B STRUCT<C INT>>", Wrapper, r#"{"A":{"B":{"C":null}}}"#);
    same("A MAP<STRING,INT>, B ARRAY<INT>", Wrapper, r#"{"A":{"":0,"k":7},"B":[0,7]}"#);
}

#[test]
fn schemas_are_printed_as_connect_prints_them() {
    let columns: Vec<_> = fields("ID BIGINT, M MAP<STRING,INT>, A ARRAY<STRUCT<KEY STRING>>")
        .into_iter()
        .map(|f| (f.name, f.ty))
        .collect();
    let schema = describe(&format(ProtobufNulls::Zero), &columns).expect("describable");
    let want = "syntax = \"proto3\";\n\nmessage ConnectDefault1 {\n  int64 ID = 1;\n  repeated \
                ConnectDefault2Entry M = 2;\n  repeated ConnectDefault3 A = 3;\n\n  message \
                ConnectDefault2Entry {\n    string key = 1;\n    int32 value = 2;\n  }\n\n  message \
                ConnectDefault3 {\n    string KEY = 1;\n  }\n}\n";
    assert_eq!(schema.text, want);
    let mut named = format(ProtobufNulls::Optional);
    named.schema.full_name = Some("a.b.Name".to_string());
    let schema = describe(&named, &columns[..1]).expect("describable");
    let want =
        "syntax = \"proto3\";\npackage a.b;\n\nmessage Name {\n  optional int64 ID = 1;\n}\n";
    assert_eq!(schema.text, want);
}

#[test]
fn schemas_refer_to_others_and_may_be_descriptors() {
    let naming = Naming { single: "ROWVAL", keep_case: false };
    let shown = |schema: &SchemaText| match infer(schema, &format(ProtobufNulls::Zero), naming) {
        Ok(inferred) => inferred
            .columns
            .iter()
            .map(|(name, ty)| format!("{name} {ty}"))
            .collect::<Vec<_>>()
            .join(", "),
        Err(why) => why,
    };
    let mut schema = text("import \"e.proto\"; package p; message L { q.Event event = 1; }");
    assert!(shown(&schema).contains("\"q.Event\" is not defined"));
    schema.references.push(SchemaReference {
        name: "e.proto".to_string(),
        subject: "e".to_string(),
        version: 1,
        schema: text("package q; message Event { int64 timestamp = 1; }"),
    });
    assert_eq!(shown(&schema), "EVENT STRUCT<`TIMESTAMP` BIGINT>");
    let decimal = text(
        "import \"confluent/type/decimal.proto\"; message M { confluent.type.Decimal d = 1 \
         [(confluent.field_meta) = { params: [{ value: \"4\", key: \"precision\" }, \
         { value: \"2\", key: \"scale\" }]}]; google.protobuf.Timestamp t = 2; }",
    );
    assert!(shown(&decimal).contains("google.protobuf.Timestamp"), "not imported");
    let decimal = SchemaText {
        text: decimal
            .text
            .replace("message M", "import \"google/protobuf/timestamp.proto\"; message M"),
        ..decimal
    };
    assert_eq!(shown(&decimal), "D DECIMAL(4, 2), T TIMESTAMP");
    let endless = text("message M { M m = 1; }");
    assert_eq!(shown(&endless), "a recursive schema has no SQL type");
    assert!(shown(&text("message")).contains("expected"), "{}", shown(&text("message")));
    let file = protox::file::File::from_source(
        "x.proto",
        "syntax = \"proto3\"; message M { int32 i = 1; }",
    );
    let bytes = file.expect("a file").file_descriptor_proto().encode_to_vec();
    let mut packed = Vec::new();
    crate::formats::base64::encode(&bytes, &mut packed);
    let text = String::from_utf8(packed).expect("ASCII");
    let descriptor = SchemaText { kind: SchemaKind::Protobuf, text, references: Vec::new() };
    assert_eq!(shown(&descriptor), "I INTEGER");
}

#[test]
fn hostile_bytes_are_refused_or_read_and_leave_no_trace() {
    let schema = text(
        "message M { repeated N n = 1; map<string, N> m = 2; string s = 3; repeated sint64 p = 4; \
         N one = 5; oneof c { int32 x = 6; N y = 7; } M self = 8; } \
         message N { bytes b = 1; repeated string t = 2; N n = 3; }",
    );
    let fields = fields(
        "N ARRAY<STRUCT<B BYTES, T ARRAY<STRING>>>, M MAP<STRING,STRUCT<B BYTES>>, S STRING, \
         P ARRAY<BIGINT>, ONE STRUCT<B BYTES, N STRUCT<B BYTES>>, C_0 STRUCT<X INT, Y STRUCT<B BYTES>>",
    );
    let (mut columns, id) = columns(&schema, &fields, ProtobufNulls::Zero);
    let mut good = Vec::new();
    write_head(id, &mut good);
    good.extend_from_slice(&[
        0, 10, 6, 10, 1, 9, 18, 1, b't', 18, 8, 10, 1, b'k', 18, 3, 10, 1, 7, 26, 1, b's', 34, 2,
        1, 2, 42, 5, 26, 3, 10, 1, 5, 48, 1, 58, 2, 10, 0, 66, 2, 66, 0,
    ]);
    assert_eq!(columns.push(&good), Ok(true), "the good record is good");
    columns.truncate(0);
    let random = SeededEntropy::new(13);
    let mut rows = 0;
    for round in 0..60_000 {
        let mut bytes = good.clone();
        match round % 3 {
            0 => bytes.truncate((random.next_u64() % good.len() as u64) as usize),
            1 => {
                let at = 5 + (random.next_u64() % (good.len() as u64 - 5)) as usize;
                bytes[at] = random.next_u64() as u8;
            }
            _ => {
                bytes.truncate(6);
                let len = random.next_u64() % 40;
                bytes.extend((0..len).map(|_| (random.next_u64() % 80) as u8));
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
fn endless_nesting_is_refused() {
    let schema = "message M { int32 i = 1; }";
    let groups = [163u8, 6].repeat(100_000);
    assert!(read(schema, &groups, "I INT").contains("nested more than"));
}
