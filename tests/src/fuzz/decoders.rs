//! Decoders of all formats, fed with damaged records.

use std::sync::Arc;

use millrace_connectors::formats::{RegistryFormats, StandardFormats};
use millrace_connectors::registry::MemoryRegistry;
use millrace_engine::format::{EncodedRows, Formats, RowDecoder, RowEncoder};
use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{RawBatch, RecordRef};
use millrace_engine::schemas::SchemaRegistry;
use millrace_sql::catalog::{
    Column, ColumnRole, FormatKind, FormatSpec, KeyWindow, RegisteredSchema, SchemaKind,
    SchemaText, Source, SourceKind,
};
use millrace_sql::parser::parse_type;
use millrace_sql::plan::ScanColumn;
use millrace_sql::types::SqlType;

use super::Target;
use super::random::{Random, damage};

/// Valid records that damage starts from.
const RECORDS: usize = 200;

/// Reads records of one format.
struct Decoding {
    name: String,
    decoder: Box<dyn RowDecoder>,
    encoder: Option<Box<dyn RowEncoder>>,
    valid: Vec<Vec<u8>>,
    words: Vec<&'static [u8]>,
    /// Ids of schemas that a record may name.
    ids: Vec<u32>,
    is_key: bool,
}

impl Target for Decoding {
    fn name(&self) -> &str {
        &self.name
    }

    fn input(&self, random: &mut Random) -> Vec<u8> {
        let mut bytes = random.pick(&self.valid).clone();
        if !self.ids.is_empty() && bytes.len() > 5 && random.chance(40) {
            bytes[1..5].copy_from_slice(&random.pick(&self.ids).to_be_bytes());
        }
        if random.chance(95) {
            damage(random, &mut bytes, &self.words, &self.valid);
        }
        bytes
    }

    fn read(&mut self, input: &[u8]) -> Result<(), String> {
        let mut raw = RawBatch::new(Tp::new(TopicId(1), 0));
        let (key, value) = if self.is_key { (Some(input), None) } else { (None, Some(input)) };
        raw.push(Offset(0), &RecordRef { timestamp: Timestamp(0), key, value, headers: &[] });
        if self.decoder.ready(&raw, 0..1) != 1 {
            return Err("it waits for a schema".to_owned());
        }
        let decoded = self.decoder.decode(&raw, 0..1).map_err(|e| e.to_string())?;
        match (decoded.rows.num_rows(), decoded.rejects.len()) {
            (1, 0) | (0, 1) => {}
            (rows, rejects) => return Err(format!("{rows} rows and {rejects} rejects")),
        }
        if decoded.rows.num_rows() == 1
            && let Some(encoder) = &mut self.encoder
        {
            let mut out = EncodedRows::default();
            let encoded = encoder.encode(&decoded.rows, decoded.live.as_ref(), &mut out);
            encoded.map_err(|e| format!("what was read cannot be written: {e}"))?;
        }
        Ok(())
    }
}

const COLUMNS: [(&str, &str); 14] = [
    ("I", "INT"),
    ("L", "BIGINT"),
    ("D", "DOUBLE"),
    ("B", "BOOLEAN"),
    ("S", "STRING"),
    ("N", "DECIMAL(10, 2)"),
    ("WIDE", "DECIMAL(38, 10)"),
    ("Y", "BYTES"),
    ("DAY", "DATE"),
    ("T", "TIME"),
    ("TS", "TIMESTAMP"),
    ("LIST", "ARRAY<STRUCT<Q ARRAY<INT>, P DOUBLE>>"),
    ("M", "MAP<STRING, STRUCT<A BIGINT, B STRING>>"),
    ("R", "STRUCT<X INT, Y ARRAY<STRING>, Z STRUCT<Q DOUBLE, W BYTES>>"),
];

const JSON_WORDS: [&[u8]; 22] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b":",
    b",",
    b"null",
    b"true",
    b"1e999999999",
    b"-0",
    b"1E-400",
    b"99999999999999999999999999999999999999999999",
    b"\\ud800",
    b"\\u0000",
    b"\\",
    b"\xff\xfe",
    b"{\"R\":",
    b"[[",
    b"0.0000000000000000000000000000000001",
    b"\"I\":",
    b" ",
];

const CSV_WORDS: [&[u8]; 8] = [b",", b"\"", b"\"\"", b"\n", b"\r", b"\xff", b",,,,,", b"1e9999999"];

/// Records that other producers write, whose columns have these names.
const AVRO: [&str; 4] = [
    r#"{"type":"record","name":"O","fields":[{"name":"I","type":["null","string","int"]},
      {"name":"L","type":{"type":"fixed","name":"F","size":4}},{"name":"S","type":{"type":"enum",
      "name":"E","symbols":["A","B"]}},{"name":"Y","type":{"type":"array","items":{"type":"map",
      "values":"bytes"}}},{"name":"LIST","type":{"type":"array","items":"null"}}]}"#,
    r#"{"type":"record","name":"T","fields":[{"name":"I","type":"int"},
      {"name":"R","type":["null","T"],"default":null}]}"#,
    r#"{"type":"record","name":"Z","fields":[{"name":"M","type":{"type":"map","values":{"type":
      "record","name":"V","fields":[{"name":"A","type":"long"},{"name":"B","type":"string"}]}}},
      {"name":"LIST","type":{"type":"array","items":{"type":"array","items":{"type":"record",
      "name":"EMPTY","fields":[]}}}}]}"#,
    r#"["null","string",{"type":"array","items":"null"}]"#,
];

const PROTOBUF: [&str; 2] = [
    "syntax = \"proto3\"; message A { message In { int32 X = 1; repeated string Y = 2; } oneof o { \
     int32 I = 1; string S = 2; } repeated sint64 L = 3; map<string, In> M = 4; In R = 5; repeated \
     fixed32 LIST = 6; bytes Y = 7; }",
    "syntax = \"proto3\"; message T { int32 I = 1; T R = 2; repeated T LIST = 3; }",
];

const JSON: [&str; 2] = [
    r#"{"type":"object","properties":{"I":{"oneOf":[{"type":"null"},{"type":"string"}]},
      "R":{"type":"object","additionalProperties":{"type":"number"}}}}"#,
    r#"{"type":"array","items":{"type":"integer"}}"#,
];

pub fn targets() -> Vec<Box<dyn Target>> {
    let mut all: Vec<Box<dyn Target>> = Vec::new();
    let everything: Vec<(&str, SqlType)> =
        COLUMNS.iter().map(|(name, text)| (*name, ty(text))).collect();
    let flat = everything[..11].to_vec();
    let foreign = |kind, texts: &[&'static str]| -> Vec<(SchemaKind, &'static str)> {
        texts.iter().map(|text| (kind, *text)).collect()
    };
    let json = JSON_WORDS.to_vec();
    let cases = [
        (FormatKind::Json, &everything, json.clone(), Vec::new()),
        (FormatKind::JsonSr, &everything, json, foreign(SchemaKind::Json, &JSON)),
        (FormatKind::Avro, &everything, Vec::new(), foreign(SchemaKind::Avro, &AVRO)),
        (FormatKind::Protobuf, &everything, Vec::new(), foreign(SchemaKind::Protobuf, &PROTOBUF)),
        (FormatKind::ProtobufNoSr, &everything, Vec::new(), Vec::new()),
        (FormatKind::Delimited, &flat, CSV_WORDS.to_vec(), Vec::new()),
    ];
    for (kind, columns, words, foreign) in cases {
        for read in [columns.len(), 2] {
            let name = format!("{}-{read}", kind.name().to_lowercase());
            all.push(Box::new(decoding(name, kind, columns, read, words.clone(), &foreign)));
        }
    }
    for (name, ty) in flat.iter().filter(|(name, _)| ["I", "L", "D", "S", "Y"].contains(name)) {
        let columns = [(*name, ty.clone())];
        let title = format!("kafka-{}", name.to_lowercase());
        all.push(Box::new(decoding(title, FormatKind::Kafka, &columns, 1, Vec::new(), &[])));
    }
    all.extend([None, Some(KeyWindow::Session)].map(key));
    all
}

fn ty(text: &str) -> SqlType {
    let parsed = parse_type(text).expect("a type");
    parsed.resolve(&|_| None).expect("no custom type")
}

fn source(kind: FormatKind, columns: &[(&str, SqlType)], role: ColumnRole) -> Source {
    let column = |(name, ty): &(&str, SqlType)| Column {
        name: (*name).to_owned(),
        ty: ty.clone(),
        role: role.clone(),
    };
    let (own, none) = (FormatSpec::new(kind, true), FormatSpec::new(FormatKind::None, true));
    let is_key = role == ColumnRole::Key;
    Source {
        name: "S".to_owned(),
        kind: SourceKind::Stream,
        topic: "s".to_owned(),
        columns: columns.iter().map(column).collect(),
        key_format: if is_key { own.clone() } else { none.clone() },
        value_format: if is_key { none } else { own },
        timestamp: None,
        window: None,
        partitions: 1,
        query: None,
        read_only: false,
        row_ttl_ms: None,
        sql: String::new(),
    }
}

fn decoding(
    name: String,
    kind: FormatKind,
    columns: &[(&str, SqlType)],
    read: usize,
    words: Vec<&'static [u8]>,
    foreign: &[(SchemaKind, &str)],
) -> Decoding {
    let registry = Arc::new(MemoryRegistry::default());
    let mut source = source(kind, columns, ColumnRole::Value);
    let mut ids = Vec::new();
    if kind.has_registry() {
        let owned: Vec<_> = columns.iter().map(|(n, ty)| ((*n).to_owned(), ty.clone())).collect();
        let schema = StandardFormats.describe(&source.value_format, &owned).expect("a schema");
        registry.register_as("s-value", 1, schema.clone());
        let registered = RegisteredSchema { id: 1, schema };
        source.value_format.schema.registered = Some(Arc::new(registered));
        for (at, (kind, text)) in foreign.iter().enumerate() {
            let schema =
                SchemaText { kind: *kind, text: (*text).to_owned(), references: Vec::new() };
            registry.register_as("other", 2 + at as u32, schema);
        }
        ids.extend(1..=1 + foreign.len() as u32);
    }
    let formats = RegistryFormats::new(registry as Arc<dyn SchemaRegistry>);
    let scan: Vec<_> = (0..read).map(|at| ScanColumn::Declared(columns.len() - 1 - at)).collect();
    let mut rest = source.clone();
    rest.columns = scan
        .iter()
        .map(|c| match c {
            ScanColumn::Declared(at) => source.columns[*at].clone(),
            _ => source.columns[0].clone(),
        })
        .collect();
    let whole = read == columns.len() && kind != FormatKind::Kafka;
    Decoding {
        name,
        decoder: formats.decoder(&source, &scan).expect("a decoder"),
        encoder: whole.then(|| formats.encoder(&rest).expect("an encoder")),
        valid: valid(&formats, &source, columns),
        words,
        ids,
        is_key: false,
    }
}

/// Keys of KAFKA texts, with or without windows.
fn key(window: Option<KeyWindow>) -> Box<dyn Target> {
    let columns = [("K", SqlType::String)];
    let mut source = source(FormatKind::Kafka, &columns, ColumnRole::Key);
    source.window = window;
    let name = if window.is_some() { "windowed-key" } else { "key" }.to_owned();
    let scan = [ScanColumn::Declared(0)];
    let mut valid = b"a key".to_vec();
    valid.extend_from_slice(&[0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 1, 2, 3, 4, 5, 5]);
    Box::new(Decoding {
        name,
        decoder: StandardFormats.decoder(&source, &scan).expect("a decoder"),
        encoder: None,
        valid: vec![valid],
        words: Vec::new(),
        ids: Vec::new(),
        is_key: true,
    })
}

/// Records of random rows, as the format's own encoder writes them.
fn valid(formats: &dyn Formats, source: &Source, columns: &[(&str, SqlType)]) -> Vec<Vec<u8>> {
    let mut json = source.clone();
    json.value_format = FormatSpec::new(FormatKind::Json, true);
    let all: Vec<_> = (0..columns.len()).map(ScanColumn::Declared).collect();
    let mut random = Random::new(1);
    let mut raw = RawBatch::new(Tp::new(TopicId(1), 0));
    for at in 0..RECORDS {
        let members = columns.iter().map(|(name, ty)| (*name, value(&mut random, ty)));
        let text = object(members);
        let record = RecordRef {
            timestamp: Timestamp(0),
            key: None,
            value: Some(text.as_bytes()),
            headers: &[],
        };
        raw.push(Offset(at as i64), &record);
    }
    let mut decoder = StandardFormats.decoder(&json, &all).expect("a decoder");
    let decoded = decoder.decode(&raw, 0..RECORDS).expect("rows");
    assert_eq!(decoded.rejects, [], "they are valid");
    let mut out = EncodedRows::default();
    let mut encoder = formats.encoder(source).expect("an encoder");
    encoder.encode(&decoded.rows, None, &mut out).expect("records");
    let values = out.rows.iter().filter_map(|row| row.value.clone());
    values.map(|range| out.data[range].to_vec()).collect()
}

fn object<'a>(members: impl Iterator<Item = (&'a str, String)>) -> String {
    let members: Vec<_> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A value as JSON.
fn value(random: &mut Random, ty: &SqlType) -> String {
    let wide = random.next() as i64 >> random.below(60);
    match ty {
        SqlType::Boolean => random.chance(50).to_string(),
        SqlType::Integer => (wide as i32).to_string(),
        SqlType::Bigint => wide.to_string(),
        SqlType::Double => format!("{:?}", wide as f64 / 7.0),
        SqlType::Decimal { scale, .. } => {
            format!("{}.{:0width$}", wide % 1_000_000, 0, width = usize::from(*scale).max(1))
        }
        SqlType::String => format!("\"{}\"", "ä\u{1f600}x ".repeat(random.below(5))),
        SqlType::Bytes => format!("\"{}\"", "AAEC".repeat(random.below(5))),
        SqlType::Date => (wide % 40_000).to_string(),
        SqlType::Time => (wide.unsigned_abs() % 86_400_000).to_string(),
        SqlType::Timestamp => (wide % 4_000_000_000_000).to_string(),
        SqlType::Array(item) => {
            let items: Vec<_> = (0..random.below(4)).map(|_| value(random, item)).collect();
            format!("[{}]", items.join(","))
        }
        SqlType::Map(_, item) => {
            let names = ["a", "b", "ccc"];
            let count = random.below(names.len() + 1);
            object(names[..count].iter().map(|name| (*name, value(random, item))))
        }
        SqlType::Struct(fields) => {
            object(fields.iter().map(|field| (field.name.as_str(), value(random, &field.ty))))
        }
    }
}
