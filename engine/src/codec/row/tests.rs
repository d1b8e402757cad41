use std::sync::Arc;

use arrow::array::{Int64Array, StringArray};

use super::*;
use crate::codec::samples;
use crate::error::EngineError;

fn encode(types: &[SqlType], columns: &[ArrayRef]) -> RowBuffer {
    let rows = columns.first().map_or(0, |column| column.len());
    let mut out = RowBuffer::new();
    RowCodec::new(types).encode(columns, 0..rows, &mut out).expect("right types");
    out
}

#[test]
fn encoding_is_fixed() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(-1), None]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("ab")]));
    let rows = encode(&[SqlType::Bigint, SqlType::String], &[ints, texts]);
    assert_eq!(rows.slices(), [b"\x01\x01\x01".as_slice(), b"\x01\x02\x02ab"]);
}

#[test]
fn rows_can_be_picked_and_appended() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let codec = RowCodec::new(&[SqlType::Bigint]);
    let mut out = RowBuffer::new();
    codec.encode(std::slice::from_ref(&ints), [2, 0], &mut out).expect("right types");
    codec.encode(&[ints], [1], &mut out).expect("right types");
    let back = codec.decode(&out.slices()).expect("own bytes");
    let want: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
    assert_eq!(back, [want]);
}

#[test]
fn lengths_beyond_the_entry_are_errors() {
    let types = [SqlType::Array(Box::new(SqlType::String))];
    let huge = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    for tail in [huge.as_slice(), b"\x01\x01", &[&[1, 1], huge.as_slice()].concat(), b"\x10"] {
        let row = [&[ROW_CODEC_VERSION, 1], tail].concat();
        let error = RowCodec::new(&types).decode(&[&row]).expect_err("too long");
        assert!(matches!(error, EngineError::State(_)), "{error}");
    }
}

#[test]
fn other_versions_are_refused_by_name() {
    let error = RowCodec::new(&[SqlType::Bigint]).decode(&[&[3, 0]]).expect_err("version 3");
    assert_eq!(error.to_string(), "state store: corrupt bytes: row version 3, not 1 or 2");
}

#[test]
fn rows_round_trip() {
    samples::for_tables(true, 500, |types, rows, _| {
        let columns = samples::columns(types, rows);
        let bytes = encode(types, &columns);
        let back = RowCodec::new(types).decode(&bytes.slices()).expect("own bytes");
        assert_eq!(bytes, encode(types, &back));
        assert_eq!(format!("{columns:?}"), format!("{back:?}"));
    });
}

#[test]
fn corrupt_rows_are_errors() {
    samples::for_tables(true, 500, |types, rows, random| {
        let codec = RowCodec::new(types);
        for row in encode(types, &samples::columns(types, rows)).iter() {
            assert!(codec.decode(&[&row[..row.len() - 1]]).is_err());
            let mut bad = row.to_vec();
            bad[random.below(row.len())] ^= 1 + random.below(255) as u8;
            if let Err(error) = codec.decode(&[&bad]) {
                assert!(matches!(error, EngineError::State(_)), "{error}");
            }
        }
    });
}

#[test]
fn a_growing_row_may_have_fewer_columns_than_asked() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let mut out = RowBuffer::new();
    RowCodec::growing(&[SqlType::Bigint])
        .encode(std::slice::from_ref(&ints), 0..2, &mut out)
        .expect("right");
    let types: Vec<SqlType> = std::iter::repeat_n(SqlType::Bigint, 10).collect();
    let back = RowCodec::new(&types).decode(&out.slices()).expect("own bytes");
    assert_eq!(&back[0], &ints);
    assert!(back[1..].iter().all(|column| column.null_count() == 2));
    assert!(RowCodec::new(&[]).decode(&out.slices()).is_err(), "columns do not go");
}
