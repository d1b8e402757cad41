//! Whole records: sources and sinks.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field as ArrowField, Schema};
use millrace_engine::format::{Decoded, EncodedRows, Formats, RejectKind};
use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{HeaderRef, RawBatch, RecordRef};
use millrace_sql::catalog::{
    Column, ColumnRole, FormatKind, FormatSpec, KeyWindow, Source, SourceKind, TimestampSpec,
};
use millrace_sql::plan::ScanColumn::{self, *};
use millrace_sql::types::SqlType;

use super::StandardFormats;
use super::columns::Columns;
use super::testing::{fields, format, rows};

/// A stream with key columns `keys` and value columns `values`.
fn source(keys: &str, values: &str, key_format: FormatKind, value_format: FormatKind) -> Source {
    let role = |schema: &str, role: ColumnRole| -> Vec<Column> {
        let column =
            |f: super::columns::Field| Column { name: f.name, ty: f.ty, role: role.clone() };
        fields(schema).into_iter().map(column).collect()
    };
    let columns = [role(keys, ColumnRole::Key), role(values, ColumnRole::Value)].concat();
    Source {
        name: "S".into(),
        kind: SourceKind::Stream,
        columns,
        topic: "s".into(),
        partitions: 1,
        key_format: format(key_format),
        value_format: format(value_format),
        window: None,
        timestamp: None,
        sql: String::new(),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    }
}

fn json_source(keys: &str, values: &str) -> Source {
    source(keys, values, FormatKind::Json, FormatKind::Json)
}

/// Key, value, timestamp, headers.
type Raw<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, i64, &'a [HeaderRef<'a>]);

/// A batch of (key, value, timestamp, headers) in partition 3, offsets 100, 102, 104, ...
fn raw(records: &[Raw<'_>]) -> RawBatch {
    let mut raw = RawBatch::new(Tp::new(TopicId(1), 3));
    for (i, (key, value, timestamp, headers)) in records.iter().enumerate() {
        let timestamp = Timestamp(*timestamp);
        let record = RecordRef { timestamp, key: *key, value: *value, headers };
        raw.push(Offset(100 + 2 * i as i64), &record);
    }
    raw
}

fn decode(source: &Source, columns: &[ScanColumn], raw: &RawBatch) -> Decoded {
    let mut decoder = StandardFormats.decoder(source, columns).expect("a decoder");
    let first = decoder.decode(raw, 0..raw.records.len()).expect("decoded");
    let again = decoder.decode(raw, 0..raw.records.len()).expect("decoded again");
    assert_eq!((&first.rows, &first.times), (&again.rows, &again.times));
    assert_eq!((&first.live, &first.origin), (&again.live, &again.origin));
    assert_eq!(first.rejects, again.rejects);
    first
}

#[test]
fn key_value_and_pseudo_columns() {
    let source = json_source("K STRING", "A INT, B STRING");
    let raw = raw(&[
        (Some(b"\"k\""), Some(br#"{"A":1,"B":"x"}"#), 7, &[]),
        (None, Some(br#"{"A":2}"#), 8, &[]),
        (Some(b"null"), None, 9, &[]),
    ]);
    let columns = [Declared(0), Rowtime, Declared(2), Rowpartition, Rowoffset];
    let decoded = decode(&source, &columns, &raw);
    let want = [
        r#"{"K":"k","ROWTIME":7,"B":"x","ROWPARTITION":3,"ROWOFFSET":100}"#,
        r#"{"K":null,"ROWTIME":8,"B":null,"ROWPARTITION":3,"ROWOFFSET":102}"#,
        r#"{"K":null,"ROWTIME":9,"B":null,"ROWPARTITION":3,"ROWOFFSET":104}"#,
    ];
    assert_eq!(rows(&decoded.rows), want);
    assert_eq!(decoded.times, [7, 8, 9]);
    assert_eq!(decoded.origin, [0, 1, 2]);
    let live: Vec<_> = decoded.live.expect("a tombstone").iter().collect();
    assert_eq!(live, [true, true, false]);
    assert_eq!(decoded.rejects, []);
}

#[test]
fn bad_records_are_left_out_and_reported() {
    let source = json_source("K INT", "A INT, B INT");
    let raw = raw(&[
        (Some(b"1"), Some(br#"{"A":1}"#), 1, &[]),
        (Some(b"x"), Some(br#"{"A":2}"#), 2, &[]),
        (Some(b"3"), Some(br#"{"A":3,"B":"unread"}"#), 3, &[]),
        (Some(b"4"), Some(br#"{"A":4"#), 4, &[]),
        (Some(b"5"), Some(br#"{"A":5}"#), -1, &[]),
        (Some(b"6"), Some(br#"{"A":6}"#), 6, &[]),
    ]);
    let decoded = decode(&source, &[Declared(0), Declared(1)], &raw);
    assert_eq!(rows(&decoded.rows), [r#"{"K":1,"A":1}"#, r#"{"K":6,"A":6}"#]);
    assert_eq!((decoded.origin, decoded.times), (vec![0, 5], vec![1, 6]));
    let rejects: Vec<_> =
        decoded.rejects.iter().map(|r| (r.record, r.what, r.reason.as_str())).collect();
    let want = [
        (1, RejectKind::DeserializeKey, "invalid JSON at byte 0: not a value"),
        (
            2,
            RejectKind::DeserializeValue,
            "$.B: unread is not a number that can be read as INTEGER",
        ),
        (3, RejectKind::DeserializeValue, "invalid JSON at byte 6: the text ends too early"),
        (4, RejectKind::Processing, "the record's timestamp -1 is negative"),
    ];
    assert_eq!(rejects, want);
    assert_eq!(decoded.live, None);
}

#[test]
fn a_range_decodes_only_its_records() {
    let source = json_source("K INT", "A INT");
    let one: Raw<'_> = (Some(b"1"), Some(br#"{"A":1}"#), 1, &[]);
    let raw = raw(&[one; 5]);
    let mut decoder = StandardFormats.decoder(&source, &[Rowoffset]).expect("a decoder");
    let decoded = decoder.decode(&raw, 1..3).expect("decoded");
    assert_eq!(rows(&decoded.rows), [r#"{"ROWOFFSET":102}"#, r#"{"ROWOFFSET":104}"#]);
    assert_eq!(decoded.origin, [1, 2]);
    let none = StandardFormats.decoder(&source, &[]).expect("a decoder");
    let decoded = { none }.decode(&raw, 0..5).expect("decoded");
    assert_eq!(decoded.rows.num_rows(), 5);
}

#[test]
fn windowed_keys() {
    let time = KeyWindow::Time { size_ms: 10, hopping: false };
    let cases = [(time, vec![5i64], (5, 15)), (KeyWindow::Session, vec![9, 5], (5, 9))];
    for (window, suffix, (start, end)) in cases {
        let mut source = json_source("K STRING", "A INT");
        source.key_format.kind = FormatKind::Kafka;
        source.window = Some(window);
        let suffix: Vec<u8> = suffix.iter().flat_map(|bound| bound.to_be_bytes()).collect();
        let key = [b"key".as_slice(), &suffix].concat();
        let raw = raw(&[
            (Some(&key), Some(br#"{"A":1}"#), 7, &[]),
            (Some(b"short"), Some(br#"{"A":1}"#), 7, &[]),
            (None, Some(br#"{"A":1}"#), 7, &[]),
        ]);
        let all = [Declared(0), Declared(1), WindowStart, WindowEnd];
        let decoded = decode(&source, &all, &raw);
        let want = format!(r#"{{"K":"key","A":1,"WINDOWSTART":{start},"WINDOWEND":{end}}}"#);
        let null = r#"{"K":null,"A":1,"WINDOWSTART":null,"WINDOWEND":null}"#;
        assert_eq!(rows(&decoded.rows), [want.as_str(), null]);
        assert_eq!(decoded.rejects[0].what, RejectKind::DeserializeKey);

        let mut out = EncodedRows::default();
        let mut encoder = StandardFormats.encoder(&source).expect("an encoder");
        encoder.encode(&decoded.rows, None, &mut out).expect("encoded");
        assert_eq!(out.rows[0].key.clone().map(|range| &out.data[range]), Some(key.as_slice()));
        assert_eq!((out.rows[0].inner_key_len, out.rows[1].inner_key_len), (3, 0));
        assert_eq!(out.rows[1].key, None);
    }
}

#[test]
fn header_columns() {
    let mut source = json_source("", "A INT");
    let all = fields("H ARRAY<STRUCT<KEY STRING, VALUE BYTES>>").remove(0);
    let headers =
        |name: &str, ty, of| Column { name: name.into(), ty, role: ColumnRole::Headers(of) };
    source.columns.push(headers("H", all.ty, None));
    source.columns.push(headers("X", SqlType::Bytes, Some("x".into())));
    let many: [HeaderRef<'_>; 3] = [("x", Some(b"\x01")), ("y", Some(b"")), ("x", Some(b"\x02"))];
    let null: [HeaderRef<'_>; 2] = [("x", Some(b"\x01")), ("x", None)];
    let raw = raw(&[
        (None, Some(b"{}"), 1, &many),
        (None, Some(b"{}"), 2, &[]),
        (None, Some(b"{}"), 3, &null),
    ]);
    let decoded = decode(&source, &[Declared(1), Declared(2)], &raw);
    let want = [
        concat!(
            r#"{"H":[{"KEY":"x","VALUE":"AQ=="},{"KEY":"y","VALUE":""},"#,
            r#"{"KEY":"x","VALUE":"Ag=="}],"X":"Ag=="}"#
        ),
        r#"{"H":[],"X":null}"#,
        r#"{"H":[{"KEY":"x","VALUE":"AQ=="},{"KEY":"x","VALUE":null}],"X":null}"#,
    ];
    assert_eq!(rows(&decoded.rows), want);
    assert!(StandardFormats.encoder(&source).is_err());
}

#[test]
fn event_time_from_a_column() {
    for ty in ["BIGINT", "TIMESTAMP"] {
        let mut source = json_source("K INT", &format!("TS {ty}, A INT"));
        source.timestamp = Some(TimestampSpec { column: "TS".into(), pattern: None });
        let raw = raw(&[
            (Some(b"1"), Some(br#"{"TS":50,"A":1}"#), 7, &[]),
            (Some(b"2"), Some(br#"{"TS":null,"A":2}"#), 7, &[]),
            (Some(b"3"), Some(br#"{"TS":-5,"A":3}"#), 7, &[]),
            (Some(b"4"), None, 7, &[]),
            (Some(b"5"), Some(br#"{"TS":60,"A":5}"#), -1, &[]),
        ]);
        let decoded = decode(&source, &[Declared(2), Rowtime], &raw);
        let want =
            [r#"{"A":1,"ROWTIME":50}"#, r#"{"A":null,"ROWTIME":7}"#, r#"{"A":5,"ROWTIME":60}"#];
        assert_eq!(rows(&decoded.rows), want);
        assert_eq!((decoded.times, decoded.origin), (vec![50, 7, 60], vec![0, 3, 4]));
        let live: Vec<_> = decoded.live.expect("a tombstone").iter().collect();
        assert_eq!(live, [true, false, true]);
        let reasons: Vec<_> =
            decoded.rejects.iter().map(|r| (r.record, r.reason.as_str())).collect();
        let want = [(1, "$.TS: the timestamp is NULL"), (2, "$.TS: the timestamp -5 is negative")];
        assert_eq!(reasons, want);
    }
    let mut source = json_source("K INT", "A STRING");
    let pattern = Some("yyyy-MM-dd HH:mm:ssX".into());
    source.timestamp = Some(TimestampSpec { column: "A".into(), pattern });
    let raw = raw(&[
        (None, Some(br#"{"A":"1970-01-01 00:00:02Z"}"#), 7, &[]),
        (None, Some(br#"{"A":"1970-01-01 01:00:03+01"}"#), 7, &[]),
        (None, Some(br#"{"A":"yesterday"}"#), 7, &[]),
    ]);
    let decoded = decode(&source, &[], &raw);
    assert_eq!((decoded.times, decoded.origin), (vec![2000, 3000], vec![0, 1]));
    let reason = &decoded.rejects[0].reason;
    assert!(reason.starts_with("$.A: the timestamp does not fit its format: "), "{reason}");
    let mut source = json_source("K INT", "A DOUBLE");
    for column in ["A", "X"] {
        source.timestamp = Some(TimestampSpec { column: column.into(), pattern: None });
        assert!(StandardFormats.decoder(&source, &[]).is_err());
    }
}

#[test]
fn formats_refuse_what_they_cannot_hold() {
    let cases = [
        source("K INT, L INT", "A INT", FormatKind::Kafka, FormatKind::Json),
        source("K BOOLEAN", "A INT", FormatKind::Kafka, FormatKind::Json),
        source("K INT", "A ARRAY<INT>", FormatKind::Kafka, FormatKind::Delimited),
        source("K INT", "A MAP<INT, INT>", FormatKind::Kafka, FormatKind::Json),
        source("K INT", "A INT", FormatKind::None, FormatKind::Json),
    ];
    for source in cases {
        assert!(StandardFormats.decoder(&source, &[]).is_err(), "{:?}", source.columns);
        assert!(StandardFormats.encoder(&source).is_err(), "{:?}", source.columns);
    }
}

/// Rows of JSON records as a batch of the sink's columns.
fn batch(schema: &str, records: &[&str]) -> RecordBatch {
    let fields = fields(schema);
    let mut columns = Columns::new(&format(FormatKind::Json), fields.clone(), Default::default())
        .expect("JSON types");
    for record in records {
        columns.push(record.as_bytes()).expect("a good record");
    }
    let arrays: Vec<ArrayRef> = columns.finish().expect("small").into_iter().flatten().collect();
    let arrow = fields.iter().map(|f| ArrowField::new(&f.name, f.ty.to_arrow(), true));
    let schema = Arc::new(Schema::new(arrow.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, arrays).expect("columns of one length")
}

fn encode(sink: &Source, batch: &RecordBatch) -> Vec<(Option<String>, Option<String>)> {
    let mut out = EncodedRows::default();
    let mut encoder = StandardFormats.encoder(sink).expect("an encoder");
    encoder.encode(batch, None, &mut out).expect("encoded");
    assert_eq!(out.errors, []);
    let text = |range: &Option<std::ops::Range<usize>>| {
        range.clone().map(|range| String::from_utf8_lossy(&out.data[range]).into_owned())
    };
    out.rows.iter().map(|row| (text(&row.key), text(&row.value))).collect()
}

fn check_encode(keys: &str, values: &str, formats: [FormatKind; 2], row: &str, want: [&str; 2]) {
    let sink = source(keys, values, formats[0], formats[1]);
    let all =
        [keys, values].iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(", ");
    let got = encode(&sink, &batch(&all, &[row]));
    let part = |text: &str| if text == "absent" { None } else { Some(text.to_string()) };
    assert_eq!(got, [(part(want[0]), part(want[1]))], "{row}");
}

#[test]
fn sinks_write_keys_and_values() {
    use FormatKind::{Delimited, Json, Kafka};
    let json = [Json, Json];
    let cases = [
        ("K STRING", "A INT", json, r#"{"K":"k","A":1}"#, [r#""k""#, r#"{"A":1}"#]),
        ("K STRING", "A INT", json, r#"{"A":1}"#, ["absent", r#"{"A":1}"#]),
        ("K INT, L INT", "A INT", json, r#"{"K":1}"#, [r#"{"K":1,"L":null}"#, r#"{"A":null}"#]),
        ("K INT, L INT", "A INT", json, r#"{"A":1}"#, [r#"{"K":null,"L":null}"#, r#"{"A":1}"#]),
        ("K STRUCT<X INT>", "A INT", json, r#"{"K":{}}"#, [r#"{"X":null}"#, r#"{"A":null}"#]),
        ("K STRING", "A INT", [Kafka, Json], r#"{"K":"k"}"#, ["k", r#"{"A":null}"#]),
        ("K STRING", "A STRING", [Kafka, Kafka], r#"{"K":"k","A":"v"}"#, ["k", "v"]),
        ("K STRING", "A STRING", [Kafka, Kafka], r#"{"K":"k"}"#, ["k", "absent"]),
        (
            "K INT",
            "A INT, B STRING",
            [Delimited; 2],
            r#"{"K":1,"A":2,"B":"x,y"}"#,
            ["1", "2,\"x,y\""],
        ),
        ("K INT", "A INT, B STRING", [Delimited; 2], r#"{"K":1,"B":"x"}"#, ["1", ",x"]),
        ("", "A INT", [FormatKind::None, Json], r#"{"A":1}"#, ["absent", r#"{"A":1}"#]),
        (
            "K STRING",
            "A DOUBLE, B DECIMAL(5,2), C DATE, D TIME, E TIMESTAMP, F BYTES, G BOOLEAN",
            json,
            r#"{"K":"ü","A":1,"B":1,"C":1,"D":2,"E":3,"F":"AQI=","G":true}"#,
            ["\"ü\"", r#"{"A":1.0,"B":1.00,"C":1,"D":2,"E":3,"F":"AQI=","G":true}"#],
        ),
    ];
    for (keys, values, formats, row, want) in cases {
        check_encode(keys, values, formats, row, want);
    }
    let big_endian = source("K BIGINT", "A INT", Kafka, Kafka);
    let got = encode(&big_endian, &batch("K BIGINT, A INT", &[r#"{"K":1,"A":2}"#]));
    assert_eq!(got, [(Some("\0\0\0\0\0\0\0\x01".into()), Some("\0\0\0\x02".into()))]);
}

#[test]
fn unwrapped_values_and_rows_that_are_not_live() {
    let mut sink = json_source("K STRING", "A INT");
    sink.value_format = FormatSpec { wrapped: false, ..sink.value_format };
    let batch =
        batch("K STRING, A INT", &[r#"{"K":"k","A":1}"#, r#"{"K":"k"}"#, r#"{"K":"k","A":1}"#]);
    let live = BooleanBuffer::from(vec![true, true, false]);
    let mut out = EncodedRows::default();
    let mut encoder = StandardFormats.encoder(&sink).expect("an encoder");
    encoder.encode(&batch, Some(&live), &mut out).expect("encoded");
    let values: Vec<_> =
        out.rows.iter().map(|row| row.value.clone().map(|r| &out.data[r])).collect();
    assert_eq!(values, [Some(b"1".as_slice()), None, None]);
    assert_eq!(out.data, b"\"k\"1\"k\"\"k\"");
}

#[test]
fn bare_keys_agree_with_the_sinks() {
    let columns = [("K".to_string(), SqlType::Integer), ("L".to_string(), SqlType::String)];
    let batch = batch("K INT, L STRING", &[r#"{"K":1,"L":"x"}"#, "{}"]);
    let mut encoder =
        StandardFormats.key_encoder(&format(FormatKind::Json), &columns).expect("one");
    let mut out = EncodedRows::default();
    encoder.encode_keys(&batch, &mut out).expect("encoded");
    assert_eq!(&out.data[out.rows[0].key.clone().expect("a key")], br#"{"K":1,"L":"x"}"#);
    let nulls = out.rows[1].key.clone().expect("a key of NULLs");
    assert_eq!((out.rows[0].inner_key_len, &out.data[nulls]), (15, &br#"{"K":null,"L":null}"#[..]));
}

#[test]
fn what_a_sink_wrote_a_source_reads() {
    let schema = "A INT, B BIGINT, C DOUBLE, D DECIMAL(9, 3), E STRING, F BYTES, G DATE, H TIME, \
                  I TIMESTAMP, J BOOLEAN";
    let nested = "L ARRAY<STRUCT<X INT, Y MAP<STRING, DOUBLE>>>, S STRUCT<T STRUCT<U STRING>>";
    let all = [schema, nested].join(", ");
    let flat_rows = [
        concat!(
            r#"{"A":-1,"B":9223372036854775807,"C":0.1,"D":-1.5,"E":"a\"b,\n","#,
            r#""F":"AQI=","G":1,"H":2,"I":3,"J":true}"#
        ),
        r#"{"A":1,"C":1e300,"E":" ","J":false}"#,
    ];
    let nested_rows = [
        r#"{"A":1,"L":[{"X":1,"Y":{"a":1.5,"b":null}},null,{}],"S":{"T":{"U":"\u0000ü"}}}"#,
        r#"{"E":"x","L":[],"S":{"T":null}}"#,
    ];
    let cases = [
        (schema, FormatKind::Delimited, flat_rows),
        (schema, FormatKind::Json, flat_rows),
        (&all, FormatKind::Json, nested_rows),
    ];
    for (schema, kind, records) in cases {
        let sink = source("", schema, FormatKind::None, kind);
        let batch = batch(schema, &records);
        let mut out = EncodedRows::default();
        let mut encoder = StandardFormats.encoder(&sink).expect("an encoder");
        encoder.encode(&batch, None, &mut out).expect("encoded");
        let values = out.rows.iter().map(|row| row.value.clone().map(|range| &out.data[range]));
        let records: Vec<_> = values.map(|value| (None, value, 1, [].as_slice())).collect();
        let columns: Vec<_> = (0..sink.columns.len()).map(Declared).collect();
        let back = decode(&sink, &columns, &raw(&records));
        assert_eq!(back.rejects, []);
        assert_eq!(back.rows, batch, "{kind:?}");
    }
}
