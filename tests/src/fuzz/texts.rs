//! Texts of others: statements, and schemas from a registry.

use millrace_connectors::formats::StandardFormats;
use millrace_engine::format::{Formats, Naming};
use millrace_sql::catalog::{FormatKind, FormatSpec, SchemaKind, SchemaText};
use millrace_sql::{parser, unparse};

use super::Target;
use super::random::{Random, damage};

/// Bytes of syntax tree per byte of text: a node for each sign.
const TREE_BYTES_PER_BYTE: usize = 1024;
/// Bytes of a schema's types, columns and messages per byte of its text.
const SCHEMA_BYTES_PER_BYTE: usize = 512;

const STATEMENTS: [&str; 16] = [
    "CREATE STREAM s (k STRING KEY, v STRUCT<a INT, b MAP<STRING, ARRAY<DECIMAL(10, 2)>>>) WITH \
     (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=4);",
    "CREATE OR REPLACE TABLE IF NOT EXISTS t AS SELECT a, COUNT(*) AS n FROM s WINDOW HOPPING (SIZE \
     10 SECONDS, ADVANCE BY 1 SECOND, RETENTION 1 DAY, GRACE PERIOD 0 HOURS) WHERE b LIKE 'x%' \
     ESCAPE '!' GROUP BY a HAVING COUNT(*) > 1 EMIT FINAL;",
    "INSERT INTO s (a, `b``c`, \"D\") VALUES (1, -2.5E10, 'it''s');",
    "SELECT a->b->c, m['x'][1], f(x => x + 1, (k, v) => k), CASE WHEN a IS NOT NULL THEN 1 ELSE 2 \
     END FROM s AS q LEFT OUTER JOIN t WITHIN (1 HOUR, 2 MINUTES) GRACE PERIOD 1 DAY ON q.a = t.b \
     EMIT CHANGES LIMIT 10;",
    "SELECT * FROM t WHERE k IN ('a', 'b') AND NOT (x BETWEEN 1 AND 2) OR y <> 3;",
    "PRINT 't' FROM BEGINNING INTERVAL 2 LIMIT 3;",
    "DEFINE x = 'y'; SELECT ${x} FROM s; UNDEFINE x;",
    "SET 'auto.offset.reset'='earliest'; UNSET 'a';",
    "DROP STREAM IF EXISTS s DELETE TOPIC; TERMINATE ALL; PAUSE q; RESUME q; EXPLAIN q;",
    "ASSERT TOPIC t WITH (PARTITIONS=1) TIMEOUT 10 SECONDS; ASSERT NOT EXISTS SCHEMA SUBJECT s ID 3;",
    "ALTER STREAM s ADD COLUMN c INT, ADD COLUMN d STRING;",
    "CREATE TYPE addr AS STRUCT<number INTEGER, street VARCHAR>; DROP TYPE addr;",
    "SHOW STREAMS EXTENDED; DESCRIBE FUNCTION f; LIST ALL TOPICS; SHOW PROPERTIES;",
    "-- a comment\nSELECT /* another */ 1 + 2 * 3 % 4 - -5 FROM s PARTITION BY a, b + 1;",
    "INSERT INTO a WITH (QUERY_ID='x') SELECT CAST(a AS DECIMAL(4, 2)), ARRAY[1, 2], MAP('a' := 1), \
     STRUCT(x := 1) FROM s;",
    "CREATE SOURCE TABLE s (k INT PRIMARY KEY, h ARRAY<STRUCT<key STRING, value BYTES>> HEADERS) \
     WITH (KAFKA_TOPIC='t', TIMESTAMP='ts', TIMESTAMP_FORMAT='yyyy');",
];

const SQL_WORDS: [&[u8]; 36] = [
    b"SELECT ",
    b" FROM ",
    b"(",
    b")",
    b"((",
    b" JOIN ",
    b" ON ",
    b" AND ",
    b" OR ",
    b"NOT ",
    b"->",
    b"=>",
    b"CASE WHEN ",
    b" END",
    b"ARRAY[",
    b"]",
    b"STRUCT<",
    b"MAP<",
    b">",
    b"'",
    b"`",
    b"\"",
    b"--",
    b"/*",
    b"*/",
    b"${",
    b"}",
    b";",
    b",",
    b"-",
    b"1e",
    b"99999999999999999999",
    b"\xc3\x28",
    b"CAST(",
    b" AS ",
    b"\0",
];

struct Statements;

impl Target for Statements {
    fn name(&self) -> &str {
        "sql"
    }

    fn bytes_per_byte(&self) -> usize {
        TREE_BYTES_PER_BYTE
    }

    fn input(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = random.pick(&STATEMENTS).as_bytes().to_vec();
        if random.chance(97) {
            let others: Vec<_> = STATEMENTS.iter().map(|s| s.as_bytes().to_vec()).collect();
            damage(random, &mut bytes, &SQL_WORDS, &others);
        }
        bytes
    }

    fn read(&mut self, input: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(input);
        match parser::parse(&text) {
            Ok(statements) => statements.iter().try_for_each(|parsed| {
                let written = unparse::to_sql(&parsed.statement);
                match parser::parse(&written) {
                    Ok(again) if again.len() == 1 && again[0].statement == parsed.statement => {
                        Ok(())
                    }
                    Ok(_) => Err(format!("it reads back as another: {written}")),
                    Err(error) => Err(format!("it does not read back ({error}): {written}")),
                }
            }),
            Err(error) => match error.span {
                Some(span) if span.start > span.end || span.end > text.len() => {
                    Err(format!("an error beyond the text: {span:?}"))
                }
                _ => {
                    let _ = error.render(&text);
                    Ok(())
                }
            },
        }
    }
}

struct SchemaTexts {
    name: &'static str,
    kind: SchemaKind,
    format: FormatKind,
    valid: &'static [&'static str],
    words: &'static [&'static [u8]],
}

impl Target for SchemaTexts {
    fn name(&self) -> &str {
        self.name
    }

    fn bytes_per_byte(&self) -> usize {
        SCHEMA_BYTES_PER_BYTE
    }

    fn input(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = random.pick(self.valid).as_bytes().to_vec();
        let others: Vec<_> = self.valid.iter().map(|s| s.as_bytes().to_vec()).collect();
        damage(random, &mut bytes, self.words, &others);
        bytes
    }

    fn read(&mut self, input: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(input).into_owned();
        let schema = SchemaText { kind: self.kind, text, references: Vec::new() };
        for wrapped in [true, false] {
            let format = FormatSpec::new(self.format, wrapped);
            let naming = Naming { single: "ROWVAL", keep_case: false };
            let _ = StandardFormats.infer(&format, &schema, naming);
        }
        Ok(())
    }
}

const AVRO: [&str; 3] = [
    r#"{"type":"record","name":"a.R","fields":[{"name":"X","type":["null","int"],"default":null},
      {"name":"Y","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"Z",
      "type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}}]}}},
      {"name":"W","type":"a.I"}]}"#,
    r#"{"type":"map","values":{"type":"enum","name":"E","symbols":["A","B"]}}"#,
    r#"["null",{"type":"fixed","name":"F","size":12},"string"]"#,
];
const AVRO_WORDS: [&[u8]; 12] = [
    b"{\"type\":\"array\",\"items\":",
    b"{\"type\":\"map\",\"values\":",
    b"\"a.R\"",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"size\":99999999999",
    b"\"scale\":-1",
    b"null",
    b"\"type\":",
    b",",
];
const PROTOBUF: [&str; 2] = [
    "syntax = \"proto3\"; package p; import \"google/protobuf/timestamp.proto\"; message A { int32 x \
     = 1; repeated B y = 2; map<string, int64> m = 3; oneof o { string s = 4; bytes b = 5; } \
     google.protobuf.Timestamp t = 6; message N { A a = 1; } enum E { Z = 0; } E e = 7; } message B \
     { optional double d = 1 [deprecated = true]; }",
    "syntax = \"proto2\"; message A { required group G = 1 { optional int32 x = 1; } extensions 4 to \
     max; optional string s = 2 [default = \"x\"]; }",
];
const PROTOBUF_WORDS: [&[u8]; 14] = [
    b"message A { ",
    b"}",
    b"{",
    b"repeated ",
    b"map<string, ",
    b"A a = 2;",
    b"import \"x.proto\";",
    b"reserved 1 to max;",
    b"536870912",
    b"/*",
    b"//",
    b"\"",
    b"oneof q { ",
    b"enum E { Z = 0; ",
];
const JSON: [&str; 2] = [
    r##"{"type":"object","title":"R","properties":{"a":{"oneOf":[{"type":"null"},{"type":
      "integer","connect.type":"int64"}]},"b":{"type":"array","items":{"$ref":"#/definitions/X"}},
      "c":{"type":"object","additionalProperties":{"type":"string"}}},"definitions":{"X":{"type":
      "number","connect.parameters":{"scale":"2"}}}}"##,
    r#"{"type":["null","string"]}"#,
];
const JSON_WORDS: [&[u8]; 10] = [
    b"{\"$ref\":\"#\"}",
    b"{\"$ref\":\"#/definitions/X\"}",
    b"{\"allOf\":[",
    b"{\"type\":\"array\",\"items\":",
    b"[",
    b"]",
    b"{",
    b"}",
    b"true",
    b"\"type\":",
];

pub fn targets() -> Vec<Box<dyn Target>> {
    let schemas = |name, kind, format, valid, words| -> Box<dyn Target> {
        Box::new(SchemaTexts { name, kind, format, valid, words })
    };
    vec![
        Box::new(Statements),
        schemas("schema-avro", SchemaKind::Avro, FormatKind::Avro, &AVRO, &AVRO_WORDS),
        schemas(
            "schema-protobuf",
            SchemaKind::Protobuf,
            FormatKind::Protobuf,
            &PROTOBUF,
            &PROTOBUF_WORDS,
        ),
        schemas("schema-json", SchemaKind::Json, FormatKind::JsonSr, &JSON, &JSON_WORDS),
    ]
}
