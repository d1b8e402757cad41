use std::sync::Arc;

use arrow::array::{Array, BinaryArray, Float64Array, Int32Array, Int64Array, StringArray};

use super::*;
use crate::codec::samples::{self, Value};

fn encode(types: &[SqlType], columns: &[ArrayRef]) -> KeyBuffer {
    let mut out = KeyBuffer::new();
    KeyCodec::new(types).encode(columns, &mut out).expect("right types");
    out
}

/// Encodes one column that is in strictly rising SQL order.
fn check_rising(ty: SqlType, column: impl Array + 'static) {
    let column: ArrayRef = Arc::new(column);
    let keys = encode(std::slice::from_ref(&ty), std::slice::from_ref(&column));
    assert!(keys.slices().windows(2).all(|pair| pair[0] < pair[1]), "{ty}: {keys:?}");
    let back = KeyCodec::new(&[ty]).decode(&keys.slices()).expect("own bytes");
    assert_eq!(&back[0], &column);
}

#[test]
fn byte_order_is_sql_order_with_nulls_first() {
    let ints = [None, Some(i64::MIN), Some(-256), Some(-1), Some(0), Some(1), Some(i64::MAX)];
    check_rising(SqlType::Bigint, Int64Array::from(ints.to_vec()));
    let ints = [None, Some(i32::MIN), Some(-1), Some(0), Some(255), Some(i32::MAX)];
    check_rising(SqlType::Integer, Int32Array::from(ints.to_vec()));
    let inf = f64::INFINITY;
    let doubles =
        vec![None, Some(-inf), Some(-1.5), Some(-0.0), Some(0.0), Some(1e-300), Some(inf)];
    check_rising(SqlType::Double, Float64Array::from(doubles));
    let texts = vec![
        None,
        Some(""),
        Some("\0"),
        Some("\0\0"),
        Some("\u{1}"),
        Some("a"),
        Some("a\0"),
        Some("aa"),
        Some("ü"),
    ];
    check_rising(SqlType::String, StringArray::from(texts));
    let bytes: Vec<Option<&[u8]>> = vec![
        None,
        Some(b""),
        Some(b"\0"),
        Some(b"\0\xff"),
        Some(b"\x01"),
        Some(b"\xff"),
        Some(b"\xff\0"),
    ];
    check_rising(SqlType::Bytes, BinaryArray::from(bytes));
}

#[test]
fn encoding_is_fixed() {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a\0"]));
    let keys = encode(&[SqlType::Bigint, SqlType::String], &[one, text]);
    assert_eq!(keys.get(0), b"\x11\x80\0\0\0\0\0\0\x01\x11a\0\xff\0\0");
}

#[test]
fn nan_is_one_value_above_infinity() {
    let other_nan = f64::from_bits(0xFFF8_0000_0000_0001);
    let column: ArrayRef = Arc::new(Float64Array::from(vec![f64::INFINITY, f64::NAN, other_nan]));
    let keys = encode(&[SqlType::Double], &[column]);
    assert!(keys.get(0) < keys.get(1));
    assert_eq!(keys.get(1), keys.get(2));
}

#[test]
fn wrong_columns_are_refused() {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let mut out = KeyBuffer::new();
    let error = KeyCodec::new(&[SqlType::String]).encode(&[one], &mut out);
    assert!(matches!(error, Err(EngineError::Bug(_))));
}

#[test]
fn another_version_is_refused_by_name() {
    let error = KeyCodec::new(&[SqlType::Bigint]).decode(&[&[0x21; 9]]).expect_err("version 2");
    assert_eq!(error.to_string(), "state store: corrupt bytes: key version 2, not 1");
}

#[test]
fn keys_round_trip() {
    samples::for_tables(false, 500, |types, rows, _| {
        let columns = samples::columns(types, rows);
        let keys = encode(types, &columns);
        let back = KeyCodec::new(types).decode(&keys.slices()).expect("own bytes");
        assert_eq!(keys, encode(types, &back));
        assert_eq!(format!("{columns:?}"), format!("{back:?}"));
    });
}

#[test]
fn keys_sort_as_their_values_and_none_is_a_prefix() {
    samples::for_tables(false, 500, |types, rows, _| {
        let keys = encode(types, &samples::columns(types, rows));
        for i in 0..rows.len() {
            for j in 0..rows.len() {
                let (a, b) = (keys.get(i), keys.get(j));
                assert_eq!(a.cmp(b), samples::order(&rows[i], &rows[j]));
                assert!(!a.starts_with(b) || a == b);
            }
        }
    });
}

#[test]
fn maps_with_equal_entries_are_equal_keys() {
    let types = [SqlType::Map(Box::new(SqlType::String), Box::new(SqlType::Bigint))];
    let entry = |key: &str, value| (Value::Text(key.into()), Value::Int64(value));
    let row = |entries| vec![Value::Map(entries)];
    let rows = [row(vec![entry("a", 1), entry("b", 2)]), row(vec![entry("b", 2), entry("a", 1)])];
    let keys = encode(&types, &samples::columns(&types, &rows));
    assert_eq!(keys.get(0), keys.get(1));
    samples::for_tables(true, 300, |types, rows, _| {
        let keys = encode(types, &samples::columns(types, rows));
        let back = KeyCodec::new(types).decode(&keys.slices()).expect("own bytes");
        assert_eq!(keys, encode(types, &back));
    });
}

#[test]
fn corrupt_keys_are_errors() {
    samples::for_tables(true, 500, |types, rows, random| {
        let codec = KeyCodec::new(types);
        for key in encode(types, &samples::columns(types, rows)).iter() {
            assert!(codec.decode(&[&key[..key.len() - 1]]).is_err());
            let mut bad = key.to_vec();
            bad[random.below(key.len())] ^= 1 + random.below(255) as u8;
            if let Err(error) = codec.decode(&[&bad]) {
                assert!(matches!(error, EngineError::State(_)), "{error}");
            }
        }
    });
}
